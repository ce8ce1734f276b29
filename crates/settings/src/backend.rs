//! Backends: what the environment or an `l402_backend` block says of one.
use crate::{
    BACKEND, BACKEND_TIMEOUT, CERTIFICATE, Complaint, DEFAULT_BACKEND, DEFAULT_BACKEND_TIMEOUT_MS,
    DEFAULT_LND_PORT, Env, LN_CLIENT_TYPE, LND_ADDRESS, MACAROON, Read, SETTINGS, SOCKS5_PROXY, Secret,
    Setting, files, value,
};
use crate::{
    config_file::Table,
    source::{Found, Layers},
};
use std::collections::HashSet;

/// A type of backend that this version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendKind {
    /// LND over gRPC.
    Lnd,
}

/// Types that the former module had and this version has not.
const LATER: [&str; 6] = ["LNC", "CLN", "ECLAIR", "LNURL", "NWC", "BOLT12"];

/// A backend, ready to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSettings {
    /// What locations call it.
    pub name: String,
    /// How it is reached.
    pub config: BackendConfig,
}

/// The settings of one type of backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendConfig {
    /// LND over gRPC.
    Lnd(LndSettings),
}

/// How an LND node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LndSettings {
    /// `host:port`.
    pub address: String,
    /// The macaroon in binary.
    pub macaroon: Secret<Vec<u8>>,
    /// The node's certificate in PEM form.
    pub certificate: Vec<u8>,
    /// `host:port` of a SOCKS5 proxy.
    pub socks5_proxy: Option<String>,
    /// The one deadline of a call, in milliseconds.
    pub timeout_ms: u64,
}

/// The backend called `default`, from the environment; `None` where `LN_CLIENT_TYPE` is not set.
///
/// # Errors
/// All that is wrong with it.
pub fn default_backend(env: Env<'_>, read: Read<'_>) -> Result<Option<BackendSettings>, Vec<Complaint>> {
    default_of(Layers { env, file: None }, None, read)
}

/// The backend called `default`, from the environment and the table of that name: a variable wins over the
/// table's key.
pub(crate) fn default_of(
    layers: Layers<'_>,
    table: Option<Table<'_>>,
    read: Read<'_>,
) -> Result<Option<BackendSettings>, Vec<Complaint>> {
    if layers.in_env(&LN_CLIENT_TYPE).is_none() && table.is_none() {
        return Ok(None);
    }
    let find = |setting: &Setting| match (layers.in_env(setting), &table) {
        (Some(found), _) => Ok(Some(found)),
        (None, Some(table)) => table.find(setting),
        (None, None) => Ok(None),
    };
    let missing = |setting: &Setting| match &table {
        Some(table) => table.missing(setting),
        None => setting.missing(),
    };
    if (layers.env)("LNC_PAIRING_PHRASE").is_some_and(|phrase| !phrase.is_empty()) {
        let found = find(&LN_CLIENT_TYPE).ok().flatten();
        if found.is_some_and(|kind| kind.text.eq_ignore_ascii_case("LND")) {
            return Err(vec![Complaint::new(
                "LNC_PAIRING_PHRASE",
                "is set, so LN_CLIENT_TYPE LND means LNC, which is known but not in this version",
                "it to be unset, and LND_ADDRESS, MACAROON_FILE_PATH and CERT_FILE_PATH instead",
            )]);
        }
    }
    build(DEFAULT_BACKEND, &Source { find: &find, missing: &missing }, read).map(Some)
}

/// The backend of a table `[backend.name]`.
pub(crate) fn of_table(
    name: &str,
    table: Table<'_>,
    read: Read<'_>,
) -> Result<BackendSettings, Vec<Complaint>> {
    let source = Source { find: &|setting| table.find(setting), missing: &|setting| table.missing(setting) };
    build(name, &source, read)
}

/// The backend of an `l402_backend name { … }` block.
///
/// # Errors
/// All that is wrong with it, unknown and repeated keys included.
pub fn named_backend<K: AsRef<str>, V: AsRef<str>>(
    name: &str,
    pairs: &[(K, V)],
    read: Read<'_>,
) -> Result<BackendSettings, Vec<Complaint>> {
    let mut complaints = Vec::new();
    if let Err(complaint) = BACKEND.backend_name(name.as_bytes()) {
        complaints.push(complaint);
    }
    let mut seen = HashSet::new();
    for (key, value) in pairs {
        let (key, value) = (key.as_ref(), value.as_ref());
        let written = block_name(name, key);
        if !SETTINGS.iter().any(|setting| setting.block_key == Some(key)) {
            let known: Vec<_> = SETTINGS.iter().filter_map(|setting| setting.block_key).collect();
            let expected = format!("one of {}", known.join(", "));
            complaints.push(Complaint::new(written, "is not known", expected).with_value(value.as_bytes()));
        } else if !seen.insert(key) {
            complaints.push(Complaint::new(written, "is written twice", "each key once"));
        }
    }
    let written = |setting: &Setting| block_name(name, setting.block_key.unwrap_or(setting.key));
    let find = |setting: &Setting| {
        let found = pairs.iter().find(|(key, _)| Some(key.as_ref()) == setting.block_key);
        Ok(found.map(|(_, value)| Found::new(written(setting), value.as_ref().to_owned(), None)))
    };
    let missing = |setting: &Setting| setting.missing_as(&written(setting));
    match build(name, &Source { find: &find, missing: &missing }, read) {
        Ok(backend) if complaints.is_empty() => return Ok(backend),
        Ok(_) => {}
        Err(more) => complaints.extend(more),
    }
    Err(complaints)
}

