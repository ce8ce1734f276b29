//! Scenarios of the real program, `l402d`, on a simulated node.
#![allow(clippy::unwrap_used, reason = "a test")]

mod agreement;
mod coprocess;
mod doctor;
mod reload;
mod secrets;
mod standalone;
mod support;
mod toml;
