//! What registers say. Imports its siblings of stage ingest.

use super::super::value::Reading;
use super::{ModbusSensor, RegisterType};

/// The reading of `sensor` from its registers, of which there are as many as its kind takes.
pub(super) fn decode(sensor: &ModbusSensor, words: &[u16]) -> Reading {
    let bits = bits(sensor, words);
    let (read, unsigned) = match sensor.kind {
        RegisterType::Bit(bit) => {
            let on = f64::from(u8::from(bits >> bit & 1 == 1));
            (on, on)
        }
        RegisterType::U16 | RegisterType::U32 | RegisterType::U64 => (bits as f64, bits as f64),
        // The casts cut off what is above the type's own bits, which is nothing.
        RegisterType::I16 => (f64::from(bits as u16 as i16), bits as f64),
        RegisterType::I32 => (f64::from(bits as u32 as i32), bits as f64),
        RegisterType::I64 => (bits as i64 as f64, bits as f64),
        RegisterType::F32 => {
            let read = f32::from_bits(bits as u32);
            (f64::from(read), f64::from(read))
        }
        RegisterType::F64 => (f64::from_bits(bits), f64::from_bits(bits)),
    };
    if let Some(missing) = sensor.missing
        && is(sensor.kind, missing, read, unsigned)
    {
        return Reading::Missing;
    }
    let value = read * sensor.scale + sensor.offset;
    if read.is_finite() && value.is_finite() {
        Reading::Value(value)
    } else {
        Reading::Missing
    }
}

/// Whether what was read is `missing`, which a manual may give with a sign or without: 0xFFFF is
/// 65535 and -1.
fn is(kind: RegisterType, missing: f64, read: f64, unsigned: f64) -> bool {
    match kind {
        RegisterType::F32 => missing as f32 == read as f32,
        RegisterType::F64 | RegisterType::Bit(_) => missing == read,
        _ if missing >= 0.0 => missing == unsigned,
        _ => {
            let bits = i32::from(kind.words()) * 16;
            missing + 2f64.powi(bits) == unsigned
        }
    }
}

