//! The trait that a wallet fulfils, in domain types.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use l402::{Msat, PaymentHash, Preimage};
use tokio::sync::mpsc;

use crate::LightningError;
use crate::connector::Bounds;
use crate::judgement::Remark;

/// Something under way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer of a wallet, under way. Dropping it gives the call up.
pub type Reply<'a, T> = Pending<'a, Result<T, LightningError>>;

/// A wallet that receives.
///
/// Every call is bounded by one deadline that the wallet was opened with, connecting included. The methods must be
/// called within a tokio runtime.
pub trait Lightning: Send + Sync {
    /// Makes an invoice. What comes back was judged by the table in [`Fact`](crate::Fact): amount, hash, network, signature
    /// and a minute to pay hold; a wallet that returns anything else is [`LightningError::Wrong`].
    fn create<'a>(&'a self, ask: &'a InvoiceRequest) -> Reply<'a, Invoice>;

    /// The state of an invoice of this wallet. Only [`Lookup::Settled`] means paid.
    fn look_up(&self, hash: PaymentHash) -> Reply<'_, Lookup>;

    /// Takes an unpaid invoice back, where the wallet can do that: nobody can pay it any more. One that is gone already is
    /// [`Cancelled::Done`]; one that was paid is an error, and stays paid. Most wallets can't.
    fn cancel(&self, _hash: PaymentHash) -> Reply<'_, Cancelled> {
        Box::pin(async { Ok(Cancelled::CannotCancel) })
    }

    /// Settlements from now on, as the wallet pushes them. The subscription is renewed after every loss, and resumes
    /// behind the last settlement that was delivered where the wallet can do that; what else settled during an outage may
    /// be missed, so [`Lightning::look_up`] stays the fall-back. The same settlement may come twice. It ends
    /// when the receiver is dropped. A wallet that can't push never sends anything.
    fn settlements(&self) -> mpsc::Receiver<Settlement>;

    /// How the wallet is: for start-up checks and the operator.
    fn health(&self) -> Reply<'_, Health>;

    /// What this kind of wallet calls its calls: for the operator.
    fn calls(&self) -> Calls;

    /// The BOLT12 offer that every invoice of this wallet is of, where it is one. It is public, and told beside each
    /// invoice.
    fn offer(&self) -> Option<Arc<str>> {
        None
    }

    /// The least and the most that it makes an invoice for, as far as it says.
    fn bounds(&self) -> Reply<'_, Bounds> {
        Box::pin(async { Ok(Bounds::default()) })
    }

    /// What an operator should check where the wallet does not answer.
    fn when_silent(&self) -> &'static str {
        "Check that the wallet runs, its address, and what is between"
    }

    /// How many invoices are worth having ready at most: few where making them holds up those for clients.
    fn most_ahead(&self) -> usize {
        usize::MAX
    }

    /// Whether it tells of settlements by itself: tried by a subscription of its own, which is given up at once.
    ///
    /// # Errors
    /// It could, and does not do so for us.
    fn try_push(&self) -> Reply<'_, bool>;

    /// Leaves the wallet for good, within two seconds: nothing is called after it. What a wallet gives to one client
    /// at a time is free for the next one then.
    fn close(&self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Names the backend in what the wallet logs from now on.
    fn set_backend(&self, _name: &str) {}
}

/// An invoice to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceRequest {
    /// What it costs.
    pub amount: Msat,
    /// What the payer's wallet shows. An invoice holds at most 639 bytes of it: the rest is cut off at a character.
    pub description: String,
    /// Life of the invoice, seconds.
    pub expiry_s: u32,
}

/// An invoice that was made and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// Its payment hash.
    pub payment_hash: PaymentHash,
    /// What the client pays (BOLT 11, or BOLT 12 where the wallet is an offer).
    pub bolt11: String,
    /// When it expires, Unix seconds.
    pub expires_at: u64,
    /// What is different about it, though it may be sold. The wallet has logged each the first time.
    pub remarks: Vec<Remark>,
}

/// What a wallet knows of an invoice.
#[derive(Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Paid; the money is the wallet's.
    Settled {
        /// The preimage, where the wallet tells it. It matches the payment hash.
        preimage: Option<Preimage>,
        /// What was received, where the wallet tells it.
        received: Option<Msat>,
        /// What is different about it, though it counts.
        remarks: Vec<Remark>,
    },
    /// Not paid, or held and not settled.
    Pending {
        /// The invoice, where the wallet tells it.
        bolt11: Option<String>,
        /// When it expires, Unix seconds, where the wallet tells it.
        expires_at: Option<u64>,
    },
    /// Cancelled or expired, unpaid.
    Dead,
    /// The wallet says that it has no such invoice. Some say so of live ones, and for a while of paid ones.
    Unknown,
    /// The wallet answered with an error of its own, which tells nothing of the invoice: its text.
    Unclear(String),
    /// This wallet can't look anything up.
    CannotLookUp,
}

/// Shows everything but the preimage and the invoice's text.
impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lookup::Settled { preimage, received, remarks } => {
                let mut shown = f.debug_struct("Settled");
                shown
                    .field("preimage", preimage)
                    .field("received", received)
                    .field("remarks", remarks)
                    .finish()
            }
            Lookup::Pending { expires_at, .. } => {
                f.debug_struct("Pending").field("expires_at", expires_at).finish_non_exhaustive()
            }
            Lookup::Dead => f.write_str("Dead"),
            Lookup::Unknown => f.write_str("Unknown"),
            Lookup::Unclear(said) => f.debug_tuple("Unclear").field(said).finish(),
            Lookup::CannotLookUp => f.write_str("CannotLookUp"),
        }
    }
}

/// What became of an invoice that was to be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It can't be paid any more.
    Done,
    /// This wallet can't cancel anything: the invoice stays until it expires.
    CannotCancel,
}

/// A payment that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which invoice.
    pub payment_hash: PaymentHash,
    /// The preimage, where the wallet tells it. It matches the payment hash. Its `Debug` shows nothing.
    pub preimage: Option<Preimage>,
    /// What was received, where the wallet tells it.
    pub received: Option<Msat>,
    /// What is different about it, though it counts.
    pub remarks: Vec<Remark>,
}

/// The calls of a kind of wallet, by the names that an operator permits them under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// The kind, as in `LN_CLIENT_TYPE`.
    pub kind: &'static str,
    /// Of [`Lightning::health`].
    pub health: &'static str,
    /// Of [`Lightning::create`].
    pub create: &'static str,
    /// Of [`Lightning::look_up`].
    pub look_up: &'static str,
    /// Of [`Lightning::settlements`].
    pub push: &'static str,
    /// Of [`Lightning::cancel`]; `None` where this kind has none.
    pub cancel: Option<&'static str>,
}

/// How a wallet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What it calls itself: kind, version, public key, as far as it tells.
    pub node: String,
    /// Its network, where it tells: `mainnet`, `regtest` …
    pub network: Option<String>,
    /// Whether it has caught up with the chain, where it tells.
    pub synced: Option<bool>,
    /// What the operator should know of it, such as a channel that payers can't find.
    pub remarks: Vec<Remark>,
}

impl Health {
    /// Of a wallet that tells nothing but its kind.
    pub fn of(node: impl Into<String>) -> Health {
        Health { node: node.into(), network: None, synced: None, remarks: Vec::new() }
    }
}
