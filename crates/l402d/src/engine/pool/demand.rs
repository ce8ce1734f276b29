//! How much one invoice is asked for, and how many of it are worth having ready.

use std::time::Duration;

use tokio::time::Instant;

/// Asked for less than this, nothing is made ahead: a price that is computed from the request may never come again.
const WORTH_IT: f64 = 3.5;
/// The same of a wallet that takes long: a client who comes again has waited once.
const WORTH_IT_IF_SLOW: f64 = 0.5;
/// What is kept of an invoice that is hardly asked for.
const HANDFUL: f64 = 8.0;
/// How long it takes to forget half of what was asked for. With it, what is made ahead of one invoice and never
/// asked for is at most twice what was handed out of it.
const MEMORY: Duration = Duration::from_secs(600);
/// As long a demand as the highest lately is served from what is ready.
const BURST: Duration = Duration::from_secs(10);
/// How long it takes to forget half of the highest demand: a burst is expected again for some minutes.
const EXPECTED_AGAIN: Duration = Duration::from_secs(120);

/// What was handed out of one invoice, in numbers that fade.
#[derive(Debug)]
pub(super) struct Demand {
    handed_out: Fading,
    lately: Fading,
    highest: Fading,
    slow: bool,
}

impl Demand {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            handed_out: Fading::new(now, MEMORY),
            lately: Fading::new(now, BURST),
            highest: Fading::new(now, EXPECTED_AGAIN),
            slow: false,
        }
    }

    /// Whether the wallet took long over it.
    pub(super) fn set_slow(&mut self, slow: bool) {
        self.slow = slow;
    }

    /// One more was handed out.
    pub(super) fn note(&mut self, now: Instant) {
        self.handed_out.add(1.0, now);
        let lately = self.lately.add(1.0, now);
        self.highest.raise(lately, now);
    }

    /// The wallet doesn't make it, or makes what can't be kept: begin again.
    pub(super) fn forget(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// How many to have ready; never more than were handed out lately.
    pub(super) fn worth(&self, now: Instant) -> usize {
        let handed_out = self.handed_out.at(now);
        if handed_out < if self.slow { WORTH_IT_IF_SLOW } else { WORTH_IT } {
            return 0;
        }
        // Not negative and far below what an integer holds.
        handed_out.round().min(HANDFUL).max(self.highest.at(now).round()) as usize
    }

    /// Whether it was asked for hardly more than once.
    pub(super) fn is_slight(&self, now: Instant) -> bool {
        self.handed_out.at(now) < 1.5
    }
}

/// A number that halves in a set time.
#[derive(Debug)]
struct Fading {
    value: f64,
    since: Instant,
    half_life: Duration,
}

impl Fading {
    fn new(now: Instant, half_life: Duration) -> Self {
        Self { value: 0.0, since: now, half_life }
    }

    fn at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.since);
        if passed.is_zero() {
            return self.value;
        }
        self.value * (-passed.div_duration_f64(self.half_life)).exp2()
    }

    fn set(&mut self, value: f64, now: Instant) -> f64 {
        (self.value, self.since) = (value, now);
        value
    }

    fn add(&mut self, more: f64, now: Instant) -> f64 {
        self.set(self.at(now) + more, now)
    }

    fn raise(&mut self, to: f64, now: Instant) {
        self.set(self.at(now).max(to), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(demand: &Demand, start: Instant, seconds: u64) -> usize {
        demand.worth(start + Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_hardly_asked_for_is_not_made_ahead() {
        let start = Instant::now();
        let mut demand = Demand::new(start);
        let minutes = |minutes: u64| start + Duration::from_secs(60 * minutes);
        for n in 0..3 {
            demand.note(start);
            assert_eq!(demand.worth(start), 0, "after {}", n + 1);
        }
        demand.note(start);
        assert_eq!((demand.worth(start), demand.worth(minutes(10))), (4, 0));
        // Once in a quarter of an hour.
        let mut rare = Demand::new(start);
        for n in 0..100 {
            rare.note(minutes(15 * n));
            assert_eq!(rare.worth(minutes(15 * n)), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handful_stays_for_a_while_then_nothing() {
        let start = Instant::now();
        let mut demand = Demand::new(start);
        (0..100).for_each(|_| demand.note(start));
        assert_eq!(after(&demand, start, 0), 100);
        assert_eq!(after(&demand, start, 120), 50);
        assert_eq!(after(&demand, start, 1800), 8, "half an hour later");
        assert_eq!(after(&demand, start, 2 * 3600), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_demand_is_met_for_some_seconds() {
        let start = Instant::now();
        let mut demand = Demand::new(start);
        for n in 0..600 {
            demand.note(start + Duration::from_millis(100 * n));
        }
        let worth = after(&demand, start, 60);
        assert!((100..=200).contains(&worth), "{worth} for 10 a second");
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_were_handed_out() {
        let start = Instant::now();
        let mut demand = Demand::new(start);
        for n in 1..=5000 {
            demand.note(start + Duration::from_millis(n));
            assert!(demand.worth(start + Duration::from_millis(n)) <= n as usize);
        }
    }
}
