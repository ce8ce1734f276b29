//! Runes, as opaque to a client as lightningd's: a signature and the restrictions that it signs, in base64 for URLs. The
//! signature is an HMAC, where lightningd's is the state of a hash.

use data_encoding::BASE64URL;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::RpcError;

/// lightningd's codes for a rune that is none, and for one that does not permit what is asked.
const NOT_AUTHORIZED: i64 = 1501;
const NOT_PERMITTED: i64 = 1502;

/// A rune with these restrictions, each of several alternatives such as `method=invoice`, `method/pay` or
/// `pnamestatus=unpaid`. Without any it permits everything.
pub(super) fn make(secret: &[u8; 32], restrictions: &[&[&str]]) -> String {
    // The first restriction is the rune's number.
    let restrictions = restrictions.iter().map(|alternatives| format!("&{}", alternatives.join("|")));
    let text = format!("=1{}", restrictions.collect::<String>());
    BASE64URL.encode(&[&sign(secret, text.as_bytes())[..], text.as_bytes()].concat())
}

/// Whether it permits this method with these parameters.
pub(super) fn check(secret: &[u8; 32], rune: &str, method: &str, params: &Value) -> Result<(), RpcError> {
    let not_authorized = || RpcError::new(NOT_AUTHORIZED, "Not authorized: Not derived from master");
    let bytes = BASE64URL.decode(rune.as_bytes()).map_err(|_| not_authorized())?;
    let (signature, text) = bytes.split_at_checked(32).ok_or_else(not_authorized)?;
    if sign(secret, text) != signature {
        return Err(not_authorized());
    }
    let text = String::from_utf8_lossy(text);
    let permitted = text
        .split('&')
        .skip(1)
        .all(|restriction| restriction.split('|').any(|alternative| holds(alternative, method, params)));
    let text = format!("Not permitted: method is not equal to {method}");
    if permitted { Ok(()) } else { Err(RpcError::new(NOT_PERMITTED, text)) }
}

/// As far as runes for a seller need it. A parameter that is missing is equal to nothing.
fn holds(alternative: &str, method: &str, params: &Value) -> bool {
    let parameter = |name: &str| params.get(name).and_then(Value::as_str);
    if let Some(other) = alternative.strip_prefix("method/") {
        return other != method;
    }
    match alternative.split_once('=') {
        Some(("method", wanted)) => wanted == method,
        Some((name, wanted)) => name.strip_prefix("pname").and_then(parameter) == Some(wanted),
        None => false,
    }
}

fn sign(secret: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}
