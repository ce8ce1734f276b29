//! Invoices made from fixed keys, secrets and times are those of the golden file, letter by letter.
//! `UPDATE_GOLDEN=1` writes the file anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use lnsim::bolt11::{DecodeError, Draft, Network, NodeKey, decode};

/// The key of the examples in BOLT11.
const KEY: &str = "e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734";

fn key() -> NodeKey {
    let bytes = data_encoding::HEXLOWER.decode(KEY.as_bytes()).unwrap();
    NodeKey::from_bytes(&bytes.try_into().unwrap()).unwrap()
}

fn draft() -> Draft<'static> {
    Draft {
        network: Network::Regtest,
        hash: [0x11; 32],
        payment_addr: [0x22; 32],
        amount_msat: 10_000,
        memo: "one request",
        description_hash: None,
        created: 1_496_314_658,
        expiry_s: 600,
        cltv_expiry: 80,
    }
}

#[test]
fn golden() {
    let drafts = [
        ("10000 msat", draft()),
        ("1 msat", Draft { amount_msat: 1, ..draft() }),
        ("any amount", Draft { amount_msat: 0, ..draft() }),
        ("description hash", Draft { description_hash: Some([0x33; 32]), ..draft() }),
        ("a day, no memo", Draft { expiry_s: 86_400, memo: "", ..draft() }),
        ("mainnet", Draft { network: Network::Mainnet, ..draft() }),
    ];
    let mut text = String::new();
    for (name, draft) in drafts {
        writeln!(text, "{name}\n{}\n", key().sign(&draft).unwrap()).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/bolt11.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}

#[test]
fn what_was_signed_is_read_again() {
    let invoice = decode(&key().sign(&draft()).unwrap()).unwrap();
    assert_eq!(invoice.payee, key().public());
    assert_eq!(invoice.hash, [0x11; 32]);
    assert_eq!(invoice.payment_addr, [0x22; 32]);
    assert_eq!(invoice.amount_msat, Some(10_000));
    assert_eq!(invoice.description, "one request");
    assert_eq!((invoice.created, invoice.expiry_s, invoice.cltv_expiry), (1_496_314_658, 600, 80));

    let any = Draft { amount_msat: 0, description_hash: Some([0x33; 32]), ..draft() };
    let invoice = decode(&key().sign(&any).unwrap()).unwrap();
    assert_eq!((invoice.amount_msat, invoice.description_hash), (None, Some([0x33; 32])));
}

#[test]
fn an_invoice_of_another_network_or_with_a_typo_is_refused() {
    let mainnet = key().sign(&Draft { network: Network::Mainnet, ..draft() }).unwrap();
    assert!(matches!(decode(&mainnet), Err(DecodeError::OtherNetwork)));
    let mut typo = key().sign(&draft()).unwrap().into_bytes();
    typo[30] = if typo[30] == b'q' { b'p' } else { b'q' };
    assert!(matches!(decode(std::str::from_utf8(&typo).unwrap()), Err(DecodeError::Malformed(_))));
}
