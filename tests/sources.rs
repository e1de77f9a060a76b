//! Samples from standard input, a Unix socket and a growing CSV file.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

#[path = "sources/harness.rs"]
mod harness;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anomalyd::clock::ManualClock;
use anomalyd::ingest::ndjson::NdjsonSource;
use anomalyd::ingest::tail::{TailConfig, TailFrom, TailSource};
use anomalyd::ingest::{IngestError, Popped, SourceState};
use harness::{NOON, PATIENCE, Running, plain, start};
use jiff::tz::TimeZone;
use tokio::io::AsyncWriteExt;

const CLOCK: ManualClock = ManualClock(NOON);

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

// ---- a byte stream

#[tokio::test]
async fn lines_in_any_pieces_become_rows_and_the_end_of_the_stream_ends_the_source() {
    let (mut writer, reader) = tokio::io::duplex(64);
    let source = NdjsonSource::reader("pipe", reader, TimeZone::UTC);
    let mut running = start(source, &["LIT101", "tank.level"], CLOCK, 100);
    for piece in [
        &b"{\"LIT101\": 81"[..],
        b"2, \"tank\": {\"level\"",
        b": 3.5}}\n\n{\"LIT101\"",
        b": broken}\n\xff\xfe\n{\"LIT101\": 813, \"ts\": 1764072060}\n",
    ] {
        writer.write_all(piece).await.unwrap();
    }
    let samples = running.samples(3).await;
    let values: Vec<_> = samples.iter().map(|i| plain(i.sample)).collect();
    assert_eq!(values, [(0, 812.0), (1, 3.5), (0, 813.0)]);
    let times: Vec<i64> = samples
        .iter()
        .map(|i| i.sample.time.nanos_since(NOON))
        .collect();
    assert_eq!(times, [0, 0, 60_000_000_000]);
    assert_eq!(running.status.counters().bad, 2);

    // The last line needs no line feed.
    writer.write_all(b"{\"LIT101\": 814}").await.unwrap();
    drop(writer);
    let (result, rest) = running.end().await;
    result.unwrap();
    assert_eq!(rest, [(0, 814.0)]);
}

#[tokio::test]
async fn a_line_beyond_the_limit_is_dropped_and_counted() {
    let mut stream = b"{\"a\": 1}\n{\"a\": \"".to_vec();
    stream.resize(stream.len() + (1 << 20), b'x');
    stream.extend_from_slice(b"\"}\n{\"a\": 3}\n");
    let source = NdjsonSource::reader("pipe", std::io::Cursor::new(stream), TimeZone::UTC);
    let running = start(source, &["a"], CLOCK, 100);
    let status = Arc::clone(&running.status);
    let (result, values) = running.end().await;
    result.unwrap();
    assert_eq!(values, [(0, 1.0), (0, 3.0)]);
    assert_eq!(status.counters().bad, 1);
}

#[tokio::test]
async fn a_recording_piped_in_faster_than_it_is_worked_off_loses_nothing() {
    const ROWS: u32 = 20_000;
    let lines: String = (0..ROWS)
        .map(|row| format!("{{\"a\": {row}, \"b\": {row}}}\n"))
        .collect();
    let reader = std::io::Cursor::new(lines.into_bytes());
    let source = NdjsonSource::reader("pipe", reader, TimeZone::UTC);
    let running = start(source, &["a", "b"], CLOCK, 16);
    let queue = Arc::clone(&running.queue);
    let consumer = tokio::task::spawn_blocking(move || {
        let mut buf = queue.buffer();
        let mut next = 0;
        while next < ROWS {
            assert_eq!(queue.pop_wait(&mut buf, PATIENCE), Popped::Samples);
            for row in buf.chunks(2) {
                assert_eq!(row[0].sample.value, f64::from(next));
                assert!(!row[0].end_of_row && row[1].end_of_row);
                next += 1;
            }
        }
        queue.dropped()
    });
    assert_eq!(consumer.await.unwrap(), 0);
    running.end().await.0.unwrap();
}

#[tokio::test]
async fn a_stop_is_obeyed_at_once_even_with_a_full_queue() {
    let (writer, reader) = tokio::io::duplex(64);
    let idle = start(
        NdjsonSource::reader("idle", reader, TimeZone::UTC),
        &["a"],
        CLOCK,
        100,
    );
    idle.connected().await;
    assert!(idle.stop().await.is_empty());
    drop(writer);

    let lines = "{\"a\": 1}\n".repeat(5_000) + "{\"a\": 2}\n";
    let reader = std::io::Cursor::new(lines.into_bytes());
    let source = NdjsonSource::reader("full", reader, TimeZone::UTC);
    let full = start(source, &["a"], CLOCK, 3);
    let queue = Arc::clone(&full.queue);
    full.until("a full queue", |_| queue.len() == 3).await;
    // What was read is in the queue, as far as it has room: the newest rows.
    assert_eq!(full.stop().await, [(0, 1.0), (0, 1.0), (0, 2.0)]);
    assert_eq!(queue.dropped(), 4_998);
}

