//! Ecash (Cashu) as a payment: what is asked for, what is checked of a token, what is recorded, the swap at the mint.
//!
//! ```text
//! token.rs ─▶ check.rs (terms.rs, lock.rs, keysets.rs) ─▶ till.rs ─▶ record.rs  (durable, before any grant)
//!             no I/O, clock or randomness                    └─────▶ swap.rs ─▶ attempt.rs ─▶ mint.rs ─▶ api.rs ─▶ the mint
//! ```
//!
//! A [`Till`] takes tokens. In standard mode a token is swapped at its mint before it counts as paid; in P2PK mode it is
//! verified without the mint, since nobody but we can spend it, and redeemed in the background (tend.rs), many at a time
//! (together.rs). Either way its proofs
//! are on disk before anything is granted, and a payment is known by its proofs, not by the token's text: the same proofs
//! in another encoding are the same payment. What makes a payment out of ecash is a payment hash and a preimage of
//! its own, so that everything behind it (claims, tokens, use counts) is as for a Lightning payment.
//!
//! Hosts that take ecash for the same things share a [`Ledger`] (shared.rs): what one of them took is no new payment at another.
//!
//! What the wallet holds is paid out over Lightning by [`Till::redeem`] (payout.rs, melt.rs, melting.rs): to each payee what is theirs,
//! one melt of a mint at a time. [`Balance::read`] says what there is; [`Till::restore`] gets it back from the mints (restore.rs).
//!
//! What a mint answers is read in api.rs: only an error body with a code is its word, and every text of its own is bounded and escaped
//! ([`foreign_text`]). A payment that was granted is lost only if the mint says that somebody else has spent it (unredeemed.rs);
//! [`Till::retry`] tries it again.
//!
//! The cryptography, the encodings and the messages of the mint's API are `cdk`'s.
#![forbid(unsafe_code)]

mod api;
mod attempt;
mod balance;
mod check;
mod error;
mod exchange;
mod foreign;
mod http;
mod keysets;
mod lock;
mod melt;
mod melting;
mod mint;
mod mint_url;
mod payout;
mod private_file;
mod record;
mod restore;
mod retry;
mod seed;
mod shared;
mod swap;
mod tend;
mod terms;
mod till;
mod together;
mod token;
mod turn;
mod unredeemed;

pub use balance::Balance;
pub use cdk::mint_url::MintUrl;
pub use cdk::nuts::{PublicKey, SecretKey};
pub use check::{Checked, check};
pub use error::{AcceptError, OpenError, Refusal, Unavailable};
pub use foreign::{foreign_bytes, foreign_text};
pub use keysets::Keysets;
pub use lock::REDEMPTION_WINDOW_S;
pub use melt::{InvoiceFuture, Invoices, MeltError, MeltTerms, Redeemed};
pub use record::schema::VERSION as WALLET_SCHEMA;
pub use restore::Restored;
pub use retry::Retried;
pub use seed::{SeedError, SeedSource};
pub use shared::{Entered, Ledger, LedgerFuture};
pub use terms::{Lock, RequestFormat, Terms, sat_of_msat};
pub use till::{Options, Paid, Till};
pub use token::{MAX_PROOFS, MAX_TOKEN, Offered, PaymentId};

/// Unix seconds.
fn unix_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}
