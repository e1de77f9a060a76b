//! The stack machine that runs a pickle's opcodes.

use std::collections::HashMap;

use super::{Id, PickleError, Value};

pub(super) struct Machine<'a> {
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
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Machine {
            bytes,
            offset: 0,
            start: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// Runs one opcode; the root at STOP.
    pub(super) fn step(&mut self) -> Result<Option<Id>, PickleError> {
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
