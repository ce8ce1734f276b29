//! The ledger: every invoice and every payment of the simulated network. No I/O, clock or randomness: all are parameters.
//!
//! Two nodes share it. The *receiver* makes the invoices; the *payer* has a balance and pays them. What holds at all
//! times: `balance + received + held + fees` is what the payer began with.

use std::collections::HashMap;
use std::fmt;

/// A payment hash, 32 bytes.
pub type Hash32 = [u8; 32];

/// State of an invoice, as LND names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not paid.
    Open,
    /// Paid.
    Settled,
    /// Cancelled by its owner, or expired unpaid.
    Canceled,
    /// A payment is held: neither taken nor given back.
    Accepted,
}

/// An invoice as it stood when it was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Payment hash.
    pub hash: Hash32,
    /// Its preimage; known to the receiver from the start.
    pub preimage: [u8; 32],
    /// Payment secret of the BOLT11 invoice.
    pub payment_addr: [u8; 32],
    /// Amount, msat; zero lets the payer choose.
    pub amount_msat: u64,
    /// Description.
    pub memo: String,
    /// SHA-256 of a description that is kept elsewhere.
    pub description_hash: Option<[u8; 32]>,
    /// Creation, Unix seconds.
    pub created: u64,
    /// Life from the creation on, seconds.
    pub expiry_s: u64,
    /// CLTV delta of the last hop, blocks.
    pub cltv_expiry: u64,
    /// The BOLT11 text.
    pub bolt11: String,
    /// State.
    pub state: State,
    /// Place in the order of creation, from 1.
    pub add_index: u64,
    /// Place in the order of settlement, from 1; zero until settled.
    pub settle_index: u64,
    /// Settlement, Unix seconds; zero until settled.
    pub settled_at: u64,
    /// What was received, msat; zero until settled.
    pub amt_paid_msat: u64,
}

impl fmt::Debug for Invoice {
    /// All but the preimage, the payment secret and the BOLT11 text that holds the latter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invoice")
            .field("hash", &data_encoding::HEXLOWER.encode(&self.hash))
            .field("amount_msat", &self.amount_msat)
            .field("memo", &self.memo)
            .field("created", &self.created)
            .field("expiry_s", &self.expiry_s)
            .field("state", &self.state)
            .field("add_index", &self.add_index)
            .field("settle_index", &self.settle_index)
            .field("amt_paid_msat", &self.amt_paid_msat)
            .finish_non_exhaustive()
    }
}

/// What a new invoice is made of. Index and state are the ledger's to give.
#[derive(Clone)]
pub struct NewInvoice {
    /// As in [`Invoice`].
    pub preimage: [u8; 32],
    /// SHA-256 of `preimage`.
    pub hash: Hash32,
    /// As in [`Invoice`].
    pub payment_addr: [u8; 32],
    /// As in [`Invoice`].
    pub amount_msat: u64,
    /// As in [`Invoice`].
    pub memo: String,
    /// As in [`Invoice`].
    pub description_hash: Option<[u8; 32]>,
    /// As in [`Invoice`].
    pub created: u64,
    /// As in [`Invoice`].
    pub expiry_s: u64,
    /// As in [`Invoice`].
    pub cltv_expiry: u64,
    /// As in [`Invoice`].
    pub bolt11: String,
}

/// A payment that the payer wants to make: what its BOLT11 invoice said.
#[derive(Clone)]
pub struct Order {
    /// Payment hash.
    pub hash: Hash32,
    /// Payment secret.
    pub payment_addr: [u8; 32],
    /// What to send, msat.
    pub amount_msat: u64,
    /// The most that the routing may cost, msat.
    pub fee_limit_msat: u64,
    /// What the routing costs, msat.
    pub fee_msat: u64,
    /// Whether the invoice names the receiver of this ledger as its payee.
    pub reachable: bool,
    /// The BOLT11 text.
    pub bolt11: String,
}

/// Why a payment failed for good, as LND names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// No success in time.
    Timeout,
    /// No route to the payee within the limits.
    NoRoute,
    /// An error that another route can't mend.
    Error,
    /// The payee refused: unknown or dead invoice, wrong amount or secret.
    IncorrectPaymentDetails,
    /// The payer's balance is too small.
    InsufficientBalance,
}

