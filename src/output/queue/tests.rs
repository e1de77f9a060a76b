//! The queue on a real file system: order, damage, a full disk.

use proptest::prelude::*;

use super::*;

const ROOM: u64 = 1 << 20;

fn text(message: &str) -> Vec<Vec<u8>> {
    vec![message.as_bytes().to_vec()]
}

fn open(folder: &Path) -> Queue {
    Queue::open(folder, ROOM).unwrap().0
}

/// Everything there is to send, in order, without confirming any.
fn rest(queue: &mut Queue) -> Vec<String> {
    let mut rest = Vec::new();
    while let Some(next) = queue.next_message().unwrap() {
        rest.push(String::from_utf8(next.content).unwrap());
    }
    rest
}

#[test]
fn alarms_go_first_and_each_class_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut queue = open(folder.path());
    for (class, message) in [
        (Class::Score, "s1"),
        (Class::Alarm, "a1"),
        (Class::Health, "h1"),
        (Class::Score, "s2"),
        (Class::Alarm, "a2"),
    ] {
        queue.push(class, text(message), None, true).unwrap();
    }
    assert!(queue.waits(Class::Alarm));
    assert_eq!(rest(&mut queue), ["a1", "a2", "h1", "s1", "s2"]);
    assert!(!queue.has_next());
    queue.rewind();
    let first = queue.next_message().unwrap().unwrap();
    queue.deliver(first.class, first.number).unwrap();
    queue.rewind();
    assert_eq!(rest(&mut queue), ["a2", "h1", "s1", "s2"]);
    assert_eq!(queue.fill().waiting, 4);
}

#[test]
fn another_run_goes_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    for run in 0..50 {
        let mut queue = open(folder.path());
        let first = queue.next_message().unwrap();
        if let Some(first) = first {
            assert_eq!(first.content, format!("a{}", run - 1).into_bytes());
            assert!(first.number > number);
            number = first.number;
            queue.deliver(first.class, first.number).unwrap();
        }
        let note = format!("note {run}");
        let message = text(&format!("a{run}"));
        queue
            .push(Class::Alarm, message, Some(note.as_bytes()), true)
            .unwrap();
        drop(queue);
        assert_eq!(open(folder.path()).note(), note.as_bytes());
    }
}

#[test]
fn what_is_delivered_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut queue = open(folder.path());
    let content = "x".repeat(900);
    for _ in 0..1_000 {
        queue
            .push(Class::Alarm, text(&content), Some(b"note"), false)
            .unwrap();
        let next = queue.next_message().unwrap().unwrap();
        queue.deliver(next.class, next.number).unwrap();
    }
    let fill = queue.fill();
    assert!(fill.bytes < 64 * 1024, "{fill:?}");
    assert_eq!((fill.waiting, fill.dropped), (0, [0; 3]));
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 2);
    assert_eq!(open(folder.path()).note(), b"note");
}

#[test]
fn a_full_queue_drops_the_oldest_scores_before_health_before_alarms() {
    let folder = tempfile::tempdir().unwrap();
    let (mut queue, _) = Queue::open(folder.path(), 64 * 1024).unwrap();
    let message = |class: Class, number: usize| {
        vec![format!("{} {number} {}", class.name(), "x".repeat(200)).into_bytes()]
    };
    let mut seen = Vec::new();
    for number in 0..600 {
        queue
            .push(Class::Alarm, message(Class::Alarm, number), None, false)
            .unwrap();
        queue
            .push(Class::Health, message(Class::Health, number), None, false)
            .unwrap();
        queue
            .push(Class::Score, message(Class::Score, number), None, false)
            .unwrap();
        let fill = queue.fill();
        assert!(fill.bytes <= 64 * 1024, "{fill:?}");
        let [alarms, health, _] = fill.dropped;
        seen.push(fill.dropped);
        // A class is touched only when nothing older of a lesser class is left.
        assert!(alarms == 0 || health > 0);
    }
    let [alarms, health, scores] = queue.fill().dropped;
    assert!(alarms > 0 && health > 0 && scores > 0);
    let before_alarms = seen.iter().filter(|dropped| dropped[0] == 0).count();
    assert!(before_alarms > 200, "{before_alarms}");
    let left = rest(&mut queue);
    let first = format!("alarm {alarms} ");
    assert!(left[0].starts_with(&first), "{first}: {}", left[0]);
    assert_eq!(left.len() as u64, 1_800 - alarms - health - scores);
}

