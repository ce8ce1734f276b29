//! What a link does to packets: seeded, so that a storm can be had again.

use std::time::Duration;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Packets that are lost, percent.
    pub lost: u8,
    /// Packets that come twice, percent.
    pub twice: u8,
    /// How long a packet takes at least.
    pub delay: Duration,
    /// By how much longer it may take: packets overtake each other.
    pub jitter: Duration,
}

/// A [`Weather`] and its dice.
#[derive(Clone, Debug)]
pub struct Sky {
    weather: Weather,
    dice: u64,
}

impl Sky {
    /// The same seed gives the same fates.
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self { weather, dice: seed ^ 0x5851_f42d_4c95_7f2d }
    }

    /// After how long each copy of the next packet arrives; none if it is lost.
    pub fn fate(&mut self) -> Vec<Duration> {
        if self.roll(100) < self.weather.lost.into() {
            return Vec::new();
        }
        let copies = if self.roll(100) < self.weather.twice.into() { 2 } else { 1 };
        (0..copies).map(|_| self.weather.delay + self.jitter()).collect()
    }

    /// Whether packets arrive at once and in order.
    pub(super) fn is_fair(&self) -> bool {
        self.weather == Weather::default()
    }

    fn jitter(&mut self) -> Duration {
        let most = u64::try_from(self.weather.jitter.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.roll(most + 1))
    }

    /// A number below `bound` (xorshift64*).
    fn roll(&mut self, bound: u64) -> u64 {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        (self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % bound
    }
}
