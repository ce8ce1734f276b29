//! What a wallet's words mean: settled only where it says so, never by a preimage.
#![allow(clippy::unwrap_used, clippy::panic)]

use lnsim::bolt11::{Draft, Network, NodeKey};

use super::*;

fn bolt11(hash: PaymentHash) -> String {
    let draft = Draft {
        network: Network::Regtest,
        hash: hash.0,
        payment_addr: [8; 32],
        amount_msat: 5000,
        memo: "weather",
        description_hash: None,
        created: 1000,
        expiry_s: 500,
        cltv_expiry: 40,
    };
    NodeKey::from_bytes(&[1; 32]).unwrap().sign(&draft).unwrap()
}

fn preimage() -> Preimage {
    Preimage::from_bytes([3; 32])
}

fn hash() -> PaymentHash {
    preimage().payment_hash()
}

/// As a wallet reports it that tells the preimage whatever the state.
fn invoice(change: Value) -> Value {
    let mut invoice = json!({
        "type": "incoming", "invoice": bolt11(hash()), "preimage": HEXLOWER.encode(preimage().expose()),
        "payment_hash": HEXLOWER.encode(&hash().0), "amount": 5000, "created_at": 1000, "expires_at": 1600,
        "settled_at": null, "fees_paid": 0, "metadata": {},
    });
    for (key, value) in change.as_object().unwrap() {
        invoice[key] = value.clone();
    }
    invoice
}

fn look_up(change: Value) -> Result<Lookup, LightningError> {
    lookup(hash(), invoice(change))
}

fn settled() -> Lookup {
    Lookup::Settled { preimage: Some(preimage()), received: Msat(5000) }
}

fn pending() -> Lookup {
    Lookup::Pending { bolt11: Some(bolt11(hash())), expires_at: 1600 }
}

#[test]
fn a_client_is_shown_no_other_invoice_again() {
    let other = look_up(json!({ "invoice": bolt11(PaymentHash([9; 32])) }));
    assert!(matches!(other, Err(LightningError::Wrong(_))), "{other:?}");
    let none = Lookup::Pending { bolt11: None, expires_at: 1600 };
    for text in [json!("lnbcrt1"), json!(""), json!(null), json!(7)] {
        assert_eq!(look_up(json!({ "invoice": text })).as_ref(), Ok(&none));
    }
    // The invoice's own expiry, where the wallet leaves it out.
    let found = look_up(json!({ "expires_at": null }));
    assert!(matches!(found, Ok(Lookup::Pending { expires_at: 1500, .. })), "{found:?}");
}

#[test]
fn an_invoice_without_its_hash_has_the_invoices_own() {
    let made_of = |value| made(invoice(value));
    assert_eq!(made_of(json!({ "payment_hash": null })), Ok((bolt11(hash()), hash())));
    assert_eq!(
        made_of(json!({ "payment_hash": "11".repeat(32) })),
        Ok((bolt11(hash()), PaymentHash([0x11; 32])))
    );
    assert!(made_of(json!({ "invoice": null })).is_err());
    assert!(made_of(json!({ "invoice": "lnbc", "payment_hash": "" })).is_err());
}

#[test]
fn a_preimage_is_no_payment() {
    for change in [
        json!({}),
        json!({ "settled_at": 0 }),
        json!({ "state": "pending" }),
        json!({ "state": "pending", "settled_at": 1234 }),
        json!({ "state": "accepted", "settled_at": 1234 }),
        json!({ "state": "whatever" }),
        json!({ "settled_at": "yesterday" }),
    ] {
        assert_eq!(look_up(change.clone()), Ok(pending()), "{change}");
    }
}

