//! Keeps a wallet's pool as it should be: makes what is missing, cancels what nobody will get.
//!
//! With all that the wallet can do at once while it works, with one call at a time and pauses while it does not: whoever
//! asks meanwhile and finds nothing ready is told by a call of its own how the wallet is.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use agent_api::Fault;
use l402::{Msat, PaymentHash};
use lightning::{Cancelled, Invoice, InvoiceRequest};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    Failure, INVOICE_EXPIRY_S, Ready, Wanted,
    backend::Backend,
    health::Call,
    pool::{AHEAD_EXPIRY_S, NotKept},
    unix_now,
};

/// Invoices being made ahead at once: half the calls that a wallet gets, so that clients have the other half.
const AT_ONCE: usize = 32;
/// Invoices being cancelled at once while clients are served; nobody waits for it.
const CANCELS: usize = 8;
/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: a node that is back is used again soon after.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a stopping l402d cancels what is left: what it doesn't get to expires by itself.
const CLOSING: Duration = Duration::from_secs(3);

/// Tends the pool of `backend` until `closing` becomes true, and empties it then.
pub(super) async fn tend(backend: Arc<Backend>, mut closing: watch::Receiver<bool>) {
    let mut tender = Tender {
        backend: backend.clone(),
        making: JoinSet::new(),
        cancelling: JoinSet::new(),
        to_make: VecDeque::new(),
        to_cancel: VecDeque::new(),
        more: false,
        failures: 0,
        until: None,
    };
    loop {
        tender.start();
        let due = tender.due();
        tokio::select! {
            biased;
            // An error means that the engine is gone, which is an end as well.
            _ = closing.wait_for(|closing| *closing) => break,
            Some(made) = tender.making.join_next() => tender.ended(made.unwrap_or(Made::Failed)),
            Some(cancelled) = tender.cancelling.join_next() => tender.cancelled(cancelled.unwrap_or(false)),
            () = backend.stirred() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => tender.plan(),
        }
    }
    tender.close().await;
}

struct Tender {
    backend: Arc<Backend>,
    making: JoinSet<Made>,
    cancelling: JoinSet<bool>,
    to_make: VecDeque<Turn>,
    to_cancel: VecDeque<PaymentHash>,
    /// Whether the last plan left something for the next.
    more: bool,
    /// Failures since the wallet last made one.
    failures: u32,
    /// Nothing is tried before this.
    until: Option<Instant>,
}

/// How making one ended.
enum Made {
    Well,
    /// This one won't be made; the wallet may make others.
    Refused,
    /// The wallet doesn't answer.
    Failed,
}

/// One invoice of a plan. Dropped, it is not made.
struct Turn {
    backend: Arc<Backend>,
    wanted: Arc<Wanted>,
    open: bool,
}

impl Tender {
    /// When there is something to do, unless something under way ends before.
    fn due(&self) -> Option<Instant> {
        let planned = if self.more && self.to_make.is_empty() {
            Some(Instant::now())
        } else {
            self.backend.pool().due()
        };
        planned.map(|due| self.until.map_or(due, |until| due.max(until)))
    }

    fn plan(&mut self) {
        self.until = None;
        let plan = self.backend.pool().plan(Instant::now(), unix_now());
        self.to_make.extend(plan.make.into_iter().map(|wanted| Turn {
            backend: self.backend.clone(),
            wanted,
            open: true,
        }));
        self.more = plan.more;
        if self.failures == 0 {
            self.to_cancel.extend(plan.cancel);
        }
    }

    /// Starts as much as may be under way.
    fn start(&mut self) {
        let at_once = match (self.until, self.failures) {
            (Some(_), _) => 0,
            (None, 0) => AT_ONCE.min(self.backend.lightning.most_ahead()),
            (None, _) => 1,
        };
        while self.making.len() < at_once
            && let Some(turn) = self.to_make.pop_front()
        {
            self.making.spawn(turn.make());
        }
        self.start_cancels(CANCELS);
    }

    fn start_cancels(&mut self, at_once: usize) {
        while self.cancelling.len() < at_once
            && let Some(hash) = self.to_cancel.pop_front()
        {
            let backend = self.backend.clone();
            self.cancelling.spawn(async move { backend.cancel(hash).await });
        }
    }

    /// A wallet that doesn't cancel one is not asked for the others: they expire.
    fn cancelled(&mut self, well: bool) {
        if !well {
            self.to_cancel.clear();
        }
    }

