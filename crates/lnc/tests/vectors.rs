//! The vectors in `tests/vectors/exchanges.json` are what this code makes today: whole exchanges from fixed keys.
//! `UPDATE_GOLDEN=1` writes the file anew.
#![allow(clippy::unwrap_used)]

mod exchange;

use std::path::Path;

use data_encoding::HEXLOWER;
use exchange::{Exchange, N, Pattern};
use lnc::PairingPhrase;
use serde_json::{Value, json};

const WORDS: &str = "letter advice cage absurd amount doctor acoustic avoid letter zoo";

#[test]
fn are_fresh() {
    let phrase = PairingPhrase::parse(WORDS).unwrap();
    let exchanges: Vec<Value> = [Pattern::XxV0, Pattern::XxV1, Pattern::XxV2, Pattern::Kk]
        .map(|pattern| Exchange::run(pattern, &phrase, b"Macaroon: 0201036c6e640258").tell())
        .into();
    let made = json!({
        "note": "static keys 11…, 22…; ephemeral keys 33…, 44… (initiator, responder); each byte 32 times",
        "words": WORDS,
        "entropy": HEXLOWER.encode(phrase.expose_entropy()),
        "N": N,
        "exchanges": exchanges,
    });
    let made = serde_json::to_string_pretty(&made).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/exchanges.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "tests/vectors/exchanges.json differs; UPDATE_GOLDEN=1 writes it anew");
}
