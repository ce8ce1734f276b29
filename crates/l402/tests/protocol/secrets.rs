//! Secrets, keys and small types: what they print, what they derive, what they refuse.

use l402::identifier::{IDENTIFIER_LEN, IdentifierError};
use l402::keys::ShortKey;
use l402::{
    Credential, Identifier, KeyId, KeyRing, Msat, PaymentHash, Preimage, PreimageError, RootKey, TokenId,
};
use proptest::prelude::*;

use super::{identifier, mint, preimage, root};

#[test]
fn debug_shows_no_secret() {
    let mut token = mint(&["origin=a"]);
    token.add_first_party(format!("preimage={}", preimage().expose_hex()));
    let credential =
        Credential { macaroon: token.clone(), identifier: identifier(), preimage: Some(Ok(preimage())) };
    let shown = format!("{:?} {token:?} {:?} {credential:?} {:?}", preimage(), token.caveats, root());
    let numbers = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    for secret in [&preimage().expose()[..], root().expose(), &token.signature] {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!shown.contains(&hex) && !shown.contains(&numbers(secret)), "{shown}");
    }
    assert!(shown.contains("redacted"));
}

#[test]
fn preimages() {
    let hash = preimage().payment_hash();
    assert!(preimage().matches(&hash));
    assert!(!Preimage::from_bytes([8; 32]).matches(&hash));
    // SHA-256 of 32 zero bytes.
    assert_eq!(
        Preimage::from_bytes([0; 32]).payment_hash().to_string(),
        "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
    );
    for (hex, bytes) in
        [("", 0), ("00", 1), (&"00".repeat(31), 31), (&"00".repeat(33), 33), (&"00".repeat(48), 48)]
    {
        assert_eq!(Preimage::from_hex(hex), Err(PreimageError::WrongLength { bytes }), "{bytes}");
    }
    for text in ["0", "0x00", " 00", &"0".repeat(63), &"é".repeat(16), "VGhlIHByZWltYWdlIGlzIG5vdCBoZXg="] {
        assert_eq!(Preimage::from_hex(text), Err(PreimageError::NotHex), "{text}");
    }
}

#[test]
fn root_keys_come_from_long_enough_secrets() {
    assert_eq!(RootKey::from_material(&[b'x'; 31]).unwrap_err(), ShortKey { bytes: 31 });
    let key = RootKey::from_material(&[b'x'; 32]).unwrap();
    assert_ne!(key.expose(), &[b'x'; 32]);
    assert_eq!(RootKey::from_bytes(*key.expose()).id(), key.id());
    assert_ne!(RootKey::from_material(&[b'y'; 32]).unwrap().id(), key.id());
}

#[test]
fn derivations_never_change() {
    // Tokens outlive releases: these values may not move.
    assert_eq!(root().id().to_string(), "34bcb9eb");
    let key = RootKey::from_material(b"correct horse battery staple, twice over").unwrap();
    assert_eq!(
        PaymentHash(*key.expose()).to_string(),
        "2fefac4cdcc0204e2a4a7cc83c3a0f1efad5551076da6fedcb32ef6fe7129df7"
    );
}

#[test]
fn a_ring_signs_with_the_newest_and_finds_all() {
    let (new, old) = (RootKey::from_bytes([1; 32]), RootKey::from_bytes([2; 32]));
    let ring = KeyRing::new(vec![new.clone(), old.clone()]);
    assert_eq!(ring.signing().unwrap().id(), new.id());
    assert_eq!(ring.find(old.id()).unwrap().expose(), old.expose());
    assert!(ring.find(root().id()).is_none());
    assert!(KeyRing::default().is_empty() && KeyRing::default().signing().is_none());
}

#[test]
fn identifiers_are_66_bytes_big_endian() {
    let id = Identifier::new(PaymentHash([0xaa; 32]), TokenId::new(KeyId([1, 2, 3, 4]), [5; 28]));
    let bytes = id.encode();
    assert_eq!(
        (bytes.len(), &bytes[..3], &bytes[33..39]),
        (66, &[0, 0, 0xaa][..], &[0xaa, 1, 2, 3, 4, 5][..])
    );
    assert_eq!(Identifier::decode(&bytes), Ok(id));
    assert_eq!(id.token_id.key_id(), KeyId([1, 2, 3, 4]));
    assert_eq!(Identifier::decode(&bytes[1..]), Err(IdentifierError::Length));
    let mut newer = bytes;
    newer[1] = 1;
    assert_eq!(Identifier::decode(&newer), Err(IdentifierError::Version));
}

#[test]
fn small_texts() {
    assert_eq!(Msat(10_000).to_string(), "10000 msat");
    let hash: PaymentHash = "AA".repeat(32).parse().unwrap();
    assert_eq!(hash.to_string(), "aa".repeat(32));
    assert!("aa".parse::<PaymentHash>().is_err());
}

proptest! {
    #[test]
    fn identifiers_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80), mut exact: [u8; 32]) {
        if let Ok(id) = Identifier::decode(&bytes) {
            prop_assert_eq!(&id.encode()[..], &bytes[..]);
        }
        exact[0] = 0;
        exact[1] = 0;
        let whole = [&exact[..], &exact, &[0, 0]].concat();
        prop_assert_eq!(whole.len(), IDENTIFIER_LEN);
        prop_assert_eq!(&Identifier::decode(&whole).unwrap().encode()[..], &whole[..]);
    }
}
