//! The embedded store: one SQLite file, one writer thread, group commit.
//!
//! Every call is a job for the thread, which takes all jobs that wait, runs them in one
//! `BEGIN IMMEDIATE … COMMIT` and answers after the commit: with `synchronous=FULL` a commit is one
//! `fsync` of the write-ahead log, so the price of durability is shared by all who wait at the moment.
//! The lock that `BEGIN IMMEDIATE` takes makes any number of processes on one file correct.

mod open;
mod sql;

use std::{future::ready, path::Path, thread, time::Duration};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

pub use open::OpenError;

use crate::{
    BoxFuture, Claim, Claimed, Hash, KEEP_NOTES, KEEP_REQUESTS, MAX_NOTES, Notes, Rate, RequestId, Settled,
    Store, StoreError, Taken, rate::Rates,
};

/// Jobs that may wait for the thread; beyond it a caller waits for room. More than l402d ever has in flight.
const QUEUE: usize = 4096;
/// Jobs in one commit: bounds how long a job waits behind others (some 10 µs each).
const MAX_BATCH: usize = 1024;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long request ids are remembered; see [`KEEP_REQUESTS`].
    pub keep_requests: Duration,
    /// How long to wait for another process's commit before a call fails.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // 5 s: a commit takes milliseconds; longer means that something is wrong, and a client waits.
        Self { keep_requests: KEEP_REQUESTS, busy_timeout: Duration::from_secs(5) }
    }
}

/// Claims and settlements in one SQLite file. Dropping it finishes what was asked and closes the file.
pub struct SqliteStore {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
    rates: Rates,
}

impl SqliteStore {
    /// Opens the file, or makes it (mode 0600) in a directory that exists.
    ///
    /// # Errors
    /// [`OpenError`], which says what the operator can do.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, Options::default())
    }

    /// Checks a copy of the file that nobody writes to: every page, whose it is, and that this release knows its schema.
    ///
    /// # Errors
    /// [`SnapshotError`], [`OpenError::Newer`], [`OpenError::Foreign`]
    ///
    /// [`SnapshotError`]: crate::snapshot::SnapshotError
    pub fn check(path: &Path) -> Result<(), OpenError> {
        open::check(path)
    }

    /// As [`SqliteStore::open`], with other times.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: &Path, options: Options) -> Result<Self, OpenError> {
        let connection = open::open(path, options.busy_timeout)?;
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let writer = Writer { connection, keep_requests_s: options.keep_requests.as_secs() };
        let thread = thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(waiting))
            .map_err(|source| OpenError::Thread { source })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), rates: Rates::default() })
    }

    async fn ask(&self, op: Op) -> Result<Outcome, StoreError> {
        let closed = || StoreError::Unavailable("its writer has stopped; restart l402d".into());
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(Job { op, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // The thread only ends by itself; a panic in it was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Store for SqliteStore {
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Claimed, StoreError>> {
        Box::pin(async move {
            match self.ask(Op::Claim(claim)).await? {
                Outcome::Claimed(claimed) => Ok(claimed),
                Outcome::RequestReused => Err(StoreError::RequestReused),
                other => Err(other.unexpected()),
            }
        })
    }

    fn release(&self, _: Hash, request: RequestId) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            match self.ask(Op::Release(request)).await? {
                Outcome::Released(gave_back) => Ok(gave_back),
                other => Err(other.unexpected()),
            }
        })
    }

    fn used(&self, payment_hash: Hash) -> BoxFuture<'_, Result<u32, StoreError>> {
        Box::pin(async move {
            match self.ask(Op::Used(payment_hash)).await? {
                Outcome::Used(units) => Ok(units),
                other => Err(other.unexpected()),
            }
        })
    }

    fn settled_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<Settled>, StoreError>> {
        Box::pin(async move {
            match self.ask(Op::SettledGet(payment_hash)).await? {
                Outcome::Settled(settled) => Ok(settled),
                other => Err(other.unexpected()),
            }
        })
    }

    fn settled_put(&self, payment_hash: Hash, settled: Settled) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            match self.ask(Op::SettledPut(payment_hash, settled)).await? {
                Outcome::Recorded => Ok(()),
                other => Err(other.unexpected()),
            }
        })
    }

    fn rate_take<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, Taken> {
        Box::pin(ready(self.rates.take(key, rate)))
    }

    fn rate_give_back<'a>(&'a self, key: &'a str, rate: Rate) -> BoxFuture<'a, ()> {
        self.rates.give_back(key, rate);
        Box::pin(ready(()))
    }
}

