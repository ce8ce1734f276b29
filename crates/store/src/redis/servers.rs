//! Where Redis is, and how one connects to it.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Once},
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    RedisResult, TlsCertificates, TlsMode,
    cluster::{ClusterClient, ClusterClientBuilder},
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::link::{CONNECT, Connection};

/// Calls that may wait on one connection to be written; beyond it a caller waits for room.
const QUEUE: usize = 1024;

/// Where Redis is, and as whom to log in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Servers {
    /// How they belong together.
    pub topology: Topology,
    /// One server, or the Sentinels, or some nodes of the Cluster.
    pub hosts: Vec<Host>,
    /// Speaks TLS with them.
    pub tls: bool,
    /// The authorities that vouch for them, in PEM form; `None`: those of the system.
    pub ca: Option<Vec<u8>>,
    /// The ACL user; `None`: the one called `default`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Zeroizing<String>>,
    /// The user that the Sentinels know.
    pub sentinel_user: Option<String>,
    /// Its password.
    pub sentinel_password: Option<Zeroizing<String>>,
    /// The database.
    pub db: u32,
    /// How many replicas must know of a claim before it is granted.
    pub wait_replicas: u32,
}

/// How servers belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    #[default]
    Single,
    /// Sentinels that know the master of this name.
    Sentinel {
        /// The name.
        master: String,
    },
    /// A Cluster.
    Cluster,
}

/// One server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Host and port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Without names and passwords: for a log.
impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        match &self.topology {
            Topology::Single => f.write_str(&hosts.join(","))?,
            Topology::Sentinel { master } => write!(f, "{master} of the Sentinels {}", hosts.join(","))?,
            Topology::Cluster => write!(f, "the Cluster of {}", hosts.join(","))?,
        }
        f.write_str(if self.tls { " (TLS)" } else { "" })
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Servers({self}, db {}, wait_replicas {})", self.db, self.wait_replicas)
    }
}

/// Why a store can't be opened: the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("Redis can't be used: {0}")]
pub struct OpenError(#[from] redis::RedisError);

/// A way to connect, again and again.
pub(super) enum Dial {
    Single(Client),
    Sentinel(Mutex<SentinelClient>),
    Cluster(ClusterClient),
}

impl Servers {
    pub(super) fn dial(&self) -> Result<Arc<Dial>, OpenError> {
        if self.tls {
            // Only where nobody has chosen one before.
            static PROVIDER: Once = Once::new();
            PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        }
        let infos = self.hosts.iter().map(|host| self.info(host)).collect::<RedisResult<Vec<_>>>()?;
        Ok(Arc::new(match &self.topology {
            Topology::Single => Dial::Single(self.single(infos)?),
            Topology::Sentinel { master } => Dial::Sentinel(Mutex::new(self.sentinel(master)?)),
            Topology::Cluster => Dial::Cluster(self.cluster(infos)?),
        }))
    }

    fn address(&self, host: &Host) -> ConnectionAddr {
        match host {
            Host::Tcp(host, port) if self.tls => {
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            Host::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
            Host::Unix(path) => ConnectionAddr::Unix(path.clone()),
        }
    }

    fn info(&self, host: &Host) -> RedisResult<ConnectionInfo> {
        let mut login = RedisConnectionInfo::default().set_db(self.db.into());
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.as_str());
        }
        Ok(self.address(host).into_connection_info()?.set_redis_settings(login))
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        self.tls.then(|| TlsCertificates { client_tls: None, root_cert: self.ca.clone() })
    }

    fn single(&self, infos: Vec<ConnectionInfo>) -> RedisResult<Client> {
        let none = || redis::RedisError::from((redis::ErrorKind::InvalidClientConfig, "no server is named"));
        let info = infos.into_iter().next().ok_or_else(none)?;
        match self.certificates() {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        }
    }

    fn sentinel(&self, master: &str) -> RedisResult<SentinelClient> {
        let sentinels = self.hosts.iter().map(|host| self.address(host));
        let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
            .set_client_to_redis_db(self.db.into());
        if let Some(user) = &self.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password.as_str());
        }
        if let Some(user) = &self.sentinel_user {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = &self.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.as_str());
        }
        if let Some(certificates) = self.certificates() {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_certificates(certificates);
        }
        builder.build()
    }

    fn cluster(&self, infos: Vec<ConnectionInfo>) -> RedisResult<ClusterClient> {
        // What is lost is sent again by us, with a deadline; here only what has moved.
        let mut builder = ClusterClientBuilder::new(infos)
            .retries(4)
            .connection_timeout(CONNECT)
            .response_timeout(CONNECT)
            .overall_response_timeout(Some(CONNECT));
        if let Some(certificates) = self.certificates() {
            builder = builder.tls(TlsMode::Secure).certs(certificates);
        }
        builder.build()
    }
}

impl Dial {
    /// A new connection. To a master, where Sentinels say which one that is.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        // Each call has its own deadline.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        Ok(match self {
            Self::Single(client) => {
                Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Self::Sentinel(sentinel) => {
                let client = sentinel.lock().await.async_get_client().await?;
                Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Self::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_form_of_them_shows_a_password() {
        let servers = Servers {
            hosts: vec![Host::Tcp("::1".into(), 6379)],
            user: Some("who".into()),
            password: Some(Zeroizing::new("hunter2".into())),
            sentinel_password: Some(Zeroizing::new("hunter2".into())),
            ..Servers::default()
        };
        let text = format!("{servers} {servers:?} {:?}", super::super::RedisOptions::new(servers.clone()));
        assert!(text.contains("[::1]:6379") && !text.contains("hunter2"), "{text}");
    }
}
