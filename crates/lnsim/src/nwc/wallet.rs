//! A wallet service (NIP-47): decrypts requests, answers them out of the ledger, tells of payments.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use nostr::event::{Event, EventBuilder, EventId, FinalizeEvent, Kind, Tag};
use nostr::key::{Keys, PublicKey};
use nostr::nips::{nip04, nip44};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::relay::Relay;
use super::{InfoEvent, NwcOptions, Tags};
use crate::bolt11;
use crate::ledger::{Hash32, Invoice, State};
use crate::method::Method;
use crate::quirk::Report;
use crate::world::{InvoiceSpec, World};

/// The wallet behind the relays.
pub(super) struct Wallet {
    world: Arc<World>,
    keys: Keys,
    client: PublicKey,
    options: NwcOptions,
    /// Where it listens. The relays own it.
    relays: OnceLock<Vec<Weak<Relay>>>,
    /// Requests that came already: each relay brings its copy.
    seen: Mutex<HashSet<EventId>>,
    /// What is published once the wallet has answered something.
    late_info: Mutex<Option<Event>>,
}

/// What a method brings: its result, or an error's code and message.
type Outcome = Result<Value, (String, String)>;

impl Wallet {
    pub(super) fn new(world: Arc<World>, client: PublicKey, options: NwcOptions) -> Wallet {
        Wallet {
            world,
            keys: Keys::generate(),
            client,
            options,
            relays: OnceLock::new(),
            seen: Mutex::default(),
            late_info: Mutex::default(),
        }
    }

    pub(super) fn public_key(&self) -> PublicKey {
        self.keys.public_key()
    }

    /// Listens at these relays, and publishes there what the wallet can do, where it does that.
    pub(super) fn attach(&self, relays: &[Arc<Relay>]) {
        // Each door attaches its wallet once.
        let _ = self.relays.set(relays.iter().map(Arc::downgrade).collect());
        let mut methods = self.options.methods.to_vec();
        let mut event_tags = Vec::new();
        if let Some(names) = self.options.announced_encryption.or(self.options.encryption) {
            event_tags.push(Tag::custom("encryption", [names]));
        }
        if self.options.notifications {
            methods.push("notifications");
            event_tags.push(Tag::custom("notifications", ["payment_received payment_sent"]));
        }
        let info = EventBuilder::new(Kind::WalletConnectInfo, methods.join(" ")).tags(event_tags);
        if self.options.info_event
            && let Ok(info) = info.finalize(&self.keys)
        {
            match self.options.info {
                InfoEvent::Kept => self.publish(&info),
                InfoEvent::Purged => {}
                InfoEvent::Late => {
                    *self.late_info.lock().unwrap_or_else(PoisonError::into_inner) = Some(info)
                }
            }
        }
    }

    /// Answers a request that came by this connection to a relay. The answer goes over all of them.
    pub(super) async fn serve(&self, event: &Event, connection: u64) {
        let first = self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(event.id);
        if !first || !event.tags.public_keys().any(|key| key == self.public_key()) {
            return;
        }
        let named = event.tags.iter().find(|tag| tag.kind() == "encryption").and_then(|tag| tag.content());
        let encryption = named.unwrap_or("nip04");
        if !self.knows(encryption) {
            if !self.options.answers_unreadable {
                return;
            }
            let error = ("UNSUPPORTED_ENCRYPTION".to_owned(), format!("{encryption} is not supported"));
            return self.answer(event, self.best(), "", Err(error));
        }
        let Some(request) = self.open(event, encryption) else { return };
        let (method, params) = (request["method"].as_str().unwrap_or_default(), &request["params"]);
        let outcome = if event.pubkey == self.client {
            match self.call(method, params, connection).await {
                Some(outcome) => outcome,
                None => return,
            }
        } else {
            Err(("UNAUTHORIZED".to_owned(), "no wallet is connected to this key".to_owned()))
        };
        self.answer(event, encryption, method, outcome);
    }

