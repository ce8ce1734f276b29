//! The LNURL module, tested from outside: against a simulated server, and against servers that point elsewhere.
#![allow(clippy::unwrap_used, clippy::panic)]

mod policy;
mod server;
mod support;
