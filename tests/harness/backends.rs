//! The one list of simulated backends that the scenarios over all backends run on.

use std::sync::Arc;

use super::cln::Cln;
use super::lnc::Remote;
use super::nwc::Connected;
use super::remote::{Eclair, Lnurl};
use super::sim::Simulated;
use super::wallet::Wallet;

/// A kind of backend.
pub struct Backend {
    /// The name of its trials and of its row in the table.
    pub name: &'static str,
    /// Starts one, with a simulator of its own.
    pub start: fn() -> Arc<dyn Wallet>,
}

/// All of them. The first is the one that scenarios on the simulator run on.
pub const ALL: &[Backend] = &[
    Backend { name: "lnsim", start: || Arc::new(Simulated::start()) },
    Backend { name: "lnc", start: || Arc::new(Remote::start()) },
    Backend { name: "eclair", start: || Arc::new(Eclair::start()) },
    Backend { name: "lnurl", start: || Arc::new(Lnurl::start(true)) },
    Backend { name: "lnurl-blind", start: || Arc::new(Lnurl::start(false)) },
    Backend { name: "nwc", start: || Arc::new(Connected::start()) },
    Backend { name: "cln", start: || Arc::new(Cln::by_socket()) },
    Backend { name: "clnrest", start: || Arc::new(Cln::by_rest()) },
    Backend { name: "bolt12", start: || Arc::new(Cln::by_offer()) },
];
