//! What the commands print: results on stdout, all else on stderr. Imports `few` of `learn`.

use std::fmt;
use std::io::{self, Write};

use anyhow::Context;

pub use crate::learn::few;

/// Writes `text` to standard output as it is.
///
/// `println!` would panic where a disk is full or a reader has gone.
///
/// # Errors
/// Standard output cannot be written.
pub fn print(text: impl fmt::Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")
        .and_then(|()| out.flush())
        .context("standard output: cannot be written")
}

/// Writes `value` to standard output as indented JSON and a line feed.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("the result cannot be put in JSON")?;
    print(format_args!("{text}\n"))
}

/// Writes a line to standard error; where that is closed there is nobody to tell.
pub fn tell(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
