//! Inspection: golden outputs (`UPDATE_GOLDEN=1` writes them anew), and each thing that can be wrong.

use l402::challenge::Challenge;
use l402::{Identifier, Macaroon, PaymentHash, Preimage, RootKey, TokenId};
use lnsim::bolt11::{Draft, Network, NodeKey};

use super::*;

const NOW: u64 = 1_800_000_000;
const PREIMAGE: [u8; 32] = [7; 32];

fn hash() -> PaymentHash {
    Preimage::from_bytes(PREIMAGE).payment_hash()
}

fn bolt11(edit: impl FnOnce(&mut Draft<'_>)) -> String {
    let mut draft = Draft {
        network: Network::Regtest,
        hash: hash().0,
        payment_addr: [3; 32],
        amount_msat: 10_000,
        memo: "one article",
        description_hash: None,
        created: NOW - 60,
        expiry_s: 600,
        cltv_expiry: 80,
    };
    edit(&mut draft);
    NodeKey::from_bytes(&[1; 32]).unwrap().sign(&draft).unwrap()
}

fn macaroon(caveats: &[&str]) -> Macaroon {
    let root = RootKey::from_material(&[5; 32]).unwrap();
    let identifier = Identifier::new(hash(), TokenId::new(root.id(), [9; 28]));
    Macaroon::mint(&root, &identifier, "shop.test", caveats.iter().copied())
}

const SOLD: [&str; 5] =
    ["origin=shop.test", "path=/article", "method=GET", "valid_until=1800003600", "uses=1"];

fn token(caveats: &[&str]) -> String {
    macaroon(caveats).to_base64()
}

fn paid(caveats: &[&str]) -> String {
    format!("{}:{}", token(caveats), "07".repeat(32))
}

fn challenge(token: &str, invoice: &str) -> String {
    Challenge { macaroon_b64: token, invoice, offer: None, error: None }.header_value()
}

/// Compares with a file of `tests/golden`.
fn golden(name: &str, found: &Inspection) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let shown = if name.ends_with(".json") {
        serde_json::to_string_pretty(found).unwrap() + "\n"
    } else {
        found.render(NOW)
    };
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, expected, "{name} differs; UPDATE_GOLDEN=1 writes it anew");
}

#[track_caller]
fn problem(text: &str, expected: &str) {
    let found = inspect(text, NOW, false);
    assert!(found.problems.iter().any(|problem| problem.contains(expected)), "{:#?}", found.problems);
}

#[test]
fn a_good_challenge() {
    let text = challenge(&token(&SOLD), &bolt11(|_| {}));
    let found = inspect(&text, NOW, false);
    golden("challenge.txt", &found);
    golden("challenge.json", &found);
    let line = format!("< WWW-Authenticate: {text}");
    assert_eq!(inspect(&line, NOW, false).render(NOW), found.render(NOW));
}

#[test]
fn an_offer_is_shown_and_a_bolt12_invoice_named() {
    let token = token(&SOLD);
    let with = |invoice: &str| {
        Challenge { macaroon_b64: &token, invoice, offer: Some("lno1pp"), error: None }.header_value()
    };
    let found = inspect(&with(&bolt11(|_| {})), NOW, false);
    assert!(found.render(NOW).contains("  offer         lno1pp\n"), "{}", found.render(NOW));
    assert_eq!(found.problems, Vec::<String>::new());
    problem(&with("lni1qq"), "a BOLT12 invoice");
    problem("LNI1QQ", "a BOLT12 invoice");
}

#[test]
fn a_good_credential_hides_its_preimage() {
    for text in [
        paid(&SOLD),
        format!("Authorization: L402 {}", paid(&SOLD)),
        format!("LSAT token=\"{}\", preimage=\"{}\"", token(&SOLD), "07".repeat(32)),
    ] {
        let found = inspect(&text, NOW, false);
        golden("credential.txt", &found);
        assert!(!serde_json::to_string(&found).unwrap().contains(&"07".repeat(32)));
    }
    golden("credential-shown.txt", &inspect(&paid(&SOLD), NOW, true));
    let mut caveat = macaroon(&SOLD);
    caveat.add_first_party(format!("preimage={}", "07".repeat(32)));
    let hex = data_encoding::HEXLOWER.encode(&caveat.encode_v2());
    let found = inspect(&format!("Macaroon: {hex}"), NOW, false);
    assert_eq!(found.tokens[0].preimage, "present, matches");
    assert!(!found.render(NOW).contains(&"07".repeat(32)), "{}", found.render(NOW));
    assert_eq!(found.problems, Vec::<String>::new());
}

#[test]
fn a_good_invoice() {
    golden("invoice.txt", &inspect(&bolt11(|_| {}), NOW, false));
    let loud = format!("LIGHTNING:{}", bolt11(|_| {}).to_uppercase());
    assert_eq!(inspect(&loud, NOW, false).problems, Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_an_invoice() {
    problem(&bolt11(|draft| draft.expiry_s = 30), "the invoice expired 30 s ago");
    problem(&bolt11(|draft| draft.amount_msat = 0), "names no amount");
    let good = bolt11(|_| {});
    problem(&format!("{}q", &good[..good.len() - 1]), "not a BOLT11 invoice");
    problem("lnbcrt1", "not a BOLT11 invoice");
}

#[test]
fn what_is_wrong_with_a_challenge() {
    let other = bolt11(|draft| draft.hash = [8; 32]);
    problem(&challenge(&token(&SOLD), &other), "the token is for another payment than the invoice");
    problem("L402 macaroon=\"AgE\"", "the macaroon is damaged");
    problem("L402 macaroon=\"AgE\", invoice=\"x\"", "not a BOLT11 invoice");
    problem("L402 invoice=\"lnbc1\"", "has no token");
    problem("L402 error=\"the token is expired\"", "the server refused a token: the token is expired");
    let text = challenge(&token(&SOLD), &bolt11(|_| {})).replace("version=\"0\"", "version=\"7\"");
    problem(&text, "version 7");
}

#[test]
fn what_is_wrong_with_a_token() {
    let mac = token(&SOLD);
    problem(&format!("{mac}:{}", "08".repeat(32)), "does not match");
    problem(&format!("{mac}:{}", "07".repeat(48)), "this wallet returned 48");
    problem(&format!("{mac}:xyz"), "not hex");
    problem("%%%", "not a token");
    problem("", "nothing to inspect");
    problem("L402", "the token is missing");
    problem(&token(&["colour=red"]), "colour=red");
    problem(&token(&["origin=a", "path=/", "method=GET", "uses=1", "uses=2"]), "contradict");
    problem(
        &token(&["origin=a", "path=/", "method=GET", "valid_until=1799999990", "uses=1"]),
        "expired 10 s ago",
    );
    problem(&token(&["uses=1"]), "not those of a token sold here");
}

#[test]
fn the_specifications_caveats_are_known() {
    let found = inspect(&token(&["services=shop:0", "shop_capabilities=read"]), NOW, false);
    assert_eq!(found.problems, Vec::<String>::new());
    problem(&token(&["services=shop:0", "shop_valid_until=1799999990"]), "expired 10 s ago");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let found = inspect(&token(&["colour=\u{1b}[2J"]), NOW, false);
    assert!(!found.render(NOW).contains('\u{1b}'));
}
