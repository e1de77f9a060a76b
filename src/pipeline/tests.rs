use super::*;
use crate::alarm::{MuteTarget, Verdict};
use crate::engine::native::NativeEngine;
use crate::frame::align::AlignConfig;
use crate::model::golden::Golden;
use crate::model::manifest::example;
use crate::model::{GraphLstm, Network};

/// What the sensors FIT401 and P401 of the example read when all is well.
const USUAL: [f64; 2] = [1.71, 1.0];
const FAULT: [f64; 2] = [3.0, 1.0];
/// 2026-11-25
const START: i64 = 1_795_600_000;
const YEAR: i64 = 365 * 86_400;

fn network() -> GraphLstm {
    GraphLstm::init(2, 4, 10, 1, 1)
}

fn model(digest: &str) -> ModelFile {
    ModelFile {
        path: "plant.pt".into(),
        network: Network::GraphLstm(network()),
        manifest: example(),
        golden: Golden::default(),
        digest: digest.to_owned(),
    }
}

fn stream_of(model: &ModelFile) -> Stream {
    let engine = Box::new(NativeEngine::new(&network()).unwrap());
    let pipeline = Pipeline::new(model, engine, &PipelineConfig::default());
    let align = AlignConfig {
        period_nanos: 1_000_000_000,
        hold: 3,
        stale_after_nanos: 60_000_000_000,
    };
    Stream::new(pipeline, align, true)
}

fn stream() -> Stream {
    stream_of(&model("one"))
}

/// Feeds a row a second; gives the events.
fn feed(stream: &mut Stream, from: i64, seconds: i64, row: [f64; 2]) -> Vec<AlarmEvent> {
    let mut events = Vec::new();
    for second in from..from + seconds {
        let time = Timestamp::from_seconds(second);
        stream.push_row(time, &row, &mut |happening| {
            if let Happening::Alarm(event) = happening {
                events.push(event.clone());
            }
        });
    }
    events
}

fn transitions(events: &[AlarmEvent]) -> Vec<Transition> {
    events.iter().map(|event| event.transition).collect()
}

/// A stream whose alarm is on, and the raise.
fn in_alarm() -> (Stream, AlarmEvent) {
    let mut stream = stream();
    assert_eq!(feed(&mut stream, START, 60, USUAL), []);
    let mut events = feed(&mut stream, START + 60, 20, FAULT);
    assert_eq!(transitions(&events), [Transition::Raised]);
    (stream, events.remove(0))
}

#[test]
fn only_every_nth_frame_is_scored_on_an_unbroken_window() {
    let (mut all, mut half) = (stream(), stream());
    half.set_every(2);
    for second in 0..100 {
        let wave = (second as f64 * 0.7).sin() * 0.1;
        let row = [USUAL[0] + wave, USUAL[1] - wave];
        feed(&mut all, START + second, 1, row);
        let before = half.pipeline().counts().scored;
        feed(&mut half, START + second, 1, row);
        if half.pipeline().counts().scored > before {
            let [one, other] = [&half, &all].map(|s| &s.pipeline().foreseen.taken().expectation);
            assert_eq!(one, other);
        }
    }
    let counts = half.pipeline().counts();
    assert_eq!((counts.frames, counts.skipped), (100, 50));
    // The window of ten is full at the tenth frame, which is one of those that are scored.
    assert_eq!((counts.scored, all.pipeline().counts().scored), (46, 91));
    half.set_every(0);
    assert_eq!(half.pipeline().every(), 1);
}

#[test]
fn half_the_frames_still_find_the_fault() {
    let mut stream = stream();
    stream.set_every(2);
    stream.set_degraded(Some("every second sample scored".to_owned()));
    feed(&mut stream, START, 60, USUAL);
    let raised = feed(&mut stream, START + 60, 40, FAULT).remove(0);
    assert_eq!(
        raised.degraded.as_deref(),
        Some("every second sample scored")
    );
    assert!(
        raised
            .text(3)
            .ends_with("\n  degraded when raised: every second sample scored")
    );
    // What was degraded at the raise is said to the end.
    stream.set_degraded(None);
    stream.set_every(1);
    let cleared = feed(&mut stream, START + 100, 700, USUAL).pop().unwrap();
    assert_eq!(cleared.transition, Transition::Cleared);
    assert!(cleared.degraded.is_some());
}

