//! LND over gRPC: its settings.
use super::source::Source;
use crate::pairs::Taking;
use crate::{Kind, ROUTE_HINTS, SOCKS5_PROXY, Secret, Setting, files, value};
use zeroize::Zeroizing;

/// LND's gRPC port.
pub const DEFAULT_LND_PORT: u16 = 10_009;

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
}

/// What a block of this kind takes besides what all take.
pub(super) const KEYS: &[&Setting] = &[&LND_ADDRESS, &MACAROON, &CERTIFICATE, &SOCKS5_PROXY, &ROUTE_HINTS];

impl LndSettings {
    pub(super) fn build(source: &mut Source<'_>) -> Option<Self> {
        let address = source.required(&LND_ADDRESS, |text| value::address(text, DEFAULT_LND_PORT));
        let macaroon = source.content(&MACAROON, files::macaroon);
        let certificate = source.content(&CERTIFICATE, files::certificate);
        let socks5_proxy = source.optional(&SOCKS5_PROXY, value::socks5);
        let (address, macaroon, certificate) = (address?, Secret::new(macaroon?), certificate?);
        Some(Self { address, macaroon, certificate, socks5_proxy })
    }

    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        pair(&LND_ADDRESS, self.address.as_bytes());
        pair(&MACAROON, Zeroizing::new(files::to_hex(self.macaroon.expose())).as_bytes());
        pair(&CERTIFICATE, files::to_hex(&self.certificate).as_bytes());
        if let Some(proxy) = &self.socks5_proxy {
            pair(&SOCKS5_PROXY, proxy.as_bytes());
        }
    }

    pub(super) fn read(pairs: &mut Taking<'_, '_>) -> Option<Self> {
        let address = pairs.required(&LND_ADDRESS, value::utf8);
        let macaroon = pairs.required(&MACAROON, |value| files::from_hex(value).map(Secret::new));
        let certificate = pairs.required(&CERTIFICATE, files::from_hex);
        let socks5_proxy = pairs.optional(&SOCKS5_PROXY, value::utf8);
        Some(Self { address: address?, macaroon: macaroon?, certificate: certificate?, socks5_proxy })
    }
}

/// `LND_ADDRESS`
pub static LND_ADDRESS: Setting = Setting {
    key: "lnd.address",
    env: Some("LND_ADDRESS"),
    directive: None,
    block_key: Some("address"),
    kind: Kind::Address,
    default: "",
    why: "None: it is required.",
    doc: "LND's gRPC address. The port is 10009 if none is written; IPv6 goes in brackets; a prefix `https://` is \
          tolerated.",
    example: "10.0.0.5:10009",
};

/// `MACAROON_FILE_PATH`
pub static MACAROON: Setting = Setting {
    key: "lnd.macaroon",
    env: Some("MACAROON_FILE_PATH"),
    directive: None,
    block_key: Some("macaroon"),
    kind: Kind::MacaroonFile,
    default: "",
    why: "None: it is required.",
    doc: "A macaroon of the node, binary or in hex. It is read by the user that starts nginx, before the workers \
          give up their rights. `invoice.macaroon` is all that selling needs; `admin.macaroon` works too but \
          could spend.",
    example: "/etc/l402/invoice.macaroon",
};

/// `CERT_FILE_PATH`
pub static CERTIFICATE: Setting = Setting {
    key: "lnd.cert",
    env: Some("CERT_FILE_PATH"),
    directive: None,
    block_key: Some("cert"),
    kind: Kind::CertificateFile,
    default: "",
    why: "None: it is required. LND signs its own certificate, so nothing else can vouch for the node.",
    doc: "The node's certificate (LND's `tls.cert`), in PEM form. Only a node that presents it, or one that it \
          signed, is trusted.",
    example: "/etc/l402/tls.cert",
};
