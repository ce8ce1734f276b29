//! Eclair over its HTTP interface: its settings.
use super::source::Source;
use crate::pairs::Taking;
use crate::{Kind, ROUTE_HINTS, Secret, Setting, value};

/// The port of Eclair's HTTP interface.
pub const DEFAULT_ECLAIR_PORT: u16 = 8080;

/// How an Eclair node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EclairSettings {
    /// `http://host:port` or `https://host:port`.
    pub address: String,
    /// The password of its interface.
    pub password: Secret<String>,
}

/// What a block of this kind takes besides what all take.
pub(super) const KEYS: &[&Setting] = &[&ECLAIR_ADDRESS, &ECLAIR_PASSWORD, &ROUTE_HINTS];

impl EclairSettings {
    pub(super) fn build(source: &mut Source<'_>) -> Option<Self> {
        let address = source.required(&ECLAIR_ADDRESS, |text| value::http_address(text, DEFAULT_ECLAIR_PORT));
        let password = source.required(&ECLAIR_PASSWORD, |text| Some(Secret::new(text.to_owned())));
        Some(Self { address: address?, password: password? })
    }

    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        pair(&ECLAIR_ADDRESS, self.address.as_bytes());
        pair(&ECLAIR_PASSWORD, self.password.expose().as_bytes());
    }

    pub(super) fn read(pairs: &mut Taking<'_, '_>) -> Option<Self> {
        let address = pairs.required(&ECLAIR_ADDRESS, value::utf8);
        let password = pairs.required(&ECLAIR_PASSWORD, |value| value::utf8(value).map(Secret::new));
        Some(Self { address: address?, password: password? })
    }
}

/// `ECLAIR_ADDRESS`
pub static ECLAIR_ADDRESS: Setting = Setting {
    key: "eclair.address",
    env: Some("ECLAIR_ADDRESS"),
    directive: None,
    block_key: Some("address"),
    kind: Kind::HttpAddress,
    default: "",
    why: "None: it is required.",
    doc: "The address of Eclair's HTTP interface (`eclair.api.binding-ip` and `eclair.api.port`). Without `https://` in \
          front it is http, which is all that Eclair speaks: the password crosses the network in the clear then, so \
          the node should be on this host, or behind a TLS proxy or a tunnel. The port is 8080 if none is written.",
    example: "http://127.0.0.1:8080",
};

/// `ECLAIR_PASSWORD`
pub static ECLAIR_PASSWORD: Setting = Setting {
    key: "eclair.password",
    env: Some("ECLAIR_PASSWORD"),
    directive: None,
    block_key: Some("password"),
    kind: Kind::Password,
    default: "",
    why: "None: it is required.",
    doc: "The password of Eclair's HTTP interface (`eclair.api.password`). Eclair has one password and it permits \
          everything, payments too ([what helps](../guides/eclair.md)).",
    example: "a-long-random-password",
};
