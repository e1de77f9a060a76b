//! Where a result goes: seen before minutes of training to be writable, without losing another
//! file. May import everything.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use crate::cli::failure::{Unwritable, Usage};
use crate::model::ModelFile;
use crate::train::Trained;

/// What a ZIP archive begins with, and so every model file.
const ARCHIVE: &[u8; 4] = b"PK\x03\x04";

/// A kind of result: the option that says where it goes, what it is called, what it begins with.
pub struct Product {
    pub option: &'static str,
    pub called: &'static str,
    pub start: &'static [u8],
}

const MODEL: Product = Product {
    option: "--out",
    called: "a model",
    start: ARCHIVE,
};

/// Checks that a model can be written to `out`. What is there already is replaced only where it is
/// an archive, and none of the `inputs`.
///
/// # Errors
/// It cannot be written ([`Unwritable`]), or another file would be lost ([`Usage`]).
pub fn writable<'a>(out: &Path, inputs: impl Iterator<Item = &'a Path>) -> anyhow::Result<()> {
    writable_as(&MODEL, out, inputs)
}

/// As [`writable`], for another kind of result.
///
/// # Errors
/// As for [`writable`].
pub fn writable_as<'a>(
    product: &Product,
    out: &Path,
    inputs: impl Iterator<Item = &'a Path>,
) -> anyhow::Result<()> {
    let Product { option, called, .. } = product;
    let place = out.display();
    let cannot = |reason: String| Unwritable(format!("{place}: cannot be written: {reason}"));
    match fs::metadata(out) {
        Ok(there) if there.is_dir() => {
            return Err(Usage(format!("{option} {place} is a folder; name a file in it")).into());
        }
        Ok(there) if !there.is_file() => {
            return Err(Usage(format!("{option} {place} is not a file; give another name")).into());
        }
        Ok(_) => {
            let same = |input: &Path| match (fs::canonicalize(input), fs::canonicalize(out)) {
                (Ok(input), Ok(out)) => input == out,
                _ => false,
            };
            let mut inputs = inputs;
            if inputs.any(same) || !replaceable(product, out).map_err(|e| cannot(e.to_string()))? {
                return Err(Usage(format!(
                    "{option} {place} exists and is not {called}; give another name, or remove it \
                     first"
                ))
                .into());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(cannot(error.to_string()).into()),
    }
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Permissions, read-only mounts and quotas: trying is the only sure way to know.
    let probe = folder.join(format!(".anomalyd-{}.probe", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => cannot(format!("there is no folder {}", folder.display())),
            _ => cannot(error.to_string()),
        })?;
    Ok(())
}

/// Writes the model to `out` and reads it back: it is only done when it loads. Where the place has
/// become unwritable meanwhile, the model is put where it is not lost.
///
/// # Errors
/// It cannot be written ([`Unwritable`]), or does not load.
pub fn save(trained: &Trained, out: &Path) -> anyhow::Result<ModelFile> {
    let Err(error) = trained.model.save(out) else {
        return Ok(ModelFile::load(out)?);
    };
    let refuge = std::env::temp_dir().join(format!("anomalyd-{}.pt", std::process::id()));
    let kept = match trained.model.save(&refuge) {
        Ok(_) => format!("the model is kept as {}", refuge.display()),
        Err(_) => "the model is lost".to_owned(),
    };
    Err(Unwritable(format!("cannot write the model: {error}; {kept}")).into())
}

/// Whether `path` holds such a result already, or nothing at all.
fn replaceable(product: &Product, path: &Path) -> io::Result<bool> {
    let mut there = Vec::new();
    File::open(path)?
        .take(product.start.len() as u64)
        .read_to_end(&mut there)?;
    Ok(there.is_empty() || there == product.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(out: &Path, input: &Path) -> String {
        writable(out, [input].into_iter()).unwrap_err().to_string()
    }

    #[test]
    fn models_and_new_files_may_be_written_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("normal.csv");
        fs::write(&data, "time,a\n").unwrap();
        let out = folder.path().join("plant.pt");
        for before in [None, Some(ARCHIVE.as_slice()), Some(b"")] {
            if let Some(before) = before {
                fs::write(&out, before).unwrap();
            }
            writable(&out, [data.as_path()].into_iter()).unwrap();
            let left = before.map(|_| fs::read(&out).unwrap());
            assert_eq!(left.as_deref(), before);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn no_other_file_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("normal.csv");
        fs::write(&data, "time,a\n").unwrap();
        assert!(refusal(&data, &data).contains("not a model"));
        // An input that happens to be an archive, by another name.
        let archive = folder.path().join("a.pt");
        fs::write(&archive, ARCHIVE).unwrap();
        let link = folder.path().join("link.pt");
        std::os::unix::fs::symlink(&archive, &link).unwrap();
        assert!(refusal(&link, &archive).contains("not a model"));
        assert!(refusal(Path::new("/dev/null"), &data).contains("not a file"));
        assert!(refusal(folder.path(), &data).contains("is a folder"));
        let nowhere = folder.path().join("none/plant.pt");
        assert!(refusal(&nowhere, &data).contains("there is no folder"));
        let below_a_file = data.join("plant.pt");
        assert!(refusal(&below_a_file, &data).contains("cannot be written"));
    }
}
