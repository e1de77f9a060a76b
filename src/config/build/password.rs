//! Where a password, or another secret, is read from. Imports its sibling modules only.

use std::path::{Path, PathBuf};

use super::table::Table;
use crate::config::mistake::Mistake;
use crate::config::value::Value;

/// The file that the key `password_file` names, where it is set.
pub fn password_file(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<PathBuf> {
    credential_file(table, "password_file", "the password", mistakes)
}

/// The file that the key `key` names, where it is set; `what` is in it.
pub fn credential_file(
    table: &Table<'_>,
    key: &str,
    what: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<PathBuf> {
    let path = match table.value(key)? {
        Value::Path(path) => {
            let remedy = format!("write {what} there (mode 0600) or correct the path");
            table.exists(key, &path, &remedy, mistakes);
            path
        }
        Value::Text(credential) => credential_path(table, key, &credential, mistakes),
        _ => return None,
    };
    if others_may_read(&path) {
        let shown = path.display();
        let message = format!("others may read {shown}; run `chmod 600 {shown}`");
        let place = table.place(key);
        mistakes.push(Mistake::warning(place, table.key(key), message));
    }
    Some(path)
}

/// A bare name is a systemd credential, or else a file beside the configuration.
fn credential_path(
    table: &Table<'_>,
    key: &str,
    name: &str,
    mistakes: &mut Vec<Mistake>,
) -> PathBuf {
    let beside = table.around.base.folder.join(name);
    let place = table.place(key);
    let key = table.key(key);
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