    fn ended(&mut self, made: Made) {
        match made {
            Made::Well => self.failures = 0,
            Made::Refused => {}
            // The others of the same outage.
            Made::Failed if self.until.is_some() => {}
            Made::Failed => {
                let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.failures));
                self.failures = self.failures.saturating_add(1);
                let until = Instant::now() + pause.min(LONGEST_PAUSE);
                self.until = Some(until);
                self.more = false;
                self.to_make.clear();
                self.to_cancel.clear();
                self.backend.pool().hurry(until);
            }
        }
    }

    /// Cancels all that nobody got, for a while.
    async fn close(mut self) {
        let left = self.backend.pool().close();
        self.to_make.clear();
        self.to_cancel.extend(left);
        let all = async {
            // What is being made is cancelled by who makes it.
            loop {
                self.start_cancels(AT_ONCE);
                tokio::select! {
                    Some(cancelled) = self.cancelling.join_next() => self.cancelled(cancelled.unwrap_or(false)),
                    Some(_) = self.making.join_next() => {}
                    else => break,
                }
            }
        };
        if timeout(CLOSING, all).await.is_err() {
            let left = self.to_cancel.len() + self.cancelling.len() + self.making.len();
            tracing::info!(
                backend = self.backend.name,
                left,
                "stopped before all unused invoices were cancelled; the others expire within {} minutes",
                AHEAD_EXPIRY_S / 60
            );
        }
    }
}

impl Turn {
    async fn make(mut self) -> Made {
        match self.try_make().await {
            Ok(()) => Made::Well,
            Err(failure) => match failure.fault {
                Fault::Refused | Fault::Internal => {
                    tracing::debug!(
                        backend = self.backend.name,
                        reason = failure.reason,
                        "nothing is made ahead of this until it is asked for anew"
                    );
                    self.backend.pool().forget(&self.wanted, Instant::now());
                    Made::Refused
                }
                Fault::Unavailable { .. } | Fault::TimedOut | Fault::Limited { .. } => Made::Failed,
            },
        }
    }

    async fn try_make(&mut self) -> Result<(), Failure> {
        let made = self.create().await?;
        self.backend.circuit.works();
        let invoice = Ready::new(made, self.backend.lightning.offer())?;
        let hash = invoice.payment_hash;
        let known = self.backend.issued().contains(&hash);
        self.open = false;
        let kept = if known {
            self.backend.pool().not_made(&self.wanted);
            Err(NotKept::Twice)
        } else {
            self.backend.pool().made(&self.wanted, invoice, Instant::now(), unix_now())
        };
        match kept {
            Ok(()) => Ok(()),
            Err(NotKept::Closed) => {
                self.backend.cancel(hash).await;
                Ok(())
            }
            // Remembered of the wallet: none is made ahead for a while.
            Err(NotKept::TooShort) => {
                self.backend.cancel(hash).await;
                Ok(())
            }
            Err(NotKept::Twice) => Err(self.backend.returned_twice(hash)),
        }
    }
}

impl Turn {
    /// Asks for an invoice that lives as long as the shelf and a client need; of a wallet that refuses so long a life, for
    /// one as a client gets it.
    async fn create(&self) -> Result<Invoice, Failure> {
        let ask = |expiry_s| InvoiceRequest {
            amount: Msat(self.wanted.amount_msat),
            description: self.wanted.description.clone(),
            expiry_s,
        };
        let (backend, short) = (&self.backend, &self.backend.refuses_long_lives);
        let long = ask(if short.load(Ordering::Relaxed) { INVOICE_EXPIRY_S } else { AHEAD_EXPIRY_S });
        let refused = match backend.call_behind(Call::Create, backend.lightning.create(&long)).await {
            Err(failure) if failure.fault == Fault::Refused && long.expiry_s == AHEAD_EXPIRY_S => failure,
            made => return made,
        };
        let shorter = ask(INVOICE_EXPIRY_S);
        match backend.call_behind(Call::Create, backend.lightning.create(&shorter)).await {
            Ok(made) => {
                short.store(true, Ordering::Relaxed);
                Ok(made)
            }
            Err(_) => Err(refused),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.open {
            self.backend.pool().not_made(&self.wanted);
        }
    }
}

impl Backend {
    /// Takes back an invoice that nobody has seen; `false` if that can't be done. It expires then.
    async fn cancel(&self, hash: PaymentHash) -> bool {
        match self.call_behind(Call::Cancel, self.lightning.cancel(hash)).await {
            Ok(Cancelled::Done) => true,
            Ok(Cancelled::CannotCancel) => false,
            Err(failure) => {
                tracing::debug!(
                    backend = self.name,
                    payment_hash = %hash,
                    reason = failure.reason,
                    "unused invoices are not cancelled"
                );
                false
            }
        }
    }
}
