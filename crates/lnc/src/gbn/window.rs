//! What was sent and not yet acknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::packet;
use super::timing::Patience;

/// The send window.
pub(super) struct Window {
    /// What both sides agreed on; numbers go from 0 to `size`.
    size: u8,
    /// Number of the oldest packet under way.
    base: u8,
    under_way: VecDeque<UnderWay>,
    patience: Patience,
    /// When the packets go out again if nothing is acknowledged.
    resend_at: Option<Instant>,
}

struct UnderWay {
    payload: Vec<u8>,
    ping: bool,
    sent_at: Instant,
    repeated: bool,
}

impl Window {
    pub(super) fn new(size: u8, least_patience: Duration) -> Window {
        let patience = Patience::new(least_patience);
        Window { size, base: 0, under_way: VecDeque::new(), patience, resend_at: None }
    }

    /// Half of the window is used: an answer that is late by fewer than the other half is about none of these packets.
    pub(super) fn has_room(&self) -> bool {
        self.under_way.len() < usize::from(self.size.div_ceil(2))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn resend_at(&self) -> Option<Instant> {
        self.resend_at
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience.wait()
    }

    /// The handshake took `round_trip`.
    pub(super) fn measured(&mut self, round_trip: Duration) {
        self.patience.measured(round_trip);
    }

    /// Takes a payload into the window; returns its packet.
    pub(super) fn push(&mut self, now: Instant, payload: Vec<u8>, ping: bool) -> Vec<u8> {
        let seq = self.seq(self.under_way.len());
        let bytes = packet::data(seq, true, ping, &payload);
        self.under_way.push_back(UnderWay { payload, ping, sent_at: now, repeated: false });
        self.resend_at.get_or_insert(now + self.patience.wait());
        bytes
    }

    /// Everything up to and with `seq` has arrived.
    pub(super) fn acknowledge(&mut self, now: Instant, seq: u8) {
        let Some(index) = self.index(seq) else { return };
        self.arrived(now, index + 1);
    }

    /// Everything before `seq` has arrived. Returns the packets to send again: `seq` and what follows it, unless it
    /// has only just been sent.
    pub(super) fn missing(&mut self, now: Instant, seq: u8) -> Vec<Vec<u8>> {
        let end = self.under_way.len();
        let Some(index) = self.index(seq).or_else(|| (self.seq(end) == seq).then_some(end)) else {
            return Vec::new();
        };
        self.arrived(now, index);
        match self.under_way.front() {
            Some(first) if self.patience.can_be_answered(now.saturating_duration_since(first.sent_at)) => {
                self.send_again(now)
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// All packets under way, to be sent again.
    pub(super) fn send_again(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let base = self.base;
        let modulus = u16::from(self.size) + 1;
        let packets = (0..).zip(&mut self.under_way).map(|(index, sent)| {
            (sent.sent_at, sent.repeated) = (now, true);
            packet::data(((u16::from(base) + index) % modulus) as u8, true, sent.ping, &sent.payload)
        });
        let packets: Vec<_> = packets.collect();
        if !packets.is_empty() {
            self.patience.repeated();
            self.resend_at = Some(now + self.patience.wait());
        }
        packets
    }

    /// Drops the oldest `count` packets.
    fn arrived(&mut self, now: Instant, count: usize) {
        let Some(newest) = count.checked_sub(1).and_then(|index| self.under_way.get(index)) else { return };
        if !newest.repeated {
            self.patience.measured(now.saturating_duration_since(newest.sent_at));
        }
        self.patience.rewarded();
        self.base = self.seq(count);
        self.under_way.drain(..count);
        self.resend_at = (!self.under_way.is_empty()).then(|| now + self.patience.wait());
    }

    /// The number of the packet at `index`.
    fn seq(&self, index: usize) -> u8 {
        ((usize::from(self.base) + index) % (usize::from(self.size) + 1)) as u8
    }

    /// Where the packet with this number is.
    fn index(&self, seq: u8) -> Option<usize> {
        (0..self.under_way.len()).find(|index| self.seq(*index) == seq)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn filled(now: Instant, count: u8) -> Window {
        let mut window = Window::new(20, Duration::from_secs(1));
        window.measured(100 * MS);
        for payload in 0..count {
            window.push(now, vec![payload], false);
        }
        window
    }

    fn first_bytes(packets: Vec<Vec<u8>>) -> Vec<(u8, u8)> {
        packets.into_iter().map(|packet| (packet[1], packet[4])).collect()
    }

    #[test]
    fn an_ack_covers_what_came_before_it() {
        let now = Instant::now();
        let mut window = filled(now, 5);
        window.acknowledge(now + 100 * MS, 2);
        assert_eq!(first_bytes(window.send_again(now + 200 * MS)), [(3, 3), (4, 4)]);
        window.acknowledge(now + 300 * MS, 4);
        assert!(window.is_empty() && window.resend_at().is_none());
    }

    #[test]
    fn a_nack_covers_what_came_before_it_and_asks_for_the_rest() {
        let now = Instant::now();
        let mut window = filled(now, 4);
        assert_eq!(first_bytes(window.missing(now + 100 * MS, 2)), [(2, 2), (3, 3)]);
        assert_eq!(window.missing(now + 101 * MS, 2), Vec::<Vec<u8>>::new(), "they are under way again");
        assert!(window.missing(now + 200 * MS, 4).is_empty());
        assert!(window.is_empty(), "the next number says that all have come");
    }

    #[test]
    fn numbers_go_round() {
        let now = Instant::now();
        let mut window = filled(now, 10);
        assert!(!window.has_room());
        window.acknowledge(now + 100 * MS, 9);
        for payload in 10..20 {
            window.push(now, vec![payload], false);
        }
        window.acknowledge(now + 200 * MS, 18);
        for payload in 20..24 {
            window.push(now, vec![payload], false);
        }
        let again = first_bytes(window.send_again(now + 300 * MS));
        assert_eq!(again, [(19, 19), (20, 20), (0, 21), (1, 22), (2, 23)]);
    }

    #[test]
    fn strangers_are_passed_over() {
        let now = Instant::now();
        let mut window = filled(now, 3);
        window.acknowledge(now + 100 * MS, 7);
        window.acknowledge(now + 100 * MS, 20);
        window.acknowledge(now + 100 * MS, 255);
        assert!(window.missing(now + 100 * MS, 9).is_empty());
        assert_eq!(window.send_again(now + 200 * MS).len(), 3);
    }

    #[test]
    fn patience_grows_with_each_repetition() {
        let now = Instant::now();
        let mut window = filled(now, 1);
        assert_eq!(window.resend_at(), Some(now + 1000 * MS));
        window.send_again(now);
        assert_eq!(window.resend_at(), Some(now + 1500 * MS));
        window.send_again(now);
        assert_eq!(window.resend_at(), Some(now + 2000 * MS));
    }
}