#[test]
fn without_a_folder_messages_wait_in_memory() {
    let mut queue = Queue::in_memory();
    for number in 0..3 {
        assert!(
            queue
                .push(Class::Alarm, text(&number.to_string()), None, true)
                .is_err()
        );
    }
    let first = queue.next_message().unwrap().unwrap();
    queue.deliver(first.class, first.number).unwrap();
    assert_eq!(rest(&mut queue), ["1", "2"]);
    queue.rewind();
    assert_eq!(rest(&mut queue), ["1", "2"]);
    for number in 0..2_000 {
        let _ = queue.push(Class::Score, text(&number.to_string()), None, false);
    }
    assert_eq!(queue.fill().dropped, [0, 0, 1_000]);
}

#[test]
fn a_disk_that_can_be_written_again_takes_what_waited() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("queue");
    let mut queue = open(&place);
    queue.push(Class::Alarm, text("1"), None, true).unwrap();
    // The next file cannot be made while the folder is away.
    let away = folder.path().join("away");
    fs::rename(&place, &away).unwrap();
    queue.sides[0].lane.begin_another_for_test();
    assert!(queue.push(Class::Alarm, text("2"), None, true).is_err());
    fs::rename(&away, &place).unwrap();
    queue.push(Class::Alarm, text("3"), None, true).unwrap();
    drop(queue);
    assert_eq!(rest(&mut open(&place)), ["1", "2", "3"]);
}

#[test]
fn a_message_that_is_too_long_is_refused_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut queue = open(folder.path());
    let messages = vec![vec![b'x'; LONGEST_MESSAGE + 1], b"a".to_vec()];
    queue.push(Class::Alarm, messages, None, true).unwrap();
    assert_eq!(queue.fill().dropped, [1, 0, 0]);
    assert_eq!(rest(&mut queue), ["a"]);
}

/// A queue of alarms in several files, of which the first few are delivered; gives the messages.
fn written(folder: &Path, count: usize, delivered: usize) -> Vec<String> {
    let (mut queue, _) = Queue::open(folder, 64 * 1024).unwrap();
    let mut messages = Vec::new();
    for number in 0..count {
        let message = format!("{number} {}", "x".repeat(number * 37 % 400));
        queue
            .push(Class::Alarm, text(&message), Some(b"note"), false)
            .unwrap();
        messages.push(message);
    }
    for _ in 0..delivered {
        let next = queue.next_message().unwrap().unwrap();
        queue.deliver(next.class, next.number).unwrap();
    }
    messages
}

fn newest_file(folder: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.pop().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_cut_leaves_what_was_whole_and_sets_the_rest_aside(
        count in 1_usize..60, delivered in 0_usize..20, cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let messages = written(folder, count, delivered.min(count));
        let before = rest(&mut Queue::open(folder, 64 * 1024).unwrap().0);
        let file = newest_file(folder);
        let bytes = fs::read(&file).unwrap();
        let keep = cut.index(bytes.len());
        fs::write(&file, &bytes[..keep]).unwrap();
        let checked = Queue::check(folder).unwrap();
        let (mut queue, found) = Queue::open(folder, 64 * 1024).unwrap();
        prop_assert_eq!(checked[0].1, found);
        let left = rest(&mut queue);
        prop_assert_eq!(checked[0].2, left.len());
        // What is left are messages of ours, in order; one whose delivery is forgotten may be back.
        let mut places = left.iter().map(|one| messages.iter().position(|m| m == one).unwrap());
        let first = places.next();
        prop_assert!(places.try_fold(first.unwrap_or(0), |last, next| (next > last).then_some(next)).is_some());
        // All before the cut are there.
        let whole = before.iter().take_while(|one| left.contains(one)).count();
        prop_assert!(left.len() >= whole);
        if found.damaged > 0 {
            let aside = file.with_file_name(
                format!("{}.bad-1", file.file_name().unwrap().to_str().unwrap()));
            prop_assert_eq!(fs::read(aside).unwrap(), &bytes[..keep]);
        }
        // And it goes on.
        queue.push(Class::Alarm, text("after"), None, true).unwrap();
        drop(queue);
        let (mut again, found) = Queue::open(folder, 64 * 1024).unwrap();
        prop_assert_eq!(found.damaged, 0);
        let mut expected = left;
        expected.push("after".to_owned());
        prop_assert_eq!(rest(&mut again), expected);
    }

    #[test]
    fn a_flipped_bit_costs_one_message_at_most(
        count in 1_usize..40, flip in any::<prop::sample::Index>(), bit in 0..8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let messages = written(folder, count, 0);
        let file = newest_file(folder);
        let mut bytes = fs::read(&file).unwrap();
        let place = flip.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        fs::write(&file, &bytes).unwrap();
        let (mut queue, found) = Queue::open(folder, 64 * 1024).unwrap();
        prop_assert_eq!(found.damaged, 1);
        let left = rest(&mut queue);
        prop_assert!(left.len() + 1 >= messages.len());
        prop_assert!(left.iter().all(|one| messages.contains(one)));
    }
}
