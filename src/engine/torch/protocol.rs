//! What the torch worker and its client say to each other over the worker's stdin and stdout.
//!
//! A message is its length (u32, of what follows), its kind (u8) and its body; all numbers are
//! little-endian. The worker begins with [`Message::Hello`] when the model is loaded, or with
//! [`Message::Failed`] for request 0 when it cannot be; after that it answers each
//! [`Message::Run`] with one [`Message::Output`] or [`Message::Failed`] of the same request.
//!
//! A reader says how long a message it expects at most, so that a broken peer cannot make it
//! allocate. Imports nothing.

/// Raised when a message changes.
pub const VERSION: u32 = 1;

/// Bytes of text a message carries at most; longer texts are cut.
pub const TEXT_LIMIT: usize = 2000;

/// Values of one Run at most: 16 MiB of f32.
pub const VALUES_LIMIT: usize = 4 << 20;

/// The longest message that is none of Run and Output, in bytes without the length itself.
pub const SHORT_MESSAGE: usize = 1 + 64 + TEXT_LIMIT;

/// Shape of the windows of a request: `[B,T,F]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// B
    pub batch: u32,
    /// T
    pub window: u32,
    /// F
    pub sensors: u32,
}

impl Shape {
    /// B·T·F, if it is within [`VALUES_LIMIT`] and not 0.
    pub fn values(self) -> Option<usize> {
        let values = u64::from(self.batch)
            .checked_mul(u64::from(self.window))?
            .checked_mul(u64::from(self.sensors))?;
        usize::try_from(values)
            .ok()
            .filter(|values| (1..=VALUES_LIMIT).contains(values))
    }

    /// B·F
    pub fn frames(self) -> usize {
        self.batch as usize * self.sensors as usize
    }

    /// Bytes of the Output for windows of this shape, without the length itself.
    pub fn output_length(self) -> usize {
        OUTPUT_HEAD + 4 * (self.values().unwrap_or(0) + self.frames())
    }
}

/// Kind, request, shape, flag.
const OUTPUT_HEAD: usize = 1 + 8 + 12 + 1;

/// Kind, request, shape.
const RUN_HEAD: usize = 1 + 8 + 12;

/// Bytes of the longest Run, without the length itself.
pub const LONGEST_RUN: usize = RUN_HEAD + 4 * VALUES_LIMIT;

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Worker: the model is loaded and warm.
    Hello {
        /// [`VERSION`]
        version: u32,
        /// SHA-256 of the bytes of the model file that was loaded.
        digest: [u8; 32],
        /// As it names itself: `2.6.0`.
        libtorch: String,
    },
    /// Client: run these windows.
    Run {
        request: u64,
        shape: Shape,
        /// `[B,T,F]`, standardised
        windows: Vec<f32>,
    },
    /// Worker: what the module made of them.
    Output {
        request: u64,
        shape: Shape,
        /// `[B,T,F]`
        reconstruction: Vec<f32>,
        /// `[B,F]`; absent when the module returns a reconstruction only.
        neighbour: Option<Vec<f32>>,
    },
    /// Worker: the request cannot be answered; it is ready for another (unless `request` is 0).
    Failed { request: u64, message: String },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    #[error("a message of {length} bytes where at most {limit} were expected")]
    TooLong { length: usize, limit: usize },
    #[error("a message of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a message that ends early or goes on too long")]
    WrongLength,
    #[error("windows of an impossible shape [{0},{1},{2}]")]
    WrongShape(u32, u32, u32),
    #[error("a text that is not UTF-8")]
    NotText,
}

