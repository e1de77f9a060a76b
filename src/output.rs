//! Stage 7: where alarms go. A [`Sink`] is written to by the `out` thread alone, in order, and an
//! alarm is never dropped on the way to it.
//!
//! Imports `frame` and `alarm` only.

mod log;
mod stdout;

pub use self::log::LogSink;
pub use self::stdout::StdoutSink;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::alarm::AlarmEvent;

/// Somewhere that alarms are told.
pub trait Sink: Send {
    /// As it is called in the log.
    fn name(&self) -> &'static str;

    /// Tells one event.
    ///
    /// # Errors
    /// It could not be told; the sink is tried again with the next event.
    fn tell(&mut self, event: &AlarmEvent) -> std::io::Result<()>;
}

/// The thread that tells alarms to all sinks. Ends when the last sender is dropped and everything
/// was told.
#[derive(Debug)]
pub struct OutputThread {
    sender: Sender<AlarmEvent>,
    thread: JoinHandle<()>,
}

impl OutputThread {
    /// # Errors
    /// The thread cannot be started.
    pub fn spawn(sinks: Vec<Box<dyn Sink>>) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("out".to_owned())
            .spawn(move || tell_all(&receiver, sinks))?;
        Ok(OutputThread { sender, thread })
    }

    pub fn sender(&self) -> Sender<AlarmEvent> {
        self.sender.clone()
    }

    /// Waits until everything is told. All other senders must be gone.
    pub fn finish(self) {
        drop(self.sender);
        if self.thread.join().is_err() {
            ::log::error!(target: "out", "the output thread panicked: alarms may be untold");
        }
    }
}

fn tell_all(receiver: &Receiver<AlarmEvent>, mut sinks: Vec<Box<dyn Sink>>) {
    // A sink that keeps failing is named at its first failure, and again once it has recovered.
    let mut failing = vec![false; sinks.len()];
    for event in receiver {
        for (sink, failing) in sinks.iter_mut().zip(&mut failing) {
            match sink.tell(&event) {
                Ok(()) => {
                    if std::mem::take(failing) {
                        ::log::info!(target: "out", "{} takes alarms again", sink.name());
                    }
                }
                Err(error) if !*failing => {
                    *failing = true;
                    ::log::error!(target: "out", "{}: alarm {}: {error}", sink.name(), event.id);
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::alarm::{AlarmKind, Transition};
    use crate::frame::Timestamp;

    struct Flaky {
        told: Arc<Mutex<Vec<String>>>,
        failures: usize,
    }

    impl Sink for Flaky {
        fn name(&self) -> &'static str {
            "flaky"
        }

        fn tell(&mut self, event: &AlarmEvent) -> std::io::Result<()> {
            if self.failures > 0 {
                self.failures -= 1;
                return Err(std::io::Error::other("full"));
            }
            self.told.lock().unwrap().push(event.id.clone());
            Ok(())
        }
    }

    #[test]
    fn every_event_is_told_in_order_and_a_failure_stops_nobody() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let flaky = |failures| {
            Box::new(Flaky {
                told: Arc::clone(&told),
                failures,
            })
        };
        let thread = OutputThread::spawn(vec![flaky(2), flaky(0)]).unwrap();
        for id in ["a", "b", "c"] {
            let event = AlarmEvent {
                id: id.to_owned(),
                kind: AlarmKind::Anomaly,
                transition: Transition::Raised,
                time: Timestamp::EPOCH,
                raised_at: Timestamp::EPOCH,
                score: 1.0,
                peak_score: 1.0,
                sensors: vec![],
                model: String::new(),
            };
            thread.sender().send(event).unwrap();
        }
        thread.finish();
        assert_eq!(*told.lock().unwrap(), ["a", "b", "c", "c"]);
    }
}
