//! Byte for byte what Go's reference library writes: `golden.txt`.

use l402::{Caveat, CaveatError, Caveats, Identifier, Macaroon, Preimage};

use super::{other_identifier, root};

fn golden(name: &str) -> String {
    let file = include_str!("golden.txt");
    let line = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().to_owned()
}

fn minted(location: &str, caveats: &[&str]) -> Macaroon {
    Macaroon::mint(&root(), &other_identifier(), location, caveats.iter().copied())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const OURS: [&str; 5] =
    ["server=example.com", "path=/paid/caf%C3%A9", "method=GET", "valid_until=1800000000", "uses=1"];

#[test]
fn minting_writes_what_the_reference_writes() {
    let long = format!("path=/{}", "x".repeat(300));
    let aperture = ["services=svc:0", "svc_capabilities=", "svc_valid_until=1800000000"];
    for (name, macaroon) in [
        ("bare", minted("lsat", &[])),
        ("ours", minted("l402", &OURS)),
        ("long", minted("", &[&long])),
        ("aperture", minted("lsat", &aperture)),
    ] {
        assert_eq!(hex(&macaroon.encode_v2()), golden(name), "{name}");
        assert_eq!(hex(&macaroon.signature), golden(&format!("{name}.signature")), "{name}");
    }
}

#[test]
fn appending_writes_what_the_reference_writes() {
    let mut macaroon = minted("l402", &OURS);
    macaroon.add_first_party(format!("preimage={}", Preimage::from_bytes([7; 32]).expose_hex()));
    assert_eq!(hex(&macaroon.encode_v2()), golden("ours_preimage"));
}

#[test]
fn reading_and_writing_again_changes_nothing_and_the_signature_verifies() {
    for name in ["bare", "ours", "ours_preimage", "long", "aperture", "third"] {
        let macaroon = Macaroon::from_text(&golden(name)).unwrap();
        assert_eq!(hex(&macaroon.encode_v2()), golden(name), "{name}");
        assert!(macaroon.verify_signature(&root()), "{name}");
        assert_eq!(Identifier::decode(&macaroon.identifier), Ok(other_identifier()), "{name}");
    }
}

#[test]
fn the_golden_token_reads_as_what_it_says() {
    let macaroon = Macaroon::from_text(&golden("ours")).unwrap();
    assert_eq!(macaroon.location, "l402");
    assert_eq!(macaroon.first_party_texts(), OURS);
    // It is of before the first release.
    assert_eq!(Caveats::read(&macaroon), Err(CaveatError::NotOurs));
}

#[test]
fn aperture_s_and_third_party_caveats_are_read_and_refused() {
    let aperture = Macaroon::from_text(&golden("aperture")).unwrap();
    assert_eq!(Caveats::read(&aperture), Err(CaveatError::Unknown));
    let third = Macaroon::from_text(&golden("third")).unwrap();
    assert!(
        matches!(&third.caveats[..], [Caveat::ThirdParty { location, .. }] if location == "https://third.example")
    );
    assert_eq!(Caveats::read(&third), Err(CaveatError::ThirdParty));
    let mut again = minted("lsat", &[]);
    again.add(third.caveats[0].clone());
    assert_eq!(hex(&again.encode_v2()), golden("third"));
}