/// Standard input belongs to a process, so this test runs itself again as the process that reads.
#[test]
fn standard_input_is_read_whatever_it_is() {
    const CHILD: &str = "ANOMALYD_TEST_READS_STDIN";
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let values = runtime.block_on(async {
            let running = start(NdjsonSource::stdin(TimeZone::UTC), &["a"], CLOCK, 100);
            let (result, values) = running.end().await;
            result.unwrap();
            values
        });
        println!("values: {values:?}");
        return;
    }
    let run = |stdin: Stdio, write: Option<&mut dyn Write>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "standard_input_is_read_whatever_it_is",
            "--nocapture",
        ]);
        command.env(CHILD, "1").stdin(stdin).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(command);
        let lines = b"{\"a\": 1}\n{\"a\": 2}\n";
        match (write, child.stdin.take()) {
            (Some(other), _) => other.write_all(lines).unwrap(),
            (None, Some(mut pipe)) => pipe.write_all(lines).unwrap(),
            (None, None) => {}
        }
        child
    };
    let output = |mut child: std::process::Child| {
        let mut text = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        text
    };
    let expected = "values: [(0, 1.0), (0, 2.0)]";

    let text = output(run(Stdio::piped(), None));
    assert!(text.contains(expected), "pipe: {text}");

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = run(
        Stdio::from(std::os::fd::OwnedFd::from(theirs)),
        Some(&mut ours),
    );
    drop(ours);
    let text = output(child);
    assert!(text.contains(expected), "socket: {text}");

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.ndjson");
    fs::write(&path, "{\"a\": 1}\n{\"a\": 2}\n").unwrap();
    let text = output(run(Stdio::from(File::open(&path).unwrap()), None));
    assert!(text.contains(expected), "file: {text}");

    let text = output(run(Stdio::null(), None));
    assert!(text.contains("values: []"), "nothing: {text}");
}

// ---- a Unix socket

fn socket_source(path: &Path) -> NdjsonSource {
    NdjsonSource::socket(path.to_owned(), TimeZone::UTC)
}

#[tokio::test]
async fn any_number_of_clients_write_to_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ingest.sock");
    // A socket file that a killed process left behind.
    drop(UnixListener::bind(&path).unwrap());
    let mut running = start(socket_source(&path), &["a", "b"], CLOCK, 100);
    running.connected().await;
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);

    let mut first = UnixStream::connect(&path).unwrap();
    let mut second = UnixStream::connect(&path).unwrap();
    first.write_all(b"{\"a\": 1}\n{\"b\": ").unwrap();
    assert_eq!(running.values(1).await, [(0, 1.0)]);
    second.write_all(b"{\"b\": 2}\nnonsense\n").unwrap();
    assert_eq!(running.values(1).await, [(1, 2.0)]);
    // Each client's half lines are its own; a client that goes takes nobody along.
    drop(second);
    first.write_all(b"3}\n").unwrap();
    assert_eq!(running.values(1).await, [(1, 3.0)]);
    let mut third = UnixStream::connect(&path).unwrap();
    third
        .write_all(b"{\"sensor\": \"a\", \"value\": 4}\n")
        .unwrap();
    assert_eq!(running.values(1).await, [(0, 4.0)]);
    running
        .until("the bad line", |status| status.counters().bad == 1)
        .await;

    // Two clients are still connected.
    assert!(running.stop().await.is_empty());
    assert!(!path.exists());
}

#[tokio::test]
async fn clients_faster_than_they_are_worked_off_lose_nothing() {
    const ROWS: u32 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ingest.sock");
    let running = start(socket_source(&path), &["a", "b"], CLOCK, 16);
    running.connected().await;
    let writers = ["a", "b"].map(|sensor| {
        let mut client = UnixStream::connect(&path).unwrap();
        std::thread::spawn(move || {
            for row in 0..ROWS {
                // The last line has no end; its client's end is.
                let end = if row + 1 < ROWS { "\n" } else { "" };
                write!(client, "{{\"{sensor}\": {row}}}{end}").unwrap();
            }
        })
    });
    let queue = Arc::clone(&running.queue);
    let consumer = tokio::task::spawn_blocking(move || {
        let mut buf = queue.buffer();
        let mut next = [0; 2];
        while next != [ROWS; 2] {
            assert_eq!(queue.pop_wait(&mut buf, PATIENCE), Popped::Samples);
            for ingested in &buf {
                let next = &mut next[ingested.sample.sensor];
                assert_eq!(ingested.sample.value, f64::from(*next));
                *next += 1;
            }
        }
        queue.dropped()
    });
    assert_eq!(consumer.await.unwrap(), 0);
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(running.stop().await.is_empty());
}

