//! Streams: pace, endings, and arguments that contradict each other.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    args: SimulateArgs,
}

fn job(line: &str) -> anyhow::Result<Job> {
    let words = std::iter::once("simulate").chain(line.split_whitespace());
    Job::new(&Command::try_parse_from(words)?.args)
}

/// What a stream wrote and when; closes after `room` bytes.
#[derive(Clone)]
struct Pipe {
    written: Rc<RefCell<Vec<u8>>>,
    room: usize,
}

impl Pipe {
    fn new(room: usize) -> Self {
        Pipe {
            written: Rc::default(),
            room,
        }
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let written = self.written.borrow();
        let lines = written.split(|&byte| byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.borrow_mut();
        if written.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_is_json_lines_in_simulated_time() {
    let pipe = Pipe::new(usize::MAX);
    let job = job("--seed 7 --duration 5s --period 500ms").unwrap();
    assert_eq!(job.stream(pipe.clone(), None, None).unwrap(), 10);
    let lines = pipe.lines();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[0]["time"], "2026-01-01T00:00:00Z");
    assert_eq!(lines[9]["time"], "2026-01-01T00:00:04.5Z");
    assert!(lines[0]["LIT101"].as_f64().unwrap() > 100.0);
}

#[test]
fn a_paced_stream_keeps_its_rate() {
    let job = job("--duration 41s --rate 200").unwrap();
    let begin = Instant::now();
    job.stream(Pipe::new(usize::MAX), None, None).unwrap();
    // 41 frames are 40 gaps of 5 ms; how late the last may be is the machine's affair.
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[test]
fn deadlines_do_not_drift() {
    let begin = Instant::now();
    let after = |row| due(begin, 3.0, row) - begin;
    assert_eq!(after(0), Duration::ZERO);
    assert_eq!(after(3_000_000), Duration::from_secs(1_000_000));
}

#[test]
fn a_closed_pipe_ends_an_endless_stream_without_an_error() {
    let pipe = Pipe::new(20_000);
    let job = job("--rate 100000").unwrap();
    assert_eq!(job.rows, None);
    let rows = job.stream(pipe.clone(), None, None).unwrap();
    assert!(rows > 5);
    assert_eq!(pipe.lines().len() as u64, rows);
}

#[test]
fn another_write_error_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = job("--duration 5s").unwrap().stream(Full, None, None);
    assert!(format!("{:#}", error.unwrap_err()).starts_with("standard output: cannot be written"));
}

#[test]
fn live_frames_bear_the_present_time_and_so_do_their_labels() {
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.csv");
    let before = SystemClock.now().to_string();
    let pipe = Pipe::new(usize::MAX);
    let job = job("--live --rate 100 --duration 3s").unwrap();
    job.stream(pipe.clone(), Some(&labels), None).unwrap();
    let lines = pipe.lines();
    let text = fs::read_to_string(&labels).unwrap();
    assert_eq!(lines.len(), 3);
    for (line, label) in lines.iter().zip(text.lines().skip(1)) {
        let time = line["time"].as_str().unwrap();
        assert!(time[..16] >= before[..16], "{time} is before {before}");
        assert_eq!(label, format!("{time},0"));
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_a_remedy() {
    for (line, remedy) in [
        ("--period 0s", "must be 1ms to 1h"),
        ("--period 2h", "must be 1ms to 1h"),
        ("--rate 0", "leave it out"),
        ("--rate NaN", "leave it out"),
        ("--duration 1s --period 2s", "give a longer one"),
        ("--rate 10 --random-faults 3", "give a --duration"),
        ("--rate 10 --labels x.csv", "give a --duration"),
        ("--duration 30m --random-faults 9", "longer --duration"),
        ("--rate 10 --out x.csv", "cannot be used with"),
        ("--live --start 2026-01-01T00:00:00Z", "cannot be used with"),
        ("--start yesterday", "write a time such as"),
        ("--duration 6", "time unit needed"),
    ] {
        let error = format!("{:#}", job(line).unwrap_err());
        assert!(error.contains(remedy), "{line}: {error}");
    }
    assert_eq!(job("").unwrap().rows, Some(86_400));
    assert_eq!(job("--live").unwrap().rate, Some(1.0));
}
