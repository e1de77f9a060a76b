use proptest::prelude::*;

use super::*;

const PERIOD: i64 = 1_000;

/// Pushes and asks for frames; `nows` are the times of the timer after each push.
fn frames(
    sensors: usize,
    config: AlignConfig,
    samples: &[Sample],
    mut now: impl FnMut(usize) -> Option<i64>,
) -> Vec<Frame> {
    let mut aligner = Aligner::new(sensors, config);
    let mut frame = Frame::new(sensors);
    let mut out = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        aligner.push(*sample);
        while aligner.next_frame(None, &mut frame) {
            out.push(frame.clone());
        }
        let now = now(at).map(Timestamp);
        while now.is_some() && aligner.next_frame(now, &mut frame) {
            out.push(frame.clone());
        }
    }
    while aligner.finish(&mut frame) {
        out.push(frame.clone());
    }
    out
}

/// Frames compared by their text: NaN is equal to itself there.
fn text(frames: &[Frame]) -> String {
    format!("{frames:?}")
}

fn any_samples(sensors: usize) -> impl Strategy<Value = Vec<Sample>> {
    let time = prop_oneof![
        4 => 0..50 * PERIOD,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
    ];
    let value = prop_oneof![-1e3..1e3, Just(f64::NAN), Just(f64::INFINITY)];
    let sample = (0..sensors + 1, time, value).prop_map(|(sensor, time, value)| Sample {
        sensor,
        time: Timestamp(time),
        value,
    });
    proptest::collection::vec(sample, 0..120)
}

/// A stream in order: per period, which of 3 sensors delivers, within 0.4 periods of the instant,
/// and gaps of some periods now and then.
fn stream() -> impl Strategy<Value = Vec<Vec<Sample>>> {
    let sensor = proptest::option::weighted(0.8, (-400_i64..400, -10.0..10.0_f64));
    let period = (
        proptest::collection::vec(sensor, 3),
        prop_oneof![9 => Just(1_i64), 1 => 2..9_i64],
    );
    proptest::collection::vec(period, 1..40).prop_map(|periods| {
        let mut index = 0;
        let mut out = vec![vec![
            sample(0, 0, 1.0),
            sample(1, 0, 1.0),
            sample(2, 0, 1.0),
        ]];
        for (sensors, step) in periods {
            index += step;
            let delivered = sensors.into_iter().enumerate();
            let samples = delivered.filter_map(|(sensor, delivered)| {
                let (jitter, value) = delivered?;
                Some(sample(sensor, index * PERIOD + jitter, value))
            });
            out.push(samples.collect());
        }
        out
    })
}

fn sample(sensor: usize, time: i64, value: f64) -> Sample {
    Sample {
        sensor,
        time: Timestamp(time),
        value,
    }
}

