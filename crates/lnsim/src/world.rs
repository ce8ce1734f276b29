//! What all front doors share: the ledger behind a lock, the two nodes' keys, the subscribers, the faults, the clock.

use std::collections::HashMap;
use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};

use crate::bolt11::{self, Draft, Extras, Network, NodeKey};
use crate::bolt12;
use crate::book::{FaultBook, InvoiceFaults, NotFound, PaymentFault};
use crate::ledger::{Hash32, Invoice, Ledger, LedgerError, NewInvoice, Order, Payment, PaymentStatus, State};
use crate::method::Calls;
use crate::quirk::Described;

/// CLTV delta that LND asks of the last hop unless told otherwise, blocks.
const CLTV_EXPIRY: u64 = 80;

/// Life of an invoice unless told otherwise, seconds (`DefaultInvoiceExpiry` of LND v0.20).
const EXPIRY_S: u64 = 86_400;

/// The longest life that LND allows, seconds.
const MAX_EXPIRY_S: u64 = 365 * 86_400;

/// The longest memo that LND allows, bytes.
const MAX_MEMO: usize = 1024;

/// The largest amount that LND allows: 100 000 BTC, msat.
const MAX_AMOUNT_MSAT: u64 = 100_000 * 100_000_000 * 1000;

/// What an invoice is asked to be.
#[derive(Clone, Default)]
pub struct InvoiceSpec {
    /// Amount, msat; zero leaves it to the payer.
    pub amount_msat: u64,
    /// Description.
    pub memo: String,
    /// SHA-256 of a description that is kept elsewhere; replaces the memo in the BOLT11 invoice.
    pub description_hash: Option<[u8; 32]>,
    /// Life, seconds; zero is a day.
    pub expiry_s: u64,
    /// CLTV delta of the last hop, blocks; zero is 80.
    pub cltv_expiry: u64,
    /// The offer of the receiver (BOLT12) that it is an invoice of; without one it is BOLT11.
    pub offer: Option<String>,
    /// The preimage; random if there is none.
    pub preimage: Option<[u8; 32]>,
    /// Whether private channels are named, if there are any.
    pub hints: bool,
}

/// The receiver's channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// One that everybody knows.
    #[default]
    Public,
    /// So many that only who is told knows.
    Private(u8),
    /// None.
    None,
}

impl fmt::Debug for InvoiceSpec {
    /// All but the preimage.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvoiceSpec")
            .field("amount_msat", &self.amount_msat)
            .field("memo", &self.memo)
            .field("expiry_s", &self.expiry_s)
            .finish_non_exhaustive()
    }
}

/// Why an invoice was not made. The texts are LND's where LND has one.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The caller asked for what a node does not do.
    #[error("{0}")]
    Invalid(String),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// Why a payment did not even start. The texts are LND's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Decode(#[from] bolt11::DecodeError),
    #[error("invoice expired. Valid until {0}")]
    Expired(String),
    #[error("amount must be specified when paying a zero amount invoice")]
    AmountMissing,
    #[error("amount must not be specified when paying a non-zero amount invoice")]
    AmountGiven,
}

/// One who hears of new and settled invoices.
struct Subscriber {
    add_index: u64,
    settle_index: u64,
    events: mpsc::UnboundedSender<Invoice>,
}

/// What is behind the lock: the ledger, and the subscribers so that they hear of its changes in order.
struct Books {
    ledger: Ledger,
    subscribers: Vec<Subscriber>,
}

/// See the head of this file.
pub(crate) struct World {
    books: Mutex<Books>,
    faults: Mutex<FaultBook>,
    payments_changed: watch::Sender<u64>,
    clock_ahead_s: AtomicU64,
    /// How wrong the receiver's clock is.
    clock_off_s: AtomicI64,
    channels: Mutex<Channels>,
    /// Whether connections carry anything.
    frozen: watch::Sender<bool>,
    fee_msat: u64,
    pub(crate) calls: Calls,
    pub(crate) connections: Connections,
    pub(crate) receiver: NodeKey,
    pub(crate) payer: NodeKey,
}