/// State of a payment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PaymentStatus {
    /// Under way.
    InFlight,
    /// Paid; here is the preimage.
    Succeeded([u8; 32]),
    /// Failed for good.
    Failed(FailureReason),
}

impl fmt::Debug for PaymentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFlight => f.write_str("InFlight"),
            Self::Succeeded(_) => f.write_str("Succeeded(<preimage>)"),
            Self::Failed(reason) => write!(f, "Failed({reason:?})"),
        }
    }
}

/// A payment as it stood when it was asked for.
#[derive(Clone)]
pub struct Payment {
    /// What was ordered.
    pub order: Order,
    /// Place in the order of creation, from 1.
    pub index: u64,
    /// Start, Unix seconds.
    pub created: u64,
    /// State.
    pub status: PaymentStatus,
}

/// How the receiver treats a payment that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// As a node does: at once.
    Now,
    /// The payer hears of success, the invoice stays open until [`Ledger::settle`].
    Later,
    /// The payment is held: invoice accepted and payment in flight until [`Ledger::settle`] or [`Ledger::cancel`].
    Hold,
}

/// Why the ledger refuses; the texts are LND's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// No invoice at all was ever made.
    #[error("there are no existing invoices")]
    NoInvoices,
    /// No such invoice.
    #[error("unable to locate invoice")]
    NotFound,
    /// The hash is taken.
    #[error("invoice with payment hash already exists")]
    Duplicate,
    /// Too late to cancel.
    #[error("invoice already settled")]
    AlreadySettled,
    /// Too late to settle.
    #[error("invoice already canceled")]
    AlreadyCanceled,
    /// Nobody has paid yet, so there is nothing to settle.
    #[error("invoice still open")]
    StillOpen,
    /// The payer paid this one before.
    #[error("invoice is already paid")]
    AlreadyPaid,
    /// The payer is paying this one now.
    #[error("payment is in transition")]
    InTransition,
}

/// An invoice and what isn't for its readers.
struct Entry {
    invoice: Invoice,
    /// Taken from the payer and not settled yet, msat.
    held_msat: Option<u64>,
}

/// The ledger; see the head of this file.
pub struct Ledger {
    entries: HashMap<Hash32, Entry>,
    added: Vec<Hash32>,
    settled: Vec<Hash32>,
    payments: HashMap<Hash32, Payment>,
    payment_count: u64,
    balance_msat: u64,
    fees_msat: u64,
}

impl Ledger {
    /// A ledger without invoices, whose payer owns `balance_msat`.
    pub fn new(balance_msat: u64) -> Self {
        Self {
            entries: HashMap::new(),
            added: Vec::new(),
            settled: Vec::new(),
            payments: HashMap::new(),
            payment_count: 0,
            balance_msat,
            fees_msat: 0,
        }
    }

    /// What the payer can spend, msat.
    pub fn balance_msat(&self) -> u64 {
        self.balance_msat
    }

    /// What routing has cost so far, msat.
    pub fn fees_msat(&self) -> u64 {
        self.fees_msat
    }

    /// What settled invoices received, msat.
    pub fn received_msat(&self) -> u64 {
        self.entries.values().map(|entry| entry.invoice.amt_paid_msat).sum()
    }

    /// What left the payer and isn't settled yet, msat.
    pub fn held_msat(&self) -> u64 {
        self.entries.values().filter_map(|entry| entry.held_msat).sum()
    }

    /// Whether `hash` is taken.
    pub fn contains(&self, hash: &Hash32) -> bool {
        self.entries.contains_key(hash)
    }

    /// Adds an invoice. Its hash must be new.
    pub fn add(&mut self, new: NewInvoice) -> Result<Invoice, LedgerError> {
        if self.entries.contains_key(&new.hash) {
            return Err(LedgerError::Duplicate);
        }
        self.added.push(new.hash);
        let invoice = Invoice {
            hash: new.hash,
            preimage: new.preimage,
            payment_addr: new.payment_addr,
            amount_msat: new.amount_msat,
            memo: new.memo,
            description_hash: new.description_hash,
            created: new.created,
            expiry_s: new.expiry_s,
            cltv_expiry: new.cltv_expiry,
            bolt11: new.bolt11,
            state: State::Open,
            add_index: self.added.len() as u64,
            settle_index: 0,
            settled_at: 0,
            amt_paid_msat: 0,
        };
        self.entries.insert(new.hash, Entry { invoice: invoice.clone(), held_msat: None });
        Ok(invoice)
    }

