//! What a device answered: registers, an exception, or something that is no answer to the question;
//! and all of it in words. Imports its siblings of stage ingest.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use tokio_modbus::{Error, ExceptionCode, ProtocolError, Request as Call, Response};

use super::plan::Request;
use super::{ModbusConfig, RegisterTable};

/// Sensors that a message names before it counts the rest.
const NAMED: usize = 3;

/// A device as messages name it, and what they need to know of it.
pub(super) struct Device<'a> {
    /// `192.168.1.20:502 unit 1`
    pub(super) name: &'a str,
    pub(super) timeout: Duration,
}

/// Why a request gave no values.
#[derive(Debug, PartialEq)]
pub(super) enum Failure {
    /// The connection is of no use any more.
    Lost(String),
    /// As above, because the device closed it; some do so whenever they were not asked for a while.
    Closed(String),
    /// As above, because of what the device sent.
    Broken(String),
    /// The device has no values there.
    Refused(String),
    /// The device asks for patience.
    Busy(String),
}

/// Values of an answer, one a register; a bit is 0 or 1.
pub(super) type Words = Vec<u16>;

impl Request {
    pub(super) fn call(&self) -> Call<'static> {
        match self.table {
            RegisterTable::Coil => Call::ReadCoils(self.address, self.count),
            RegisterTable::Discrete => Call::ReadDiscreteInputs(self.address, self.count),
            RegisterTable::Input => Call::ReadInputRegisters(self.address, self.count),
            RegisterTable::Holding => Call::ReadHoldingRegisters(self.address, self.count),
        }
    }

    fn shown(&self) -> String {
        let what = match self.table {
            RegisterTable::Coil => "coils",
            RegisterTable::Discrete => "discrete inputs",
            RegisterTable::Input => "input registers",
            RegisterTable::Holding => "holding registers",
        };
        format!("{what} {} to {}", self.address, self.last())
    }

    fn sensors(&self) -> String {
        let names = self.wanted.iter().take(NAMED);
        let names: Vec<&str> = names.map(|w| w.sensor.sensor.as_str()).collect();
        match self.wanted.len().saturating_sub(NAMED) {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }

    /// The answer to this request, if it is one.
    pub(super) fn accept(&self, device: &Device<'_>, response: Response) -> Result<Words, Failure> {
        let count = usize::from(self.count);
        let words = match (self.table, response) {
            (RegisterTable::Holding, Response::ReadHoldingRegisters(words))
            | (RegisterTable::Input, Response::ReadInputRegisters(words)) => words,
            (RegisterTable::Coil, Response::ReadCoils(bits))
            | (RegisterTable::Discrete, Response::ReadDiscreteInputs(bits)) => {
                // Whole bytes come, and what is above the wanted bits means nothing.
                let whole = count.div_ceil(8) * 8;
                if bits.len() != whole {
                    return Err(device.wrong_size(self, bits.len() / 8, whole / 8, "bytes"));
                }
                bits.into_iter().take(count).map(u16::from).collect()
            }
            _ => return Err(device.broken("answered another question than was asked")),
        };
        if words.len() != count {
            return Err(device.wrong_size(self, words.len(), count, "registers"));
        }
        Ok(words)
    }
}

impl Device<'_> {
    fn broken(&self, what: &str) -> Failure {
        Failure::Broken(format!(
            "{} {what}; see that a Modbus TCP server listens there, and no other client is in its way",
            self.name
        ))
    }

    fn wrong_size(&self, request: &Request, came: usize, wanted: usize, what: &str) -> Failure {
        let shown = request.shown();
        self.broken(&format!(
            "sent {came} {what} for {shown}, which are {wanted}"
        ))
    }

    pub(super) fn unreachable(&self, error: &io::Error) -> String {
        let device = self.name;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => format!(
                "nothing listens at {device}; check host and port, and that its Modbus TCP is switched on"
            ),
            _ => format!("{device} cannot be reached: {error}"),
        }
    }

    pub(super) fn no_connection_in_time(&self) -> String {
        let timeout = humantime::format_duration(self.timeout);
        format!(
            "{} cannot be reached within {timeout}; check host, network and power",
            self.name
        )
    }

    pub(super) fn silent(&self) -> Failure {
        let timeout = humantime::format_duration(self.timeout);
        Failure::Lost(format!(
            "{} did not answer within {timeout}; check unit, cable and power, or raise timeout",
            self.name
        ))
    }

    /// Why there was no answer.
    pub(super) fn failure(&self, error: &Error) -> Failure {
        let error = match error {
            Error::Protocol(ProtocolError::HeaderMismatch { .. }) => {
                return self.broken("answered with another transaction or unit than asked for");
            }
            Error::Protocol(ProtocolError::FunctionCodeMismatch { .. }) => {
                return self.broken("answered another question than was asked");
            }
            Error::Transport(error) => error,
        };
        // Only the system's errors have a number: the others are the codec's, about what came. At the
        // end of the stream tokio-modbus gives the system's last error, whatever that was.
        if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::WriteZero {
            Failure::Closed(format!(
                "{} closed the connection; many devices take one or two clients at a time",
                self.name
            ))
        } else {
            self.broken(&format!("sent what is not Modbus TCP ({error})"))
        }
    }

    /// What an exception means for a request.
    pub(super) fn exception(&self, request: &Request, code: ExceptionCode) -> Failure {
        let shown = request.shown();
        let (why, remedy): (Cow<'_, str>, &str) = match code {
            ExceptionCode::IllegalFunction => (
                format!("does not know {shown}").into(),
                "; try the other kind of register",
            ),
            ExceptionCode::IllegalDataAddress => (
                format!("does not have {shown}").into(),
                "; these count from 0, so where the manual counts from 1 write one less, and max_gap \
                 reads no register that is not there when it is 0",
            ),
            ExceptionCode::IllegalDataValue => (
                format!("does not give {shown} at once").into(),
                "; lower max_registers",
            ),
            ExceptionCode::Acknowledge | ExceptionCode::ServerDeviceBusy => {
                return Failure::Busy(format!("{} is busy", self.name));
            }
            ExceptionCode::GatewayPathUnavailable | ExceptionCode::GatewayTargetDevice => {
                return Failure::Lost(format!(
                    "{}: the gateway does not reach the device; check unit, cable and power",
                    self.name
                ));
            }
            other => (
                format!("cannot read {shown} (exception {})", u8::from(other)).into(),
                "",
            ),
        };
        Failure::Refused(format!(
            "{} {why} (sensors {}){remedy}",
            self.name,
            request.sensors()
        ))
    }
}