impl Message {
    /// Appends the message, its length first, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Message::Hello {
                version,
                digest,
                libtorch,
            } => framed(out, 1, |out| {
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(digest);
                out.extend_from_slice(cut(libtorch).as_bytes());
            }),
            Message::Run {
                request,
                shape,
                windows,
            } => encode_run(*request, *shape, windows, out),
            Message::Output {
                request,
                shape,
                reconstruction,
                neighbour,
            } => framed(out, 3, |out| {
                encode_head(*request, *shape, out);
                out.push(u8::from(neighbour.is_some()));
                encode_values(reconstruction, out);
                encode_values(neighbour.as_deref().unwrap_or(&[]), out);
            }),
            Message::Failed { request, message } => framed(out, 4, |out| {
                out.extend_from_slice(&request.to_le_bytes());
                out.extend_from_slice(cut(message).as_bytes());
            }),
        }
    }

    /// Reads a message from `bytes`, which is all that followed its length.
    ///
    /// # Errors
    /// The bytes are no message, or one that contradicts itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let mut rest = Rest(bytes);
        let [kind] = rest.array()?;
        match kind {
            1 => Ok(Message::Hello {
                version: u32::from_le_bytes(rest.array()?),
                digest: rest.array()?,
                libtorch: rest.text()?,
            }),
            2 => {
                let (request, shape, values) = rest.head()?;
                let windows = rest.values(values)?;
                rest.end()?;
                Ok(Message::Run {
                    request,
                    shape,
                    windows,
                })
            }
            3 => {
                let (request, shape, values) = rest.head()?;
                let [flag] = rest.array()?;
                let reconstruction = rest.values(values)?;
                let neighbour = match flag {
                    0 => None,
                    1 => Some(rest.values(shape.frames())?),
                    _ => return Err(ProtocolError::WrongLength),
                };
                rest.end()?;
                Ok(Message::Output {
                    request,
                    shape,
                    reconstruction,
                    neighbour,
                })
            }
            4 => Ok(Message::Failed {
                request: u64::from_le_bytes(rest.array()?),
                message: rest.text()?,
            }),
            kind => Err(ProtocolError::UnknownKind(kind)),
        }
    }
}

/// Appends a Run without the copy that a [`Message::Run`] would need.
pub fn encode_run(request: u64, shape: Shape, windows: &[f32], out: &mut Vec<u8>) {
    framed(out, 2, |out| {
        encode_head(request, shape, out);
        encode_values(windows, out);
    });
}

/// The length of a message from the four bytes before it.
///
/// # Errors
/// [`ProtocolError::TooLong`] when it exceeds `limit`.
pub fn decode_length(bytes: [u8; 4], limit: usize) -> Result<usize, ProtocolError> {
    let length = u32::from_le_bytes(bytes) as usize;
    if length > limit {
        return Err(ProtocolError::TooLong { length, limit });
    }
    Ok(length)
}

fn framed(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    body(out);
    // Cannot truncate: values and texts are bounded far below 4 GiB.
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn encode_head(request: u64, shape: Shape, out: &mut Vec<u8>) {
    out.extend_from_slice(&request.to_le_bytes());
    for length in [shape.batch, shape.window, shape.sensors] {
        out.extend_from_slice(&length.to_le_bytes());
    }
}

fn encode_values(values: &[f32], out: &mut Vec<u8>) {
    out.reserve(4 * values.len());
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LIMIT)]
}

