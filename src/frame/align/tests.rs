use super::*;

const SECOND: i64 = 1_000_000_000;

/// Aligner of a grid of seconds, and all that it gave: seconds, values and freshness as text
/// (`5`, held `(5)`, stale `-`), `|` before a restart.
struct Bench {
    aligner: Aligner,
    frame: Frame,
    out: Vec<String>,
}

impl Bench {
    fn new(sensors: usize) -> Self {
        Bench::with(sensors, AlignConfig::new(SECOND))
    }

    fn with(sensors: usize, config: AlignConfig) -> Self {
        Bench {
            aligner: Aligner::new(sensors, config),
            frame: Frame::new(sensors),
            out: Vec::new(),
        }
    }

    fn note(&mut self) {
        let frame = &self.frame;
        let cells = frame.values.iter().zip(&frame.freshness);
        let cells: Vec<String> = cells
            .map(|(value, freshness)| match freshness {
                Freshness::Fresh => format!("{value}"),
                Freshness::Held => format!("({value})"),
                Freshness::Stale => "-".into(),
            })
            .collect();
        let restart = if frame.restart { "|" } else { "" };
        let seconds = frame.time.nanos() / SECOND;
        self.out
            .push(format!("{restart}{seconds}: {}", cells.join(" ")));
    }

    fn now(&mut self, now: Option<f64>) -> &mut Self {
        let now = now.map(at);
        while self.aligner.next_frame(now, &mut self.frame) {
            self.note();
        }
        self
    }

    fn sample(&mut self, sensor: usize, time: f64, value: f64) -> &mut Self {
        let time = at(time);
        self.aligner.push(Sample {
            sensor,
            time,
            value,
        });
        self.now(None)
    }

    fn row(&mut self, time: f64, values: &[f64]) -> &mut Self {
        self.aligner.push_row(at(time), values);
        self.now(None)
    }

    fn finish(&mut self) -> &mut Self {
        while self.aligner.finish(&mut self.frame) {
            self.note();
        }
        self
    }

    /// What came since the last call.
    #[track_caller]
    fn gives(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(self.out, expected);
        self.out.clear();
        self
    }
}

fn at(seconds: f64) -> Timestamp {
    Timestamp((seconds * SECOND as f64).round() as i64)
}

#[test]
fn a_row_is_a_frame_at_once() {
    let mut bench = Bench::new(2);
    bench.row(100.0, &[1.0, 2.0]).gives(&["|100: 1 2"]);
    bench.row(101.02, &[3.0, f64::NAN]).gives(&["101: 3 (2)"]);
    bench
        .row(101.98, &[f64::INFINITY, 4.0])
        .gives(&["102: (3) 4"]);
    // A row that lacks is passed over as soon as the next one is there.
    bench
        .row(104.0, &[5.0, 6.0])
        .gives(&["103: (3) (4)", "104: 5 6"]);
    assert_eq!(bench.aligner.counters().missing, [2, 2]);
    assert_eq!(bench.aligner.counters().frames, 5);
}

#[test]
fn samples_wait_for_those_who_came_before() {
    let mut bench = Bench::new(3);
    bench.sample(0, 0.0, 1.0).sample(1, 0.1, 2.0).gives(&[]);
    // Nobody is known yet: sensor 2 is waited for, one period past the frame's end.
    bench.sample(0, 1.0, 3.0).sample(1, 1.1, 4.0).gives(&[]);
    bench.sample(0, 2.0, 5.0).gives(&["|0: 1 2 -", "1: 3 4 -"]);
    bench.sample(1, 2.1, 6.0).gives(&["2: 5 6 -"]);
    // A reported missing value is a delivery.
    bench
        .sample(0, 3.0, 7.0)
        .sample(1, 3.1, f64::NAN)
        .gives(&["3: 7 (6) -"]);
}

#[test]
fn a_sensor_that_always_comes_last_is_waited_for_from_then_on() {
    let mut bench = Bench::new(2);
    bench
        .sample(0, 0.0, 1.0)
        .sample(0, 1.0, 2.0)
        .sample(0, 2.0, 3.0);
    bench.gives(&["|0: 1 -", "1: 2 -", "2: 3 -"]);
    bench.sample(1, 2.2, 30.0).gives(&[]);
    bench.sample(0, 3.0, 4.0).gives(&[]);
    bench.sample(1, 3.2, 40.0).gives(&["3: 4 40"]);
    bench
        .sample(0, 4.0, 5.0)
        .sample(1, 4.2, 50.0)
        .gives(&["4: 5 50"]);
    assert_eq!(bench.aligner.counters().late_dropped, 1);
}

