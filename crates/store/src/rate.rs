//! How often something may be done: so many at once, and then one after the other as the window passes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// So many in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub limit: u32,
    /// In how long.
    pub window: Duration,
}

/// What taking one came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is within the rate.
    Passed,
    /// It is not; nothing was counted.
    Limited {
        /// When the next one will be.
        retry_after: Duration,
    },
}

impl Rate {
    /// The time that each takes up of the window.
    pub(crate) fn each(&self) -> Duration {
        self.window / self.limit.max(1)
    }

    /// Given how long all that was taken still takes up: what one more comes to, and how long it is then.
    fn take(&self, taken_up: Duration) -> (Taken, Duration) {
        let after = taken_up + self.each();
        match after.checked_sub(self.window.max(self.each())) {
            Some(over) if !over.is_zero() => (Taken::Limited { retry_after: over }, taken_up),
            _ => (Taken::Passed, after),
        }
    }
}

/// Names that are kept at most: some 100 bytes each. Beyond it those go first that are over soonest.
const CAPACITY: usize = 100_000;

/// Rates of one process, in memory: what is counted is of no use any more when its window has passed.
#[derive(Default)]
pub(crate) struct Rates(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// When each is as if nothing had been taken.
    free_at: HashMap<String, Instant>,
    /// The size at which to look for what can go: doubles with what can't, so that the cost stays even.
    next_sweep: usize,
}

impl Rates {
    pub(crate) fn take(&self, key: &str, rate: Rate) -> Taken {
        self.take_at(key, rate, Instant::now())
    }

    pub(crate) fn give_back(&self, key: &str, rate: Rate) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is over already has nothing to give back, and is as good as none.
        let before =
            kept.free_at.get_mut(key).and_then(|free_at| Some((free_at.checked_sub(rate.each())?, free_at)));
        if let Some((before, free_at)) = before {
            *free_at = before;
        }
    }

    fn take_at(&self, key: &str, rate: Rate, now: Instant) -> Taken {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.make_room(now);
        let free_at = kept.free_at.entry(key.to_owned()).or_insert(now);
        let (taken, taken_up) = rate.take(free_at.saturating_duration_since(now));
        *free_at = now + taken_up;
        taken
    }
}

impl Kept {
    fn make_room(&mut self, now: Instant) {
        if self.free_at.len() < self.next_sweep.max(1024) {
            return;
        }
        self.free_at.retain(|_, free_at| *free_at > now);
        if self.free_at.len() >= CAPACITY {
            let mut all: Vec<Instant> = self.free_at.values().copied().collect();
            let (_, middle, _) = all.select_nth_unstable(CAPACITY / 2);
            let middle = *middle;
            self.free_at.retain(|_, free_at| *free_at > middle);
        }
        self.next_sweep = (2 * self.free_at.len()).min(CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { limit: 5, window: Duration::from_secs(60) };

    #[test]
    fn so_many_at_once_and_then_one_after_the_other() {
        let (rates, start) = (Rates::default(), Instant::now());
        let take = |seconds| rates.take_at("one", RATE, start + Duration::from_secs(seconds));
        for _ in 0..5 {
            assert_eq!(take(0), Taken::Passed);
        }
        assert_eq!(take(0), Taken::Limited { retry_after: Duration::from_secs(12) });
        assert_eq!(take(5), Taken::Limited { retry_after: Duration::from_secs(7) });
        assert_eq!(take(12), Taken::Passed);
        assert_eq!(take(12), Taken::Limited { retry_after: Duration::from_secs(12) });
        assert_eq!(rates.take_at("two", RATE, start), Taken::Passed, "another's");
        for _ in 0..5 {
            assert_eq!(take(120), Taken::Passed);
        }
        assert!(matches!(take(120), Taken::Limited { .. }));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let (rates, now) = (Rates::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(rates.take_at("one", RATE, now), Taken::Passed);
            rates.give_back("one", RATE);
        }
        for _ in 0..5 {
            assert_eq!(rates.take_at("one", RATE, now), Taken::Passed);
        }
        assert!(matches!(rates.take_at("one", RATE, now), Taken::Limited { .. }));
        rates.give_back("nobody", RATE);
    }

    #[test]
    fn one_in_a_window_passes() {
        let (rates, now) = (Rates::default(), Instant::now());
        let once = Rate { limit: 1, window: Duration::from_secs(1) };
        assert_eq!(rates.take_at("one", once, now), Taken::Passed);
        assert_eq!(rates.take_at("one", once, now), Taken::Limited { retry_after: Duration::from_secs(1) });
    }

    #[test]
    fn memory_is_bounded_and_what_is_over_goes_first() {
        let (rates, now) = (Rates::default(), Instant::now());
        for n in 0..3 * CAPACITY as u32 {
            rates.take_at(&n.to_string(), RATE, now + Duration::from_millis(n.into()));
        }
        let kept = rates.0.lock().unwrap();
        assert!(kept.free_at.len() <= CAPACITY && kept.free_at.contains_key(&(3 * CAPACITY - 1).to_string()));
    }
}
