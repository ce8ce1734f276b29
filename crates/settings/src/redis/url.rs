//! `REDIS_URL`: text → where Redis is, and as whom to log in.
use crate::{Secret, files, value};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Redis' port.
const PORT: u16 = 6379;
/// A Sentinel's port.
const SENTINEL_PORT: u16 = 26_379;
/// The most databases and replicas that are taken for no mistake.
const MOST_DATABASES: u64 = 65_535;
const MOST_REPLICAS: u64 = 16;

/// What a `REDIS_URL` says.
#[derive(Debug, PartialEq, Eq)]
pub struct RedisUrl {
    /// How the servers belong together.
    pub topology: RedisTopology,
    /// One server, or the Sentinels, or some nodes of the Cluster.
    pub hosts: Vec<RedisHost>,
    /// Speaks TLS with them.
    pub tls: bool,
    /// The ACL user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// The user that the Sentinels know.
    pub sentinel_user: Option<String>,
    /// Its password.
    pub sentinel_password: Option<Secret<String>>,
    /// The database.
    pub db: u32,
    /// How many replicas must know of a claim before it is granted.
    pub wait_replicas: u32,
}

/// How servers belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single,
    /// Sentinels that know the master of this name.
    Sentinel {
        /// The name.
        master: String,
    },
    /// A Cluster.
    Cluster,
}

/// The address of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisHost {
    /// A host, IPv6 without brackets, and its port.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Reads a URL; `None` if it is none that this version knows.
pub(crate) fn parse(text: &str) -> Option<RedisUrl> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut url = RedisUrl {
        topology: RedisTopology::Single,
        hosts: Vec::new(),
        tls: scheme.starts_with("rediss") || scheme.starts_with("valkeys"),
        user: None,
        password: None,
        sentinel_user: None,
        sentinel_password: None,
        db: 0,
        wait_replicas: 0,
    };
    match scheme.as_str() {
        "redis" | "rediss" | "valkey" | "valkeys" => {
            let (hosts, path) = url.authority(rest, PORT)?;
            url.hosts = hosts;
            url.db = path.map_or(Some(0), database)?;
            (url.hosts.len() == 1).then_some(())?;
        }
        "redis+sentinel" | "rediss+sentinel" => {
            let (hosts, path) = url.authority(rest, SENTINEL_PORT)?;
            let (master, db) = path?.split_once('/').map_or((path?, None), |(master, db)| (master, Some(db)));
            let master = decode(master).filter(|master| !master.is_empty())?;
            url.topology = RedisTopology::Sentinel { master: master.to_string() };
            url.hosts = hosts;
            url.db = db.map_or(Some(0), database)?;
        }
        "redis+cluster" | "rediss+cluster" => {
            let (hosts, path) = url.authority(rest, PORT)?;
            // A Cluster has one database.
            (path.is_none_or(str::is_empty)).then_some(())?;
            url.topology = RedisTopology::Cluster;
            url.hosts = hosts;
        }
        "redis+unix" | "unix" => {
            let path = decode(rest).filter(|path| path.starts_with('/') && path.len() > 1)?;
            url.hosts = vec![RedisHost::Unix(path.as_str().into())];
        }
        _ => return None,
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=')?;
        url.parameter(key, value)?;
    }
    (url.user.is_none() || url.password.is_some()).then_some(url)
}

impl RedisUrl {
    /// `[user[:password]@]host[:port],…[/path]`
    fn authority<'t>(&mut self, text: &'t str, port: u16) -> Option<(Vec<RedisHost>, Option<&'t str>)> {
        let (login, text) = match text.rsplit_once('@') {
            Some((login, text)) => (Some(login), text),
            None => (None, text),
        };
        if let Some(login) = login {
            // One word alone is a password, as with the former module's library it would be a user without one.
            let (user, password) = login.split_once(':')?;
            self.user = decode(user).map(|user| user.to_string()).filter(|user| !user.is_empty());
            self.password = Some(secret(password)?);
        }
        let (hosts, path) = text.split_once('/').map_or((text, None), |(hosts, path)| (hosts, Some(path)));
        let host = |text: &str| {
            let address = value::address(text, port)?;
            let (host, port) = address.rsplit_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some(RedisHost::Tcp(host.to_owned(), port.parse().ok()?))
        };
        let hosts = hosts.split(',').map(host).collect::<Option<Vec<_>>>()?;
        Some((hosts, path))
    }

    fn parameter(&mut self, key: &str, value: &str) -> Option<()> {
        let is_sentinel = matches!(self.topology, RedisTopology::Sentinel { .. });
        let is_socket = matches!(self.hosts[..], [RedisHost::Unix(_)]);
        let name = |value| decode(value).map(|name| name.to_string());
        match key {
            "db" if is_socket => self.db = database(value)?,
            "user" if is_socket => self.user = Some(name(value)?),
            "pass" if is_socket => self.password = Some(secret(value)?),
            "sentinel_user" if is_sentinel => self.sentinel_user = Some(name(value)?),
            "sentinel_password" if is_sentinel => self.sentinel_password = Some(secret(value)?),
            "wait_replicas" => {
                let replicas =
                    value::number(value.as_bytes()).filter(|replicas| *replicas <= MOST_REPLICAS)?;
                self.wait_replicas = u32::try_from(replicas).ok()?;
            }
            // The former module's library knows it; either protocol serves here.
            "protocol" => {}
            _ => return None,
        }
        Some(())
    }
}

fn database(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(0);
    }
    let number = value::number(text.as_bytes()).filter(|number| *number <= MOST_DATABASES)?;
    u32::try_from(number).ok()
}

fn secret(text: &str) -> Option<Secret<String>> {
    decode(text).map(|text| Secret::new(text.to_string()))
}

/// `%40` → `@`.
fn decode(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            bytes.extend(files::from_hex(digits)?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then(|| Zeroizing::new(text))
}
