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
    /// The most that can be sent, msat.
    pub max_sendable: u64,
    /// How the two are written.
    pub bounds: Written,
    /// Where `verify` is said to be.
    pub verify_at: VerifyAt,
    /// How invoices are described.
    pub hash: Hashed,
    /// Whether the callback has an `amount` of its own already.
    pub callback_amount: bool,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As whole numbers.
    Whole,
    /// As texts.
    Text,
    /// With a fraction.
    Float,
    /// The most beyond 64 bits.
    Huge,
}

/// Where an invoice's `verify` is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyAt {
    /// Where it is.
    Here,
    /// At another host, by http.
    Http,
    /// In a private network.
    Private,
    /// At a path without a host.
    Relative,
    /// Nowhere: an empty text.
    Empty,
    /// At an address of 2000 letters.
    Long,
}

/// How invoices are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashed {
    /// By the hash of the metadata, as LUD-06 has it.
    Metadata,
    /// By the hash of something else.
    Other,
    /// By a text.
    Text,
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
        Self {
            user,
            verify: true,
            preimage: Told::Always,
            whole_sats: false,
            min_sendable: 1,
            max_sendable: 100_000_000_000,
            bounds: Written::Whole,
            verify_at: VerifyAt::Here,
            hash: Hashed::Metadata,
            callback_amount: false,
        }
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
        if let Err((code, text)) = call.before((429, "slow down")).await {
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
        let LnurlOptions { min_sendable, max_sendable, .. } = self.options;
        let (least, most) = match self.options.bounds {
            Written::Whole => (json!(min_sendable), json!(max_sendable)),
            Written::Text => (json!(min_sendable.to_string()), json!(max_sendable.to_string())),
            Written::Float => (json!(min_sendable as f64), json!(max_sendable as f64 + 0.5)),
            Written::Huge => (json!(min_sendable), json!(1e30)),
        };
        let own_amount = if self.options.callback_amount { "&amount=21000" } else { "" };
        Ok(http::json(
            200,
            &json!({
                "tag": "payRequest",
                // It has a query already.
                "callback": format!("http://{}/pay/callback?user={user}{own_amount}", host(ask)),
                "minSendable": least,
                "maxSendable": most,
                "metadata": self.metadata(),
                "commentAllowed": 0,
            }),
        ))
    }

    fn callback(&self, ask: &Ask, user: &str) -> Result<Answer, Box<Answer>> {
        self.is_known(user)?;
        let amount = ask.query.get("amount").and_then(|text| text.parse::<u64>().ok());
        let amount_msat = amount
            .filter(|amount| (self.options.min_sendable..=self.options.max_sendable).contains(amount))
            .ok_or_else(|| failed(200, "Amount out of bounds."))?;
        let amount_msat = if self.options.whole_sats { amount_msat / 1000 * 1000 } else { amount_msat };
        let spec = InvoiceSpec {
            amount_msat,
            memo: format!("Sats for {}", self.options.user),
            description_hash: match self.options.hash {
                Hashed::Metadata => Some(Sha256::digest(self.metadata()).into()),
                Hashed::Other => Some(Sha256::digest("something else").into()),
                Hashed::Text => None,
            },
            expiry_s: EXPIRY_S,
            ..InvoiceSpec::default()
        };
        let (invoice, reported) =
            self.world.create(spec).map_err(|refusal| failed(200, &refusal.to_string()))?;
        let mut answer = json!({ "pr": invoice.bolt11, "routes": [] });
        if self.options.verify {
            let hash = HEXLOWER.encode(&reported);
            answer["verify"] = match self.options.verify_at {
                VerifyAt::Here => format!("http://{}/pay/verify/{hash}", host(ask)),
                VerifyAt::Http => format!("http://wallet.example/pay/verify/{hash}"),
                VerifyAt::Private => format!("https://192.168.1.7/pay/verify/{hash}"),
                VerifyAt::Relative => format!("/pay/verify/{hash}"),
                VerifyAt::Empty => String::new(),
                VerifyAt::Long => format!("http://{}/pay/verify/{hash}?{}", host(ask), "x".repeat(2000)),
            }
            .into();
        }
        Ok(http::json(200, &answer))
    }

    fn verify(&self, hex: &str) -> Result<Answer, Box<Answer>> {
        let not_found = || failed(200, "Not found");
        let hash = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let hash = hash.filter(|_| self.options.verify).ok_or_else(not_found)?;
        let report = self.world.faults().report(Method::LookupInvoice);
        let invoice = match self.world.look_up(&hash) {
            Ok(invoice) => invoice,
            Err(None) => return Err(not_found()),
            Err(Some((code, text))) => return Err(failed(u16::try_from(code).unwrap_or(500), &text)),
        };
        let now = self.world.now();
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
        let preimage = match (told, settled) {
            (true, true) => report.preimage_json(&invoice),
            (true, false) => HEXLOWER.encode(&invoice.preimage).into(),
            (false, _) => Value::Null,
        };
        let settled = report.truth(settled);
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
