//! Whose turn it is among the processes of this host: a session serves one client, and during a reload there are two
//! l402d.
//!
//! The one that has the session holds a lock on a file. One that comes waits a little for the other to end by itself, then
//! asks for the session by a second file; the other one sees it, says goodbye to the node and lets go. Who has let go
//! takes the session again only when nobody else has or wants it, so that the two never fight.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use tokio::time::{Instant, sleep};

use crate::LightningError;

/// How long the one before gets to end by itself.
const COURTESY: Duration = Duration::from_millis(1500);

/// How long to wait in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often to look.
const LOOK: Duration = Duration::from_millis(50);

/// A wish that was not renewed for so long is one of a process that is no more.
const STALE: Duration = Duration::from_secs(5);

/// When to try again after the session was given to another process.
const LATER: Duration = Duration::from_secs(2);

/// The turn at one session.
pub(super) struct Turn {
    lock: PathBuf,
    wish: PathBuf,
    /// What our wish says.
    name: String,
    held: Mutex<Option<File>>,
    /// Whether it was ours before and given to another process.
    given: AtomicBool,
    /// Whether this process is about to end.
    over: AtomicBool,
}

impl Turn {
    /// For the session whose keys are in `keys`.
    pub(super) fn new(keys: &Path) -> Turn {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Turn {
            lock: keys.with_extension("lock"),
            wish: keys.with_extension("wanted"),
            name,
            held: Mutex::default(),
            given: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    /// Waits until it is our turn; it stays so until [`Turn::give`].
    ///
    /// # Errors
    /// Another process has the session and keeps it, or the state directory can't be used.
    pub(super) async fn take(&self) -> Result<(), LightningError> {
        let start = Instant::now();
        loop {
            if self.over.load(Ordering::Relaxed) {
                return Err(LightningError::unavailable("l402d is about to end", LATER));
            }
            let yielded = self.given.load(Ordering::Relaxed);
            if !(yielded && self.is_wanted()) && self.try_take().map_err(|error| self.unusable(&error))? {
                return Ok(());
            }
            if yielded {
                let text = "another l402d of this host has taken the session with the node over";
                return Err(LightningError::unavailable(text, LATER));
            }
            if start.elapsed() > PATIENCE {
                let text = "another l402d of this host has the session with the node and does not give it up";
                return Err(LightningError::unavailable(text, LATER));
            }
            if start.elapsed() > COURTESY {
                fs::write(&self.wish, &self.name).map_err(|error| self.unusable(&error))?;
            }
            sleep(LOOK).await;
        }
    }

    /// Whether another process asks for the session.
    pub(super) fn is_wanted(&self) -> bool {
        let fresh = || -> io::Result<bool> {
            let age = SystemTime::now().duration_since(fs::metadata(&self.wish)?.modified()?);
            Ok(age.unwrap_or_default() < STALE && fs::read_to_string(&self.wish)? != self.name)
        };
        fresh().unwrap_or(false)
    }

    /// Lets go.
    pub(super) fn give(&self) {
        self.given.store(true, Ordering::Relaxed);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// It is never our turn again.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn try_take(&self) -> io::Result<bool> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(true);
        }
        let file =
            fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&self.lock)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        *held = Some(file);
        self.given.store(false, Ordering::Relaxed);
        // Ours, or that of one who gave up.
        match fs::remove_file(&self.wish) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(true),
        }
    }

    fn unusable(&self, error: &io::Error) -> LightningError {
        LightningError::Refused(format!("{} can't be used: {error}", self.lock.display()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn one_after_the_other_and_never_both() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("lnc-1.keys");
        let (old, new) = (Turn::new(&keys), Turn::new(&keys));
        old.take().await.unwrap();
        old.take().await.unwrap();
        assert!(!old.is_wanted());
        let waiting = new.take();
        tokio::pin!(waiting);
        let watching = async {
            while !old.is_wanted() {
                sleep(LOOK).await;
            }
            old.give();
            // The other one wants it: it is not taken back.
            assert!(matches!(old.take().await, Err(LightningError::Unavailable { .. })));
        };
        let (taken, ()) = tokio::join!(&mut waiting, watching);
        taken.unwrap();
        assert!(matches!(old.take().await, Err(LightningError::Unavailable { .. })));
        assert!(!new.is_wanted());
        new.give();
        old.take().await.unwrap();
        old.end();
        old.give();
        assert!(old.take().await.is_err());
        new.take().await.unwrap();
    }
}
