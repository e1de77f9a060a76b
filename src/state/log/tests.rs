use super::*;
use crate::alarm::AlarmKind;

fn event(number: i64, transition: Transition) -> AlarmEvent {
    let raised_at = Timestamp::from_seconds(1_000_000 + number * 3_600);
    AlarmEvent {
        id: format!("a{number:03}"),
        kind: AlarmKind::Anomaly,
        transition,
        time: match transition {
            Transition::Raised => raised_at,
            _ => raised_at.add_nanos(600_000_000_000),
        },
        raised_at,
        score: 1.5,
        peak_score: if transition == Transition::Raised {
            1.5
        } else {
            4.0
        },
        threshold: 1.0,
        sensors: Vec::new(),
        model: "plant 1".to_owned(),
        degraded: None,
        verdict: None,
    }
}

#[test]
fn an_alarm_is_one_record_from_its_raise_to_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = AlarmLog::open(&folder.path().join("not/there"));
    assert_eq!(log.find("a001").unwrap(), None);
    log.take(&event(1, Transition::Raised)).unwrap();
    let standing = log.find("a001").unwrap().unwrap();
    assert_eq!((standing.cleared_at, standing.peak_score), (None, 1.5));
    // The service is restarted while it stands.
    let mut log = AlarmLog::open(&folder.path().join("not/there"));
    log.take(&event(1, Transition::Cleared)).unwrap();
    log.take(&event(2, Transition::Raised)).unwrap();
    assert!(log.set_verdict("a001", Verdict::Real).unwrap().is_some());
    assert!(log.set_verdict("a002", Verdict::Normal).unwrap().is_some());
    assert!(log.set_verdict("zzzz", Verdict::Real).unwrap().is_none());
    log.take(&event(2, Transition::Updated)).unwrap();
    let records = log.records().unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!((records[0].score, records[0].peak_score), (1.5, 4.0));
    assert_eq!(
        records[0].cleared_at,
        Some(event(1, Transition::Cleared).time)
    );
    assert_eq!(records[1].verdict, Some(Verdict::Normal));
    let span = |from: i64, to: i64| {
        let at = |number: i64| event(number, Transition::Raised).raised_at;
        log.span(at(from), at(to)).unwrap()
    };
    let both = Span {
        raised: 2,
        confirmed: 1,
        normal: 1,
    };
    assert_eq!(span(0, 2), both);
    assert_eq!(span(1, 9).raised, 1);
    assert_eq!(span(2, 9), Span::default());
}

#[test]
fn a_torn_or_damaged_line_costs_that_line_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(ALARMS);
    let mut log = AlarmLog::open(folder.path());
    for number in 0..3 {
        log.take(&event(number, Transition::Cleared)).unwrap();
    }
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let mut log = AlarmLog::open(folder.path());
        let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(log.records().unwrap().len(), lines);
        log.take(&event(7, Transition::Cleared)).unwrap();
        assert_eq!(log.records().unwrap().len(), lines + 1, "cut at {cut}");
    }
    let mut noise = b"{\"id\":7}\n\xff\xfe\n".to_vec();
    noise.extend(std::iter::repeat_n(b'x', 3 * LONGEST_LINE));
    noise.push(b'\n');
    noise.extend(&whole);
    fs::write(&path, noise).unwrap();
    assert_eq!(AlarmLog::open(folder.path()).records().unwrap().len(), 3);
}

#[test]
fn a_thousand_are_kept_in_a_file_that_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(ALARMS);
    // Written at once, as 3000 synced appends would take their time.
    let mut text = String::new();
    for number in 0..1_999 {
        let record = AlarmRecord::new(&event(number, Transition::Cleared));
        text.push_str(&serde_json::to_string(&record).unwrap());
        text.push('\n');
    }
    fs::write(&path, text).unwrap();
    let mut log = AlarmLog::open(folder.path());
    for number in 1_999..2_010 {
        log.take(&event(number, Transition::Raised)).unwrap();
    }
    let records = log.records().unwrap();
    assert_eq!(records.len(), MOST_ALARMS);
    assert_eq!(records[0].id, "a1010");
    assert_eq!(records[999].id, "a2009");
    let lines = fs::read_to_string(&path).unwrap().lines().count();
    assert!(lines < MOST_ALARMS + 20, "{lines}");
}

#[test]
fn two_alarms_of_one_id_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = AlarmLog::open(folder.path());
    let first = event(1, Transition::Cleared);
    let second = AlarmEvent {
        id: first.id.clone(),
        ..event(2, Transition::Cleared)
    };
    log.take(&first).unwrap();
    log.take(&second).unwrap();
    assert_eq!(log.records().unwrap().len(), 2);
    let found = log.find(&first.id).unwrap().unwrap();
    assert_eq!(found.raised_at, second.raised_at);
}

#[test]
fn what_could_not_be_written_is_written_with_the_next_event() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("state");
    let mut log = AlarmLog::open(&place);
    // A file where the folder should be stands for a disk that takes nothing.
    fs::write(&place, "").unwrap();
    let error = log.take(&event(1, Transition::Cleared)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("alarms.jsonl: cannot be written")
    );
    fs::remove_file(&place).unwrap();
    log.take(&event(2, Transition::Raised)).unwrap();
    let ids: Vec<String> = log.records().unwrap().into_iter().map(|r| r.id).collect();
    assert_eq!(ids, ["a001", "a002"]);
}

#[test]
fn an_alarm_whose_end_was_lost_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = AlarmLog::open(folder.path());
    log.take(&event(1, Transition::Raised)).unwrap();
    log.take(&event(2, Transition::Raised)).unwrap();
    let now = event(3, Transition::Raised).time;
    log.end_all_but(&["a002".to_owned()], now).unwrap();
    assert_eq!(log.find("a001").unwrap().unwrap().cleared_at, Some(now));
    assert_eq!(log.find("a002").unwrap().unwrap().cleared_at, None);
}