#[test]
fn a_missing_sensor_is_held_then_stale_then_fresh_again() {
    let mut bench = Bench::new(2);
    bench.row(0.0, &[1.0, 9.0]);
    for second in 1..6 {
        bench.row(f64::from(second), &[1.0, f64::NAN]);
    }
    bench.row(6.0, &[1.0, 8.0]).gives(&[
        "|0: 1 9", "1: 1 (9)", "2: 1 (9)", "3: 1 (9)", "4: 1 -", "5: 1 -", "6: 1 8",
    ]);
}

#[test]
fn a_gap_costs_its_held_frames_and_restarts() {
    let held = ["1: (1)", "2: (1)", "3: (1)"];
    let mut bench = Bench::new(1);
    bench.row(0.0, &[1.0]).gives(&["|0: 1"]);
    bench
        .row(100.0, &[2.0])
        .gives(&[&held[..], &["|100: 2"]].concat());
    assert_eq!(bench.aligner.counters().gaps, 1);
    // Just as long as values are held: not a gap.
    bench.row(104.0, &[3.0]);
    bench.gives(&["101: (2)", "102: (2)", "103: (2)", "104: 3"]);

    let mut live = Bench::new(1);
    live.row(0.0, &[1.0]).now(Some(7.0)).gives(&["|0: 1"]);
    live.now(Some(8.4)).gives(&[]);
    live.now(Some(9.6)).gives(&[held[0]]);
    live.now(Some(50.0)).gives(&held[1..]);
    live.now(Some(99.0)).gives(&[]);
    live.row(100.0, &[2.0]).gives(&["|100: 2"]);
    assert_eq!(
        live.aligner.counters(),
        &AlignCounters {
            frames: 5,
            gaps: 1,
            missing: vec![3],
            ..AlignCounters::default()
        }
    );
}

#[test]
fn rows_without_any_value_are_a_gap_too() {
    let mut bench = Bench::with(
        1,
        AlignConfig {
            hold: 1,
            ..AlignConfig::new(SECOND)
        },
    );
    bench.row(0.0, &[f64::NAN]).gives(&[]);
    bench
        .row(1.0, &[1.0])
        .row(2.0, &[])
        .row(3.0, &[f64::NAN])
        .row(4.0, &[2.0]);
    bench.gives(&["|1: 1", "2: (1)", "|4: 2"]);
}

#[test]
fn late_samples_find_their_open_frame() {
    let mut bench = Bench::new(2);
    bench
        .sample(0, 0.0, 1.0)
        .sample(1, 0.0, 1.0)
        .gives(&["|0: 1 1"]);
    bench.sample(0, 1.0, 2.0).sample(0, 2.0, 3.0).gives(&[]);
    bench.sample(1, 1.0, 2.0).gives(&["1: 2 2"]);
    bench.sample(1, 2.0, 3.0).gives(&["2: 3 3"]);
    bench.sample(0, 0.0, 7.0).sample(0, -5.0, 7.0).gives(&[]);
    assert_eq!(bench.aligner.counters().late_dropped, 2);
    bench.sample(9, 3.0, 1.0);
    assert_eq!(bench.aligner.counters().unknown_sensor, 1);
}

#[test]
fn the_last_of_several_values_counts_once_they_are_known_to_come() {
    let mut bench = Bench::with(1, AlignConfig::new(10 * SECOND));
    for second in 0..35 {
        bench.row(f64::from(second), &[f64::from(second)]);
    }
    // Periods reach from 5 to 14, 15 to 24 and 25 to 34 s.
    bench
        .finish()
        .gives(&["|0: 0", "10: 14", "20: 24", "30: 34"]);
    assert_eq!(bench.aligner.counters().duplicates, 31);
    bench.row(35.0, &[1.0]).finish().gives(&["40: 1"]);
}

#[test]
fn a_message_that_comes_twice_changes_nothing() {
    let mut bench = Bench::new(1);
    bench.row(0.0, &[1.0]).row(0.0, &[1.0]).gives(&["|0: 1"]);
    bench.row(1.0, &[2.0]).gives(&["1: 2"]);
    assert_eq!(bench.aligner.counters().duplicates, 1);
}

#[test]
fn a_clock_set_back_is_followed_without_going_back() {
    let mut bench = Bench::new(2);
    for second in 3600..3603 {
        bench.row(f64::from(second), &[f64::from(second), 1.0]);
    }
    bench.out.clear();
    // The first row there may be a mistake.
    bench.row(3.0, &[3.0, 1.0]).gives(&[]);
    bench.row(4.0, &[4.0, 1.0]);
    bench.gives(&["3603: (3602) (1)", "3604: 4 1"]);
    bench.row(5.0, &[5.0, 1.0]).gives(&["3605: 5 1"]);
    assert_eq!(bench.aligner.counters().clock_steps, 1);
    assert_eq!(bench.aligner.counters().late_dropped, 2);
    assert_eq!(bench.aligner.clock_offset_nanos(), 3600 * SECOND);
    // A gap long enough brings the true time back.
    bench.row(9000.0, &[6.0, 1.0]);
    bench.gives(&[
        "3606: (5) (1)",
        "3607: (5) (1)",
        "3608: (5) (1)",
        "|9000: 6 1",
    ]);
    assert_eq!(bench.aligner.clock_offset_nanos(), 0);
}

