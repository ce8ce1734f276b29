//! The two primitives everything else is made of: SHA-256 and HMAC-SHA256.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::work;

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        work::spend(part.len());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Bytes that SHA-256 takes at once. An HMAC takes four blocks, and its text.
const BLOCK: usize = 64;

/// HMAC-SHA256 of `text` under a key of any length.
pub(crate) fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of every length (RFC 2104 §2): there is no failing case.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    work::spend(4 * BLOCK + text.len());
    mac.finalize().into_bytes().into()
}
