//! Which requests bring all registers that are wanted, in as few round trips as asked for. Imports
//! its siblings of stage ingest.

use super::{ModbusConfig, ModbusSensor, RegisterTable, RegisterType};

/// Entries in a table.
const ENTRIES: u32 = 65_536;
/// What the protocol allows in one request.
const MOST_REGISTERS: u32 = 125;

/// One question to the device.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) table: RegisterTable,
    pub(super) address: u16,
    /// Registers or bits.
    pub(super) count: u16,
    pub(super) wanted: Vec<Wanted>,
}

/// A sensor in the answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// As the queue knows it.
    pub(super) index: usize,
    pub(super) sensor: ModbusSensor,
}

impl Wanted {
    /// Where it stands in the answer to `request`.
    pub(super) fn range(&self, request: &Request) -> std::ops::Range<usize> {
        let start = usize::from(self.sensor.address - request.address);
        start..start + usize::from(self.sensor.kind.words())
    }
}

impl Request {
    /// The last address.
    pub(super) fn last(&self) -> u16 {
        self.address + (self.count - 1)
    }
}

/// What is wrong with a sensor's place.
pub(super) fn check(sensor: &ModbusSensor) -> Result<(), &'static str> {
    if end(sensor) > ENTRIES {
        return Err("its registers would end beyond the last one, 65535");
    }
    if let RegisterType::Bit(bit) = sensor.kind
        && bit > 15
    {
        return Err("a register has bits 0 to 15");
    }
    if sensor.table.is_bits() && sensor.kind != RegisterType::Bit(0) {
        return Err("a coil or discrete input is one bit");
    }
    Ok(())
}

fn end(sensor: &ModbusSensor) -> u32 {
    u32::from(sensor.address) + u32::from(sensor.kind.words())
}

