use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Instant;

use super::super::{Ingested, Lent, Popped};
use super::*;
use crate::frame::{Sample, Timestamp};

const LONG: Duration = Duration::from_secs(60);

fn sample(value: f64) -> Sample {
    Sample {
        sensor: 0,
        time: Timestamp::EPOCH,
        value,
    }
}

/// Each byte is a row of one sample; reads three at a time.
struct Bytes {
    socket: UnixStream,
    left: Mutex<Vec<u8>>,
}

impl Bytes {
    fn pair() -> (UnixStream, Arc<dyn Direct>) {
        let (ours, socket) = UnixStream::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let left = Mutex::default();
        (ours, Arc::new(Bytes { socket, left }))
    }
}

impl Direct for Bytes {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn turn(&self, queue: &SampleQueue) -> Went {
        let mut left = self.left.lock().unwrap();
        let mut ended = false;
        if left.is_empty() {
            let mut bytes = [0; 3];
            match (&self.socket).read(&mut bytes) {
                Ok(0) => ended = true,
                Ok(read) => left.extend_from_slice(&bytes[..read]),
                Err(_) => return Went::Waits,
            }
        }
        while let Some(&first) = left.first() {
            if !queue.try_push(&[sample(f64::from(first))]) {
                return Went::NoRoom;
            }
            left.remove(0);
        }
        if ended { Went::Ended } else { Went::Waits }
    }
}

fn values(buf: &[Ingested]) -> Vec<f64> {
    buf.iter().map(|ingested| ingested.sample.value).collect()
}

/// A queue, and a stream that it reads.
fn queue(capacity: usize) -> (Arc<SampleQueue>, UnixStream, Lent) {
    let queue = Arc::new(SampleQueue::new(capacity));
    let (ours, stream) = Bytes::pair();
    let lent = queue.read_directly(stream).unwrap();
    (queue, ours, lent)
}

/// Empties `queue` in a thread of its own until it is closed; gives what comes, pop by pop.
fn popping(queue: &Arc<SampleQueue>, wanted: usize) -> mpsc::Receiver<(Popped, Vec<f64>)> {
    let (send, receive) = mpsc::channel();
    let queue = Arc::clone(queue);
    std::thread::spawn(move || {
        let mut buf = queue.buffer();
        loop {
            let popped = queue.pop_many(&mut buf, wanted, LONG);
            let said = send.send((popped, values(&buf)));
            if popped == Popped::Closed || said.is_err() {
                return;
            }
        }
    });
    receive
}

#[test]
fn a_stream_is_read_by_whoever_waits_for_samples() {
    let (queue, mut ours, _lent) = queue(100);
    let mut buf = queue.buffer();
    let begin = Instant::now();
    let short = Duration::from_millis(20);
    assert_eq!(queue.pop_wait(&mut buf, short), Popped::TimedOut);
    assert!(begin.elapsed() >= short);

    ours.write_all(&[7, 8]).unwrap();
    assert_eq!(queue.pop_wait(&mut buf, LONG), Popped::Samples);
    assert_eq!(values(&buf), [7.0, 8.0]);
    // As many as are wanted are waited for, in however many pieces they come.
    ours.write_all(&[1, 2, 3, 4, 5]).unwrap();
    assert_eq!(queue.pop_many(&mut buf, 5, LONG), Popped::Samples);
    assert_eq!(values(&buf), [1.0, 2.0, 3.0, 4.0, 5.0]);
    ours.write_all(&[9]).unwrap();
    assert_eq!(queue.pop_many(&mut buf, 5, short), Popped::Samples);
    assert_eq!(values(&buf), [9.0]);
}

#[test]
fn other_sources_orders_and_the_end_are_heard_while_a_stream_is_waited_for() {
    let queue = Arc::new(SampleQueue::new(100));
    let pops = popping(&queue, 1);
    // The pop waits for samples alone until there is a stream.
    std::thread::sleep(Duration::from_millis(20));
    let (mut ours, stream) = Bytes::pair();
    let _lent = queue.read_directly(stream).unwrap();
    for round in 0..50 {
        ours.write_all(&[round]).unwrap();
        let value = f64::from(round);
        assert_eq!(pops.recv().unwrap(), (Popped::Samples, vec![value]));
        queue.push_row(&[sample(-value)]);
        assert_eq!(pops.recv().unwrap(), (Popped::Samples, vec![-value]));
        queue.wake();
        assert_eq!(pops.recv().unwrap(), (Popped::TimedOut, vec![]));
    }
    queue.close();
    assert_eq!(pops.recv().unwrap(), (Popped::Closed, vec![]));
}

