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
use super::info::{Encryption, Info, Method};
use super::message;
use super::refusal::Refusal;
use crate::LightningError;
use crate::connector::Payment;

/// The subscription to the wallet's info event.
const INFO: &str = "info";

/// The subscription to whatever is tagged with our key.
const OURS: &str = "ours";

/// The subscription to answers by the requests' ids: some wallets don't tag theirs with our key.
const ANSWERS: &str = "answers";

/// The subscription to notifications: some wallets don't tag those either.
const TOLD: &str = "told";

/// How far the wallet's clock may be from ours, seconds, before its stored notifications are missed.
const SKEW_S: u64 = 300;

/// How a relay begins its refusal of what it has already: no refusal.
const KNOWN: &str = "duplicate:";

/// How a relay begins its refusal of what it takes once it knows who we are.
pub(super) const WHO: &str = "auth-required:";

/// Introductions remembered: one for each relay, and some more.
const INTRODUCTIONS: usize = 64;

/// Notifications remembered, so that the copies of other relays are dropped unread.
const REMEMBERED: usize = 1024;

/// The state of a connection.
pub(super) struct Session {
    account: Account,
    info: Option<Info>,
    /// The wallet has written or named NIP-44, now or in an earlier process: nothing that a relay leaves out changes that.
    had_nip44: bool,
    /// What an answer showed that the wallet reads.
    learned: Option<Encryption>,
    /// The wallet stayed silent in the encryption that its info event names.
    doubtful: bool,
    /// Whether the wallet ever answered.
    answered: bool,
    pending: HashMap<EventId, Pending>,
    told: VecDeque<EventId>,
    /// Our introductions to relays that want to know who we are.
    introductions: VecDeque<EventId>,
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
    Settled(Payment),
    /// The wallet told of something that can't be read.
    Unreadable(LightningError),
    /// The relay did not take a request, and says why.
    Rejected(EventId, String),
    /// The relay has sent the info event, if it has one.
    EndOfInfo,
    /// The relay ended a subscription, and says why.
    Closed(Subscription, String),
    /// The relay wants to know who we are, and says so in place of an answer.
    Asked(String),
    /// The relay does not let us in, and says why.
    Denied(String),
    /// The relay wants to be sent this.
    Reply(Vec<String>),
    /// Nothing that matters.
    Nothing,
}

/// A subscription, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subscription {
    /// The wallet's info event.
    Info,
    /// What is tagged with our key.
    Ours,
    /// Answers by the ids of requests.
    Answers,
    /// Notifications without a tag.
    Told,
}

impl Subscription {
    fn of(id: &str) -> Option<Subscription> {
        match id {
            INFO => Some(Subscription::Info),
            OURS => Some(Subscription::Ours),
            ANSWERS => Some(Subscription::Answers),
            TOLD => Some(Subscription::Told),
            _ => None,
        }
    }
}

impl Session {
    /// `had_nip44`: whether the wallet is known from before to speak NIP-44.
    pub(super) fn new(account: Account, had_nip44: bool) -> Session {
        Session {
            account,
            info: None,
            had_nip44,
            learned: None,
            doubtful: false,
            answered: false,
            pending: HashMap::new(),
            told: VecDeque::new(),
            introductions: VecDeque::new(),
        }
    }

    /// The encryption to ask in; `None`: it has to be found out.
    ///
    /// # Errors
    /// The wallet names none that we know.
    pub(super) fn encryption(&self) -> Result<Option<Encryption>, LightningError> {
        if self.had_nip44 {
            return Ok(Some(Encryption::Nip44));
        }
        match (&self.info, self.learned) {
            (_, Some(learned)) => Ok(Some(learned)),
            (Some(info), None) if !info.is_assumed() && !self.doubtful => {
                info.encryption().map(Some).map_err(|known| {
                    LightningError::Refused(format!(
                        "the wallet knows the encryptions {known:?} only, and none of nip44_v2 and nip04"
                    ))
                })
            }
            (Some(_) | None, None) => Ok(None),
        }
    }

