//! Files beside or of the wallet, for its user alone, also where root is who makes them.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::Path,
};

/// Opens a file, and makes it with mode 0600 if it is not there. Made by root it belongs to whom `like` belongs to: l402d,
/// which is not root, has to open it as well.
pub(crate) fn open(path: &Path, like: &Path) -> io::Result<File> {
    let open = |new: bool| OpenOptions::new().append(true).create_new(new).mode(0o600).open(path);
    match open(true) {
        Ok(file) => {
            if rustix::process::geteuid().is_root() {
                let owner = fs::metadata(like)?;
                fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
            }
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(false),
        Err(error) => Err(error),
    }
}
