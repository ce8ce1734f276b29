//! Copies of SQLite databases that are in use, and whether such a copy is sound.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

/// How long to wait for another process's commit.
const BUSY: Duration = Duration::from_secs(5);

/// Why a database could not be copied, or why a copy is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// SQLite could not read or write it.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The system could not write it.
    #[error("{}: {source}", path.display())]
    File {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is damaged.
    #[error("{} is damaged: {found}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite found first.
        found: String,
    },
}

/// Copies the database as it is at one moment, what is in its write-ahead log included. Other processes may write to it
/// meanwhile. The copy is one file of mode 0600, and on the disk when this returns.
///
/// # Errors
/// [`SnapshotError`]; `to` may hold part of the copy then.
pub fn copy(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    let sqlite = |source| SnapshotError::Sqlite { path: from.into(), source };
    let file = |source| SnapshotError::File { path: to.into(), source };
    let name = to.to_str().ok_or_else(|| file(io::ErrorKind::InvalidFilename.into()))?;
    let connection = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(sqlite)?;
    connection.busy_timeout(BUSY).map_err(sqlite)?;
    connection.execute("VACUUM INTO ?", [name]).map_err(sqlite)?;
    let copy = fs::File::open(to).map_err(file)?;
    copy.set_permissions(fs::Permissions::from_mode(0o600)).and_then(|()| copy.sync_all()).map_err(file)
}

/// Checks every page of a copy that nobody writes to. Nothing is written beside it.
///
/// # Errors
/// [`SnapshotError`]
pub fn check(path: &Path) -> Result<(), SnapshotError> {
    let sqlite = |source| SnapshotError::Sqlite { path: path.into(), source };
    let found: String = open_at_rest(path)
        .and_then(|connection| connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)))
        .map_err(sqlite)?;
    if found == "ok" { Ok(()) } else { Err(SnapshotError::Damaged { path: path.into(), found }) }
}

/// The version of its schema (`PRAGMA user_version`).
///
/// # Errors
/// [`SnapshotError`]
pub fn schema_version(path: &Path) -> Result<i32, SnapshotError> {
    open_at_rest(path)
        .and_then(|connection| connection.pragma_query_value(None, "user_version", |row| row.get(0)))
        .map_err(|source| SnapshotError::Sqlite { path: path.into(), source })
}

/// Opens a database that nobody writes to.
pub(crate) fn open_at_rest(path: &Path) -> rusqlite::Result<Connection> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if plain(*byte) {
            uri.push(char::from(*byte));
        } else {
            uri += &format!("%{byte:02x}");
        }
    }
    uri += "?immutable=1";
    Connection::open_with_flags(uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn copies_what_is_in_the_log_and_finds_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a 100%?#.db"), dir.path().join("copy 100%?#.db"));
        let writer = Connection::open(&from).unwrap();
        writer
            .execute_batch(
                "PRAGMA journal_mode = wal; PRAGMA user_version = 7; CREATE TABLE t (x TEXT);
                 INSERT INTO t VALUES ('in the log');",
            )
            .unwrap();
        copy(&from, &to).unwrap();
        check(&to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let copied = open_at_rest(&to).unwrap();
        let text: String = copied.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!((text.as_str(), schema_version(&to).unwrap()), ("in the log", 7));
        drop(copied);
        let mut bytes = fs::read(&to).unwrap();
        bytes[4096..].fill(0x55);
        fs::write(&to, bytes).unwrap();
        check(&to).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing beside the copy");
    }
}