#[test]
fn one_sensor_with_a_wrong_clock_moves_nobody() {
    let mut bench = Bench::new(2);
    for second in 1000..1200 {
        let second = f64::from(second);
        bench.sample(0, second, second);
        bench.sample(1, second, 1.0);
        bench.sample(1, second - 900.0, 2.0);
    }
    assert_eq!(bench.out.len(), 200);
    assert_eq!(bench.out[199], "1199: 1199 1");
    assert_eq!(bench.aligner.counters().clock_steps, 0);
    assert_eq!(bench.aligner.counters().late_dropped, 200);
}

#[test]
fn a_clock_set_back_is_followed_though_a_sensor_failed_with_it() {
    let mut bench = Bench::new(2);
    bench.row(1000.0, &[1.0, 1.0]).gives(&["|1000: 1 1"]);
    for second in 0..70 {
        bench.sample(0, f64::from(second), 2.0);
    }
    assert_eq!(bench.aligner.counters().clock_steps, 1);
    assert!(
        bench.out.last().unwrap().starts_with("10"),
        "{:?}",
        bench.out.last()
    );
}

#[test]
fn a_far_time_must_be_confirmed_and_costs_no_frames() {
    let year_2025 = 1_764_079_387.0;
    let mut bench = Bench::new(1);
    bench
        .row(0.0, &[1.0])
        .row(year_2025, &[9.0])
        .row(1.0, &[2.0]);
    bench.gives(&["|0: 1", "1: 2"]);
    assert_eq!(bench.aligner.counters().ahead_dropped, 1);
    bench.row(year_2025, &[3.0]).row(year_2025 + 1.0, &[4.0]);
    bench.gives(&["2: (2)", "3: (2)", "4: (2)", "|1764079388: 4"]);
    assert_eq!(bench.aligner.counters().clock_steps, 1);
}

#[test]
fn a_wrong_first_time_is_forgotten() {
    let mut bench = Bench::new(2);
    bench.sample(0, 0.0, 1.0);
    let start = 1_764_079_387.0;
    bench.sample(1, start, 2.0).gives(&[]);
    bench
        .sample(1, start + 1.0, 3.0)
        .sample(0, start + 1.0, 4.0);
    bench.gives(&["|1764079388: 4 3"]);
}

#[test]
fn a_value_held_from_before_a_wrong_first_time_is_forgotten_too() {
    let mut bench = Bench::new(1);
    let start = 1_764_079_387.0;
    // Missing, then too late for its frame: held, though no frame was ever made.
    bench
        .sample(0, start, f64::NAN)
        .sample(0, start + 30.0, f64::NAN);
    bench.sample(0, start + 30.0, 1.0).gives(&[]);
    bench.sample(0, 7.0, 2.0).sample(0, 8.0, 3.0);
    bench.now(Some(0.0)).now(Some(60.0));
    bench.gives(&["|8: 3", "9: (3)", "10: (3)", "11: (3)"]);
}

#[test]
fn a_new_recording_starts_anew() {
    let mut bench = Bench::new(1);
    bench.row(100.0, &[1.0]).row(101.0, &[2.0]);
    bench.aligner.restart();
    bench.row(7.5, &[3.0]).row(8.5, &[f64::NAN]);
    bench.gives(&["|100: 1", "101: 2", "|7: 3", "8: (3)"]);
}

#[test]
fn the_end_of_a_recording_gives_what_waits() {
    let mut bench = Bench::new(2);
    bench
        .sample(0, 0.0, 1.0)
        .sample(1, 0.0, 1.0)
        .sample(0, 2.0, 3.0);
    bench.gives(&["|0: 1 1"]);
    bench.finish().gives(&["1: (1) (1)", "2: 3 (1)"]);
    bench.finish().gives(&[]);
}

#[test]
fn silence_is_told_once_with_the_last_time() {
    let config = AlignConfig {
        stale_after_nanos: 10 * SECOND,
        ..AlignConfig::new(SECOND)
    };
    let mut bench = Bench::with(3, config);
    let before = bench.aligner.silent_generation();
    for second in 0..=10 {
        let b = if second < 3 { 1.0 } else { f64::NAN };
        bench.row(f64::from(second), &[1.0, b, f64::NAN]);
    }
    assert_eq!(bench.aligner.silent_generation(), before);
    bench.row(11.0, &[1.0, f64::NAN, f64::NAN]);
    let never = Silent {
        sensor: 2,
        last_seen: None,
    };
    assert!(bench.aligner.silent().eq([never]));
    bench.row(12.0, &[1.0, f64::NAN, f64::NAN]);
    bench.row(13.0, &[1.0, f64::NAN, f64::NAN]);
    let gone = Silent {
        sensor: 1,
        last_seen: Some(at(2.0)),
    };
    assert!(bench.aligner.silent().eq([gone, never]));
    assert_eq!(bench.aligner.silent_generation(), before + 2);
    bench.row(14.0, &[1.0, 5.0, f64::NAN]);
    assert!(bench.aligner.silent().eq([never]));
    assert_eq!(bench.aligner.silent_generation(), before + 3);
}

