//! Alarms on stdout, one JSON object a line.

use std::io::Write;

use super::Sink;
use crate::alarm::AlarmEvent;

#[derive(Debug, Default)]
pub struct StdoutSink {
    line: Vec<u8>,
}

impl Sink for StdoutSink {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn tell(&mut self, event: &AlarmEvent) -> std::io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)?;
        self.line.push(b'\n');
        let mut out = std::io::stdout().lock();
        // One write a line, so that a reader never sees half an event.
        out.write_all(&self.line)?;
        out.flush()
    }
}
