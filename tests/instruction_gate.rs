//! The gate on instruction counts (`scripts/instructions.sh`) shuts when it should: the comparison alone,
//! on made-up counts.

// Helpers are no tests to clippy, but a failed unwrap in them is a failed test all the same.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

const BASELINE: &str = "\
# architecture case count
x86-64 rustc 1.95.0
x86-64 window-avx2 100000
x86-64 csv-row 20000
aarch64 rustc 1.96.0
aarch64 window-neon 180000
";

/// Whether the gate opens, and what it says.
fn compare(baseline: &str, counts: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let (base, now) = (folder.path().join("base"), folder.path().join("now"));
    fs::write(&base, baseline).unwrap();
    fs::write(&now, counts).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/instructions.sh");
    let output = Command::new("bash")
        .arg(script)
        .arg("compare")
        .args([base, now])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let opens = match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        other => panic!("status {other:?}: {output:?}"),
    };
    (opens, said)
}

fn counts(window: u32, row: u32, neon: u32) -> String {
    format!(
        "x86-64 rustc 1.95.0\nx86-64 window-avx2 {window}\nx86-64 csv-row {row}\n\
         aarch64 rustc 1.96.0\naarch64 window-neon {neon}\n"
    )
}

#[test]
fn up_to_ten_percent_more_passes_and_beyond_fails() {
    let (opens, said) = compare(BASELINE, &counts(109_900, 20_000, 180_000));
    assert!(opens, "{said}");
    let (opens, said) = compare(BASELINE, &counts(110_100, 20_000, 180_000));
    assert!(!opens, "{said}");
    let row = said.lines().find(|line| line.contains("window-avx2"));
    assert!(row.unwrap().ends_with("1.101  MORE"), "{said}");
    assert_eq!(said.matches("MORE").count(), 1, "{said}");
}

#[test]
fn each_architecture_has_a_gate_of_its_own() {
    let (opens, said) = compare(BASELINE, &counts(100_000, 20_000, 200_000));
    assert!(!opens && said.contains("window-neon"), "{said}");
    // One that was not counted this time says nothing.
    let all = counts(100_000, 20_000, 200_000);
    let (x86, _) = all.split_at(all.find("aarch64").unwrap());
    let (opens, said) = compare(BASELINE, x86);
    assert!(opens && !said.contains("window-neon"), "{said}");
}

#[test]
fn far_fewer_instructions_pass_and_ask_for_another_baseline() {
    let (opens, said) = compare(BASELINE, &counts(100_000, 10_000, 180_000));
    assert!(
        opens && said.contains("less: update the baseline"),
        "{said}"
    );
}

#[test]
fn a_case_without_a_baseline_or_without_a_count_fails() {
    let more = counts(100_000, 20_000, 180_000) + "x86-64 batch 5\n";
    let (opens, said) = compare(BASELINE, &more);
    assert!(!opens && said.contains("NEW"), "{said}");
    let fewer = "x86-64 rustc 1.95.0\nx86-64 csv-row 20000\n";
    let (opens, said) = compare(BASELINE, fewer);
    assert!(!opens && said.contains("GONE"), "{said}");
    for nothing in ["", "x86-64 window-avx2\n"] {
        let (opens, said) = compare(BASELINE, nothing);
        assert!(!opens, "{said}");
    }
}

#[test]
fn another_compiler_is_told_of_and_compared_all_the_same() {
    let other = counts(100_000, 20_000, 180_000).replace("1.95.0", "1.97.1");
    let (opens, said) = compare(BASELINE, &other);
    let note = "note: x86-64 was built by rustc 1.97.1, the baseline by 1.95.0";
    assert!(opens && said.contains(note), "{said}");
}
