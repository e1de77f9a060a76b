//! Lines out of a byte stream, of bounded length and in bounded memory. Imports nothing from the
//! crate.

/// The longest line that is kept.
pub const LINE_BYTES: usize = 1 << 20;
/// More than this is given back once it is empty.
const KEPT_BYTES: usize = 1 << 17;

/// A line, or the fact that there was one too long to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Without its line feed. It may be empty and need not be UTF-8.
    Whole(&'a [u8]),
    /// Longer than [`LINE_BYTES`]; its bytes are gone.
    TooLong,
}

/// Cuts fed bytes into lines.
#[derive(Debug, Default)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the next line starts.
    start: usize,
    /// Up to here no line feed is in `bytes[start..]`.
    searched: usize,
    /// The line that starts here is known to be too long.
    skipping: bool,
    number: u64,
}

impl LineBuffer {
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        } else {
            self.bytes.drain(..self.start);
        }
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next complete line. Call until `None` after each [`LineBuffer::feed`].
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let fresh = &self.bytes[self.searched..];
        let Some(length) = memchr::memchr(b'\n', fresh) else {
            self.searched = self.bytes.len();
            if self.skipping || self.bytes.len() - self.start > LINE_BYTES {
                self.skipping = true;
                self.start = self.bytes.len();
            }
            return None;
        };
        let end = self.searched + length;
        let line = self.start..end;
        self.start = end + 1;
        self.searched = self.start;
        self.number += 1;
        if std::mem::take(&mut self.skipping) || line.len() > LINE_BYTES {
            return Some(Line::TooLong);
        }
        Some(Line::Whole(&self.bytes[line]))
    }

    /// At the end of the stream: what stands after the last line feed, if anything.
    pub fn last_line(&mut self) -> Option<Line<'_>> {
        let line = self.start..self.bytes.len();
        self.start = line.end;
        self.searched = line.end;
        if std::mem::take(&mut self.skipping) || line.len() > LINE_BYTES {
            self.number += 1;
            return Some(Line::TooLong);
        }
        if line.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Line::Whole(&self.bytes[line]))
    }

    /// The number of the line given last, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(buffer: &mut LineBuffer, chunks: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        let keep = |line: Line| match line {
            Line::Whole(bytes) => Some(bytes.to_vec()),
            Line::TooLong => None,
        };
        for chunk in chunks {
            buffer.feed(chunk);
            while let Some(line) = buffer.next_line() {
                lines.push(keep(line));
            }
        }
        lines.extend(buffer.last_line().map(keep));
        lines
    }

    #[test]
    fn a_line_longer_than_the_limit_is_dropped_and_the_next_is_read() {
        let mut buffer = LineBuffer::default();
        let chunk = vec![b'x'; LINE_BYTES / 2 + 1];
        let got = lines(&mut buffer, &[b"a\n", &chunk, &chunk, &chunk, b"x\nb\nc"]);
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(got, [text("a"), None, text("b"), text("c")]);
        assert_eq!(buffer.number(), 4);
        assert!(buffer.bytes.capacity() < 3 * LINE_BYTES);
    }

    #[test]
    fn a_long_line_in_one_piece_is_dropped_too() {
        let mut bytes = vec![b'x'; LINE_BYTES + 1];
        bytes.extend_from_slice(b"\nb\n");
        let got = lines(&mut LineBuffer::default(), &[&bytes]);
        assert_eq!(got, [None, Some(b"b".to_vec())]);
        let got = lines(&mut LineBuffer::default(), &[&bytes[..LINE_BYTES + 1]]);
        assert_eq!(got, [None]);
        let got = lines(&mut LineBuffer::default(), &[&bytes[1..]]);
        assert_eq!(got[0].as_ref().unwrap().len(), LINE_BYTES);
    }

    #[test]
    fn memory_of_a_long_line_is_given_back() {
        let mut buffer = LineBuffer::default();
        lines(&mut buffer, &[&vec![b'x'; LINE_BYTES - 1], b"\n", b"b\n"]);
        assert!(buffer.bytes.capacity() <= KEPT_BYTES);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_chunks(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            size in 1_usize..50,
        ) {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            let got: Vec<Vec<u8>> =
                lines(&mut LineBuffer::default(), &chunks).into_iter().map(Option::unwrap).collect();
            let mut expected: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            prop_assert_eq!(got, expected);
        }
    }
}
