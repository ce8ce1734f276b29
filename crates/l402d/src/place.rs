//! The name under which l402d is found: it leads to the one of the youngest configuration, in whatever order they start
//! and end.
//!
//! During a reload two l402d run side by side, and the older may be the later to bind. So each bears its generation (when
//! its configuration was read, by the clock that only moves forward), and a file beside the socket names the youngest. An
//! older one does not take the name while a younger one answers there; a younger one takes it back. An older one whose
//! successor is gone takes it up again. Each looks once in a while, so that nothing that happens between two system calls,
//! or at a stranger's hands, lasts.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    net::UnixStream,
    time::{MissedTickBehavior, interval, timeout},
};

/// How often the name is looked at: workers wait for a lost l402d for longer than this before they answer 503.
const LOOK: Duration = Duration::from_millis(500);
/// How long another l402d may take to accept: the kernel does it, so longer means that its queue is full.
const ACCEPT: Duration = Duration::from_millis(100);
/// Looks in a row at which nobody answered before an older one takes the place of a younger.
const VAIN_LOOKS: u32 = 2;

/// When the configuration was read, in nanoseconds since the machine started.
pub type Generation = u64;

/// This moment, for an l402d that nobody gave a generation.
pub fn now() -> Generation {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(now.tv_nsec))
}

/// A bound socket and its claim to the name.
pub struct Place {
    name: PathBuf,
    /// A name of its own that the socket keeps, so that it can be linked to the other one again.
    own: PathBuf,
    generation: Generation,
    vain_looks: u32,
}

impl Place {
    /// For the socket that is bound at `own`.
    pub fn new(name: &Path, own: PathBuf, generation: Generation) -> Self {
        Self { name: name.into(), own, generation, vain_looks: VAIN_LOOKS }
    }

    /// Keeps the name as long as it is due. Never ends.
    pub async fn keep(mut self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Err(error) = self.look().await {
                tracing::error!(%error, socket = %self.name.display(), "the socket's name can't be kept");
            }
        }
    }

    /// Takes the name if it is due and not held. At the start a younger one that doesn't answer is no hindrance: it
    /// is of another boot, or dead.
    ///
    /// # Errors
    /// The system's.
    pub async fn look(&mut self) -> io::Result<()> {
        if self.youngest()? > self.generation {
            if self.answers().await {
                self.vain_looks = 0;
                return Ok(());
            }
            self.vain_looks += 1;
            if self.vain_looks < VAIN_LOOKS {
                return Ok(());
            }
        }
        if self.youngest()? != self.generation {
            self.put(&self.record(), |draft| fs::write(draft, self.generation.to_string()))?;
        }
        if !self.is_ours()? {
            self.put(&self.name, |draft| fs::hard_link(&self.own, draft))?;
        }
        Ok(())
    }

    fn record(&self) -> PathBuf {
        beside(&self.name, "generation")
    }

    /// The generation on record; 0 if there is none that can be read.
    fn youngest(&self) -> io::Result<Generation> {
        match fs::read_to_string(self.record()) {
            Ok(text) => Ok(text.trim().parse().unwrap_or(0)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn is_ours(&self) -> io::Result<bool> {
        let own = fs::metadata(&self.own)?;
        match fs::metadata(&self.name) {
            Ok(found) => Ok((found.dev(), found.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Does somebody else serve under the name?
    async fn answers(&self) -> bool {
        match self.is_ours() {
            Ok(false) => {}
            Ok(true) | Err(_) => return false,
        }
        !matches!(timeout(ACCEPT, UnixStream::connect(&self.name)).await, Ok(Err(_)))
    }

    /// Makes a file aside and renames it over `to`: at no moment is there none.
    fn put(&self, to: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let draft = beside(&self.own, "new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        make(&draft)?;
        fs::rename(&draft, to)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The name itself may be another's by now.
        let _ = fs::remove_file(&self.own);
    }
}

/// `path` with `.suffix` appended.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// Removes what processes that were killed left behind: sockets named after process ids that are no more.
pub fn sweep(name: &Path) {
    let (Some(directory), Some(name)) = (name.parent(), name.file_name().and_then(|name| name.to_str()))
    else {
        return;
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let file = entry.file_name();
        let pid =
            file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('.')?.split('.').next());
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !Path::new("/proc").join(pid.to_string()).exists() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    struct Daemon {
        listener: UnixListener,
        place: Place,
    }

    fn start(dir: &Path, pid: &str, generation: Generation) -> Daemon {
        let name = dir.join("l402d.sock");
        let own = beside(&name, pid);
        let listener = UnixListener::bind(&own).unwrap();
        Daemon { listener, place: Place::new(&name, own, generation) }
    }

    impl Daemon {
        /// Is it this one that a connection reaches?
        async fn serves(&self) -> bool {
            self.listener.set_nonblocking(true).unwrap();
            while self.listener.accept().is_ok() {}
            let connected = UnixStream::connect(&self.place.name).await.is_ok();
            connected && self.listener.accept().is_ok()
        }
    }

    #[tokio::test]
    async fn the_youngest_serves_whatever_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let (mut old, mut new) = (start(dir.path(), "1", 10), start(dir.path(), "2", 20));
        new.place.look().await.unwrap();
        old.place.look().await.unwrap();
        assert!(new.serves().await && !old.serves().await);
        // The older one was between looking and renaming: its socket lies over the younger's for a moment.
        old.place.put(&old.place.name, |draft| fs::hard_link(&old.place.own, draft)).unwrap();
        assert!(old.serves().await);
        new.place.look().await.unwrap();
        assert!(new.serves().await);
        let mut newest = start(dir.path(), "3", 30);
        newest.place.look().await.unwrap();
        new.place.look().await.unwrap();
        assert!(newest.serves().await);
    }

    #[tokio::test]
    async fn an_older_one_takes_up_what_a_younger_left() {
        let dir = tempfile::tempdir().unwrap();
        let (mut old, mut new) = (start(dir.path(), "1", 10), start(dir.path(), "2", 20));
        old.place.look().await.unwrap();
        new.place.look().await.unwrap();
        old.place.look().await.unwrap();
        assert!(new.serves().await);
        drop(new);
        old.place.look().await.unwrap();
        assert!(!old.serves().await, "its successor may be on its way back");
        old.place.look().await.unwrap();
        assert!(old.serves().await);
    }

    #[tokio::test]
    async fn what_is_taken_away_is_put_back_and_what_is_dead_is_in_no_way() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("l402d.sock.generation"), u64::MAX.to_string()).unwrap();
        let mut only = start(dir.path(), "1", 10);
        only.place.look().await.unwrap();
        assert!(only.serves().await, "a record of another boot");
        fs::remove_file(&only.place.name).unwrap();
        only.place.look().await.unwrap();
        assert!(only.serves().await);
    }

    #[test]
    fn the_dead_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("l402d.sock");
        let alive = std::process::id().to_string();
        for suffix in ["4194399", "4194399.new", &alive, "generation", "lock"] {
            fs::write(beside(&name, suffix), "").unwrap();
        }
        fs::write(&name, "").unwrap();
        sweep(&name);
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = vec![
            "l402d.sock".into(),
            format!("l402d.sock.{alive}"),
            "l402d.sock.generation".into(),
            "l402d.sock.lock".into(),
        ];
        expected.sort();
        assert_eq!(left, expected);
    }
}
