//! Nostr Wallet Connect: its settings, which are all in one URI (NIP-47).
use super::source::Source;
use crate::pairs::Taking;
use crate::{Kind, Secret, Setting, curve, value};
use zeroize::Zeroizing;

/// How an URI begins.
const SCHEME: &str = "nostr+walletconnect:";

/// Relays that an URI may name: each is a connection that l402d keeps.
const MAX_RELAYS: usize = 16;

/// How a wallet behind Nostr relays is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NwcSettings {
    /// The wallet's public key.
    pub wallet: [u8; 32],
    /// The client's secret key.
    pub secret: Secret<[u8; 32]>,
    /// The relays, `wss://…` or `ws://…`; at least one.
    pub relays: Vec<String>,
}

/// What a block of this kind takes besides what all take.
pub(super) const KEYS: &[&Setting] = &[&NWC_URI];

impl NwcSettings {
    pub(super) fn build(source: &mut Source<'_>) -> Option<Self> {
        source.required(&NWC_URI, Self::parse)
    }

    pub(super) fn write(&self, pair: &mut dyn FnMut(&Setting, &[u8])) {
        pair(&NWC_URI, self.uri().as_bytes());
    }

    pub(super) fn read(pairs: &mut Taking<'_, '_>) -> Option<Self> {
        pairs.required(&NWC_URI, |value| Self::parse(std::str::from_utf8(value).ok()?))
    }

    /// `nostr+walletconnect://KEY?relay=…&secret=…`; parameters that it doesn't need are passed over.
    fn parse(uri: &str) -> Option<Self> {
        let uri = uri.trim();
        let (scheme, rest) = uri.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let (wallet, parameters) = rest.trim_start_matches('/').split_once('?')?;
        let wallet = key(wallet.trim_end_matches('/')).filter(curve::is_public_key)?;
        let (mut secret, mut relays) = (None, Vec::new());
        for parameter in parameters.split('&') {
            match parameter.split_once('=') {
                Some(("relay", value)) => {
                    relays.push(unescaped(value).filter(|relay| value::relay(relay).is_some())?)
                }
                Some(("secret", value)) if secret.is_none() => {
                    secret = Some(Secret::new(key(value).filter(curve::is_secret_key)?));
                }
                Some(("secret", _)) => return None,
                _ => {}
            }
        }
        relays.dedup();
        let secret = secret?;
        (1..=MAX_RELAYS).contains(&relays.len()).then_some(Self { wallet, secret, relays })
    }

    fn uri(&self) -> Zeroizing<String> {
        let relays: String = self.relays.iter().map(|relay| format!("relay={}&", escaped(relay))).collect();
        let (wallet, secret) = (hex(&self.wallet), hex(self.secret.expose()));
        // Room for all of it at once, so that no copy stays behind.
        let mut uri = Zeroizing::new(String::with_capacity(256 + relays.len()));
        for part in [SCHEME, "//", &wallet, "?", &relays, "secret=", &secret] {
            uri.push_str(part);
        }
        uri
    }
}

/// 32 bytes of hex.
fn key(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(crate::files::to_hex(bytes))
}

/// Percent-decoding.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(each).collect()
}

/// `NWC_URI`
pub static NWC_URI: Setting = Setting {
    key: "nwc.uri",
    env: Some("NWC_URI"),
    directive: None,
    block_key: Some("uri"),
    kind: Kind::NwcUri,
    default: "",
    why: "None: it is required.",
    doc: "The connection to a wallet that speaks Nostr Wallet Connect (NIP-47), as the wallet shows it. It is a secret. \
          A connection that may make invoices and look them up is enough: make one without permission to spend \
          (`docs/guides/nwc.md`). Every relay that it names is used, at the same time.",
    example: "\"nostr+walletconnect://b889…?relay=wss%3A%2F%2Frelay.example&secret=71a8…\"",
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WALLET: &str = "b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4";
    const SECRET: &str = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c";

    fn uri(parameters: &str) -> String {
        format!("nostr+walletconnect://{WALLET}?{parameters}")
    }

    fn relays(parameters: &str) -> Option<Vec<String>> {
        NwcSettings::parse(&uri(parameters)).map(|settings| settings.relays)
    }

    #[test]
    fn what_wallets_show() {
        let settings = NwcSettings::parse(&uri(&format!(
            "relay=wss%3A%2F%2Frelay.example%2Fv1&relay=ws://10.0.0.5:7777&secret={SECRET}&lud16=shop%40example.com"
        )));
        let settings = settings.unwrap();
        assert_eq!(settings.relays, ["wss://relay.example/v1", "ws://10.0.0.5:7777"]);
        assert_eq!((settings.wallet[0], settings.secret.expose()[31]), (0xb8, 0x3c));
        let upper = uri(&format!("secret={}&relay=wss://a", SECRET.to_uppercase()));
        assert!(NwcSettings::parse(&format!(" {upper}\n")).is_some());
        assert!(NwcSettings::parse(&upper.replacen("//", "", 1)).is_some());
    }

    #[test]
    fn what_is_no_connection() {
        for parameters in [
            "relay=wss://a".to_owned(),
            format!("secret={SECRET}"),
            format!("secret={SECRET}&relay="),
            format!("secret={SECRET}&relay=https://a"),
            format!("secret={SECRET}&relay=wss://"),
            format!("secret={SECRET}&relay=wss://a%0d%0ab"),
            format!("secret={SECRET}&relay=wss://a%2"),
            format!("secret={SECRET}&relay=wss://user@a"),
            format!("secret={}&relay=wss://a", &SECRET[1..]),
            format!("secret={}x&relay=wss://a", &SECRET[1..]),
            format!("secret={SECRET}&secret={SECRET}&relay=wss://a"),
            format!("secret={SECRET}{}", (0..17).map(|at| format!("&relay=wss://a{at}")).collect::<String>()),
        ] {
            assert_eq!(relays(&parameters), None, "{parameters}");
        }
        for uri in ["", "nostr+walletconnect://", "https://x?relay=wss://a", WALLET] {
            assert_eq!(NwcSettings::parse(uri), None, "{uri}");
        }
    }

    #[test]
    fn it_survives_the_pipe() {
        let settings =
            NwcSettings::parse(&uri(&format!("secret={SECRET}&relay=wss://a/%25?x=y%26z"))).unwrap();
        assert_eq!(settings.relays, ["wss://a/%?x=y&z"]);
        assert_eq!(NwcSettings::parse(&settings.uri()), Some(settings));
    }

    #[test]
    fn debug_shows_no_secret() {
        let settings = NwcSettings::parse(&uri(&format!("secret={SECRET}&relay=wss://a"))).unwrap();
        assert!(!format!("{settings:?}").contains("71, 168") && !format!("{settings:?}").contains("71a8"));
    }
}