/// A key of a block as complaints call it.
fn block_name(backend: &str, key: &str) -> String {
    format!("{} of l402_backend {}", key.escape_debug(), backend.escape_debug())
}

/// `LND` → [`BackendKind::Lnd`]; `name` is where it was written.
pub(crate) fn parse_kind(name: &str, text: &str) -> Result<BackendKind, Complaint> {
    if text.eq_ignore_ascii_case("LND") {
        return Ok(BackendKind::Lnd);
    }
    if LATER.iter().any(|later| text.eq_ignore_ascii_case(later)) {
        let problem = "is a known type, but not in this version";
        return Err(Complaint::new(name, problem, LN_CLIENT_TYPE.kind.expected()).with_value(text.as_bytes()));
    }
    Err(LN_CLIENT_TYPE.invalid_as(name, text.as_bytes()))
}

/// Where a backend's settings are written, and under which names.
struct Source<'a> {
    find: &'a dyn Fn(&Setting) -> Result<Option<Found>, Complaint>,
    missing: &'a dyn Fn(&Setting) -> Complaint,
}

impl Source<'_> {
    /// A setting that must be there.
    fn required(&self, setting: &Setting) -> Result<Found, Complaint> {
        let found = (self.find)(setting)?.filter(|found| !found.text.is_empty());
        found.ok_or_else(|| (self.missing)(setting))
    }

    /// A setting that need not be there; an empty one counts as absent.
    fn optional<T>(&self, setting: &Setting, parse: fn(&str) -> Option<T>) -> Result<Option<T>, Complaint> {
        let found = (self.find)(setting)?.filter(|found| !found.text.is_empty());
        found.map(|found| found.parse(setting, parse)).transpose()
    }
}

fn build(name: &str, source: &Source<'_>, read: Read<'_>) -> Result<BackendSettings, Vec<Complaint>> {
    let kind = (source.find)(&LN_CLIENT_TYPE).and_then(|found| match found {
        Some(found) => parse_kind(&found.name, &found.text).map_err(|complaint| complaint.at(found.place)),
        None => Err((source.missing)(&LN_CLIENT_TYPE)),
    });
    let config = match kind.map_err(|complaint| vec![complaint])? {
        BackendKind::Lnd => BackendConfig::Lnd(build_lnd(source, read)?),
    };
    Ok(BackendSettings { name: name.to_owned(), config })
}

fn build_lnd(source: &Source<'_>, read: Read<'_>) -> Result<LndSettings, Vec<Complaint>> {
    let address = source
        .required(&LND_ADDRESS)
        .and_then(|found| found.parse(&LND_ADDRESS, |text| value::address(text, DEFAULT_LND_PORT)));
    let content = |setting, check: Check| {
        let found = source.required(setting)?;
        check(setting, &found, read).map_err(|complaint| complaint.at(found.place))
    };
    let macaroon = content(&MACAROON, files::macaroon);
    let certificate = content(&CERTIFICATE, files::certificate);
    let socks5_proxy = source.optional(&SOCKS5_PROXY, value::socks5);
    let timeout_ms = source.optional(&BACKEND_TIMEOUT, |text| value::timeout(text.as_bytes()));
    match (address, macaroon, certificate, socks5_proxy, timeout_ms) {
        (Ok(address), Ok(macaroon), Ok(certificate), Ok(socks5_proxy), Ok(timeout_ms)) => Ok(LndSettings {
            address,
            macaroon: Secret::new(macaroon),
            certificate,
            socks5_proxy,
            timeout_ms: timeout_ms.unwrap_or(DEFAULT_BACKEND_TIMEOUT_MS),
        }),
        (address, macaroon, certificate, socks5_proxy, timeout_ms) => {
            Err([address.err(), macaroon.err(), certificate.err(), socks5_proxy.err(), timeout_ms.err()]
                .into_iter()
                .flatten()
                .collect())
        }
    }
}

/// Reads a file that a setting names and checks what it holds.
type Check = fn(&Setting, &Found, Read<'_>) -> Result<Vec<u8>, Complaint>;
