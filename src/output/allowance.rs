//! How fast an output may catch up. Imports nothing.

use std::time::Duration;

use tokio::time::Instant;

/// As good as for ever.
const LATER: Duration = Duration::from_secs(86_400);

/// How many messages may go.
pub struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    pub fn new(per_second: u32) -> Self {
        Allowance {
            left: f64::from(per_second),
            at: Instant::now(),
        }
    }

    fn refill(&mut self, per_second: u32) {
        let now = Instant::now();
        let more = now.duration_since(self.at).as_secs_f64() * f64::from(per_second);
        self.left = (self.left + more).min(f64::from(per_second));
        self.at = now;
    }

    /// Whether one more may go; it is counted then.
    pub fn take(&mut self, per_second: u32) -> bool {
        self.refill(per_second);
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }

    /// When one more may go; in a day where it may now.
    pub fn next(&mut self, per_second: u32) -> Instant {
        self.refill(per_second);
        match self.left >= 1.0 {
            true => self.at + LATER,
            false => {
                let missing = (1.0 - self.left) / f64::from(per_second);
                self.at + Duration::from_secs_f64(missing.max(1e-3))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep_until;

    use super::*;

    #[tokio::test]
    async fn catching_up_is_limited() {
        let mut allowance = Allowance::new(10);
        let begun = Instant::now();
        let mut gone = 0_u32;
        while begun.elapsed() < Duration::from_millis(350) {
            while allowance.take(10) {
                gone += 1;
            }
            sleep_until(allowance.next(10).min(begun + Duration::from_millis(350))).await;
        }
        // Ten at once, and one every tenth of a second, however slow this machine is.
        assert!(gone >= 10, "{gone}");
        let most = 10.0 + begun.elapsed().as_secs_f64() * 10.0 + 1.0;
        assert!(f64::from(gone) <= most, "{gone} of {most}");
    }
}
