//! The service as it is measured: the very program, started with a made-up configuration in a folder
//! of its own. Imports `control` and `cap`.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cap::Cage;
use super::interrupt::Interrupt;
use super::target::EngineName;
use crate::control::{Latencies, Request, Status, ask};

/// A torch worker on a slow card may take its time; longer than any target.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// As the unit has it.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("{what}: {source}; is there room, and may it be written?")]
    Folder { what: String, source: io::Error },
    #[error("{program} cannot be started: {source}")]
    Start { program: String, source: io::Error },
    #[error("the service ended ({status}) before it was asked to: {said}")]
    Ended { status: ExitStatus, said: String },
    #[error("the service was not ready within {} s: {said}", READY_WITHIN.as_secs())]
    NotReady { said: String },
    #[error("interrupted")]
    Interrupted,
    #[error("the service does not answer: {0}")]
    NoAnswer(String),
}

/// What is started.
#[derive(Debug, Clone)]
pub struct Setup {
    pub program: PathBuf,
    pub model: PathBuf,
    pub engine: EngineName,
    pub torch_worker: Option<PathBuf>,
    /// For configuration, state and sockets.
    pub folder: PathBuf,
}

/// A running service.
pub struct Service {
    child: Child,
    folder: PathBuf,
    ready_after: Duration,
    /// Kept open and read: a notice that nobody takes would be a line in its log each time.
    notices: UnixDatagram,
}

impl Service {
    /// Starts it in `cage` and waits until it says that it is ready.
    ///
    /// # Errors
    /// It cannot be started, ends, or does not become ready; or the user interrupts.
    pub fn start(
        setup: &Setup,
        cage: &Cage,
        period: Duration,
        interrupt: &Interrupt,
    ) -> Result<Service, ServiceError> {
        let folder = &setup.folder;
        let at_folder = |source| ServiceError::Folder {
            what: folder.display().to_string(),
            source,
        };
        // Each run begins with nothing learnt and nothing to resume.
        match fs::remove_dir_all(folder.join("state")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at_folder(error)),
            _ => {}
        }
        fs::create_dir_all(folder.join("state")).map_err(at_folder)?;
        fs::write(folder.join("anomalyd.toml"), configuration(setup, period)).map_err(at_folder)?;
        let notices = folder.join("notify.sock");
        let _ = fs::remove_file(&notices);
        let notify = UnixDatagram::bind(&notices).map_err(at_folder)?;
        notify
            .set_read_timeout(Some(Duration::from_millis(50)))
            .map_err(at_folder)?;
        let log = File::create(folder.join("log")).map_err(at_folder)?;

