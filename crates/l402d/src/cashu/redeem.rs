//! Paying out at once, to the wallets of this configuration and to the Lightning addresses of nginx's locations.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use ecash::{Balance, OpenError, Redeemed, Till};
use settings::{AgentConfig, BackendKind, BackendSettings, CASHU_REDEEM_ON_LIGHTNING, Complaint};
use store::Model;

use super::{Failed, ecash_of, in_lines};
use crate::{
    doctor,
    engine::Engine,
    listed_payees,
    notes::Notes,
    open_store::{self, Opened},
    till,
};

/// One round, whatever the interval.
pub(super) async fn redeem(config: &AgentConfig) -> Result<Vec<Redeemed>, Failed> {
    let settings = ecash_of(config)?;
    let off = || {
        let expected = "on, if need be for this command alone";
        Failed::from(Complaint::new(CASHU_REDEEM_ON_LIGHTNING.name(), "is off", expected).to_string())
    };
    let payout = till::payout(settings).ok_or_else(off)?;
    let options = till::options(settings, &config.state_dir)?;
    if !options.database.exists() {
        return Err(OpenError::NoWallet { path: options.database }.into());
    }
    let Opened { store, notes, prices, ledger: _ } = opened(config)?;
    let mut wallets = Vec::new();
    for backend in config.backends.iter().chain(&addresses(config, &options.database)?) {
        if backend.config.kind() == BackendKind::Lnc && doctor::in_the_way(config).is_some() {
            tracing::warn!(
                backend = backend.name,
                "its session is for one client at a time and is l402d's: what is for it is paid out at l402d's next round"
            );
            continue;
        }
        wallets.push((backend.name.clone(), lightning::open(backend, &notes, &config.state_dir)?));
    }
    let leaving: Vec<_> = wallets.iter().map(|(_, wallet)| Arc::clone(wallet)).collect();
    let listing = prices.map(|prices| listed_payees::listing(config, prices, notes));
    let engine = Engine::at_rest(wallets, store, None, listing);
    let done = Till::at_rest(options).await?.redeem(&payout.terms, &*engine).await?;
    for wallet in leaving {
        wallet.close().await;
    }
    Ok(done)
}

/// Where payees may be listed. Of these invoices nothing has to be remembered.
fn opened(config: &AgentConfig) -> Result<Opened, Failed> {
    if config.redis.is_some() {
        return open_store::open(config);
    }
    let store = Arc::new(Model::new());
    Ok(Opened { notes: Arc::new(Notes(store.clone())), store, prices: None, ledger: None })
}

/// The Lightning addresses that ecash in the wallet is for: those of `l402_lnurl_addr` are in nginx's configuration only, and in
/// the payee's name.
fn addresses(config: &AgentConfig, database: &Path) -> Result<Vec<BackendSettings>, Failed> {
    let balances = Balance::read(database)?;
    let payees: BTreeSet<String> = balances.into_iter().flat_map(|mint| mint.payees.into_keys()).collect();
    let unknown = |name: &&str| config.backends.iter().all(|backend| backend.name != **name);
    let names = payees.iter().flat_map(|payee| payee.split(' ')).filter(unknown);
    let env = |name: &str| std::env::var(name).ok();
    let found: BTreeSet<_> = names.filter_map(settings::lnurl_address_of).collect();
    found.iter().map(|address| settings::lnurl_backend(address, &env).map_err(in_lines)).collect()
}
