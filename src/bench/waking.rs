//! What it takes this machine to wake a thread that then does nothing: the part of a service's processor
//! time that no program can save but by waking less. In a virtual machine, whose processor has to be
//! fetched back from the host, it can be more than all the work. Imports nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Processor time of one wake-up by a byte on a socket, as a row wakes the service, the mean of `times`, each
/// `period` after the one before; `None` where the kernel has no clock of a thread's. Takes `times` periods.
pub fn wake_up(period: Duration, times: u32) -> Option<Duration> {
    let (mut waker, mut woken) = UnixStream::pair().ok()?;
    // In a thread of its own, which has nothing else to do.
    let sleeper = thread::Builder::new().name("wake-up".to_owned());
    let sleeper = sleeper.spawn(move || {
        let begin = own_time()?;
        for _ in 0..times {
            woken.read_exact(&mut [0]).ok()?;
        }
        own_time()?.checked_sub(begin)
    });
    let sleeper = sleeper.ok()?;
    for _ in 0..times {
        // A timer's wake-up takes more, and is the load's to pay.
        thread::sleep(period);
        waker.write_all(&[0]).ok()?;
    }
    Some(sleeper.join().ok()?? / times.max(1))
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
        let took = wake_up(Duration::from_millis(5), 20).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(100));
        assert!(took > Duration::ZERO && took < Duration::from_millis(5));
    }
}