/// What is left to decode.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(ProtocolError::WrongLength)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .ok_or(ProtocolError::WrongLength)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Request, shape, and the number of values in windows of that shape.
    fn head(&mut self) -> Result<(u64, Shape, usize), ProtocolError> {
        let request = u64::from_le_bytes(self.array()?);
        let mut length = || self.array().map(u32::from_le_bytes);
        let shape = Shape {
            batch: length()?,
            window: length()?,
            sensors: length()?,
        };
        let values = shape.values().ok_or(ProtocolError::WrongShape(
            shape.batch,
            shape.window,
            shape.sensors,
        ))?;
        Ok((request, shape, values))
    }

    fn values(&mut self, count: usize) -> Result<Vec<f32>, ProtocolError> {
        let (values, _) = self.take(4 * count)?.as_chunks();
        Ok(values
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect())
    }

    fn text(&mut self) -> Result<String, ProtocolError> {
        let bytes = self.take(self.0.len())?;
        if bytes.len() > TEXT_LIMIT {
            return Err(ProtocolError::WrongLength);
        }
        String::from_utf8(bytes.to_vec()).map_err(|_| ProtocolError::NotText)
    }

    fn end(&self) -> Result<(), ProtocolError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ProtocolError::WrongLength)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        let values = |count: u32| prop::collection::vec(-1e6f32..1e6, count as usize);
        let head = (any::<u64>(), 1u32..4, 1u32..5, 1u32..6);
        prop_oneof![
            (any::<u32>(), any::<[u8; 32]>(), ".{0,40}").prop_map(|(version, digest, libtorch)| {
                Message::Hello {
                    version,
                    digest,
                    libtorch,
                }
            }),
            head.clone()
                .prop_flat_map(move |(request, batch, window, sensors)| {
                    let shape = Shape {
                        batch,
                        window,
                        sensors,
                    };
                    values(batch * window * sensors).prop_map(move |windows| Message::Run {
                        request,
                        shape,
                        windows,
                    })
                }),
            head.prop_flat_map(move |(request, batch, window, sensors)| {
                let shape = Shape {
                    batch,
                    window,
                    sensors,
                };
                let neighbour = prop::option::of(values(batch * sensors));
                (values(batch * window * sensors), neighbour).prop_map(
                    move |(reconstruction, neighbour)| Message::Output {
                        request,
                        shape,
                        reconstruction,
                        neighbour,
                    },
                )
            }),
            (any::<u64>(), ".{0,40}")
                .prop_map(|(request, message)| Message::Failed { request, message }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(message in message()) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            let length = decode_length(bytes[..4].try_into().unwrap(), 10_000).unwrap();
            prop_assert_eq!(length, bytes.len() - 4);
            prop_assert_eq!(Message::decode(&bytes[4..]).unwrap(), message);
        }

        #[test]
        fn a_message_cut_short_or_followed_by_more_is_refused(message in message(), cut in 0.0f64..1.0) {
            prop_assume!(matches!(message, Message::Run { .. } | Message::Output { .. }));
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            let body = &bytes[4..];
            let kept = (cut * body.len() as f64) as usize;
            prop_assert!(Message::decode(&body[..kept]).is_err());
            bytes.push(0);
            prop_assert!(Message::decode(&bytes[4..]).is_err());
        }

        #[test]
        fn garbage_is_an_error_or_a_message_but_never_a_panic(
            kind in 0u8..6,
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = vec![kind];
            bytes.extend(body);
            if let Ok(message) = Message::decode(&bytes) {
                let mut again = Vec::new();
                message.encode(&mut again);
                prop_assert_eq!(&again[4..], &bytes[..]);
            }
        }
    }

    #[test]
    fn lengths_and_shapes_are_bounded() {
        assert_eq!(
            decode_length(u32::MAX.to_le_bytes(), 100),
            Err(ProtocolError::TooLong {
                length: u32::MAX as usize,
                limit: 100
            })
        );
        let shape = |batch, window, sensors| Shape {
            batch,
            window,
            sensors,
        };
        assert_eq!(shape(2, 10, 51).values(), Some(1020));
        assert_eq!(shape(u32::MAX, u32::MAX, u32::MAX).values(), None);
        assert_eq!(shape(0, 10, 51).values(), None);
        let mut run = Vec::new();
        encode_run(1, shape(u32::MAX, 1, 1), &[0.0], &mut run);
        assert_eq!(
            Message::decode(&run[4..]),
            Err(ProtocolError::WrongShape(u32::MAX, 1, 1))
        );
    }

    #[test]
    fn the_stated_lengths_are_those_of_the_messages() {
        let shape = Shape {
            batch: 2,
            window: 3,
            sensors: 4,
        };
        let mut bytes = Vec::new();
        Message::Output {
            request: 1,
            shape,
            reconstruction: vec![0.0; 24],
            neighbour: Some(vec![0.0; 8]),
        }
        .encode(&mut bytes);
        assert_eq!(bytes.len() - 4, shape.output_length());
        bytes.clear();
        Message::Failed {
            request: 1,
            message: "ä".repeat(5000),
        }
        .encode(&mut bytes);
        assert!(bytes.len() - 4 <= SHORT_MESSAGE);
        let decoded = Message::decode(&bytes[4..]).unwrap();
        assert!(matches!(decoded, Message::Failed { message, .. } if message.len() == TEXT_LIMIT));
    }
}
