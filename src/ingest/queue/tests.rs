use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::frame::Timestamp;

fn row(sensors: usize, value: f64) -> Vec<Sample> {
    (0..sensors)
        .map(|sensor| Sample {
            sensor,
            time: Timestamp::from_seconds(1),
            value,
        })
        .collect()
}

fn popped(queue: &SampleQueue) -> Vec<Ingested> {
    let mut buf = queue.buffer();
    queue.pop_wait(&mut buf, Duration::ZERO);
    buf
}

#[test]
fn a_full_queue_drops_whole_old_rows_and_counts_their_samples() {
    let queue = SampleQueue::new(7);
    for value in [1.0, 2.0, 3.0] {
        queue.push_row(&row(3, value));
    }
    assert_eq!(queue.dropped(), 3);
    let got = popped(&queue);
    let values: Vec<f64> = got.iter().map(|ingested| ingested.sample.value).collect();
    assert_eq!(values, [2.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
    let ends: Vec<bool> = got.iter().map(|ingested| ingested.end_of_row).collect();
    assert_eq!(ends, [false, false, true, false, false, true]);
}

#[test]
fn a_row_larger_than_the_queue_keeps_its_last_samples() {
    let queue = SampleQueue::new(2);
    queue.push_row(&row(5, 1.0));
    assert_eq!(queue.dropped(), 3);
    let sensors: Vec<usize> = popped(&queue).iter().map(|i| i.sample.sensor).collect();
    assert_eq!(sensors, [3, 4]);
}

#[test]
fn popping_waits_for_a_sample_and_for_no_longer_than_the_timeout() {
    let queue = Arc::new(SampleQueue::new(10));
    let mut buf = queue.buffer();
    let started = Instant::now();
    let timeout = Duration::from_millis(20);
    assert_eq!(queue.pop_wait(&mut buf, timeout), Popped::TimedOut);
    assert!(started.elapsed() >= timeout);

    let pusher = Arc::clone(&queue);
    let thread = std::thread::spawn(move || pusher.push_row(&row(1, 5.0)));
    assert_eq!(
        queue.pop_wait(&mut buf, Duration::from_secs(30)),
        Popped::Samples
    );
    assert_eq!(buf[0].sample.value, 5.0);
    thread.join().unwrap();

    // Before the wait just as well.
    queue.wake();
    let long = Duration::from_secs(30);
    assert_eq!(queue.pop_wait(&mut buf, long), Popped::TimedOut);
}

#[test]
fn a_sample_that_is_not_the_last_one_wanted_wakes_nobody() {
    let queue = SampleQueue::new(100);
    let push = |samples| queue.lock().append(&row(samples, 1.0));
    queue.lock().wanted = 5;
    assert_eq!(
        [2, 2, 1, 1, 7].map(push),
        [false, false, true, false, false]
    );
    queue.lock().wanted = NOBODY;
    assert!(!push(40));
}

#[test]
fn samples_that_are_fewer_than_wanted_come_at_the_end_of_the_wait() {
    let queue = SampleQueue::new(100);
    let mut buf = queue.buffer();
    queue.push_row(&row(3, 1.0));
    let short = Duration::from_millis(1);
    assert_eq!(queue.pop_many(&mut buf, 50, short), Popped::Samples);
    assert_eq!(buf.len(), 3);
    // Other news too.
    queue.push_row(&row(3, 1.0));
    queue.wake();
    let long = Duration::from_secs(60);
    assert_eq!(queue.pop_many(&mut buf, 50, long), Popped::Samples);
}

#[tokio::test]
async fn wanting_more_than_there_is_room_for_does_not_hold_up_a_large_row() {
    let queue = Arc::new(SampleQueue::new(10));
    let popper = Arc::clone(&queue);
    let popping = tokio::task::spawn_blocking(move || {
        let mut buf = popper.buffer();
        let mut got = 0;
        while popper.pop_many(&mut buf, 1000, Duration::from_secs(60)) == Popped::Samples {
            got += buf.len();
        }
        got
    });
    for _ in 0..100 {
        queue.push_row_waiting(&row(4, 1.0)).await;
        queue.push_row_waiting(&row(9, 1.0)).await;
    }
    queue.close();
    assert_eq!(popping.await.unwrap(), 1300);
    assert_eq!(queue.dropped(), 0);
}

#[tokio::test]
async fn who_waits_for_room_already_is_not_held_up_by_a_pop_that_wants_more() {
    let queue = SampleQueue::new(10);
    queue.push_row(&row(4, 1.0));
    let large = row(9, 2.0);
    let mut pushing = std::pin::pin!(queue.push_row_waiting(&large));
    assert!(polled_once(pushing.as_mut()).is_pending());
    let mut buf = queue.buffer();
    let (started, long) = (Instant::now(), Duration::from_secs(60));
    assert_eq!(queue.pop_many(&mut buf, 5, long), Popped::Samples);
    assert!(started.elapsed() < long / 2, "it waited for more");
    assert_eq!(buf.len(), 4);
    pushing.await;
    assert_eq!(queue.pop_many(&mut buf, 5, long), Popped::Samples);
    assert_eq!(buf.len(), 9);
    // Nobody waits for room any more: as many as are wanted are waited for.
    queue.push_row(&row(4, 3.0));
    let short = Duration::from_millis(20);
    let started = Instant::now();
    assert_eq!(queue.pop_many(&mut buf, 5, short), Popped::Samples);
    assert!(started.elapsed() >= short);
}

/// Polls once.
fn polled_once(future: std::pin::Pin<&mut impl Future>) -> std::task::Poll<()> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    future.poll(&mut context).map(|_| ())
}

#[test]
fn a_closed_queue_gives_what_it_holds_and_then_says_closed() {
    let queue = SampleQueue::new(10);
    queue.push_row(&row(1, 5.0));
    queue.close();
    queue.push_row(&row(1, 6.0));
    assert_eq!(queue.dropped(), 1);
    let mut buf = queue.buffer();
    let long = Duration::from_secs(30);
    assert_eq!(queue.pop_wait(&mut buf, long), Popped::Samples);
    assert_eq!(buf.len(), 1);
    assert_eq!(queue.pop_wait(&mut buf, long), Popped::Closed);
    assert!(buf.is_empty());
}

#[tokio::test]
async fn a_waiting_push_loses_nothing() {
    let queue = Arc::new(SampleQueue::new(4));
    let pusher = Arc::clone(&queue);
    let pushing = tokio::spawn(async move {
        for value in 0..1000 {
            pusher.push_row_waiting(&row(2, f64::from(value))).await;
        }
        pusher.close();
    });
    let got = tokio::task::spawn_blocking(move || {
        let mut buf = queue.buffer();
        let mut got = Vec::new();
        while queue.pop_wait(&mut buf, Duration::from_secs(30)) == Popped::Samples {
            got.extend(buf.iter().map(|ingested| ingested.sample.value));
        }
        assert_eq!(queue.dropped(), 0);
        got
    });
    pushing.await.unwrap();
    let expected: Vec<f64> = (0..1000).flat_map(|v| [f64::from(v); 2]).collect();
    assert_eq!(got.await.unwrap(), expected);
}

proptest! {
    #[test]
    fn rows_stay_whole_and_every_sample_is_accounted_for(
        capacity in 1_usize..20,
        rows in proptest::collection::vec(0_usize..8, 0..40),
    ) {
        let queue = SampleQueue::new(capacity);
        for (number, &sensors) in rows.iter().enumerate() {
            queue.push_row(&row(sensors, number as f64));
            prop_assert!(queue.len() <= capacity);
        }
        let got = popped(&queue);
        let pushed: usize = rows.iter().sum();
        prop_assert_eq!(got.len() as u64 + queue.dropped(), pushed as u64);
        for row in got.split_inclusive(|ingested| ingested.end_of_row) {
            prop_assert!(row.last().unwrap().end_of_row);
            let number = row[0].sample.value;
            prop_assert!(row.iter().all(|ingested| ingested.sample.value == number));
            prop_assert_eq!(row.len(), rows[number as usize].min(capacity));
        }
    }
}

#[test]
fn waiting_for_the_end_leaves_what_is_queued() {
    let queue = SampleQueue::new(4);
    assert_eq!(queue.wait_closed(Duration::ZERO), Popped::TimedOut);
    queue.wake();
    assert_eq!(queue.wait_closed(Duration::from_secs(60)), Popped::TimedOut);
    queue.close();
    assert_eq!(queue.wait_closed(Duration::from_secs(60)), Popped::Closed);
}
