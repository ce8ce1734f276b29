//! What all relays of a connection share: the session, which of them are up, and who waits for what.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nostr::event::EventId;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::info::{Encryption, Info, Method};
use super::line::{Line, Relay};
use super::memory::Memory;
use super::refusal::{self, Refusal};
use super::session::{Asked, Heard, Session, Subscription};
use crate::LightningError;
use crate::connector::Push;

/// Frames that may wait for a relay; one that takes no more is as good as gone.
const QUEUE: usize = 512;

/// Settlements that may wait for the engine. Beyond that they are dropped: look-ups find them.
const BACKLOG: usize = 1024;

/// A relay is reached anew after so many calls in a row during which it said nothing at all.
const SILENT_CALLS: u32 = 2;

/// What becomes of a request.
type Answer = Result<Result<Value, Refusal>, LightningError>;

/// Shared by the calls and the tasks of the relays.
pub(super) struct Hub {
    state: Mutex<State>,
    memory: Memory,
    /// Counts whatever may let a waiting call go on.
    changes: watch::Sender<u64>,
}

struct State {
    session: Session,
    relays: Vec<Relay>,
    calls: HashMap<EventId, Call>,
    listeners: Vec<mpsc::Sender<Push>>,
}

struct Call {
    answer: oneshot::Sender<Answer>,
    /// The relays that carry it.
    carried: HashSet<usize>,
}

impl Hub {
    pub(super) fn new(session: Session, memory: Memory, urls: &[String]) -> Hub {
        let now = unix_now();
        let relay = |url: &String| Relay {
            url: url.clone(),
            line: Line::Connecting,
            heard: None,
            silent: 0,
            since: now,
        };
        let relays = urls.iter().map(relay).collect();
        let state = State { session, relays, calls: HashMap::new(), listeners: Vec::new() };
        Hub { state: Mutex::new(state), memory, changes: watch::channel(0).0 }
    }

