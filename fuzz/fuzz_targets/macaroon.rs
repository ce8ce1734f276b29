//! Macaroons in binary and in every text form.
#![no_main]

use l402::macaroon::{MAX_BYTES, MAX_CAVEATS};
use l402::{Macaroon, MacaroonError, RootKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(Macaroon::from_text(text));
    }
    let decoded = Macaroon::decode_v2(bytes);
    if let Ok(macaroon) = &decoded {
        let encoded = macaroon.encode_v2();
        // Only an empty location can be written in two ways.
        assert!(encoded == bytes || bytes.windows(2).any(|pair| pair == [1, 0]));
    }
    check(decoded);
});

fn check(read: Result<Macaroon, MacaroonError>) {
    let macaroon = match read {
        Ok(macaroon) => macaroon,
        Err(error) => return l402_fuzz::assert_plain(&error.to_string()),
    };
    assert!(macaroon.caveats.len() <= MAX_CAVEATS);
    let encoded = macaroon.encode_v2();
    assert!(encoded.len() <= MAX_BYTES);
    assert_eq!(Macaroon::decode_v2(&encoded), Ok(macaroon.clone()));

    let base64 = macaroon.to_base64();
    let hex: String = encoded.iter().map(|byte| format!("{byte:02X}")).collect();
    let forms = [
        format!(" {base64}\r\n"),
        base64.trim_end_matches('=').to_owned(),
        base64.replace('+', "-").replace('/', "_"),
        hex.to_lowercase(),
        hex,
    ];
    for form in forms {
        assert_eq!(Macaroon::from_text(&form), Ok(macaroon.clone()), "{form}");
    }

    // A fuzzer can't guess an HMAC. Appending needs no key and never makes a forgery good.
    let root = RootKey::from_bytes([7; 32]);
    assert!(!macaroon.verify_signature(&root));
    let mut narrowed = macaroon;
    narrowed.add_first_party("uses=1");
    assert!(!narrowed.verify_signature(&root));
}
