//! The speed of `anomalyd replay` on a recording that is made for it. Imports `simulate` and its
//! siblings.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::interrupt::Interrupt;
use super::load::Rows;
use super::outcome::Replayed;
use super::service::Setup;
use crate::frame::Timestamp;
use crate::simulate::record::{Draft, LineFormat};

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{path}: cannot be written: {source}")]
    Recording {
        path: String,
        source: std::io::Error,
    },
    #[error("`anomalyd replay` cannot be started: {0}")]
    Start(std::io::Error),
    #[error("`anomalyd replay` failed: {0}")]
    Failed(String),
    #[error("`anomalyd replay` did not say how fast it was: {0}")]
    Unclear(String),
    #[error("interrupted")]
    Interrupted,
}

/// Makes a recording of `rows` rows, `period` apart, and has it replayed.
///
/// # Errors
/// It cannot be written or replayed; or the user interrupts.
pub fn replay(
    setup: &Setup,
    mut source: Rows,
    period: Duration,
    rows: u64,
    interrupt: &Interrupt,
) -> Result<Replayed, ReplayError> {
    let path = setup.folder.join("recording.csv");
    let bytes =
        record(&path, &mut source, period, rows).map_err(|source| ReplayError::Recording {
            path: path.display().to_string(),
            source,
        })?;
    let mut command = Command::new(&setup.program);
    command.arg("replay").arg("--model").arg(&setup.model);
    command.args(["--engine", setup.engine.name()]);
    if let Some(worker) = &setup.torch_worker {
        command.arg("--torch-worker").arg(worker);
    }
    command
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().map_err(ReplayError::Start)?;
    let _ = std::fs::remove_file(&path);
    if interrupt.came() {
        return Err(ReplayError::Interrupted);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = || said.lines().last().unwrap_or("it said nothing").to_owned();
    if !output.status.success() {
        return Err(ReplayError::Failed(last()));
    }
    let rows_per_second = rate(&said).ok_or_else(|| ReplayError::Unclear(last()))?;
    Ok(Replayed {
        rows,
        bytes,
        rows_per_second,
    })
}

fn record(path: &Path, source: &mut Rows, period: Duration, rows: u64) -> std::io::Result<u64> {
    let mut draft = Draft::create(path)?;
    let names: Vec<String> = source.names().into_iter().map(quoted).collect();
    let mut line = format!("time,{}\n", names.join(",")).into_bytes();
    let mut bytes = 0;
    let mut time = Timestamp::EPOCH;
    for _ in 0..rows {
        source.push(&mut line, LineFormat::Csv, time);
        time = time.plus(period);
        draft.write_all(&line)?;
        bytes += line.len() as u64;
        line.clear();
    }
    draft.finish()?;
    Ok(bytes)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The number before the first `rows/s`.
fn rate(said: &str) -> Option<f64> {
    let (before, _) = said.split_once(" rows/s")?;
    let number = before
        .rsplit(|c: char| !c.is_ascii_digit() && c != '.')
        .next()?;
    number.parse().ok().filter(|rate| *rate > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_the_summary() {
        let said = "100 rows from 1970-01-01, 16 min 30 s long, in 0.01 s (71034 rows/s, engine \
                    native)\n0 alarms\n";
        assert_eq!(rate(said), Some(71_034.0));
        assert_eq!(rate("nothing of the kind"), None);
        assert_eq!(rate("0 rows/s"), None);
    }
}
