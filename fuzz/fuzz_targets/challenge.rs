//! `WWW-Authenticate` as a client reads it, and our own as we write it.
#![no_main]

use l402::challenge::{Challenge, ChallengeError, error_header, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Any text at all can be a 401's reason.
    let refused = error_header(text);
    l402_fuzz::assert_header(&refused);
    assert_eq!(parse(&refused), Err(ChallengeError::Refused(shown(text))));

    match parse(text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(read) => {
            let written = Challenge {
                macaroon_b64: &read.token,
                invoice: &read.invoice,
                offer: read.offer.as_deref(),
                error: read.error.as_deref(),
            }
            .header_value();
            l402_fuzz::assert_header(&written);
            for header in [
                written.clone(),
                format!("Basic realm=\"a, L402 b\", {written}"),
                format!("{written}, LSAT token=\"no\", invoice=\"no\""),
                format!("LSAT token=\"no\", invoice=\"no\", {written}"),
            ] {
                let again = parse(&header).expect("what we write can be read");
                assert_eq!((again.token, again.invoice), (shown(&read.token), shown(&read.invoice)));
                assert_eq!(again.version.as_deref(), Some("0"));
            }
        }
    }
});

/// What is left of a text in a header.
fn shown(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}
