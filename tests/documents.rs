//! What the documents name is there: every link between them leads to a file and a heading that exist, and
//! every decision is in the index.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files below the project's folders that hold any.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["docs", "meta-layer", "models"]
        .map(|folder| root().join(folder))
        .into();
    for name in ["README.md", "CHANGELOG.md"] {
        found.push(root().join(name));
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(end) if end == "md" => found.push(path),
                _ => {}
            }
        }
    }
    found
}

/// The text without blocks of code, whose brackets are no links.
fn prose(text: &str) -> String {
    let mut code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// What links and pictures of `prose` point to.
fn links(prose: &str) -> Vec<&str> {
    let after = prose.split("](").skip(1);
    after
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .collect()
}

/// The names under which a page on GitHub can be entered: its headings in small letters without punctuation,
/// spaces as hyphens.
fn anchors(prose: &str) -> BTreeSet<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut followed = 0;
    for document in documents() {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                _ => document.parent().unwrap().join(file),
            };
            let known = || anchors(&prose(&fs::read_to_string(&target).unwrap_or_default()));
            if !target.exists() || !anchor.is_empty() && !known().contains(anchor) {
                wrong.push(format!("{}: {link}", document.display()));
            }
            followed += 1;
        }
    }
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
    assert!(
        followed > 50,
        "{followed} links found: are they written otherwise?"
    );
}

#[test]
fn every_decision_is_in_the_index_under_its_number() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for entry in fs::read_dir(root().join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let number = name.split('-').next().unwrap();
        let row = format!("| [{number}](decisions/{name}) | ");
        assert!(index.contains(&row), "docs/README.md has no row of {name}");
    }
}

#[test]
fn links_are_found_and_headings_named() {
    let text = "# One: the *first*, `v2`\nsee [a](b.md#c) and ![d](e.png)\n```\n[no](link)\n```\n";
    assert_eq!(links(&prose(text)), ["b.md#c", "e.png"]);
    assert!(anchors(text).contains("one-the-first-v2"));
}