#[test]
fn what_there_is_no_room_for_is_kept_and_in_nobodys_way() {
    let (queue, mut first, _first) = queue(2);
    let mut buf = queue.buffer();
    let (mut second, stream) = Bytes::pair();
    let _second = queue.read_directly(stream).unwrap();
    let sent: Vec<u8> = (1..=100).collect();
    first.write_all(&sent).unwrap();
    second.write_all(&[101, 102, 103, 104]).unwrap();
    let mut got = Vec::new();
    while got.len() < 104 {
        // Not one pop waits, although all want more than the queue can hold.
        let begin = Instant::now();
        assert_eq!(queue.pop_many(&mut buf, 1000, LONG), Popped::Samples);
        assert!(begin.elapsed() < LONG / 2);
        got.extend(values(&buf));
    }
    let (of_second, of_first): (Vec<f64>, Vec<f64>) = got.iter().partition(|&&value| value > 100.0);
    let expected: Vec<f64> = sent.iter().map(|&byte| f64::from(byte)).collect();
    assert_eq!(of_first, expected);
    assert_eq!(of_second, [101.0, 102.0, 103.0, 104.0]);
    assert_eq!(queue.dropped(), 0);
    // Waited for again.
    first.write_all(&[7]).unwrap();
    assert_eq!(queue.pop_wait(&mut buf, LONG), Popped::Samples);
    assert_eq!(values(&buf), [7.0]);
}

#[test]
fn a_full_stream_does_not_spin_while_nobody_takes_samples() {
    let (queue, mut ours, _lent) = queue(2);
    ours.write_all(&[1, 2, 3, 4, 5, 6]).unwrap();
    // Gone, too, which is an event of its own.
    drop(ours);
    let begin = Instant::now();
    let cpu = cpu_time();
    let wait = Duration::from_millis(200);
    assert_eq!(queue.wait_closed(wait), Popped::TimedOut);
    assert!(begin.elapsed() >= wait);
    assert!(cpu_time() - cpu < wait / 4, "it was awake");
    assert_eq!(queue.len(), 2);
}

/// Of this thread.
fn cpu_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).unwrap().into()
}

#[test]
fn a_stream_that_is_taken_back_or_ends_is_not_read_any_more() {
    let (queue, mut kept, lent) = queue(100);
    let mut buf = queue.buffer();
    let (mut taken, stream) = Bytes::pair();
    let taken_back = queue.read_directly(stream).unwrap();
    taken.write_all(&[1]).unwrap();
    drop(taken_back);
    assert_eq!(queue.pop_wait(&mut buf, Duration::ZERO), Popped::TimedOut);

    kept.write_all(&[2]).unwrap();
    drop(kept);
    assert_eq!(queue.pop_wait(&mut buf, LONG), Popped::Samples);
    assert_eq!(queue.pop_wait(&mut buf, Duration::ZERO), Popped::TimedOut);
    let streams = queue.streams().unwrap();
    assert!(streams.lock().streams.iter().all(Option::is_none));
    // Its place is another's by now: to take back what has ended takes nothing from that one.
    let (mut next, stream) = Bytes::pair();
    let _next = queue.read_directly(stream).unwrap();
    drop(lent);
    next.write_all(&[3]).unwrap();
    assert_eq!(queue.pop_wait(&mut buf, LONG), Popped::Samples);
    assert_eq!(values(&buf), [3.0]);
}

#[test]
fn many_streams_at_once_are_all_read() {
    let queue = Arc::new(SampleQueue::new(1000));
    let mut buf = queue.buffer();
    let mut ours = Vec::new();
    let mut lent = Vec::new();
    for number in 0..3 * AT_A_TIME as u8 {
        let (mut writer, stream) = Bytes::pair();
        lent.push(queue.read_directly(stream).unwrap());
        writer.write_all(&[number]).unwrap();
        ours.push(writer);
    }
    let mut got = Vec::new();
    while got.len() < ours.len() {
        assert_eq!(queue.pop_wait(&mut buf, LONG), Popped::Samples);
        got.extend(values(&buf));
    }
    got.sort_by(f64::total_cmp);
    let expected: Vec<f64> = (0..ours.len()).map(|number| number as f64).collect();
    assert_eq!(got, expected);
}

#[test]
fn a_wait_is_never_shorter_than_was_asked_for() {
    for (nanos, expected) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2)] {
        let timeout = milliseconds(Duration::from_nanos(nanos));
        assert_eq!(timeout, EpollTimeout::try_from(expected).unwrap());
    }
    let day = EpollTimeout::try_from(86_400_000).unwrap();
    assert_eq!(milliseconds(Duration::MAX), day);
}
