//! The invoices that were handed out, so that a later process knows of them: what they say, who made them, until when they
//! can be paid. A file of its own on each host, written behind, never the truth: the store and the wallets hold that.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use crate::{BoxFuture, Hash};

/// Invoices that may wait to be written; in a flood those beyond it are known to their process only.
const QUEUE: usize = 4096;
/// Invoices in one commit.
const MAX_BATCH: usize = 512;
/// How long an invoice is known after its expiry: a payment may be told of late.
const KEEP_S: u64 = 86_400;
/// Invoices that are kept at most, some 500 bytes each: the last to expire.
const MOST: u64 = 200_000;
/// How long another process's commit is waited for.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS issued (
        hash BLOB NOT NULL PRIMARY KEY,
        backend TEXT NOT NULL,
        invoice TEXT NOT NULL,
        amount_msat INTEGER NOT NULL,
        expires_at INTEGER NOT NULL   -- Unix seconds
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS issued_by_expiry ON issued (expires_at);
";

/// An invoice that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedInvoice {
    /// Its payment hash.
    pub payment_hash: Hash,
    /// The name of the backend that made it.
    pub backend: String,
    /// Its text.
    pub invoice: String,
    /// What it was sold for, msat.
    pub amount_msat: u64,
    /// When it expires, Unix seconds.
    pub expires_at: u64,
}

/// What is known of the invoices that clients got.
pub trait IssuedInvoices: Send + Sync {
    /// Takes note of one, soon and not for certain. Never waits.
    fn note(&self, invoice: IssuedInvoice);

    /// One that was noted, if it is still known.
    fn find(&self, payment_hash: Hash) -> BoxFuture<'_, Option<IssuedInvoice>>;
}

/// Knows nothing.
pub struct NoIssuedInvoices;

impl IssuedInvoices for NoIssuedInvoices {
    fn note(&self, _: IssuedInvoice) {}

    fn find(&self, _: Hash) -> BoxFuture<'_, Option<IssuedInvoice>> {
        Box::pin(async { None })
    }
}

/// In a file. Dropping it writes what waits.
pub struct IssuedLog {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

enum Job {
    Note(IssuedInvoice),
    Find(Hash, oneshot::Sender<Option<IssuedInvoice>>),
}

/// The file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuedLogError {
    /// It can't be made.
    #[error("it can't be made: {0}")]
    File(#[from] io::Error),
    /// `SQLite` refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl IssuedLog {
    /// Opens the file, or makes it (mode 0600).
    ///
    /// # Errors
    /// [`IssuedLogError`]; whoever meets it goes on with [`NoIssuedInvoices`].
    pub fn open(path: &Path) -> Result<Self, IssuedLogError> {
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What a power cut loses costs a question to the wallet.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name("issued".into()).spawn(move || work(connection, waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }
}

impl IssuedInvoices for IssuedLog {
    fn note(&self, invoice: IssuedInvoice) {
        if let Some(jobs) = &self.jobs {
            // Full in a flood: its own process knows it.
            let _ = jobs.try_send(Job::Note(invoice));
        }
    }

    fn find(&self, payment_hash: Hash) -> BoxFuture<'_, Option<IssuedInvoice>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.jobs.as_ref()?.send(Job::Find(payment_hash, reply)).await.ok()?;
            answer.await.ok()?
        })
    }
}

impl Drop for IssuedLog {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(mut connection: Connection, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut failing = false;
    while let Some(first) = jobs.blocking_recv() {
        batch.push(first);
        while batch.len() < MAX_BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        match write(&mut connection, &batch) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "handed-out invoices are not kept for the next start");
            }
            Err(_) => {}
        }
        // What was asked of came behind what was noted before.
        for job in batch.drain(..) {
            if let Job::Find(hash, reply) = job {
                let _ = reply.send(find(&connection, &hash).ok().flatten());
            }
        }
    }
}

