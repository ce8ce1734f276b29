//! lightningd's calls, each in its manner.

use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Cln, RpcError};
use crate::bolt12;
use crate::call::{Call, ConnectionId};
use crate::ledger::{Hash32, Invoice, LedgerError, State};
use crate::method::Method;
use crate::quirk::Report;
use crate::world::{Channels, CreateError, InvoiceSpec};

/// How a rune with a rate refuses one call too many.
const LIMITED: (i32, &str) = (1502, "Not permitted: too soon");

/// JSON-RPC's "method not found".
const UNKNOWN_COMMAND: i64 = -32601;

/// JSON-RPC's "invalid params".
const BAD_PARAMS: i64 = -32602;

/// lightningd's general error.
const LIGHTNINGD: i64 = -1;

/// `INVOICE_LABEL_ALREADY_EXISTS` and its neighbours in lightningd's list.
const LABEL_EXISTS: i64 = 900;
const PREIMAGE_EXISTS: i64 = 901;
const WAIT_TIMED_OUT: i64 = 904;
const INVOICE_NOT_FOUND: i64 = 905;
const STATUS_NOT_AS_ASKED: i64 = 906;
const OFFER_REFUSED: i64 = 1004;

/// Life of an invoice unless told otherwise, seconds: a week.
const EXPIRY_S: u64 = 604_800;

/// Life of an invoice of an offer, seconds.
const BOLT12_EXPIRY_S: u64 = 7200;

/// The longest description that fits into an invoice, bytes.
const MAX_DESCRIPTION: usize = 639;

/// Answers one call.
pub(super) async fn call(
    cln: &Cln,
    connection: Option<ConnectionId>,
    name: &str,
    params: &Value,
) -> Result<Value, RpcError> {
    let Some(params) = params.as_object() else {
        return Err(RpcError::new(BAD_PARAMS, "lnsim takes parameters by name only"));
    };
    let method = match name {
        "invoice" => Method::AddInvoice,
        "listinvoices" => Method::LookupInvoice,
        "getinfo" => Method::GetInfo,
        "delinvoice" => Method::CancelInvoice,
        "fetchinvoice" => Method::AddInvoice,
        "waitanyinvoice" => return wait_any_invoice(cln, connection, params).await,
        _ => return Err(RpcError::new(UNKNOWN_COMMAND, format!("Unknown command '{name}'"))),
    };
    cln.world.calls.add(method);
    let mut call = Call::new(&cln.world, method, connection);
    before(&mut call).await?;
    let answer = match method {
        Method::AddInvoice if name == "fetchinvoice" => fetch_invoice(cln, params),
        Method::AddInvoice => invoice(cln, params),
        Method::LookupInvoice => list_invoices(cln, params),
        Method::CancelInvoice => del_invoice(cln, params),
        _ => Ok(get_info(cln)),
    }?;
    call.after().await;
    Ok(answer)
}

async fn before(call: &mut Call<'_>) -> Result<(), RpcError> {
    call.before(LIMITED).await.map_err(|(code, text)| RpcError::new(code.into(), text))
}

fn get_info(cln: &Cln) -> Value {
    json!({
        "id": HEXLOWER.encode(&cln.world.receiver.public()),
        "alias": "lnsim",
        "color": "3399ff",
        "num_peers": 1,
        "num_pending_channels": 0,
        "num_active_channels": 1,
        "num_inactive_channels": 0,
        "address": [],
        "binding": [],
        "version": "v26.06",
        "blockheight": 450,
        "network": "regtest",
        "fees_collected_msat": 0,
        "lightning-dir": "/nowhere/.lightning/regtest",
    })
}

