use std::process::Command;

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn state(sensors: usize) -> StreamState {
    let mutes = json!([{ "sensor": { "name": "FIT401", "until": "2026-11-25T16:00:00Z" } }]);
    serde_json::from_value(json!({
        "schema": SCHEMA,
        "model": "plant 1",
        "digest": "5".repeat(64),
        "last_frame": "2026-11-25T14:03:07Z",
        "learnt": {
            "centre": vec![-0.012_345_678f32; 3 * sensors],
            "spread": vec![0.212_345_67f32; 3 * sensors],
        },
        "alarms": {
            "open": null,
            "recent": [{ "id": "a7k2", "raised_at": "2026-11-25T13:00:00Z", "verdict": "real" }],
            "flood": {
                "level": 2.5,
                "attenuation": vec![0.25f32; sensors],
                "charges": [],
            },
        },
        "silence": { "open": null, "recent": [] },
        "mutes": mutes,
    }))
    .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_state_is_read_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateStore::new(&folder.path().join("not/there"));
    assert_eq!(store.load(), None);
    store.save(&state(51)).unwrap();
    assert_eq!(store.load(), Some(state(51)));
    let size = fs::metadata(store.path()).unwrap().len();
    assert!(size < 8_192, "{size}");
}

#[test]
fn a_damaged_newer_or_huge_state_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let store = StateStore::new(folder.path());
    store.save(&state(2)).unwrap();
    let whole = fs::read(store.path()).unwrap();
    let mut newer = serde_json::to_value(state(2)).unwrap();
    newer["schema"] = json!(SCHEMA + 1);
    newer["learnt"] = json!("as nobody knows it yet");
    let contents = [
        whole[..whole.len() - 1].to_vec(),
        newer.to_string().into_bytes(),
        vec![b' '; LARGEST as usize + 1],
        Vec::new(),
    ];
    for (index, content) in contents.iter().enumerate() {
        fs::write(store.path(), content).unwrap();
        assert_eq!(store.load(), None);
        let aside = folder.path().join("state.json.bad-1");
        assert_eq!(fs::read(aside).unwrap(), *content);
        let kept = (index + 1).min(MOST_SET_ASIDE);
        assert_eq!(names(folder.path()).len(), kept);
        assert_eq!(store.load(), None);
    }
    // And the service goes on saving.
    store.save(&state(2)).unwrap();
    assert_eq!(store.load(), Some(state(2)));
}

/// A real file system that is full, where this user may mount one.
#[test]
fn a_full_disk_is_an_error_and_the_old_state_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |words: &[&str]| {
        let status = Command::new(words[0])
            .args(&words[1..])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs"]) {
        eprintln!(
            "a_full_disk_… is skipped: no file system can be mounted here; write.rs has a stand-in"
        );
        return;
    }
    let store = StateStore::new(folder.path());
    store.save(&state(51)).unwrap();
    let mut log = crate::state::AlarmLog::open(folder.path());
    let filled = fs::write(folder.path().join("filler"), vec![0u8; 1 << 20]);
    let saved = store.save(&state(500));
    let kept = store.load();
    let logged = log.take(&crate::alarm::AlarmEvent {
        id: "a7k2".to_owned(),
        kind: crate::alarm::AlarmKind::Anomaly,
        transition: crate::alarm::Transition::Raised,
        time: crate::frame::Timestamp::EPOCH,
        raised_at: crate::frame::Timestamp::EPOCH,
        score: 1.0,
        peak_score: 1.0,
        threshold: 1.0,
        sensors: Vec::new(),
        model: String::new(),
        degraded: None,
        verdict: None,
    });
    let left = names(folder.path());
    fs::remove_file(folder.path().join("filler")).unwrap();
    let again = store.save(&state(500));
    mount(&["umount"]);
    assert_eq!(filled.unwrap_err().kind(), io::ErrorKind::StorageFull);
    let error = saved.unwrap_err();
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!(kept, Some(state(51)));
    assert!(logged.is_err());
    assert!(!left.contains(&"state.json.new".to_owned()), "{left:?}");
    again.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in the file, the service starts.
    #[test]
    fn no_content_is_a_crash(noise in prop::collection::vec(any::<u8>(), 0..300), cut in 0..900usize) {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::new(folder.path());
        let mut content = serde_json::to_vec(&state(3)).unwrap();
        content.truncate(cut);
        content.extend(noise);
        fs::write(store.path(), content).unwrap();
        store.load();
    }
}
