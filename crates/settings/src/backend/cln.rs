//! Core Lightning, over its Unix socket or over clnrest: its settings.
use super::source::Source;
use crate::pairs::Taking;
use crate::{Complaint, Kind, ROUTE_HINTS, Secret, Setting, files, value};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::{ffi::OsString, path::PathBuf};

/// clnrest's port, in its own examples.
pub const DEFAULT_CLN_REST_PORT: u16 = 3010;

/// How a CLN node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClnSettings {
    /// By lightningd's socket, which grants everything.
    Socket {
        /// The socket.
        path: PathBuf,
    },
    /// By clnrest, with a rune that may be restricted.
    Rest {
        /// `host:port`.
        address: String,
        /// The rune.
        rune: Secret<String>,
        /// The certificate that vouches for clnrest, in PEM form; `None`: the system's authorities do.
        certificate: Option<Vec<u8>>,
    },
}

/// What a block of this kind takes besides what all take.
pub(super) const KEYS: &[&Setting] =
    &[&CLN_RPC_FILE, &CLN_REST_ADDRESS, &CLN_RUNE, &CLN_REST_CERTIFICATE, &ROUTE_HINTS];

impl ClnSettings {
    pub(super) fn build(source: &mut Source<'_>) -> Option<Self> {
        let path = source.optional(&CLN_RPC_FILE, |text| {
            value::absolute_path(text.as_bytes(), MAX_SOCKET_PATH).map(PathBuf::from)
        });
        let (socket, rest) = (source.found(&CLN_RPC_FILE), source.found(&CLN_REST_ADDRESS));
        match (socket, rest) {
            (Some(socket), Some(rest)) => {
                let problem = format!("is set together with {}", socket.name);
                let expected = "one of them: the socket, or clnrest and its rune";
                source.keep::<()>(Err(Complaint::new(rest.name, problem, expected).at(rest.place)));
                None
            }
            (Some(_), None) => Some(Self::Socket { path: path? }),
            (None, Some(_)) => {
                let parse = |text: &str| value::address(text, DEFAULT_CLN_REST_PORT);
                let address = source.required(&CLN_REST_ADDRESS, parse);
                let rune = source.content(&CLN_RUNE, files::rune);
                let certificate = source.optional_content(&CLN_REST_CERTIFICATE, files::certificate);
                let rune = String::from_utf8(rune?).ok()?;
                Some(Self::Rest { address: address?, rune: Secret::new(rune), certificate })
            }
            (None, None) => {
                let missing = (source.missing)(&CLN_RPC_FILE);
                let expected = format!("{}, or clnrest's address and a rune", missing.expected);
                source.keep::<()>(Err(Complaint { expected, ..missing }));
                None
            }
        }
    }

    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        match self {
            Self::Socket { path } => pair(&CLN_RPC_FILE, path.as_os_str().as_bytes()),
            Self::Rest { address, rune, certificate } => {
                pair(&CLN_REST_ADDRESS, address.as_bytes());
                pair(&CLN_RUNE, rune.expose().as_bytes());
                if let Some(certificate) = certificate {
                    pair(&CLN_REST_CERTIFICATE, files::to_hex(certificate).as_bytes());
                }
            }
        }
    }

    pub(super) fn read(pairs: &mut Taking<'_, '_>) -> Option<Self> {
        let path = |value: &[u8]| Some(PathBuf::from(OsString::from_vec(value.to_vec())));
        if let Some(path) = pairs.optional(&CLN_RPC_FILE, path) {
            return Some(Self::Socket { path });
        }
        let address = pairs.required(&CLN_REST_ADDRESS, value::utf8);
        let rune = pairs.required(&CLN_RUNE, |value| value::utf8(value).map(Secret::new));
        let certificate = pairs.optional(&CLN_REST_CERTIFICATE, files::from_hex);
        Some(Self::Rest { address: address?, rune: rune?, certificate })
    }
}

/// The longest path that a socket's address can hold, bytes.
const MAX_SOCKET_PATH: usize = 107;

/// `CLN_LIGHTNING_RPC_FILE_PATH`
pub static CLN_RPC_FILE: Setting = Setting {
    key: "cln.rpc_file",
    env: Some("CLN_LIGHTNING_RPC_FILE_PATH"),
    directive: None,
    block_key: Some("rpc_file"),
    kind: Kind::RpcFile,
    default: "",
    why: "None: this or `CLN_REST_ADDRESS` is needed.",
    doc: "lightningd's socket, `lightning-rpc` in the directory of its network. l402d's user must be able to write to \
          it (lightningd's `rpc-file-mode`). Who can, may do everything with the node: clnrest with a restricted rune \
          can do less ([how](../guides/cln.md)).",
    example: "/home/cln/.lightning/bitcoin/lightning-rpc",
};

/// `CLN_REST_ADDRESS`
pub static CLN_REST_ADDRESS: Setting = Setting {
    key: "cln.address",
    env: Some("CLN_REST_ADDRESS"),
    directive: None,
    block_key: Some("address"),
    kind: Kind::ClnAddress,
    default: "",
    why: "None: this or `CLN_LIGHTNING_RPC_FILE_PATH` is needed.",
    doc: "The address of clnrest, the plugin that offers lightningd's calls by HTTPS. The port is 3010 if none is \
          written; IPv6 goes in brackets; a prefix `https://` is tolerated. It needs a rune.",
    example: "127.0.0.1:3010",
};

/// `CLN_RUNE`
pub static CLN_RUNE: Setting = Setting {
    key: "cln.rune",
    env: Some("CLN_RUNE"),
    directive: None,
    block_key: Some("rune"),
    kind: Kind::Rune,
    default: "",
    why: "None: it is required with `CLN_REST_ADDRESS`.",
    doc: "The rune that clnrest lets l402d in with, or the path of a file that holds it. One restricted to `invoice`, \
          `listinvoices`, `waitanyinvoice` and `getinfo` is all that selling needs ([how](../guides/cln.md)).",
    example: "/etc/l402/cln.rune",
};

/// The certificate of clnrest.
pub static CLN_REST_CERTIFICATE: Setting = Setting {
    key: "cln.cert",
    env: Some("CLN_REST_CERT_FILE_PATH"),
    directive: None,
    block_key: Some("cert"),
    kind: Kind::ClnCertificateFile,
    default: "",
    why: "The system's certificate authorities, for a clnrest behind a certificate of one of them.",
    doc: "The certificate that signs clnrest's own: `ca.pem` in lightningd's directory, in PEM form. clnrest's \
          certificate must name the address that it is reached by: `localhost`, `cln` or its `clnrest-host`.",
    example: "/etc/l402/cln-ca.pem",
};
