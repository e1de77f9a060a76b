//! What the registers of a Modbus device are, for the configuration and the source alike.
//! Imports nothing.

/// One of the four tables of a device, each with entries 0 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegisterTable {
    Coil,
    Discrete,
    Input,
    Holding,
}

impl RegisterTable {
    /// Whether its entries are single bits, not registers of 16.
    pub fn is_bits(self) -> bool {
        matches!(self, RegisterTable::Coil | RegisterTable::Discrete)
    }
}

/// What one or more registers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegisterType {
    /// One bit of a register, 0 the lowest; also a coil or discrete input, as bit 0.
    Bit(u8),
    I16,
    U16,
    I32,
    U32,
    F32,
    I64,
    U64,
    F64,
}

impl RegisterType {
    /// Registers that it takes.
    pub fn words(self) -> u16 {
        match self {
            RegisterType::Bit(_) | RegisterType::I16 | RegisterType::U16 => 1,
            RegisterType::I32 | RegisterType::U32 | RegisterType::F32 => 2,
            RegisterType::I64 | RegisterType::U64 | RegisterType::F64 => 4,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, RegisterType::F32 | RegisterType::F64)
    }
}

/// In which order the bytes of a value come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct WordOrder {
    /// The first register holds the lowest bits.
    pub low_first: bool,
    /// The two bytes of each register are swapped.
    pub bytes_swapped: bool,
}

impl WordOrder {
    /// By the letters of the bytes in the order in which they come, A the highest.
    pub fn from_letters(letters: &str) -> Option<WordOrder> {
        let (low_first, bytes_swapped) = match letters {
            "ABCD" => (false, false),
            "CDAB" => (true, false),
            "BADC" => (false, true),
            "DCBA" => (true, true),
            _ => return None,
        };
        Some(WordOrder {
            low_first,
            bytes_swapped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_say_where_the_lowest_bits_are_and_whether_bytes_are_swapped() {
        for (letters, low_first, bytes_swapped) in [
            ("ABCD", false, false),
            ("CDAB", true, false),
            ("BADC", false, true),
            ("DCBA", true, true),
        ] {
            // As the device would send A to D, most significant first.
            let mut words = [['A', 'B'], ['C', 'D']];
            if low_first {
                words.reverse();
            }
            if bytes_swapped {
                words.iter_mut().for_each(|word| word.reverse());
            }
            let sent: String = words.into_iter().flatten().collect();
            assert_eq!(sent, letters);
            let order = WordOrder {
                low_first,
                bytes_swapped,
            };
            assert_eq!(WordOrder::from_letters(letters), Some(order));
        }
        assert_eq!(WordOrder::from_letters("abcd"), None);
    }
}
