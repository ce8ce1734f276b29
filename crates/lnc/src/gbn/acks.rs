//! The ACKs that are owed: one covers all packets before it, and a mailbox counts packets.

use std::time::{Duration, Instant};

/// An ACK goes out at once for so many packets: less than half of the window, so that the other side never waits for
/// one.
const MOST: u8 = 8;

/// What has come and was not acknowledged.
pub(super) struct Acks {
    /// How long an ACK may wait for further packets.
    delay: Duration,
    owed: Option<Owed>,
}

struct Owed {
    /// The newest packet.
    seq: u8,
    packets: u8,
    due: Instant,
}

impl Acks {
    pub(super) fn new(delay: Duration) -> Acks {
        Acks { delay, owed: None }
    }

    /// The packet `seq` has come in its turn.
    pub(super) fn owe(&mut self, now: Instant, seq: u8) {
        let owed = self.owed.get_or_insert(Owed { seq, packets: 0, due: now + self.delay });
        owed.seq = seq;
        owed.packets += 1;
        if owed.packets >= MOST {
            owed.due = now;
        }
    }

    /// The other side has been told in another way.
    pub(super) fn forgive(&mut self) {
        self.owed = None;
    }

    /// When [`Acks::take`] has something.
    pub(super) fn due(&self) -> Option<Instant> {
        self.owed.as_ref().map(|owed| owed.due)
    }

    /// The packet to acknowledge, once that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<u8> {
        self.owed.take_if(|owed| owed.due <= now).map(|owed| owed.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_ack_for_what_comes_together() {
        let now = Instant::now();
        let mut acks = Acks::new(100 * MS);
        assert_eq!((acks.due(), acks.take(now)), (None, None));
        for seq in [19, 20, 0] {
            acks.owe(now + u32::from(seq) * MS, seq);
        }
        assert_eq!(acks.due(), Some(now + 119 * MS), "it waits from the first packet on");
        assert_eq!(acks.take(now + 118 * MS), None);
        assert_eq!(acks.take(now + 119 * MS), Some(0));
        assert_eq!(acks.take(now + 119 * MS), None);
    }

    #[test]
    fn many_packets_are_acknowledged_at_once() {
        let now = Instant::now();
        let mut acks = Acks::new(100 * MS);
        for seq in 0..MOST {
            assert_eq!(acks.take(now), None);
            acks.owe(now, seq);
        }
        assert_eq!(acks.take(now), Some(MOST - 1));
    }

    #[test]
    fn without_a_delay_each_has_its_own() {
        let now = Instant::now();
        let mut acks = Acks::new(Duration::ZERO);
        acks.owe(now, 4);
        assert_eq!(acks.take(now), Some(4));
    }

    #[test]
    fn a_nack_says_the_same() {
        let now = Instant::now();
        let mut acks = Acks::new(MS);
        acks.owe(now, 4);
        acks.forgive();
        assert_eq!(acks.take(now + MS), None);
    }
}
