//! Bounds the cost of the dearest headers, in bytes looked at: linear in their length, and a small multiple of it.

use super::{Found, parse, parse_metadata};
use crate::keys::RootKey;
use crate::macaroon::Macaroon;
use crate::{Identifier, KeyRing, PaymentHash, TokenId, work};

/// The most work that a byte of a header may make.
const PER_BYTE: usize = 12;

/// The most work that short items make, of which only so many are read: some chunks each.
const AT_LEAST: usize = 64 * 16 * 32;

/// Text that a header repeats between its first and its last byte.
const FILLERS: [&str; 24] = [
    " ",
    ",",
    "\t",
    " ,",
    ", ",
    "x ",
    "x,",
    "L402 ",
    "LSAT,",
    "L402,L402 ",
    "a=\"\" ",
    "a=\"\",",
    "\"",
    "\"\"",
    "\" ",
    "\"a\" ",
    ":",
    "a:",
    ": ",
    "=",
    "token=",
    "token=\"\",",
    "preimage=00 ",
    "\\",
];

fn cost(header: &str) -> usize {
    work::of(|| (parse(header.as_bytes()), parse_metadata(header.as_bytes())))
}

fn filled(filler: &str, length: usize) -> String {
    format!("L402 x{}x", &filler.repeat(length / filler.len() + 1)[..length])
}

#[test]
fn no_filler_makes_a_header_dear() {
    for filler in FILLERS {
        let costs = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000].map(|length| cost(&filled(filler, length)));
        for (cost, length) in costs.iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 32_000]) {
            assert!(*cost <= AT_LEAST + PER_BYTE * length, "{filler:?}: {cost} for {length} bytes");
        }
        for pair in costs.windows(2) {
            assert!(pair[1] <= AT_LEAST + pair[0] * 9 / 4, "{filler:?}: {costs:?}");
        }
    }
}

#[test]
fn full_macaroons_cost_a_bounded_number_of_hashes() {
    let root = RootKey::from_bytes([1; 32]);
    let keys = KeyRing::new(vec![root.clone()]);
    let token = |number: u8| {
        let identifier = Identifier::new(PaymentHash([number; 32]), TokenId::new(root.id(), [number; 28]));
        Macaroon::mint(&root, &identifier, "", vec!["uses=1"; crate::macaroon::MAX_CAVEATS]).to_base64()
    };
    let header = format!("L402 {}", (0..8).map(token).collect::<Vec<_>>().join(","));
    let read = work::of(|| parse(header.as_bytes()));
    assert!(read <= AT_LEAST + PER_BYTE * header.len(), "{read} for {} bytes", header.len());
    let Found::Tokens(tokens) = parse(header.as_bytes()) else { panic!("not read") };
    for credential in tokens.iter().flatten() {
        let verified = work::of(|| credential.macaroon.verify_signature(keys.signing().unwrap()));
        // Four blocks for each HMAC, of which there is one for the identifier and one for each caveat.
        assert!(verified <= 33 * 5 * 64, "{verified}");
    }
    assert_eq!(tokens.iter().flatten().count(), 8);
}
