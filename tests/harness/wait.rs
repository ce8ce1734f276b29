//! Waiting for events of other processes, with a deadline; nothing here waits for time itself.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that anything may take which should happen at once, on a busy two-core machine.
pub const SOON: Duration = Duration::from_secs(20);

/// How often something that offers no event is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// Looks until `ready` has something, or panics with `what` after [`SOON`].
pub fn until<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    within(SOON, ready).unwrap_or_else(|| panic!("waited {SOON:?} for {what}"))
}

/// Looks until `ready` has something, or `limit` has passed.
pub fn within<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ready() {
            return Some(found);
        }
        if Instant::now() > end {
            return None;
        }
        thread::sleep(GLANCE);
    }
}

/// Looks without a pause until `ready` has something: for moments that pass quickly.
pub fn closely<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < end, "waited {SOON:?}");
    }
}

/// Does `act` on `copies` threads that start at the same moment; the answers in the order of their numbers.
pub fn at_once<T: Send>(copies: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(copies);
    thread::scope(|scope| {
        let (start, act) = (&start, &act);
        let threads: Vec<_> = (0..copies)
            .map(|number| {
                scope.spawn(move || {
                    start.wait();
                    act(number)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|answer| answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Sets a flag when it goes, also when that is because the scenario fails: those who go on until then end.
pub struct Flagged<'a>(pub &'a AtomicBool);

impl Drop for Flagged<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
