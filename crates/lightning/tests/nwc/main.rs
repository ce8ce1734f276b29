//! The NWC module against simulated relays and a simulated wallet.
#![allow(clippy::unwrap_used, clippy::panic)]

mod relays;
mod support;
mod wallet;
