//! Macaroons: strict reading, bounds, the HMAC chain, the text forms.

use l402::macaroon::{MAX_BYTES, MAX_CAVEATS};
use l402::{Caveat, Macaroon, MacaroonError, RootKey};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{mint, root};

#[test]
fn every_cut_and_every_extra_byte_is_refused() {
    let bytes = mint(&["origin=a", "path=/", "method=GET", "uses=1"]).encode_v2();
    for end in 0..bytes.len() {
        assert!(Macaroon::decode_v2(&bytes[..end]).is_err(), "cut at {end}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(Macaroon::decode_v2(&longer), Err(MacaroonError::TrailingBytes));
}

#[test]
fn odd_encodings_are_refused() {
    let signature = [6, 32].into_iter().chain([1; 32]).collect::<Vec<u8>>();
    let with = |head: &[u8]| [head, &signature].concat();
    assert!(Macaroon::decode_v2(&with(&[2, 2, 1, 9, 0, 0])).is_ok());
    for (why, head) in [
        ("no version 2", vec![1, 2, 1, 9, 0, 0]),
        ("version 1's text form", b"0021location".to_vec()),
        ("no identifier", vec![2, 0, 0]),
        ("location behind the identifier", vec![2, 2, 1, 9, 1, 1, b'x', 0, 0]),
        ("identifier twice", vec![2, 2, 1, 9, 2, 1, 9, 0, 0]),
        ("unknown field", vec![2, 2, 1, 9, 3, 1, 9, 0, 0]),
        ("verification id in the header", vec![2, 2, 1, 9, 4, 1, 9, 0, 0]),
        ("length not in its shortest form", vec![2, 2, 0x81, 0x00, 9, 0, 0]),
        ("length of three bytes", vec![2, 2, 0x81, 0x80, 0x01, 9, 0, 0]),
        ("length behind the end", vec![2, 2, 0xff, 0x7f, 9, 0, 0]),
        ("location that is no text", vec![2, 1, 1, 0xff, 2, 1, 9, 0, 0]),
        ("caveat without identifier", vec![2, 2, 1, 9, 0, 1, 1, b'x', 0, 0]),
        ("first-party caveat with a location", vec![2, 2, 1, 9, 0, 1, 1, b'x', 2, 1, 9, 0, 0]),
        ("empty verification id", vec![2, 2, 1, 9, 0, 2, 1, 9, 4, 0, 0, 0]),
    ] {
        assert!(Macaroon::decode_v2(&with(&head)).is_err(), "{why}");
    }
    let short = [&[2, 2, 1, 9, 0, 0, 6, 31][..], &[1; 31]].concat();
    assert_eq!(Macaroon::decode_v2(&short), Err(MacaroonError::Malformed));
}

#[test]
fn bounds() {
    let many = vec!["uses=1"; MAX_CAVEATS];
    assert!(Macaroon::decode_v2(&mint(&many).encode_v2()).is_ok());
    let more = vec!["uses=1"; MAX_CAVEATS + 1];
    assert_eq!(Macaroon::decode_v2(&mint(&more).encode_v2()), Err(MacaroonError::TooManyCaveats));
    let overhead = mint(&["x"]).encode_v2().len() - 1;
    // A caveat this long has a length of two bytes instead of one.
    let fits = "x".repeat(MAX_BYTES - overhead - 1);
    assert_eq!(mint(&[&fits]).encode_v2().len(), MAX_BYTES);
    assert!(Macaroon::decode_v2(&mint(&[&fits]).encode_v2()).is_ok());
    let long = mint(&[&format!("{fits}x")]);
    assert_eq!(Macaroon::decode_v2(&long.encode_v2()), Err(MacaroonError::TooLong));
    assert_eq!(Macaroon::from_text(&"A".repeat(100_000)), Err(MacaroonError::TooLong));
}

#[test]
fn only_the_chain_under_the_right_key_verifies() {
    let token = mint(&["origin=a", "uses=1"]);
    assert!(token.verify_signature(&root()));
    assert!(!token.verify_signature(&RootKey::from_bytes([1; 32])));
    let mut without = token.clone();
    without.caveats.pop();
    assert!(!without.verify_signature(&root()), "a caveat taken away");
    let mut swapped = token.clone();
    swapped.caveats.swap(0, 1);
    assert!(!swapped.verify_signature(&root()), "caveats swapped");
    let mut silent = token.clone();
    silent.caveats.push(Caveat::FirstParty(b"preimage=00".to_vec()));
    assert!(!silent.verify_signature(&root()), "a caveat added without the chain");
    let mut other = token;
    other.identifier[10] ^= 1;
    assert!(!other.verify_signature(&root()), "another payment");
}

#[test]
fn all_text_forms_read_alike() {
    // 0xfb 0xff … in the nonce gives + and / in base64.
    let token = Macaroon::mint(
        &root(),
        &l402::Identifier::new(l402::PaymentHash([0xfb; 32]), l402::TokenId([0xff; 32])),
        "l402",
        ["uses=1"],
    );
    let standard = token.to_base64();
    assert!(standard.contains(['+', '/']));
    let url_safe = standard.replace('+', "-").replace('/', "_");
    let hex: String = token.encode_v2().iter().map(|byte| format!("{byte:02x}")).collect();
    for text in [
        standard.as_str(),
        standard.trim_end_matches('='),
        &url_safe,
        url_safe.trim_end_matches('='),
        &hex,
        &hex.to_uppercase(),
        &format!("  {standard}\t"),
    ] {
        assert_eq!(Macaroon::from_text(text), Ok(token.clone()), "{text}");
    }
    for text in ["", "=", "====", "A", "not base64!", "AgE", "02", "020"] {
        assert!(Macaroon::from_text(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Macaroon::decode_v2(&bytes);
        let _ = Macaroon::from_text(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_is_read_is_written_the_same(bytes in vec(any::<u8>(), 0..40), flips in vec((0usize..400, any::<u8>()), 0..3)) {
        // Bytes near a real token, so that many of them are read.
        let mut near = mint(&["origin=a", &String::from_utf8_lossy(&bytes)]).encode_v2();
        for (at, value) in flips {
            let length = near.len();
            near[at % length] = value;
        }
        if let Ok(token) = Macaroon::decode_v2(&near) {
            prop_assert_eq!(Macaroon::decode_v2(&token.encode_v2()), Ok(token.clone()));
            prop_assert_eq!(Macaroon::from_text(&token.to_base64()), Ok(token));
        }
    }

    #[test]
    fn a_flipped_bit_is_never_a_good_token(bit in 0usize..4000) {
        let token = mint(&["origin=a", "path=/x", "method=GET", "uses=1"]);
        let mut bytes = token.encode_v2();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Macaroon::decode_v2(&bytes) {
            // Only the location is not signed.
            prop_assert!(!read.verify_signature(&root()) || read.location != token.location);
        }
    }

    #[test]
    fn anyone_can_narrow(caveats in vec("[ -~]{0,40}", 0..10)) {
        let mut token = mint(&["origin=a"]);
        for caveat in &caveats {
            token.add_first_party(caveat);
        }
        prop_assert!(Macaroon::decode_v2(&token.encode_v2()).unwrap().verify_signature(&root()));
    }
}
