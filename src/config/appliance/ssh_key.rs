//! What a public key for SSH looks like. Imports `rules` only.

use crate::config::rules::Rule;

/// One line of a `.pub` file.
pub const SSH_KEY: Rule = Rule {
    what: "a public SSH key",
    check,
};

/// The kinds that OpenSSH takes today.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn check(text: &str) -> Result<(), String> {
    if text.contains("PRIVATE KEY") {
        return Err(
            "is a private key, which must stay where it was made; write the line of the file that \
             ends in .pub"
                .into(),
        );
    }
    if text.chars().any(char::is_control) {
        return Err("is more than one line; write each key as a text of its own".into());
    }
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let kind = words.next().unwrap_or_default();
    if kind == "ssh-dss" {
        return Err("is a DSA key, which OpenSSH takes no more; make one of ed25519".into());
    }
    if !KINDS.contains(&kind) {
        return Err(
            "is not a public key; write the line of the file that ends in .pub, such as \
             \"ssh-ed25519 AAAA… me@laptop\""
                .into(),
        );
    }
    let body = words.next().unwrap_or_default();
    let damaged = || "is damaged; copy the whole line of the file that ends in .pub".to_owned();
    let bytes = base64(body).ok_or_else(damaged)?;
    let fields = fields(&bytes).ok_or_else(damaged)?;
    // The kind, and at least one number.
    if fields.len() < 2 || fields[0] != kind.as_bytes() {
        return Err(damaged());
    }
    if kind == "ssh-ed25519" && fields[1].len() != 32 {
        return Err(damaged());
    }
    Ok(())
}

/// The fields of a key: each its length in four bytes, and itself.
fn fields(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        fields.push(field);
        bytes = rest;
    }
    Some(fields)
}

/// What is written in base64 (RFC 4648, with its padding), or `None`.
fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - body.len() > 2 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for c in body.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes 0 to 31 as a key: nobody has its other half.
    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for text in ["Zg", "Zg=", "Z===", "Zm9v!", "Zm 9"] {
            assert_eq!(base64(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_of_a_pub_file_is_taken() {
        assert_eq!(check(ED25519), Ok(()));
        assert_eq!(check(&format!("{ED25519} me@laptop, 2026")), Ok(()));
    }

    #[test]
    fn what_is_none_is_told_apart() {
        let why = |text: &str| check(text).unwrap_err();
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n";
        assert!(why(private).contains("private key"));
        assert!(why(&format!("{ED25519}\n{ED25519}")).contains("more than one line"));
        assert!(why("ssh-dss AAAA").contains("DSA"));
        assert!(why("id_ed25519.pub").contains("is not a public key"));
        assert!(why(&format!("command=\"x\" {ED25519}")).contains("is not a public key"));
        for damaged in [
            "ssh-ed25519",
            &ED25519[..60],
            &ED25519[..68],
            &ED25519.replacen("ssh-ed25519", "ssh-rsa", 1),
        ] {
            assert!(why(damaged).contains("is damaged"), "{damaged}");
        }
    }
}
