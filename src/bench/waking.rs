//! What it takes this machine to wake a thread, and to bring a model's weights back to it: the part of a
//! service's processor time that no program can save but by waking less, or by a smaller model. In a virtual
//! machine, whose processor has to be fetched back from the host and finds its caches used by others, it can be
//! more than all the work. Imports nothing.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Numbers of a cache line; one of each line is read.
const LINE: usize = 16;

/// Processor time of one wake-up, the mean of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeUp {
    /// Of a thread that then does nothing.
    pub alone: Duration,
    /// Of a thread that then reads all of a model's weights, once.
    pub fetching: Duration,
}

/// Wakes a thread `times` times, `period` after the time before, by a byte on a socket, as a row wakes the
/// service; in the second half it reads as much memory each time as `weights` numbers of 32 bits take. `None`
/// where the kernel has no clock of a thread's, or below two times. Takes `times` periods.
pub fn wake_up(period: Duration, times: u32, weights: usize) -> Option<WakeUp> {
    let half = times / 2;
    let (mut waker, mut woken) = UnixStream::pair().ok()?;
    // In a thread of its own, which has nothing else to do.
    let sleeper = thread::Builder::new().name("wake-up".to_owned());
    let sleeper = sleeper.spawn(move || {
        // Not zeros, which the kernel may have as one page that all share.
        let memory = vec![1_u32; weights];
        let mut wake = |fetch: bool| {
            let begin = own_time()?;
            for _ in 0..half {
                woken.read_exact(&mut [0]).ok()?;
                if fetch {
                    let lines = memory.iter().step_by(LINE);
                    black_box(lines.fold(0, |sum: u32, one| sum.wrapping_add(*one)));
                }
            }
            own_time()?.checked_sub(begin)?.checked_div(half)
        };
        Some(WakeUp {
            alone: wake(false)?,
            fetching: wake(true)?,
        })
    });
    let sleeper = sleeper.ok()?;
    for _ in 0..2 * half {
        // A timer's wake-up takes more, and is the load's to pay.
        thread::sleep(period);
        waker.write_all(&[0]).ok()?;
    }
    sleeper.join().ok()?
}

fn own_time() -> Option<Duration> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?;
    Some(Duration::from(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_wake_up_takes_time_and_less_than_the_sleep_before_it() {
        let begin = Instant::now();
        let took = wake_up(Duration::from_millis(5), 20, 1000).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(100));
        assert!(took.alone > Duration::ZERO && took.alone < Duration::from_millis(5));
    }

    #[test]
    fn what_is_read_is_paid_for() {
        // 64 MiB: milliseconds, whatever else runs.
        let took = wake_up(Duration::from_millis(1), 4, 16 << 20).unwrap();
        assert!(
            took.fetching > took.alone + Duration::from_micros(500),
            "{took:?}"
        );
        assert_eq!(wake_up(Duration::from_millis(1), 1, 1000), None);
    }
}
