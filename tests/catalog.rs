//! The journal's catalog explains every kind of event that the service journals, and no other.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use anomalyd::message::Message;

const CATALOG: &str = "rootfs-overlay/service/usr/lib/systemd/catalog/anomalyd.catalog";
/// The fields that the service journals and that the catalog may show.
const FIELDS: [&str; 7] = [
    "ANOMALYD_ALARM_ID",
    "ANOMALYD_SENSOR",
    "ANOMALYD_SCORE",
    "ANOMALYD_THRESHOLD",
    "ANOMALYD_MODEL",
    "ANOMALYD_THROTTLED",
    "ANOMALYD_RESULT",
];

struct Entry {
    /// The kind's name, from the comment above the entry.
    kind: String,
    id: String,
    subject: String,
    body: String,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn entries() -> Vec<Entry> {
    let text = read(CATALOG);
    let (_, text) = text.split_once("\n\n").unwrap();
    let text = format!("\n{text}");
    text.split("\n# ")
        .skip(1)
        .map(|entry| {
            let (kind, rest) = entry.split_once("\n-- ").unwrap();
            let (id, rest) = rest.split_once('\n').unwrap();
            let (head, body) = rest.split_once("\n\n").unwrap();
            Entry {
                kind: kind.to_owned(),
                id: id.to_owned(),
                subject: head
                    .lines()
                    .find_map(|line| line.strip_prefix("Subject: "))
                    .unwrap()
                    .to_owned(),
                body: body.trim_end().to_owned(),
            }
        })
        .collect()
}

/// The words between two @ of which a field's name is made.
fn fields(text: &str) -> impl Iterator<Item = &str> {
    text.split('@').skip(1).step_by(2)
}

#[test]
fn it_has_every_kind_once_in_order() {
    let found: Vec<(String, String)> = entries()
        .into_iter()
        .map(|entry| (entry.kind, entry.id))
        .collect();
    let expected: Vec<(String, String)> = Message::ALL
        .iter()
        .map(|message| (format!("{message:?}"), message.id().to_owned()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn each_kind_is_explained_and_fits_a_wide_terminal() {
    for Entry {
        kind,
        subject,
        body,
        ..
    } in entries()
    {
        assert!(
            !subject.is_empty() && subject.chars().count() <= 80,
            "{kind}: {subject}"
        );
        assert!(body.chars().count() > 60, "{kind}: {body}");
        assert!(
            body.contains("\n\n"),
            "{kind}: says what it is and, in a paragraph of its own, what to do"
        );
        for line in body.lines() {
            assert!(line.chars().count() <= 110, "{kind}: {line}");
        }
    }
}

#[test]
fn it_shows_only_fields_that_are_journaled() {
    let mut shown = 0;
    for entry in entries() {
        for text in [&entry.subject, &entry.body] {
            assert_eq!(text.matches('@').count() % 2, 0, "{}: {text}", entry.kind);
            for field in fields(text) {
                assert!(
                    FIELDS.contains(&field),
                    "{}: {field} is not a field of ours",
                    entry.kind
                );
                shown += 1;
            }
        }
    }
    assert!(shown >= 10, "only {shown} fields are shown");
}

#[test]
fn the_service_s_documentation_has_every_kind() {
    let documentation = read("docs/service.md");
    for message in Message::ALL {
        let row = format!("| {message:?} | `{}` |", message.id());
        assert!(
            documentation.contains(&row),
            "docs/service.md has no row {row}"
        );
    }
}
