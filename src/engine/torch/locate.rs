//! Finds the worker program. Imports `engine::EngineError` only.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::EngineError;

const PROGRAM: &str = "anomalyd-torch";

/// Where the Debian package and the image put the worker.
pub const PACKAGED: &str = "/usr/libexec/anomalyd/anomalyd-torch";

/// Environment variable that names the worker program.
pub const VARIABLE: &str = "ANOMALYD_TORCH";

/// The worker program: `explicit` if given, else the environment variable `ANOMALYD_TORCH`, else
/// the first that exists of: beside this executable, `target/torch/` above it (a build tree),
/// `/usr/libexec/anomalyd`, the search path.
///
/// # Errors
/// [`EngineError::WorkerMissing`] when a named file is not there, or when none is found.
pub fn locate(explicit: Option<&Path>) -> Result<PathBuf, EngineError> {
    let named = explicit.map(Path::to_path_buf).or_else(|| {
        env::var_os(VARIABLE)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    });
    match named {
        // Falling back from a named program would hide a misspelt path.
        Some(path) if path.is_file() => Ok(path),
        Some(path) => Err(missing(path, "no such file")),
        None => search(&candidates(
            env::current_exe().ok().as_deref(),
            env::var_os("PATH").as_deref(),
        )),
    }
}

fn search(candidates: &[PathBuf]) -> Result<PathBuf, EngineError> {
    candidates
        .iter()
        .find(|path| path.is_file())
        .cloned()
        .ok_or_else(|| {
            missing(
                PathBuf::from(PROGRAM),
                "not beside anomalyd, not in /usr/libexec/anomalyd, not on PATH",
            )
        })
}

fn candidates(executable: Option<&Path>, search_path: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(executable) = executable {
        let folders = || executable.ancestors().skip(1);
        // A worker built by cargo beside a test or a debug build cannot start without its
        // launcher on Debian 12, so the launcher comes first.
        found.extend(
            folders()
                .filter(|folder| folder.file_name().is_some_and(|name| name == "target"))
                .map(|target| target.join("torch").join(PROGRAM)),
        );
        found.extend(folders().next().map(|folder| folder.join(PROGRAM)));
    }
    found.push(PathBuf::from(PACKAGED));
    if let Some(search_path) = search_path {
        found.extend(env::split_paths(search_path).map(|folder| folder.join(PROGRAM)));
    }
    found
}

fn missing(path: PathBuf, reason: &str) -> EngineError {
    EngineError::WorkerMissing {
        path,
        source: io::Error::new(io::ErrorKind::NotFound, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_program_that_is_absent_is_an_error_that_names_it_and_the_remedy() {
        let error = locate(Some(Path::new("/nowhere/worker"))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("/nowhere/worker"), "{text}");
        assert!(text.contains("scripts/build-torch.sh"), "{text}");
    }

    #[test]
    fn a_named_program_is_taken_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(locate(Some(file.path())).unwrap(), file.path());
    }

    #[test]
    fn the_launcher_of_a_build_tree_comes_before_the_bare_program() {
        let tree = tempfile::tempdir().unwrap();
        let target = tree.path().join("target");
        std::fs::create_dir_all(target.join("torch")).unwrap();
        std::fs::create_dir_all(target.join("debug/deps")).unwrap();
        let bare = target.join("debug").join(PROGRAM);
        std::fs::write(&bare, "").unwrap();
        let executable = target.join("debug/anomalyd");

        assert_eq!(search(&candidates(Some(&executable), None)).unwrap(), bare);
        let launcher = target.join("torch").join(PROGRAM);
        std::fs::write(&launcher, "").unwrap();
        assert_eq!(
            search(&candidates(Some(&executable), None)).unwrap(),
            launcher
        );
        let test_binary = target.join("debug/deps/torch_worker-1a2b");
        assert_eq!(
            search(&candidates(Some(&test_binary), None)).unwrap(),
            launcher
        );
    }

    #[test]
    fn the_search_path_is_searched_and_its_absence_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = env::join_paths([Path::new("/nowhere"), folder.path()]).unwrap();
        let list = candidates(None, Some(&path));
        assert!(list.contains(&PathBuf::from(PACKAGED)));
        let program = folder.path().join(PROGRAM);
        std::fs::write(&program, "").unwrap();
        assert_eq!(search(&list[1..]).unwrap(), program);
        assert!(
            search(&[PathBuf::from("/nowhere/x")])
                .unwrap_err()
                .to_string()
                .contains("PATH")
        );
    }
}
