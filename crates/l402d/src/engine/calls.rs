//! How many calls a wallet gets at once: a flood of clients must not become a flood on the node.

use std::time::Duration;

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::Failure;

/// Calls under way at once. LND answers a few dozen in parallel as fast as it answers at all.
const AT_ONCE: usize = 64;
/// Calls that may wait for their turn; beyond it the answer is "busy" at once.
const WAITING: usize = 1024;
/// How long one waits for its turn: less than nginx waits for us, so that the client hears why.
const PATIENCE: Duration = Duration::from_secs(5);

/// Turns to call one wallet.
pub(super) struct Calls {
    places: Semaphore,
    turns: Semaphore,
}

/// One turn; the next caller has it when this is dropped.
pub(super) struct Turn<'a> {
    _place: Option<SemaphorePermit<'a>>,
    _turn: SemaphorePermit<'a>,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self { places: Semaphore::new(AT_ONCE + WAITING), turns: Semaphore::new(AT_ONCE) }
    }

    pub(super) async fn turn(&self) -> Result<Turn<'_>, Failure> {
        let busy = || Failure::busy("too many requests wait for the Lightning node");
        let place = self.places.try_acquire().map_err(|_| busy())?;
        match timeout(PATIENCE, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(Turn { _place: Some(place), _turn: turn }),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    /// For who takes no place from a client, and has time.
    pub(super) async fn turn_behind(&self) -> Result<Turn<'_>, Failure> {
        match self.turns.acquire().await {
            Ok(turn) => Ok(Turn { _place: None, _turn: turn }),
            // The semaphore is never closed.
            Err(_) => Err(Failure::internal("no more calls are made")),
        }
    }
}
