//! What has been spent and what has been paid, kept so that a crash forgets nothing.
//!
//! [`Store`] is the trait that l402d draws on; [`SqliteStore`] is the embedded implementation (one host),
//! [`RedisStore`] the one that hosts share, [`Model`] the reference that says in forty lines what each call means, and [`conformance`] the suite
//! that every implementation passes.
//!
//! The rules:
//!
//! * [`Store::claim`] is atomic and durable before it answers: N copies of one credential, over any number
//!   of handles and processes, draw at most `limit` units.
//! * A claim is counted by *payment hash*, never by the bytes of the credential, so that no re-encoding,
//!   narrowing or second token spends a payment twice.
//! * What was drawn and what was settled is kept for ever: no mark can expire before its token.
//! * A claim carries a request id. The same id again is the same draw (a resend after a crash draws once).
//! * A released id is closed for good: claiming with it answers [`Claimed::Released`] and draws nothing,
//!   also when the release came *first*. So "release and forget" is safe in any order of arrival.
//! * Request ids are remembered for [`KEEP_REQUESTS`], far longer than any resend can take.
#![forbid(unsafe_code)]

mod api;
pub mod conformance;
mod issued;
mod ledger;
mod model;
mod notes;
mod prices;
mod rate;
pub mod redis;
pub mod snapshot;
mod sqlite;

pub use api::{BoxFuture, Claim, Claimed, Hash, KEEP_REQUESTS, RequestId, Settled, Store, StoreError};
pub use issued::{IssuedInvoice, IssuedInvoices, IssuedLog, IssuedLogError, NoIssuedInvoices};
pub use ledger::{Entered, Ledger};
pub use model::Model;
pub use notes::{KEEP_NOTES, MAX_NOTES, Notes};
pub use prices::{Listed, Prices};
pub use rate::{Rate, Taken};
pub use redis::RedisStore;
pub use sqlite::{OpenError, Options, SqliteStore};