impl World {
    pub(crate) fn new(receiver: NodeKey, payer: NodeKey, balance_msat: u64, fee_msat: u64) -> Self {
        Self {
            books: Mutex::new(Books { ledger: Ledger::new(balance_msat), subscribers: Vec::new() }),
            faults: Mutex::default(),
            payments_changed: watch::Sender::new(0),
            clock_ahead_s: AtomicU64::new(0),
            clock_off_s: AtomicI64::new(0),
            channels: Mutex::default(),
            frozen: watch::Sender::new(false),
            fee_msat,
            calls: Calls::default(),
            connections: Connections::default(),
            receiver,
            payer,
        }
    }

    /// Unix seconds, as the simulated nodes have it.
    pub(crate) fn now(&self) -> u64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let off = self.clock_off_s.load(Ordering::Relaxed);
        (real + self.clock_ahead_s.load(Ordering::Relaxed)).saturating_add_signed(off)
    }

    /// Sets the receiver's clock wrong.
    pub(crate) fn set_clock_off(&self, seconds: i64) {
        self.clock_off_s.store(seconds, Ordering::Relaxed);
    }

    /// The receiver's channels.
    pub(crate) fn channels(&self) -> Channels {
        *self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_channels(&self, channels: Channels) {
        *self.channels.lock().unwrap_or_else(PoisonError::into_inner) = channels;
    }

    /// Stops or starts what connections carry.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// Whether connections carry anything, and when that changes.
    pub(crate) fn frozen(&self) -> watch::Receiver<bool> {
        self.frozen.subscribe()
    }

    /// A look-up as it is answered: `Err` for one that is not found, with the words for it if a quirk has them.
    pub(crate) fn look_up(&self, hash: &Hash32) -> Result<Invoice, NotFound> {
        let found = self.with_ledger(|ledger, now| ledger.look_up(hash, now)).map_err(|_| None)?;
        match self.faults().hides(found.state == State::Settled) {
            Some(not_found) => Err(not_found),
            None => Ok(found),
        }
    }

    /// Sets the nodes' clock forward.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock_ahead_s.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultBook> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or changes the ledger.
    pub(crate) fn with_ledger<T>(&self, work: impl FnOnce(&mut Ledger, u64) -> T) -> T {
        let now = self.now();
        work(&mut self.books().ledger, now)
    }

    /// Makes an invoice. The second value is the hash to report, which a fault may have made another than the invoice's.
    pub(crate) fn create(&self, spec: InvoiceSpec) -> Result<(Invoice, Hash32), CreateError> {
        let faults = self.faults().at_invoice();
        let spec = quirky(checked(spec)?, &faults)?;
        let preimage = spec.preimage.map_or_else(random, Ok)?;
        let hash: Hash32 = Sha256::digest(preimage).into();
        let mut new = NewInvoice {
            preimage,
            hash,
            payment_addr: random()?,
            amount_msat: faults.amount_msat.unwrap_or(spec.amount_msat),
            memo: spec.memo,
            description_hash: spec.description_hash,
            created: self.now(),
            expiry_s: spec.expiry_s,
            cltv_expiry: spec.cltv_expiry,
            bolt11: String::new(),
        };
        if faults.expired {
            new.created = new.created.saturating_sub(new.expiry_s + 1);
        }
        let draft = Draft {
            network: if faults.network { Network::Mainnet } else { Network::Regtest },
            hash,
            payment_addr: new.payment_addr,
            amount_msat: new.amount_msat,
            memo: &new.memo,
            description_hash: new.description_hash,
            created: new.created,
            expiry_s: new.expiry_s,
            cltv_expiry: new.cltv_expiry,
        };
        let hints = match self.channels() {
            Channels::Private(count) if spec.hints => count.into(),
            Channels::Private(_) | Channels::Public | Channels::None => 0,
        };
        let extras = Extras { undescribed: faults.described == Some(Described::Nothing), hints };
        let signed = match &spec.offer {
            None => self.receiver.sign_with(&draft, &extras),
            Some(offer) => self.receiver.sign_bolt12(offer, &self.payer, random()?, &draft),
        };
        new.bolt11 = signed.map_err(|error| CreateError::Invalid(error.to_string()))?;

        let mut books = self.books();
        let invoice = books.ledger.add(new)?;
        self.publish(&mut books, &invoice);
        drop(books);
        let reported = if faults.hash { Sha256::digest(hash).into() } else { hash };
        Ok((invoice, reported))
    }

    /// Cancels an invoice.
    pub(crate) fn cancel(&self, hash: &Hash32) -> Result<(), LedgerError> {
        let now = self.now();
        self.books().ledger.cancel(hash, now)?;
        self.note_payment_change();
        Ok(())
    }

    /// Settles an invoice whose payment was left for later or held.
    pub(crate) fn settle(&self, hash: &Hash32) -> Result<Invoice, LedgerError> {
        let now = self.now();
        let mut books = self.books();
        let invoice = books.ledger.settle(hash, now)?;
        self.publish(&mut books, &invoice);
        drop(books);
        self.note_payment_change();
        Ok(invoice)
    }

    /// What paying `text` means. `amount_msat` is zero unless the payer chooses it.
    pub(crate) fn order(
        &self,
        text: &str,
        amount_msat: u64,
        fee_limit_msat: u64,
    ) -> Result<Order, OrderError> {
        let invoice = match text.starts_with("lni1") {
            true => bolt12::decode(text)?,
            false => bolt11::decode(text)?,
        };
        let valid_until = invoice.created + invoice.expiry_s;
        if self.now() > valid_until {
            return Err(OrderError::Expired(format!("{valid_until} (Unix time)")));
        }
        let amount_msat = match (invoice.amount_msat, amount_msat) {
            (None, 0) => return Err(OrderError::AmountMissing),
            (None, chosen) => chosen,
            (Some(asked), 0) => asked,
            (Some(_), _) => return Err(OrderError::AmountGiven),
        };
        Ok(Order {
            hash: invoice.hash,
            payment_addr: invoice.payment_addr,
            amount_msat,
            fee_limit_msat,
            fee_msat: self.fee_msat,
            reachable: invoice.payee == self.receiver.public(),
            bolt11: text.to_owned(),
        })
    }

    /// Registers a payment; [`Self::attempt`] then makes it.
    pub(crate) fn register(&self, order: Order) -> Result<Payment, LedgerError> {
        self.with_ledger(|ledger, now| ledger.register(order, now))
    }

    /// Makes a registered payment, as the faults allow.
    pub(crate) fn attempt(&self, hash: &Hash32) -> Option<Payment> {
        let fault = self.faults().at_payment();
        let now = self.now();
        let mut books = self.books();
        let payment = match fault {
            PaymentFault::Fail(reason) => books.ledger.fail(hash, reason),
            PaymentFault::Settle(settlement) => books.ledger.attempt(hash, settlement, now),
        };
        if payment.as_ref().is_some_and(|payment| matches!(payment.status, PaymentStatus::Succeeded(_)))
            && let Ok(invoice) = books.ledger.look_up(hash, now)
            && invoice.state == State::Settled
        {
            self.publish(&mut books, &invoice);
        }
        drop(books);
        self.note_payment_change();
        payment
    }

    /// The payment for `hash`.
    pub(crate) fn payment(&self, hash: &Hash32) -> Option<Payment> {
        self.books().ledger.payment(hash).cloned()
    }

    /// Changes whenever any payment may have changed.
    pub(crate) fn payment_changes(&self) -> watch::Receiver<u64> {
        self.payments_changed.subscribe()
    }

    /// Subscribes to new and settled invoices; the backlog after the two indices (none for zero) comes first.
    pub(crate) fn subscribe(&self, add_index: u64, settle_index: u64) -> mpsc::UnboundedReceiver<Invoice> {
        let now = self.now();
        let (events, receiver) = mpsc::unbounded_channel();
        let mut books = self.books();
        let mut backlog = books.ledger.added_since(add_index, now);
        backlog.extend(books.ledger.settled_since(settle_index, now));
        for invoice in backlog {
            let told = matches!(invoice.state, State::Open | State::Settled);
            if told && !self.faults().silences_push() {
                // The receiver is in our hands, so this can't fail.
                let _ = events.send(invoice);
            }
        }
        books.subscribers.push(Subscriber { add_index, settle_index, events });
        receiver
    }

    /// The first invoice that was settled after the one with this index, unless the push is silent.
    pub(crate) fn next_settled(&self, index: u64) -> Option<Invoice> {
        let next = self.with_ledger(|ledger, now| ledger.next_settled(index, now))?;
        (!self.faults().silences_push()).then_some(next)
    }

    /// Tells the subscribers of an invoice that was added or settled just now.
    fn publish(&self, books: &mut Books, invoice: &Invoice) {
        if books.subscribers.is_empty() || self.faults().silences_push() {
            return;
        }
        books.subscribers.retain_mut(|subscriber| {
            let (seen, index) = match invoice.state {
                State::Open => (&mut subscriber.add_index, invoice.add_index),
                State::Settled => (&mut subscriber.settle_index, invoice.settle_index),
                State::Canceled | State::Accepted => return true,
            };
            if *seen >= index {
                return !subscriber.events.is_closed();
            }
            *seen = index;
            subscriber.events.send(invoice.clone()).is_ok()
        });
    }

    fn note_payment_change(&self) {
        self.payments_changed.send_modify(|count| *count += 1);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of clients, so that they can be cut from outside.
#[derive(Default)]
pub(crate) struct Connections {
    open: Mutex<HashMap<u64, TcpStream>>,
    next: AtomicU64,
}

impl Connections {
    /// Takes note of a connection; `handle` is another handle of its socket.
    pub(crate) fn add(&self, handle: TcpStream) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(id, handle);
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        self.open().remove(&id);
    }

    /// Cuts a connection: both sides see the end of the stream in the middle of whatever they do.
    pub(crate) fn cut(&self, id: u64) {
        if let Some(handle) = self.open().remove(&id) {
            // An error means that it is closed already.
            let _ = handle.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn cut_all(&self) {
        for (_, handle) in self.open().drain() {
            let _ = handle.shutdown(Shutdown::Both);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The limits of LND's `AddInvoice`, and its defaults in place of zeros.
fn checked(mut spec: InvoiceSpec) -> Result<InvoiceSpec, CreateError> {
    let invalid = |text: String| Err(CreateError::Invalid(text));
    if spec.memo.len() > MAX_MEMO {
        return invalid(format!("memo too large: {} bytes (maxsize={MAX_MEMO})", spec.memo.len()));
    }
    if spec.amount_msat > MAX_AMOUNT_MSAT {
        return invalid(format!(
            "invoice amount {} BTC is too large, max is 100000 BTC",
            spec.amount_msat / 100_000_000_000
        ));
    }
    if spec.expiry_s > MAX_EXPIRY_S {
        return invalid(format!(
            "expiry of {} seconds greater than max expiry of {MAX_EXPIRY_S} seconds",
            spec.expiry_s
        ));
    }
    if spec.expiry_s == 0 {
        spec.expiry_s = EXPIRY_S;
    }
    if spec.cltv_expiry == 0 {
        spec.cltv_expiry = CLTV_EXPIRY;
    }
    Ok(spec)
}

/// What quirks make of what was asked for.
fn quirky(mut spec: InvoiceSpec, faults: &InvoiceFaults) -> Result<InvoiceSpec, CreateError> {
    if faults.text_max.is_some_and(|most| spec.memo.len() > most)
        || (faults.text_ascii && !spec.memo.is_ascii())
    {
        return Err(CreateError::Invalid("invalid description: too long or not ASCII".to_owned()));
    }
    match &faults.described {
        Some(Described::Hash) => spec.description_hash = Some(Sha256::digest(&spec.memo).into()),
        Some(Described::Empty) => (spec.memo, spec.description_hash) = (String::new(), None),
        Some(Described::Text(text)) => (spec.memo, spec.description_hash) = (text.clone(), None),
        Some(Described::Nothing) | None => {}
    }
    spec.expiry_s = faults.expiry_s.unwrap_or(spec.expiry_s);
    spec.expiry_s = faults.expiry_max_s.map_or(spec.expiry_s, |most| spec.expiry_s.min(most));
    Ok(spec)
}