    /// `None` if there is no answer.
    async fn call(&self, name: &str, params: &Value, connection: u64) -> Option<Outcome> {
        let offered = self.options.methods.contains(&name);
        let method = match name {
            "make_invoice" => Method::AddInvoice,
            "lookup_invoice" => Method::LookupInvoice,
            "get_info" => Method::GetInfo,
            _ => return Some(Err(not_implemented(name))),
        };
        self.world.calls.add(method);
        let faults = self.world.faults().at_call(method);
        if self.world.faults().is_limited(method) {
            return Some(Err(("RATE_LIMITED".to_owned(), "too many requests".to_owned())));
        }
        if faults.hang || self.options.silent.contains(&name) {
            return None;
        }
        if !faults.delay.is_zero() {
            tokio::time::sleep(faults.delay).await;
        }
        if let Some((code, text)) = faults.refuse {
            return Some(Err(refusal(code, &text)));
        }
        if !offered {
            return Some(Err(not_implemented(name)));
        }
        let outcome = match method {
            Method::AddInvoice => self.make_invoice(params),
            Method::LookupInvoice => self.look_up(params),
            _ => Ok(self.node_info()),
        };
        if faults.drop {
            self.world.connections.cut(connection);
        }
        Some(outcome)
    }

    fn make_invoice(&self, params: &Value) -> Outcome {
        let spec = InvoiceSpec {
            amount_msat: params["amount"].as_u64().unwrap_or_default(),
            memo: params["description"].as_str().unwrap_or_default().to_owned(),
            description_hash: params["description_hash"].as_str().and_then(hash),
            expiry_s: params["expiry"].as_u64().unwrap_or_default(),
            ..InvoiceSpec::default()
        };
        match self.world.create(spec) {
            Ok((invoice, reported)) => {
                let mut made = self.transaction(&invoice, Method::AddInvoice);
                made["payment_hash"] = json!(HEXLOWER.encode(&reported));
                Ok(made)
            }
            Err(error) => Err(("OTHER".to_owned(), error.to_string())),
        }
    }

    fn look_up(&self, params: &Value) -> Outcome {
        let by_invoice = || Some(bolt11::decode(params["invoice"].as_str()?).ok()?.hash);
        let wanted = params["payment_hash"].as_str().and_then(hash).or_else(by_invoice);
        match wanted.map(|hash| self.world.look_up(&hash)) {
            Some(Ok(invoice)) => Ok(self.transaction(&invoice, Method::LookupInvoice)),
            Some(Err(None)) => Err(("NOT_FOUND".to_owned(), "no such invoice".to_owned())),
            Some(Err(Some((code, text)))) => Err(refusal(code, &text)),
            None => Err(("OTHER".to_owned(), "neither payment_hash nor invoice".to_owned())),
        }
    }

    fn node_info(&self) -> Value {
        json!({
            "alias": "lnsim", "color": "#3399ff", "pubkey": HEXLOWER.encode(&self.world.receiver.public()),
            "network": "regtest", "block_height": 450, "block_hash": "00".repeat(32),
            "methods": self.options.methods, "notifications": ["payment_received"],
        })
    }

    /// An invoice as wallets report it: with its preimage, whatever its state.
    fn transaction(&self, invoice: &Invoice, by: Method) -> Value {
        let settled = invoice.state == State::Settled;
        let report = if settled { self.world.faults().report(by) } else { Report::default() };
        let expires_at = invoice.created + invoice.expiry_s;
        let state = match invoice.state {
            State::Settled => "settled",
            State::Open | State::Accepted => "pending",
            State::Canceled if self.world.now() > expires_at => "expired",
            State::Canceled => "failed",
        };
        let mut transaction = json!({
            "type": "incoming", "invoice": invoice.bolt11, "description": invoice.memo, "description_hash": null,
            "preimage": report.preimage_json(invoice), "payment_hash": HEXLOWER.encode(&invoice.hash),
            "amount": if settled { report.received_json(invoice) } else { invoice.amount_msat.into() }, "fees_paid": 0,
            "created_at": invoice.created, "expires_at": expires_at,
            "settled_at": settled.then_some(invoice.settled_at), "metadata": {},
        });
        // A wallet without states has no word for a dead invoice but this.
        if self.options.states || invoice.state == State::Canceled {
            transaction["state"] = report.state(state).into();
        }
        transaction
    }

