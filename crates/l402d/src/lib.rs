//! l402d: the one process beside nginx that owns wallets, invoices, settlements and claims.
//!
//! ```text
//! main → config → keys, store, wallets → engine ← connection ← server (Unix socket)
//!                                          ↑ settlements pushed by the wallets
//! ```
//!
//! It runs by itself (`l402d --config FILE`), configured by that file and the environment, or as nginx's co-process
//! (`l402d --coprocess`), configured through standard input and tied to
//! nginx's life by a socket on standard output.
#![forbid(unsafe_code)]

mod accounts;
mod apart;
mod args;
mod cashu;
mod config;
mod connection;
mod doctor;
pub mod engine;
mod kept;
mod keys;
mod ledger;
mod lifeline;
mod listed_payees;
mod log;
mod notes;
mod open_store;
mod place;
mod reload;
mod run;
mod server;
mod systemd;
#[cfg(test)]
mod testing;
mod till;
mod toml_file;

pub use args::Args;
pub use run::main;
