//! The Redis store on real servers, which each test starts for itself: the conformance suite on every kind of them, and what
//! happens when one dies, hangs, is full, or hands over to another.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by a panic what is wrong")]

#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../../../../tests/harness/redis.rs"]
mod server;

mod faults;
mod former;
mod kinds;
mod ledger;
mod prices;
mod support;
