//! A Lightning address: an LNURL-pay server (LUD-06, LUD-16, LUD-21) over the shared [`World`].

use std::pin::Pin;
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hyper::Method as HttpMethod;
use hyper::header::HOST;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::call::Call;
use crate::http::{self, Answer, Ask, Door};
use crate::ledger::State;
use crate::method::Method;
use crate::world::{InvoiceSpec, World};

/// Life of the invoices, seconds: the payee's choice.
const EXPIRY_S: u64 = 3600;

/// How an LNURL server is.
#[derive(Clone, Debug)]
pub struct LnurlOptions {
    /// The user, before the `@`.
    pub user: String,
    /// Whether invoices come with an address to look them up at (LUD-21).
    pub verify: bool,
    /// When the look-up tells the preimage.
    pub preimage: Told,
    /// Whether invoices are over whole satoshis, rounded down.
    pub whole_sats: bool,
    /// The least that can be sent, msat.
    pub min_sendable: u64,
}

/// When an LNURL server's look-up tells the preimage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Never: LUD-21 allows null.
    Never,
    /// Once it is settled.
    Settled,
    /// From the start, which no server should do.
    Always,
}

impl Default for LnurlOptions {
    /// `alice`, who can be looked up, takes any amount and tells the preimage at the wrong time.
    fn default() -> Self {
        let user = "alice".to_owned();
        Self { user, verify: true, preimage: Told::Always, whole_sats: false, min_sendable: 1 }
    }
}

/// The front door.
pub(crate) struct Lnurl {
    world: Arc<World>,
    options: LnurlOptions,
}

impl Lnurl {
    pub(crate) fn new(world: Arc<World>, options: LnurlOptions) -> Self {
        Self { world, options }
    }

    async fn handle(self: Arc<Self>, ask: Ask) -> Answer {
        if ask.method != HttpMethod::GET {
            return error(405, "only GET");
        }
        let (method, rest) = if let Some(user) = ask.path.strip_prefix("/.well-known/lnurlp/") {
            (Method::GetInfo, user)
        } else if let Some(hash) = ask.path.strip_prefix("/pay/verify/") {
            (Method::LookupInvoice, hash)
        } else if ask.path == "/pay/callback" {
            (Method::AddInvoice, ask.query.get("user").unwrap_or_default())
        } else {
            return error(404, "no such place");
        };
        self.world.calls.add(method);
        let mut call = Call::new(&self.world, method, Some(ask.connection()));
        if let Err((code, text)) = call.before().await {
            return error(u16::try_from(code).unwrap_or(500), &text);
        }
        let answer = match method {
            Method::GetInfo => self.pay_request(&ask, rest),
            Method::AddInvoice => self.callback(&ask, rest),
            _ => self.verify(rest),
        };
        call.after().await;
        answer.unwrap_or_else(|answer| *answer)
    }

    fn pay_request(&self, ask: &Ask, user: &str) -> Result<Answer, Box<Answer>> {
        self.is_known(user)?;
        Ok(http::json(
            200,
            &json!({
                "tag": "payRequest",
                // It has a query already.
                "callback": format!("http://{}/pay/callback?user={user}", host(ask)),
                "minSendable": self.options.min_sendable,
                "maxSendable": 100_000_000_000_u64,
                "metadata": self.metadata(),
                "commentAllowed": 0,
            }),
        ))
    }

    fn callback(&self, ask: &Ask, user: &str) -> Result<Answer, Box<Answer>> {
        self.is_known(user)?;
        let amount = ask.query.get("amount").and_then(|text| text.parse::<u64>().ok());
        let amount_msat = amount
            .filter(|amount| *amount >= self.options.min_sendable)
            .ok_or_else(|| failed(200, "Amount out of bounds."))?;
        let amount_msat = if self.options.whole_sats { amount_msat / 1000 * 1000 } else { amount_msat };
        let spec = InvoiceSpec {
            amount_msat,
            memo: String::new(),
            description_hash: Some(Sha256::digest(self.metadata()).into()),
            expiry_s: EXPIRY_S,
            ..InvoiceSpec::default()
        };
        let (invoice, reported) =
            self.world.create(spec).map_err(|refusal| failed(200, &refusal.to_string()))?;
        let mut answer = json!({ "pr": invoice.bolt11, "routes": [] });
        if self.options.verify {
            let hash = HEXLOWER.encode(&reported);
            answer["verify"] = format!("http://{}/pay/verify/{hash}", host(ask)).into();
        }
        Ok(http::json(200, &answer))
    }

    fn verify(&self, hex: &str) -> Result<Answer, Box<Answer>> {
        let not_found = || failed(200, "Not found");
        let hash = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let hash = hash.filter(|_| self.options.verify).ok_or_else(not_found)?;
        let found = self.world.with_ledger(|ledger, now| (ledger.look_up(&hash, now), now));
        let (Ok(invoice), now) = found else { return Err(not_found()) };
        // What expired stays unsettled; what was cancelled is gone.
        if invoice.state == State::Canceled && now <= invoice.created + invoice.expiry_s {
            return Err(not_found());
        }
        let settled = invoice.state == State::Settled;
        let told = match self.options.preimage {
            Told::Never => false,
            Told::Settled => settled,
            Told::Always => true,
        };
        let preimage = if told { HEXLOWER.encode(&invoice.preimage).into() } else { Value::Null };
        Ok(http::json(
            200,
            &json!({ "status": "OK", "settled": settled, "preimage": preimage, "pr": invoice.bolt11 }),
        ))
    }

    fn is_known(&self, user: &str) -> Result<(), Box<Answer>> {
        if user == self.options.user { Ok(()) } else { Err(failed(404, "Unable to find that user.")) }
    }

    fn metadata(&self) -> String {
        json!([["text/plain", format!("Sats for {}", self.options.user)]]).to_string()
    }
}

impl Door for Lnurl {
    fn answer(self: Arc<Self>, ask: Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(self.handle(ask))
    }
}

/// Where the client thinks that it is.
fn host(ask: &Ask) -> &str {
    ask.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost")
}

fn error(status: u16, reason: &str) -> Answer {
    http::json(status, &json!({ "status": "ERROR", "reason": reason }))
}

/// As [`error`], to be returned early.
fn failed(status: u16, reason: &str) -> Box<Answer> {
    Box::new(error(status, reason))
}
