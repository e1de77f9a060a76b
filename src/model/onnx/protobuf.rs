//! The little of the Protocol Buffers encoding that an ONNX file needs: numbers, and what is preceded
//! by its length. Imports nothing.
//!
//! A message is its fields one after the other, each a tag (field number and wire type) and a value;
//! a repeated field is the same field again.

/// How a field's value is laid out, the lowest three bits of its tag.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// A message while its fields are added to it.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// `int64`, `int32` or an enum. A negative number takes ten bytes, as the encoding has it.
    pub fn integer(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value as u64);
        self
    }

    /// `string`
    pub fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// `bytes`
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A message within this one.
    pub fn message(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        let encoded = |value| Message::default().integer(1, value).into_bytes();
        assert_eq!(encoded(0), [0x08, 0]);
        assert_eq!(encoded(127), [0x08, 0x7f]);
        assert_eq!(encoded(128), [0x08, 0x80, 0x01]);
        assert_eq!(encoded(300), [0x08, 0xac, 0x02]);
        let negative = encoded(-1);
        assert_eq!(negative.len(), 11);
        assert_eq!(negative[10], 1);
    }

    #[test]
    fn tags_texts_and_messages_within() {
        let inner = Message::default().integer(2, 1);
        let outer = Message::default()
            .text(20, "ab")
            .message(3, &inner)
            .into_bytes();
        // 20 << 3 | 2 = 162 no longer fits one byte.
        assert_eq!(
            outer,
            [0xa2, 0x01, 2, b'a', b'b', 0x1a, 2, 0x10, 1].as_slice()
        );
    }
}
