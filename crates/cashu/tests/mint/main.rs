//! The till against real mints: tokens of a real wallet, good and bad, outages, restarts.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a skipped test says why")]

mod conservation;
mod held;
mod hosts;
mod melted;
mod outages;
mod restored;
#[path = "../../../../tests/harness/mint.rs"]
mod rig;
mod rude;
mod rude_keysets;
mod rude_melts;
#[allow(dead_code, reason = "the scenarios, which share this file, use the rest of it")]
#[path = "../../../../tests/harness/rude_mint.rs"]
mod rude_mint;
mod steps;
mod support;
mod swapped;