        let mut command = cage.command(&setup.program);
        command
            .args(["run", "--config"])
            .arg(folder.join("anomalyd.toml"));
        command
            .env("NOTIFY_SOCKET", &notices)
            .env_remove("WATCHDOG_USEC");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        // A Ctrl-C is for us alone; we end the service in order.
        command.process_group(0);
        let begin = Instant::now();
        let child = command.spawn().map_err(|source| ServiceError::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
        let mut service = Service {
            child,
            folder: folder.clone(),
            ready_after: Duration::ZERO,
            notices: notify,
        };
        let mut notice = [0; 4096];
        loop {
            let received = service.notices.recv(&mut notice);
            let now = begin.elapsed();
            if received.is_ok_and(|length| is_ready(&notice[..length])) {
                service.ready_after = now;
                service.notices.set_nonblocking(true).map_err(at_folder)?;
                return Ok(service);
            }
            if interrupt.came() {
                return Err(ServiceError::Interrupted);
            }
            service.check()?;
            if now > READY_WITHIN {
                return Err(ServiceError::NotReady {
                    said: service.said(),
                });
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Program started to `READY=1`.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Where it takes rows.
    pub fn rows_socket(&self) -> PathBuf {
        self.folder.join("rows.sock")
    }

    /// To be called now and then: also takes what it tells systemd.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&mut self) -> Result<(), ServiceError> {
        let mut notice = [0; 4096];
        while self.ready_after > Duration::ZERO && self.notices.recv(&mut notice).is_ok() {}
        match self.child.try_wait() {
            Ok(Some(status)) => Err(ServiceError::Ended {
                status,
                said: self.said(),
            }),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> Result<Status, ServiceError> {
        let answer = self.ask(&Request::Status)?;
        let status = answer.status.map(|status| *status);
        status.ok_or(ServiceError::NoAnswer(answer.text))
    }

    /// # Errors
    /// It does not answer.
    pub fn latencies(&self) -> Result<Latencies, ServiceError> {
        let answer = self.ask(&Request::Latencies)?;
        let latencies = answer.latencies.map(|latencies| *latencies);
        latencies.ok_or(ServiceError::NoAnswer(answer.text))
    }

    fn ask(&self, request: &Request) -> Result<crate::control::Answer, ServiceError> {
        ask(&self.folder.join("control.sock"), request)
            .map_err(|error| ServiceError::NoAnswer(error.to_string()))
    }

    /// Ends it in order, and gives how many bytes its state takes on the disk.
    pub fn stop(mut self) -> Option<u64> {
        self.end();
        allocated(&self.folder.join("state"))
    }

    fn end(&mut self) {
        let asked = Instant::now();
        // Fails only when it has ended already.
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > STOPPED_WITHIN {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The last line of its log.
    fn said(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let last = log.lines().rfind(|line| !line.trim().is_empty());
        last.unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_ready(notice: &[u8]) -> bool {
    notice
        .split(|byte| *byte == b'\n')
        .any(|line| line == b"READY=1")
}

fn configuration(setup: &Setup, period: Duration) -> String {
    let text = |path: &Path| toml::Value::from(path.display().to_string()).to_string();
    let mut lines = vec![
        format!("model = {}", text(&setup.model)),
        format!("engine = \"{}\"", setup.engine.name()),
        format!("period = \"{}\"", humantime::format_duration(period)),
        "state_directory = \"state\"".to_owned(),
        "control_socket = \"control.sock\"".to_owned(),
        // The plant's hours pass in seconds here, and its false alarms with them: each would be saved
        // and counted as disk writes of normal operation.
        "max_false_alarms_per_week = 0.01".to_owned(),
        "log_level = \"warn\"".to_owned(),
    ];
    let worker = setup.torch_worker.as_deref();
    lines.extend(worker.map(|worker| format!("torch_worker = {}", text(worker))));
    let rows = setup.folder.join("rows.sock");
    lines.push(format!("[source.ndjson]\nlisten = {}\n", text(&rows)));
    lines.join("\n")
}

/// What the files in `folder` take on the disk.
fn allocated(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).ok()?;
    let sizes = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    // `st_blocks` counts in 512 bytes, whatever the file system's own blocks are.
    Some(
        sizes
            .filter(|one| one.is_file())
            .map(|one| one.blocks() * 512)
            .sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_one_line_of_a_notice() {
        assert!(is_ready(b"READY=1\nSTATUS=watching 51 sensors"));
        assert!(is_ready(b"STATUS=x\nREADY=1"));
        assert!(!is_ready(b"STATUS=READY=1"));
        assert!(!is_ready(b"RELOADING=1"));
    }

    #[test]
    fn paths_of_any_kind_stand_in_the_configuration() {
        let setup = Setup {
            program: "anomalyd".into(),
            model: "/a \"b\"/m.pt".into(),
            engine: EngineName::Torch,
            torch_worker: Some("/w".into()),
            folder: "/tmp".into(),
        };
        let text = configuration(&setup, Duration::from_millis(10));
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["model"].as_str(), Some("/a \"b\"/m.pt"));
        assert_eq!(table["engine"].as_str(), Some("torch"));
        assert_eq!(table["period"].as_str(), Some("10ms"));
        let odd = configuration(&setup, Duration::from_micros(1_003));
        let odd: toml::Table = odd.parse().unwrap();
        let odd = humantime::parse_duration(odd["period"].as_str().unwrap());
        assert_eq!(odd.unwrap(), Duration::from_micros(1_003));
        assert_eq!(table["torch_worker"].as_str(), Some("/w"));
        assert_eq!(
            table["source"]["ndjson"]["listen"].as_str(),
            Some("/tmp/rows.sock")
        );
    }
}
