//! Runs the real program as its user would.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run of the program left.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// `anomalyd WORDS` in `folder`; words are parted by spaces.
pub fn command(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anomalyd"));
    command
        .args(words.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

pub fn run(folder: &Path, words: &str) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command(folder, words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        // A signal has no code, and no case expects -1.
        status: status.code().unwrap_or(-1),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

/// As [`run`], where nothing may go wrong.
pub fn run_well(folder: &Path, words: &str) -> Ran {
    let ran = run(folder, words);
    assert_eq!(ran.status, 0, "anomalyd {words}\n{}", ran.stderr);
    ran
}
