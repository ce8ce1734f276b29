//! What a wallet's words mean: settled only where it says so, never by a preimage.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const HASH: PaymentHash = PaymentHash([3; 32]);

/// As a wallet reports it that tells the preimage whatever the state.
fn invoice(change: Value) -> Value {
    let mut invoice = json!({
        "type": "incoming", "invoice": "lnbcrt1", "preimage": "ab".repeat(32),
        "payment_hash": HEXLOWER.encode(&HASH.0), "amount": 5000, "created_at": 1000, "expires_at": 1600,
        "settled_at": null, "fees_paid": 0, "metadata": {},
    });
    for (key, value) in change.as_object().unwrap() {
        invoice[key] = value.clone();
    }
    invoice
}

fn look_up(change: Value) -> Found {
    found(invoice(change)).unwrap()
}

fn paid(change: Value) -> Payment {
    match look_up(change.clone()) {
        Found::Paid(payment) => payment,
        _ => panic!("not paid: {change}"),
    }
}

#[test]
fn an_open_invoice_is_told_as_it_is() {
    let open = |change| match look_up(change) {
        Found::Open { about, invoice, expires_at } => (about, invoice, expires_at),
        _ => panic!("not open"),
    };
    assert_eq!(open(json!({})), (Some(HASH), Some("lnbcrt1".to_owned()), Some(1600)));
    for text in [json!(""), json!(null), json!(7)] {
        assert_eq!(open(json!({ "invoice": text })).1, None);
    }
    for none in [json!(null), json!(0), json!("soon")] {
        assert_eq!(open(json!({ "expires_at": none })).2, None);
    }
    assert_eq!(open(json!({ "payment_hash": "11" })).0, None, "what is no hash is none");
}

#[test]
fn a_preimage_is_no_payment() {
    for change in [
        json!({}),
        json!({ "settled_at": 0 }),
        json!({ "state": "pending" }),
        json!({ "state": "PENDING", "settled_at": 1234 }),
        json!({ "state": "accepted", "settled_at": 1234 }),
        json!({ "state": "whatever" }),
        json!({ "settled_at": "yesterday" }),
        json!({ "settled": false }),
    ] {
        assert!(matches!(look_up(change.clone()), Found::Open { .. }), "{change}");
    }
}

#[test]
fn settled_is_what_the_wallet_calls_settled() {
    for change in [
        json!({ "state": "settled" }),
        json!({ "state": "SETTLED" }),
        json!({ "settled_at": 1234 }),
        json!({ "settled_at": 1234.0 }),
        json!({ "settled_at": "1234" }),
        json!({ "state": "settled", "settled_at": 1234 }),
        json!({ "state": "complete", "settled_at": 1234 }),
        json!({ "type": null, "state": "settled" }),
        json!({ "settled": true }),
        json!({ "paid": true }),
    ] {
        let payment = paid(change.clone());
        assert_eq!((payment.about, payment.received), (Some(HASH), Some(Msat(5000))), "{change}");
        assert!(!payment.outgoing, "{change}");
    }
    let upper = paid(json!({ "payment_hash": HEXLOWER.encode(&HASH.0).to_uppercase(), "state": "settled" }));
    assert_eq!(upper.about, Some(HASH));
    for state in ["failed", "expired", "Expired"] {
        assert!(matches!(look_up(json!({ "state": state })), Found::Dead { about: Some(_) }));
    }
}

#[test]
fn what_is_missing_or_odd_beside_it_is_none() {
    for amount in [json!(null), json!("much"), json!(-5000), json!(0.5), json!({})] {
        assert_eq!(paid(json!({ "state": "settled", "amount": amount })).received, None);
    }
    assert_eq!(paid(json!({ "state": "settled", "amount": "5000" })).received, Some(Msat(5000)));
    for preimage in [json!(null), json!(""), json!(7)] {
        assert_eq!(paid(json!({ "state": "settled", "preimage": preimage })).preimage, None);
    }
    let uuid = paid(json!({ "state": "settled", "preimage": "6f1b-uuid" }));
    assert_eq!(uuid.preimage.as_deref(), Some(&b"6f1b-uuid"[..]), "told from none");
    assert!(paid(json!({ "state": "settled", "type": "outgoing" })).outgoing);
}

#[test]
fn an_invoice_that_is_made() {
    let ask = InvoiceRequest { amount: Msat(5000), description: String::new(), expiry_s: 600 };
    let of = |change| made(invoice(change), &ask).map(|made| made.payment_hash);
    assert_eq!(of(json!({})), Ok(Some(HASH)));
    assert_eq!(of(json!({ "payment_hash": null, "amount": null })), Ok(None));
    assert!(of(json!({ "invoice": null })).is_err());
}

#[test]
fn notifications_of_payments_only() {
    let told = |kind: &str, change| {
        notification(&json!({ "notification_type": kind, "notification": invoice(change) }).to_string())
    };
    let paid = told("payment_received", json!({ "settled_at": 1234 })).unwrap().unwrap();
    assert_eq!((paid.about, paid.received), (Some(HASH), Some(Msat(5000))));
    assert!(told("payment_received", json!({})).unwrap().is_some(), "its type says it");
    assert!(told("payment_sent", json!({ "settled_at": 1234, "type": "outgoing" })).unwrap().is_none());
    assert!(told("hold_invoice_accepted", json!({ "state": "accepted" })).unwrap().is_none());
    assert!(told("payment_received", json!({ "state": "pending" })).unwrap().is_none());
    assert!(notification("{}").is_err() && notification("[]").is_err());
}

#[test]
fn an_answer_is_to_the_question() {
    let answer = |text: Value| response(Method::LookupInvoice, &text.to_string());
    for good in [
        json!({ "result_type": "lookup_invoice", "error": null, "result": {} }),
        json!({ "result_type": "lookup_invoice", "error": {}, "result": {} }),
        json!({ "result_type": "lookup_invoice", "error": { "code": "", "message": "" }, "result": {} }),
        json!({ "result_type": "lookup_invoice", "error": "", "result": {} }),
        json!({ "result": {} }),
    ] {
        assert!(answer(good.clone()).unwrap().is_ok(), "{good}");
    }
    let refused =
        |error| answer(json!({ "result_type": "lookup_invoice", "error": error })).unwrap().unwrap_err();
    assert_eq!(refused(json!({ "code": "NOT_FOUND" })).code, "NOT_FOUND");
    assert_eq!(refused(json!({ "code": 404, "message": "no" })).code, "404");
    assert_eq!(refused(json!("broken")).message, "broken");
    assert_eq!(refused(json!({})).code, "");
    for odd in [
        json!({ "result_type": "make_invoice", "result": {} }),
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
    let ask = InvoiceRequest { amount: Msat(10_001), description: "short".to_owned(), expiry_s: 600 };
    let text = request(Method::MakeInvoice, &make_invoice(&ask));
    let want = json!({
        "method": "make_invoice", "params": { "amount": 10_001, "description": "short", "expiry": 600 }
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);
}