fn invoice(cln: &Cln, params: &Map<String, Value>) -> Result<Value, RpcError> {
    let label = label(params)?;
    let amount_msat = match params.get("amount_msat") {
        Some(Value::String(text)) if text == "any" => 0,
        Some(Value::String(text)) => text.strip_suffix("msat").unwrap_or(text).parse().unwrap_or(0),
        Some(value) => value.as_u64().unwrap_or(0),
        None => return Err(missing("amount_msat")),
    };
    let Some(description) = params.get("description").and_then(Value::as_str) else {
        return Err(missing("description"));
    };
    if description.len() > MAX_DESCRIPTION {
        let text = format!("Descriptions greater than {MAX_DESCRIPTION} bytes require deschashonly");
        return Err(RpcError::new(BAD_PARAMS, text));
    }
    if cln.labels().contains_key(&label) {
        return Err(RpcError::new(LABEL_EXISTS, format!("Duplicate label '{label}'")));
    }
    let spec = InvoiceSpec {
        amount_msat,
        memo: description.to_owned(),
        expiry_s: params.get("expiry").and_then(Value::as_u64).unwrap_or(EXPIRY_S),
        preimage: params.get("preimage").map(hash_of).transpose()?,
        // Left to itself, lightningd names private channels where it has no public one.
        hints: params.get("exposeprivatechannels").is_none_or(|expose| *expose == true),
        ..InvoiceSpec::default()
    };
    let (made, reported) = cln.world.create(spec).map_err(|error| match error {
        CreateError::Ledger(LedgerError::Duplicate) => {
            RpcError::new(PREIMAGE_EXISTS, "preimage already used")
        }
        error => RpcError::new(LIGHTNINGD, error.to_string()),
    })?;
    cln.labels().insert(label, made.hash);
    let mut answer = json!({
        "payment_hash": HEXLOWER.encode(&reported),
        "expires_at": made.created + made.expiry_s,
        "bolt11": made.bolt11,
        "payment_secret": HEXLOWER.encode(&made.payment_addr),
        "created_index": made.add_index,
    });
    if cln.world.channels() == Channels::None {
        answer["warning_capacity"] = "Insufficient incoming channel capacity to pay invoice".into();
    }
    Ok(answer)
}

/// An invoice of one of the node's own offers.
fn fetch_invoice(cln: &Cln, params: &Map<String, Value>) -> Result<Value, RpcError> {
    let offer = params.get("offer").and_then(Value::as_str).ok_or_else(|| missing("offer"))?;
    let description = bolt12::description(offer)
        .ok_or_else(|| RpcError::new(BAD_PARAMS, "offer: should be a valid bolt12 offer"))?;
    let spec = InvoiceSpec {
        amount_msat: params
            .get("amount_msat")
            .and_then(Value::as_u64)
            .ok_or_else(|| missing("amount_msat"))?,
        memo: description,
        expiry_s: BOLT12_EXPIRY_S,
        offer: Some(offer.to_owned()),
        ..InvoiceSpec::default()
    };
    let made = cln.world.create(spec);
    let (made, _) = made.map_err(|error| RpcError::new(OFFER_REFUSED, error.to_string()))?;
    // lightningd's own: the offer, who asked, and a counter.
    let offer_id = HEXLOWER.encode(&Sha256::digest(offer));
    cln.labels().insert(format!("{offer_id}-{}-0", HEXLOWER.encode(&made.hash)), made.hash);
    Ok(json!({ "invoice": made.bolt11, "changes": {} }))
}

fn list_invoices(cln: &Cln, params: &Map<String, Value>) -> Result<Value, RpcError> {
    let hashes = if let Some(hash) = params.get("payment_hash") {
        let hash = hash_of(hash)?;
        match cln.world.look_up(&hash) {
            Err(Some((code, text))) => return Err(RpcError::new(code.into(), text)),
            Err(None) => Vec::new(),
            Ok(_) => vec![hash],
        }
    } else if params.contains_key("label") {
        cln.labels().get(&label(params)?).copied().into_iter().collect()
    } else {
        cln.world.with_ledger(|ledger, _| ledger.hashes())
    };
    let now = cln.world.now();
    let found =
        hashes.iter().filter_map(|hash| cln.world.with_ledger(|ledger, now| ledger.look_up(hash, now)).ok());
    let report = cln.world.faults().report(Method::LookupInvoice);
    let rows: Vec<Value> = found.filter_map(|invoice| row(cln, &invoice, now, &report)).collect();
    Ok(json!({ "invoices": rows }))
}

