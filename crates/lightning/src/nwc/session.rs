//! The protocol, without I/O: what to say to relays, and what it means what they say.
//!
//! A relay only carries: whatever it says of the wallet counts after the wallet's signature was verified. An answer
//! belongs to the one request whose id it is tagged with, and requests are never said twice, so an old answer or that of
//! another request is nobody's. A notification speaks of one payment hash, so an old one said again changes nothing.

use std::collections::{HashMap, VecDeque};

use nostr::event::{Event, EventId, Kind};
use nostr::filter::Filter;
use nostr::message::{ClientMessage, RelayMessage, SubscriptionId};
use nostr::types::Timestamp;
use serde_json::Value;

use super::account::Account;
use super::info::{Info, Method};
use super::message;
use super::refusal::Refusal;
use crate::{LightningError, Settlement};

/// The subscription to the wallet's info event.
const INFO: &str = "info";

/// The subscription to whatever is tagged with our key.
const OURS: &str = "ours";

/// The subscription to answers by the requests' ids: some wallets don't tag theirs with our key.
const ANSWERS: &str = "answers";

/// How far the wallet's clock may be from ours, seconds, before its stored notifications are missed.
const SKEW_S: u64 = 300;

/// Notifications remembered, so that the copies of other relays are dropped unread.
const REMEMBERED: usize = 1024;

/// The state of a connection.
pub(super) struct Session {
    account: Account,
    info: Option<Info>,
    pending: HashMap<EventId, Pending>,
    told: VecDeque<EventId>,
}

struct Pending {
    method: Method,
    /// The request as a relay is sent it.
    frame: String,
}

/// A request that is ready to be sent.
pub(super) struct Asked {
    pub(super) id: EventId,
    /// What to send, in this order.
    pub(super) frames: [String; 2],
}

/// What a relay said. No `Debug`: results hold preimages.
pub(super) enum Heard {
    /// What the wallet can do became known, or changed.
    Info,
    /// The wallet answered a request.
    Answer(EventId, Result<Result<Value, Refusal>, LightningError>),
    /// The wallet told of a payment.
    Settled(Settlement),
    /// The relay did not take a request, and says why.
    Rejected(EventId, String),
    /// The relay has sent the info event, if it has one.
    EndOfInfo,
    /// The relay ended a subscription without which no answer comes.
    Closed(String),
    /// The relay wants to be sent this.
    Reply(Vec<String>),
    /// Nothing that matters.
    Nothing,
}

impl Session {
    pub(super) fn new(account: Account) -> Session {
        Session { account, info: None, pending: HashMap::new(), told: VecDeque::new() }
    }

    /// What the wallet can do, as far as it is known.
    pub(super) fn info(&self) -> Option<&Info> {
        self.info.as_ref()
    }

    /// Goes on without the wallet's info event, until it comes.
    pub(super) fn assume(&mut self) {
        self.info.get_or_insert_with(Info::assumed);
    }

    /// What a relay is sent when it is reached: the subscriptions, and what is unanswered. `since`, Unix seconds, is
    /// from when on notifications matter.
    pub(super) fn greeting(&self, since: u64) -> Vec<String> {
        let wallet = self.account.wallet();
        let info = Filter::new().author(wallet).kind(Kind::WalletConnectInfo).limit(1);
        let kinds = [
            Kind::WalletConnectResponse,
            Kind::WalletConnectNotificationNip44V2,
            Kind::WalletConnectNotification,
        ];
        let ours = Filter::new().author(wallet).kinds(kinds).pubkey(self.account.client());
        let ours = ours.since(Timestamp::from(since.saturating_sub(SKEW_S)));
        let mut frames = vec![subscription(INFO, info), subscription(OURS, ours)];
        if !self.pending.is_empty() {
            frames.push(self.answers());
            frames.extend(self.pending.values().map(|pending| pending.frame.clone()));
        }
        frames
    }

    /// A new request, in the encryption that the wallet knows; `now` is Unix seconds.
    ///
    /// # Errors
    /// The wallet knows no encryption that we know.
    pub(super) fn request(
        &mut self,
        method: Method,
        params: &Value,
        now: u64,
    ) -> Result<Asked, LightningError> {
        let encryption = self.info.as_ref().map_or_else(|| Info::assumed().encryption(), Info::encryption);
        let encryption = encryption.map_err(|known| {
            LightningError::Refused(format!(
                "the wallet knows the encryptions {known:?} only, and none of nip44_v2 and nip04"
            ))
        })?;
        let text = message::request(method, params);
        let event = self.account.request(&text, encryption, now).map_err(LightningError::Wrong)?;
        let (id, frame) = (event.id, ClientMessage::event(event).as_json());
        self.pending.insert(id, Pending { method, frame: frame.clone() });
        Ok(Asked { id, frames: [self.answers(), frame] })
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&mut self, id: &EventId) {
        self.pending.remove(id);
    }

