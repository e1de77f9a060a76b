//! One change of the machine's files, so that at every instant the old one or the new one is there.
//! Imports `durable`, its parent's error and `owner`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown, symlink,
};
use std::path::{Path, PathBuf};

use super::owner::Owner;
use super::{Places, ProvisionError};
use crate::durable::sync_folder;

/// How many changes may still be made. A test ends a run after each of them, as a power cut does.
#[derive(Debug)]
pub struct Steps {
    left: Option<u64>,
}

impl Steps {
    pub fn unlimited() -> Self {
        Steps { left: None }
    }

    pub fn at_most(count: u64) -> Self {
        Steps { left: Some(count) }
    }

    /// # Errors
    /// None is left.
    pub fn take(&mut self) -> io::Result<()> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("no step is left")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody may read it.
    Public,
    /// The service may read it, nobody else.
    Service,
    /// The service's own.
    OfService,
}

/// What is to be in one place. Full paths of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Write {
        path: PathBuf,
        content: Vec<u8>,
        access: Access,
    },
    Link {
        path: PathBuf,
        target: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
}

/// Makes a change, unless it is made already. Afterwards it lasts.
pub fn apply(
    change: &Change,
    places: &Places,
    owner: Owner,
    steps: &mut Steps,
) -> Result<(), ProvisionError> {
    let (inside, what) = match change {
        Change::Write { path, .. } | Change::Link { path, .. } => (path, "cannot be written"),
        Change::Remove { path } => (path, "cannot be removed"),
    };
    let path = places.of(inside);
    let done = match change {
        Change::Write {
            content, access, ..
        } => make_folder(&path, *access, owner)
            .and_then(|()| write(&path, content, *access, owner, steps)),
        Change::Link { target, .. } => {
            make_folder(&path, Access::Public, owner).and_then(|()| link(&path, target, steps))
        }
        Change::Remove { .. } => remove(&path, steps),
    };
    done.map_err(|error| ProvisionError::new(&path, what, error))
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Access::Public => 0o644,
            Access::Service | Access::OfService => 0o640,
        }
    }

    fn user(self, owner: Owner) -> Option<u32> {
        (self == Access::OfService).then_some(owner.user)
    }

    fn group(self, owner: Owner) -> Option<u32> {
        (self != Access::Public).then_some(owner.group)
    }
}

fn write(
    path: &Path,
    content: &[u8],
    access: Access,
    owner: Owner,
    steps: &mut Steps,
) -> io::Result<()> {
    let (user, group) = (access.user(owner), access.group(owner));
    let about = fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file);
    let as_it_should_be = about.is_some_and(|about| {
        about.mode() & 0o7777 == access.mode()
            && user.is_none_or(|user| user == about.uid())
            && group.is_none_or(|group| group == about.gid())
            && about.len() == content.len() as u64
    });
    if as_it_should_be && fs::read(path)? == content {
        return Ok(());
    }
    steps.take()?;
    let beside = beside(path);
    let mut file = create(&beside)?;
    fchown(&file, user, group)?;
    file.set_permissions(Permissions::from_mode(access.mode()))?;
    file.write_all(content)?;
    file.sync_all()?;
    steps.take()?;
    fs::rename(&beside, path)?;
    sync_folder(path)
}

fn link(path: &Path, target: &Path, steps: &mut Steps) -> io::Result<()> {
    if fs::read_link(path).is_ok_and(|now| now == target) {
        return Ok(());
    }
    steps.take()?;
    let beside = beside(path);
    remove_if_there(&beside)?;
    symlink(target, &beside)?;
    steps.take()?;
    fs::rename(&beside, path)?;
    sync_folder(path)
}

fn remove(path: &Path, steps: &mut Steps) -> io::Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    steps.take()?;
    remove_if_there(path)?;
    sync_folder(path)
}

