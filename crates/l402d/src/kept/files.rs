//! Copies of files with secrets: of mode 0600, and on the disk before they count.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Failed;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Names the file in the error.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Failed + '_ {
    move |error| format!("{}: {error}", path.display()).into()
}

/// The length and the SHA-256 of a file.
pub(super) fn digest(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut part = Zeroizing::new(vec![0; READ_BYTES]);
    loop {
        match file.read(&mut part)? {
            0 => break,
            read => {
                hash.update(&part[..read]);
                bytes += read as u64;
            }
        }
    }
    Ok((bytes, HEXLOWER.encode(&hash.finalize())))
}

/// Copies a file to where none is. Made by root, it belongs to whom `like` belongs to.
pub(super) fn copy(from: &Path, to: &Path, like: Option<&Path>) -> io::Result<()> {
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    if let Some(like) = like.filter(|_| rustix::process::geteuid().is_root()) {
        let owner = fs::metadata(like)?;
        fchown(&target, Some(owner.uid()), Some(owner.gid()))?;
    }
    io::copy(&mut File::open(from)?, &mut target)?;
    target.sync_all()
}

/// What is in a directory is on the disk when this returns.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The directory of a file.
pub(super) fn directory_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}
