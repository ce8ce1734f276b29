//! Opening the file: permissions, pragmas, schema.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::snapshot;

/// "l402" in the file's header (`PRAGMA application_id`): another program's database is not touched.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"l402");
/// The schema below (`PRAGMA user_version`).
const SCHEMA_VERSION: i32 = 2;

/// `payment` and `settled` are kept for ever; `request` is pruned by `at`.
const SCHEMA: &str = "
    CREATE TABLE payment (
        hash BLOB NOT NULL PRIMARY KEY,
        used INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE request (
        id BLOB NOT NULL PRIMARY KEY,
        at INTEGER NOT NULL,          -- Unix seconds
        hash BLOB,                    -- NULL: released, or never drawn
        units INTEGER NOT NULL,
        remaining INTEGER NOT NULL    -- what its grant answered
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX request_by_age ON request (at);
    CREATE TABLE settled (
        hash BLOB NOT NULL PRIMARY KEY,
        preimage BLOB,
        received_msat INTEGER NOT NULL,
        at INTEGER NOT NULL           -- Unix seconds
    ) STRICT, WITHOUT ROWID;
";

/// What version 2 adds. Notes are pruned by `at`, and by `number`, which counts up.
pub(super) const NOTES: &str = "
    CREATE TABLE note (
        number INTEGER NOT NULL PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        at INTEGER NOT NULL,          -- Unix seconds
        text TEXT NOT NULL
    ) STRICT;
    CREATE INDEX note_by_age ON note (at);
";

/// Why a store could not be opened: all of them the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state directory is not there.
    #[error("the directory {} does not exist; create it, owned by the user that l402d runs as", path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The file can't be made, read or written.
    #[error("can't open {} for reading and writing: {source}", path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file belongs to something else.
    #[error("{} is a database of another program; choose another state directory", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// A newer l402d has written the file.
    #[error("{} was written by a newer l402d (schema {found}, this one knows {SCHEMA_VERSION}); upgrade l402d", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i32,
    },
    /// SQLite refused.
    #[error("can't use {}: {source}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A copy is damaged.
    #[error(transparent)]
    Copy(#[from] snapshot::SnapshotError),
    /// No thread could be started.
    #[error("can't start the store's thread: {source}")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
}

pub(super) fn check(path: &Path) -> Result<(), OpenError> {
    let connection = snapshot::open_at_rest(path);
    check_owner(&connection.map_err(|source| OpenError::Sqlite { path: path.into(), source })?, path)?;
    Ok(snapshot::check(path)?)
}

pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let file = |source| OpenError::File { path: path.into(), source };
    let sqlite = |source| OpenError::Sqlite { path: path.into(), source };
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(OpenError::NoDirectory { path: directory.into() });
    }
    make_private(path).map_err(file)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(busy_timeout).map_err(sqlite)?;
    check_owner(&connection, path)?;
    configure(&connection, busy_timeout).map_err(sqlite)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// SQLite gives its -wal and -shm files the mode of the database, so the mode of this one file is all.
fn make_private(path: &Path) -> io::Result<()> {
    let file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn check_owner(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.into(), source };
    let (application, version, tables) = identity(connection).map_err(sqlite)?;
    match (application, version) {
        (APPLICATION_ID, found) if found > SCHEMA_VERSION => {
            Err(OpenError::Newer { path: path.into(), found })
        }
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) if tables == 0 => Ok(()),
        _ => Err(OpenError::Foreign { path: path.into() }),
    }
}

/// Application id, schema version and number of tables, as of one moment: another process may be making the schema, and
/// its tables seen without its id would look like another program's.
fn identity(connection: &Connection) -> rusqlite::Result<(i32, i32, i64)> {
    let snapshot = connection.unchecked_transaction()?;
    let pragma = |name| snapshot.pragma_query_value(None, name, |row| row.get(0));
    let tables = snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((pragma("application_id")?, pragma("user_version")?, tables))
}

fn configure(connection: &Connection, busy_timeout: Duration) -> rusqlite::Result<()> {
    // Two processes that turn a new file to WAL at once: SQLite answers "busy" without waiting.
    let deadline = Instant::now() + busy_timeout;
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            other => break other?,
        }
    }
    // FULL: a commit is on the disk before it answers, also when the power fails.
    connection.pragma_update(None, "synchronous", "full")?;
    // Pages; 4 KiB each: 16 MB of log at most between checkpoints, then fewer of them under load.
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    // KiB, when negative: keeps l402d small.
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(())
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |source| OpenError::Sqlite { path: path.into(), source };
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    let version: i32 = tx.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    if version == 0 {
        tx.execute_batch(SCHEMA).map_err(sqlite)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
    }
    if version < 2 {
        tx.execute_batch(NOTES).map_err(sqlite)?;
    }
    if version < SCHEMA_VERSION {
        tx.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(sqlite)?;
    }
    tx.commit().map_err(sqlite)
}
