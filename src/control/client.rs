//! The commands' end of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LONGEST_LINE;
use super::protocol::{Answer, Request};

/// A reload that loads a torch model takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(
        "{path}: the service does not run here (systemctl status anomalyd), or its configuration \
         names another control_socket"
    )]
    NotRunning { path: PathBuf },
    #[error(
        "{path}: only root and the group anomalyd may talk to the service: use sudo, or \
         `sudo adduser YOU anomalyd` and log in again"
    )]
    NotAllowed { path: PathBuf },
    #[error("{path}: the service gave no answer: {reason}")]
    NoAnswer { path: PathBuf, reason: String },
}

/// Asks the service that listens at `path`, and waits for its answer.
///
/// # Errors
/// There is no service, it may not be asked, or it did not answer; a refusal is an answer.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, ControlError> {
    exchange(path, request).map_err(|error| {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ControlError::NotRunning { path }
            }
            io::ErrorKind::PermissionDenied => ControlError::NotAllowed { path },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ControlError::NoAnswer {
                path,
                reason: format!("none within {} s", PATIENCE.as_secs()),
            },
            _ => ControlError::NoAnswer {
                path,
                reason: error.to_string(),
            },
        }
    })
}

fn exchange(path: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .take(LONGEST_LINE)
        .read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::other("it closed the connection"));
    }
    Ok(serde_json::from_str(&answer)?)
}