#[test]
fn silence_needs_no_sample() {
    let mut bench = Bench::new(1);
    bench.now(Some(1000.0)).now(Some(1299.0));
    assert_eq!(bench.aligner.silent().count(), 0);
    bench.now(Some(1301.0));
    assert_eq!(bench.aligner.silent().count(), 1);
    bench.row(5.0, &[1.0]);
    assert_eq!(bench.aligner.silent().count(), 0);
    // 5 minutes after the last value, and not a period earlier.
    bench.now(Some(1302.0)).now(Some(1700.0));
    let (aligner, end) = (&mut bench.aligner, at(305.0));
    assert_eq!(aligner.settled_until(), Some(at(402.0)));
    assert_eq!(aligner.look_for_silence(end, None), None);
    assert_eq!(aligner.look_for_silence(at(402.0), None), Some(at(306.0)));
    let gone = Silent {
        sensor: 0,
        last_seen: Some(at(5.0)),
    };
    assert!(aligner.silent().eq([gone]));
    assert_eq!(aligner.last_value(0), Some(1.0));
    assert_eq!(aligner.look_for_silence(at(402.0), None), None);
    let also = Some(at(310.5));
    assert_eq!(
        aligner.look_for_silence(at(402.0), also),
        Some(at(311.0)),
        "asked for"
    );
}

#[test]
fn those_who_deliver_together_fall_silent_together() {
    let mut bench = Bench::new(3);
    // On either side of the grid's instants, which the first sample sets.
    for second in 0..3 {
        let second = f64::from(second);
        bench.sample(0, second, 1.0);
        bench.sample(1, second + 0.2, 1.0);
        bench.sample(2, second + 0.9, 1.0);
    }
    assert_eq!(bench.aligner.gap_before(at(302.0)), None);
    assert_eq!(bench.aligner.gap_before(at(1000.2)), Some(at(1000.0)));
    assert_eq!(bench.aligner.gap_before(at(1e9)), None, "not believed");
    bench.aligner.pass_until(at(1000.0));
    bench.now(None);
    let looks: Vec<_> = std::iter::from_fn(|| {
        let aligner = &mut bench.aligner;
        let instant = aligner.look_for_silence(at(1000.0), None)?;
        Some((instant, aligner.silent().count()))
    })
    .collect();
    assert_eq!(looks, [(at(303.0), 2), (at(304.0), 3)]);
}

#[test]
fn a_sensor_that_is_held_longer_is_missed_later() {
    let mut aligner = Aligner::new(2, AlignConfig::new(SECOND));
    aligner.set_hold(1, 600);
    let mut frame = Frame::new(2);
    aligner.push_row(Timestamp::EPOCH, &[1.0, 2.0]);
    let mut silent = |second: i64| {
        aligner.push_row(Timestamp::from_seconds(second), &[1.0, f64::NAN]);
        while aligner.next_frame(None, &mut frame) {}
        aligner.silent().count()
    };
    assert_eq!((silent(301), silent(601), silent(602)), (0, 0, 1));
}

#[test]
fn frames_that_are_not_taken_are_lost_and_counted() {
    let mut bench = Bench::new(1);
    for second in 0..5 {
        bench
            .aligner
            .push_row(at(f64::from(second)), &[f64::from(second)]);
    }
    bench.now(None).gives(&["|2: 2", "3: 3", "4: 4"]);
    assert_eq!(bench.aligner.counters().overrun, 2);
}

#[test]
fn a_sensor_may_be_held_longer_than_the_rest() {
    let mut aligner = Aligner::new(2, AlignConfig::new(SECOND));
    aligner.set_hold(1, 10);
    let mut frame = Frame::new(2);
    aligner.push_row(Timestamp::EPOCH, &[1.0, 2.0]);
    let mut last = Vec::new();
    for second in 1..=12 {
        aligner.push_row(Timestamp::from_seconds(second), &[1.0, f64::NAN]);
        while aligner.next_frame(None, &mut frame) {
            last.push(frame.freshness[1]);
        }
    }
    assert_eq!(last[0], Freshness::Fresh);
    assert_eq!(last[1..=10], [Freshness::Held; 10]);
    assert_eq!(last[11..], [Freshness::Stale; 2]);
}
