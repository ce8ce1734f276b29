//! The record of payments: which proofs were taken for what, on disk before anything is granted.
//!
//! It lives in the wallet's own SQLite file, in tables of its own, so that there is one file to keep and to back up. One
//! thread writes: all that waits goes into one transaction, and is answered after its commit. `BEGIN IMMEDIATE` makes
//! any number of processes on the file correct.

pub(crate) mod balances;
mod bundles;
mod exchanges;
mod forget;
mod lost;
mod melts;
mod mints;
mod owners;
mod rows;
pub(crate) mod schema;
mod urls;

use std::{path::Path, thread, time::Duration};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

pub(crate) use bundles::Bundle;
pub(crate) use exchanges::Exchange;
pub(crate) use lost::Rest;
pub(crate) use melts::Melt;
pub(crate) use owners::Order;
pub(crate) use rows::{Outputs, Put, Row, State};

use crate::{Balance, PaymentId, Unavailable};

/// Jobs that may wait for the thread, and jobs in one commit.
const QUEUE: usize = 1024;

/// How long to wait for another writer of the file.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// The record. Dropping it finishes what was asked.
pub(crate) struct Record {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Record {
    /// The version of the wallet's file, which may not be there yet.
    pub(crate) fn version(path: &Path) -> rusqlite::Result<i32> {
        if !path.exists() {
            return Ok(0);
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY)?;
        schema::version(&connection)
    }