#[test]
fn another_engine_goes_on_without_a_gap() {
    let (mut kept, mut changed) = (stream(), stream());
    for second in 0..40 {
        let row = [USUAL[0] + (second % 7) as f64 * 0.01, USUAL[1]];
        if second == 5 || second == 20 {
            changed.replace_engine(Box::new(NativeEngine::new(&network()).unwrap()));
        }
        feed(&mut kept, START + second, 1, row);
        feed(&mut changed, START + second, 1, row);
        assert_eq!(
            kept.pipeline().foreseen.taken().expectation,
            changed.pipeline().foreseen.taken().expectation,
            "{second}"
        );
    }
    assert_eq!(kept.pipeline().counts(), changed.pipeline().counts());
    assert_eq!(kept.save(), changed.save());
}

#[test]
fn a_muted_sensor_raises_nothing_until_its_time_is_over() {
    let mut stream = stream();
    feed(&mut stream, START, 60, USUAL);
    let until = Timestamp::from_seconds(START + 200);
    stream.mute(MuteTarget::Sensor(0), until).unwrap();
    assert_eq!(feed(&mut stream, START + 60, 140, FAULT), []);
    assert_eq!(stream.mutes().count(), 1);
    let events = feed(&mut stream, START + 200, 20, FAULT);
    assert_eq!(transitions(&events), [Transition::Raised]);
    assert_eq!(stream.mutes().count(), 0);
    let unheard = stream.mute(MuteTarget::Sensor(2), until.add_nanos(1_000_000_000_000));
    assert_eq!(
        unheard.unwrap_err().to_string(),
        "the model has 2 sensors, none of number 2"
    );
    assert!(matches!(
        stream.mute(MuteTarget::Sensor(0), until),
        Err(MuteError::Over { .. })
    ));
    assert!(!stream.unmute(&MuteTarget::Sensor(1)));
}

#[test]
fn a_muted_alarm_is_told_at_its_end_only() {
    let (mut stream, raised) = in_alarm();
    let until = Timestamp::from_seconds(START + YEAR);
    let not_open = stream.mute(MuteTarget::Alarm("zzzz".to_owned()), until);
    let text = not_open.unwrap_err().to_string();
    assert!(
        text.ends_with(&format!("nothing to mute; {} does", raised.id)),
        "{text}"
    );
    stream
        .mute(MuteTarget::Alarm(raised.id.clone()), until)
        .unwrap();
    // Two days: two notices would have been due.
    let mut events = Vec::new();
    for minute in 2..2_880 {
        events.extend(feed(&mut stream, START + minute * 60, 12, FAULT));
        assert_eq!(events, []);
    }
    let events = feed(&mut stream, START + 2_880 * 60, 700, USUAL);
    assert_eq!(transitions(&events), [Transition::Cleared]);
    assert_eq!(
        (events[0].id.as_str(), stream.mutes().count()),
        (raised.id.as_str(), 0)
    );
}

#[test]
fn a_sensor_that_falls_silent_while_muted_is_told_when_that_ends() {
    let mut stream = stream();
    feed(&mut stream, START, 20, USUAL);
    let until = Timestamp::from_seconds(START + 500);
    stream.mute(MuteTarget::Sensor(1), until).unwrap();
    let quiet = feed(&mut stream, START + 20, 480, [USUAL[0], f64::NAN]);
    assert_eq!(quiet, []);
    let told = feed(&mut stream, START + 500, 10, [USUAL[0], f64::NAN]);
    assert_eq!(transitions(&told), [Transition::Raised]);
    assert_eq!(
        (told[0].kind, told[0].sensors[0].sensor.as_str()),
        (AlarmKind::Silent, "P401")
    );
    // Also where nothing comes at all: time is let pass by a timer then.
    let mut stream = super::tests::stream();
    feed(&mut stream, START, 20, USUAL);
    for sensor in 0..2 {
        stream.mute(MuteTarget::Sensor(sensor), until).unwrap();
    }
    let mut told = Vec::new();
    for second in 0..600 {
        let ticks = Timestamp::from_seconds(second);
        stream.tick(ticks, ticks, &mut |happening| {
            if let Happening::Alarm(event) = happening {
                told.push(event.time);
            }
        });
    }
    assert_eq!(told, [until]);
}