#[tokio::test]
async fn a_stop_leaves_what_clients_were_read_in_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ingest.sock");
    let running = start(socket_source(&path), &["a"], CLOCK, 3);
    running.connected().await;
    let mut client = UnixStream::connect(&path).unwrap();
    client
        .write_all(b"{\"a\": 1}\n{\"a\": 2}\n{\"a\": 3}\n{\"a\": 4}\n{\"a\": 5}\n{\"a\": 6")
        .unwrap();
    // Nobody takes samples, as while a model is fitted: all is read, and three have room.
    let queue = Arc::clone(&running.queue);
    let reader = tokio::task::spawn_blocking(move || {
        let begin = Instant::now();
        while queue.len() < 3 && begin.elapsed() < PATIENCE {
            queue.wait_closed(Duration::from_millis(5));
        }
    });
    reader.await.unwrap();
    let queue = Arc::clone(&running.queue);
    assert_eq!(running.stop().await, [(0, 3.0), (0, 4.0), (0, 5.0)]);
    assert_eq!(queue.dropped(), 2);
}

#[tokio::test]
async fn more_clients_than_the_limit_are_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ingest.sock");
    let mut running = start(socket_source(&path), &["a"], CLOCK, 1000);
    running.connected().await;
    let mut clients = Vec::new();
    for number in 0..32_u8 {
        let mut client = UnixStream::connect(&path).unwrap();
        writeln!(client, "{{\"a\": {number}}}").unwrap();
        clients.push(client);
    }
    running.values(32).await;
    let surplus = UnixStream::connect(&path).unwrap();
    let turned_away = tokio::task::spawn_blocking(move || {
        let mut surplus = surplus;
        surplus.set_read_timeout(Some(PATIENCE)).unwrap();
        surplus.read(&mut [0])
    });
    assert_eq!(turned_away.await.unwrap().unwrap(), 0);
    running.stop().await;
}

#[tokio::test]
async fn a_path_that_is_in_use_or_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let used = dir.path().join("used.sock");
    let listener = UnixListener::bind(&used).unwrap();
    let (result, _) = start(socket_source(&used), &["a"], CLOCK, 10).end().await;
    assert!(
        matches!(result, Err(IngestError::InUse { .. })),
        "{result:?}"
    );
    drop(listener);

    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    let (result, _) = start(socket_source(&file), &["a"], CLOCK, 10).end().await;
    assert!(
        matches!(result, Err(IngestError::NotASocket { .. })),
        "{result:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"precious");

    let nowhere = dir.path().join("absent/ingest.sock");
    let (result, _) = start(socket_source(&nowhere), &["a"], CLOCK, 10)
        .end()
        .await;
    let message = result.unwrap_err().to_string();
    assert!(
        message.starts_with("cannot listen on") && message.contains("absent"),
        "{message}"
    );
}

// ---- a growing CSV file

fn tail(path: &Path, from: TailFrom) -> Running {
    let source = TailSource::new(TailConfig {
        path: path.to_owned(),
        from,
        zone: TimeZone::UTC,
    });
    start(source, &["a", "b"], CLOCK, 10_000)
}

fn csv_file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plant.csv");
    (dir, path)
}

#[tokio::test]
async fn a_file_is_waited_for_and_followed_line_by_line() {
    let (_dir, path) = csv_file();
    let mut running = tail(&path, TailFrom::End);
    running
        .until("the wait", |status| {
            status
                .state()
                .to_string()
                .ends_with("plant.csv is not there yet")
        })
        .await;
    // All of it is new, so it is read from its start although the end was asked for.
    append(
        &path,
        "time,b,c,a\n2025-11-25T12:00:00Z,2,9,1\n2025-11-25T12:00:01Z,4,",
    );
    assert_eq!(running.values(2).await, [(1, 2.0), (0, 1.0)]);
    append(&path, "9,3");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(running.queue.is_empty());
    append(&path, "\n2025-11-25T12:00:02Z,x,9,\nbroken\n");
    let samples = running.samples(4).await;
    let values: Vec<_> = samples.iter().map(|i| plain(i.sample)).collect();
    assert_eq!(values, [(1, 4.0), (0, 3.0), (1, -1.0), (0, -1.0)]);
    assert_eq!(samples[0].sample.time, NOON.add_nanos(1_000_000_000));
    assert!(samples[1].end_of_row && !samples[0].end_of_row);
    running
        .until("the bad row", |status| status.counters().bad == 2)
        .await;
    assert_eq!(running.status.counters().unknown, 1);
    assert!(running.stop().await.is_empty());
}

