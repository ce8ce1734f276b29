//! Eclair's front door: its HTTP interface and its websocket, in Eclair's manner, over the shared [`World`].

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use futures_util::{SinkExt, StreamExt};
use hyper::Method as HttpMethod;
use hyper::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::call::Call;
use crate::http::{self, Answer, Ask, Door};
use crate::ledger::{Hash32, Invoice, LedgerError, State};
use crate::method::Method;
use crate::world::{Channels, InvoiceSpec, World};

/// How one call too many is refused, by whatever stands before it.
const LIMITED: (i32, &str) = (429, "too many requests");

/// How late a wrong password is answered, so that guessing is slow.
const WRONG_PASSWORD: Duration = Duration::from_secs(1);

/// How an Eclair is.
#[derive(Clone, Debug)]
pub struct EclairOptions {
    /// The password of its interface.
    pub password: String,
    /// What its websocket says of a payment.
    pub events: EclairEvents,
}

/// What the websocket says of a payment, from release to release. Those before 0.7 have no `deleteinvoice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EclairEvents {
    /// Parts with the time of their receipt as an object (0.14 and some before).
    #[default]
    Current,
    /// Parts with their time as a number (0.3.2 to 0.6).
    Numbers,
    /// No parts: amount and channel beside the hash (before).
    NoParts,
}

/// The front door.
pub(crate) struct Eclair {
    world: Arc<World>,
    options: EclairOptions,
}

impl Eclair {
    pub(crate) fn new(world: Arc<World>, options: EclairOptions) -> Self {
        Self { world, options }
    }

    async fn handle(self: Arc<Self>, mut ask: Ask) -> Answer {
        if !self.knows(&ask) {
            tokio::time::sleep(WRONG_PASSWORD).await;
            return error(401, "The supplied authentication is invalid");
        }
        let (method, get) = match ask.path.as_str() {
            "/createinvoice" => (Method::AddInvoice, false),
            "/getreceivedinfo" => (Method::LookupInvoice, false),
            "/deleteinvoice" if self.options.events == EclairEvents::Current => {
                (Method::CancelInvoice, false)
            }
            "/getinfo" => (Method::GetInfo, false),
            "/channels" => (Method::ListChannels, false),
            "/ws" => (Method::SubscribeInvoices, true),
            _ => return error(404, "The requested resource could not be found."),
        };
        if (ask.method == HttpMethod::GET) != get {
            return error(405, "HTTP method not allowed, supported methods: POST");
        }
        if method == Method::SubscribeInvoices {
            return self.listen(&mut ask).await;
        }
        self.world.calls.add(method);
        let mut call = Call::new(&self.world, method, Some(ask.connection()));
        if let Err(refusal) = call.before(LIMITED).await {
            return refused(refusal);
        }
        let answer = match method {
            Method::AddInvoice => self.create_invoice(&ask),
            Method::ListChannels => self.channels(),
            Method::LookupInvoice => self.received_info(&ask),
            Method::CancelInvoice => self.delete_invoice(&ask),
            _ => self.info(),
        };
        call.after().await;
        answer.unwrap_or_else(|answer| *answer)
    }

    /// Whether the password is right; the user's name does not matter.
    fn knows(&self, ask: &Ask) -> bool {
        let credentials = ask.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let basic = credentials.and_then(|text| text.strip_prefix("Basic "));
        let decoded = basic.and_then(|text| BASE64.decode(text.as_bytes()).ok());
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        text.as_deref()
            .and_then(|text| text.split_once(':'))
            .is_some_and(|(_, it)| it == self.options.password)
    }

    fn create_invoice(&self, ask: &Ask) -> Result<Answer, Box<Answer>> {
        let hash = match ask.form.get("descriptionHash") {
            Some(hex) => Some(hash32(hex).ok_or_else(|| malformed("descriptionHash"))?),
            None => None,
        };
        let memo = match (ask.form.get("description"), hash) {
            (Some(text), None) => text.to_owned(),
            (None, Some(_)) => String::new(),
            (None, None) => return Err(failed(400, "Request is missing required form field 'description'")),
            (Some(_), Some(_)) => {
                return Err(failed(400, "you must specify either description or descriptionHash"));
            }
        };
        let spec = InvoiceSpec {
            amount_msat: number(ask, "amountMsat")?.unwrap_or_default(),
            memo,
            description_hash: hash,
            // eclair.invoice-expiry is an hour unless it is set otherwise.
            expiry_s: number(ask, "expireIn")?.unwrap_or(3600),
            cltv_expiry: 24,
            hints: ask
                .form
                .get("privateChannelIds")
                .is_some_and(|ids| ids.split(',').all(|id| id.len() == 64)),
            ..InvoiceSpec::default()
        };
        match self.world.create(spec) {
            Ok((invoice, reported)) => {
                let mut shown = self.invoice(&invoice);
                shown["paymentHash"] = HEXLOWER.encode(&reported).into();
                Ok(http::json(200, &shown))
            }
            Err(refusal) => Err(failed(400, &refusal.to_string())),
        }
    }

