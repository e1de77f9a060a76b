//! The configuration: `/etc/anomalyd/anomalyd.toml`, its drop-ins and the vendor's defaults.
//!
//! Three steps: each file is read and checked key by key (`fragment`), the files become one
//! (`merge`), and that becomes validated [`Settings`] (`build`). `schema` is the table of all keys
//! (`key`) that drives them. Every mistake is found in one run and names its file, line and key.
//!
//! Imports `register` only; only `appliance`, `cli` and `daemon` import it.

mod across;
pub mod appliance;
mod build;
mod endpoint;
mod fragment;
pub mod key;
mod layers;
mod merge;
mod mistake;
mod modbus;
mod rules;
pub mod schema;
mod settings;
mod split;
mod suggest;
mod value;

pub use across::check_against_model;
pub use endpoint::Endpoint;
pub use mistake::{Mistake, Place, Severity};
pub use settings::*;
pub use split::{Split, split};

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the configuration is on the target.
pub const DEFAULT_PATH: &str = "/etc/anomalyd/anomalyd.toml";
/// Where the service listens for commands when its configuration does not say.
pub const DEFAULT_CONTROL_SOCKET: &str = "/run/anomalyd/control.sock";

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
    load_with(path, root, credentials, None)
}

/// As [`load`], as if the file `path` held `text`.
///
/// # Errors
/// All mistakes, when there is an error among them.
pub fn load_text(
    text: &str,
    path: &Path,
    root: &Path,
) -> Result<(Settings, Vec<Mistake>), ConfigError> {
    load_with(path, root, None, Some(text))
}

fn load_with(
    path: &Path,
    root: &Path,
    credentials: Option<PathBuf>,
    given: Option<&str>,
) -> Result<(Settings, Vec<Mistake>), ConfigError> {
    let main = match path.strip_prefix("/") {
        Ok(inside) => root.join(inside),
        Err(_) => path.to_path_buf(),
    };
    let base = |file: &Path| value::Base {
        root: root.to_path_buf(),
        folder: file.parent().unwrap_or(Path::new("")).to_path_buf(),
    };
    let (layers, mut mistakes) = layers::read(&main, root, given);
    let unread = mistakes.iter().any(Mistake::is_error);
    let mut broken_lines = HashSet::new();
    let mut merged = value::Section::new(Place {
        file: main.as_path().into(),
        line: 1,
    });
    for layer in &layers {
        let file: Arc<Path> = layer.path.as_path().into();
        let fragment = fragment::parse(&layer.text, &file, &base(&file));
        mistakes.extend(fragment.mistakes);
        let broken = fragment.broken_lines.into_iter();
        broken_lines.extend(broken.map(|line| (layer.path.as_path(), Some(line))));
        merge::merge(&mut merged, fragment.section);
    }
    let around = build::Surroundings {
        base: base(&main),
        credentials,
        broken: unread || !broken_lines.is_empty(),
    };
    let (mut settings, found) = build::build(&merged, &around);
    mistakes.extend(found);
    mistakes.extend(across::check_sources(&settings.sources));
    // A source that was meant but is wrong has been reported already.
    let meant = |mistake: &Mistake| mistake.is_error() && mistake.key.starts_with("source");
    if !around.broken && !mistakes.iter().any(meant) {
        mistakes.extend(across::check_any_source(&settings.sources, &main));
    }
    settings.files = layers.iter().map(|layer| layer.path.clone()).collect();
    // Whatever else a line that is not TOML seems to say was not meant.
    mistakes.retain(|mistake| {
        let place = (mistake.file.as_path(), mistake.line);
        mistake.key.is_empty() || !broken_lines.contains(&place)
    });
    sort(&mut mistakes, &settings.files);
    if mistakes.iter().any(Mistake::is_error) {
        Err(ConfigError { mistakes })
    } else {
        Ok((settings, mistakes))
    }
}

/// Puts mistakes in the order of the files and their lines.
pub fn sort(mistakes: &mut [Mistake], files: &[PathBuf]) {
    mistakes.sort_by_key(|mistake| {
        let file = files.iter().position(|file| *file == mistake.file);
        (
            file.unwrap_or(usize::MAX),
            mistake.line.unwrap_or(usize::MAX),
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MQTT: &str = "[source.mqtt]\nhost = 'h'\nusername = 'u'\npassword_file = 'mqtt'\n\
                        topics.A = 'a'\n";

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    /// The password of the only source, or the text of all mistakes.
    fn password(root: &Path, credentials: Option<&str>) -> Result<Option<Password>, String> {
        let credentials = credentials.map(|folder| root.join(folder));
        let (settings, _) = load_with(Path::new("/anomalyd.toml"), root, credentials, None)
            .map_err(|error| error.to_string())?;
        match settings.sources.as_slice() {
            [SourceSettings::Mqtt(mqtt)] => Ok(mqtt.broker.password.clone()),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_bare_password_file_is_a_credential_before_it_is_a_file() {
        let root = root(&[
            ("anomalyd.toml", MQTT),
            ("mqtt", "beside"),
            ("credentials/mqtt", "credential"),
        ]);
        let read = |credentials| {
            let password = password(root.path(), credentials).unwrap().unwrap();
            password.read().unwrap()
        };
        assert_eq!(read(Some("credentials")), "credential");
        assert_eq!(read(Some("elsewhere")), "beside");
        assert_eq!(read(None), "beside");
    }

    #[test]
    fn an_absent_credential_is_an_error_in_the_service_only() {
        let root = root(&[("anomalyd.toml", MQTT)]);
        assert!(password(root.path(), None).is_ok());
        let why = password(root.path(), Some("credentials")).unwrap_err();
        assert!(
            why.contains("anomalyd.toml:4: source.mqtt.password_file"),
            "{why}"
        );
        assert!(why.contains("LoadCredential=mqtt"), "{why}");
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let root = root(&[
            ("anomalyd.toml", &" ".repeat(5 << 20)),
            ("anomalyd.toml.d/10-folder.toml/x", ""),
        ]);
        let error = load(Path::new("/anomalyd.toml"), root.path()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("anomalyd.toml: is larger than 4 MiB"),
            "{text}"
        );
        assert!(text.contains("10-folder.toml: cannot be read"), "{text}");
        assert_eq!(error.mistakes.len(), 2, "{text}");
    }

    #[test]
    fn the_vendors_file_can_be_the_main_one_and_is_read_once() {
        let root = root(&[(
            "usr/lib/anomalyd/anomalyd.toml",
            "[[source.ndjson]]\n[[source.ndjson]]\nname = 'b'\nlisten = '/run/b'\n",
        )]);
        let main = Path::new("/usr/lib/anomalyd/anomalyd.toml");
        let (settings, _) = load(main, root.path()).unwrap();
        assert_eq!(settings.files.len(), 1);
        assert_eq!(settings.sources.len(), 2);
        // And it alone is enough.
        let (settings, _) = load(Path::new(DEFAULT_PATH), root.path()).unwrap();
        assert_eq!(settings.sources[1].name(), "b");
        assert_eq!(settings.sources[1].key(), "source.ndjson");
    }
}
