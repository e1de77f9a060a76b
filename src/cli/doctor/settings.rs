//! The configuration. Imports `config`.

use std::path::Path;

use super::Check;
use crate::cli::counted;
use crate::config::{self, Settings};

const NAME: &str = "configuration";

/// The check, and the settings where there are any.
pub fn check(config: &Path, root: &Path) -> (Check, Option<Settings>) {
    match config::load(config, root) {
        Ok((settings, warnings)) => {
            let mut text = counted(settings.sources.len(), "source");
            if let Some(first) = warnings.first() {
                let many = counted(warnings.len(), "warning");
                text = format!("{text}, {many}: {first}");
            }
            (Check::ok(NAME, text), Some(settings))
        }
        Err(error) => {
            let mistakes: Vec<_> = error.mistakes.iter().filter(|m| m.is_error()).collect();
            let first = mistakes.first().map(ToString::to_string);
            let first = first.unwrap_or_else(|| error.to_string());
            let remedy = match mistakes.len() {
                0 | 1 => "correct it".to_owned(),
                count => format!("and {} more; see `anomalyd check-config`", count - 1),
            };
            (Check::fail(NAME, first, remedy), None)
        }
    }
}
