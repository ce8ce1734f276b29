//! One connection, of either side: SYN, SYN, SYNACK; then data, signs of life, and FIN.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::acks::Acks;
use super::inbox::{Inbox, Verdict};
use super::packet::Packet;
use super::timing::Timing;
use super::window::Window;
use super::{MAX_PAYLOAD, WINDOW};

/// A go-back-N connection.
pub struct Connection {
    timing: Timing,
    state: State,
    window: Window,
    inbox: Inbox,
    acks: Acks,
    /// Pieces of a payload whose last piece has not come.
    partial: Vec<u8>,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    /// When the silence has lasted long enough for a ping.
    ping_at: Instant,
    /// When the silence after a ping has lasted too long.
    pong_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Client: SYN is sent.
    Proposed {
        since: Instant,
        again_at: Instant,
        repetitions: u32,
    },
    /// Server: nothing has come.
    Listening,
    /// Server: the client's SYN is answered.
    Answered {
        since: Instant,
        again: bool,
    },
    Open,
    Closed,
}

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Payloads may be sent.
    Open,
    /// A payload has come.
    Payload(Vec<u8>),
    /// It is over. Nothing follows.
    Closed(Closed),
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// We said so.
    #[error("this side has closed the connection")]
    Here,
    /// The other side said so.
    #[error("the other side has closed the connection")]
    There,
    /// Nothing came for too long, not even on asking.
    #[error("the other side has fallen silent")]
    Silent,
    /// The other side does what can't be right.
    #[error("the other side breaks the protocol: {0}")]
    Broken(&'static str),
}

impl Connection {
    /// The side that connects. Its SYN is ready to be sent.
    pub fn client(now: Instant, timing: Timing) -> Connection {
        let again_at = now + timing.syn_wait(0);
        let mut connection =
            Connection::new(now, timing, State::Proposed { since: now, again_at, repetitions: 0 });
        connection.put(&Packet::Syn { window: WINDOW });
        connection
    }

    /// The side that waits for a SYN.
    pub fn server(now: Instant, timing: Timing) -> Connection {
        Connection::new(now, timing, State::Listening)
    }

    fn new(now: Instant, timing: Timing, state: State) -> Connection {
        Connection {
            timing,
            state,
            window: Window::new(WINDOW, timing.resend),
            inbox: Inbox::new(WINDOW),
            acks: Acks::new(timing.ack),
            partial: Vec::new(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            ping_at: now + timing.ping,
            pong_until: None,
        }
    }

    /// Whether payloads may be sent and received.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether [`Connection::send`] would take a payload.
    pub fn has_room(&self) -> bool {
        self.is_open() && self.window.has_room()
    }

    /// Whether everything that was sent has arrived.
    pub fn all_arrived(&self) -> bool {
        self.window.is_empty()
    }

    /// Sends a payload.
    ///
    /// # Errors
    /// There is no room: the payload is given back.
    pub fn send(&mut self, now: Instant, payload: Vec<u8>) -> Result<(), Vec<u8>> {
        if !self.has_room() {
            return Err(payload);
        }
        let packet = self.window.push(now, payload, false);
        self.outgoing.push_back(packet);
        Ok(())
    }

    /// Says FIN, once, and is over.
    pub fn close(&mut self) {
        if self.state != State::Closed {
            self.put(&Packet::Fin);
            self.end(Closed::Here);
        }
    }

    /// The link was down and is up again: what was under way is lost, so it goes out again at once.
    pub fn link_is_back(&mut self, now: Instant) {
        match &mut self.state {
            State::Proposed { again_at, repetitions, .. } => {
                (*again_at, *repetitions) = (now, (*repetitions).min(1));
            }
            State::Open => self.outgoing.extend(self.window.send_again(now)),
            State::Listening | State::Answered { .. } | State::Closed => {}
        }
    }

    /// Takes what came. Bytes that are no packet are passed over: go-back-N asks for whatever is missing.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(packet) = Packet::decode(bytes) else { return };
        if self.is_open() {
            self.alive(now);
            self.while_open(now, packet);
        } else {
            self.while_opening(now, packet);
        }
    }

    fn while_opening(&mut self, now: Instant, packet: Packet) {
        match (self.state, packet) {
            (State::Proposed { since, repetitions, .. }, Packet::Syn { window: WINDOW }) => {
                self.put(&Packet::SynAck);
                self.open(now, (repetitions == 0).then(|| now.saturating_duration_since(since)));
            }
            (State::Proposed { .. }, Packet::Syn { .. }) => {
                self.end(Closed::Broken("it answers with another window"));
            }
            (State::Listening, Packet::Syn { window }) => self.answer(now, window, false),
            (State::Answered { .. }, Packet::Syn { window }) => self.answer(now, window, true),
            (State::Answered { since, again }, Packet::SynAck) => {
                self.open(now, (!again).then(|| now.saturating_duration_since(since)));
            }
            // The SYNACK was lost, but the client goes on: it has our SYN.
            (State::Answered { .. }, packet @ Packet::Data { .. }) => {
                self.open(now, None);
                self.while_open(now, packet);
            }
            // The server ends the connection before this one only now, perhaps because of this SYN: it wants another.
            (State::Proposed { again_at, since, repetitions }, Packet::Fin) => {
                let again_at = again_at.min(now + self.timing.first_syn / 2);
                self.state = State::Proposed { since, again_at, repetitions };
            }
            // Left over from a connection before this one.
            (State::Proposed { .. } | State::Listening | State::Answered { .. }, _) => {}
            (State::Open | State::Closed, _) => {}
        }
    }

