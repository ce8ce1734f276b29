//! A simulated Lightning network: one ledger behind the front doors of real nodes.
//!
//! For the demonstration, the tests and the benches. [`Sim::start`] gives a node that answers LND's gRPC interface as
//! LND v0.20 does, over TLS and with macaroons, and whose invoices are genuine signed BOLT11 of regtest. A second node,
//! the payer, pays them from its balance: by `SendPaymentV2` of the same address (where LND would refuse a payment to
//! itself) or by [`Sim::pay`]. [`Fault`]s make it misbehave. [`Sim::open_nwc`] puts a Nostr Wallet Connect wallet with
//! its relays before the same ledger.
//!
//! [`Sim::lnc_session`] makes a session of Lightning Node Connect, through a mailbox of the simulator's own.
//!
//! The way of a call: `listener` (TCP, TLS) → `front` (macaroon, faults, LND's manner) → `world` (lock, subscribers) →
//! [`ledger`] (the rules). This crate never depends on the crate `lightning`: a mistake must not be on both sides.
#![forbid(unsafe_code)]

pub mod bolt11;
pub mod bolt12;
mod book;
mod call;
mod cln;
mod eclair;
mod fault;
mod front;
mod http;
mod identity;
pub mod ledger;
mod line;
mod listener;
mod lnc;
mod lnurl;
mod messages;
mod method;
mod nwc;
mod permits;
mod quirk;
mod sim;
mod world;

pub use eclair::{EclairEvents, EclairOptions};
pub use fault::{BadFault, Fault, FaultKind};
pub use identity::IdentityError;
pub use ledger::{FailureReason, Hash32, Invoice as InvoiceView, LedgerError, State};
pub use lnc::{Gbn, Limits, LncOptions, LncSession, Packets, Sky, Weather};
pub use lnurl::{Hashed, LnurlOptions, Told, VerifyAt, Written};
pub use method::{Method, UnknownMethod};
pub use nwc::{Authentication, InfoEvent, NwcDoor, NwcError, NwcOptions, Tags};
pub use permits::Permit;
pub use quirk::{BadQuirk, Described, OddPreimage, OddReceived, Quirk, Spelling, Until};
pub use sim::{CallsMissing, PayError, Sim, SimOptions, StartError};
pub use world::{Channels, CreateError, InvoiceSpec};
