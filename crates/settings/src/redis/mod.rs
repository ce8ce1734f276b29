//! `REDIS_URL` and what belongs to it: where several hosts keep what was claimed.
mod url;

use crate::pairs::{Taken, Writer};
use crate::source::{Found, Layers};
use crate::{Complaint, Kind, ROOT_KEY, Read, RootKeys, Secret, Setting, files, value};

pub use url::{RedisHost, RedisTopology, RedisUrl};

/// Default of `REDIS_POOL_SIZE`.
pub const DEFAULT_REDIS_POOL_SIZE: u32 = 4;
/// The most connections that are taken for no mistake.
const MOST_CONNECTIONS: u64 = 256;

/// How Redis is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// As it was written.
    pub url: Secret<String>,
    /// The authorities that vouch for its servers, in PEM form; `None`: those of the system.
    pub ca: Option<Vec<u8>>,
    /// How many connections are kept.
    pub pool_size: u32,
    /// How long settlements are kept, in seconds; 0: for ever.
    pub preimage_ttl_s: u64,
}

impl RedisSettings {
    /// What the URL says.
    ///
    /// # Errors
    /// It was not made by this crate, and is no URL of Redis.
    pub fn parsed(&self) -> Result<RedisUrl, Complaint> {
        url::parse(self.url.expose()).ok_or_else(|| REDIS_URL.invalid(b""))
    }

    pub(crate) fn write(&self, text: &mut Writer) {
        text.pair(REDIS_URL.key, self.url.expose().as_bytes());
        if let Some(ca) = &self.ca {
            text.pair(REDIS_CA_FILE.key, files::to_hex(ca).as_bytes());
        }
        text.pair(REDIS_POOL_SIZE.key, self.pool_size.to_string().as_bytes());
        text.pair(PREIMAGE_TTL.key, self.preimage_ttl_s.to_string().as_bytes());
    }

    /// Reads what [`RedisSettings::write`] wrote.
    pub(crate) fn read(taken: &mut Taken<'_>) -> Option<Self> {
        let known = |text: &[u8]| value::utf8(text).filter(|text| url::parse(text).is_some());
        let url = taken.optional(REDIS_URL.key, known)?;
        let ca = taken.optional(REDIS_CA_FILE.key, files::from_hex);
        let pool_size = taken.required(REDIS_POOL_SIZE.key, pool_size);
        let preimage_ttl_s = taken.required(PREIMAGE_TTL.key, ttl);
        Some(Self { url: Secret::new(url), ca, pool_size: pool_size?, preimage_ttl_s: preimage_ttl_s? })
    }
}

