//! What the commands print: results on stdout, all else on stderr. Imports nothing of the crate.

use std::fmt;
use std::io::{self, Write};

use anyhow::Context;

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

/// The first few of `names`, and how many there are beside them.
pub fn few(names: &[String]) -> String {
    const FEW: usize = 6;
    let shown = names[..names.len().min(FEW)].join(", ");
    match names.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (1..=8).map(|i| format!("s{i}")).collect();
        assert_eq!(few(&names[..6]), "s1, s2, s3, s4, s5, s6");
        assert_eq!(few(&names), "s1, s2, s3, s4, s5, s6 and 2 more");
        assert_eq!(few(&[]), "");
    }
}