impl ModbusConfig {
    pub(super) fn device<'a>(&self, source: &'a str) -> Device<'a> {
        Device {
            name: source.strip_prefix("modbus ").unwrap_or(source),
            timeout: self.timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ModbusSensor;
    use super::super::plan::Wanted;
    use super::*;

    const DEVICE: Device<'_> = Device {
        name: "plc:502 unit 1",
        timeout: Duration::from_secs(2),
    };

    fn request(table: RegisterTable, count: u16) -> Request {
        let wanted = |name: &str| Wanted {
            index: 0,
            sensor: ModbusSensor::new(name, table, 100),
        };
        Request {
            table,
            address: 100,
            count,
            wanted: ["A", "B", "C", "D"].map(wanted).to_vec(),
        }
    }

    #[test]
    fn an_answer_of_another_size_or_kind_is_none() {
        let holding = request(RegisterTable::Holding, 3);
        let words = |count| Response::ReadHoldingRegisters(vec![7; count]);
        assert_eq!(holding.accept(&DEVICE, words(3)), Ok(vec![7; 3]));
        for response in [
            words(2),
            words(4),
            words(0),
            Response::ReadInputRegisters(vec![7; 3]),
            Response::ReadCoils(vec![true; 8]),
        ] {
            let failure = holding.accept(&DEVICE, response);
            assert!(matches!(failure, Err(Failure::Broken(_))), "{failure:?}");
        }
        let coils = request(RegisterTable::Coil, 9);
        let bits = |count| Response::ReadCoils(vec![true; count]);
        assert_eq!(coils.accept(&DEVICE, bits(16)), Ok(vec![1; 9]));
        for count in [0, 8, 9, 24] {
            assert!(coils.accept(&DEVICE, bits(count)).is_err(), "{count}");
        }
    }

    #[test]
    fn what_the_system_reports_is_a_closed_connection_and_what_the_codec_reports_a_lie() {
        let failure = |error| DEVICE.failure(&Error::Transport(error));
        // EINVAL, EPIPE, ECONNRESET, and none at all.
        for number in [22, 32, 104, 0] {
            let failure = failure(io::Error::from_raw_os_error(number));
            assert!(matches!(failure, Failure::Closed(_)), "{failure:?}");
        }
        for kind in [
            io::ErrorKind::InvalidData,
            io::ErrorKind::InvalidInput,
            io::ErrorKind::UnexpectedEof,
        ] {
            let failure = failure(io::Error::new(kind, "too short"));
            assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
        }
    }

    #[test]
    fn exceptions_name_registers_sensors_and_the_remedy() {
        let request = request(RegisterTable::Holding, 3);
        let failure = |code| DEVICE.exception(&request, ExceptionCode::new(code));
        let Failure::Refused(reason) = failure(2) else {
            panic!("{:?}", failure(2));
        };
        assert!(
            reason.starts_with(
                "plc:502 unit 1 does not have holding registers 100 to 102 \
                 (sensors A, B, C and 1 more); these count from 0"
            ),
            "{reason}"
        );
        for code in [1, 3, 4, 8, 0x80] {
            assert!(matches!(failure(code), Failure::Refused(_)), "{code}");
        }
        for code in [5, 6] {
            assert!(matches!(failure(code), Failure::Busy(_)), "{code}");
        }
        for code in [10, 11] {
            assert!(matches!(failure(code), Failure::Lost(_)), "{code}");
        }
    }
}