    /// The invoice of `hash`. `now`, here and below, is Unix seconds: an invoice that expired unpaid is cancelled first.
    pub fn look_up(&mut self, hash: &Hash32, now: u64) -> Result<Invoice, LedgerError> {
        Ok(self.entry(hash, now)?.invoice.clone())
    }

    /// Cancels an unpaid invoice, or gives a held payment back. Cancelling twice is fine, as with LND.
    pub fn cancel(&mut self, hash: &Hash32, now: u64) -> Result<(), LedgerError> {
        let entry = self.entry(hash, now)?;
        match entry.invoice.state {
            State::Canceled => Ok(()),
            State::Settled => Err(LedgerError::AlreadySettled),
            // The payer was told of success already: this money can't go back.
            State::Open if entry.held_msat.is_some() => Err(LedgerError::AlreadySettled),
            State::Open => {
                entry.invoice.state = State::Canceled;
                Ok(())
            }
            State::Accepted => {
                entry.invoice.state = State::Canceled;
                entry.held_msat = None;
                if let Some(payment) = self.payments.get_mut(hash) {
                    payment.status = PaymentStatus::Failed(FailureReason::IncorrectPaymentDetails);
                    self.balance_msat += payment.order.amount_msat + payment.order.fee_msat;
                    self.fees_msat -= payment.order.fee_msat;
                }
                Ok(())
            }
        }
    }

    /// Settles an invoice whose payment was left for later or held.
    pub fn settle(&mut self, hash: &Hash32, now: u64) -> Result<Invoice, LedgerError> {
        let entry = self.entry(hash, now)?;
        match (entry.invoice.state, entry.held_msat) {
            (State::Settled, _) => return Err(LedgerError::AlreadySettled),
            (State::Canceled, _) => return Err(LedgerError::AlreadyCanceled),
            (State::Open | State::Accepted, None) => return Err(LedgerError::StillOpen),
            (State::Open | State::Accepted, Some(_)) => {}
        }
        Ok(self.close(hash, now))
    }

    /// Registers a payment as in flight. Refused while one for the same hash is in flight, and for good once one
    /// succeeded; a failed one may be tried again.
    pub fn register(&mut self, order: Order, now: u64) -> Result<Payment, LedgerError> {
        match self.payments.get(&order.hash).map(|payment| payment.status) {
            Some(PaymentStatus::Succeeded(_)) => return Err(LedgerError::AlreadyPaid),
            Some(PaymentStatus::InFlight) => return Err(LedgerError::InTransition),
            Some(PaymentStatus::Failed(_)) | None => {}
        }
        self.payment_count += 1;
        let payment =
            Payment { index: self.payment_count, created: now, status: PaymentStatus::InFlight, order };
        self.payments.insert(payment.order.hash, payment.clone());
        Ok(payment)
    }

    /// Lets a registered payment reach the receiver (or fail on the way). `None` if there is no such payment in flight.
    pub fn attempt(&mut self, hash: &Hash32, settlement: Settlement, now: u64) -> Option<Payment> {
        let payment = self.payments.get(hash).filter(|payment| payment.status == PaymentStatus::InFlight)?;
        let order = payment.order.clone();
        let status = match self.transfer(&order, settlement, now) {
            Ok(status) => status,
            Err(reason) => PaymentStatus::Failed(reason),
        };
        self.conclude(hash, status)
    }

    /// Ends a payment in flight as failed, before it reached anybody. `None` if there is no such payment in flight.
    pub fn fail(&mut self, hash: &Hash32, reason: FailureReason) -> Option<Payment> {
        self.payments.get(hash).filter(|payment| payment.status == PaymentStatus::InFlight)?;
        self.conclude(hash, PaymentStatus::Failed(reason))
    }

    /// The payment for `hash`, if one was ever registered.
    pub fn payment(&self, hash: &Hash32) -> Option<&Payment> {
        self.payments.get(hash)
    }

    /// Invoices added after the one with this index, as they stand now, in order. Zero: none, as LND has it.
    pub fn added_since(&mut self, index: u64, now: u64) -> Vec<Invoice> {
        let hashes = since(&self.added, index);
        hashes.iter().filter_map(|hash| self.look_up(hash, now).ok()).collect()
    }