    /// Takes what the relay at `url` said; `now` is Unix seconds.
    pub(super) fn hear(&mut self, text: &str, url: &str, now: u64) -> Heard {
        match RelayMessage::from_json(text) {
            Ok(RelayMessage::Event { event, .. }) => self.event(&event),
            Ok(RelayMessage::Ok { event_id, status: false, message })
                if self.pending.contains_key(&event_id) && !passes(&message) =>
            {
                Heard::Rejected(event_id, message.into_owned())
            }
            Ok(RelayMessage::EndOfStoredEvents(id)) if id.as_str() == INFO => Heard::EndOfInfo,
            Ok(RelayMessage::Closed { subscription_id, message })
                if [INFO, OURS, ANSWERS].contains(&subscription_id.as_str()) && !passes(&message) =>
            {
                Heard::Closed(message.into_owned())
            }
            Ok(RelayMessage::Auth { challenge }) => match self.account.introduction(url, &challenge, now) {
                Ok(event) => {
                    // What the relay refused before it knew us is said again.
                    let mut frames = vec![ClientMessage::auth(event).as_json()];
                    frames.extend(self.greeting(now));
                    Heard::Reply(frames)
                }
                Err(_) => Heard::Nothing,
            },
            Ok(_) | Err(_) => Heard::Nothing,
        }
    }

    /// The cheap checks first: a relay may send anything.
    fn event(&mut self, event: &Event) -> Heard {
        if event.pubkey != self.account.wallet() {
            return Heard::Nothing;
        }
        match event.kind {
            Kind::WalletConnectInfo => self.learn(event),
            Kind::WalletConnectResponse => self.answer(event),
            Kind::WalletConnectNotification | Kind::WalletConnectNotificationNip44V2 => self.told(event),
            _ => Heard::Nothing,
        }
    }

    /// The newest info event counts: a relay may keep an old one.
    fn learn(&mut self, event: &Event) -> Heard {
        let known = self.info.as_ref().map_or(0, |info| info.created_at);
        if (self.info.is_some() && event.created_at.as_secs() <= known) || !self.account.is_from_wallet(event)
        {
            return Heard::Nothing;
        }
        let new = Info::of(event);
        let said_before = self.info.as_ref().is_some_and(|old| old.says_the_same(&new));
        self.info = Some(new);
        // A wallet says it again at each of its starts.
        if said_before { Heard::Nothing } else { Heard::Info }
    }

    fn answer(&mut self, event: &Event) -> Heard {
        let Some(id) = event.tags.event_ids().find(|id| self.pending.contains_key(id)) else {
            return Heard::Nothing;
        };
        if !self.is_for_us(event) || !self.account.is_from_wallet(event) {
            return Heard::Nothing;
        }
        let Some(Pending { method, .. }) = self.pending.remove(&id) else { return Heard::Nothing };
        let answer = match self.account.open(event) {
            Ok(text) => message::response(method, &text),
            Err(_) => {
                Err(LightningError::Wrong(format!("an answer to {} that can't be decrypted", method.name())))
            }
        };
        Heard::Answer(id, answer)
    }

    fn told(&mut self, event: &Event) -> Heard {
        if !self.is_for_us(event) || self.told.contains(&event.id) || !self.account.is_from_wallet(event) {
            return Heard::Nothing;
        }
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(event.id);
        let text = self.account.open(event).map_err(LightningError::Wrong);
        match text.and_then(|text| message::notification(&text)) {
            Ok(Some(settlement)) => Heard::Settled(settlement),
            Ok(None) => Heard::Nothing,
            Err(error) => {
                tracing::warn!("a notification of the wallet is passed over: {error}");
                Heard::Nothing
            }
        }
    }

    /// A tag with another key means another connection of the wallet; some wallets don't tag.
    fn is_for_us(&self, event: &Event) -> bool {
        let mut keys = event.tags.public_keys().peekable();
        keys.peek().is_none() || keys.any(|key| key == self.account.client())
    }

    fn answers(&self) -> String {
        let filter = Filter::new()
            .author(self.account.wallet())
            .kind(Kind::WalletConnectResponse)
            .events(self.pending.keys().copied());
        subscription(ANSWERS, filter)
    }
}

/// A refusal that needs no care: the event is there already, or it is sent again once the relay knows who we are.
fn passes(reason: &str) -> bool {
    ["duplicate:", "auth-required:"].iter().any(|word| reason.starts_with(word))
}

fn subscription(id: &str, filter: Filter) -> String {
    ClientMessage::req(SubscriptionId::new(id), filter).as_json()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
