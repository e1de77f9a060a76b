//! A machine and its card, as folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anomalyd::appliance::{self, Outcome, Places, Steps};
use tempfile::TempDir;

pub const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// Bytes 0 to 31 as a key: nobody has its other half.
pub const KEY: &str = "ssh-ed25519 \
                   AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@laptop";
pub const SECRET: &str = "s3cret-of-the-broker";
pub const OTHER_SECRET: &str = "s3cret-of-the-second-broker";

/// A machine with its card.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// As an image makes it: the shipped configuration, and the service's user.
    pub fn new() -> Machine {
        let machine = Machine {
            folder: tempfile::tempdir().unwrap(),
        };
        let about = fs::metadata(machine.folder.path()).unwrap();
        let (user, group) = (about.uid(), about.gid());
        machine.put(
            "etc/passwd",
            format!("root:x:0:0::/root:/bin/sh\nanomalyd:x:{user}:{group}::/:\n"),
        );
        machine.put("etc/group", format!("root:x:0:\nanomalyd:x:{group}:\n"));
        let shipped =
            Path::new(REPOSITORY).join("rootfs-overlay/service/etc/anomalyd/anomalyd.toml");
        machine.put("etc/anomalyd/anomalyd.toml", fs::read(shipped).unwrap());
        machine.put("etc/hostname", "anomalyd\n");
        machine.put("boot/autoboot.txt", "[all]\n");
        machine
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    pub fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().mode() & 0o7777
    }

    pub fn result(&self) -> String {
        let text = self.text("boot/anomalyd-result.txt");
        assert!(
            text.lines().count() == text.matches("\r\n").count(),
            "{text:?}"
        );
        text.replace("\r\n", "\n").trim_end().to_owned()
    }

    /// The real program.
    pub fn run(&self) -> Output {
        let root = self.folder.path();
        let mut program = Command::new(env!("CARGO_BIN_EXE_anomalyd"));
        program
            .arg("provision")
            .arg("--root")
            .arg(root)
            .env_remove("JOURNAL_STREAM");
        program.output().unwrap()
    }

    /// The library, which makes at most so many changes.
    pub fn steps(&self, steps: &mut Steps) -> Result<Outcome, appliance::ProvisionError> {
        let places = Places {
            root: self.folder.path().to_owned(),
            boot: "/boot".into(),
        };
        appliance::provision(&places, &sensors_of, steps)
    }

    /// Every file below a folder with its mode and content; of a link, where it leads.
    pub fn snapshot(&self, below: &str) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        let mut todo = vec![self.path(below)];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let about = fs::symlink_metadata(&path).unwrap();
                if about.is_dir() {
                    todo.push(path.clone());
                    continue;
                }
                let content = match about.is_symlink() {
                    true => fs::read_link(&path)
                        .unwrap()
                        .into_os_string()
                        .into_encoded_bytes(),
                    false => fs::read(&path).unwrap(),
                };
                let name = path.strip_prefix(self.folder.path()).unwrap();
                files.insert(name.to_owned(), (about.mode(), content));
            }
        }
        files
    }
}

/// Stands for a model file: a list of sensors, the word "model" before it.
pub fn sensors_of(path: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let names = text.strip_prefix("model ").ok_or("is not a model")?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}

pub fn whole_file() -> String {
    format!(
        "\u{feff}name = \"Süd 1\"\n\
         model = 'plant.pt'\n\
         \n\
         [appliance]\n\
         # who it is\n\
         hostname = 'plant-pi'\n\
         ssh_keys = [\n  '{KEY}',\n]\n\
         ntp = ['192.168.1.1']\n\
         timezone = 'Europe/Berlin'\n\
         address = '192.168.1.20/24'\n\
         gateway = '192.168.1.1'\n\
         dns = ['192.168.1.1', '9.9.9.9']\n\
         \n\
         # what it reads\n\
         [[source.mqtt]]\n\
         host = '192.168.1.10'\n\
         username = 'u'\n\
         password = '{SECRET}'\n\
         tls = true\n\
         ca_file = 'plant-ca.pem'\n\
         topics.A = 'plant/a'\n\
         topics.B = 'plant/b'\n\
         \n\
         [[source.mqtt]]\n\
         name = 'second'\n\
         host = '192.168.1.11'\n\
         username = 'u'\n\
         password_file = 'second-password'\n\
         topics.C = 'plant/c'\n"
    )
}

/// A machine with a card that has all there can be.
pub fn prepared() -> Machine {
    let machine = Machine::new();
    machine.put("boot/anomalyd.toml", whole_file().replace('\n', "\r\n"));
    machine.put("boot/plant.pt", "model A B C");
    machine.put("boot/plant-ca.pem", "certificate");
    machine.put("boot/second-password", format!("{OTHER_SECRET}\n"));
    machine
}

pub fn has_secret(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains(SECRET) || text.contains(OTHER_SECRET)
}

pub fn taken_over(outcome: Result<Outcome, appliance::ProvisionError>) -> appliance::Report {
    match outcome {
        Ok(Outcome::TakenOver(report, None)) => report,
        other => panic!("{other:?}"),
    }
}
