//! Nothing is allocated for a sample in steady state, from the text of a row to its score.
//!
//! Covered: NDJSON lines from a client of the socket, through the queue into a live stream, CSV rows into a stream that judges
//! ahead as `replay` does; both with the native engine, three heads and the watch for silent sensors.
//! Not covered: alarms themselves (rare), the torch engine (its worker's pipes), MQTT's client.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anomalyd::clock::SystemClock;
use anomalyd::engine::torch::TorchConfig;
use anomalyd::frame::Timestamp;
use anomalyd::frame::align::AlignConfig;
use anomalyd::ingest::csv::{BadValues, ColumnMap, CsvOptions, CsvReader};
use anomalyd::ingest::ndjson::NdjsonSource;
use anomalyd::ingest::{Popped, SampleQueue, SensorIndex, Source, SourceContext, SourceStatus};
use anomalyd::model::ModelFile;
use anomalyd::pipeline::{
    EngineChoice, Happening, Outcome, Pipeline, PipelineConfig, Stream, open_engine,
};
use anomalyd::simulate::Plant;
use anomalyd::simulate::record::{LineFormat, header, push_frame};
use jiff::tz::TimeZone;

const WARM_UP: usize = 300;
const FRAMES: usize = 1000;

thread_local! {
    /// Allocations of this thread, so that the test beside does not count.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as for this function.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as for this function.
        unsafe { System.realloc(old, layout, size) }
    }
    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Allocations of `work`.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

fn model() -> ModelFile {
    ModelFile::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo.pt")).unwrap()
}

fn stream(model: &ModelFile) -> Stream {
    let (engine, _) = open_engine(model, EngineChoice::Native, &TorchConfig::default()).unwrap();
    let pipeline = Pipeline::new(model, engine, &PipelineConfig::default());
    let align = AlignConfig::new(model.manifest.period_nanos());
    Stream::new(pipeline, align, true)
}

/// Frames of a day on which the model raises no alarm, as lines of text.
fn lines(format: LineFormat) -> Vec<Vec<u8>> {
    let mut plant = Plant::new(1, Duration::from_secs(10));
    let line = |row: usize| {
        let mut line = Vec::new();
        let time = Timestamp::from_seconds(1_790_000_000 + 10 * row as i64);
        push_frame(&mut line, format, time, plant.step());
        line
    };
    (0..WARM_UP + FRAMES).map(line).collect()
}

#[test]
fn the_counter_counts() {
    let mut text = String::new();
    assert!(allocations(|| write!(text, "{}", 12_345).unwrap()) > 0);
    text.clear();
    assert_eq!(allocations(|| write!(text, "{}", 678).unwrap()), 0);
}

#[test]
fn a_live_stream_allocates_nothing() {
    let model = model();
    let mut stream = stream(&model);
    let names = model.manifest.sensor_names();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let ctx = SourceContext {
        sensors: Arc::new(SensorIndex::new(&names)),
        queue: Arc::new(SampleQueue::new(1000)),
        clock: Arc::new(SystemClock),
        status: Arc::new(SourceStatus::new("test")),
        stop: stopped,
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.sock");
    let source = Box::new(NdjsonSource::socket(path.clone(), TimeZone::UTC));
    let mut buffer = ctx.queue.buffer();
    let queue = Arc::clone(&ctx.queue);
    // It accepts the client in a thread of its own, and the thread that takes samples reads.
    let serving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(source.run(ctx)).unwrap();
    });
    let mut client = loop {
        match UnixStream::connect(&path) {
            Ok(client) => break client,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let (mut scored, mut alarms) = (0, 0);
    let mut judge = |line: &[u8]| {
        client.write_all(line).unwrap();
        while queue.pop_wait(&mut buffer, Duration::from_secs(60)) != Popped::Samples {}
        for ingested in &buffer {
            stream.push(
                ingested.sample,
                ingested.end_of_row,
                &mut |happening| match happening {
                    Happening::Frame(_, Outcome::Scored(..)) => scored += 1,
                    Happening::Frame(..) => {}
                    Happening::Alarm(_) => alarms += 1,
                },
            );
        }
    };
    let lines = lines(LineFormat::Json);
    let (early, late) = lines.split_at(WARM_UP);
    early.iter().for_each(|line| judge(line));
    let allocated = allocations(|| late.iter().for_each(|line| judge(line)));
    assert_eq!(scored, WARM_UP + FRAMES - (model.manifest.window - 1));
    assert_eq!((alarms, allocated), (0, 0));
    stop.send(true).unwrap();
    serving.join().unwrap();
}

#[test]
fn a_replay_allocates_nothing() {
    let model = model();
    let mut stream = stream(&model);
    stream.set_ahead(32);
    let mut text = header().into_bytes();
    text.extend(lines(LineFormat::Csv).concat());
    let options = CsvOptions {
        zone: TimeZone::UTC,
        bad: BadValues::Missing,
    };
    let mut reader = CsvReader::from_source(&text[..], Path::new("test.csv"), options).unwrap();
    let names = model.manifest.sensor_names();
    let map = ColumnMap::new(&names, reader.sensors());
    let (mut row, mut values) = (Vec::new(), vec![f64::NAN; names.len()]);
    let (mut scored, mut alarms) = (0, 0);
    let mut judge = |_| {
        let time = reader.next_row(&mut row).unwrap().unwrap();
        map.apply(&row, &mut values);
        stream.push_row(time, &values, &mut |happening| match happening {
            Happening::Frame(_, Outcome::Scored(..)) => scored += 1,
            Happening::Frame(..) => {}
            Happening::Alarm(_) => alarms += 1,
        });
    };
    (0..WARM_UP).for_each(&mut judge);
    let allocated = allocations(|| (0..FRAMES).for_each(&mut judge));
    // Those that still wait are not among them.
    assert!(
        scored > WARM_UP + FRAMES - model.manifest.window - 32,
        "{scored}"
    );
    assert_eq!((alarms, allocated), (0, 0));
}