#[test]
fn settled_is_what_the_wallet_calls_settled() {
    for change in [
        json!({ "state": "settled" }),
        json!({ "settled_at": 1234 }),
        json!({ "settled_at": 1234.0 }),
        json!({ "state": "settled", "settled_at": 1234 }),
        json!({ "state": "complete", "settled_at": 1234 }),
        json!({ "type": null, "state": "settled" }),
        json!({ "payment_hash": null, "state": "settled" }),
        json!({ "payment_hash": HEXLOWER.encode(&hash().0).to_uppercase(), "state": "settled" }),
    ] {
        assert_eq!(look_up(change.clone()), Ok(settled()), "{change}");
    }
    for preimage in [json!(null), json!(""), json!("00".repeat(48)), json!("paid")] {
        let found = look_up(json!({ "state": "settled", "preimage": preimage }));
        assert_eq!(found, Ok(Lookup::Settled { preimage: None, received: Msat(5000) }));
    }
    for state in ["failed", "expired"] {
        assert_eq!(look_up(json!({ "state": state })), Ok(Lookup::Dead));
    }
}

#[test]
fn what_does_not_fit_is_wrong() {
    for change in [
        json!({ "state": "settled", "payment_hash": "11".repeat(32) }),
        json!({ "state": "settled", "payment_hash": "11" }),
        json!({ "state": "settled", "preimage": "11".repeat(32) }),
        json!({ "state": "settled", "amount": null }),
        json!({ "state": "settled", "amount": -5000 }),
        json!({ "state": "settled", "amount": 0.5 }),
        json!({ "state": "settled", "type": "outgoing" }),
        json!({ "state": "pending", "expires_at": null, "invoice": null }),
    ] {
        let found = look_up(change.clone());
        assert!(matches!(found, Err(LightningError::Wrong(_))), "{change}: {found:?}");
    }
}

#[test]
fn notifications_of_payments_only() {
    let told = |kind: &str, change| {
        notification(&json!({ "notification_type": kind, "notification": invoice(change) }).to_string())
    };
    let paid = told("payment_received", json!({ "settled_at": 1234 })).unwrap().unwrap();
    assert_eq!((paid.payment_hash, paid.received), (hash(), Msat(5000)));
    assert_eq!(told("payment_sent", json!({ "settled_at": 1234, "type": "outgoing" })), Ok(None));
    assert_eq!(told("hold_invoice_accepted", json!({ "state": "accepted" })), Ok(None));
    assert_eq!(told("payment_received", json!({ "state": "pending" })), Ok(None));
    for change in [
        json!({ "settled_at": 1234, "type": "outgoing" }),
        json!({ "settled_at": 1234, "payment_hash": null }),
        json!({ "settled_at": 1234, "payment_hash": "11".repeat(32) }),
    ] {
        assert!(told("payment_received", change.clone()).is_err(), "{change}");
    }
    assert!(notification("{}").is_err() && notification("[]").is_err());
}

#[test]
fn an_answer_is_to_the_question() {
    let answer = |text: Value| response(Method::LookupInvoice, &text.to_string());
    assert!(answer(json!({ "result_type": "lookup_invoice", "error": null, "result": {} })).unwrap().is_ok());
    let refused = answer(json!({ "result_type": "lookup_invoice", "error": { "code": "NOT_FOUND" } }));
    assert!(refused.unwrap().unwrap_err().is_not_found());
    for odd in [
        json!({ "result_type": "make_invoice", "result": {} }),
        json!({ "result": {} }),
        json!({ "result_type": "lookup_invoice" }),
        json!({ "result_type": "lookup_invoice", "result": [] }),
        json!("lookup_invoice"),
    ] {
        assert!(answer(odd.clone()).is_err(), "{odd}");
    }
    assert!(response(Method::GetInfo, "not JSON").is_err());
}

#[test]
fn a_request_has_every_amount_in_msat() {
    let ask = InvoiceRequest { amount: Msat(10_001), description: "x".repeat(700), expiry_s: 600 };
    let text = request(Method::MakeInvoice, &make_invoice(&ask, "short"));
    let want = json!({
        "method": "make_invoice", "params": { "amount": 10_001, "description": "short", "expiry": 600 }
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);
}
