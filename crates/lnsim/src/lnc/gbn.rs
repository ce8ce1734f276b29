//! The node's side of go-back-N, by a clock in milliseconds that the caller has.

use std::collections::VecDeque;

/// What may be under way at once where nothing overtakes; with less, late answers can't be mistaken.
const CAREFUL: usize = 8;

const RESEND_MS: u64 = 1000;
const PING_MS: u64 = 5000;
const PONG_MS: u64 = 3000;

/// A connection, waiting for its SYN at first.
#[derive(Debug)]
pub struct Gbn {
    phase: Phase,
    careful: bool,
    /// The window, as the client proposed it.
    window: u8,
    /// Number of the next packet that we want.
    want: u8,
    /// Number of the oldest packet that wasn't acknowledged.
    base: u8,
    waiting: VecDeque<Vec<u8>>,
    resend_at: u64,
    heard_at: u64,
    pinged_at: Option<u64>,
    /// The last complaint: the number that was wanted, and when.
    complaint: Option<(u8, u64)>,
    out: Vec<Vec<u8>>,
    inbox: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Greeted,
    Open,
    Over,
}

impl Gbn {
    /// At `now_ms`. `careful` sends less at once, for links on which packets overtake each other.
    pub fn new(now_ms: u64, careful: bool) -> Self {
        Self {
            phase: Phase::Waiting,
            careful,
            window: 20,
            want: 0,
            base: 0,
            waiting: VecDeque::new(),
            resend_at: u64::MAX,
            heard_at: now_ms,
            pinged_at: None,
            complaint: None,
            out: Vec::new(),
            inbox: VecDeque::new(),
        }
    }

    /// Whether the handshake is done.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the client said goodbye or fell silent, or we left.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether another payload may be sent.
    pub fn has_room(&self) -> bool {
        let most = if self.careful { CAREFUL.min(self.window.into()) } else { self.window.into() };
        self.is_open() && self.waiting.len() < most
    }

    /// Sends a payload; there must be room.
    pub fn send(&mut self, now_ms: u64, payload: &[u8]) {
        self.push(now_ms, payload, 0);
    }

    /// What goes onto the link.
    pub fn take_packets(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out)
    }

    /// The next payload that came.
    pub fn take_payload(&mut self) -> Option<Vec<u8>> {
        self.inbox.pop_front()
    }

    /// Says goodbye.
    pub fn leave(&mut self) {
        if self.phase != Phase::Over {
            self.out.push(vec![5]);
            self.phase = Phase::Over;
        }
    }

    /// When [`Gbn::tick`] is due, at the latest.
    pub fn next_tick_ms(&self) -> u64 {
        match self.phase {
            Phase::Open if self.is_deaf() => self.resend_at,
            Phase::Open => {
                let life = self.pinged_at.map_or(self.heard_at + PING_MS, |at| at + PONG_MS);
                life.min(self.resend_at)
            }
            Phase::Waiting | Phase::Greeted | Phase::Over => u64::MAX,
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now_ms: u64) {
        if !self.is_open() {
            return;
        }
        match self.pinged_at {
            _ if self.is_deaf() => {}
            Some(at) if now_ms >= at + PONG_MS => self.phase = Phase::Over,
            None if now_ms >= self.heard_at + PING_MS => {
                self.pinged_at = Some(now_ms);
                if self.has_room() {
                    self.push(now_ms, &[], 1);
                }
            }
            _ => {}
        }
        if now_ms >= self.resend_at {
            self.resend(now_ms);
        }
    }

    /// Takes a packet of the client.
    pub fn packet(&mut self, now_ms: u64, packet: &[u8]) {
        if self.phase == Phase::Open {
            self.heard_at = now_ms;
            self.pinged_at = None;
        }
        match (self.phase, packet) {
            (Phase::Waiting | Phase::Greeted, [1, window, ..]) => {
                self.window = (*window).clamp(1, 254);
                self.out.push(vec![1, self.window]);
                self.phase = Phase::Greeted;
            }
            (Phase::Greeted, [6, ..]) => self.open(now_ms),
            (Phase::Greeted, [2, ..]) => {
                // Its SYNACK was lost.
                self.open(now_ms);
                self.packet(now_ms, packet);
            }
            // A client that begins anew: it has lost the connection, so it is of no use any more. The reference node
            // cancels the stream on which its FIN is, so that the client hears nothing.
            (Phase::Open, [1, ..]) if self.want != 0 || self.base != 0 || self.is_deaf() => {
                self.phase = Phase::Over;
            }
            (Phase::Open, [2, seq, _, ping, payload @ ..]) => self.data(now_ms, *seq, *ping == 1, payload),
            (Phase::Open, [3, seq, ..]) => {
                let index = self.distance(*seq);
                if index < self.waiting.len() {
                    self.arrived(now_ms, index + 1);
                }
            }
            (Phase::Open, [4, seq, ..]) => {
                let index = self.distance(*seq);
                if index <= self.waiting.len() {
                    self.arrived(now_ms, index);
                    self.resend(now_ms);
                }
            }
            (Phase::Open, [5, ..]) => self.phase = Phase::Over,
            _ => {}
        }
    }

    /// Whether it waits for nothing but an ACK: with a full window the reference implementation notices neither that it
    /// should ping nor that no answer came, so a client that is gone is taken for alive for ever.
    fn is_deaf(&self) -> bool {
        !self.has_room()
    }

    fn open(&mut self, now_ms: u64) {
        self.phase = Phase::Open;
        self.heard_at = now_ms;
    }

    fn data(&mut self, now_ms: u64, seq: u8, ping: bool, payload: &[u8]) {
        if seq == self.want {
            self.want = (seq + 1) % (self.window + 1);
            self.out.push(vec![3, seq]);
            if !ping {
                self.inbox.push_back(payload.to_vec());
            }
            return;
        }
        let said = self.complaint.is_some_and(|(want, at)| want == self.want && now_ms < at + 2 * RESEND_MS);
        if !said {
            self.complaint = Some((self.want, now_ms));
            self.out.push(vec![4, self.want]);
        }
    }

    fn push(&mut self, now_ms: u64, payload: &[u8], ping: u8) {
        let seq = self.number(self.waiting.len());
        let packet = [&[2, seq, 1, ping], payload].concat();
        self.out.push(packet.clone());
        if self.waiting.is_empty() {
            self.resend_at = now_ms + RESEND_MS;
        }
        self.waiting.push_back(packet);
    }

    fn resend(&mut self, now_ms: u64) {
        self.out.extend(self.waiting.iter().cloned());
        self.set_resend(now_ms);
    }

    fn arrived(&mut self, now_ms: u64, count: usize) {
        self.base = self.number(count);
        self.waiting.drain(..count);
        self.set_resend(now_ms);
    }

    fn set_resend(&mut self, now_ms: u64) {
        self.resend_at = if self.waiting.is_empty() { u64::MAX } else { now_ms + RESEND_MS };
    }

    /// The number of the packet that is `index` behind the oldest.
    fn number(&self, index: usize) -> u8 {
        ((usize::from(self.base) + index) % (usize::from(self.window) + 1)) as u8
    }

    /// How far behind the oldest packet a number is.
    fn distance(&self, seq: u8) -> usize {
        let numbers = usize::from(self.window) + 1;
        (usize::from(seq) + numbers - usize::from(self.base)) % numbers
    }
}
