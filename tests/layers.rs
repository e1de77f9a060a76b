//! The dependency rule: every import in `src/` is one that the table in `src/lib.rs` allows.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Cells of the rows of the table that begins with `head`, trimmed.
fn table(documentation: &str, head: &str) -> Vec<Vec<String>> {
    let mut lines = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some(), "src/lib.rs has no table {head}");
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// What each module may import.
fn allowed(documentation: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = table(documentation, "| module ");
    let all: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    let mut allowed = BTreeMap::new();
    for row in &rows {
        let words: Vec<&str> = row[2].split_whitespace().collect();
        let set = match words.as_slice() {
            ["nothing"] => BTreeSet::new(),
            ["all"] => all.clone(),
            ["all", "but", except @ ..] => {
                let named = all.iter().filter(|name| !except.contains(&name.as_str()));
                named.cloned().collect()
            }
            names => names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for name in &set {
            assert!(
                all.contains(name),
                "{} may import {name}: no such module",
                row[0]
            );
        }
        allowed.insert(row[0].clone(), set);
    }
    allowed
}

/// Rust files below `folder`, each with its path relative to it.
fn sources(folder: &Path) -> Vec<(String, String)> {
    fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => gather(&path, found),
                false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
                false => {}
            }
        }
    }
    let mut paths = Vec::new();
    gather(folder, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(folder).unwrap().display().to_string();
        (name, fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

/// The first part of a path such as `engine/kernel/lstm.rs`, without `.rs`.
fn module(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// `line` without a comment at its end. A `//` in a string is taken for one too: too little code is
/// seen then, never too much, and no path stands behind an address.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Modules of the crate that are named after `root` (`crate::` or `anomalyd::`) in `text`, also in
/// groups (`crate::{a::B, c}`), each with its line.
fn named_after(text: &str, root: &str) -> Vec<(usize, String)> {
    let code: String = text
        .lines()
        .map(|line| code(line).to_owned() + "\n")
        .collect();
    let mut named = Vec::new();
    for (start, _) in code.match_indices(root) {
        // `my_crate::` is another path.
        if code[..start].chars().next_back().is_some_and(is_name) {
            continue;
        }
        let line = 1 + code[..start].matches('\n').count();
        let rest = &code[start + root.len()..];
        let mut add = |path: &str| {
            let name: String = path
                .trim_start()
                .chars()
                .take_while(|c| is_name(*c))
                .collect();
            if !name.is_empty() {
                named.push((line, name));
            }
        };
        let Some(group) = rest.strip_prefix('{') else {
            add(rest);
            continue;
        };
        let (mut depth, mut from) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    add(&group[from..at]);
                    break;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    add(&group[from..at]);
                    from = at + 1;
                }
                _ => {}
            }
        }
    }
    named
}

/// Lines that climb with `super::` to the root of the crate, where imports could not be seen.
fn climbs(file: &str, text: &str) -> Vec<usize> {
    let depth = file.split('/').count();
    let mut inline = 0;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = code(line);
        // Test modules stand at the end of a file, one level further down.
        if code.starts_with("mod ") && code.trim_end().ends_with('{') {
            inline = 1;
        }
        let climb = "super::".repeat(depth + inline);
        if code.contains(&climb) {
            found.push(index + 1);
        }
    }
    found
}

