//! A relay (NIP-01): takes events, keeps some, passes them on to whoever subscribed. It behaves unless it is told not to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nostr::event::{Event, Kind};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::filter::{asks_for, matches_any};
use super::wallet::Wallet;
use super::{Authentication, NwcOptions};
use crate::method::Method;
use crate::world::{World, random};

/// One relay.
pub(super) struct Relay {
    world: Arc<World>,
    wallet: Arc<Wallet>,
    options: NwcOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Vec<Event>,
    guests: HashMap<u64, Guest>,
    passed_on: Vec<String>,
}

/// Who is connected.
struct Guest {
    frames: mpsc::UnboundedSender<String>,
    subscriptions: HashMap<String, Vec<Value>>,
    /// What it was asked to sign (NIP-42); `None` once it did, or where nobody asks.
    challenge: Option<String>,
}

impl Relay {
    pub(super) fn new(world: Arc<World>, wallet: Arc<Wallet>, options: &NwcOptions) -> Relay {
        Relay { world, wallet, options: options.clone(), state: Mutex::default() }
    }

    /// Somebody came, by this connection; what he is told goes into `frames`.
    pub(super) fn enter(&self, connection: u64, frames: mpsc::UnboundedSender<String>) {
        let challenge = self.options.authenticated.then(|| {
            let bytes = random::<16>().unwrap_or_default();
            let challenge = data_encoding::HEXLOWER.encode(&bytes);
            if self.options.authentication != Authentication::Lazy {
                // The other half is in our hands until it is dropped; then nobody hears.
                let _ = frames.send(json!(["AUTH", challenge]).to_string());
            }
            challenge
        });
        self.state().guests.insert(connection, Guest { frames, subscriptions: HashMap::new(), challenge });
    }

    pub(super) fn leave(&self, connection: u64) {
        self.state().guests.remove(&connection);
    }

    /// What a guest says.
    pub(super) fn hear(&self, connection: u64, text: &str) {
        let Ok(Value::Array(words)) = serde_json::from_str(text) else {
            return self.reply(connection, &json!(["NOTICE", "error: not a JSON array"]));
        };
        let word = |at: usize| words.get(at).and_then(Value::as_str).unwrap_or_default();
        match word(0) {
            "REQ" => self.subscribe(connection, word(1), words.get(2..).unwrap_or_default()),
            "CLOSE" => {
                if let Some(guest) = self.state().guests.get_mut(&connection) {
                    guest.subscriptions.remove(word(1));
                }
            }
            "EVENT" => match words.get(1).map(|event| Event::from_json(event.to_string())) {
                Some(Ok(event)) => self.take(connection, event),
                _ => self.reply(connection, &json!(["NOTICE", "error: not an event"])),
            },
            "AUTH" => {
                if let Some(Ok(event)) = words.get(1).map(|event| Event::from_json(event.to_string())) {
                    self.authenticate(connection, &event);
                }
            }
            _ => self.reply(connection, &json!(["NOTICE", "error: unknown message"])),
        }
    }

    /// Passes an event on, and keeps it if it is one to keep.
    pub(super) fn publish(&self, event: &Event) {
        let mut state = self.state();
        let state = &mut *state;
        let notification =
            [Kind::WalletConnectNotification, Kind::WalletConnectNotificationNip44V2].contains(&event.kind);
        if event.kind == Kind::WalletConnectInfo || (notification && self.options.kept) {
            state.kept.push(event.clone());
        }
        for guest in state.guests.values() {
            for (id, filters) in &guest.subscriptions {
                if matches_any(filters, event) {
                    let frame = passing(id, event);
                    state.passed_on.push(frame.clone());
                    let _ = guest.frames.send(frame);
                }
            }
        }
    }

    /// Says something to everybody.
    pub(super) fn say(&self, frame: &str) {
        for guest in self.state().guests.values() {
            let _ = guest.frames.send(frame.to_owned());
        }
    }

    pub(super) fn passed_on(&self) -> Vec<String> {
        self.state().passed_on.clone()
    }

