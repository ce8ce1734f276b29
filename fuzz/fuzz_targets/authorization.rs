//! `Authorization` and gRPC metadata: whatever is read can be written in our one form and reads the same.
#![no_main]

use l402::credential::{self, Found, MAX_TOKENS};
use l402::{Credential, CredentialError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| {
    for found in [credential::parse(header), credential::parse_metadata(header)] {
        let Found::Tokens(tokens) = found else { continue };
        assert!((1..=MAX_TOKENS).contains(&tokens.len()));
        for token in tokens {
            check(token);
        }
    }
});

fn check(token: Result<Credential, CredentialError>) {
    let token = match token {
        Ok(token) => token,
        Err(error) => return l402_fuzz::assert_plain(&error.to_string()),
    };
    if let Some(Err(error)) = &token.preimage {
        // What a wallet returned in a preimage's place is not written again.
        return l402_fuzz::assert_plain(&error.to_string());
    }
    let header = token.expose_header_value();
    l402_fuzz::assert_header(&header);
    let Found::Tokens(again) = credential::parse(header.as_bytes()) else { panic!("not L402: {header}") };
    assert_eq!(again, [Ok(token)]);
}