    /// Opens the tables in the wallet's file, which exists. `Ok(None)`: the file belongs to another seed.
    pub(crate) fn open(path: &Path, fingerprint: &[u8]) -> rusqlite::Result<Option<Self>> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        schema::prepare(&mut connection)?;
        if !rows::belongs_to(&mut connection, fingerprint)? {
            return Ok(None);
        }
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let spawned =
            thread::Builder::new().name("ecash".into()).spawn(move || write_all(connection, waiting));
        let thread = spawned.map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Some(Self { jobs: Some(jobs), thread: Some(thread) }))
    }

    /// The payment of these proofs, if there is one.
    pub(crate) async fn find(&self, id: PaymentId) -> Result<Option<Row>, Unavailable> {
        self.run(move |tx| rows::find(tx, id)).await
    }

    /// Records a payment, unless one of its proofs belongs to another, or more than so many sat would be held of its mint (0: no
    /// bound).
    pub(crate) async fn put(
        &self,
        row: Row,
        ys: Vec<[u8; 33]>,
        held_at_most: u64,
    ) -> Result<Put, Unavailable> {
        self.run(move |tx| rows::put(tx, &row, &ys, held_at_most)).await
    }

    /// Fixes which outputs the payment is swapped for, unless they are fixed already; returns those that are.
    pub(crate) async fn assign(
        &self,
        id: PaymentId,
        outputs: Outputs,
    ) -> Result<Option<Outputs>, Unavailable> {
        self.run(move |tx| rows::assign(tx, id, &outputs)).await
    }

    /// The swap is done and its ecash is in the wallet; the proofs are worth nothing any more and are forgotten.
    pub(crate) async fn finish(&self, id: PaymentId) -> Result<(), Unavailable> {
        self.run(move |tx| rows::finish(tx, id)).await
    }

    /// The mint has refused the swap of an offered payment for good: it is none and is forgotten. The outputs, which the mint never
    /// signed, may serve another swap of `count` outputs.
    pub(crate) async fn refuse(&self, id: PaymentId, count: u32) -> Result<(), Unavailable> {
        self.run(move |tx| rows::refuse(tx, id, count)).await
    }

    /// The mint refuses these outputs, not the payment: others are needed.
    pub(crate) async fn unassign(&self, id: PaymentId) -> Result<(), Unavailable> {
        self.run(move |tx| rows::unassign(tx, id)).await
    }

    /// Outputs that were assigned once and never signed.
    pub(crate) async fn unused(&self, keyset: String, count: u32) -> Result<Option<u32>, Unavailable> {
        self.run(move |tx| rows::unused(tx, &keyset, count)).await
    }

    /// Forgets a payment that was taken on sight and that another host has, unless its swap was begun.
    pub(crate) async fn leave(&self, id: PaymentId) -> Result<(), Unavailable> {
        self.run(move |tx| rows::leave(tx, id)).await
    }

    /// The Y values of a payment.
    pub(crate) async fn ys(&self, id: PaymentId) -> Result<Vec<[u8; 33]>, Unavailable> {
        self.run(move |tx| rows::ys(tx, id)).await
    }

    /// What an offered payment is to buy and of whom, now that something else is asked for with it.
    pub(crate) async fn rebind(
        &self,
        id: PaymentId,
        bought: [u8; 32],
        payee: String,
    ) -> Result<(), Unavailable> {
        self.run(move |tx| rows::rebind(tx, id, bought, &payee)).await
    }

    /// Payments of a mint in this state, the oldest first.
    pub(crate) async fn unfinished(
        &self,
        mint: String,
        state: State,
        at_most: usize,
    ) -> Result<Vec<Row>, Unavailable> {
        self.run(move |tx| rows::unfinished(tx, &mint, state, at_most)).await
    }

    /// Payments of a mint that are held and no part of a swap yet, the most urgent first.
    pub(crate) async fn unbundled(&self, mint: String, at_most: usize) -> Result<Vec<Row>, Unavailable> {
        self.run(move |tx| bundles::unbundled(tx, &mint, at_most)).await
    }

    /// Payments of a mint that are held, swapped each by itself and to be tried by this Unix second, the most urgent first,
    /// without so many.
    pub(crate) async fn alone(
        &self,
        mint: String,
        now: u64,
        at_most: usize,
        without: usize,
    ) -> Result<Vec<Row>, Unavailable> {
        self.run(move |tx| bundles::alone(tx, &mint, now, at_most, without)).await
    }

    /// Records that these payments are swapped together, before their mint is asked; `None`: one of them is part of another
    /// swap. Returns it with its id.
    pub(crate) async fn begin_bundle(
        &self,
        mint: String,
        bundle: Bundle,
    ) -> Result<Option<Bundle>, Unavailable> {
        self.run(move |tx| bundles::begin(tx, &mint, bundle)).await
    }

    /// The bundles of a mint whose outcome is not known.
    pub(crate) async fn bundles(&self, mint: String) -> Result<Vec<Bundle>, Unavailable> {
        self.run(move |tx| bundles::open(tx, &mint)).await
    }

    /// The swap is done and its ecash is in the wallet; the payments' proofs are worth nothing any more and are forgotten.
    pub(crate) async fn finish_bundle(&self, id: i64, payments: Vec<PaymentId>) -> Result<(), Unavailable> {
        self.run(move |tx| bundles::finish(tx, id, &payments)).await
    }

    /// A held payment is never to be part of a bundle.
    pub(crate) async fn swap_alone(&self, id: PaymentId) -> Result<(), Unavailable> {
        self.run(move |tx| bundles::swap_alone(tx, id)).await
    }

    /// The payments of a bundle, of `count` outputs, are swapped alone from now on.
    pub(crate) async fn give_up_bundle(&self, id: i64, count: u32) -> Result<(), Unavailable> {
        self.run(move |tx| bundles::give_up(tx, id, count)).await
    }

    /// A bundle that was given up, with those of its payments that are held.
    pub(crate) async fn given_up_bundle(&self, id: i64) -> Result<Option<Bundle>, Unavailable> {
        self.run(move |tx| bundles::given_up(tx, id)).await
    }

    /// The swap of a bundle failed, while its mint answered something else.
    pub(crate) async fn count_bundle_try(&self, id: i64) -> Result<(), Unavailable> {
        self.run(move |tx| bundles::count_try(tx, id)).await
    }

    /// The mint refuses the outputs, not the payments: they may be swapped together for others.
    pub(crate) async fn unbundle(&self, id: i64) -> Result<(), Unavailable> {
        self.run(move |tx| bundles::release(tx, id)).await
    }

    /// What there is of each mint's ecash.
    pub(crate) async fn balances(&self) -> Result<Vec<Balance>, Unavailable> {
        self.run(|tx| balances::read(tx)).await
    }

    /// The melts of a mint whose outcome is not known, one for a payee at most.
    pub(crate) async fn open_melts(&self, mint: String) -> Result<Vec<Melt>, Unavailable> {
        self.run(move |tx| melts::open(tx, &mint)).await
    }

    /// Records a melt before its mint is asked to pay; `false`: the payee has an open one there already.
    pub(crate) async fn begin_melt(&self, melt: Melt) -> Result<bool, Unavailable> {
        self.run(move |tx| melts::begin(tx, &melt)).await
    }

    /// The mint is about to be asked to pay, at this Unix second; returns when it was last asked without answering (0: never),
    /// `None` if the melt is not open any more.
    pub(crate) async fn attempt_melt(&self, quote: String, now: u64) -> Result<Option<u64>, Unavailable> {
        self.run(move |tx| melts::attempt(tx, &quote, now)).await
    }

    /// The mint has answered; when it was last asked without answering is as before.
    pub(crate) async fn melt_answered(&self, quote: String, before: u64) -> Result<(), Unavailable> {
        self.run(move |tx| melts::answered(tx, &quote, before)).await
    }

    /// The melt was paid, its change is in the wallet, and these Y values are not any more.
    pub(crate) async fn close_melt(
        &self,
        quote: String,
        change_sat: u64,
        spent: Vec<[u8; 33]>,
    ) -> Result<(), Unavailable> {
        self.run(move |tx| {
            owners::disown(tx, &spent)?;
            melts::close(tx, &quote, change_sat)
        })
        .await
    }

    /// The melt was not paid and never will be; its `count` blank outputs may be used again.
    pub(crate) async fn abandon_melt(&self, quote: String, count: u32) -> Result<(), Unavailable> {
        self.run(move |tx| melts::abandon(tx, &quote, count)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let closed = || Unavailable::Store("its writer has stopped; restart l402d".into());
        let (reply, answer) = oneshot::channel();
        let job = Pending { act: Some(act), done: None, reply };
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(Box::new(job)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It ends by itself; a panic in it was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// One thing to do in a transaction, and who waits for it.
trait Job: Send {
    fn run(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, failed: Option<&str>);
}

struct Pending<T, F> {
    act: Option<F>,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, Unavailable>>,
}

impl<T: Send, F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send> Job for Pending<T, F> {
    fn run(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        if let Some(act) = self.act.take() {
            self.done = Some(act(tx)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<&str>) {
        let result = match (failed, self.done) {
            (None, Some(done)) => Ok(done),
            (failed, _) => Err(Unavailable::Store(failed.unwrap_or("nothing was done").to_owned())),
        };
        // Who asked may have gone; what was recorded stays recorded.
        let _ = self.reply.send(result);
    }
}

fn write_all(mut connection: Connection, mut waiting: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
        let failed = commit(&mut connection, &mut batch).err().map(|error| error.to_string());
        if let Some(error) = &failed {
            tracing::error!(%error, "the ecash wallet's database failed; no ecash is taken (check the disk and its free space)");
        }
        batch.drain(..).for_each(|job| job.answer(failed.as_deref()));
    }
}

/// All of them, or none.
fn commit(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    batch.iter_mut().try_for_each(|job| job.run(&tx))?;
    tx.commit()
}