impl Notes for SqliteStore {
    fn note_put(&self, payment_hash: Hash, note: String) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            match self.ask(Op::NotePut(payment_hash, note)).await? {
                Outcome::Recorded => Ok(()),
                other => Err(other.unexpected()),
            }
        })
    }

    fn note_get(&self, payment_hash: Hash) -> BoxFuture<'_, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            match self.ask(Op::NoteGet(payment_hash)).await? {
                Outcome::Note(note) => Ok(note),
                other => Err(other.unexpected()),
            }
        })
    }
}

enum Op {
    Claim(Claim),
    Release(RequestId),
    Used(Hash),
    SettledGet(Hash),
    SettledPut(Hash, Settled),
    NotePut(Hash, String),
    NoteGet(Hash),
}

enum Outcome {
    Claimed(Claimed),
    RequestReused,
    Released(bool),
    Used(u32),
    Settled(Option<Settled>),
    Note(Option<String>),
    Recorded,
}

impl Outcome {
    fn unexpected(self) -> StoreError {
        StoreError::Unavailable("an answer to another question; please report this".into())
    }
}

struct Job {
    op: Op,
    reply: oneshot::Sender<Result<Outcome, StoreError>>,
}

struct Writer {
    connection: Connection,
    keep_requests_s: u64,
}

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            let outcomes = self.commit(&batch);
            self.answer(batch.drain(..), outcomes);
        }
    }

    /// All jobs of the batch, or none: after an error nothing was changed.
    fn commit(&mut self, batch: &[Job]) -> rusqlite::Result<Vec<Outcome>> {
        if batch.iter().all(|job| job.op.only_reads()) {
            return batch.iter().map(|job| job.op.read(&self.connection)).collect();
        }
        let now = sql::unix_now();
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcomes = batch.iter().map(|job| job.op.run(&tx, now)).collect::<Result<_, _>>()?;
        // Twice as many as were added, so that the backlog of a rush always shrinks.
        sql::prune(&tx, now.saturating_sub(self.keep_requests_s), batch.len() * 2)?;
        tx.commit()?;
        Ok(outcomes)
    }

    fn answer(&self, batch: impl Iterator<Item = Job>, outcomes: rusqlite::Result<Vec<Outcome>>) {
        // A reply that nobody waits for any more is no error: see `Store`.
        match outcomes {
            Ok(outcomes) => {
                for (job, outcome) in batch.zip(outcomes) {
                    let _ = job.reply.send(Ok(outcome));
                }
            }
            Err(error) => {
                tracing::error!(%error, "the store failed; nothing is granted (check the disk and its free space)");
                for job in batch {
                    let _ = job.reply.send(Err(StoreError::Unavailable(error.to_string())));
                }
            }
        }
    }
}

impl Op {
    fn run(&self, tx: &Transaction<'_>, now: u64) -> rusqlite::Result<Outcome> {
        match self {
            Op::Claim(claim) => sql::claim(tx, claim, now),
            Op::Release(request) => sql::release(tx, request, now).map(Outcome::Released),
            Op::SettledPut(hash, settled) => {
                sql::settled_put(tx, hash, settled)?;
                Ok(Outcome::Recorded)
            }
            Op::NotePut(hash, note) => {
                sql::note_put(tx, hash, note, now)?;
                sql::prune_notes(tx, now.saturating_sub(KEEP_NOTES.as_secs()), MAX_NOTES)?;
                Ok(Outcome::Recorded)
            }
            Op::Used(_) | Op::SettledGet(_) | Op::NoteGet(_) => self.read(tx),
        }
    }

    fn only_reads(&self) -> bool {
        matches!(self, Op::Used(_) | Op::SettledGet(_) | Op::NoteGet(_))
    }

    fn read(&self, connection: &Connection) -> rusqlite::Result<Outcome> {
        match self {
            Op::Used(hash) => sql::used(connection, hash).map(Outcome::Used),
            Op::SettledGet(hash) => sql::settled_get(connection, hash).map(Outcome::Settled),
            Op::NoteGet(hash) => sql::note_get(connection, hash).map(Outcome::Note),
            Op::Claim(_) | Op::Release(_) | Op::SettledPut(..) | Op::NotePut(..) => {
                Err(rusqlite::Error::InvalidQuery)
            }
        }
    }
}
