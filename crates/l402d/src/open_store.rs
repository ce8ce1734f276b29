//! The store that the configuration names: SQLite in the state directory, or the Redis that several hosts share.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use settings::{AgentConfig, RedisHost, RedisSettings, RedisTopology, RedisUrl};
use store::{
    IssuedInvoices, IssuedLog, NoIssuedInvoices, Prices, RedisStore, SqliteStore, Store,
    redis::{Host, RedisOptions, Servers, Topology},
};
use zeroize::Zeroizing;

use crate::{ledger::Ledger, notes::Notes};

/// The database in the state directory.
pub const DATABASE: &str = "l402.db";

/// The record of invoices that were handed out, beside it.
const ISSUED: &str = "issued.db";

/// What is opened.
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where wallets keep their notes in it.
    pub notes: Arc<dyn lightning::Notes>,
    /// Where an operator lists prices, if hosts share it.
    pub prices: Option<Arc<dyn Prices>>,
    /// Where hosts tell each other which ecash they took, if there are others.
    pub ledger: Option<Arc<dyn ecash::Ledger>>,
}

/// Opens it. Redis need not be there yet: until it is, what needs it is answered with 503. Must be called in a tokio
/// runtime.
///
/// # Errors
/// What keeps it from being opened: the operator's to mend.
pub fn open(config: &AgentConfig) -> Result<Opened, Box<dyn Error + Send + Sync>> {
    match &config.redis {
        None => {
            let store = Arc::new(SqliteStore::open(&config.state_dir.join(DATABASE))?);
            Ok(Opened { store: store.clone(), notes: Arc::new(Notes(store)), prices: None, ledger: None })
        }
        Some(redis) => {
            let options = options(redis, redis.parsed()?);
            tracing::info!(servers = %options.servers, "what is claimed and settled is kept in Redis");
            let store = Arc::new(RedisStore::open(options)?);
            let ledger: Arc<dyn ecash::Ledger> = Arc::new(Ledger(store.clone()));
            let notes = Arc::new(Notes(store.clone()));
            Ok(Opened { store: store.clone(), notes, prices: Some(store), ledger: Some(ledger) })
        }
    }
}

/// Opens the record of invoices that were handed out. Without it a later process knows less of them, which is said.
pub fn issued(state_dir: &Path) -> Arc<dyn IssuedInvoices> {
    let path = state_dir.join(ISSUED);
    match IssuedLog::open(&path) {
        Ok(log) => Arc::new(log),
        Err(error) => {
            tracing::warn!(
                path = %path.display(), %error,
                "invoices that are handed out are not known to the next l402d; remove the file if it is damaged"
            );
            Arc::new(NoIssuedInvoices)
        }
    }
}

fn options(redis: &RedisSettings, url: RedisUrl) -> RedisOptions {
    let secret = |secret: settings::Secret<String>| Zeroizing::new(secret.expose().clone());
    let host = |host| match host {
        RedisHost::Tcp(host, port) => Host::Tcp(host, port),
        RedisHost::Unix(path) => Host::Unix(path),
    };
    let servers = Servers {
        topology: match url.topology {
            RedisTopology::Single => Topology::Single,
            RedisTopology::Sentinel { master } => Topology::Sentinel { master },
            RedisTopology::Cluster => Topology::Cluster,
        },
        hosts: url.hosts.into_iter().map(host).collect(),
        tls: url.tls,
        ca: redis.ca.clone(),
        user: url.user,
        password: url.password.map(secret),
        sentinel_user: url.sentinel_user,
        sentinel_password: url.sentinel_password.map(secret),
        db: url.db,
        wait_replicas: url.wait_replicas,
    };
    let keep_settled = (redis.preimage_ttl_s > 0).then(|| Duration::from_secs(redis.preimage_ttl_s));
    let connections = usize::try_from(redis.pool_size).unwrap_or(1);
    RedisOptions { connections, keep_settled, ..RedisOptions::new(servers) }
}
