//! The CLN module, tested from outside: against a simulated node, over its socket and over clnrest.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bolt12;
mod node;
mod rest;
mod support;
