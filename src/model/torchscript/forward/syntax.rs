//! The part of TorchScript's syntax in which straight-line code is printed. Imports nothing.

/// Brackets within brackets at most, so that no source can exhaust the stack.
const MAX_DEPTH: usize = 32;

/// Arguments by name that say where and how values are kept, not which they are.
const NAMED: [&str; 6] = [
    "dtype",
    "layout",
    "device",
    "pin_memory",
    "memory_format",
    "implicit",
];

/// One method of a class.
#[derive(Debug)]
pub struct Function {
    /// The name of its first parameter, and of its second.
    pub myself: String,
    pub input: String,
    /// Its body.
    pub text: String,
}

#[derive(Debug, PartialEq)]
pub struct Statement {
    /// The variables that are set; none for `return`.
    pub targets: Vec<String>,
    /// Whether the value is taken apart: `a, = …` does, `a = …` does not.
    pub unpacks: bool,
    pub value: Expression,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    Integer(i64),
    /// A name, a float, a boolean or a string.
    Word(String),
    /// A list or a tuple.
    Several(Vec<Expression>),
    Member(Box<Expression>, String),
    Index(Box<Expression>, usize),
    /// Without the arguments by name that have no bearing on the values.
    Call(Box<Expression>, Vec<Expression>),
}

impl Expression {
    /// `torch.lstm` of the members of a name.
    pub fn path(&self) -> Option<String> {
        match self {
            Expression::Word(word) => Some(word.clone()),
            Expression::Member(of, name) => Some(format!("{}.{name}", of.path()?)),
            _ => None,
        }
    }
}

/// Finds the method `name` of `class` in a source file.
pub fn function(source: &str, class: &str, name: &str) -> Result<Function, String> {
    let head = format!("class {class}(Module):");
    let body: String = source
        .lines()
        .skip_while(|line| *line != head)
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    let start = format!("\n  def {name}(");
    let (_, rest) = body
        .split_once(&start)
        .ok_or_else(|| format!("class {class} has no {name}"))?;
    let (signature, rest) = rest
        .split_once(":\n")
        .ok_or_else(|| format!("{name} of class {class} has no body"))?;
    let mut parameters = signature
        .split(',')
        .filter_map(|parameter| parameter.split_once(':'))
        .map(|(name, _)| name.trim().to_owned());
    let text: String = rest
        .lines()
        .take_while(|line| line.starts_with("    "))
        .map(|line| format!("{line}\n"))
        .collect();
    match (parameters.next(), parameters.next()) {
        (Some(myself), Some(input)) => Ok(Function {
            myself,
            input,
            text,
        }),
        _ => Err(format!("{name} of class {class} takes no window")),
    }
}

impl Function {
    /// Its statements up to the first `return`.
    pub fn statements(&self) -> Result<Vec<Statement>, String> {
        let mut statements = Vec::new();
        for line in self.text.lines() {
            let line = line.strip_prefix("    ").unwrap_or(line);
            let statement = statement(line).ok_or_else(|| format!("`{line}` is not followed"))?;
            let ends = statement.targets.is_empty();
            statements.push(statement);
            if ends {
                break;
            }
        }
        Ok(statements)
    }
}

