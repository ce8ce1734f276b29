//! Figures of speed and size: what nginx with this module does, next to what plain nginx or the node does alone, in
//! one interleaved run. Times are reported, never asserted.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a figure that can't be measured says by a panic why")]

pub mod figures;
pub mod load;
pub mod machine;
pub mod pairs;
pub mod plain;
pub mod profile;
pub mod report;
pub mod stand;
pub mod tokens;
pub mod usage;
pub mod wrk;

/// What the scenarios stand on, as far as it is needed here.
#[path = "../../tests/harness"]
pub mod harness {
    pub mod backends;
    pub mod challenge;
    pub mod cln;
    pub mod h2;
    pub mod http;
    pub mod lnc;
    pub mod lnd;
    pub mod macaroon;
    pub mod mint;
    pub mod nginx;
    pub mod node;
    pub mod nwc;
    pub mod process;
    #[allow(dead_code, reason = "the tests use the rest of it")]
    pub mod redis;
    pub mod remote;
    pub mod sim;
    pub mod site;
    pub mod stage;
    pub mod wait;
    pub mod wallet;
}
