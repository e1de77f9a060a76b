//! Takes one table out of a text of TOML, line for line. Imports nothing.
//!
//! The file on a card holds what the service reads and, in one table, what only the appliance does.
//! Both halves keep the number of every line, so that a mistake is named where the user wrote it.

/// A text in two halves: a line stands in one of them and is empty in the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The lines of the table.
    pub table: String,
    pub rest: String,
}

/// Splits off the top-level table `name`, however it is written: under a header, with dotted keys,
/// inline. Takes any text: what is not TOML falls to one half or the other, and is reported there.
pub fn split(text: &str, name: &str) -> Split {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut of_table = vec![false; lines.len()];
    // Under a header of the table, and under any header at all.
    let (mut inside, mut below_header) = (false, false);
    // Where the lines begin that stand between the last key of the table and what comes next.
    let mut since: Option<usize> = None;
    let mut hopeless = false;
    let (mut at, mut line) = (0, 0);
    while at < text.len() {
        let statement = Statement::read(&text[at..], &mut hopeless);
        let covered = &text[at..at + statement.bytes];
        let end = line + covered.split_inclusive('\n').count();
        if statement.kind != Kind::Nothing {
            let mine = statement.first.as_deref() == Some(name);
            if statement.kind == Kind::Header {
                (inside, below_header) = (mine, true);
                since = None;
            }
            if inside || (mine && !below_header) {
                of_table[since.filter(|_| inside).unwrap_or(line)..end].fill(true);
                since = Some(end);
            }
        }
        (at, line) = (at + statement.bytes, end);
    }
    let half = |wanted: bool| {
        let pick = |(line, mine): (&&str, &bool)| match (*mine == wanted, line.ends_with('\n')) {
            (true, _) => (*line).to_owned(),
            (false, true) => "\n".to_owned(),
            (false, false) => String::new(),
        };
        lines.iter().zip(&of_table).map(pick).collect()
    };
    Split {
        table: half(true),
        rest: half(false),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An empty line or a comment.
    Nothing,
    Header,
    Key,
}

struct Statement {
    kind: Kind,
    /// The first part of the header's or the key's name.
    first: Option<String>,
    /// Its length, the end of its last line included.
    bytes: usize,
}

impl Statement {
    /// The statement that `text` begins with. After one that does not end, `hopeless` is set, and every
    /// statement is taken to be one line: searching for ends on and on would take for ever.
    fn read(text: &str, hopeless: &mut bool) -> Statement {
        let start = text.len() - text.trim_start_matches([' ', '\t', '\u{feff}']).len();
        let rest = &text[start..];
        let (kind, name) = match rest.as_bytes().first() {
            None | Some(b'#' | b'\r' | b'\n') => (Kind::Nothing, ""),
            Some(b'[') => (Kind::Header, rest.trim_start_matches('[')),
            Some(_) => (Kind::Key, rest),
        };
        let line = line_end(text.as_bytes(), 0);
        let bytes = match kind {
            Kind::Key if !*hopeless => match value_end(rest.as_bytes()) {
                Some(end) => start + end,
                None => {
                    *hopeless = true;
                    line
                }
            },
            _ => line,
        };
        Statement {
            kind,
            first: first_part(name),
            bytes,
        }
    }
}

/// The first part of a dotted key: bare, or in quotes.
fn first_part(text: &str) -> Option<String> {
    let text = text.trim_start_matches([' ', '\t']);
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    let part = match quote {
        Some(quote) => text[1..].split(quote).next()?,
        None => {
            let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            &text[..text.find(|c| !bare(c)).unwrap_or(text.len())]
        }
    };
    (!part.is_empty()).then(|| part.to_owned())
}

/// Behind the end of the line that `from` is in.
fn line_end(bytes: &[u8], from: usize) -> usize {
    let end = bytes[from..].iter().position(|byte| *byte == b'\n');
    end.map_or(bytes.len(), |end| from + end + 1)
}

/// Behind the last line of `key = value`; `None` when a bracket or a quote is open to the end. So one
/// forgotten quote does not hide the tables after it.
fn value_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' if depth == 0 => return Some(at + 1),
            b'#' => {
                let comment = bytes[at..].iter().position(|byte| *byte == b'\n');
                at = comment.map_or(bytes.len(), |length| at + length);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' | b'\'' => {
                at = string_end(bytes, at)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    (depth == 0).then_some(bytes.len())
}

/// Behind the string that starts at `start`; `None` when it does not end.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let many = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if many { 3 } else { 1 };
    loop {
        match bytes.get(at)? {
            b'\\' if quote == b'"' => at += 1,
            b'\n' if !many => return None,
            byte if *byte == quote && !many => return Some(at + 1),
            byte if *byte == quote && bytes[at..].starts_with(&[quote; 3]) => {
                at += 3;
                // Up to two quotes may stand before the three that end it.
                let more = bytes[at..].iter().take(2);
                return Some(at + more.take_while(|byte| **byte == quote).count());
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use toml::de::DeTable;

    fn halves(text: &str) -> (Vec<usize>, Vec<usize>) {
        let Split { table, rest } = split(text, "appliance");
        let filled = |text: &str| {
            let lines = text.lines().enumerate();
            let filled = lines.filter(|(_, line)| !line.trim().is_empty());
            filled.map(|(index, _)| index + 1).collect()
        };
        (filled(&table), filled(&rest))
    }

    #[test]
    fn a_table_goes_with_its_comments_and_leaves_those_of_the_next() {
        let text = "name = 'p'\n\n[appliance]\n# the name\nhostname = 'a'\n\n# plant\n[alarm]\n";
        assert_eq!(halves(text), (vec![3, 4, 5], vec![1, 7, 8]));
    }

    #[test]
    fn it_is_found_however_it_is_written() {
        for text in [
            "[appliance]\nhostname = 'a'",
            "  [ appliance ] # c\n  hostname = 'a'",
            "[\"appliance\"]\nhostname = 'a'",
            "appliance.hostname = 'a'\n'appliance'.dns = [\n'1.1.1.1', # ]\n]",
            "appliance = { hostname = 'a' }",
            "[appliance]\nssh_keys = [\n  \"a\", # [x\n\n  'b',\n]\n",
            "[appliance]\nhostname = \"\"\"\n[alarm]\n\"\"\"\n",
        ] {
            assert_eq!(halves(text).1, [0; 0], "{text}");
        }
        // Others of a like name are not it, nor is one below another table.
        for text in [
            "[appliances]\na = 1",
            "[source.appliance]\na = 1",
            "[alarm]\nappliance.a = 1",
            "# [appliance]\na = 1",
            "name = \"\"\"\n[appliance]\nx = 1\"\"\"\"\"\n",
        ] {
            assert_eq!(halves(text).0, [0; 0], "{text}");
        }
    }

    #[test]
    fn a_forgotten_quote_or_bracket_hides_no_table_after_it() {
        for wrong in ["a = 'x", "a = [1,", "a = \"\"\"x", "a = '''"] {
            let text = format!("[appliance]\n{wrong}\n[alarm]\nb = 1\n");
            assert_eq!(halves(&text), (vec![1, 2], vec![3, 4]), "{wrong}");
        }
    }

    #[test]
    fn a_large_file_of_open_brackets_takes_no_time() {
        let text = "a = [\n".repeat(200_000);
        let started = std::time::Instant::now();
        assert_eq!(split(&text, "appliance").rest, text);
        assert!(started.elapsed().as_secs() < 10);
    }

    /// Pieces that make TOML files, right and wrong ones.
    fn piece() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "[appliance]\n",
            "[appliance.x]\n",
            "[[alarm]]\n",
            "[frame]\n",
            "a = 1\n",
            "b = [\n1,\n# ]\n2]\n",
            "c = \"\"\"\n[appliance]\nx\"\"\"\"\n",
            "d = '''\n[frame]'''\r\n",
            "e = { f = [1,\n2] }\n",
            "appliance.g = \"\\\"#\"\n",
            "# appliance\n",
            "\n",
            "h = \"",
            "i = [",
            "]",
            "'",
            "\u{feff}",
        ])
        .prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn any_text_is_split_line_by_line(text in any::<String>()) {
            prop_assert_eq!(faulty(&text), None);
        }

        #[test]
        fn any_pieces_are_split_line_by_line(pieces in prop::collection::vec(piece(), 0..12)) {
            let text = pieces.concat();
            prop_assert_eq!(faulty(&text), None);
        }

        #[test]
        fn what_is_toml_is_split_as_toml_has_it(pieces in prop::collection::vec(piece(), 0..12)) {
            let text = pieces.concat();
            let Ok(whole) = DeTable::parse(&text) else { return Ok(()); };
            let Split { table, rest } = split(&text, "appliance");
            let (table, rest) = (DeTable::parse(&table), DeTable::parse(&rest));
            let (Ok(table), Ok(rest)) = (table, rest) else {
                return Err(TestCaseError::fail(format!("{text:?}")));
            };
            for (key, value) in whole.get_ref() {
                let name: &str = key.get_ref();
                let (at, not) = if name == "appliance" { (&table, &rest) } else { (&rest, &table) };
                let found = at.get_ref().get(name);
                prop_assert!(found.is_some_and(|found| same(found.get_ref(), value.get_ref())),
                    "{} of {:?}", name, text);
                prop_assert!(not.get_ref().get(name).is_none(), "{} of {:?}", name, text);
            }
        }
    }

    /// The same values, wherever they stand.
    fn same(a: &toml::de::DeValue<'_>, b: &toml::de::DeValue<'_>) -> bool {
        use toml::de::DeValue::{Array, Table};
        match (a, b) {
            (Table(a), Table(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(key, a)| {
                        let b = b.get(key.get_ref().as_ref());
                        b.is_some_and(|b| same(a.get_ref(), b.get_ref()))
                    })
            }
            (Array(a), Array(b)) => {
                let mut pairs = a.iter().zip(b.iter());
                a.len() == b.len() && pairs.all(|(a, b)| same(a.get_ref(), b.get_ref()))
            }
            (a, b) => format!("{a:?}") == format!("{b:?}"),
        }
    }

    /// What is not as it must be with any text.
    fn faulty(text: &str) -> Option<String> {
        let Split { table, rest } = split(text, "appliance");
        let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
        let (whole, table, rest) = (lines(text), lines(&table), lines(&rest));
        if table.len() != whole.len() || rest.len() != whole.len() {
            return Some(format!(
                "{} and {} of {}",
                table.len(),
                rest.len(),
                whole.len()
            ));
        }
        let wrong = (0..whole.len()).find(|line| {
            let (a, b) = (&table[*line], &rest[*line]);
            !(a == &whole[*line] && b.is_empty() || b == &whole[*line] && a.is_empty())
        });
        wrong.map(|line| format!("line {}", line + 1))
    }
}
