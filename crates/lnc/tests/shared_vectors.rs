//! Handshakes, messages and stream ids that the reference implementation made from fixed keys, in
//! `shared/lnc/vectors.json` beside the repository; skipped with a word where there is none.
#![allow(clippy::unwrap_used)]

mod exchange;

use std::path::Path;

use data_encoding::HEXLOWER;
use exchange::{Exchange, N, Pattern, key_of};
use lnc::{PairingPhrase, msg_data};
use serde_json::Value;

/// From the nearest folder above that has them.
fn vectors() -> Option<Value> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find_map(|folder| std::fs::read(folder.join("shared/lnc/vectors.json")).ok())?;
    Some(serde_json::from_slice(&found).unwrap())
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

#[test]
fn the_phrase_and_the_frame() {
    let Some(vectors) = vectors() else {
        return println!("skipped: no shared vectors beside the repository");
    };
    let words = vectors["words"].as_str().unwrap();
    let phrase = PairingPhrase::parse(words).unwrap();
    assert_eq!(phrase.expose_entropy().as_slice(), bytes(&vectors["entropy"]));
    assert_eq!(phrase.expose_words().as_str(), words);
    assert_eq!(N, vectors["N"].as_str().unwrap());
    assert_eq!(msg_data::encode(b"abc"), bytes(&vectors["msgdata_abc"]));
}

#[test]
fn every_handshake() {
    let Some(vectors) = vectors() else {
        return println!("skipped: no shared vectors beside the repository");
    };
    let phrase = PairingPhrase::parse(vectors["words"].as_str().unwrap()).unwrap();
    let handshakes = vectors["handshakes"].as_array().unwrap();
    assert_eq!(handshakes.len(), 4);
    for want in handshakes {
        let pattern = match (want["pattern"].as_str().unwrap(), want["server_max_version"].as_u64().unwrap())
        {
            ("XXeke+SPAKE2", 0) => Pattern::XxV0,
            ("XXeke+SPAKE2", 1) => Pattern::XxV1,
            ("XXeke+SPAKE2", 2) => Pattern::XxV2,
            ("KK", 2) => Pattern::Kk,
            other => panic!("an unknown handshake: {other:?}"),
        };
        for (name, byte) in [("initiator_static", 0x11), ("responder_static", 0x22)]
            .into_iter()
            .chain([("initiator_ephemeral", 0x33), ("responder_ephemeral", 0x44)])
        {
            assert_eq!(
                want[format!("{name}_priv")],
                format!("{byte:x}*32"),
                "the keys that exchange.rs uses"
            );
            assert_eq!(key_of(byte).expose().as_slice(), [byte; 32]);
        }
        let auth_data = want["auth_data"].as_str().unwrap();
        let got = Exchange::run(pattern, &phrase, auth_data.as_bytes()).tell();
        for field in ["i2r_hello", "i2r_world", "i2r_msg-1099", "r2i_olleh", "sha256_i2r_msgs_2_1099"]
            .into_iter()
            .chain(["acts", "received_auth_data", "sid_before", "sid_after"])
        {
            assert_eq!(got[field], want[field], "{field} of {pattern:?}");
        }
    }
}
