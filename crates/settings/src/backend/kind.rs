//! The one list of kinds of backends. A kind is a file beside this one, with its records, its typed settings and its
//! part of the configuration pipe, and a line in each of the lists here.
use super::{
    bolt12::{self, Bolt12Settings},
    cln::{self, ClnSettings},
    eclair::{self, EclairSettings},
    lnc::{self, LncSettings},
    lnd::{self, LndSettings},
    lnurl::{self, LnurlSettings},
    nwc::{self, NwcSettings},
    source::Source,
};
use crate::pairs::Taking;
use crate::{BACKEND_TIMEOUT, Complaint, LN_CLIENT_TYPE, Setting};

/// A type of backend that this version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendKind {
    /// LND over gRPC.
    Lnd,
    /// LND through a mailbox, by Lightning Node Connect.
    Lnc,
    /// Core Lightning, over its socket or clnrest.
    Cln,
    /// A BOLT12 offer of a Core Lightning node.
    Bolt12,
    /// Eclair over its HTTP interface.
    Eclair,
    /// A Lightning address, over LNURL-pay.
    Lnurl,
    /// Nostr Wallet Connect (NIP-47).
    Nwc,
}

/// The settings of one type of backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendConfig {
    /// LND over gRPC.
    Lnd(LndSettings),
    /// LND through a mailbox, by Lightning Node Connect.
    Lnc(LncSettings),
    /// Core Lightning, over its socket or clnrest.
    Cln(ClnSettings),
    /// A BOLT12 offer of a Core Lightning node.
    Bolt12(Bolt12Settings),
    /// Eclair over its HTTP interface.
    Eclair(EclairSettings),
    /// A Lightning address, over LNURL-pay.
    Lnurl(LnurlSettings),
    /// Nostr Wallet Connect (NIP-47).
    Nwc(NwcSettings),
}

/// What an operator should write as a type; names all of [`BackendKind::ALL`].
pub(crate) const EXPECTED: &str = "LND, LNC, CLN, BOLT12, ECLAIR, LNURL or NWC";

impl BackendKind {
    /// Every kind, in the order of the reference.
    pub const ALL: &[Self] =
        &[Self::Lnd, Self::Lnc, Self::Cln, Self::Bolt12, Self::Eclair, Self::Lnurl, Self::Nwc];

    /// Its name, as in `LN_CLIENT_TYPE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lnd => "LND",
            Self::Lnc => "LNC",
            Self::Cln => "CLN",
            Self::Bolt12 => "BOLT12",
            Self::Eclair => "ECLAIR",
            Self::Lnurl => "LNURL",
            Self::Nwc => "NWC",
        }
    }

    /// What it takes besides its type and the time-out.
    pub const fn settings(self) -> &'static [&'static Setting] {
        match self {
            Self::Lnd => lnd::KEYS,
            Self::Lnc => lnc::KEYS,
            Self::Cln => cln::KEYS,
            Self::Bolt12 => bolt12::KEYS,
            Self::Eclair => eclair::KEYS,
            Self::Lnurl => lnurl::KEYS,
            Self::Nwc => nwc::KEYS,
        }
    }

    /// Whether its invoices can name private channels.
    pub(crate) const fn has_route_hints(self) -> bool {
        match self {
            Self::Lnd | Self::Lnc | Self::Cln | Self::Eclair => true,
            Self::Bolt12 | Self::Lnurl | Self::Nwc => false,
        }
    }

    /// `lnd` → [`BackendKind::Lnd`].
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| text.eq_ignore_ascii_case(kind.name()))
    }

    /// As [`BackendKind::of`]; `name` is where it was written.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Complaint> {
        if let Some(kind) = Self::of(text) {
            return Ok(kind);
        }
        Err(LN_CLIENT_TYPE.invalid_as(name, text.as_bytes()))
    }

    /// The keys that a block or table of this kind may hold; of `None`, that one of any kind may hold.
    pub(crate) fn keys(kind: Option<Self>) -> Vec<&'static str> {
        let kinds = Self::ALL.iter().filter(|known| kind.is_none_or(|kind| kind == **known));
        let settings = kinds.flat_map(|kind| kind.settings());
        let mut keys = Vec::new();
        for setting in [&&LN_CLIENT_TYPE].into_iter().chain(settings).chain([&&BACKEND_TIMEOUT]) {
            keys.extend(setting.block_key.filter(|key| !keys.contains(key)));
        }
        keys
    }

    /// What is wrong with a key that [`BackendKind::keys`] does not hold.
    pub(crate) fn unknown_key(kind: Option<Self>, key: &str) -> String {
        match kind {
            Some(kind) if Self::keys(None).contains(&key) => format!("is no key of type {}", kind.name()),
            _ => "is not known".to_owned(),
        }
    }
}

impl BackendConfig {
    /// Which kind it is.
    pub const fn kind(&self) -> BackendKind {
        match self {
            Self::Lnd(_) => BackendKind::Lnd,
            Self::Lnc(_) => BackendKind::Lnc,
            Self::Cln(_) => BackendKind::Cln,
            Self::Bolt12(_) => BackendKind::Bolt12,
            Self::Eclair(_) => BackendKind::Eclair,
            Self::Lnurl(_) => BackendKind::Lnurl,
            Self::Nwc(_) => BackendKind::Nwc,
        }
    }

    /// From what an operator wrote; what is wrong is left with the source.
    pub(super) fn build(kind: BackendKind, source: &mut Source<'_>) -> Option<Self> {
        match kind {
            BackendKind::Lnd => LndSettings::build(source).map(Self::Lnd),
            BackendKind::Lnc => LncSettings::build(source).map(Self::Lnc),
            BackendKind::Cln => ClnSettings::build(source).map(Self::Cln),
            BackendKind::Bolt12 => Bolt12Settings::build(source).map(Self::Bolt12),
            BackendKind::Eclair => EclairSettings::build(source).map(Self::Eclair),
            BackendKind::Lnurl => LnurlSettings::build(source).map(Self::Lnurl),
            BackendKind::Nwc => NwcSettings::build(source).map(Self::Nwc),
        }
    }

    /// Into the configuration pipe.
    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        match self {
            Self::Lnd(lnd) => lnd.write(pair),
            Self::Lnc(lnc) => lnc.write(pair),
            Self::Cln(cln) => cln.write(pair),
            Self::Bolt12(bolt12) => bolt12.write(pair),
            Self::Eclair(eclair) => eclair.write(pair),
            Self::Lnurl(lnurl) => lnurl.write(pair),
            Self::Nwc(nwc) => nwc.write(pair),
        }
    }

    /// Out of the configuration pipe.
    pub(super) fn read(kind: BackendKind, pairs: &mut Taking<'_, '_>) -> Option<Self> {
        match kind {
            BackendKind::Lnd => LndSettings::read(pairs).map(Self::Lnd),
            BackendKind::Lnc => LncSettings::read(pairs).map(Self::Lnc),
            BackendKind::Cln => ClnSettings::read(pairs).map(Self::Cln),
            BackendKind::Bolt12 => Bolt12Settings::read(pairs).map(Self::Bolt12),
            BackendKind::Eclair => EclairSettings::read(pairs).map(Self::Eclair),
            BackendKind::Lnurl => LnurlSettings::read(pairs).map(Self::Lnurl),
            BackendKind::Nwc => NwcSettings::read(pairs).map(Self::Nwc),
        }
    }
}
