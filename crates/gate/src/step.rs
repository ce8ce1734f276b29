//! What goes out and back: steps, questions to l402d and its answers.

use std::fmt;

use l402::{PaymentHash, Preimage, TokenId};

use crate::response::Response;

/// What the front end does next.
#[derive(Debug)]
pub enum Step {
    /// Let the request through.
    Grant(Grant),
    /// Ask l402d, then [`crate::Gate::resume`].
    Ask(Question),
    /// Answer the request.
    Respond(Response),
}

/// A request that has been paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// By which payment.
    pub payment_hash: PaymentHash,
    /// By which token.
    pub token_id: TokenId,
    /// This request's price in msat.
    pub amount_msat: u64,
    /// How many requests the payment still buys; `None` where they aren't counted.
    pub remaining: Option<u32>,
    /// A token that serves what is left, where the payment was made with ecash and buys more than this request.
    pub issued: Option<Box<Issued>>,
}

/// A token that goes out with what was asked for. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    pub(crate) macaroon: String,
    pub(crate) preimage: Preimage,
}

impl Issued {
    /// The header that carries it.
    pub const HEADER: &'static str = "Authentication-Info";

    /// The header's value (RFC 9110, 11.6.3). It is a secret of the client's.
    pub fn header_value(&self) -> String {
        format!("token=\"{}\", preimage=\"{}\"", self.macaroon, self.preimage.expose_hex())
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issued([redacted])")
    }
}

/// Ecash as the client sent it. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ecash(pub(crate) String);

impl Ecash {
    /// The token, for l402d.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ecash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ecash([redacted])")
    }
}

/// A question to l402d.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// An invoice to challenge the client with.
    Invoice {
        /// Who is paid.
        backend: String,
        /// How much, in msat, unless another price is listed for the path.
        amount_msat: u64,
        /// What for.
        description: String,
        /// The client's path, under which a price or a payee may be listed.
        path: Vec<u8>,
        /// Beyond this there is none: [`Failure::Limited`].
        rate: Option<ClientRate>,
    },
    /// Has it been paid, and is something left of it?
    Redeem {
        /// Who was paid.
        backend: String,
        /// The payment.
        payment_hash: PaymentHash,
        /// The token presented; for the front end's log.
        token_id: TokenId,
        /// How it is known to be settled.
        proof: Proof,
        /// How many uses the payment bought; `None` is any number, nothing is drawn.
        limit: Option<u32>,
        /// Is one use drawn? If not, one must be left.
        draw: bool,
    },
    /// Is this ecash a payment?
    Ecash {
        /// Who is to get its worth, unless another payee is listed for the path.
        backend: String,
        /// The price, in msat, unless another is listed for the path.
        amount_msat: u64,
        /// The client's path.
        path: Vec<u8>,
        /// What is bought: differs wherever two sales do.
        terms: String,
        /// The ecash.
        token: Ecash,
    },
}

/// The rate, for one client, of something that costs the wallet a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRate {
    /// The name of what is counted together.
    pub key: String,
    /// How many.
    pub limit: u32,
    /// In how many seconds.
    pub window_s: u32,
}

/// How a payment is known to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The client showed its preimage, and it has been checked.
    Preimage(Preimage),
    /// The backend is to be asked, unless l402d knows. Beyond this rate it is not: [`Failure::Limited`].
    LookUp(ClientRate),
    /// l402d knows it, or [`Answer::CannotLookUp`]: the request had the backend asked about another payment.
    Known,
}

/// What l402d says, or what became of asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Invoice`].
    Invoice {
        /// Of the invoice.
        payment_hash: PaymentHash,
        /// The invoice: BOLT11, or of a BOLT12 offer.
        bolt11: String,
        /// Random bytes for the token's id.
        nonce: [u8; 28],
        /// When the invoice expires, Unix seconds.
        expires_at: u64,
        /// What it is over, in msat: the price that was asked about, or the one that is listed for the path.
        amount_msat: u64,
        /// The same price as a payment request for ecash; empty where none is taken.
        ecash: String,
        /// The BOLT12 offer that the invoice is of; empty where it is of none.
        offer: String,
    },
    /// To [`Question::Ecash`]: it is a payment like any other now.
    Paid {
        /// What it goes by.
        payment_hash: PaymentHash,
        /// Its preimage.
        preimage: Preimage,
        /// Random bytes for the token's id.
        nonce: [u8; 28],
        /// When it was paid, Unix seconds.
        paid_at: u64,
    },
    /// To [`Question::Ecash`]: it is none, and why.
    EcashRefused(String),
    /// To [`Question::Ecash`]: no ecash is taken here.
    NoEcash,
    /// To [`Question::Redeem`]: settled, and one use drawn or left if uses are counted.
    Granted {
        /// What is left.
        remaining: Option<u32>,
    },
    /// Not paid yet; this invoice still can be.
    Unsettled {
        /// The invoice that the token belongs to.
        bolt11: String,
        /// When it expires, Unix seconds.
        expires_at: u64,
        /// The BOLT12 offer that the invoice is of; empty where it is of none.
        offer: String,
    },
    /// Settled, and all uses drawn.
    UsedUp,
    /// Never paid, and the invoice is expired, cancelled or unknown.
    Dead,
    /// This backend offers no way to look a settlement up.
    CannotLookUp,
    /// There is no answer.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The backend said no.
    Refused,
    /// The backend can't be reached.
    Unavailable {
        /// Seconds until it's worth trying again.
        retry_after_s: u32,
    },
    /// The backend didn't answer in time.
    TimedOut,
    /// l402d can't be reached.
    AgentGone {
        /// Seconds until it's worth trying again.
        retry_after_s: u32,
    },
    /// The client asks for more challenges or look-ups than it may have.
    Limited {
        /// Seconds until it may have the next.
        retry_after_s: u32,
    },
    /// Our fault.
    Internal,
}
