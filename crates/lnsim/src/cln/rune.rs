//! Runes, as opaque to a client as lightningd's: a signature and the restrictions that it signs, in base64 for URLs. The
//! signature is an HMAC, where lightningd's is the state of a hash.

use data_encoding::BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::RpcError;

/// lightningd's codes for a rune that is none, and for one that does not permit what is asked.
const NOT_AUTHORIZED: i64 = 1501;
const NOT_PERMITTED: i64 = 1502;

/// A rune for these methods; for none of them it is unrestricted.
pub(super) fn make(secret: &[u8; 32], methods: &[&str]) -> String {
    let alternatives: Vec<String> = methods.iter().map(|method| format!("method={method}")).collect();
    // The first restriction is the rune's number.
    let text = match alternatives.is_empty() {
        true => "=1".to_owned(),
        false => format!("=1&{}", alternatives.join("|")),
    };
    BASE64URL.encode(&[&sign(secret, text.as_bytes())[..], text.as_bytes()].concat())
}

/// Whether it permits this method.
pub(super) fn check(secret: &[u8; 32], rune: &str, method: &str) -> Result<(), RpcError> {
    let not_authorized = || RpcError::new(NOT_AUTHORIZED, "Not authorized: Not derived from master");
    let bytes = BASE64URL.decode(rune.as_bytes()).map_err(|_| not_authorized())?;
    let (signature, text) = bytes.split_at_checked(32).ok_or_else(not_authorized)?;
    if sign(secret, text) != signature {
        return Err(not_authorized());
    }
    let text = String::from_utf8_lossy(text);
    let permitted = text.split('&').skip(1).all(|restriction| {
        restriction.split('|').any(|alternative| alternative.strip_prefix("method=") == Some(method))
    });
    let text = format!("Not permitted: method is not equal to {method}");
    if permitted { Ok(()) } else { Err(RpcError::new(NOT_PERMITTED, text)) }
}

fn sign(secret: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}
