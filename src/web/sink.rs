//! Alarms on their way to the page. Imports `alarm` and `output`.

use super::feed::Feed;
use crate::alarm::AlarmEvent;
use crate::output::Sink;

pub struct WebSink {
    pub feed: Feed,
}

impl Sink for WebSink {
    fn name(&self) -> &'static str {
        "web"
    }

    /// Handing an alarm over costs nothing that a pause would save.
    fn may_pause(&self) -> bool {
        false
    }

    fn tell(&mut self, event: &AlarmEvent) -> std::io::Result<()> {
        self.feed.alarm(event);
        Ok(())
    }
}
