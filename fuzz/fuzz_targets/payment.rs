//! Identifiers, preimages, payment hashes, and values in caveats.
#![no_main]

use l402::caveat::encode_value;
use l402::{Identifier, PaymentHash, Preimage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Identifier::decode(bytes) {
        Ok(identifier) => assert_eq!(identifier.encode(), bytes),
        Err(error) => l402_fuzz::assert_plain(&error.to_string()),
    }

    let value = encode_value(bytes);
    assert!(value.bytes().all(|byte| matches!(byte, 0x21..=0x7e)));
    assert_eq!(l402_fuzz::percent_decoded(&value).as_deref(), Some(bytes));

    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Preimage::from_hex(text) {
        Ok(preimage) => {
            assert_eq!(preimage.expose_hex(), text.to_ascii_lowercase());
            assert!(preimage.matches(&preimage.payment_hash()));
            assert!(!preimage.matches(&PaymentHash(*preimage.expose())));
            assert!(!format!("{preimage:?}").contains(text));
        }
        Err(error) => l402_fuzz::assert_plain(&error.to_string()),
    }
    match text.parse::<PaymentHash>() {
        Ok(hash) => assert_eq!(hash.to_string(), text.to_ascii_lowercase()),
        Err(error) => l402_fuzz::assert_plain(&error.to_string()),
    }
});
