//! The configuration: `/etc/anomalyd/anomalyd.toml`, its drop-ins and the vendor's defaults.
//!
//! Three steps: each file is read and checked key by key (`fragment`), the files become one
//! (`merge`), and that becomes validated [`Settings`] (`build`). `schema` is the table of all keys
//! that drives them. Every mistake is found in one run and names its file, line and key.
//!
//! Imports nothing else of the crate; only `cli` and `daemon` import it.

mod across;
mod build;
mod fragment;
mod layers;
mod merge;
mod mistake;
mod rules;
pub mod schema;
mod settings;
mod suggest;
mod value;

pub use across::check_against_model;
pub use mistake::{Mistake, Place, Severity};
pub use settings::*;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the configuration is on the target.
pub const DEFAULT_PATH: &str = "/etc/anomalyd/anomalyd.toml";

/// The exit status of a configuration error (`EX_CONFIG` of sysexits.h, as systemd knows it).
pub const EXIT_STATUS: u8 = 78;

/// The configuration has at least one error; the warnings are listed with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order of the files and their lines.
    pub mistakes: Vec<Mistake>,
}

impl std::error::Error for ConfigError {}

/// One mistake a line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let end = if index + 1 < self.mistakes.len() {
                "\n"
            } else {
                ""
            };
            write!(f, "{mistake}{end}")?;
        }
        Ok(())
    }
}

/// Reads the file `path` with its drop-ins and the vendor's defaults. `root` is `/`, or the root
/// folder of another system: full paths, in the file too, are taken from there. Returns the
/// settings and the warnings.
///
/// # Errors
/// All mistakes, when there is an error among them.
pub fn load(path: &Path, root: &Path) -> Result<(Settings, Vec<Mistake>), ConfigError> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    load_with(path, root, credentials)
}

fn load_with(
    path: &Path,
    root: &Path,
    credentials: Option<PathBuf>,
) -> Result<(Settings, Vec<Mistake>), ConfigError> {
    let main = match path.strip_prefix("/") {
        Ok(inside) => root.join(inside),
        Err(_) => path.to_path_buf(),
    };
    let base = |file: &Path| value::Base {
        root: root.to_path_buf(),
        folder: file.parent().unwrap_or(Path::new("")).to_path_buf(),
    };
    let (layers, mut mistakes) = layers::read(&main, root);
    let mut broken = mistakes.iter().any(Mistake::is_error);
    let mut merged = value::Section::new(Place {
        file: main.as_path().into(),
        line: 1,
    });
    for layer in &layers {
        let file: Arc<Path> = layer.path.as_path().into();
        let fragment = fragment::parse(&layer.text, &file, &base(&file));
        mistakes.extend(fragment.mistakes);
        broken |= fragment.broken;
        merge::merge(&mut merged, fragment.section);
    }
    let around = build::Surroundings {
        base: base(&main),
        credentials,
        broken,
    };
    let (mut settings, found) = build::build(&merged, &around);
    mistakes.extend(found);
    mistakes.extend(across::check_sources(&settings.sources));
    // A source that was meant but is wrong has been reported already.
    let meant = |mistake: &Mistake| mistake.is_error() && mistake.key.starts_with("source");
    if !broken && !mistakes.iter().any(meant) {
        mistakes.extend(across::check_any_source(&settings.sources, &main));
    }
    settings.files = layers.into_iter().map(|layer| layer.path).collect();
    mistakes.sort_by_key(|mistake| {
        let file = settings.files.iter().position(|file| *file == mistake.file);
        (
            file.unwrap_or(usize::MAX),
            mistake.line.unwrap_or(usize::MAX),
        )
    });
    if mistakes.iter().any(Mistake::is_error) {
        Err(ConfigError { mistakes })
    } else {
        Ok((settings, mistakes))
    }
}