fn violations(documentation: &str, files: &[(String, String)]) -> Vec<String> {
    let allowed = allowed(documentation);
    let mut violations = Vec::new();
    for (file, text) in files {
        let from = module(file);
        if from == "lib" || from == "main" {
            continue;
        }
        let Some(may) = allowed.get(from) else {
            violations.push(format!(
                "src/{file}: the table in src/lib.rs has no module {from}"
            ));
            continue;
        };
        let root = if from == "bin" {
            "anomalyd::"
        } else {
            "crate::"
        };
        for (line, to) in named_after(text, root) {
            if to != from && !may.contains(&to) {
                let may: Vec<&str> = may.iter().map(String::as_str).collect();
                violations.push(format!(
                    "src/{file}:{line}: {from} imports {to}; it may import {}",
                    match may.join(", ").as_str() {
                        "" => "nothing",
                        names => names,
                    }
                ));
            }
        }
        for line in climbs(file, text) {
            violations.push(format!(
                "src/{file}:{line}: climbs to the crate's root; write crate:: instead"
            ));
        }
    }
    violations
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documentation() -> String {
    fs::read_to_string(repository().join("src/lib.rs")).unwrap()
}

#[test]
fn every_import_is_in_the_table() {
    let files = sources(&repository().join("src"));
    assert!(files.len() > 100, "only {} files were found", files.len());
    let violations = violations(&documentation(), &files);
    assert!(
        violations.is_empty(),
        "data flows one way; the table in src/lib.rs says who may import whom:\n{}",
        violations.join("\n")
    );
}

#[test]
fn stages_import_lower_numbers_only() {
    let documentation = documentation();
    let stages: BTreeMap<String, u32> = table(&documentation, "| module ")
        .into_iter()
        .filter_map(|row| Some((row[0].clone(), row[1].parse().ok()?)))
        .collect();
    assert_eq!(stages.len(), 7);
    for (from, may) in allowed(&documentation) {
        let Some(number) = stages.get(&from) else {
            continue;
        };
        for to in may {
            let lower = stages.get(&to).is_none_or(|stage| stage < number);
            assert!(
                lower,
                "stage {from} may import {to}, which is not before it"
            );
        }
    }
}

#[test]
fn the_table_has_every_module_and_no_cycle() {
    let documentation = documentation();
    let allowed = allowed(&documentation);
    let declared = documentation
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
        .map(|line| line.trim_end_matches(';'));
    for module in declared {
        assert!(allowed.contains_key(module), "{module} is not in the table");
    }
    // Modules whose imports are all done are done; a cycle never is.
    let mut done = BTreeSet::new();
    loop {
        let ready = |(name, may): (&String, &BTreeSet<String>)| {
            let waits = may.iter().any(|to| to != name && !done.contains(to));
            (!waits && !done.contains(name)).then(|| name.clone())
        };
        let next: Vec<String> = allowed.iter().filter_map(ready).collect();
        if next.is_empty() {
            break;
        }
        done.extend(next);
    }
    let stuck: Vec<_> = allowed
        .keys()
        .filter(|name| !done.contains(*name))
        .collect();
    assert!(stuck.is_empty(), "a cycle among {stuck:?}");
}

#[test]
fn what_reaches_beyond_the_crate_keeps_its_place() {
    let documentation = documentation();
    let files = sources(&repository().join("src"));
    let mut violations = Vec::new();
    for row in table(&documentation, "| name ") {
        let places: Vec<&str> = row[1].split_whitespace().collect();
        let needle = match row[0].as_str() {
            "unsafe" => "unsafe ".to_owned(),
            name => format!("{name}::"),
        };
        for (file, text) in &files {
            let at_home = |place: &&str| {
                file.strip_prefix(*place)
                    .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
            };
            if file == "main.rs" || places.iter().any(at_home) {
                continue;
            }
            // Tests may drive asynchronous code, and use what they like.
            let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for (index, line) in product.lines().enumerate() {
                let code = code(line);
                let used = code
                    .match_indices(&needle)
                    .any(|(at, _)| !code[..at].chars().next_back().is_some_and(is_name));
                if used {
                    violations.push(format!(
                        "src/{file}:{}: {} belongs in {} only: {}",
                        index + 1,
                        row[0],
                        places.join(", "),
                        row[2]
                    ));
                }
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

// ---- the test itself

const TABLE: &str = "\
//! | module | stage | may import |
//! |---|---|---|
//! | frame | 1 | nothing |
//! | window | 3 | frame |
//! | daemon | - | all but cli |
//! | cli | - | all |
";

fn found(file: &str, text: &str) -> Vec<String> {
    violations(TABLE, &[(file.to_owned(), text.to_owned())])
}

#[test]
fn forbidden_edges_are_found_however_they_are_written() {
    for text in [
        "use crate::window::Ring;",
        "use crate::{\n    frame::Frame,\n    window::{Ring, Standardiser},\n};",
        "fn f() { crate::window::g(); }",
        "    pub(in crate::window) fn f() {}",
    ] {
        let found = found("frame/align.rs", text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].starts_with("src/frame/align.rs:1: frame imports window; it may"));
    }
    assert_eq!(found("daemon.rs", "use crate::cli::Cli;").len(), 1);
    assert_eq!(found("frame.rs", "use super::window::Ring;").len(), 1);
    assert_eq!(
        found("stray.rs", ""),
        ["src/stray.rs: the table in src/lib.rs has no module stray"]
    );
}

#[test]
fn allowed_edges_and_comments_are_not() {
    for (file, text) in [
        ("window.rs", "use crate::frame::Frame;"),
        (
            "frame/align.rs",
            "//! see [`crate::window`]\nuse crate::frame::Frame;",
        ),
        ("frame/align.rs", "use super::time;"),
        (
            "frame.rs",
            "#[cfg(test)]\nmod tests {\n    use super::*;\n}",
        ),
        ("cli/run.rs", "use crate::daemon;"),
        ("frame.rs", "use my_crate::window;"),
    ] {
        assert_eq!(found(file, text), Vec::<String>::new(), "{text}");
    }
}