    /// What the wallet can do. Waits for a relay and for the wallet's info event; fails at once while no relay can be
    /// reached.
    pub(super) async fn info(&self, deadline: Instant) -> Result<Info, LightningError> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(ready) = self.state().ready() {
                return ready;
            }
            match timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(LightningError::TimedOut),
            }
        }
    }

    /// The encryption to ask in; `None`: it has to be found out.
    pub(super) fn encryption(&self) -> Result<Option<Encryption>, LightningError> {
        self.state().session.encryption()
    }

    /// The wallet was found to read this encryption.
    pub(super) fn learn(&self, encryption: Encryption) {
        self.state().session.learn(encryption);
        self.remember();
    }

    /// Asks the wallet, over every relay that is up.
    pub(super) async fn ask(
        &self,
        method: Method,
        params: &Value,
        encryption: Encryption,
        deadline: Instant,
    ) -> Result<Result<Value, Refusal>, LightningError> {
        let began = Instant::now();
        let (id, answer) = self.state().send(method, params, encryption)?;
        let _forgotten = Forget { hub: self, id };
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(LightningError::unavailable("the wallet was closed", Duration::ZERO)),
            Err(_) => Err(self.state().unanswered(&id, began)),
        }
    }

    /// Keeps in mind that the wallet speaks NIP-44, once it does.
    fn remember(&self) {
        if self.state().session.has_nip44() {
            self.memory.note_nip44();
        }
    }

    /// A new listener for what the wallet pushes.
    pub(super) fn listen(&self) -> mpsc::Receiver<Push> {
        let (to, settlements) = mpsc::channel(BACKLOG);
        self.state().listeners.push(to);
        settlements
    }

    /// A relay is about to be reached.
    pub(super) fn connecting(&self, index: usize) {
        self.state().relays[index].line = Line::Connecting;
    }

    /// A relay was reached: what it is to be sent, beginning with the subscriptions and what is unanswered.
    pub(super) fn up(&self, index: usize) -> mpsc::Receiver<String> {
        let mut guard = self.state();
        let state = &mut *guard;
        let relay = &mut state.relays[index];
        let greeting = state.session.greeting(relay.since);
        let (frames, queue) = mpsc::channel(QUEUE.max(greeting.len()));
        for frame in greeting {
            // There is room for all of them.
            let _ = frames.try_send(frame);
        }
        relay.line = Line::Up { frames, told: false, closed: HashSet::new(), complaint: None, denied: None };
        relay.silent = 0;
        for call in state.calls.values_mut() {
            call.carried.insert(index);
        }
        drop(guard);
        self.changed();
        queue
    }

    /// A relay said something.
    pub(super) fn hear(&self, index: usize, text: &str) {
        let mut guard = self.state();
        let now = unix_now();
        let state = &mut *guard;
        let relay = &mut state.relays[index];
        relay.heard = Some(Instant::now());
        relay.silent = 0;
        relay.since = now;
        match state.session.hear(text, &relay.url, now) {
            Heard::Info => {
                if let Some(info) = state.session.info() {
                    announce(info);
                }
            }
            Heard::Answer(id, answer) => state.answer(&id, answer),
            Heard::Settled(payment) => state.tell(|| Push::Paid(payment.clone())),
            Heard::Unreadable(error) => state.tell(|| Push::Unreadable(error.clone())),
            Heard::Rejected(id, reason) => {
                let reason = relay.line.reason(&reason);
                let error = refusal::of_relay(&relay.url, &reason);
                state.not_carried(index, Some(id), &error);
            }
            Heard::EndOfInfo => {
                if let Line::Up { told, .. } = &mut relay.line {
                    *told = true;
                }
            }
            Heard::Closed(which, reason) => state.closed(index, which, &reason),
            Heard::Asked(reason) => {
                let reason = relay.line.reason(&reason);
                if let Line::Up { complaint, .. } = &mut relay.line {
                    *complaint = Some(reason);
                }
                return;
            }
            Heard::Denied(reason) => {
                if let Line::Up { told, complaint, denied, .. } = &mut relay.line {
                    *told = true;
                    *complaint = Some(reason.clone());
                    *denied = Some(reason.clone());
                }
                let error = refusal::of_relay(&relay.url, &reason);
                state.not_carried(index, None, &error);
            }
            Heard::Reply(frames) => frames.into_iter().for_each(|frame| state.say(index, frame)),
            Heard::Nothing => return,
        }
        drop(guard);
        self.remember();
        self.changed();
    }

    /// A relay was lost or could not be reached; it is tried again after `pause`.
    pub(super) fn down(&self, index: usize, text: &str, pause: Duration) {
        let error = LightningError::unavailable(text, pause);
        let mut state = self.state();
        state.relays[index].line = Line::Down { until: Instant::now() + pause, error: error.clone() };
        state.not_carried(index, None, &error);
        drop(state);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the wallet can do, or why nothing can be asked; `None` if that will be known soon.
    fn ready(&mut self) -> Option<Result<Info, LightningError>> {
        let mut up = self.relays.iter().filter(|relay| matches!(relay.line, Line::Up { .. })).peekable();
        let connecting = self.relays.iter().any(|relay| matches!(relay.line, Line::Connecting));
        if up.peek().is_none() {
            return (!connecting).then(|| Err(self.unreachable()));
        }
        let all_told = up.all(|relay| matches!(relay.line, Line::Up { told: true, .. }));
        if self.session.info().is_none() && all_told && !connecting {
            tracing::warn!(
                "no relay of NWC_URI has the wallet's info event (kind 13194): is the wallet running? Both encryptions \
                 are tried"
            );
            self.session.assume();
        }
        self.session.info().cloned().map(Ok)
    }

    /// Every relay is down: the error of the one that is tried next.
    fn unreachable(&self) -> LightningError {
        let down = self.relays.iter().filter_map(|relay| match &relay.line {
            Line::Down { until, error } => Some((until, error)),
            Line::Connecting | Line::Up { .. } => None,
        });
        match down.min_by_key(|(until, _)| **until) {
            Some((until, LightningError::Unavailable { text, .. })) => {
                let left = until.saturating_duration_since(Instant::now());
                LightningError::unavailable(text.clone(), left)
            }
            Some((_, error)) => error.clone(),
            None => LightningError::unavailable("there is no relay", Duration::ZERO),
        }
    }

    fn send(
        &mut self,
        method: Method,
        params: &Value,
        encryption: Encryption,
    ) -> Result<(EventId, oneshot::Receiver<Answer>), LightningError> {
        let Asked { id, frames } = self.session.request(method, params, encryption, unix_now())?;
        let up = |(_, relay): &(usize, &Relay)| matches!(relay.line, Line::Up { .. });
        let carried: HashSet<usize> =
            self.relays.iter().enumerate().filter(up).map(|(index, _)| index).collect();
        if carried.is_empty() {
            self.session.forget(&id);
            return Err(self.unreachable());
        }
        for &index in &carried {
            frames.iter().for_each(|frame| self.say(index, frame.clone()));
        }
        let (answer, waiting) = oneshot::channel();
        self.calls.insert(id, Call { answer, carried });
        Ok((id, waiting))
    }

    /// A relay that takes no more frames is hung up on: its task sees that the queue has ended.
    fn say(&mut self, index: usize, frame: String) {
        let relay = &mut self.relays[index];
        if let Line::Up { frames, .. } = &relay.line
            && frames.try_send(frame).is_err()
        {
            relay.line = Line::Connecting;
        }
    }

    fn answer(&mut self, id: &EventId, answer: Answer) {
        if let Some(call) = self.calls.remove(id) {
            // The caller may have left.
            let _ = call.answer.send(answer);
        }
    }

    /// A relay ended a subscription. As long as it keeps one that answers come by, it is of use.
    fn closed(&mut self, index: usize, which: Subscription, reason: &str) {
        let relay = &mut self.relays[index];
        let reason = relay.line.reason(reason);
        let Line::Up { told, closed, complaint, .. } = &mut relay.line else { return };
        *told |= which == Subscription::Info;
        closed.insert(which);
        *complaint = Some(reason.clone());
        if closed.contains(&Subscription::Ours) && closed.contains(&Subscription::Answers) {
            // Answers are subscribed to anew with each request.
            closed.remove(&Subscription::Answers);
            let error = refusal::of_relay(&relay.url, &reason);
            self.not_carried(index, None, &error);
        }
    }

    /// A relay does not carry a request, or any. Those that nobody carries have failed.
    fn not_carried(&mut self, index: usize, only: Option<EventId>, error: &LightningError) {
        let mut failed = Vec::new();
        for (id, call) in &mut self.calls {
            let concerned = only.is_none_or(|only| only == *id);
            if concerned && call.carried.remove(&index) && call.carried.is_empty() {
                failed.push(*id);
            }
        }
        for id in failed {
            self.session.forget(&id);
            self.answer(&id, Err(error.clone()));
        }
    }

    /// No answer came: a relay that said nothing at all meanwhile may be dead without our knowing. What relays said in
    /// place of passing it on is the error.
    fn unanswered(&mut self, id: &EventId, began: Instant) -> LightningError {
        self.session.doubt();
        let Some(call) = self.calls.get(id) else { return LightningError::TimedOut };
        let mut complaints = Vec::new();
        for &index in &call.carried {
            let relay = &mut self.relays[index];
            if relay.heard.is_none_or(|heard| heard < began) {
                relay.silent += 1;
                if relay.silent >= SILENT_CALLS {
                    relay.line = Line::Connecting;
                }
            }
            if let Line::Up { complaint: Some(reason), .. } = &relay.line {
                complaints.push(refusal::of_relay(&relay.url, reason));
            }
        }
        let all = !complaints.is_empty() && complaints.len() == call.carried.len();
        complaints.into_iter().next().filter(|_| all).unwrap_or(LightningError::TimedOut)
    }

    fn tell(&mut self, push: impl Fn() -> Push) {
        self.listeners.retain(|listener| match listener.try_send(push()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!("a pushed settlement is dropped: too many wait; a look-up finds it");
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }
}

/// Takes a request out when its caller is done, whatever way.
struct Forget<'a> {
    hub: &'a Hub,
    id: EventId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        state.session.forget(&self.id);
        state.calls.remove(&self.id);
    }
}

/// Says once what the wallet leaves out.
fn announce(info: &Info) {
    if !info.can(Method::MakeInvoice) {
        tracing::error!(
            "the wallet's connection has no make_invoice: nothing can be sold; make one that has it"
        );
    }
    if !info.can(Method::LookupInvoice) {
        tracing::warn!(
            "the wallet's connection has no lookup_invoice: a payment is only seen when the client presents its \
             preimage or the wallet tells of it; l402_auto_detect_payment is of little use"
        );
    }
    if !info.pushes() {
        tracing::info!("the wallet tells of no payments by itself: they are looked up when a client asks");
    }
}

pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