    fn answer(&self, to: &Event, encryption: &str, method: &str, outcome: Outcome) {
        let empty_error = self.world.faults().report(Method::LookupInvoice).empty_error;
        let error = if empty_error { json!({}) } else { Value::Null };
        let body = match outcome {
            Ok(result) => json!({ "result_type": method, "error": error, "result": result }),
            Err((code, message)) => {
                json!({ "result_type": method, "error": { "code": code, "message": message }, "result": null })
            }
        };
        let tags = [Some(Tag::event(to.id)), self.options.tagged.then(|| Tag::public_key(to.pubkey))];
        let tags: Vec<Tag> = tags.into_iter().flatten().collect();
        if let Some(event) = self.sealed(Kind::WalletConnectResponse, &to.pubkey, encryption, &body, tags) {
            self.publish(&event);
        }
        if let Some(info) = self.late_info.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.publish(&info);
        }
    }

    fn publish(&self, event: &Event) {
        let relays = self.relays.get().into_iter().flatten();
        relays.filter_map(Weak::upgrade).for_each(|relay| relay.publish(event));
    }

    fn knows(&self, encryption: &str) -> bool {
        self.options.encryption.unwrap_or("nip04").split(' ').any(|name| name == encryption)
    }

    fn best(&self) -> &'static str {
        if self.knows("nip44_v2") { "nip44_v2" } else { "nip04" }
    }

    fn open(&self, event: &Event, encryption: &str) -> Option<Value> {
        let secret = self.keys.secret_key();
        let text = match encryption {
            "nip44_v2" => nip44::decrypt(secret, &event.pubkey, &event.content),
            _ => nip04::decrypt(secret, &event.pubkey, event.content.as_str()),
        };
        serde_json::from_str(&text.ok()?).ok()
    }

    fn sealed(
        &self,
        kind: Kind,
        to: &PublicKey,
        encryption: &str,
        body: &Value,
        tags: Vec<Tag>,
    ) -> Option<Event> {
        let (secret, text) = (self.keys.secret_key(), body.to_string());
        let content = match encryption {
            "nip44_v2" => nip44::encrypt(secret, to, text, nip44::Version::V2),
            _ => nip04::encrypt(secret, to, text),
        };
        EventBuilder::new(kind, content.ok()?).tags(tags).finalize(&self.keys).ok()
    }
}

/// Tells the client of every settlement, in each encryption that the wallet has, until the simulator goes.
pub(super) async fn notify(wallet: Arc<Wallet>, mut events: mpsc::UnboundedReceiver<Invoice>) {
    while let Some(invoice) = events.recv().await {
        if invoice.state != State::Settled || !wallet.options.notifications {
            continue;
        }
        let body = json!({
            "notification_type": "payment_received",
            "notification": wallet.transaction(&invoice, Method::SubscribeInvoices),
        });
        for (encryption, kind) in
            [("nip44_v2", Kind::WalletConnectNotificationNip44V2), ("nip04", Kind::WalletConnectNotification)]
        {
            let tagged = wallet.options.tags == Tags::All;
            let tags = tagged.then(|| Tag::public_key(wallet.client)).into_iter().collect();
            if wallet.knows(encryption)
                && let Some(event) = wallet.sealed(kind, &wallet.client, encryption, &body, tags)
            {
                wallet.publish(&event);
            }
        }
    }
}

/// A scripted refusal: its text may begin with one of NIP-47's codes, else gRPC's code is translated.
fn refusal(code: i32, text: &str) -> (String, String) {
    if let Some((word, rest)) = text.split_once(':')
        && word.len() > 3
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    {
        return (word.to_owned(), rest.trim().to_owned());
    }
    let word = match code {
        5 => "NOT_FOUND",
        7 => "RESTRICTED",
        8 => "RATE_LIMITED",
        12 => "NOT_IMPLEMENTED",
        13 | 14 => "INTERNAL",
        16 => "UNAUTHORIZED",
        _ => "OTHER",
    };
    (word.to_owned(), text.to_owned())
}

fn not_implemented(method: &str) -> (String, String) {
    ("NOT_IMPLEMENTED".to_owned(), format!("there is no {method:?} here"))
}

fn hash(hex: &str) -> Option<Hash32> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
}
