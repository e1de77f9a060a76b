//! The torch worker, where there is one.

use std::path::PathBuf;

use anomalyd::engine::torch::locate;

/// The torch worker, or None after saying why `test` is skipped. Where everything is to be there
/// (`ANOMALYD_REQUIRE_ALL`, as scripts/test.sh sets it) its absence is a failure.
pub fn worker(test: &str) -> Option<PathBuf> {
    match locate(None) {
        Ok(worker) => Some(worker),
        Err(error) => {
            let required = std::env::var_os("ANOMALYD_REQUIRE_ALL").is_some();
            assert!(!required, "{test} must not be skipped here: {error}");
            eprintln!("{test} is skipped: {error}");
            None
        }
    }
}
