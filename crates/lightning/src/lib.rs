//! The Lightning trait and one module per wallet.
//!
//! [`Lightning`] is what the engine needs of a wallet: make an invoice, look one up, hear of settlements, say how it
//! is. Each wallet is one module that speaks its node's own protocol; none of that protocol's types leaves it. What
//! every wallet has to keep is written down as code in [`conformance`]. [`open`] is the one list of wallets.

#![forbid(unsafe_code)]

mod api;
pub mod bolt12;
pub mod cln;
pub mod conformance;
pub mod eclair;
mod error;
mod http;
mod invoice;
mod lnc;
pub mod lnd;
pub mod lnurl;
mod notes;
pub mod nwc;
mod pause;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use settings::{BackendConfig, BackendSettings};

pub use api::{Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, Lookup, Reply, Settlement};
pub use error::LightningError;
pub use invoice::{Asked, Checked, Network, check_invoice, fit_description};
pub use notes::Notes;

/// Opens the wallet that `settings` names. Nothing is connected before the first call. `notes` is where a wallet that needs
/// it keeps what it has to know again. What must outlive the store, such as the keys of a session, goes into files in
/// `state_dir`.
///
/// # Errors
/// The operator's: an address, certificate or macaroon that can't be read. The text names the wallet and holds no
/// secret.
pub fn open(
    settings: &BackendSettings,
    notes: &Arc<dyn Notes>,
    state_dir: &Path,
) -> Result<Arc<dyn Lightning>, OpenError> {
    let timeout = Duration::from_millis(settings.timeout_ms);
    let wallet = match &settings.config {
        BackendConfig::Lnd(lnd) => lnd::open(lnd, timeout),
        BackendConfig::Lnc(lnc) => lnc::open(lnc, timeout, state_dir),
        BackendConfig::Eclair(eclair) => eclair::open(eclair, timeout),
        BackendConfig::Lnurl(lnurl) => lnurl::open(lnurl, notes.clone(), timeout),
        BackendConfig::Nwc(nwc) => nwc::open(nwc, timeout),
        BackendConfig::Cln(cln) => cln::open(cln, timeout),
        BackendConfig::Bolt12(bolt12) => bolt12::open(bolt12, timeout),
    };
    wallet.map_err(|reason| OpenError { backend: settings.name.clone(), reason })
}

/// A wallet whose settings can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("backend {backend}: {reason}")]
pub struct OpenError {
    /// The name of the backend.
    pub backend: String,
    /// What is wrong, and what is expected.
    pub reason: String,
}

/// When an invoice of any wallet was made, by that wallet's clock, Unix seconds; `None` where it can't be read.
pub fn made_at(invoice: &str) -> Option<u64> {
    invoice::made_at(invoice).or_else(|| bolt12::made_at(invoice))
}

/// Unix seconds.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