    fn answer(&mut self, now: Instant, window: u8, again: bool) {
        if window == 0 || window == u8::MAX {
            return self.end(Closed::Broken("it proposes a window that can't be"));
        }
        self.window = Window::new(window, self.timing.resend);
        self.inbox = Inbox::new(window);
        self.put(&Packet::Syn { window });
        self.state = State::Answered { since: now, again };
    }

    fn open(&mut self, now: Instant, round_trip: Option<Duration>) {
        self.state = State::Open;
        if let Some(round_trip) = round_trip {
            self.window.measured(round_trip);
        }
        self.alive(now);
        self.events.push_back(Event::Open);
    }

    fn while_open(&mut self, now: Instant, packet: Packet) {
        match packet {
            Packet::Data { seq, last, ping, payload } => {
                match self.inbox.judge(now, seq, ping, &payload, self.window.patience()) {
                    Verdict::Next => {
                        self.acks.owe(now, seq);
                        self.acknowledge(now);
                        if !ping {
                            self.piece(last, payload);
                        }
                    }
                    Verdict::Complain(seq) => {
                        self.acks.forgive();
                        self.put(&Packet::Nack { seq });
                    }
                    Verdict::Ignore => {}
                }
            }
            Packet::Ack { seq } => self.window.acknowledge(now, seq),
            Packet::Nack { seq } => self.outgoing.extend(self.window.missing(now, seq)),
            Packet::Fin => self.end(Closed::There),
            // The answer to a SYN that was sent twice.
            Packet::Syn { .. } | Packet::SynAck => {}
        }
    }

    /// Sends the ACK that is due.
    fn acknowledge(&mut self, now: Instant) {
        if let Some(seq) = self.acks.take(now) {
            self.put(&Packet::Ack { seq });
        }
    }

    fn piece(&mut self, last: bool, payload: Vec<u8>) {
        if self.partial.len() + payload.len() > MAX_PAYLOAD {
            return self.end(Closed::Broken("a payload has no end"));
        }
        let whole = if self.partial.is_empty() {
            payload
        } else {
            self.partial.extend(payload);
            std::mem::take(&mut self.partial)
        };
        if last {
            self.events.push_back(Event::Payload(whole));
        } else {
            self.partial = whole;
        }
    }

    /// Something came: the other side lives.
    fn alive(&mut self, now: Instant) {
        self.ping_at = now + self.timing.ping;
        self.pong_until = None;
    }

    /// When [`Connection::handle_timeout`] has something to do; `None` while nothing is waited for.
    pub fn timeout(&self) -> Option<Instant> {
        match self.state {
            State::Proposed { again_at, .. } => Some(again_at),
            State::Listening | State::Answered { .. } | State::Closed => None,
            State::Open => {
                let alive = self.pong_until.unwrap_or(self.ping_at);
                let others = [self.window.resend_at(), self.acks.due()];
                Some(others.into_iter().flatten().fold(alive, Instant::min))
            }
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Proposed { again_at, repetitions, .. } if *again_at <= now => {
                *repetitions += 1;
                *again_at = now + self.timing.syn_wait(*repetitions);
                self.put(&Packet::Syn { window: WINDOW });
            }
            State::Open => {
                self.acknowledge(now);
                if self.pong_until.is_some_and(|until| until <= now) {
                    return self.end(Closed::Silent);
                }
                if self.pong_until.is_none() && self.ping_at <= now {
                    self.ping(now);
                }
                if self.window.resend_at().is_some_and(|at| at <= now) {
                    self.outgoing.extend(self.window.send_again(now));
                }
            }
            State::Proposed { .. } | State::Listening | State::Answered { .. } | State::Closed => {}
        }
    }

    /// Asks for a sign of life. With a full window there are packets enough that want an answer.
    fn ping(&mut self, now: Instant) {
        self.pong_until = Some(now + self.timing.pong);
        if self.window.has_room() {
            let packet = self.window.push(now, Vec::new(), true);
            self.outgoing.push_back(packet);
        }
    }

    /// The next packet for the link.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn put(&mut self, packet: &Packet) {
        self.outgoing.push_back(packet.encode());
    }

    fn end(&mut self, why: Closed) {
        self.state = State::Closed;
        self.events.push_back(Event::Closed(why));
    }
}