#[test]
fn saying_that_it_is_normal_lets_the_scorer_learn() {
    let (mut stream, raised) = in_alarm();
    let centre = |stream: &Stream| stream.save().learnt.centre;
    let before = centre(&stream);
    feed(&mut stream, START + 80, 60, FAULT);
    assert_eq!(centre(&stream), before, "nothing is learnt in alarm");
    let level = stream.pipeline().machine().flood().level();
    let confirmed = stream.confirm(&raised.id, Verdict::Normal).unwrap();
    assert!(confirmed.is_on && confirmed.returned == 0.0);
    assert_eq!(stream.pipeline().machine().flood().level(), level);
    feed(&mut stream, START + 140, 60, FAULT);
    assert_ne!(centre(&stream), before);
    // Real after all: the notice is taken out, and learning stops.
    stream.confirm(&raised.id, Verdict::Real).unwrap();
    assert!(stream.pipeline().machine().flood().level() < level - 0.9);
    let learnt = centre(&stream);
    feed(&mut stream, START + 200, 60, FAULT);
    assert_eq!(centre(&stream), learnt);
}

/// What a restart `jump` seconds away from where the samples were makes of an alarm that stands.
fn resumed(jump: i64, digest: &str) -> (Stream, AlarmEvent, Resumed) {
    let (mut before, raised) = in_alarm();
    let last = START + 79;
    let minute = |n: i64| Timestamp::from_seconds(last + 60 * n);
    before.mute(MuteTarget::Sensor(1), minute(5)).unwrap();
    before.confirm(&raised.id, Verdict::Real).unwrap();
    let saved = serde_json::to_string(&before.save()).unwrap();
    let mut after = stream_of(&model(digest));
    let now = Timestamp::from_seconds(last + jump);
    let report = after.resume(serde_json::from_str(&saved).unwrap(), now);
    if digest == "one" {
        assert_eq!(after.save(), before.save());
    }
    (after, raised, report)
}

#[test]
fn an_alarm_that_stood_at_a_restart_stands_and_clears_whatever_the_clock_says() {
    for jump in [10, YEAR, -YEAR, -56 * YEAR] {
        let (mut stream, raised, report) = resumed(jump, "one");
        assert!(report.same_model);
        assert_eq!(report.open, std::slice::from_ref(&raised.id));
        let from = START + 80 + jump;
        // Where a year may have passed, it repeats its notice.
        let told = transitions(&feed(&mut stream, from, 60, FAULT));
        let due = [Transition::Updated];
        assert_eq!(told, due[..usize::from(jump == YEAR)], "{jump}");
        assert_eq!(stream.open_ids(), std::slice::from_ref(&raised.id));
        // A mute never gets longer; the time may have passed when the clock is ahead.
        let muted = stream.mutes().map(|mute| mute.until).next();
        assert_eq!(muted.is_some(), jump < 60, "{jump}");
        assert!(muted.is_none_or(|until| until <= Timestamp::from_seconds(from + 300)));
        let events = feed(&mut stream, from + 60, 700, USUAL);
        assert_eq!(transitions(&events), [Transition::Cleared], "{jump}");
        assert_eq!(events[0].id, raised.id);
        assert_eq!(events[0].verdict, Some(Verdict::Real));
        assert_eq!(stream.mutes().count(), 0);
        // Neither wedged nor wiped: the next fault is found, under another id.
        let level = stream.pipeline().machine().flood().level();
        assert!((1.9..=2.0).contains(&level), "{jump}: {level}");
        let next = feed(&mut stream, from + 760, 20, FAULT);
        assert_eq!(transitions(&next), [Transition::Raised]);
        assert_ne!(next[0].id, raised.id);
    }
    let (_, raised, report) = resumed(-YEAR, "one");
    assert_eq!(
        report.to_string(),
        format!(
            "went on from a state 365 d 0 h ahead of this clock, which was set back; alarm {} stands",
            raised.id
        )
    );
}