/// A new file for the program alone. What lies there is of a run that was cut off, or a trap that the
/// service laid in its own folder: it is never written to.
fn create(path: &Path) -> io::Result<File> {
    remove_if_there(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// No name that any program reads in these folders.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// Makes the folder of `path`, and lasting.
fn make_folder(path: &Path, access: Access, owner: Owner) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if let Ok(about) = fs::symlink_metadata(folder) {
        // The service may have put a link in the place of its own folder.
        return match about.is_dir() || access != Access::OfService {
            true => Ok(()),
            false => Err(io::Error::other("its folder is not a folder")),
        };
    }
    make_folder(folder, access, owner)?;
    let (mode, service) = match access {
        Access::OfService => (0o750, true),
        Access::Public | Access::Service => (0o755, false),
    };
    DirBuilder::new().mode(mode).create(folder)?;
    if service {
        chown(folder, Some(owner.user), Some(owner.group))?;
    }
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (tempfile::TempDir, Places, Owner) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            root: folder.path().to_owned(),
            boot: "/boot".into(),
        };
        let about = fs::metadata(folder.path()).unwrap();
        let owner = Owner {
            user: about.uid(),
            group: about.gid(),
        };
        (folder, places, owner)
    }

    fn write_to(path: &str, content: &str, access: Access) -> Change {
        Change::Write {
            path: path.into(),
            content: content.into(),
            access,
        }
    }

    #[test]
    fn files_get_their_mode_and_a_second_time_nothing_is_done() {
        let (_folder, places, owner) = places();
        for (access, mode) in [
            (Access::Public, 0o644),
            (Access::Service, 0o640),
            (Access::OfService, 0o640),
        ] {
            let change = write_to("/etc/x/y/file", "content", access);
            let _ = fs::remove_file(places.of("/etc/x/y/file"));
            apply(&change, &places, owner, &mut Steps::unlimited()).unwrap();
            let path = places.of("/etc/x/y/file");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
            assert_eq!(fs::read_to_string(&path).unwrap(), "content");
            apply(&change, &places, owner, &mut Steps::at_most(0)).unwrap();
            // Another mode or another content is a reason to write it.
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert!(apply(&change, &places, owner, &mut Steps::at_most(0)).is_err());
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            fs::write(&path, "CONTENT").unwrap();
            assert!(apply(&change, &places, owner, &mut Steps::at_most(0)).is_err());
        }
    }

    #[test]
    fn an_end_in_between_leaves_the_old_file() {
        let (_folder, places, owner) = places();
        let path = places.of("/etc/file");
        apply(
            &write_to("/etc/file", "old", Access::Public),
            &places,
            owner,
            &mut Steps::unlimited(),
        )
        .unwrap();
        let new = write_to("/etc/file", "new", Access::Public);
        for steps in [0, 1] {
            let error = apply(&new, &places, owner, &mut Steps::at_most(steps)).unwrap_err();
            assert!(
                error.to_string().contains("etc/file: cannot be written"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        }
        apply(&new, &places, owner, &mut Steps::at_most(2)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        // And nothing else is left in the folder.
        assert_eq!(fs::read_dir(places.of("/etc")).unwrap().count(), 1);
    }

    #[test]
    fn links_are_replaced_and_removed() {
        let (_folder, places, owner) = places();
        let link = |target: &str| Change::Link {
            path: "/etc/localtime".into(),
            target: target.into(),
        };
        let path = places.of("/etc/localtime");
        for target in ["/usr/a", "/usr/b"] {
            apply(&link(target), &places, owner, &mut Steps::at_most(2)).unwrap();
            apply(&link(target), &places, owner, &mut Steps::at_most(0)).unwrap();
            assert_eq!(fs::read_link(&path).unwrap(), Path::new(target));
        }
        let remove = Change::Remove {
            path: "/etc/localtime".into(),
        };
        apply(&remove, &places, owner, &mut Steps::at_most(1)).unwrap();
        apply(&remove, &places, owner, &mut Steps::at_most(0)).unwrap();
        assert!(fs::symlink_metadata(&path).is_err());
    }

    #[test]
    fn the_service_cannot_lead_a_write_elsewhere() {
        let (folder, places, owner) = places();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "untouched").unwrap();
        fs::create_dir_all(places.of("/var/models")).unwrap();
        symlink(&elsewhere, places.of("/var/models/.plant.pt.new")).unwrap();
        let change = write_to("/var/models/plant.pt", "model", Access::OfService);
        apply(&change, &places, owner, &mut Steps::unlimited()).unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "untouched");
        symlink(places.of("/etc"), places.of("/var/link")).unwrap();
        let change = write_to("/var/link/plant.pt", "model", Access::OfService);
        assert!(apply(&change, &places, owner, &mut Steps::unlimited()).is_err());
    }
}
