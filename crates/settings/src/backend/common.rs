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