#[test]
fn of_another_model_only_what_means_something_is_taken() {
    let (before, _) = in_alarm();
    let (stream, raised, report) = resumed(10, "two");
    assert!(!report.same_model);
    assert_eq!(report.open, std::slice::from_ref(&raised.id));
    let state = stream.save();
    assert_eq!(
        state.learnt,
        super::tests::stream_of(&model("two")).save().learnt
    );
    assert_ne!(state.learnt, before.save().learnt);
    assert!(state.alarms.flood.level < before.save().alarms.flood.level);
    assert_eq!(state.alarms.flood.attenuation, [0.0; 2]);
    assert_eq!(state.alarms.recent[0].verdict, Some(Verdict::Real));
    assert!(matches!(&state.mutes[..], [SavedMute::Sensor { name, .. }] if name == "P401"));
}

#[test]
fn a_silence_goes_on_until_its_sensor_is_heard() {
    let mut before = stream();
    feed(&mut before, START, 20, USUAL);
    let raised = feed(&mut before, START + 20, 100, [USUAL[0], f64::NAN]).remove(0);
    let mut after = stream();
    after.resume(before.save(), Timestamp::from_seconds(START + 130));
    let unheard = feed(&mut after, START + 130, 900, [USUAL[0], f64::NAN]);
    assert_eq!(unheard, [], "the same alarm, told already");
    let events = feed(&mut after, START + 1_030, 700, USUAL);
    assert_eq!(transitions(&events), [Transition::Cleared]);
    assert_eq!(events[0].id, raised.id);
}

/// Everything that happens in a made-up recording, in words, when up to `frames` frames are judged
/// together; with it what is known in the end.
fn recorded(frames: usize, every: u32, mut stream: Stream) -> (Vec<String>, StreamState) {
    stream.set_every(every);
    stream.set_ahead(frames);
    let mut said = Vec::new();
    let mut listener = |happening: Happening<'_>| said.push(format!("{happening:?}"));
    let mute_ends = Timestamp::from_seconds(START + 350);
    stream.mute(MuteTarget::Sensor(1), mute_ends).unwrap();
    for second in 0..2_400 {
        let wave = (second as f64 * 0.7).sin() * 0.05;
        let row = match second {
            // Nothing at all, first for longer than a sensor may be silent.
            600..700 | 1_500..1_503 => continue,
            // The sensor that is muted at first.
            200..420 | 2_300.. => [USUAL[0] + wave, f64::NAN],
            800..900 => [FAULT[0] + wave, FAULT[1]],
            1_200..1_210 => [f64::NAN, f64::NAN],
            _ => [USUAL[0] + wave, USUAL[1] - wave],
        };
        // The clock is set back half an hour.
        let clock = if second < 2_000 { 0 } else { -1_800 };
        let time = Timestamp::from_seconds(START + second + clock);
        stream.push_row(time, &row, &mut listener);
        if second % 400 == 399 {
            stream.push_row(time, &row, &mut listener);
        }
    }
    stream.finish(&mut listener);
    (said, stream.save())
}

#[test]
fn frames_judged_together_are_judged_as_one_by_one() {
    let resumed = || {
        let mut before = stream();
        feed(&mut before, START - 200, 20, USUAL);
        feed(&mut before, START - 180, 100, [f64::NAN, USUAL[1]]);
        let mut after = stream();
        after.resume(before.save(), Timestamp::from_seconds(START - 80));
        after
    };
    for make in [stream as fn() -> Stream, resumed] {
        for every in [1, 3] {
            let (said, state) = recorded(0, every, make());
            let alarms = said.iter().filter(|text| text.starts_with("Alarm"));
            assert!(alarms.count() >= 4, "{every}");
            for frames in [1, 2, 7, 64, 10_000] {
                let (together, end) = recorded(frames, every, make());
                assert_eq!(together.len(), said.len(), "{every} {frames}");
                for (together, alone) in together.iter().zip(&said) {
                    assert_eq!(together, alone, "{every} {frames}");
                }
                assert_eq!(end, state, "{every} {frames}");
            }
        }
    }
}
