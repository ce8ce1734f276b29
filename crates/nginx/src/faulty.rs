//! Only in a build for tests (feature `faulty`): panics in the callback that a file names, as long as it names it.

use std::path::PathBuf;
use std::sync::OnceLock;

/// Names the file. Read once, in the master: workers inherit what it said.
const VARIABLE: &str = "L402_FAULT";

/// Called at the start of every callback, whose path (`…::handler::access::{{closure}}`) is its name.
///
/// # Panics
/// If the file's text is part of the name.
pub fn strike(callback: &str) {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(file) = FILE.get_or_init(|| std::env::var_os(VARIABLE).map(PathBuf::from)) else { return };
    let Ok(wanted) = std::fs::read_to_string(file) else { return };
    assert!(wanted.is_empty() || !callback.contains(&wanted), "injected into {wanted}");
}
