//! Opens the wallets at Lightning addresses that are listed in Redis, as `l402_lnurl_addr` would.

use std::sync::Arc;

use lightning::Notes;
use settings::{AgentConfig, BackendConfig, SOCKS5_PROXY};
use store::Prices;

use crate::engine::{Listing, Opener};

/// What is listed in `prices`. An address of Tor's is reached through the proxy of a configured Lightning address.
pub fn listing(config: &AgentConfig, prices: Arc<dyn Prices>, notes: Arc<dyn Notes>) -> Listing {
    let proxy = config.backends.iter().find_map(|backend| match &backend.config {
        BackendConfig::Lnurl(lnurl) => lnurl.socks5_proxy.clone(),
        _ => None,
    });
    let state_dir = config.state_dir.clone();
    let open: Opener = Box::new(move |address, notes| {
        let env = |name: &str| proxy.clone().filter(|_| SOCKS5_PROXY.env == Some(name));
        let settings = settings::lnurl_backend(address, &env).map_err(|complaints| {
            complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        })?;
        lightning::open(&settings, &notes, &state_dir).map_err(|error| error.to_string())
    });
    Listing::new(prices, notes, open)
}
