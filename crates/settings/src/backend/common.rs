//! The settings that backends of all or several kinds have.
use crate::{Kind, Setting};

/// Default of a backend's `timeout`, in milliseconds.
pub const DEFAULT_BACKEND_TIMEOUT_MS: u64 = 10_000;

/// `LN_CLIENT_TYPE`
pub static LN_CLIENT_TYPE: Setting = Setting {
    key: "type",
    env: Some("LN_CLIENT_TYPE"),
    directive: None,
    block_key: Some("type"),
    kind: Kind::BackendType,
    default: "",
    why: "None: without it the environment defines no backend.",
    doc: "What kind of wallet is paid, in any case of letters: `LND`, `LNC` (an LND through a mailbox), `CLN`, `BOLT12`, \
          `ECLAIR`, `LNURL` (a Lightning address) or `NWC`. `LND` together with `LNC_PAIRING_PHRASE` means `LNC`.",
    example: "LND",
};

/// `SOCKS5_PROXY`
pub static SOCKS5_PROXY: Setting = Setting {
    key: "socks5_proxy",
    env: Some("SOCKS5_PROXY"),
    directive: None,
    block_key: Some("socks5_proxy"),
    kind: Kind::Socks5,
    default: "",
    why: "None: the node is connected to directly.",
    doc: "Connects to the node through a SOCKS5 proxy, such as Tor for an `.onion` address. Names are resolved by \
          the proxy. An empty value counts as unset.",
    example: "socks5://127.0.0.1:9050",
};

/// A backend's `timeout`.
pub static BACKEND_TIMEOUT: Setting = Setting {
    key: "timeout",
    env: None,
    directive: None,
    block_key: Some("timeout"),
    kind: Kind::Timeout,
    default: "10s",
    why: "A node that is well answers in well under a second; over Tor it may take some.",
    doc: "The one deadline of a call to the node, connecting included. Keep it below `l402_agent_timeout`.",
    example: "5s",
};

/// Whether invoices name private channels, which payers find no way over otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RouteHints {
    /// Where the node has no public channel.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl RouteHints {
    /// `auto`, `on` or `off`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Auto, Self::On, Self::Off].into_iter().find(|hints| text.eq_ignore_ascii_case(hints.name()))
    }

    /// How it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// `ROUTE_HINTS`
pub static ROUTE_HINTS: Setting = Setting {
    key: "route_hints",
    env: Some("ROUTE_HINTS"),
    directive: None,
    block_key: Some("route_hints"),
    kind: Kind::RouteHints,
    default: "auto",
    why: "A node with public channels needs none, and a node with private ones only can't be paid without.",
    doc: "For LND, LNC, CLN and Eclair: whether invoices name private channels, so that payers find a way to a node that \
          has no public one. `auto` names them where the node has no public channel. LND lists its channels for that, \
          which takes `offchain:read`; with a macaroon that may not, they are always named, and that is logged once. \
          Eclair has route hints from 0.11.0 on.\n\n\
          A hint tells every payer the id of the channel and of the peer at its other end. Channels with SCID aliases \
          (`option_scid_alias`, LND's `--protocol.option-scid-alias`) tell an alias instead of the funding transaction. \
          Each hint makes an invoice about 80 letters longer; Eclair names three at most, lightningd usually one, LND as \
          many as twice the amount takes.",
    example: "auto",
};
