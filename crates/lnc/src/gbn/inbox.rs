//! What has come, in order.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// The receiving side. A payload never comes twice in a stream of ciphertexts, so a packet of the expected number that
/// is, byte for byte, the one that last had this number is a stray that a link held back: it is not taken for a new one.
pub(super) struct Inbox {
    size: u8,
    /// The number that is wanted next.
    expected: u8,
    /// Fingerprints of the last payloads, one a number, the newest last.
    seen: VecDeque<u64>,
    /// The last NACK.
    complained: Option<(u8, Instant)>,
}

/// What to do with a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the next one: acknowledge it.
    Next,
    /// It is another one: say which is wanted.
    Complain(u8),
    /// It is another one, and that was said just now.
    Ignore,
}

impl Inbox {
    pub(super) fn new(size: u8) -> Inbox {
        Inbox { size, expected: 0, seen: VecDeque::new(), complained: None }
    }

    /// Judges a packet; a complaint is repeated after `patience` at the soonest.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        seq: u8,
        ping: bool,
        payload: &[u8],
        patience: Duration,
    ) -> Verdict {
        let numbers = usize::from(self.size) + 1;
        if seq == self.expected {
            let print = fingerprint(payload);
            let stray = !ping && self.seen.len() == numbers && self.seen.front() == Some(&print);
            if !stray {
                self.expected = ((usize::from(seq) + 1) % numbers) as u8;
                if self.seen.len() == numbers {
                    self.seen.pop_front();
                }
                self.seen.push_back(print);
                return Verdict::Next;
            }
        }
        let said = self.complained.is_some_and(|(wanted, at)| {
            wanted == self.expected && now.saturating_duration_since(at) < patience
        });
        if said {
            return Verdict::Ignore;
        }
        self.complained = Some((self.expected, now));
        Verdict::Complain(self.expected)
    }
}

fn fingerprint(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    #[test]
    fn only_the_next_one_is_taken() {
        let now = Instant::now();
        let mut inbox = Inbox::new(20);
        let mut judge = |at, seq| inbox.judge(at, seq, false, &[seq], PATIENCE);
        assert_eq!(judge(now, 0), Verdict::Next);
        assert_eq!(judge(now, 2), Verdict::Complain(1));
        assert_eq!(judge(now, 3), Verdict::Ignore, "said just now");
        assert_eq!(judge(now + PATIENCE, 3), Verdict::Complain(1));
        assert_eq!(judge(now, 1), Verdict::Next);
        assert_eq!(judge(now, 1), Verdict::Complain(2), "a duplicate");
    }

    #[test]
    fn a_stray_of_the_last_round_is_not_new() {
        let now = Instant::now();
        let mut inbox = Inbox::new(20);
        for seq in 0..21 {
            assert_eq!(inbox.judge(now, seq, false, &[seq], PATIENCE), Verdict::Next);
        }
        assert_eq!(inbox.judge(now, 0, false, &[0], PATIENCE), Verdict::Complain(0));
        assert_eq!(inbox.judge(now, 0, false, &[100], PATIENCE), Verdict::Next);
        assert_eq!(inbox.judge(now, 1, true, &[], PATIENCE), Verdict::Next);
    }
}