    /// Invoices settled after the one with this index, in order. Zero: none, as LND has it.
    pub fn settled_since(&mut self, index: u64, now: u64) -> Vec<Invoice> {
        let hashes = since(&self.settled, index);
        hashes.iter().filter_map(|hash| self.look_up(hash, now).ok()).collect()
    }

    /// The first invoice that was settled after the one with this index. Zero: the first of all, as CLN has it.
    pub fn next_settled(&mut self, index: u64, now: u64) -> Option<Invoice> {
        let hash = *self.settled.get(usize::try_from(index).ok()?)?;
        self.look_up(&hash, now).ok()
    }

    /// The payment hashes of all invoices, in the order in which they were made.
    pub fn hashes(&self) -> Vec<Hash32> {
        self.added.clone()
    }

    fn entry(&mut self, hash: &Hash32, now: u64) -> Result<&mut Entry, LedgerError> {
        if self.added.is_empty() {
            return Err(LedgerError::NoInvoices);
        }
        let entry = self.entries.get_mut(hash).ok_or(LedgerError::NotFound)?;
        let invoice = &mut entry.invoice;
        if invoice.state == State::Open
            && entry.held_msat.is_none()
            && now > invoice.created + invoice.expiry_s
        {
            invoice.state = State::Canceled;
        }
        Ok(entry)
    }

    fn transfer(
        &mut self,
        order: &Order,
        settlement: Settlement,
        now: u64,
    ) -> Result<PaymentStatus, FailureReason> {
        let cost = order.amount_msat.checked_add(order.fee_msat).ok_or(FailureReason::InsufficientBalance)?;
        if cost > self.balance_msat {
            return Err(FailureReason::InsufficientBalance);
        }
        if !order.reachable || order.fee_msat > order.fee_limit_msat {
            return Err(FailureReason::NoRoute);
        }
        let entry = self.entry(&order.hash, now).map_err(|_| FailureReason::IncorrectPaymentDetails)?;
        let invoice = &mut entry.invoice;
        let payable = invoice.state == State::Open
            && entry.held_msat.is_none()
            && order.payment_addr == invoice.payment_addr
            && order.amount_msat > 0
            && order.amount_msat >= invoice.amount_msat;
        if !payable {
            return Err(FailureReason::IncorrectPaymentDetails);
        }
        entry.held_msat = Some(order.amount_msat);
        let preimage = invoice.preimage;
        if settlement == Settlement::Hold {
            invoice.state = State::Accepted;
        }
        self.balance_msat -= cost;
        self.fees_msat += order.fee_msat;
        match settlement {
            Settlement::Now => {
                self.close(&order.hash, now);
                Ok(PaymentStatus::Succeeded(preimage))
            }
            Settlement::Later => Ok(PaymentStatus::Succeeded(preimage)),
            Settlement::Hold => Ok(PaymentStatus::InFlight),
        }
    }

    /// Turns what is held into what is received, and tells the payment.
    fn close(&mut self, hash: &Hash32, now: u64) -> Invoice {
        self.settled.push(*hash);
        let settle_index = self.settled.len() as u64;
        let entry = self.entries.get_mut(hash).expect("callers hold the entry of this hash");
        let invoice = &mut entry.invoice;
        invoice.state = State::Settled;
        invoice.settle_index = settle_index;
        invoice.settled_at = now;
        invoice.amt_paid_msat = entry.held_msat.take().unwrap_or_default();
        let invoice = invoice.clone();
        self.conclude(hash, PaymentStatus::Succeeded(invoice.preimage));
        invoice
    }

    fn conclude(&mut self, hash: &Hash32, status: PaymentStatus) -> Option<Payment> {
        let payment = self.payments.get_mut(hash)?;
        payment.status = status;
        Some(payment.clone())
    }
}

/// What follows the entry of the (1-based) `index`; nothing for zero.
fn since(hashes: &[Hash32], index: u64) -> Vec<Hash32> {
    match usize::try_from(index) {
        Ok(0) | Err(_) => Vec::new(),
        Ok(index) => hashes.get(index..).unwrap_or_default().to_vec(),
    }
}