proptest! {
    #[test]
    fn any_samples_give_sound_frames(
        samples in any_samples(3),
        period in prop::sample::select(vec![i64::MIN, 0, 1, 7, PERIOD, i64::MAX]),
        hold in 0_u32..5,
        nows in proptest::collection::vec(any::<Option<i64>>(), 120),
    ) {
        let config = AlignConfig { hold, ..AlignConfig::new(period) };
        let frames = frames(3, config, &samples, |at| nows[at]);
        for frame in &frames {
            for (value, freshness) in frame.values.iter().zip(&frame.freshness) {
                prop_assert_eq!(value.is_finite(), *freshness != Freshness::Stale);
            }
            prop_assert!(frame.values.iter().any(|value| value.is_finite()));
        }
        let starts = frames.iter().filter(|frame| frame.restart).count();
        prop_assert!(frames.is_empty() || starts >= 1);
        for pair in frames.windows(2) {
            let step = i128::from(pair[1].time.nanos()) - i128::from(pair[0].time.nanos());
            prop_assert!(step > 0);
            let regular = step == i128::from(period.clamp(1, YEAR_NANOS));
            // The last instant that i64 can tell is nearer than a period.
            prop_assert!(pair[1].restart || regular || pair[1].time.nanos() == i64::MAX);
        }
        // Each sample makes at most its own frame and `hold` others.
        prop_assert!(frames.len() <= samples.len() * (1 + hold as usize));
    }

    #[test]
    fn rows_at_any_time_give_sound_frames(
        rows in proptest::collection::vec((any::<i64>(), -1.0..1.0_f64), 0..50),
    ) {
        let mut aligner = Aligner::new(2, AlignConfig::new(PERIOD));
        let mut frame = Frame::new(2);
        let mut last = None;
        for (time, value) in rows {
            aligner.push_row(Timestamp(time), &[value]);
            while aligner.next_frame(None, &mut frame) {
                prop_assert!(last < Some(frame.time));
                last = Some(frame.time);
            }
        }
    }

    #[test]
    fn a_place_that_is_remembered_is_where_the_sample_belongs(
        rows in proptest::collection::vec((any_samples(3), 1..5_usize), 0..40),
        hold in 0_u32..5,
    ) {
        let config = AlignConfig { hold, ..AlignConfig::new(PERIOD) };
        // Samples that share a time with the ones before, as those of a row do; and clocks that are set.
        let samples = rows.iter().flat_map(|(samples, together)| {
            samples.iter().enumerate().map(move |(at, sample)| {
                let first = &samples[at - at % together];
                Sample { time: first.time, ..*sample }
            })
        });
        let (mut one, mut other) = (Aligner::new(3, config), Aligner::new(3, config));
        let (mut frame, mut wanted) = (Frame::new(3), Frame::new(3));
        for sample in samples {
            one.push(sample);
            other.placed = None;
            other.push(sample);
            loop {
                let made = one.next_frame(None, &mut frame);
                prop_assert_eq!(made, other.next_frame(None, &mut wanted));
                if !made {
                    break;
                }
                prop_assert_eq!(format!("{frame:?}"), format!("{wanted:?}"));
            }
        }
        prop_assert_eq!(format!("{:?}", one.counters()), format!("{:?}", other.counters()));
    }

    #[test]
    fn frames_are_no_more_than_periods(stream in stream()) {
        let samples = stream.concat();
        let span = samples.last().map_or(0, |sample| sample.time.nanos());
        let frames = frames(3, AlignConfig::new(PERIOD), &samples, |_| None);
        prop_assert!(frames.len() as i64 <= span / PERIOD + 2);
    }

    #[test]
    fn the_timer_makes_no_other_frames_than_the_samples(
        stream in stream(),
        ticks in proptest::collection::vec(0_i64..1_400, 200),
    ) {
        let samples = stream.concat();
        let config = AlignConfig::new(PERIOD);
        let replayed = frames(3, config, &samples, |_| None);
        // A clock that has nothing to do with the samples' own runs on between them; it is read
        // with each sample, at some time before the next one, and just before that.
        let mut newest = 0;
        let mut aligner = Aligner::new(3, config);
        let mut frame = Frame::new(3);
        let mut live = Vec::new();
        for (at, sample) in samples.iter().enumerate() {
            aligner.push(*sample);
            newest = newest.max(sample.time.nanos());
            let next = samples.get(at + 1).map_or(0, |next| next.time.nanos());
            let pause = (next - newest).max(0);
            for tick in [0, ticks[at % ticks.len()].min(pause), pause] {
                let wall = Timestamp(newest + tick - 1_000_000);
                while aligner.next_frame(Some(wall), &mut frame) {
                    live.push(frame.clone());
                }
            }
        }
        while aligner.finish(&mut frame) {
            live.push(frame.clone());
        }
        prop_assert_eq!(text(&live), text(&replayed));
    }

    #[test]
    fn the_order_within_a_period_does_not_matter(
        stream in proptest::collection::vec(proptest::collection::vec((-400_i64..400, -10.0..10.0_f64), 3), 1..30),
        missing in proptest::collection::vec(0_usize..12, 30),
        orders in proptest::collection::vec(Just(vec![0_usize, 1, 2]).prop_shuffle(), 30),
    ) {
        let mut ordered = vec![sample(0, 0, 1.0), sample(1, 0, 1.0), sample(2, 0, 1.0)];
        let mut shuffled = ordered.clone();
        for (at, period) in stream.iter().enumerate() {
            let read = |sensor: usize| {
                let (jitter, value) = period[sensor];
                let value = if missing[at] == sensor { f64::NAN } else { value };
                sample(sensor, (at as i64 + 1) * PERIOD + jitter, value)
            };
            ordered.extend((0..3).map(read));
            shuffled.extend(orders[at].iter().copied().map(read));
        }
        let config = AlignConfig::new(PERIOD);
        prop_assert_eq!(
            text(&frames(3, config, &shuffled, |_| None)),
            text(&frames(3, config, &ordered, |_| None))
        );
    }
}
