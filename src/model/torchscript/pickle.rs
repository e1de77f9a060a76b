//! A reader of the pickles in TorchScript archives: the subset of protocol 2 that PyTorch's C++
//! pickler writes. It only builds a tree of values; nothing in the file can run.
//! Imports nothing of the crate.

mod machine;

use machine::Machine;

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
        let mut machine = Machine::new(bytes);
        loop {
            if let Some(root) = machine.step()? {
                return Ok(Tree {
                    values: machine.into_values(),
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
