//! A Lightning address, over LNURL-pay: its settings.
use super::source::Source;
use crate::pairs::Taking;
use crate::source::Found;
use crate::{
    BackendConfig, BackendSettings, Complaint, DEFAULT_BACKEND_TIMEOUT_MS, Env, Kind, LNURL_ADDR, RouteHints,
    SOCKS5_PROXY, Setting, value,
};
use std::{io, path::Path};

/// How a Lightning address is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LnurlSettings {
    /// `user@host[:port]`, with `http://` in front where the operator wrote it.
    pub address: String,
    /// `host:port` of a SOCKS5 proxy.
    pub socks5_proxy: Option<String>,
}

/// What a block of this kind takes besides what all take.
pub(super) const KEYS: &[&Setting] = &[&LNURL_ADDRESS, &SOCKS5_PROXY];

impl LnurlSettings {
    pub(super) fn build(source: &mut Source<'_>) -> Option<Self> {
        let address = source.required(&LNURL_ADDRESS, value::lightning_address);
        let socks5_proxy = source.optional(&SOCKS5_PROXY, value::socks5);
        let address = address?;
        if value::is_onion(&address) && socks5_proxy.is_none() {
            let complaint = Complaint::new(
                SOCKS5_PROXY.name(),
                "is missing, and an .onion address is reached through Tor only",
                "the address of Tor's proxy, such as 127.0.0.1:9050",
            );
            source.keep::<()>(Err(complaint));
        }
        Some(Self { address, socks5_proxy })
    }

    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        pair(&LNURL_ADDRESS, self.address.as_bytes());
        if let Some(proxy) = &self.socks5_proxy {
            pair(&SOCKS5_PROXY, proxy.as_bytes());
        }
    }

    pub(super) fn read(pairs: &mut Taking<'_, '_>) -> Option<Self> {
        let address = pairs.required(&LNURL_ADDRESS, value::utf8);
        let socks5_proxy = pairs.optional(&SOCKS5_PROXY, value::utf8);
        Some(Self { address: address?, socks5_proxy })
    }
}

/// The backend that `l402_lnurl_addr` stands for; `address` is in its one form.
///
/// # Errors
/// What is wrong with it.
pub fn lnurl_backend(address: &str, env: Env<'_>) -> Result<BackendSettings, Vec<Complaint>> {
    let find = |setting: &Setting| match setting.key {
        key if key == LNURL_ADDRESS.key => {
            Ok(Some(Found::new(LNURL_ADDR.name().to_owned(), address.to_owned(), None)))
        }
        _ => Ok(setting.env.and_then(env).map(|text| Found::new(setting.name().to_owned(), text, None))),
    };
    // Nothing here names a file.
    let read = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let mut source = Source { find: &find, missing: &Setting::missing, read: &read, complaints: Vec::new() };
    match LnurlSettings::build(&mut source) {
        Some(lnurl) if source.complaints.is_empty() => Ok(BackendSettings {
            name: lnurl_backend_name(address),
            timeout_ms: DEFAULT_BACKEND_TIMEOUT_MS,
            route_hints: RouteHints::default(),
            config: BackendConfig::Lnurl(lnurl),
        }),
        _ => Err(source.complaints),
    }
}

/// What such a backend's name begins with.
const NAME: &str = "lnurl-";

/// Its name: the address, in the letters that a backend's name may have.
pub fn lnurl_backend_name(address: &str) -> String {
    let mut name = NAME.to_owned();
    for byte in address.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => name.push(byte.into()),
            // Each in its own way, so that no two addresses have one name.
            byte => name.push_str(&format!("_{byte:02x}")),
        }
    }
    name
}

/// The address of such a name; `None`: it is another backend's.
pub fn lnurl_address_of(name: &str) -> Option<String> {
    let (mut bytes, mut address) = (name.strip_prefix(NAME)?.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        address.push(match byte {
            b'_' => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
            }
            byte => byte,
        });
    }
    let address = String::from_utf8(address).ok()?;
    (address.contains('@') && lnurl_backend_name(&address) == name).then_some(address)
}

/// `LNURL_ADDRESS`
pub static LNURL_ADDRESS: Setting = Setting {
    key: "lnurl.address",
    env: Some("LNURL_ADDRESS"),
    directive: None,
    block_key: Some("address"),
    kind: Kind::LightningAddress,
    default: "",
    why: "None: it is required.",
    doc: "The Lightning address that is paid, as people write it. It is asked by https; by http where the host is an \
          `.onion` (with `SOCKS5_PROXY`), or where `http://` is written in front, which is for a server on this host or \
          in a private network: whoever can change what comes by http can have himself paid.\n\n\
          Whether a payment can be looked up depends on the wallet ([which can](../guides/lnurl.md)).",
    example: "alice@example.com",
};
