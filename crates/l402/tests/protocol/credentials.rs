//! Credentials: every form seen in the wild, what is refused, what is none of our business.

use l402::credential::{self, Found, MAX_TOKENS};
use l402::{Credential, CredentialError, Identifier, Macaroon, MacaroonError, PreimageError, TokenId};
use proptest::prelude::*;

use super::{identifier, mint, other_identifier, preimage, root};

type Tokens = Vec<Result<Credential, CredentialError>>;

fn tokens(header: &str) -> Tokens {
    match credential::parse(header.as_bytes()) {
        Found::Tokens(tokens) => tokens,
        Found::NotL402 => panic!("not ours: {header}"),
    }
}

fn one(header: &str) -> Result<Credential, CredentialError> {
    let mut tokens = tokens(header);
    assert_eq!(tokens.len(), 1, "{header}");
    tokens.remove(0)
}

fn token() -> Macaroon {
    mint(&["origin=a", "path=/", "method=GET", "uses=1"])
}

/// A token of another payment.
fn stranger() -> String {
    Macaroon::mint(&root(), &other_identifier(), "l402", ["uses=1"]).to_base64()
}

fn hex(macaroon: &Macaroon) -> String {
    macaroon.encode_v2().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_form_of_a_token_is_the_same_payment() {
    let mac = token().to_base64();
    let bare = mac.trim_end_matches('=');
    let url = mac.replace('+', "-").replace('/', "_");
    let pre = preimage().expose_hex();
    let upper = pre.to_uppercase();
    let mac_hex = hex(&token());
    for header in [
        format!("L402 {mac}:{pre}"),
        format!("LSAT {mac}:{pre}"),
        format!("l402 {mac}:{pre}"),
        format!("lSaT {mac}:{pre}"),
        format!("L402 L402 {mac}:{pre}"),
        format!("LSAT L402 {mac}:{pre}"),
        format!("  L402 \t {mac}:{pre}  "),
        format!("L402 {mac}: {pre}"),
        format!("L402 {mac} :{pre}"),
        format!("L402 {mac} : {pre}"),
        format!("L402 {bare}:{pre}"),
        format!("L402 {url}:{pre}"),
        format!("L402 {mac_hex}:{pre}"),
        format!("L402 {mac}:{upper}"),
        format!(r#"L402 "{mac}:{pre}""#),
        format!(r#"L402 token="{mac}", preimage="{pre}""#),
        format!(r#"L402 macaroon="{mac}", preimage="{pre}""#),
        format!(r#"L402 Token="{mac}",PREIMAGE="{pre}""#),
        format!(r#"L402 preimage="{pre}", token="{mac}""#),
        format!(r#"L402 token="{mac}" preimage="{pre}""#),
        format!("L402 token={mac}, preimage={pre}"),
        format!(r#"L402 token="{mac}:{pre}""#),
        format!(r#"L402 version="0", token="{mac}", preimage="{pre}""#),
        format!(r#"L402 version=0, token="{mac}", preimage="{pre}""#),
        format!(r#"L402 macaroon="{mac}", invoice="lnbc1x", version="0", token="{mac}", preimage="{pre}""#),
        format!("L402 {mac}:{pre}, LSAT {mac}:{pre}"),
        format!("LSAT {mac}:{pre}, L402 {mac}:{upper},"),
    ] {
        let credential = one(&header).unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!(credential.payment_hash(), identifier().payment_hash, "{header}");
        assert_eq!(credential.macaroon, token(), "{header}");
        assert_eq!(credential.preimage, Some(Ok(preimage())), "{header}");
    }
}

#[test]
fn a_macaroon_alone() {
    let mac = token().to_base64();
    for header in [
        format!("L402 {mac}"),
        format!("LSAT {mac}:"),
        format!(r#"L402 token="{mac}""#),
        format!(r#"L402 macaroon="{mac}", preimage="""#),
        format!("L402 {}", hex(&token())),
    ] {
        let credential = one(&header).unwrap();
        assert_eq!((credential.macaroon, credential.preimage), (token(), None), "{header}");
    }
}

#[test]
fn a_preimage_caveat_counts_as_the_preimage() {
    let mut token = token();
    token.add_first_party(format!("preimage={}", preimage().expose_hex()));
    let mac = token.to_base64();
    assert_eq!(one(&format!("L402 {mac}")).unwrap().preimage, Some(Ok(preimage())));
    let same = format!("L402 {mac}:{}", preimage().expose_hex());
    assert_eq!(one(&same).unwrap().preimage, Some(Ok(preimage())));
    let other = format!("L402 {mac}:{}", "00".repeat(32));
    let contradicted = Some(Err(CredentialError::TwoPreimages));
    assert_eq!(one(&other).unwrap().preimage, contradicted);
    token.add_first_party("preimage=beef");
    let odd = PreimageError::WrongLength { bytes: 2 };
    let odd = Some(Err(CredentialError::Preimage(odd)));
    assert_eq!(one(&format!("L402 {}", token.to_base64())).unwrap().preimage, odd);
}

#[test]
fn metadata_in_hex_or_base64() {
    let mut token = token();
    token.add_first_party(format!("preimage={}", preimage().expose_hex()));
    for text in [hex(&token), hex(&token).to_uppercase(), token.to_base64()] {
        match credential::parse_metadata(text.as_bytes()) {
            Found::Tokens(tokens) => {
                assert_eq!(tokens.len(), 1);
                assert_eq!(tokens[0].as_ref().unwrap().preimage, Some(Ok(preimage())));
            }
            Found::NotL402 => panic!("{text}"),
        }
    }
    assert!(matches!(credential::parse_metadata(b"zz"), Found::Tokens(tokens) if tokens[0].is_err()));
}

#[test]
fn other_software_s_macaroons_in_metadata_are_none_of_our_business() {
    let mut foreign = token();
    foreign.identifier = b"lnd's own".to_vec();
    assert!(matches!(credential::parse_metadata(hex(&foreign).as_bytes()), Found::NotL402));
    assert!(matches!(credential::parse_metadata(b"  "), Found::NotL402));
    // With the scheme named it is a credential for us, and a bad one.
    let header = format!("L402 {}", foreign.to_base64());
    assert!(matches!(one(&header), Err(CredentialError::Identifier(_))));
}

#[test]
fn other_schemes_are_no_credential() {
    for header in
        ["", "  ", "Basic dXNlcjpwYXNz", "Bearer abc", "L402x abc", "L4021 a", "Payment L402", "LSAT=1"]
    {
        assert!(matches!(credential::parse(header.as_bytes()), Found::NotL402), "{header}");
    }
    assert!(matches!(credential::parse(b"\xff\xfe"), Found::NotL402));
}

#[test]
fn several_tokens_in_their_order() {
    let (mine, other, pre) = (token().to_base64(), stranger(), preimage().expose_hex());
    let zeros = "00".repeat(32);
    for header in [
        format!("L402 {other}:{zeros}, {mine}:{pre}"),
        format!("L402 {other}:{zeros},L402 {mine}:{pre}"),
        format!(r#"L402 token="{other}", preimage="{zeros}", token="{mine}", preimage="{pre}""#),
    ] {
        let tokens = tokens(&header);
        assert_eq!(tokens.len(), 2, "{header}");
        assert_eq!(tokens[0].as_ref().unwrap().identifier, other_identifier());
        assert_eq!(tokens[1].as_ref().unwrap().preimage, Some(Ok(preimage())));
    }
    let broken = tokens(&format!("L402 garbage, {mine}:{pre}"));
    assert!(broken[0].is_err() && broken[1].is_ok());
}

#[test]
fn macaroons_before_one_preimage_share_it_if_it_is_theirs() {
    // The specification's `<macaroon(s)>:<preimage>`.
    let sibling = Identifier::new(identifier().payment_hash, TokenId::new(root().id(), [1; 28]));
    let sibling = Macaroon::mint(&root(), &sibling, "l402", ["uses=1"]).to_base64();
    let tokens =
        tokens(&format!("L402 {sibling},{},{}:{}", stranger(), token().to_base64(), preimage().expose_hex()));
    let preimages: Vec<_> = tokens.into_iter().map(|token| token.unwrap().preimage).collect();
    assert_eq!(preimages, [Some(Ok(preimage())), None, Some(Ok(preimage()))]);
}

#[test]
fn what_can_not_be_read_says_why() {
    let mac = token().to_base64();
    for (header, error) in [
        ("L402".to_owned(), CredentialError::NoMacaroon),
        ("L402 ,, ,".to_owned(), CredentialError::NoMacaroon),
        ("L402 L402".to_owned(), CredentialError::NoMacaroon),
        (format!("L402 :{}", preimage().expose_hex()), CredentialError::NoMacaroon),
        ("L402 !!!".to_owned(), CredentialError::Macaroon(MacaroonError::NotBase64)),
        ("L402 AAAA".to_owned(), CredentialError::Macaroon(MacaroonError::Version)),
        ("L402 AgEE".to_owned(), CredentialError::Macaroon(MacaroonError::Malformed)),
        (format!(r#"L402 token="{mac}"#), CredentialError::Syntax),
        (format!(r#"L402 token="{mac}\"""#), CredentialError::Syntax),
    ] {
        assert_eq!(one(&header), Err(error), "{header}");
    }
    assert!(
        matches!(credential::parse(b"L402 \xff"), Found::Tokens(tokens) if tokens == [Err(CredentialError::Syntax)])
    );
}

#[test]
fn a_token_is_read_whatever_its_wallet_returned_for_a_preimage() {
    let mac = token().to_base64();
    let with = |preimage: &str| one(&format!("L402 {mac}:{preimage}")).unwrap();
    let reason = |preimage: &str| with(preimage).preimage.unwrap().unwrap_err();
    assert_eq!(
        reason(&"ab".repeat(48)).to_string(),
        "a preimage is 32 bytes of hex; this wallet returned 48"
    );
    for odd in ["xyz", "abc", "é", "null", "5f0e8a9c-1d3b-4c6e-9f70-1b2c3d4e5f60"] {
        assert_eq!(reason(odd), CredentialError::Preimage(PreimageError::NotHex), "{odd}");
        assert_eq!(with(odd).macaroon, token());
    }
    let two = one(&format!("L402 {mac}:{}, {mac}:{}", "00".repeat(32), "11".repeat(32))).unwrap();
    assert_eq!(two.preimage, Some(Err(CredentialError::TwoPreimages)));
}

#[test]
fn a_header_has_a_bounded_number_of_items() {
    let mac = token().to_base64();
    let with = |count: usize| one(&format!("L402 {}{mac}", "a=\"\" ".repeat(count)));
    assert!(with(8 * MAX_TOKENS - 1).is_ok());
    assert_eq!(with(8 * MAX_TOKENS), Err(CredentialError::TooMany));
    assert_eq!(one(&"L402 ".repeat(1000)), Err(CredentialError::TooMany));
}

#[test]
fn a_payment_hash_is_no_preimage_and_eight_tokens_are_enough() {
    let hash = format!("L402 {}:{}", token().to_base64(), identifier().payment_hash);
    let credential = one(&hash).unwrap();
    assert!(!credential.preimage.as_ref().unwrap().as_ref().unwrap().matches(&credential.payment_hash()));
    let list = |count: u8| {
        let many = (0..count).map(|index| {
            let id = Identifier::new(identifier().payment_hash, TokenId([index; 32]));
            Macaroon::mint(&root(), &id, "", ["uses=1"]).to_base64()
        });
        format!("L402 {}", many.collect::<Vec<_>>().join(","))
    };
    assert_eq!(tokens(&list(MAX_TOKENS as u8)).len(), MAX_TOKENS);
    assert_eq!(tokens(&list(MAX_TOKENS as u8 + 1)), [Err(CredentialError::TooMany)]);
}

#[test]
fn what_we_send_is_what_we_read() {
    let credential =
        Credential { macaroon: token(), identifier: identifier(), preimage: Some(Ok(preimage())) };
    assert_eq!(one(&credential.expose_header_value()), Ok(credential.clone()));
    let alone = Credential { preimage: None, ..credential };
    assert_eq!(one(&alone.expose_header_value()), Ok(alone));
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(bytes: Vec<u8>, text in "[ -~]{0,80}") {
        for scheme in [&b"L402 "[..], b"lsat ", b""] {
            for rest in [&bytes[..], text.as_bytes()] {
                let header = [scheme, rest].concat();
                if let Found::Tokens(tokens) = credential::parse(&header) {
                    prop_assert!(!tokens.is_empty() && tokens.len() <= MAX_TOKENS);
                }
                let _ = credential::parse_metadata(&header);
            }
        }
    }

    #[test]
    fn texts_hold_no_byte_of_the_client_s(junk in "[~^#]{8,40}") {
        let mac = token().to_base64();
        for header in [format!("L402 {junk}"), format!("L402 {mac}:{junk}"), format!("L402 token=\"{junk}\"")] {
            for token in tokens(&header) {
                let error = match token {
                    Ok(token) => token.preimage.unwrap().unwrap_err(),
                    Err(error) => error,
                };
                let error = error.to_string();
                prop_assert!(!error.contains(&junk[..4]) && error.len() < 120);
            }
        }
    }
}
