//! For the process that trains in the background: it takes only what nobody else wants, and ends
//! with the service. Imports nothing of the crate.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::thread;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// `IOPRIO_WHO_PROCESS` and `IOPRIO_CLASS_IDLE` of linux/ioprio.h.
const IO_WHO_PROCESS: libc::c_int = 1;
const IO_IDLE: libc::c_int = 3 << 13;

/// Gives this process, and those that it starts, the lowest priority for processor and disk, and
/// makes it the first that the kernel ends when memory is short. What is not granted (in a sandbox)
/// is returned.
pub fn become_idle() -> Vec<String> {
    let mut refused = Vec::new();
    let mut note = |what: &str, result: io::Result<()>| {
        if let Err(error) = result {
            refused.push(format!("{what}: {error}"));
        }
    };
    let adjusted = fs::write("/proc/self/oom_score_adj", "1000");
    note("first to be ended when memory is short", adjusted);
    // SAFETY: takes three numbers; 0 is this process.
    note(
        "nice",
        done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) }),
    );
    note("idle scheduling", schedule_idle());
    // SAFETY: takes three numbers, as ioprio_set(2) says; 0 is this process.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_IDLE) };
    note("idle disk access", done(i32::from(result != 0)));
    refused
}

fn schedule_idle() -> io::Result<()> {
    // SAFETY: all of its fields are numbers, for which 0 is a value.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live structure, which is only read.
    done(unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends this process as soon as nobody holds the other end of its standard input. (The kernel's
/// parent-death signal comes when the thread ends that started a process, which is too early.)
///
/// # Errors
/// No thread can be started.
pub fn end_with_parent() -> io::Result<()> {
    let watch = || {
        let stdin = io::stdin();
        loop {
            // No event is asked for: hang-up and error are always reported.
            let mut pipe = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
            if poll(&mut pipe, PollTimeout::NONE).is_ok() {
                std::process::exit(1);
            }
        }
    };
    let thread = thread::Builder::new().name("parent".to_owned());
    thread.spawn(watch).map(drop)
}
