//! Whether the clock of the machine is set by a time server. Imports `tree` only.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::tree;

/// What systemd-timesyncd touches each time that it has heard a server.
const SYNCHRONISED: &str = "run/systemd/timesync/synchronized";
const TIMESYNCD: &str = "run/systemd/timesync";
/// What other time services have while they run, with the command that asks each.
const OTHERS: [(&str, &str, &str); 4] = [
    ("run/chrony", "chrony", "chronyc tracking"),
    ("run/chronyd.pid", "chrony", "chronyc tracking"),
    ("run/ntpd.pid", "ntpd", "ntpq -p"),
    ("run/ptp4l", "ptp4l", "pmc -u 'GET TIME_STATUS_NP'"),
];

/// Who sets the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// By systemd-timesyncd.
    Synchronised {
        /// Since it last heard a server, when that can be told.
        ago: Option<Duration>,
    },
    /// systemd-timesyncd runs and has not heard a server since the machine started.
    Unsynchronised,
    /// Another service runs, which leaves no file that says how well.
    Other {
        service: &'static str,
        /// The command that tells.
        ask: &'static str,
    },
    /// No time service that is known here.
    Unserved,
}

/// Asks the files that time services leave in `/run`.
pub fn read(root: &Path) -> Clock {
    if let Ok(metadata) = std::fs::metadata(tree::below(root, SYNCHRONISED)) {
        let touched = metadata.modified().ok();
        let ago = touched.and_then(|touched| SystemTime::now().duration_since(touched).ok());
        return Clock::Synchronised { ago };
    }
    if tree::below(root, TIMESYNCD).is_dir() {
        return Clock::Unsynchronised;
    }
    let runs = |(path, _, _): &&(&str, &str, &str)| tree::below(root, path).exists();
    match OTHERS.iter().find(runs) {
        Some((_, service, ask)) => Clock::Other { service, ask },
        None => Clock::Unserved,
    }
}

impl Clock {
    /// As a reading: unknown where it cannot be told.
    pub fn synchronised(&self) -> Option<bool> {
        match self {
            Clock::Synchronised { .. } => Some(true),
            Clock::Unsynchronised => Some(false),
            Clock::Other { .. } | Clock::Unserved => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tree::{made_up, put};

    #[test]
    fn each_service_is_told_by_its_files() {
        let root = made_up(&[]);
        assert_eq!(read(root.path()), Clock::Unserved);
        assert_eq!(read(root.path()).synchronised(), None);
        put(root.path(), "run/chrony/chronyd.pid", "1\n");
        assert!(matches!(
            read(root.path()),
            Clock::Other {
                service: "chrony",
                ..
            }
        ));
        assert_eq!(read(root.path()).synchronised(), None);
        std::fs::create_dir_all(root.path().join("run/systemd/timesync")).unwrap();
        assert_eq!(read(root.path()).synchronised(), Some(false));
        put(root.path(), SYNCHRONISED, "");
        assert_eq!(read(root.path()).synchronised(), Some(true));
        let Clock::Synchronised { ago: Some(ago) } = read(root.path()) else {
            panic!("{:?}", read(root.path()));
        };
        assert!(ago < Duration::from_secs(3600));
    }
}