fn del_invoice(cln: &Cln, params: &Map<String, Value>) -> Result<Value, RpcError> {
    let label = label(params)?;
    let Some(hash) = cln.labels().get(&label).copied() else {
        return Err(RpcError::new(INVOICE_NOT_FOUND, "Unknown invoice"));
    };
    let now = cln.world.now();
    let found = cln.world.with_ledger(|ledger, now| ledger.look_up(&hash, now));
    let row = found.ok().and_then(|invoice| row(cln, &invoice, now, &Report::default()));
    let Some(row) = row else { return Err(RpcError::new(INVOICE_NOT_FOUND, "Unknown invoice")) };
    if params.get("status") != Some(&row["status"]) {
        let text = format!("Invoice status is {} not {}", row["status"], params["status"]);
        return Err(RpcError::new(STATUS_NOT_AS_ASKED, text));
    }
    // Paid since it was looked at: lightningd compares and deletes in one step.
    cln.world.cancel(&hash).map_err(|error| RpcError::new(STATUS_NOT_AS_ASKED, error.to_string()))?;
    cln.labels().remove(&label);
    Ok(row)
}

/// Counted only once it waits: who waits for the count knows that no payment from then on is lost to it.
async fn wait_any_invoice(
    cln: &Cln,
    connection: Option<ConnectionId>,
    params: &Map<String, Value>,
) -> Result<Value, RpcError> {
    let after = params.get("lastpay_index").and_then(Value::as_u64).unwrap_or(0);
    let timeout = params.get("timeout").and_then(Value::as_u64);
    let mut call = Call::new(&cln.world, Method::SubscribeInvoices, connection);
    let mut events = cln.world.subscribe(u64::MAX, after);
    if timeout != Some(0) {
        cln.world.calls.add(Method::SubscribeInvoices);
    }
    before(&mut call).await?;
    let end = async {
        match timeout {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let settled = loop {
        if let Some(settled) = cln.world.next_settled(after) {
            break settled;
        }
        tokio::select! {
            event = events.recv() => {
                if event.is_none() {
                    return Err(RpcError::new(LIGHTNINGD, "the node stops"));
                }
            }
            () = &mut end => {
                return Err(RpcError::new(WAIT_TIMED_OUT, "Timed out while waiting for invoice to be paid"));
            }
        }
    };
    call.after().await;
    let report = cln.world.faults().report(Method::SubscribeInvoices);
    row(cln, &settled, cln.world.now(), &report)
        .ok_or_else(|| RpcError::new(LIGHTNINGD, "the invoice is gone"))
}

/// An invoice as lightningd lists it; `None` for one that was deleted.
fn row(cln: &Cln, invoice: &Invoice, now: u64, report: &Report) -> Option<Value> {
    let expires_at = invoice.created + invoice.expiry_s;
    let status = match invoice.state {
        State::Open | State::Accepted => "unpaid",
        State::Settled => "paid",
        State::Canceled if now > expires_at => "expired",
        State::Canceled => return None,
    };
    let labels = cln.labels();
    let label = labels.iter().find(|(_, hash)| **hash == invoice.hash).map(|(label, _)| label.clone());
    let mut row = json!({
        "label": label.unwrap_or_else(|| format!("lnsim-{}", invoice.add_index)),
        "payment_hash": HEXLOWER.encode(&invoice.hash),
        "status": report.state(status),
        "description": invoice.memo,
        "expires_at": expires_at,
        "created_index": invoice.add_index,
    });
    let form = if invoice.bolt11.starts_with("lni1") { "bolt12" } else { "bolt11" };
    row[form] = invoice.bolt11.clone().into();
    if invoice.amount_msat > 0 {
        row["amount_msat"] = invoice.amount_msat.into();
    }
    if invoice.state == State::Settled {
        row["pay_index"] = invoice.settle_index.into();
        row["amount_received_msat"] = report.received_json(invoice);
        row["paid_at"] = invoice.settled_at.into();
        row["payment_preimage"] = report.preimage_json(invoice);
    }
    Some(row)
}

fn label(params: &Map<String, Value>) -> Result<String, RpcError> {
    match params.get("label") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err(missing("label")),
    }
}

fn hash_of(value: &Value) -> Result<Hash32, RpcError> {
    let bytes = value.as_str().and_then(|text| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        RpcError::new(BAD_PARAMS, format!("should be a 32 byte hex value: invalid token '{value}'"))
    })
}

fn missing(name: &str) -> RpcError {
    RpcError::new(BAD_PARAMS, format!("missing required parameter: {name}"))
}