/// Redis, where `REDIS_URL` is set. The hosts that share it must share the root keys too.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn of_layers(
    layers: Layers<'_>,
    read: Read<'_>,
    root_keys: Option<&RootKeys>,
) -> Result<Option<RedisSettings>, Vec<Complaint>> {
    let mut complaints = Vec::new();
    let mut keep = |complaint| complaints.push(complaint);
    let find =
        |setting: &Setting| layers.find(setting).map(|found| found.filter(|found| !found.text.is_empty()));
    let pool_size = find(&REDIS_POOL_SIZE).and_then(|found| number(&REDIS_POOL_SIZE, found, pool_size));
    let ttl = find(&PREIMAGE_TTL).and_then(|found| number(&PREIMAGE_TTL, found, ttl));
    let ca = find(&REDIS_CA_FILE).and_then(|found| {
        let of = |found: Found| {
            files::certificate(&REDIS_CA_FILE, &found, read).map_err(|complaint| complaint.at(found.place))
        };
        found.map(of).transpose()
    });
    let url = find(&REDIS_URL).and_then(|found| match found {
        None => Ok(None),
        Some(found) if url::parse(&found.text).is_none() => Err(found.invalid(&REDIS_URL)),
        Some(found) => Ok(Some(found)),
    });
    let pool_size = pool_size.map_err(&mut keep).ok().flatten();
    let preimage_ttl_s = ttl.map_err(&mut keep).ok().flatten();
    let ca = ca.map_err(&mut keep).ok().flatten();
    let url = url.map_err(&mut keep).ok().flatten();
    if let Some(url) = &url
        && root_keys.is_some_and(|root_keys| root_keys.keys.is_empty())
    {
        let problem = format!("is missing, and with {} all hosts must share one", url.name);
        let expected = format!("{}; or ROOT_KEY_FILE", ROOT_KEY.kind.expected());
        complaints.push(Complaint::new("ROOT_KEY", problem, expected).at(url.place.clone()));
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    Ok(url.map(|url| RedisSettings {
        url: Secret::new(url.text.to_string()),
        ca,
        pool_size: pool_size.unwrap_or(DEFAULT_REDIS_POOL_SIZE),
        preimage_ttl_s: preimage_ttl_s.unwrap_or(0),
    }))
}

fn number<T>(
    setting: &Setting,
    found: Option<Found>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<Option<T>, Complaint> {
    found.map(|found| found.parse(setting, |text| parse(text.as_bytes()))).transpose()
}

/// A number of connections.
fn pool_size(text: &[u8]) -> Option<u32> {
    let size = value::number(text).filter(|size| (1..=MOST_CONNECTIONS).contains(size))?;
    u32::try_from(size).ok()
}

/// A number of seconds, at most a token's longest life.
fn ttl(text: &[u8]) -> Option<u64> {
    value::number(text).filter(|seconds| *seconds <= value::MAX_LIFE_S)
}

/// `REDIS_URL`
pub static REDIS_URL: Setting = Setting {
    key: "redis_url",
    env: Some("REDIS_URL"),
    directive: None,
    block_key: None,
    kind: Kind::RedisUrl,
    default: "",
    why: "None: what was claimed is kept in the state directory, for this host alone.",
    doc: "Keeps what was claimed and what is settled in Redis or Valkey, so that any number of hosts share it \
          ([how](../guides/redis.md)). They must also share the root key: `ROOT_KEY` or `ROOT_KEY_FILE` is required.\n\n\
          * `redis://user:password@host:6379/0`, `rediss://…` with TLS, `redis+unix:///path?db=0&user=…&pass=…`\n\
          * `redis+sentinel://user:password@host,host:26379/master/0?sentinel_user=…&sentinel_password=…`: asks these \
          Sentinels for the master; `rediss+sentinel://…` with TLS\n\
          * `redis+cluster://user:password@host,host:6379`: a Cluster, by some of its nodes; `rediss+cluster://…` with TLS\n\n\
          `?wait_replicas=1` grants a claim only when so many replicas know of it, which a failover needs to forget none. \
          Special characters in names and passwords are written as `%` and two hexadecimal digits.",
    example: "redis://l402:hunter2@10.0.0.7:6379/0",
};

/// `REDIS_CA_FILE`
pub static REDIS_CA_FILE: Setting = Setting {
    key: "redis_ca_file",
    env: Some("REDIS_CA_FILE"),
    directive: None,
    block_key: None,
    kind: Kind::CertificateFile,
    default: "",
    why: "The authorities that this host trusts.",
    doc: "The certificate, in PEM form, of the authority that vouches for a Redis that is reached by TLS, or Redis' own \
          where it is signed by nobody else.",
    example: "/etc/l402/redis-ca.pem",
};

/// `REDIS_POOL_SIZE`
pub static REDIS_POOL_SIZE: Setting = Setting {
    key: "redis_pool_size",
    env: Some("REDIS_POOL_SIZE"),
    directive: None,
    block_key: None,
    kind: Kind::PoolSize,
    default: "4",
    why: "A connection carries any number of claims at once; several keep one slow answer from holding up all.",
    doc: "How many connections l402d keeps to Redis. Each carries any number of calls at once; further ones help while one of \
          them hangs or is being made anew.",
    example: "8",
};

/// `L402_PREIMAGE_TTL_SECONDS`
pub static PREIMAGE_TTL: Setting = Setting {
    key: "preimage_ttl",
    env: Some("L402_PREIMAGE_TTL_SECONDS"),
    directive: None,
    block_key: None,
    kind: Kind::Seconds,
    default: "0",
    why: "For ever: what is known to be settled need not be asked of the node again.",
    doc: "How long Redis keeps that a payment is settled (`l402:settled:…`), in seconds; after that the node is asked \
          again. It never concerns what was spent: that is kept for ever whatever is written here, because a mark must \
          not die before its token. `0` means for ever.",
    example: "2592000",
};
