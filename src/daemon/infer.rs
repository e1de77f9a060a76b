//! The inference thread: empties the queue into the stream and passes alarms on.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::alarm::AlarmEvent;
use crate::frame::Timestamp;
use crate::ingest::{Ingested, Popped, SampleQueue};
use crate::pipeline::{Happening, Outcome, Stream};

pub type InferThread = JoinHandle<Stream>;

/// Time passes in steps of at most this, so that silence is noticed.
const LONGEST_TICK: Duration = Duration::from_secs(1);
const SHORTEST_TICK: Duration = Duration::from_millis(20);
/// Failures of the engine are told at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Starts the thread. It ends when the queue is closed and empty; the receiver hears of any end.
///
/// # Errors
/// The thread cannot be started.
pub fn spawn(
    stream: Stream,
    queue: Arc<SampleQueue>,
    period: Duration,
    alarms: Sender<AlarmEvent>,
) -> std::io::Result<(InferThread, oneshot::Receiver<()>)> {
    let (alive, gone) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new()
        .name("infer".to_owned())
        .spawn(move || {
            let stream = run(stream, &queue, period, &alarms);
            drop(alive);
            stream
        })?;
    Ok((thread, gone))
}

fn run(
    mut stream: Stream,
    queue: &SampleQueue,
    period: Duration,
    alarms: &Sender<AlarmEvent>,
) -> Stream {
    let mut reporter = Reporter {
        alarms,
        unscored: 0,
        told: None,
    };
    let mut clock = StreamClock::default();
    let mut samples = queue.buffer();
    let mut dropped = 0;
    let tick = (period / 2).clamp(SHORTEST_TICK, LONGEST_TICK);
    let mut last_tick = Instant::now();
    loop {
        let popped = queue.pop_wait(&mut samples, tick);
        let mut listener = |happening: Happening<'_>| reporter.take(&happening);
        for Ingested { sample, end_of_row } in samples.drain(..) {
            clock.see(sample.time);
            stream.push(sample, end_of_row, &mut listener);
        }
        if queue.dropped() > dropped {
            let lost = queue.dropped() - dropped;
            dropped += lost;
            log::warn!(target: "infer", "{lost} samples were lost: more came than could be judged");
        }
        if popped == Popped::Closed {
            stream.finish(&mut listener);
            return stream;
        }
        if last_tick.elapsed() >= tick {
            last_tick = Instant::now();
            if let Some(now) = clock.now() {
                stream.tick(now, &mut listener);
            }
        }
    }
}

/// The time of the plant: that of the newest sample, moved on by how long ago it came.
///
/// The wall clock will not do: a board without a real-time clock jumps, and samples may carry the
/// time of a gateway whose clock is off.
#[derive(Default)]
struct StreamClock {
    newest: Option<(Timestamp, Instant)>,
}

impl StreamClock {
    fn see(&mut self, time: Timestamp) {
        if self.newest.is_none_or(|(newest, _)| time > newest) {
            self.newest = Some((time, Instant::now()));
        }
    }

    fn now(&self) -> Option<Timestamp> {
        self.newest.map(|(time, at)| time.plus(at.elapsed()))
    }
}

struct Reporter<'a> {
    alarms: &'a Sender<AlarmEvent>,
    /// Since last told.
    unscored: u64,
    told: Option<Instant>,
}

impl Reporter<'_> {
    fn take(&mut self, happening: &Happening<'_>) {
        match happening {
            Happening::Alarm(event) => {
                if self.alarms.send((*event).clone()).is_err() {
                    log::error!(target: "infer", "alarm {}: no output takes it", event.id);
                }
            }
            Happening::Frame(_, Outcome::Unscored(reason)) => {
                self.unscored += 1;
                if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    let count = self.unscored;
                    log::warn!(target: "infer", "{count} samples unscored, no alarm made up: {reason}");
                    self.unscored = 0;
                    self.told = Some(Instant::now());
                }
            }
            Happening::Frame(..) => {}
        }
    }
}
