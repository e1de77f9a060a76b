//! How registers and their types are written in the file: `"holding 100"`, `"40101"`, `"f32"`,
//! `"bit 3"`. Imports `register`.

use crate::register::{RegisterTable, RegisterType};

/// The word for a table in the file.
pub fn word(table: RegisterTable) -> &'static str {
    match table {
        RegisterTable::Coil => "coil",
        RegisterTable::Discrete => "discrete",
        RegisterTable::Input => "input",
        RegisterTable::Holding => "holding",
    }
}

/// What `RegisterTable` words there are, as a message lists them.
const REMEDY: &str = "write \"holding 100\", \"input 100\", \"coil 100\" or \"discrete 100\", counted \
                      from 0, or a number of 5 or 6 digits like \"40101\", counted from 1";

/// `holding 100` counts from 0, as on the wire; `40101` and `400101` are the same register as
/// manuals write it: the table's digit, then a number that counts from 1. No text is both.
///
/// # Errors
/// What is wrong with the text, worded to follow it.
pub fn register(text: &str) -> Result<(RegisterTable, u16), String> {
    let Some((table, address)) = text.split_once(' ') else {
        return reference(text).ok_or_else(|| format!("is not a register; {REMEDY}"));
    };
    let table = [
        RegisterTable::Coil,
        RegisterTable::Discrete,
        RegisterTable::Input,
        RegisterTable::Holding,
    ]
    .into_iter()
    .find(|&one| word(one) == table)
    .ok_or_else(|| format!("is not a register; {REMEDY}"))?;
    let (digits, radix) = match address.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (address, 10),
    };
    let plain = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let number = u16::from_str_radix(digits, radix).ok().filter(|_| plain);
    number
        .map(|number| (table, number))
        .ok_or_else(|| "has no address from 0 to 65535".into())
}

fn reference(text: &str) -> Option<(RegisterTable, u16)> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !(5..=6).contains(&text.len()) {
        return None;
    }
    let (table, number) = text.split_at(1);
    let table = match table {
        "0" => RegisterTable::Coil,
        "1" => RegisterTable::Discrete,
        "3" => RegisterTable::Input,
        "4" => RegisterTable::Holding,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    let address = u16::try_from(number.checked_sub(1)?).ok()?;
    Some((table, address))
}

/// `i16`, `f32`, `bit 3`.
///
/// # Errors
/// What is wrong with the text, worded to follow it.
pub fn register_type(text: &str) -> Result<RegisterType, String> {
    Ok(match text {
        "i16" => RegisterType::I16,
        "u16" => RegisterType::U16,
        "i32" => RegisterType::I32,
        "u32" => RegisterType::U32,
        "f32" => RegisterType::F32,
        "i64" => RegisterType::I64,
        "u64" => RegisterType::U64,
        "f64" => RegisterType::F64,
        _ => {
            let bit = text.strip_prefix("bit ");
            let plain = |bit: &&str| bit.bytes().all(|byte| byte.is_ascii_digit());
            let bit = bit.filter(plain).and_then(|bit| bit.parse().ok());
            let bit = bit.filter(|bit| *bit < 16).ok_or(
                "is not a type; write i16, u16, i32, u32, f32, i64, u64, f64, or a bit from \
                 \"bit 0\" (the lowest) to \"bit 15\"",
            )?;
            RegisterType::Bit(bit)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_register_mean_what_they_say() {
        use RegisterTable::{Coil, Discrete, Holding, Input};
        for (text, table, address) in [
            ("holding 0", Holding, 0),
            ("40001", Holding, 0),
            ("400001", Holding, 0),
            ("holding 40001", Holding, 40_001),
            ("holding 0x9C41", Holding, 40_001),
            ("440002", Holding, 40_001),
            ("49999", Holding, 9_998),
            ("465536", Holding, 65_535),
            ("input 65535", Input, 65_535),
            ("30010", Input, 9),
            ("coil 12", Coil, 12),
            ("00013", Coil, 12),
            ("discrete 7", Discrete, 7),
            ("10008", Discrete, 7),
        ] {
            assert_eq!(register(text), Ok((table, address)), "{text}");
        }
        for text in [
            "",
            " ",
            "7",
            "100",
            "4001",
            "4000001",
            "40000",
            "50001",
            "20001",
            "465537",
            "holding",
            "holding ",
            "holding 65536",
            "holding -1",
            "holding +1",
            "holding  1",
            "Holding 1",
            "register 1",
            "holding 0x",
            "holding 0x+1",
            "+4001",
            "4000１",
        ] {
            assert!(register(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn types_have_the_size_that_they_say() {
        for (text, kind, words) in [
            ("i16", RegisterType::I16, 1),
            ("u16", RegisterType::U16, 1),
            ("i32", RegisterType::I32, 2),
            ("u32", RegisterType::U32, 2),
            ("f32", RegisterType::F32, 2),
            ("i64", RegisterType::I64, 4),
            ("u64", RegisterType::U64, 4),
            ("f64", RegisterType::F64, 4),
            ("bit 0", RegisterType::Bit(0), 1),
            ("bit 15", RegisterType::Bit(15), 1),
        ] {
            assert_eq!(register_type(text), Ok(kind), "{text}");
            assert_eq!(kind.words(), words, "{text}");
        }
        for text in [
            "", "bit", "bit ", "bit 16", "bit -1", "bit +1", "float", "F32", "u8",
        ] {
            assert!(register_type(text).is_err(), "{text:?} was accepted");
        }
    }
}
