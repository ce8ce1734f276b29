//! What `l402d` does and `l402` is asked for: run the `l402d` beside this program, or the one on PATH.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Failure, Kind};

/// The program.
const L402D: &str = "l402d";

/// Becomes `l402d` with this command and these arguments; returns only if that can't be.
pub fn become_l402d(command: &str, args: &[OsString]) -> Failure {
    let error = Command::new(program()).arg(command).args(args).exec();
    let text =
        format!("can't run l402d: {error}; install it beside l402 or on PATH, on the host where nginx runs");
    Failure::new(Kind::Local, text)
}

/// The one of the same release, if it is there.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(L402D));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| L402D.into())
}
