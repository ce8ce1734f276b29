//! A server of LNURL-pay that others wrote.

use lnsim::{InvoiceSpec, Sim};
use serde_json::{Value, json};

use super::js_wallet::{self, Service};
use super::sim::hash_from;
use super::stage::Stage;

/// Plays a scenario on such a server, or skips it with a word where there is none.
pub fn play(stage: &Stage, scenario: impl FnOnce(&Service)) {
    js_wallet::play(stage, "lnurl", make_invoice, scenario);
}

fn make_invoice(sim: &Sim, _: &str, params: &Value) -> Value {
    let made = sim.create(InvoiceSpec {
        amount_msat: params["amount"].as_u64().expect("an amount"),
        description_hash: params["description_hash"].as_str().map(hash_from),
        ..InvoiceSpec::default()
    });
    match made {
        Ok(invoice) => json!({ "result": { "invoice": invoice.bolt11 } }),
        Err(error) => json!({ "error": { "message": error.to_string() } }),
    }
}
