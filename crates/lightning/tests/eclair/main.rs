//! The Eclair module, tested from outside: against a simulated node, and against peers that are none.
#![allow(clippy::unwrap_used, clippy::panic)]

mod node;
mod peers;
mod support;