fn bits(sensor: &ModbusSensor, words: &[u16]) -> u64 {
    let order = sensor.order;
    let word = |word: &u16| match order.bytes_swapped {
        true => u64::from(word.swap_bytes()),
        false => u64::from(*word),
    };
    let joined = |bits: u64, next: u64| bits << 16 | next;
    if order.low_first {
        words.iter().rev().map(word).fold(0, joined)
    } else {
        words.iter().map(word).fold(0, joined)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{RegisterTable, WordOrder};
    use super::*;

    fn sensor(kind: RegisterType) -> ModbusSensor {
        ModbusSensor {
            kind,
            ..ModbusSensor::new("a", RegisterTable::Holding, 0)
        }
    }

    const ORDERS: [WordOrder; 4] = [
        order(false, false),
        order(true, false),
        order(false, true),
        order(true, true),
    ];

    const fn order(low_first: bool, bytes_swapped: bool) -> WordOrder {
        WordOrder {
            low_first,
            bytes_swapped,
        }
    }

    /// What a device sends whose value has these bytes, the highest first.
    fn send(bytes: &[u8], order: WordOrder) -> Vec<u16> {
        let pairs = bytes.chunks(2);
        let mut words: Vec<u16> = match order.bytes_swapped {
            false => pairs
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect(),
            true => pairs
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        };
        if order.low_first {
            words.reverse();
        }
        words
    }

    fn read(kind: RegisterType, bytes: &[u8], order: WordOrder) -> Reading {
        let sensor = ModbusSensor {
            order,
            ..sensor(kind)
        };
        decode(&sensor, &send(bytes, order))
    }

    #[test]
    fn the_four_orders_are_what_their_names_say() {
        // 123456.0 is 0x47F12000.
        for (order, words) in [
            (order(false, false), [0x47f1, 0x2000]),
            (order(true, false), [0x2000, 0x47f1]),
            (order(false, true), [0xf147, 0x0020]),
            (order(true, true), [0x0020, 0xf147]),
        ] {
            let sensor = ModbusSensor {
                order,
                ..sensor(RegisterType::F32)
            };
            assert_eq!(decode(&sensor, &words), Reading::Value(123_456.0));
        }
    }

    proptest! {
        #[test]
        fn every_type_comes_through_in_every_order(bits: u64) {
            for order in ORDERS {
                let (b16, b32) = (bits as u16, bits as u32);
                let value = |value: f64| match value.is_finite() {
                    true => Reading::Value(value),
                    false => Reading::Missing,
                };
                for (kind, bytes, expected) in [
                    (RegisterType::U16, &b16.to_be_bytes()[..], f64::from(b16)),
                    (RegisterType::I16, &b16.to_be_bytes(), f64::from(b16 as i16)),
                    (RegisterType::U32, &b32.to_be_bytes(), f64::from(b32)),
                    (RegisterType::I32, &b32.to_be_bytes(), f64::from(b32 as i32)),
                    (RegisterType::F32, &b32.to_be_bytes(), f64::from(f32::from_bits(b32))),
                    (RegisterType::U64, &bits.to_be_bytes(), bits as f64),
                    (RegisterType::I64, &bits.to_be_bytes(), bits as i64 as f64),
                    (RegisterType::F64, &bits.to_be_bytes(), f64::from_bits(bits)),
                ] {
                    prop_assert_eq!(read(kind, bytes, order), value(expected), "{:?}", kind);
                }
                for bit in 0..16 {
                    let on = f64::from(b16 >> bit & 1);
                    prop_assert_eq!(read(RegisterType::Bit(bit), &b16.to_be_bytes(), order), value(on));
                }
            }
        }
    }

    #[test]
    fn values_are_scaled_and_then_moved() {
        let mut tank = sensor(RegisterType::I16);
        (tank.scale, tank.offset) = (0.5, -40.0);
        assert_eq!(decode(&tank, &[100]), Reading::Value(10.0));
        assert_eq!(decode(&tank, &[0xffff]), Reading::Value(-40.5));
        // Beyond the numbers is no value.
        let mut huge = sensor(RegisterType::F64);
        huge.scale = 1e15;
        let words = send(&1e300f64.to_be_bytes(), WordOrder::default());
        assert_eq!(decode(&huge, &words), Reading::Missing);
    }

    #[test]
    fn what_the_device_calls_no_value_is_missing_with_or_without_a_sign() {
        for (kind, missing, words) in [
            (RegisterType::I16, 32_768.0, &[0x8000][..]),
            (RegisterType::I16, -32_768.0, &[0x8000]),
            (RegisterType::U16, 65_535.0, &[0xffff]),
            (RegisterType::U16, -1.0, &[0xffff]),
            (RegisterType::U32, 4_294_967_295.0, &[0xffff, 0xffff]),
            (RegisterType::I32, -2_147_483_648.0, &[0x8000, 0]),
            (RegisterType::I32, 2_147_483_648.0, &[0x8000, 0]),
            (
                RegisterType::I64,
                -9_223_372_036_854_775_808.0,
                &[0x8000, 0, 0, 0],
            ),
            (RegisterType::U64, -1.0, &[0xffff; 4]),
            (RegisterType::F32, -99.9, &[0xc2c7, 0xcccd]),
            (RegisterType::F32, -9999.0, &[0xc61c, 0x3c00]),
        ] {
            let mut sensor = sensor(kind);
            sensor.scale = 0.1;
            assert_ne!(decode(&sensor, words), Reading::Missing, "{kind:?}");
            sensor.missing = Some(missing);
            assert_eq!(
                decode(&sensor, words),
                Reading::Missing,
                "{kind:?} {missing}"
            );
            let mut other = words.to_vec();
            other[0] ^= 1;
            assert_ne!(decode(&sensor, &other), Reading::Missing, "{kind:?}");
        }
        assert_eq!(
            decode(&sensor(RegisterType::F32), &[0x7fc0, 0]),
            Reading::Missing
        );
        assert_eq!(
            decode(&sensor(RegisterType::F32), &[0xff80, 0]),
            Reading::Missing
        );
    }
}