    fn received_info(&self, ask: &Ask) -> Result<Answer, Box<Answer>> {
        let hash = ask.form.get("paymentHash").and_then(hash32).ok_or_else(|| malformed("paymentHash"))?;
        let not_found = || failed(404, "Not found");
        let report = self.world.faults().report(Method::LookupInvoice);
        let invoice = match self.world.look_up(&hash) {
            Ok(invoice) => invoice,
            Err(None) => return Err(not_found()),
            Err(Some(said)) => return Err(Box::new(refused(said))),
        };
        let (settled, now) = (invoice.state == State::Settled, self.world.now());
        let status = match invoice.state {
            State::Settled => {
                let amount = report.received_json(&invoice);
                json!({ "type": report.state("received"), "amount": amount, "receivedAt": time(invoice.settled_at) })
            }
            State::Open | State::Accepted => json!({ "type": report.state("pending") }),
            State::Canceled if now > invoice.created + invoice.expiry_s => json!({ "type": "expired" }),
            // Eclair has no cancelled invoices: they are deleted.
            State::Canceled => return Err(not_found()),
        };
        Ok(http::json(
            200,
            &json!({
                "invoice": self.invoice(&invoice),
                // Whatever the status is.
                "paymentPreimage": match settled {
                    true => report.preimage_json(&invoice),
                    false => HEXLOWER.encode(&invoice.preimage).into(),
                },
                "paymentType": "Standard",
                "createdAt": time(invoice.created),
                "status": status,
            }),
        ))
    }

    /// What it does not have is deleted as well; of what is paid, only its log says that it can't be.
    fn delete_invoice(&self, ask: &Ask) -> Result<Answer, Box<Answer>> {
        let hash = ask.form.get("paymentHash").and_then(hash32).ok_or_else(|| malformed("paymentHash"))?;
        match self.world.cancel(&hash) {
            Ok(()) | Err(LedgerError::NotFound | LedgerError::NoInvoices) => {
                Ok(http::json(200, &json!(format!("deleted invoice {}", HEXLOWER.encode(&hash)))))
            }
            Err(_) => Err(failed(400, "API call failed: check logs for more details")),
        }
    }

    /// As much of a channel as says whether it is announced.
    fn channels(&self) -> Result<Answer, Box<Answer>> {
        let channel = |number: u8, announced: bool| {
            json!({
                "nodeId": HEXLOWER.encode(&self.world.payer.public()),
                "channelId": format!("{number:064x}"),
                "state": "NORMAL",
                "data": { "commitments": { "channelParams": { "channelFlags": { "announceChannel": announced } } } },
            })
        };
        let channels: Vec<Value> = match self.world.channels() {
            Channels::Public => vec![channel(1, true)],
            Channels::Private(count) => (0..count).map(|number| channel(number, false)).collect(),
            Channels::None => Vec::new(),
        };
        Ok(http::json(200, &Value::from(channels)))
    }

    fn info(&self) -> Result<Answer, Box<Answer>> {
        Ok(http::json(
            200,
            &json!({
                "version": concat!("0.14.0-lnsim", env!("CARGO_PKG_VERSION")),
                "nodeId": HEXLOWER.encode(&self.world.receiver.public()),
                "alias": "lnsim",
                "color": "#49daaa",
                "chainHash": "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f",
                "network": "regtest",
                "blockHeight": 450,
                "publicAddresses": [],
                "instanceId": "2c1c1d0e-6d5c-4d2a-9f57-1f0a7a3b3a5e",
            }),
        ))
    }