fn write(connection: &mut Connection, batch: &[Job]) -> rusqlite::Result<()> {
    if !batch.iter().any(|job| matches!(job, Job::Note(_))) {
        return Ok(());
    }
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in batch {
        if let Job::Note(invoice) = job {
            note(&tx, invoice)?;
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    prune(&tx, now.saturating_sub(KEEP_S), MOST)?;
    tx.commit()
}

fn note(tx: &Transaction<'_>, invoice: &IssuedInvoice) -> rusqlite::Result<()> {
    let IssuedInvoice { payment_hash, backend, invoice, amount_msat, expires_at } = invoice;
    let number = |number: &u64| i64::try_from(*number).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "INSERT INTO issued (hash, backend, invoice, amount_msat, expires_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (hash) DO NOTHING",
    )?
    .execute(params![payment_hash, backend, invoice, number(amount_msat), number(expires_at)])?;
    Ok(())
}

fn find(connection: &Connection, hash: &Hash) -> rusqlite::Result<Option<IssuedInvoice>> {
    connection
        .prepare_cached("SELECT backend, invoice, amount_msat, expires_at FROM issued WHERE hash = ?")?
        .query_row([hash], |row| {
            let (backend, invoice) = (row.get(0)?, row.get(1)?);
            Ok(IssuedInvoice {
                payment_hash: *hash,
                backend,
                invoice,
                amount_msat: row.get(2)?,
                expires_at: row.get(3)?,
            })
        })
        .optional()
}

/// Forgets what expired before `before` (Unix seconds), and what the `most` that expire last leave no room for.
fn prune(tx: &Transaction<'_>, before: u64, most: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM issued WHERE expires_at < ?")?.execute([before])?;
    tx.prepare_cached(
        "DELETE FROM issued WHERE expires_at < (SELECT expires_at FROM issued ORDER BY expires_at DESC LIMIT 1 OFFSET ?)",
    )?
    .execute([most.saturating_sub(1)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn invoice(n: u8, expires_at: u64) -> IssuedInvoice {
        IssuedInvoice {
            payment_hash: [n; 32],
            backend: "default".into(),
            invoice: format!("lnbcrt{n}"),
            amount_msat: 1000,
            expires_at,
        }
    }

    #[tokio::test]
    async fn the_next_process_knows_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issued.db");
        let log = IssuedLog::open(&path).unwrap();
        log.note(invoice(1, u64::MAX >> 1));
        assert_eq!(
            log.find([1; 32]).await,
            Some(invoice(1, u64::MAX >> 1)),
            "what was noted before is found"
        );
        log.note(invoice(2, u64::MAX >> 1));
        log.note(IssuedInvoice { backend: "other".into(), ..invoice(2, 7) });
        drop(log);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (one, other) = (IssuedLog::open(&path).unwrap(), IssuedLog::open(&path).unwrap());
        for log in [&one, &other] {
            assert_eq!(log.find([2; 32]).await, Some(invoice(2, u64::MAX >> 1)), "the first note stays");
            assert_eq!(log.find([3; 32]).await, None);
        }
        other.note(invoice(4, u64::MAX >> 1));
        assert!(other.find([4; 32]).await.is_some() && one.find([4; 32]).await.is_some());
    }

    #[test]
    fn the_expired_and_the_many_leave() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let tx = connection.transaction().unwrap();
        for n in 1..=6 {
            note(&tx, &invoice(n, 100 * u64::from(n))).unwrap();
        }
        let left = |tx: &Transaction<'_>| {
            (1..=6).filter(|n| find(tx, &[*n; 32]).unwrap().is_some()).collect::<Vec<u8>>()
        };
        prune(&tx, 200, 100).unwrap();
        assert_eq!(left(&tx), [2, 3, 4, 5, 6]);
        prune(&tx, 0, 3).unwrap();
        assert_eq!(left(&tx), [4, 5, 6]);
    }

    #[test]
    fn a_file_that_is_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issued.db");
        fs::write(&path, "not a database, and long enough to be taken for one by nobody at all").unwrap();
        assert!(IssuedLog::open(&path).is_err());
        assert!(IssuedLog::open(&dir.path().join("nowhere/issued.db")).is_err());
    }
}
