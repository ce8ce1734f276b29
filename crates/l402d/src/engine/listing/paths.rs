//! What is known of each path: bounded, and those for which something is listed stay longest.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::MutexGuard;

use super::Known;

/// Paths that are remembered at most: some 300 bytes each. A client can ask for any number of them.
const CAPACITY: usize = 10_000;

/// All that are remembered.
#[derive(Default)]
pub(super) struct Paths(Mutex<HashMap<String, Arc<Path>>>);

/// One path.
#[derive(Default)]
pub(super) struct Path {
    known: Mutex<Option<Known>>,
    /// Held by the one who looks it up.
    turn: tokio::sync::Mutex<()>,
}

impl Path {
    /// Waits until nobody else looks it up.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn known(&self) -> Option<Known> {
        self.lock().clone()
    }

    pub(super) fn set(&self, known: Known) {
        *self.lock() = Some(known);
    }

    fn is_listed(&self) -> bool {
        self.lock().as_ref().is_some_and(|known| known.price_msat.is_some() || known.payee.is_some())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        // Nothing that holds it can leave it half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paths {
    /// One that is remembered.
    pub(super) fn find(&self, path: &str) -> Option<Arc<Path>> {
        self.lock().get(path).cloned()
    }

    /// One that is remembered from now on.
    pub(super) fn of(&self, path: &str) -> Arc<Path> {
        let mut paths = self.lock();
        if let Some(known) = paths.get(path) {
            return known.clone();
        }
        if paths.len() >= CAPACITY {
            make_room(&mut paths);
        }
        paths.entry(path.to_owned()).or_default().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Path>>> {
        // As above.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// First what nothing is listed for; where that is little, half of the rest: what was asked for longest ago.
fn make_room(paths: &mut HashMap<String, Arc<Path>>) {
    paths.retain(|_, path| path.is_listed());
    if paths.len() > CAPACITY / 2 {
        let mut ages: Vec<_> = paths.values().filter_map(|path| Some(path.known()?.asked)).collect();
        let middle = ages.len() / 2;
        let (_, middle, _) = ages.select_nth_unstable(middle);
        let middle = *middle;
        paths.retain(|_, path| path.known().is_some_and(|known| known.asked > middle));
    }
}

#[cfg(test)]
mod tests {
    use store::Listed;
    use tokio::time::{Duration, Instant, advance};

    use super::*;

    fn known(price_msat: Option<u64>) -> Known {
        Known {
            asked: Instant::now(),
            listed: Listed::default(),
            price_msat,
            payee: None,
            earlier: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_paths_does_not_push_out_what_is_listed() {
        let paths = Paths::default();
        for n in 0..100 {
            paths.of(&format!("/sold/{n}")).set(known(Some(7)));
        }
        for n in 0..3 * CAPACITY {
            paths.of(&format!("/flood/{n}")).set(known(None));
        }
        assert!(paths.lock().len() <= CAPACITY);
        assert!((0..100).all(|n| paths.find(&format!("/sold/{n}")).is_some()));
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_that_are_listed_the_oldest_go() {
        let paths = Paths::default();
        for n in 0..2 * CAPACITY {
            paths.of(&n.to_string()).set(known(Some(7)));
            advance(Duration::from_millis(1)).await;
        }
        assert!(paths.lock().len() <= CAPACITY);
        assert!(paths.find(&(2 * CAPACITY - 1).to_string()).is_some() && paths.find("0").is_none());
    }
}