    /// The wallet was found to read this encryption.
    pub(super) fn learn(&mut self, encryption: Encryption) {
        self.had_nip44 |= encryption == Encryption::Nip44;
        self.learned = Some(encryption);
    }

    /// Whether the wallet is known to speak NIP-44.
    pub(super) fn has_nip44(&self) -> bool {
        self.had_nip44
    }

    /// A wallet that has never answered may not read what its info event names.
    pub(super) fn doubt(&mut self) {
        self.doubtful |= !self.answered;
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
        let told = Filter::new().author(wallet).kinds([kinds[1], kinds[2]]);
        let told = told.since(Timestamp::from(since.saturating_sub(SKEW_S)));
        let mut frames = vec![subscription(INFO, info), subscription(OURS, ours), subscription(TOLD, told)];
        if !self.pending.is_empty() {
            frames.push(self.answers());
            frames.extend(self.pending.values().map(|pending| pending.frame.clone()));
        }
        frames
    }

    /// A new request; `now` is Unix seconds.
    ///
    /// # Errors
    /// It can't be sealed.
    pub(super) fn request(
        &mut self,
        method: Method,
        params: &Value,
        encryption: Encryption,
        now: u64,
    ) -> Result<Asked, LightningError> {
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
            Ok(RelayMessage::Ok { event_id, status: false, message }) => {
                let message = message.into_owned();
                match self.pending.contains_key(&event_id) {
                    _ if self.introductions.contains(&event_id) => Heard::Denied(message),
                    true if message.starts_with(WHO) => Heard::Asked(message),
                    true if !message.starts_with(KNOWN) => Heard::Rejected(event_id, message),
                    _ => Heard::Nothing,
                }
            }
            Ok(RelayMessage::EndOfStoredEvents(id)) if id.as_str() == INFO => Heard::EndOfInfo,
            Ok(RelayMessage::Closed { subscription_id, message }) => {
                match Subscription::of(subscription_id.as_str()) {
                    Some(_) if message.starts_with(WHO) => Heard::Asked(message.into_owned()),
                    Some(which) => Heard::Closed(which, message.into_owned()),
                    None => Heard::Nothing,
                }
            }
            Ok(RelayMessage::Auth { challenge }) => match self.account.introduction(url, &challenge, now) {
                Ok(event) => {
                    if self.introductions.len() == INTRODUCTIONS {
                        self.introductions.pop_front();
                    }
                    self.introductions.push_back(event.id);
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
            Kind::WalletConnectInfo => self.read_info(event),
            Kind::WalletConnectResponse => self.answer(event),
            Kind::WalletConnectNotification | Kind::WalletConnectNotificationNip44V2 => self.told(event),
            _ => Heard::Nothing,
        }
    }

    /// The newest info event counts: a relay may keep an old one.
    fn read_info(&mut self, event: &Event) -> Heard {
        let known = self.info.as_ref().map_or(0, |info| info.created_at);
        if (self.info.is_some() && event.created_at.as_secs() <= known) || !self.account.is_from_wallet(event)
        {
            return Heard::Nothing;
        }
        let new = Info::of(event);
        self.had_nip44 |= new.encryption() == Ok(Encryption::Nip44);
        self.doubtful = false;
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
        self.answered = true;
        let answer = match self.account.open(event) {
            Ok(text) => {
                // Who writes NIP-44 reads it.
                self.had_nip44 |= !event.content.contains("?iv=");
                message::response(method, &text)
            }
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
        let Ok(text) = self.account.open(event) else {
            // Without a tag it may be for another connection of the wallet.
            return Heard::Nothing;
        };
        match message::notification(&text) {
            Ok(Some(payment)) => Heard::Settled(payment),
            Ok(None) => Heard::Nothing,
            Err(error) => Heard::Unreadable(error),
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

fn subscription(id: &str, filter: Filter) -> String {
    ClientMessage::req(SubscriptionId::new(id), filter).as_json()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
