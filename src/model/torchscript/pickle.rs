//! A reader of the pickles in TorchScript archives: the subset of protocol 2 that PyTorch's C++
//! pickler writes. It only builds a tree of values; nothing in the file can run.
//! Imports nothing of the crate.

use std::collections::HashMap;

/// Index of a value in its [`Tree`].
pub type Id = usize;

/// What a pickle holds. Values refer to each other by [`Id`], so a file that names one value a
/// thousand times costs a thousand numbers, not a thousand copies.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// A class or function: module and name.
    Global(String, String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// An object of a class, with its state once BUILD has set it.
    Object {
        class: Id,
        state: Option<Id>,
    },
    /// A function applied to a tuple of arguments.
    Call {
        function: Id,
        arguments: Id,
    },
    /// Something outside the pickle, like a storage.
    Persistent(Id),
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct PickleError {
    pub offset: usize,
    pub what: String,
}

/// A parsed pickle.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    values: Vec<Value>,
    root: Id,
}

impl Tree {
    /// Parses a pickle. Time and memory are linear in its length.
    ///
    /// # Errors
    /// Names the first opcode that is not of the subset or makes no sense where it stands, and its
    /// offset.
    pub fn parse(bytes: &[u8]) -> Result<Self, PickleError> {
        let mut machine = Machine {
            bytes,
            offset: 0,
            start: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        loop {
            if let Some(root) = machine.step()? {
                return Ok(Tree {
                    values: machine.values,
                    root,
                });
            }
        }
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn value(&self, id: Id) -> &Value {
        // Ids come from this tree only, and its values are never removed.
        &self.values[id]
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn integer(&self, id: Id) -> Option<i64> {
        match self.value(id) {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub fn global(&self, id: Id) -> Option<(&str, &str)> {
        match self.value(id) {
            Value::Global(module, name) => Some((module, name)),
            _ => None,
        }
    }

    /// Module and name of the class of an object.
    pub fn class(&self, id: Id) -> Option<(&str, &str)> {
        match self.value(id) {
            Value::Object { class, .. } => self.global(*class),
            _ => None,
        }
    }

    /// Name and value of each attribute of an object.
    pub fn attributes(&self, id: Id) -> impl Iterator<Item = (&str, Id)> {
        let pairs = match self.value(id) {
            Value::Object {
                state: Some(state), ..
            } => match self.value(*state) {
                Value::Dict(pairs) => pairs.as_slice(),
                _ => &[],
            },
            _ => &[],
        };
        pairs
            .iter()
            .filter_map(|&(key, value)| self.text(key).map(|name| (name, value)))
    }

    pub fn attribute(&self, id: Id, name: &str) -> Option<Id> {
        self.attributes(id)
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    offset: usize,
    /// Of the current opcode, for messages.
    start: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack where MARK stood.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Runs one opcode; the root at STOP.
    fn step(&mut self) -> Result<Option<Id>, PickleError> {
        self.start = self.offset;
        let [opcode] = self.take()?;
        match opcode {
            // PROTO
            0x80 => {
                let [protocol] = self.take()?;
                if protocol != 2 {
                    return Err(self.error(format!("pickle protocol {protocol} instead of 2")));
                }
            }
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            // BININT1, BININT2, BININT, LONG1
            b'K' => {
                let integer = u8::from_le_bytes(self.take()?);
                self.push(Value::Integer(integer.into()));
            }
            b'M' => {
                let integer = u16::from_le_bytes(self.take()?);
                self.push(Value::Integer(integer.into()));
            }
            b'J' => {
                let integer = i32::from_le_bytes(self.take()?);
                self.push(Value::Integer(integer.into()));
            }
            0x8a => {
                let integer = self.long()?;
                self.push(Value::Integer(integer));
            }
            b'G' => {
                let float = f64::from_be_bytes(self.take()?);
                self.push(Value::Float(float));
            }
            b'X' => {
                let length = u32::from_le_bytes(self.take()?) as usize;
                let raw = self.slice(length)?;
                match std::str::from_utf8(raw) {
                    Ok(text) => self.push(Value::Text(text.to_owned())),
                    Err(_) => return Err(self.error("text that is not UTF-8")),
                }
            }
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Value::Global(module, name));
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            // TUPLE1, TUPLE2, TUPLE3
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Value::Tuple(items));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            // NEWOBJ, REDUCE, BUILD, BINPERSID
            0x81 => {
                self.pop()?;
                let class = self.pop()?;
                self.push(Value::Object { class, state: None });
            }
            b'R' => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.push(Value::Call {
                    function,
                    arguments,
                });
            }
            b'b' => {
                let built = self.pop()?;
                let object = self.top()?;
                match &mut self.values[object] {
                    Value::Object { state, .. } if state.is_none() => *state = Some(built),
                    _ => return Err(self.error("BUILD of something that is no fresh object")),
                }
            }
            b'Q' => {
                let key = self.pop()?;
                self.push(Value::Persistent(key));
            }
            // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
            b'q' => {
                let key = u8::from_le_bytes(self.take()?);
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.take()?);
                self.remember(key)?;
            }
            b'h' => {
                let key = u8::from_le_bytes(self.take()?);
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.take()?);
                self.recall(key)?;
            }
            other => return Err(self.error(format!("unsupported pickle opcode 0x{other:02x}"))),
        }
        Ok(None)
    }

    fn error(&self, what: impl Into<String>) -> PickleError {
        PickleError {
            offset: self.start,
            what: what.into(),
        }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let end = self.offset.checked_add(length);
        let slice = end.and_then(|end| self.bytes.get(self.offset..end));
        match slice {
            Some(slice) => {
                self.offset += length;
                Ok(slice)
            }
            None => Err(self.error("the pickle ends in the midst of a value")),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let slice = self.slice(N)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(slice);
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let rest = &self.bytes[self.offset..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let line = length.and_then(|length| std::str::from_utf8(&rest[..length]).ok());
        match line {
            Some(line) => {
                self.offset += line.len() + 1;
                Ok(line.to_owned())
            }
            None => Err(self.error("a class name without an end")),
        }
    }

    /// A two's complement integer of up to eight bytes.
    fn long(&mut self) -> Result<i64, PickleError> {
        let [length] = self.take()?;
        if length > 8 {
            return Err(self.error("an integer of more than 64 bits"));
        }
        let raw = self.slice(length.into())?;
        let fill = if raw.last().is_some_and(|byte| byte & 0x80 != 0) {
            0xff
        } else {
            0
        };
        let mut bytes = [fill; 8];
        bytes[..raw.len()].copy_from_slice(raw);
        Ok(i64::from_le_bytes(bytes))
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// Values below the newest mark belong to what was begun before it.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        if self.stack.len() > self.floor()
            && let Some(id) = self.stack.pop()
        {
            return Ok(id);
        }
        Err(self.error("a value is taken that is not there"))
    }

    fn top(&self) -> Result<Id, PickleError> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err(self.error("a value is used that is not there")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        match self.marks.pop() {
            Some(height) if height <= self.stack.len() => Ok(self.stack.split_off(height)),
            _ => Err(self.error("a mark is missing")),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), PickleError> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(known) => known.extend(items),
            _ => return Err(self.error("items are appended to what is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.values[dict] {
            Value::Dict(known) if rest.is_empty() => {
                known.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            _ => return Err(self.error("items are set that are no pairs, or in no dictionary")),
        }
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), PickleError> {
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), PickleError> {
        match self.memo.get(&key) {
            Some(&id) => {
                self.stack.push(id);
                Ok(())
            }
            None => Err(self.error(format!("memo {key} is used before it is set"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_object_is_read_with_its_attributes() {
        let bytes = b"\x80\x02c__torch__\nNet\nq\x00)\x81}(X\x01\x00\x00\x00aq\x01K\x07\
            X\x01\x00\x00\x00bM\x00\x01X\x01\x00\x00\x00cJ\xff\xff\xff\xff\
            X\x01\x00\x00\x00d\x8a\x02\x00\x80X\x01\x00\x00\x00eG?\xf0\x00\x00\x00\x00\x00\x00\
            X\x01\x00\x00\x00f](h\x01Neub.";
        let tree = Tree::parse(bytes).unwrap();
        assert_eq!(tree.class(tree.root()), Some(("__torch__", "Net")));
        let integer = |name| tree.integer(tree.attribute(tree.root(), name).unwrap());
        assert_eq!(integer("a"), Some(7));
        assert_eq!(integer("b"), Some(256));
        assert_eq!(integer("c"), Some(-1));
        assert_eq!(integer("d"), Some(-32768));
        let e = tree.attribute(tree.root(), "e").unwrap();
        assert_eq!(tree.value(e), &Value::Float(1.0));
        let f = tree.attribute(tree.root(), "f").unwrap();
        let Value::List(items) = tree.value(f) else {
            panic!("{:?}", tree.value(f));
        };
        assert_eq!(tree.text(items[0]), Some("a"));
        assert_eq!(tree.value(items[1]), &Value::None);
        assert_eq!(tree.attributes(tree.root()).count(), 6);
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_offset() {
        for (bytes, message) in [
            (
                &b"\x80\x02\x95."[..],
                "unsupported pickle opcode 0x95 at byte 2",
            ),
            (b"\x80\x04.", "pickle protocol 4 instead of 2 at byte 0"),
            (
                b"\x80\x02K",
                "the pickle ends in the midst of a value at byte 2",
            ),
            (b"\x80\x02.", "a value is taken that is not there at byte 2"),
            (b"h\x07", "memo 7 is used before it is set at byte 0"),
            (b"t", "a mark is missing at byte 0"),
            (b"N(b", "a value is taken that is not there at byte 2"),
            (
                b"}(Nu",
                "items are set that are no pairs, or in no dictionary at byte 3",
            ),
            (
                b"X\xff\xff\xff\xffa",
                "the pickle ends in the midst of a value at byte 0",
            ),
        ] {
            assert_eq!(Tree::parse(bytes).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Tree::parse(&bytes);
        }

        #[test]
        fn no_opcodes_make_it_panic(
            picks in proptest::collection::vec(0..OPCODES.len(), 0..200)
        ) {
            let bytes: Vec<u8> = picks.into_iter().flat_map(|pick| OPCODES[pick].to_vec()).collect();
            if let Ok(tree) = Tree::parse(&bytes) {
                let _ = (tree.class(tree.root()), tree.attributes(tree.root()).count());
            }
        }
    }

    const OPCODES: [&[u8]; 17] = [
        b"(",
        b"t",
        b")",
        b"}",
        b"]",
        b"u",
        b"e",
        b"b",
        b"\x81",
        b"R",
        b"Q",
        b"q\x01",
        b"h\x01",
        b"N",
        b"X\x01\x00\x00\x00x",
        b"ca\nb\n",
        b".",
    ];
}
