//! The worker ends with the process that started it.

use std::io;
use std::os::fd::AsFd;
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Ends this process as soon as nobody holds the other end of its stdin, in the middle of a
/// computation too.
///
/// The kernel's parent-death signal would not do: it is sent when the *thread* that started the
/// worker ends, and the daemon may well start it from a short-lived one.
pub fn end_with_parent() -> Result<(), String> {
    thread::Builder::new()
        .name("parent".to_owned())
        .spawn(|| {
            let stdin = io::stdin();
            loop {
                // No event is asked for: hang-up and error are always reported.
                let mut pipe = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
                if poll(&mut pipe, PollTimeout::NONE).is_ok() {
                    // SAFETY: ends the process whatever its other threads do. Not exit(3): that
                    // runs libtorch's destructors for a second, and beside a main thread that
                    // still computes.
                    unsafe { nix::libc::_exit(0) };
                }
            }
        })
        .map(drop)
        .map_err(|error| format!("cannot start a thread: {error}"))
}