fn statement(line: &str) -> Option<Statement> {
    let (targets, value) = match line.strip_prefix("return ") {
        Some(value) => ("", value),
        None => line.split_once(" = ")?,
    };
    let names: Vec<String> = targets
        .split(',')
        .map(|target| target.trim().to_owned())
        .filter(|target| !target.is_empty())
        .collect();
    if names.iter().any(|name| !name.chars().all(is_word)) {
        return None;
    }
    let mut parser = Parser { rest: value };
    let value = parser.expression(0)?;
    parser.rest.is_empty().then(|| Statement {
        targets: names,
        unpacks: targets.contains(','),
        value,
    })
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Option<String> {
        let end = self
            .rest
            .find(|character| !is_word(character))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn expression(&mut self, depth: usize) -> Option<Expression> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut expression = self.primary(depth)?;
        loop {
            if self.eat(".") {
                let name = self.word()?;
                expression = Expression::Member(Box::new(expression), name);
            } else if self.eat("(") {
                let arguments = self.arguments(")", depth)?;
                expression = Expression::Call(Box::new(expression), arguments);
            } else if self.eat("[") {
                let index = self.word()?.parse().ok()?;
                expression = Expression::Index(Box::new(expression), index);
                self.eat("]").then_some(())?;
            } else {
                return Some(expression);
            }
        }
    }

    fn primary(&mut self, depth: usize) -> Option<Expression> {
        if self.eat("(") {
            let mut comma = false;
            let mut parts = Vec::new();
            while !self.eat(")") {
                parts.push(self.expression(depth + 1)?);
                comma = self.eat(",");
                if !comma {
                    self.eat(")").then_some(())?;
                    break;
                }
            }
            // `(x)` is x itself.
            return match <[Expression; 1]>::try_from(parts) {
                Ok([single]) if !comma => Some(single),
                Ok([single]) => Some(Expression::Several(vec![single])),
                Err(parts) => Some(Expression::Several(parts)),
            };
        }
        if self.eat("[") {
            return self.arguments("]", depth).map(Expression::Several);
        }
        if self.eat("\"") {
            let (text, rest) = self.rest.split_once('"')?;
            self.rest = rest.trim_start();
            return Some(Expression::Word(format!("\"{text}\"")));
        }
        let negative = self.eat("-");
        let word = self.word()?;
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            if self.eat(".") {
                let fraction = self.word().unwrap_or_default();
                let sign = if negative { "-" } else { "" };
                return Some(Expression::Word(format!("{sign}{word}.{fraction}")));
            }
            let integer: i64 = word.parse().ok()?;
            return Some(Expression::Integer(if negative {
                -integer
            } else {
                integer
            }));
        }
        (!negative).then_some(Expression::Word(word))
    }

    fn arguments(&mut self, end: &str, depth: usize) -> Option<Vec<Expression>> {
        let mut arguments = Vec::new();
        while !self.eat(end) {
            let argument = self.expression(depth + 1)?;
            if self.eat("=") {
                let known =
                    matches!(&argument, Expression::Word(name) if NAMED.contains(&name.as_str()));
                known.then_some(())?;
                self.expression(depth + 1)?;
            } else {
                arguments.push(argument);
            }
            if !self.eat(",") {
                self.eat(end).then_some(())?;
                break;
            }
        }
        Some(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_statement_is_taken_apart() {
        let parsed = statement("_0, h, = (encoder).forward(window, )").unwrap();
        assert_eq!(parsed.targets, ["_0", "h"]);
        assert!(parsed.unpacks);
        let Expression::Call(function, arguments) = parsed.value else {
            panic!();
        };
        assert_eq!(function.path().as_deref(), Some("encoder.forward"));
        assert_eq!(arguments, [Expression::Word("window".to_owned())]);

        let parsed = statement("x = torch.zeros([2, -1], dtype=6, device=torch.device(\"cpu\"))");
        let Some(Expression::Call(_, arguments)) = parsed.map(|statement| statement.value) else {
            panic!();
        };
        let sizes = vec![Expression::Integer(2), Expression::Integer(-1)];
        assert_eq!(arguments, [Expression::Several(sizes)]);

        let parsed = statement("return (a)[1]").unwrap();
        assert!(parsed.targets.is_empty());
        assert!(matches!(parsed.value, Expression::Index(_, 1)));
        assert_eq!(statement("if torch.ne(a, b):"), None);
        assert_eq!(statement("x = a + b"), None);
    }

    #[test]
    fn deep_brackets_are_given_up() {
        let line = format!("x = {}a{}", "(".repeat(10_000), ")".repeat(10_000));
        assert_eq!(statement(&line), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[a-z0-9=., ()\\[\\]\"-]{0,60}") {
            let _ = statement(&line);
        }
    }
}
