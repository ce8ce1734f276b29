//! Backends: what the environment, an `l402_backend` block or a table of `l402d.toml` says of one.
mod bolt12;
mod cln;
mod common;
mod eclair;
mod kind;
mod lnc;
mod lnd;
mod lnurl;
mod nwc;
mod source;

pub use bolt12::*;
pub use cln::*;
pub use common::*;
pub use eclair::*;
pub(crate) use kind::EXPECTED;
pub use kind::{BackendConfig, BackendKind};
pub use lnc::*;
pub use lnd::*;
pub use lnurl::*;
pub use nwc::*;

use crate::pairs::Taking;
use crate::{BACKEND, Complaint, DEFAULT_BACKEND, Env, Read, Setting, value};
use crate::{
    config_file::Table,
    source::{Found, Layers},
};
use source::Source;
use std::collections::HashSet;

/// A backend, ready to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSettings {
    /// What locations call it.
    pub name: String,
    /// The one deadline of a call, in milliseconds.
    pub timeout_ms: u64,
    /// Whether its invoices name private channels, where it is of a kind that can.
    pub route_hints: RouteHints,
    /// How it is reached.
    pub config: BackendConfig,
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
    build(DEFAULT_BACKEND, Source { find: &find, missing: &missing, read, complaints: Vec::new() }).map(Some)
}

/// The backend of a table `[backend.name]`.
pub(crate) fn of_table(
    name: &str,
    table: Table<'_>,
    read: Read<'_>,
) -> Result<BackendSettings, Vec<Complaint>> {
    let (find, missing) =
        (|setting: &Setting| table.find(setting), |setting: &Setting| table.missing(setting));
    build(name, Source { find: &find, missing: &missing, read, complaints: Vec::new() })
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
    let kind = pairs.iter().find(|(key, _)| Some(key.as_ref()) == LN_CLIENT_TYPE.block_key);
    let kind = kind.and_then(|(_, text)| BackendKind::of(text.as_ref()));
    let known = BackendKind::keys(kind);
    let mut seen = HashSet::new();
    for (key, _) in pairs {
        let key = key.as_ref();
        if !known.contains(&key) {
            // Without its value, which could be a secret under a misspelt key.
            let (problem, expected) =
                (BackendKind::unknown_key(kind, key), format!("one of {}", known.join(", ")));
            complaints.push(Complaint::new(block_name(name, key), problem, expected));
        } else if !seen.insert(key) {
            complaints.push(Complaint::new(block_name(name, key), "is written twice", "each key once"));
        }
    }
    let written = |setting: &Setting| block_name(name, setting.block_key.unwrap_or(setting.key));
    let find = |setting: &Setting| {
        let found = pairs.iter().find(|(key, _)| Some(key.as_ref()) == setting.block_key);
        Ok(found.map(|(_, value)| Found::new(written(setting), value.as_ref().to_owned(), None)))
    };
    let missing = |setting: &Setting| setting.missing_as(&written(setting));
    build(name, Source { find: &find, missing: &missing, read, complaints })
}

/// A key of a block as complaints call it.
fn block_name(backend: &str, key: &str) -> String {
    format!("{} of l402_backend {}", key.escape_debug(), backend.escape_debug())
}

fn build(name: &str, mut source: Source<'_>) -> Result<BackendSettings, Vec<Complaint>> {
    let kind = (source.find)(&LN_CLIENT_TYPE).and_then(|found| match found {
        Some(found) => {
            BackendKind::parse(&found.name, &found.text).map_err(|complaint| complaint.at(found.place))
        }
        None => Err((source.missing)(&LN_CLIENT_TYPE)),
    });
    let Some(mut kind) = source.keep(kind) else { return Err(source.complaints) };
    // As the former module has it.
    let phrase = (source.find)(&LNC_PAIRING_PHRASE);
    if kind == BackendKind::Lnd && phrase.is_ok_and(|found| found.is_some_and(|found| !found.text.is_empty()))
    {
        kind = BackendKind::Lnc;
    }
    let config = BackendConfig::build(kind, &mut source);
    let timeout_ms = source.optional(&BACKEND_TIMEOUT, |text| value::timeout(text.as_bytes()));
    let route_hints =
        if kind.has_route_hints() { source.optional(&ROUTE_HINTS, RouteHints::parse) } else { None };
    match config {
        Some(config) if source.complaints.is_empty() => Ok(BackendSettings {
            name: name.to_owned(),
            timeout_ms: timeout_ms.unwrap_or(DEFAULT_BACKEND_TIMEOUT_MS),
            route_hints: route_hints.unwrap_or_default(),
            config,
        }),
        _ => Err(source.complaints),
    }
}

impl BackendSettings {
    /// Into the configuration pipe.
    pub(crate) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        pair(&LN_CLIENT_TYPE, self.config.kind().name().as_bytes());
        self.config.write(pair);
        pair(&BACKEND_TIMEOUT, format!("{}ms", self.timeout_ms).as_bytes());
        pair(&ROUTE_HINTS, self.route_hints.name().as_bytes());
    }

    /// Out of the configuration pipe.
    pub(crate) fn read(name: &str, pairs: &mut Taking<'_, '_>) -> Option<Self> {
        let kind =
            pairs.required(&LN_CLIENT_TYPE, |value| BackendKind::of(std::str::from_utf8(value).ok()?))?;
        let config = BackendConfig::read(kind, pairs);
        let timeout_ms = pairs.required(&BACKEND_TIMEOUT, value::timeout);
        let hints = |value: &[u8]| RouteHints::parse(std::str::from_utf8(value).ok()?);
        // One of an earlier release does not have it.
        let route_hints = pairs.optional(&ROUTE_HINTS, hints).unwrap_or_default();
        Some(Self { name: name.to_owned(), timeout_ms: timeout_ms?, route_hints, config: config? })
    }
}
