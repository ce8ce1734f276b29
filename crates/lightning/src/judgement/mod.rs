//! The one judgement of what a wallet answers: which facts must hold before an invoice is sold or a payment counts as
//! settled, and which are only said. The wallets' modules translate; none of them decides.
//!
//! We are the payee. A wallet that differs from its specification costs a log line, not a sale, unless the payer would pay
//! another amount, on another network, to another place, or could not pay in time.

mod facts;
mod invoice;
mod reading;
mod settlement;

pub use facts::{Fact, Remark, Rule, table};
pub(crate) use invoice::{Asked, judge_invoice};
pub(crate) use reading::{Described, Terms, payment_hash_of};
pub use reading::{Network, made_at, route_hints};
pub(crate) use reading::{fit_description, short_description};
pub(crate) use settlement::{judge_found, judge_push};
