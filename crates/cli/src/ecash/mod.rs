//! Paying with ecash: what a 402 asks for, the file that holds the money, the mint, and how a payment is made up.
//!
//! ```text
//! request.rs (the 402) ─▶ payment.rs ─▶ purse.rs (durable, before each step)
//!                            └────────▶ mint.rs ─▶ the mint
//! ```
//!
//! Money is never only in memory: what is about to be swapped is on disk with the secrets of its outputs before the mint
//! is asked, and what is about to be sent is on disk with the place it is sent to. A run that is killed anywhere is
//! continued by the next one, which asks the mint, or the server, for the same thing again.

mod mint;
mod payment;
mod purse;
mod request;

pub use mint::{Mint, Spent};
pub use payment::Payer;
pub use purse::{Purse, Sent};
pub use request::Asked;

use purse::Line;

/// The line of a token that may be spent.
pub fn money(token: cashu::Token) -> Line {
    Line::money(token)
}

/// The line of a payment that its payee does not take.
pub const fn refused(sent: Sent) -> Line {
    Line::Refused(sent)
}
