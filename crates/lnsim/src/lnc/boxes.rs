//! The mailbox's boxes: each a queue with one reader and one writer at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::weather::Sky;

/// How long who comes waits for a side that is taken.
const PATIENCE: Duration = Duration::from_millis(250);

/// A box's name.
pub(super) type Name = [u8; 64];

/// Why a box can't be used, in a mailbox's words.
pub(super) type Refusal = &'static str;

/// There is none of this name.
pub(super) const NOT_FOUND: Refusal = "stream not found";

/// How many packets a box takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One packet each so often.
    pub every: Duration,
    /// So many without delay after a time of rest.
    pub burst: u32,
}

impl Limits {
    /// What the reference mailbox is shipped with.
    pub const REFERENCE: Limits = Limits { every: Duration::from_millis(20), burst: 1000 };
}

/// All boxes.
#[derive(Default)]
pub(super) struct Boxes(Mutex<HashMap<Name, Arc<Pillar>>>);

impl Boxes {
    /// Makes a box; one that is there stays as it is.
    pub(super) fn create(&self, name: Name, limits: Option<Limits>) {
        self.all().entry(name).or_insert_with(|| Arc::new(Pillar::new(limits)));
    }

    /// Makes a box if there is none, and takes its writing side, which must be free.
    pub(super) fn create_to_write(&self, name: Name, limits: Option<Limits>) -> Option<Slot> {
        let pillar = Arc::clone(self.all().entry(name).or_insert_with(|| Arc::new(Pillar::new(limits))));
        let taken = pillar.state().take(Side::Write);
        taken.then(|| Slot { pillar, side: Side::Write })
    }

    /// Removes a box and turns everybody out of it.
    pub(super) fn remove(&self, name: &Name) {
        if let Some(pillar) = self.all().remove(name) {
            pillar.close();
        }
    }

    /// Removes all.
    pub(super) fn clear(&self) {
        self.all().drain().for_each(|(_, pillar)| pillar.close());
    }

    /// Takes one side of a box.
    pub(super) async fn take(&self, name: &Name, side: Side) -> Result<Slot, Refusal> {
        let pillar = self.all().get(name).cloned().ok_or(NOT_FOUND)?;
        let taken = timeout(PATIENCE, async {
            loop {
                let freed = pillar.freed.notified();
                if pillar.state().take(side) {
                    break;
                }
                freed.await;
            }
        });
        match (taken.await, side) {
            (Ok(()), _) => Ok(Slot { pillar, side }),
            (Err(_), Side::Read) => Err("read stream occupied"),
            (Err(_), Side::Write) => Err("write stream occupied"),
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Name, Arc<Pillar>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sides of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Read,
    Write,
}

/// A box.
struct Pillar {
    state: Mutex<State>,
    /// Something was put in, or the box is gone.
    changed: Notify,
    /// A side was given up.
    freed: Notify,
}

struct State {
    /// Each with the time from which on it can be read.
    packets: VecDeque<(Instant, Vec<u8>)>,
    pace: Option<Pace>,
    read: bool,
    written: bool,
    gone: bool,
}

/// How far a box's allowance is used up.
struct Pace {
    limits: Limits,
    /// When all of it will be there again.
    rested_at: Instant,
}

impl Pace {
    /// When a packet that comes now is passed on.
    fn admit(&mut self, now: Instant) -> Instant {
        self.rested_at = self.rested_at.max(now) + self.limits.every;
        let burst = self.limits.every * self.limits.burst;
        self.rested_at.checked_sub(burst).map_or(now, |at| at.max(now))
    }
}

impl State {
    fn take(&mut self, side: Side) -> bool {
        let taken = match side {
            Side::Read => &mut self.read,
            Side::Write => &mut self.written,
        };
        !std::mem::replace(taken, true)
    }
}

impl Pillar {
    fn new(limits: Option<Limits>) -> Pillar {
        let pace = limits.map(|limits| Pace { limits, rested_at: Instant::now() });
        let state = State { packets: VecDeque::new(), pace, read: false, written: false, gone: false };
        Pillar { state: Mutex::new(state), changed: Notify::default(), freed: Notify::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().gone = true;
        self.changed.notify_waiters();
    }

    fn put(&self, packet: Vec<u8>) {
        let mut state = self.state();
        let now = Instant::now();
        let at = state.pace.as_mut().map_or(now, |pace| pace.admit(now));
        state.packets.push_back((at, packet));
        drop(state);
        self.changed.notify_waiters();
    }
}

/// One side of a box, until it is dropped.
pub(super) struct Slot {
    pillar: Arc<Pillar>,
    side: Side,
}

impl Slot {
    /// The next packet; `None` once the box is gone and empty.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            let changed = self.pillar.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let due = {
                let mut state = self.pillar.state();
                let due = state.packets.front().map(|(at, _)| *at);
                if due.is_some_and(|at| at <= Instant::now()) {
                    return state.packets.pop_front().map(|(_, packet)| packet);
                }
                if state.gone && due.is_none() {
                    return None;
                }
                due
            };
            match due {
                Some(at) => sleep_until(at).await,
                None => changed.await,
            }
        }
    }

    /// Puts a packet in, as the weather lets it through; false once the box is gone.
    pub(super) fn put(&self, packet: Vec<u8>, sky: &Mutex<Sky>) -> bool {
        if self.pillar.state().gone {
            return false;
        }
        let fates = {
            let mut sky = sky.lock().unwrap_or_else(PoisonError::into_inner);
            if sky.is_fair() { vec![Duration::ZERO] } else { sky.fate() }
        };
        for delay in fates {
            let (pillar, packet) = (Arc::clone(&self.pillar), packet.clone());
            if delay.is_zero() {
                pillar.put(packet);
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    pillar.put(packet);
                });
            }
        }
        true
    }

    /// Waits until the box is gone.
    pub(super) async fn gone(&self) {
        loop {
            let changed = self.pillar.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.pillar.state().gone {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.pillar.state();
        match self.side {
            Side::Read => state.read = false,
            Side::Write => state.written = false,
        }
        drop(state);
        self.pillar.freed.notify_waiters();
    }
}
