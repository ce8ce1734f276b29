//! What a wallet's module brings: the other side's words, translated and not judged.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use l402::{Msat, PaymentHash};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::{Calls, Cancelled, Health, Pending};
use crate::foreign::Secrets;
use crate::judgement::{Described, Terms};
use crate::judgement::{Network, Remark};
use crate::{InvoiceRequest, LightningError, Reply};

/// A kind of wallet as it speaks. [`Wallet`](crate::Wallet) judges what it brings.
///
/// Every call ends at its deadline at the latest, connecting included.
pub trait Connector: Send + Sync + 'static {
    /// Makes an invoice. The description is at most what an invoice can hold.
    fn make<'a>(&'a self, ask: &'a InvoiceRequest, deadline: Instant) -> Reply<'a, Made>;

    /// What the wallet says of an invoice.
    fn find(&self, hash: PaymentHash, deadline: Instant) -> Reply<'_, Found>;

    /// Takes an unpaid invoice back, where the wallet can.
    fn cancel(&self, _hash: PaymentHash, _deadline: Instant) -> Reply<'_, Cancelled> {
        Box::pin(ready(Ok(Cancelled::CannotCancel)))
    }

    /// What the wallet pushes, until the receiver is dropped.
    fn pushes(&self) -> mpsc::Receiver<Push>;

    /// How the wallet is.
    fn health(&self, deadline: Instant) -> Reply<'_, Health>;

    /// The network that the wallet names; `None` where it does not tell, or not to us.
    ///
    /// # Errors
    /// No answer; it is asked again.
    fn network(&self, _deadline: Instant) -> Reply<'_, Option<Network>> {
        Box::pin(ready(Ok(None)))
    }

    /// What this kind of wallet calls its calls.
    fn calls(&self) -> Calls;

    /// The BOLT12 offer that every invoice is of, where it is one.
    fn offer(&self) -> Option<Arc<str>> {
        None
    }

    /// The least and the most that it makes an invoice for, as far as it says.
    fn bounds(&self, _deadline: Instant) -> Reply<'_, Bounds> {
        Box::pin(ready(Ok(Bounds::default())))
    }

    /// What an operator should check where the wallet does not answer.
    fn when_silent(&self) -> &'static str {
        "Check that the wallet runs, its address, and what is between"
    }

    /// How many invoices are worth having ready at most.
    fn most_ahead(&self) -> usize {
        usize::MAX
    }

    /// Whether the description that is asked for gets into the invoice.
    fn describes(&self) -> bool {
        true
    }

    /// Whether it tells of settlements by itself; see [`Lightning::try_push`](crate::Lightning::try_push).
    fn try_push(&self, deadline: Instant) -> Reply<'_, bool>;

    /// What no log line may hold, whoever says it.
    fn secrets(&self) -> Secrets;

    /// Leaves the wallet for good.
    fn close(&self) -> Pending<'_, ()> {
        Box::pin(ready(()))
    }
}

/// The amounts that a wallet makes invoices for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub least: Option<Msat>,
    /// The most.
    pub most: Option<Msat>,
}

/// An invoice as a wallet made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// As the payer gets it.
    pub(crate) text: String,
    /// What it says, or why it can't be read.
    pub(crate) terms: Result<Terms, String>,
    /// The payment hash that the answer names beside it.
    pub(crate) payment_hash: Option<PaymentHash>,
    /// What was asked for, where the wallet has no say in it.
    pub(crate) wish: Wish,
    /// The facts that do not hold, as far as only the module can know them.
    pub(crate) findings: Vec<Remark>,
}

/// What an invoice was asked to be; `None` where that is the wallet's to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Its description.
    pub(crate) described: Option<Described>,
    /// Its life, seconds.
    pub(crate) life_s: Option<u32>,
}

impl Made {
    /// A BOLT11 invoice of which nothing else is known than what it says.
    pub(crate) fn bolt11(text: String, payment_hash: Option<PaymentHash>) -> Made {
        let terms = Terms::read(&text);
        Made { text, terms, payment_hash, wish: Wish::default(), findings: Vec::new() }
    }

    /// A BOLT11 invoice that was asked to be so.
    pub(crate) fn as_asked(text: String, payment_hash: Option<PaymentHash>, ask: &InvoiceRequest) -> Made {
        let described = Some(Described::Text(ask.description.clone()));
        Made { wish: Wish { described, life_s: Some(ask.expiry_s) }, ..Made::bolt11(text, payment_hash) }
    }
}

/// What a wallet says of an invoice.
pub enum Found {
    /// Settled.
    Paid(Payment),
    /// Not paid, or held and not settled.
    Open {
        /// The payment hash that the answer names.
        about: Option<PaymentHash>,
        /// The invoice's text.
        invoice: Option<String>,
        /// When it expires, Unix seconds.
        expires_at: Option<u64>,
    },
    /// Cancelled or expired, unpaid.
    Dead {
        /// The payment hash that the answer names.
        about: Option<PaymentHash>,
    },
    /// There is no such invoice.
    Unknown,
    /// The wallet answered with an error of its own: its text.
    Unclear(String),
    /// This wallet can't look anything up.
    CannotLookUp,
}

/// A payment that a wallet calls settled.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payment {
    /// The payment hash that the wallet names.
    pub(crate) about: Option<PaymentHash>,
    /// The invoice's text, where the wallet shows it.
    pub(crate) invoice: Option<String>,
    /// What it shows as the preimage, decoded if it is hex.
    pub(crate) preimage: Option<Vec<u8>>,
    /// What was received, where it tells.
    pub(crate) received: Option<Msat>,
    /// The wallet paid, and did not receive.
    pub(crate) outgoing: bool,
}

/// Shows no preimage.
impl fmt::Debug for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payment")
            .field("about", &self.about)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// What comes from a subscription.
#[derive(Debug)]
pub enum Push {
    /// A payment that the wallet calls settled.
    Paid(Payment),
    /// What came can't be read; the subscription goes on.
    Unreadable(LightningError),
    /// There is no subscription for now; it is tried again.
    Lost(LightningError),
    /// There is one.
    Live,
}

/// The bytes of a preimage in hex, or the text itself: what is no preimage is told from what is missing.
pub(crate) fn preimage_bytes(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).unwrap_or_else(|_| text.as_bytes().to_vec())
}
