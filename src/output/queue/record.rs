//! One record of the queue's files, and the search for whole records in what a power cut left.
//! Imports nothing.
//!
//! ```text
//! a7 51  kind u8  length u32  number u64  content  check u32
//! ```
//!
//! All numbers are little-endian. The check is the FNV-1a hash of everything between the mark and
//! itself (Fowler, Noll and Vo, draft-eastlake-fnv).

/// What every record begins with, so that the next one can be found behind a damaged one.
const MARK: [u8; 2] = [0xa7, 0x51];
const HEAD: usize = 2 + 1 + 4 + 8;
const TAIL: usize = 4;
/// More is taken for damage; the writer refuses it.
pub const LONGEST: usize = 256 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something to deliver.
    Message,
    /// All up to its number was delivered.
    Delivered,
    /// What the writer wants to remember; the newest counts.
    Note,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: Kind,
    pub number: u64,
    pub content: &'a [u8],
}

impl Record<'_> {
    pub fn bytes(&self) -> usize {
        HEAD + self.content.len() + TAIL
    }

    /// Adds the record to `to`.
    pub fn write(&self, to: &mut Vec<u8>) {
        let start = to.len();
        let kind = match self.kind {
            Kind::Message => 1,
            Kind::Delivered => 2,
            Kind::Note => 3,
        };
        // `LONGEST` fits.
        let length = self.content.len() as u32;
        to.extend(MARK);
        to.push(kind);
        to.extend(length.to_le_bytes());
        to.extend(self.number.to_le_bytes());
        to.extend(self.content);
        let check = check(&to[start + 2..]);
        to.extend(check.to_le_bytes());
    }
}

/// The record at the start of `bytes`, if there is a whole one.
pub fn read(bytes: &[u8]) -> Option<Record<'_>> {
    let (mark, rest) = bytes.split_first_chunk::<2>()?;
    let (kind, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if *mark != MARK || length > LONGEST {
        return None;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    let (stated, _) = rest.split_first_chunk::<4>()?;
    if check(&bytes[2..HEAD + length]).to_le_bytes() != *stated {
        return None;
    }
    Some(Record {
        kind: match kind {
            1 => Kind::Message,
            2 => Kind::Delivered,
            3 => Kind::Note,
            _ => return None,
        },
        number: u64::from_le_bytes(*number),
        content,
    })
}

/// Every whole record of `bytes` with its place, and how many bytes belong to none.
pub fn read_all(bytes: &[u8]) -> (Vec<(usize, Record<'_>)>, usize) {
    let mut found = Vec::new();
    let (mut at, mut lost) = (0, 0);
    while at < bytes.len() {
        match read(&bytes[at..]) {
            Some(record) => {
                found.push((at, record));
                at += record.bytes();
            }
            None => {
                let next = bytes[at + 1..]
                    .windows(2)
                    .position(|pair| pair == MARK.as_slice())
                    .map_or(bytes.len(), |next| at + 1 + next);
                lost += next - at;
                at = next;
            }
        }
    }
    (found, lost)
}

/// FNV-1a, 32 bits.
fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let record = Record {
                kind: Kind::Message,
                number: number as u64,
                content,
            };
            let before = bytes.len();
            record.write(&mut bytes);
            assert_eq!(bytes.len() - before, record.bytes());
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(contents in prop::collection::vec(any::<Vec<u8>>(), 0..20)) {
            let bytes = written(&contents);
            let (found, lost) = read_all(&bytes);
            prop_assert_eq!(lost, 0);
            prop_assert!(found.iter().map(|(_, r)| r.content).eq(contents.iter().map(Vec::as_slice)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>()) {
            let (found, lost) = read_all(&bytes);
            let whole: usize = found.iter().map(|(_, record)| record.bytes()).sum();
            prop_assert_eq!(whole + lost, bytes.len());
        }

        #[test]
        fn a_flipped_bit_costs_its_record_only(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20),
            flip in any::<prop::sample::Index>(), bit in 0..8,
        ) {
            let mut bytes = written(&contents);
            let place = flip.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
            let (found, _) = read_all(&bytes);
            prop_assert_eq!(found.len(), contents.len() - 1);
        }
    }
}
