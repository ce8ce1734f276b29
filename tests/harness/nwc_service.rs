//! A wallet service and a relay of Nostr Wallet Connect that others wrote.

use data_encoding::HEXLOWER;
use lnsim::{InvoiceSpec, InvoiceView, Sim, State};
use serde_json::{Value, json};

use super::js_wallet::{self, Service};
use super::sim::hash_from;
use super::stage::Stage;

/// Plays a scenario on such a service, or skips it with a word where there is none.
pub fn play(stage: &Stage, scenario: impl FnOnce(&Service)) {
    js_wallet::play(stage, "nwc", answer, |service| {
        stage.keep_secret(service.uri().rsplit("secret=").next().expect("a secret"));
        scenario(service);
    });
}

/// Lets the wallet tell its client of a payment, by the payment hash in hex.
pub fn tell(service: &Service, sim: &Sim, hash: &str) {
    let invoice = sim.invoice(&hash_from(hash)).expect("an invoice");
    service.say(&json!({ "paid": transaction(&invoice) }));
}

fn answer(sim: &Sim, method: &str, params: &Value) -> Value {
    match method {
        "make_invoice" => make_invoice(sim, params),
        "lookup_invoice" => look_up(sim, params),
        _ => json!({ "result": { "alias": "service", "network": "regtest", "methods": [] } }),
    }
}

fn make_invoice(sim: &Sim, params: &Value) -> Value {
    let made = sim.create(InvoiceSpec {
        amount_msat: params["amount"].as_u64().expect("an amount"),
        memo: params["description"].as_str().unwrap_or_default().to_owned(),
        expiry_s: params["expiry"].as_u64().unwrap_or_default(),
        ..InvoiceSpec::default()
    });
    match made {
        Ok(invoice) => json!({ "result": transaction(&invoice) }),
        Err(error) => json!({ "error": { "code": "OTHER", "message": error.to_string() } }),
    }
}

fn look_up(sim: &Sim, params: &Value) -> Value {
    match params["payment_hash"].as_str().and_then(|hash| sim.invoice(&hash_from(hash))) {
        Some(invoice) => json!({ "result": transaction(&invoice) }),
        None => json!({ "error": { "code": "NOT_FOUND", "message": "no such invoice" } }),
    }
}

/// As a wallet reports an invoice; its preimage once it is settled.
fn transaction(invoice: &InvoiceView) -> Value {
    let settled = invoice.state == State::Settled;
    json!({
        "type": "incoming", "state": if settled { "settled" } else { "pending" }, "invoice": invoice.bolt11,
        "description": invoice.memo, "description_hash": "",
        "preimage": if settled { HEXLOWER.encode(&invoice.preimage) } else { String::new() },
        "payment_hash": HEXLOWER.encode(&invoice.hash), "amount": invoice.amount_msat, "fees_paid": 0,
        "created_at": invoice.created, "expires_at": invoice.created + invoice.expiry_s,
        "settled_at": settled.then_some(invoice.settled_at),
    })
}
