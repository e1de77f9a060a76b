//! The user and group that the service runs as. Imports its parent's error.

use std::path::Path;
use std::{fs, io};

use super::ProvisionError;

const SERVICE: &str = "anomalyd";

/// Numbers of a user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
}

impl Owner {
    /// Looked up in the files of the system at `root`, which may be another one than this.
    pub fn of_service(root: &Path) -> Result<Owner, ProvisionError> {
        let number = |file: &str| {
            let path = root.join(file);
            let number = fs::read_to_string(&path).and_then(|text| {
                let absent = || io::Error::other("has no `anomalyd`: is the service installed?");
                number_of(&text, SERVICE).ok_or_else(absent)
            });
            number.map_err(|error| ProvisionError::new(&path, "the service's user", error))
        };
        Ok(Owner {
            user: number("etc/passwd")?,
            group: number("etc/group")?,
        })
    }
}

/// The third field, in both files.
fn number_of(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_that_of_the_whole_name() {
        let text = "root:x:0:\nanomalyd2:x:7:\nanomalyd:x:998:\n";
        assert_eq!(number_of(text, "anomalyd"), Some(998));
        assert_eq!(number_of("anomaly:x:1:", "anomalyd"), None);
        assert_eq!(number_of("anomalyd:x", "anomalyd"), None);
    }
}
