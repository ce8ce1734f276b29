//! Certificates in PEM form: whether each block is one by the shape of X.509 (RFC 5280, section 4.1). Who trusts it reads it
//! whole; here junk is told from a certificate.

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// DER's tags that matter.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Whether there is one block at least, and each is a certificate.
pub(crate) fn are_certificates(text: &str) -> bool {
    let mut rest = text;
    let mut found = false;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let Some((block, after)) = after.split_once(END) else { return false };
        // Each mark has a line of its own, or it is none (RFC 7468, section 3).
        let lines = [before, block].iter().all(|text| text.is_empty() || text.ends_with('\n'));
        let is_line =
            block.starts_with(['\n', '\r']) && (after.is_empty() || after.starts_with(['\n', '\r']));
        if !lines || !is_line || !from_base64(block).is_some_and(|der| is_certificate(&der)) {
            return false;
        }
        (rest, found) = (after, true);
    }
    found
}

/// `Certificate`: what is signed, how, and the signature.
fn is_certificate(der: &[u8]) -> bool {
    let signed = || {
        let (whole, []) = element(der, SEQUENCE)? else { return None };
        let (signed, rest) = element(whole, SEQUENCE)?;
        let (_algorithm, rest) = element(rest, SEQUENCE)?;
        let (_signature, []) = element(rest, BIT_STRING)? else { return None };
        Some(signed)
    };
    signed().and_then(is_signed_part).is_some()
}

/// `TBSCertificate`: version, number, algorithm, issuer, validity, subject, key; extensions may follow.
fn is_signed_part(signed: &[u8]) -> Option<()> {
    // Version 1, as of some old authorities, is not written.
    let (version, rest) = element(signed, VERSION).unwrap_or((&[INTEGER, 1, 2], signed));
    let (_number, mut rest) = element(rest, INTEGER)?;
    for _algorithm_issuer_validity_subject in 0..4 {
        (_, rest) = element(rest, SEQUENCE)?;
    }
    let (key, _extensions) = element(rest, SEQUENCE)?;
    let (_algorithm, bits) = element(key, SEQUENCE)?;
    let (_bits, after) = element(bits, BIT_STRING)?;
    (version == [INTEGER, 1, 2] && after.is_empty()).then_some(())
}

/// The content of the element at the beginning, which has to be of this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (length, rest) = match der {
        [found, short @ 0..=0x7f, rest @ ..] if *found == tag => (usize::from(*short), rest),
        [found, 0x81, long @ 0x80..=0xff, rest @ ..] if *found == tag => (usize::from(*long), rest),
        [found, 0x82, high @ 1..=0xff, low, rest @ ..] if *found == tag => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// Base64 over several lines, with padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padding) = (0_u32, 0, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // Letters come in fours, the last of them filled up.
    (bits == 0 && padding * 2 == count).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_whole() {
        assert_eq!(from_base64("aGk=\n").as_deref(), Some(&b"hi"[..]));
        assert_eq!(from_base64("aGkh").as_deref(), Some(&b"hi!"[..]));
        for bad in ["aGk", "aG=k", "a$==", "aGl=", "aGk=="] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn junk_is_no_certificate() {
        for junk in ["", "aGk=", "MAA=", "MIIBszCCAVqgAwIBAgIQ"] {
            assert!(!are_certificates(&format!("{BEGIN}\n{junk}\n{END}\n")), "{junk}");
        }
        assert!(!are_certificates("") && !are_certificates(BEGIN));
    }
}
