//! Where a password is read from. Imports its sibling modules only.

use std::path::{Path, PathBuf};

use super::table::Table;
use crate::config::mistake::Mistake;
use crate::config::value::Value;

/// The file that the key `password_file` names, where it is set.
pub fn password_file(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<PathBuf> {
    let path = match table.value("password_file")? {
        Value::Path(path) => {
            let remedy = "write the password there (mode 0600) or correct the path";
            table.exists("password_file", &path, remedy, mistakes);
            path
        }
        Value::Text(credential) => credential_path(table, &credential, mistakes),
        _ => return None,
    };
    if others_may_read(&path) {
        let shown = path.display();
        let message = format!("others may read {shown}; run `chmod 600 {shown}`");
        let place = table.place("password_file");
        mistakes.push(Mistake::warning(place, table.key("password_file"), message));
    }
    Some(path)
}

/// A bare name is a systemd credential, or else a file beside the configuration.
fn credential_path(table: &Table<'_>, name: &str, mistakes: &mut Vec<Mistake>) -> PathBuf {
    let beside = table.around.base.folder.join(name);
    let place = table.place("password_file");
    let key = table.key("password_file");
    match &table.around.credentials {
        Some(folder) if folder.join(name).exists() => return folder.join(name),
        _ if beside.exists() => {}
        Some(folder) => {
            let message = format!(
                "there is neither a credential {name:?} in {} nor {}; add \
                 LoadCredential={name}:… to the service",
                folder.display(),
                beside.display()
            );
            mistakes.push(Mistake::error(place, key, message));
        }
        None => {
            let message = format!(
                "{} is not there, and systemd credentials exist in the service only; see that it \
                 has LoadCredential={name}:…",
                beside.display()
            );
            mistakes.push(Mistake::warning(place, key, message));
        }
    }
    beside
}

pub fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
}