#[tokio::test]
async fn a_file_is_followed_from_its_start_or_from_its_end() {
    let (_dir, path) = csv_file();
    append(&path, "time,a\n1764072000,1\n1764072001,2\n17640");
    let mut from_start = tail(&path, TailFrom::Start);
    let mut from_end = tail(&path, TailFrom::End);
    from_end.connected().await;
    assert_eq!(from_start.values(2).await, [(0, 1.0), (0, 2.0)]);
    append(&path, "72002,3\n");
    assert_eq!(from_start.values(1).await, [(0, 3.0)]);
    assert_eq!(from_end.values(1).await, [(0, 3.0)]);
    assert_eq!(from_end.status.counters().bad, 0);
    from_start.stop().await;
    from_end.stop().await;
}

#[tokio::test]
async fn a_rotated_file_is_read_to_its_end_and_its_successor_from_its_start() {
    let (dir, path) = csv_file();
    append(&path, "time,a\n1764072000,1\n");
    let mut running = tail(&path, TailFrom::Start);
    assert_eq!(running.values(1).await, [(0, 1.0)]);
    let old = dir.path().join("plant.csv.1");
    fs::rename(&path, &old).unwrap();
    // Its writer still has it open.
    append(&old, "1764072001,2\n");
    assert_eq!(running.values(1).await, [(0, 2.0)]);
    append(&old, "1764072002,3\n1764072003,4");
    append(&path, "time,b,a\n1764072004,6,5\n");
    assert_eq!(
        running.values(4).await,
        [(0, 3.0), (0, 4.0), (1, 6.0), (0, 5.0)]
    );
    assert_eq!(running.status.counters().bad, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_file_that_is_cut_is_read_from_its_start_with_or_without_a_header() {
    let (_dir, path) = csv_file();
    append(
        &path,
        "time,a,b\n1764072000,1,2\n1764072001,1,2\n1764072002,1,2\n",
    );
    let mut running = tail(&path, TailFrom::Start);
    running.values(6).await;
    fs::write(&path, "time,b\n1764072003,3\n").unwrap();
    assert_eq!(running.values(1).await, [(1, 3.0)]);
    // The writer was not told that its file was cut.
    fs::write(&path, "1764072004,4\n").unwrap();
    assert_eq!(running.values(1).await, [(1, 4.0)]);
    append(&path, "1764072005,5\n");
    assert_eq!(running.values(1).await, [(1, 5.0)]);
    assert_eq!(running.status.counters().bad, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_file_without_a_header_is_reported_and_its_replacement_is_read() {
    let (_dir, path) = csv_file();
    append(&path, "1764072004,4\n");
    let mut running = tail(&path, TailFrom::Start);
    running
        .until("the report", |status| {
            matches!(status.state(), SourceState::Waiting { reason }
                if reason.contains("plant.csv:1: this line holds values, not names"))
        })
        .await;
    let new = path.with_extension("new");
    append(&new, "time,a\n1764072005,5\n");
    fs::rename(&new, &path).unwrap();
    assert_eq!(running.values(1).await, [(0, 5.0)]);
    assert_eq!(running.status.state(), SourceState::Connected);
    running.stop().await;
}

#[tokio::test]
async fn a_long_file_is_read_in_order_and_completely() {
    let (_dir, path) = csv_file();
    let rows: String = (0..50_000)
        .map(|row| format!("{},{row}\n", 1_764_072_000 + row))
        .collect();
    append(&path, &format!("time,a\n{rows}"));
    let started = Instant::now();
    // A tenth of it fits into the queue: the source has to wait.
    let source = TailSource::new(TailConfig {
        path,
        from: TailFrom::Start,
        zone: TimeZone::UTC,
    });
    let mut running = start(source, &["a"], CLOCK, 5_000);
    let values = running.values(50_000).await;
    println!("50000 rows in {:?}", started.elapsed());
    assert!(
        values
            .iter()
            .zip(0..)
            .all(|(&(_, value), row)| value == f64::from(row))
    );
    assert_eq!(running.queue.dropped(), 0);
    running.stop().await;
}
