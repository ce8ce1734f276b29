//! The Lightning trait and one module per wallet.
//!
//! [`Lightning`] is what the engine needs of a wallet: make an invoice, look one up, hear of settlements, say how it
//! is. Each wallet is one module that speaks its node's own protocol, a [`Connector`]; none of that protocol's types leaves
//! it. [`Wallet`] judges what the module brings by one table, [`Fact`]. What every wallet has to keep is written down as
//! code in [`conformance`]. [`open`] is the one list of wallets.

#![forbid(unsafe_code)]

mod api;
pub mod bolt12;
pub mod cln;
pub mod conformance;
mod connector;
pub mod eclair;
mod error;
mod foreign;
mod http;
mod judgement;
mod lnc;
pub mod lnd;
pub mod lnurl;
mod notes;
pub mod nwc;
mod pause;
mod unusable;
mod wallet;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use settings::{BackendConfig, BackendSettings};

pub use api::{
    Calls, Cancelled, Health, Invoice, InvoiceRequest, Lightning, Lookup, Pending, Reply, Settlement,
};
pub use connector::{Bounds, Connector};
pub use error::LightningError;
pub use judgement::{Fact, Network, Remark, Rule, made_at, route_hints, table};
pub use notes::Notes;
pub use unusable::Unusable;
pub use wallet::Wallet;

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
    let (timeout, hints) = (Duration::from_millis(settings.timeout_ms), settings.route_hints);
    let wallet = match &settings.config {
        BackendConfig::Lnd(lnd) => lnd::open(lnd, hints, timeout),
        BackendConfig::Lnc(lnc) => lnc::open(lnc, hints, timeout, state_dir),
        BackendConfig::Eclair(eclair) => eclair::open(eclair, hints, timeout),
        BackendConfig::Lnurl(lnurl) => lnurl::open(lnurl, notes.clone(), timeout),
        BackendConfig::Nwc(nwc) => nwc::open(nwc, timeout, state_dir),
        BackendConfig::Cln(cln) => cln::open(cln, hints, timeout),
        BackendConfig::Bolt12(bolt12) => bolt12::open(bolt12, timeout),
    };
    let wallet = wallet.map_err(|reason| OpenError { backend: settings.name.clone(), reason })?;
    wallet.set_backend(&settings.name);
    Ok(wallet)
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

/// Unix seconds.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