    fn invoice(&self, invoice: &Invoice) -> Value {
        let mut shown = json!({
            "prefix": "lnbcrt",
            "timestamp": invoice.created,
            "nodeId": HEXLOWER.encode(&self.world.receiver.public()),
            "serialized": invoice.bolt11,
            "paymentHash": HEXLOWER.encode(&invoice.hash),
            "expiry": invoice.expiry_s,
            "minFinalCltvExpiry": invoice.cltv_expiry,
            "features": { "activated": {}, "unknown": [] },
            "routingInfo": [],
        });
        match invoice.description_hash {
            Some(hash) => shown["descriptionHash"] = HEXLOWER.encode(&hash).into(),
            None => shown["description"] = invoice.memo.clone().into(),
        }
        if invoice.amount_msat > 0 {
            shown["amount"] = invoice.amount_msat.into();
        }
        shown
    }

    /// The websocket: payments from now on; nothing of what was before.
    async fn listen(&self, ask: &mut Ask) -> Answer {
        // Counted once the subscription stands, so that who waits for the count knows that no event is lost.
        let mut settled = self.world.subscribe(0, 0);
        self.world.calls.add(Method::SubscribeInvoices);
        let mut call = Call::new(&self.world, Method::SubscribeInvoices, Some(ask.connection()));
        if let Err(refusal) = call.before(LIMITED).await {
            return refused(refusal);
        }
        let Some((answer, socket)) = ask.websocket() else {
            return error(400, "Expected WebSocket Upgrade request");
        };
        call.after().await;
        let (events, world) = (self.options.events, self.world.clone());
        tokio::spawn(async move {
            let Some(mut socket) = socket.await else { return };
            loop {
                tokio::select! {
                    invoice = settled.recv() => {
                        let Some(invoice) = invoice else { return };
                        if invoice.state != State::Settled {
                            continue;
                        }
                        let report = world.faults().report(Method::SubscribeInvoices);
                        let event = event(events, &invoice, report.received_msat(&invoice));
                        if socket.stream.send(Message::text(event.to_string())).await.is_err() {
                            return;
                        }
                    }
                    // Answers pings, and sees the end.
                    message = socket.stream.next() => if !matches!(message, Some(Ok(_))) { return },
                }
            }
        });
        answer
    }
}

impl Door for Eclair {
    fn answer(self: Arc<Self>, ask: Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(self.handle(ask))
    }
}

/// A payment, in two parts where there are parts.
fn event(events: EclairEvents, invoice: &Invoice, amount: u64) -> Value {
    let hash = HEXLOWER.encode(&invoice.hash);
    let (channel, other) = ("00".repeat(32), "11".repeat(32));
    let millis = invoice.settled_at * 1000;
    let first = amount / 2;
    let parts = match events {
        EclairEvents::NoParts => {
            return json!({
                "type": "payment-received", "amount": amount, "paymentHash": hash, "fromChannelId": channel,
                "timestamp": millis,
            });
        }
        EclairEvents::Numbers => json!([
            { "amount": first, "fromChannelId": channel, "timestamp": millis },
            { "amount": amount - first, "fromChannelId": other, "timestamp": millis },
        ]),
        EclairEvents::Current => json!([
            { "amount": first, "channelId": channel, "receivedAt": time(invoice.settled_at) },
            { "amount": amount - first, "channelId": other, "receivedAt": time(invoice.settled_at) },
        ]),
    };
    json!({ "type": "payment-received", "paymentHash": hash, "parts": parts })
}

/// Eclair's times; nobody should read the text.
fn time(unix: u64) -> Value {
    json!({ "iso": "1970-01-01T00:00:00Z", "unix": unix })
}

fn number(ask: &Ask, name: &str) -> Result<Option<u64>, Box<Answer>> {
    ask.form.get(name).map(|text| text.parse().map_err(|_| malformed(name))).transpose()
}

fn hash32(hex: &str) -> Option<Hash32> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
}

fn malformed(field: &str) -> Box<Answer> {
    failed(400, &format!("The form field '{field}' was malformed"))
}

/// As [`error`], to be returned early.
fn failed(status: u16, text: &str) -> Box<Answer> {
    Box::new(error(status, text))
}

fn refused((code, text): (i32, String)) -> Answer {
    error(u16::try_from(code).unwrap_or(500), &text)
}

fn error(status: u16, text: &str) -> Answer {
    http::json(status, &json!({ "error": text }))
}