    fn subscribe(&self, connection: u64, id: &str, filters: &[Value]) {
        if self.is_unknown(connection) {
            self.ask_who(connection);
            return self.reply(connection, &json!(["CLOSED", id, "auth-required: who are you?"]));
        }
        if let Some((which, reason)) = self.options.close
            && which == kind_of(filters)
        {
            return self.reply(connection, &json!(["CLOSED", id, reason]));
        }
        let mut state = self.state();
        let State { kept, guests, .. } = &mut *state;
        let Some(guest) = guests.get_mut(&connection) else { return };
        // Of a kind that is replaced, the newest alone.
        let newest = kept.iter().rposition(|event| event.kind == Kind::WalletConnectInfo);
        for (at, event) in kept.iter().enumerate() {
            let replaced = event.kind == Kind::WalletConnectInfo && Some(at) != newest;
            if !replaced && matches_any(filters, event) {
                let _ = guest.frames.send(passing(id, event));
            }
        }
        let _ = guest.frames.send(json!(["EOSE", id]).to_string());
        guest.subscriptions.insert(id.to_owned(), filters.to_vec());
        drop(state);
        if asks_for(filters, Kind::WalletConnectNotification.as_u16()) {
            self.world.calls.add(Method::SubscribeInvoices);
        }
    }

    fn take(&self, connection: u64, event: Event) {
        let id = event.id.to_hex();
        if self.is_unknown(connection) {
            self.ask_who(connection);
            return self.reply(connection, &json!(["OK", id, false, "auth-required: who are you?"]));
        }
        if let Some(reason) = self.options.reject {
            return self.reply(connection, &json!(["OK", id, false, reason]));
        }
        if event.verify().is_err() {
            return self.reply(connection, &json!(["OK", id, false, "invalid: bad id or signature"]));
        }
        self.reply(connection, &json!(["OK", id, true, ""]));
        if self.options.deaf {
            return;
        }
        if event.kind == Kind::WalletConnectRequest {
            let wallet = Arc::clone(&self.wallet);
            tokio::spawn(async move { wallet.serve(&event, connection).await });
        } else {
            self.publish(&event);
        }
    }

    /// NIP-42: an event of kind 22242 with the challenge in it.
    fn authenticate(&self, connection: u64, event: &Event) {
        let mut state = self.state();
        let Some(guest) = state.guests.get_mut(&connection) else { return };
        let asked = |challenge: &String| {
            event.tags.iter().any(|tag| tag.as_slice() == ["challenge", challenge.as_str()])
        };
        let good = self.options.authentication != Authentication::Deny
            && event.kind.as_u16() == 22242
            && event.verify().is_ok()
            && guest.challenge.as_ref().is_some_and(asked);
        if good {
            guest.challenge = None;
        }
        drop(state);
        let reason = if good { "" } else { "restricted: that is not what was asked" };
        self.reply(connection, &json!(["OK", event.id.to_hex(), good, reason]));
    }

    /// Asks whoever is not known yet, where that was not done at once.
    fn ask_who(&self, connection: u64) {
        let challenge = self.state().guests.get(&connection).and_then(|guest| guest.challenge.clone());
        if let Some(challenge) = challenge.filter(|_| self.options.authentication == Authentication::Lazy) {
            self.reply(connection, &json!(["AUTH", challenge]));
        }
    }

    fn is_unknown(&self, connection: u64) -> bool {
        self.state().guests.get(&connection).is_some_and(|guest| guest.challenge.is_some())
    }

    fn reply(&self, connection: u64, frame: &Value) {
        if let Some(guest) = self.state().guests.get(&connection) {
            let _ = guest.frames.send(frame.to_string());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn passing(subscription: &str, event: &Event) -> String {
    format!("[\"EVENT\",{},{}]", json!(subscription), event.as_json())
}

/// What a subscription is for.
fn kind_of(filters: &[Value]) -> &'static str {
    let has = |name: &str| filters.iter().any(|filter| filter.get(name).is_some());
    match () {
        () if asks_for(filters, Kind::WalletConnectInfo.as_u16()) => "info",
        () if has("#e") => "answers",
        () if has("#p") => "tagged",
        () => "untagged",
    }
}
