//! Challenges: the one form we write, and every order and joining that a client may have to read.

use l402::challenge::{Challenge, ChallengeError, ParsedChallenge, error_header, parse};
use proptest::prelude::*;

fn parsed(value: &str) -> (String, String, Option<String>) {
    let ParsedChallenge { token, invoice, version, .. } = parse(value).unwrap();
    (token, invoice, version)
}

fn expect(token: &str, invoice: &str, version: Option<&str>) -> (String, String, Option<String>) {
    (token.to_owned(), invoice.to_owned(), version.map(str::to_owned))
}

#[test]
fn the_one_form_every_client_parses() {
    let value =
        Challenge { macaroon_b64: "AgE=", invoice: "lnbc1x", offer: None, error: None }.header_value();
    assert_eq!(value, r#"L402 macaroon="AgE=", invoice="lnbc1x", version="0", token="AgE=""#);
    assert_eq!(parsed(&value), expect("AgE=", "lnbc1x", Some("0")));
}

/// An offer comes last, where every client that doesn't know it passes over it.
#[test]
fn with_the_offer_that_the_invoice_is_of() {
    let value = Challenge { macaroon_b64: "AgE=", invoice: "lni1x", offer: Some("lno1y"), error: None }
        .header_value();
    let form = r#"L402 macaroon="AgE=", invoice="lni1x", version="0", token="AgE=", offer="lno1y""#;
    assert_eq!(value, form);
    assert_eq!(parse(&value).unwrap().offer.as_deref(), Some("lno1y"));
    let sly = Challenge {
        macaroon_b64: "AgE=",
        invoice: "lni1x",
        offer: Some("\", invoice=\"lnbc1z"),
        error: None,
    };
    let read = parse(&sly.header_value()).unwrap();
    assert_eq!((read.invoice.as_str(), read.offer.as_deref()), ("lni1x", Some("\", invoice=\"lnbc1z")));
}

/// Why a presented token does not serve comes last: whoever pays the invoice gets another.
#[test]
fn with_the_reason_why_a_token_does_not_serve() {
    let error = Some("the token has expired; \"this\" buys a new one");
    let value =
        Challenge { macaroon_b64: "AgE=", invoice: "lnbc1x", offer: Some("lno1y"), error }.header_value();
    assert!(
        value.ends_with(r#", offer="lno1y", error="the token has expired; \"this\" buys a new one""#),
        "{value}"
    );
    let read = parse(&value).unwrap();
    assert_eq!((read.invoice.as_str(), read.error.as_deref()), ("lnbc1x", error));
}

#[test]
fn other_forms_in_the_wild() {
    for value in [
        r#"L402 version="0", token="AgE=", invoice="lnbc1x""#,
        r#"L402 macaroon="AgE=", invoice="lnbc1x""#,
        r#"LSAT macaroon="AgE=", invoice="lnbc1x""#,
        r#"lsat invoice="lnbc1x",macaroon="AgE=""#,
        r#"L402 macaroon=AgE=, invoice=lnbc1x"#,
        r#"L402 macaroon="AgE=" invoice="lnbc1x""#,
        r#"L402 macaroon = "AgE=" , invoice = "lnbc1x""#,
        r#"Basic realm="a, L402 b", L402 macaroon="AgE=", invoice="lnbc1x""#,
        r#"L402 macaroon="AgE=", invoice="lnbc1x", Bearer error="x""#,
        r#"Negotiate abc==, L402 macaroon="AgE=", invoice="lnbc1x""#,
        r#"LSAT macaroon="old", invoice="lnbc2y", L402 macaroon="AgE=", invoice="lnbc1x""#,
        r#"L402 macaroon="AgE=", invoice="lnbc1x", L402 macaroon="second", invoice="lnbc2y""#,
        r#"L402 macaroon="AgE=", invoice="lnbc1x", offer="lno1x""#,
    ] {
        let (token, invoice, _) = parsed(value);
        assert_eq!((token.as_str(), invoice.as_str()), ("AgE=", "lnbc1x"), "{value}");
    }
}

#[test]
fn what_can_not_be_paid() {
    for (value, error) in [
        ("", ChallengeError::NoL402),
        (r#"Basic realm="x""#, ChallengeError::NoL402),
        (r#"L402 invoice="x""#, ChallengeError::NoToken),
        (r#"L402 token="x""#, ChallengeError::NoInvoice),
        (r#"L402 token="x"#, ChallengeError::Syntax),
        (r#"L402 "x""#, ChallengeError::Syntax),
        (r#"token="x""#, ChallengeError::Syntax),
        (r#"L402 error="no \"good\"""#, ChallengeError::Refused("no \"good\"".to_owned())),
    ] {
        assert_eq!(parse(value), Err(error), "{value}");
    }
}

#[test]
fn nothing_breaks_out_of_the_quotes() {
    let nasty = "a\r\nSet-Cookie: x\"\\, L402 token=\"b\u{e9}\0";
    let value = error_header(nasty);
    assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    assert!(matches!(parse(&value), Err(ChallengeError::Refused(_))));
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(value: String, ascii in "[ -~]{0,60}") {
        let _ = parse(&value);
        let _ = parse(&ascii);
        let _ = parse(&format!("L402 {ascii}"));
    }

    #[test]
    fn any_text_stays_inside_its_quotes(text: String) {
        let refused = parse(&error_header(&text));
        prop_assert!(matches!(refused, Err(ChallengeError::Refused(_))), "{:?}", refused);
    }
}
