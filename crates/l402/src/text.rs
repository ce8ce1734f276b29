//! Text forms of bytes: hex, and base64 in every spelling that clients send.

use std::borrow::Cow;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::work;

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Hex of either case; `None` if it isn't hex or has an odd number of digits.
pub(crate) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    work::spend(text.len());
    HEXLOWER_PERMISSIVE.decode(text).ok()
}

/// Exactly 32 bytes of hex, either case.
pub(crate) fn unhex32(text: &[u8]) -> Option<[u8; 32]> {
    work::spend(text.len());
    let mut bytes = [0; 32];
    let whole = text.len() == 2 * bytes.len();
    (whole && HEXLOWER_PERMISSIVE.decode_mut(text, &mut bytes).is_ok()).then_some(bytes)
}

/// Standard base64 with padding: the one form we send.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Base64 in the standard or the URL-safe alphabet, padded or not.
pub(crate) fn unbase64(text: &[u8]) -> Option<Vec<u8>> {
    work::spend(2 * text.len());
    let end = text.len() - text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let text = &text[..end];
    BASE64_NOPAD.decode(text).ok().or_else(|| {
        let standard = |byte: &u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        };
        let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
        url_safe
            .then(|| text.iter().map(standard).collect::<Vec<u8>>())
            .and_then(|text| BASE64_NOPAD.decode(&text).ok())
    })
}

/// Makes `text` fit for the inside of a quoted string of a header (RFC 9110 §5.6.4): quotes and backslashes
/// escaped, whatever isn't printable ASCII replaced.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    // Nearly always base64 or bech32: looked at many bytes at once.
    let odd = |byte: u8| !(b' '..=b'~').contains(&byte) | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(0, |seen, byte| seen | u8::from(odd(byte))) == 0 {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    Cow::Owned(out)
}
