//! What editors of all systems make of a text file: byte order marks, UTF-16, CRLF. Imports nothing.

const SAVE_AS: &str =
    "save it in the encoding UTF-8 (in Notepad: Save as, and choose the encoding below the name)";

/// The text of a file, with LF at the ends of its lines and no byte order mark.
///
/// # Errors
/// The line, where one can be named, and what is wrong.
pub fn text(bytes: &[u8]) -> Result<String, (Option<usize>, String)> {
    if bytes.is_empty() {
        return Err((None, "is empty".into()));
    }
    if bytes.iter().all(|byte| *byte == 0) {
        let why = "holds nothing but zeros: the card was taken out before it was written; copy the \
                   file again and eject the card";
        return Err((None, why.into()));
    }
    let text = match utf16(bytes) {
        Some(text) => text.ok_or_else(|| {
            let why = format!("begins as UTF-16 and does not go on so; {SAVE_AS}");
            (None, why)
        })?,
        None => utf8(bytes)?,
    };
    // Old Macs end lines by CR alone.
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn utf8(bytes: &[u8]) -> Result<String, (Option<usize>, String)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            Err((Some(line), format!("is not UTF-8; {SAVE_AS}")))
        }
    }
}

/// UTF-16 by its mark, or by a zero in the first or second byte, where TOML has none. Inside: `None`
/// when it is damaged.
fn utf16(bytes: &[u8]) -> Option<Option<String>> {
    let (big, body) = match bytes {
        [0xff, 0xfe, body @ ..] => (false, body),
        [0xfe, 0xff, body @ ..] => (true, body),
        [_, 0, ..] => (false, bytes),
        [0, ..] => (true, bytes),
        _ => return None,
    };
    let (pairs, odd) = body.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| match big {
        true => u16::from_be_bytes(*pair),
        false => u16::from_le_bytes(*pair),
    };
    let text = char::decode_utf16(pairs.iter().map(unit)).collect::<Result<String, _>>();
    Some(text.ok().filter(|_| odd.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_utf16(text: &str, big: bool) -> Vec<u8> {
        let bytes = |unit: u16| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_editor_s_file_is_the_same_text() {
        let text_wanted = "name = \"Süd\"\n\nx = 1";
        let windows = "name = \"Süd\"\r\n\r\nx = 1";
        let marked = format!("\u{feff}{windows}");
        for bytes in [
            text_wanted.as_bytes().to_vec(),
            windows.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            in_utf16(&marked, false),
            in_utf16(&marked, true),
            in_utf16(windows, false),
            in_utf16(windows, true),
            text_wanted.replace('\n', "\r").into_bytes(),
        ] {
            assert_eq!(text(&bytes).as_deref(), Ok(text_wanted), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_told_apart() {
        assert_eq!(text(b"").unwrap_err().1, "is empty");
        assert!(text(&[0; 700]).unwrap_err().1.contains("nothing but zeros"));
        let (line, why) = text(b"a = 1\nb = 'S\xfcd'\n").unwrap_err();
        assert_eq!(line, Some(2));
        assert!(why.starts_with("is not UTF-8; save it"), "{why}");
        let mut half = in_utf16("\u{feff}a = 1", false);
        half.pop();
        assert!(text(&half).unwrap_err().1.contains("UTF-16"));
        assert!(
            text(&[0xff, 0xfe, 0x00, 0xd8])
                .unwrap_err()
                .1
                .contains("UTF-16")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_text_or_a_reason(bytes: Vec<u8>) {
            match text(&bytes) {
                Ok(text) => prop_assert!(!text.contains('\r')),
                Err((_, why)) => prop_assert!(!why.is_empty()),
            }
        }
    }
}
