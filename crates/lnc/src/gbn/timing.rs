//! How long to wait for what.

use std::time::Duration;

/// The durations of a connection. [`Timing::CLIENT`] and [`Timing::SERVER`] are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For the answer to the first SYN; twice as long with each repetition. Short, because a node that holds a connection
    /// of ours before this one for alive ends it at the first SYN, without a word, and answers the second.
    pub first_syn: Duration,
    /// For the answer to a SYN, at most.
    pub handshake: Duration,
    /// For an ACK, at least; half of it more with each repetition.
    pub resend: Duration,
    /// How long an ACK may wait for further packets that it then covers too. Far below the other side's wait for it.
    pub ack: Duration,
    /// A ping goes out after so much silence.
    pub ping: Duration,
    /// The connection is over when a ping is followed by so much silence.
    pub pong: Duration,
}

impl Timing {
    /// For the side that connects.
    pub const CLIENT: Timing = Timing {
        first_syn: Duration::from_millis(250),
        handshake: Duration::from_secs(2),
        resend: Duration::from_secs(1),
        ack: Duration::from_millis(100),
        ping: Duration::from_secs(7),
        pong: Duration::from_secs(3),
    };

    /// For the side that waits: it pings a little earlier, so that both don't at once, and acknowledges each packet.
    pub const SERVER: Timing = Timing { ping: Duration::from_secs(5), ack: Duration::ZERO, ..Timing::CLIENT };
}

impl Timing {
    /// How long to wait for the answer to a SYN that was repeated so often.
    pub(super) fn syn_wait(&self, repetitions: u32) -> Duration {
        self.first_syn.saturating_mul(2_u32.saturating_pow(repetitions)).min(self.handshake)
    }
}

/// A wait answered sooner than this multiple of the round trip is too short.
const ROUND_TRIPS: u32 = 5;

/// The wait for ACKs, as the round trips are.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    least: Duration,
    current: Duration,
    /// Repetitions since something last arrived.
    boosts: u32,
    /// The shortest round trip seen.
    fastest: Option<Duration>,
}

impl Patience {
    pub(super) fn new(least: Duration) -> Patience {
        Patience { least, current: least, boosts: 0, fastest: None }
    }

    /// Something that was sent once has been answered after `round_trip`.
    pub(super) fn measured(&mut self, round_trip: Duration) {
        self.current = (round_trip * ROUND_TRIPS).max(self.least);
        self.fastest = Some(self.fastest.map_or(round_trip, |fastest| fastest.min(round_trip)));
    }

    /// Something that was sent has arrived.
    pub(super) fn rewarded(&mut self) {
        self.boosts = 0;
    }

    pub(super) fn repeated(&mut self) {
        self.boosts = self.boosts.saturating_add(1);
    }

    pub(super) fn wait(&self) -> Duration {
        boosted(self.current, self.boosts)
    }

    /// Whether an answer `elapsed` after a packet was sent can be one to it.
    pub(super) fn can_be_answered(&self, elapsed: Duration) -> bool {
        self.fastest.is_none_or(|fastest| elapsed >= fastest / 2)
    }
}

/// `wait`, and half of it more for each repetition, up to twice: there must be several within the time after which
/// silence is taken for death.
fn boosted(wait: Duration, repetitions: u32) -> Duration {
    const MOST: u32 = 2;
    wait + wait / 2 * repetitions.min(MOST)
}