/// The requests for `sensors`, all of which [`check`] has accepted. No value is split.
pub(super) fn plan(sensors: Vec<(usize, ModbusSensor)>, config: &ModbusConfig) -> Vec<Request> {
    let mut sensors = sensors;
    sensors.sort_by_key(|(_, sensor)| (sensor.table, sensor.address, end(sensor)));
    let mut requests: Vec<Request> = Vec::new();
    for (index, sensor) in sensors {
        let most = u32::from(config.max_registers).clamp(1, MOST_REGISTERS);
        let most = if sensor.table.is_bits() {
            most * 16
        } else {
            most
        };
        let wanted_end = end(&sensor);
        if let Some(last) = requests.last_mut()
            && last.table == sensor.table
        {
            let start = u32::from(last.address);
            let last_end = start + u32::from(last.count);
            let joined = last_end.max(wanted_end) - start;
            let near = u32::from(sensor.address) <= last_end + u32::from(config.max_gap);
            if near && joined <= most {
                // At most 2000.
                last.count = joined as u16;
                last.wanted.push(Wanted { index, sensor });
                continue;
            }
        }
        requests.push(Request {
            table: sensor.table,
            address: sensor.address,
            count: sensor.kind.words(),
            wanted: vec![Wanted { index, sensor }],
        });
    }
    requests
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn config(max_registers: u16, max_gap: u16) -> ModbusConfig {
        ModbusConfig {
            host: "h".into(),
            port: 502,
            unit: 1,
            poll: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            max_registers,
            max_gap,
            sensors: Vec::new(),
        }
    }

    fn at(table: RegisterTable, address: u16, kind: RegisterType) -> ModbusSensor {
        ModbusSensor {
            kind,
            ..ModbusSensor::new("a", table, address)
        }
    }

    fn planned(sensors: &[ModbusSensor], config: &ModbusConfig) -> Vec<(RegisterTable, u16, u16)> {
        let requests = plan(sensors.iter().cloned().enumerate().collect(), config);
        let spans = requests.iter();
        spans
            .map(|request| (request.table, request.address, request.count))
            .collect()
    }

    use RegisterTable::{Coil, Holding, Input};

    #[test]
    fn neighbours_are_read_together_and_gaps_only_when_asked() {
        let sensors = [
            at(Holding, 10, RegisterType::F32),
            at(Holding, 14, RegisterType::U16),
            at(Holding, 12, RegisterType::I32),
            at(Holding, 18, RegisterType::U16),
            at(Input, 19, RegisterType::U16),
            at(Coil, 3, RegisterType::Bit(0)),
        ];
        assert_eq!(
            planned(&sensors, &config(125, 0)),
            [
                (Coil, 3, 1),
                (Input, 19, 1),
                (Holding, 10, 5),
                (Holding, 18, 1)
            ]
        );
        assert_eq!(
            planned(&sensors, &config(125, 2)).last(),
            Some(&(Holding, 18, 1))
        );
        assert_eq!(
            planned(&sensors, &config(125, 3)).last(),
            Some(&(Holding, 10, 9))
        );
    }

    #[test]
    fn a_request_asks_for_no_more_than_the_protocol_or_the_device_allows() {
        let all: Vec<_> = (0..300)
            .map(|i| at(Holding, i, RegisterType::U16))
            .collect();
        assert_eq!(
            planned(&all, &config(125, 0)),
            [(Holding, 0, 125), (Holding, 125, 125), (Holding, 250, 50)]
        );
        // A value of two registers is not split over two requests.
        let pairs: Vec<_> = (0..4)
            .map(|i| at(Holding, 2 * i, RegisterType::F32))
            .collect();
        assert_eq!(
            planned(&pairs, &config(5, 0)),
            [(Holding, 0, 4), (Holding, 4, 4)]
        );
        let coils: Vec<_> = (0..2001)
            .map(|i| at(Coil, i, RegisterType::Bit(0)))
            .collect();
        assert_eq!(
            planned(&coils, &config(125, 0)),
            [(Coil, 0, 2000), (Coil, 2000, 1)]
        );
    }

    #[test]
    fn the_last_register_can_be_read_and_none_beyond() {
        let last = at(Holding, 65_535, RegisterType::U16);
        assert_eq!(check(&last), Ok(()));
        assert_eq!(
            planned(std::slice::from_ref(&last), &config(125, 124)),
            [(Holding, 65_535, 1)]
        );
        assert!(check(&at(Holding, 65_535, RegisterType::U32)).is_err());
        assert!(check(&at(Holding, 0, RegisterType::Bit(16))).is_err());
        assert!(check(&at(Coil, 0, RegisterType::U16)).is_err());
    }

    fn sensors() -> impl Strategy<Value = Vec<ModbusSensor>> {
        let table = prop_oneof![
            Just(Coil),
            Just(RegisterTable::Discrete),
            Just(Input),
            Just(Holding)
        ];
        let kind = prop_oneof![
            Just(RegisterType::U16),
            Just(RegisterType::F32),
            Just(RegisterType::F64),
            Just(RegisterType::Bit(5))
        ];
        let address = prop_oneof![0u16..300, 65_400u16..=65_535];
        let sensor = (table, address, kind).prop_map(|(table, address, kind)| {
            let kind = if table.is_bits() {
                RegisterType::Bit(0)
            } else {
                kind
            };
            at(table, address, kind)
        });
        prop::collection::vec(sensor, 0..200)
    }

    proptest! {
        #[test]
        fn every_sensor_is_read_once_whole_and_within_the_limits(
            sensors in sensors(),
            most in 4u16..=125,
            gap in 0u16..=124,
        ) {
            let sensors: Vec<_> = sensors.into_iter().filter(|s| check(s).is_ok()).collect();
            let count = sensors.len();
            let requests = plan(sensors.into_iter().enumerate().collect(), &config(most, gap));
            let mut seen = vec![false; count];
            for request in &requests {
                let limit = if request.table.is_bits() { most * 16 } else { most };
                prop_assert!((1..=limit).contains(&request.count));
                prop_assert!(u32::from(request.address) + u32::from(request.count) <= ENTRIES);
                let mut covered = vec![false; usize::from(request.count)];
                for wanted in &request.wanted {
                    prop_assert!(!std::mem::replace(&mut seen[wanted.index], true));
                    prop_assert_eq!(wanted.sensor.table, request.table);
                    covered[wanted.range(request)].fill(true);
                }
                // What nobody wants stands in gaps no longer than allowed, and not at an end.
                prop_assert!(covered[0] && covered[covered.len() - 1]);
                let gaps = covered.split(|covered| *covered);
                prop_assert!(gaps.map(<[bool]>::len).max() <= Some(usize::from(gap)));
            }
            prop_assert!(seen.iter().all(|seen| *seen));
        }
    }
}
