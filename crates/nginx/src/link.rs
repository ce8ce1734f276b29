//! The worker's one connection to l402d: an ordinary nginx connection that all its requests share.
//!
//! Nothing here calls into a request: what arrived is returned to the event's handler in
//! [`crate::agent_link`], which lets go of the link first.
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::rc::Rc;

use agent_api::{FrameError, FromAgent, OLDEST, PROTOCOL, ToAgent};
use l402::{KeyRing, RootKey};

use crate::nginx::{self, Level};
use crate::pending::Pending;
use crate::socket::{Io, Socket};
use crate::suspension::Waiter;
use crate::timer::Timer;

/// How many requests of one worker may wait at once. Each holds some 1 KiB here and its own memory in nginx.
const MAX_WAITING: usize = 8192;
/// Frames are encoded ahead of the socket up to this many bytes; the rest stays queued, where it can still
/// be given up.
const MAX_BUFFERED: usize = 32 * 1024;
/// The first pause before connecting again, in milliseconds; it doubles up to the second.
const FIRST_PAUSE_MS: u64 = 20;
/// A worker that lost l402d finds it again within about this time, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 1000;
/// How long l402d may take to welcome a connection that it accepted, in milliseconds.
const WELCOME_MS: u64 = 3000;
/// l402d counts as down, and requests are answered with 503 at once, after this time without it …
const DOWN_AFTER_MS: u64 = 2000;
/// … and this many vain attempts.
const DOWN_AFTER_ATTEMPTS: u32 = 3;
/// After this time without our own l402d, that of the former configuration will do, in milliseconds.
const OWN_AGENT_MS: u64 = 3000;

/// Where l402d listens.
#[derive(Clone, Debug)]
pub struct Address {
    /// The Unix socket.
    pub path: PathBuf,
    /// A socket last changed before this moment (seconds, nanoseconds of the coarse real-time clock)
    /// belongs to the l402d of the configuration before ours, which may know other backends. `None`: an
    /// l402d run by the operator; any will do.
    pub not_before: Option<(i64, i64)>,
}

/// Something to tell a request, once the link has been let go.
pub enum Arrival {
    /// The keys are there.
    Keys(u64),
    /// The answer to a question.
    Answer(FromAgent),
    /// l402d is down and this request has nothing at stake.
    Down(u64),
}

/// l402d can't be asked now.
pub struct Unavailable {
    /// Seconds after which it is worth trying again.
    pub retry_after_s: u32,
}

/// The connection and everything that waits for it.
pub struct Link {
    address: Address,
    socket: Option<Socket>,
    /// The version of the protocol that the next connection begins with, and this one goes on in.
    version: u16,
    welcomed: bool,
    received: Vec<u8>,
    sending: Vec<u8>,
    sent: usize,
    attempts: u32,
    lost_at_ms: u64,
    reported: bool,
    closed: bool,
    keys: Option<Rc<KeyRing>>,
    /// Requests without an answer.
    pub pending: Pending<Waiter>,
    timer: Timer,
}

impl Link {
    /// A link that is not connected yet. `timer` calls [`Link::on_timer`].
    pub fn new(address: Address, timer: Timer) -> Self {
        Self {
            address,
            socket: None,
            version: PROTOCOL,
            welcomed: false,
            received: Vec::new(),
            sending: Vec::new(),
            sent: 0,
            attempts: 0,
            lost_at_ms: nginx::now_ms(),
            reported: false,
            closed: false,
            keys: None,
            pending: Pending::new(MAX_WAITING),
            timer,
        }
    }

    /// The keys as last heard; they outlive the connection, so that reusable tokens keep serving.
    pub fn keys(&self) -> Option<Rc<KeyRing>> {
        self.keys.clone()
    }

    /// May something be asked?
    ///
    /// # Errors
    /// l402d has been away for a while.
    pub fn check(&self) -> Result<(), Unavailable> {
        if self.is_down() { Err(Unavailable { retry_after_s: 2 }) } else { Ok(()) }
    }

    fn is_down(&self) -> bool {
        self.closed
            || !self.welcomed
                && self.attempts >= DOWN_AFTER_ATTEMPTS
                && nginx::now_ms().saturating_sub(self.lost_at_ms) >= DOWN_AFTER_MS
    }

    /// Is there a connection to write to?
    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Does this event's connection belong to us? A late event of one that was closed does not.
    pub fn owns(&self, connection: NonNull<ngx::ffi::ngx_connection_t>) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.is(connection))
    }

    /// The timer's: a pause is over, or l402d did not say welcome.
    pub fn on_timer(&mut self) -> Vec<Arrival> {
        if self.closed {
            return Vec::new();
        }
        if self.socket.is_some() {
            self.disconnect("it accepted the connection and said nothing");
        } else {
            self.connect();
        }
        if !self.is_down() {
            return Vec::new();
        }
        self.report_outage();
        self.pending.with_nothing_at_stake().into_iter().map(Arrival::Down).collect()
    }

    /// Connects unless connected.
    pub fn connect(&mut self) {
        if self.closed || self.socket.is_some() {
            return;
        }
        match self.open() {
            Ok(socket) => {
                self.socket = Some(socket);
                self.sending.clear();
                self.sent = 0;
                ToAgent::Hello { protocol: self.version, pid: std::process::id() }.encode(&mut self.sending);
                self.timer.start(WELCOME_MS);
                self.flush();
            }
            Err(reason) => self.pause(&reason),
        }
    }

    fn open(&self) -> Result<Socket, String> {
        self.check_age()?;
        Socket::connect(&self.address.path, crate::agent_link::on_readable, crate::agent_link::on_writable)
            .map_err(|error| error.to_string())
    }

    /// Right after a reload the socket is still that of the former l402d.
    fn check_age(&self) -> Result<(), String> {
        let Some(not_before) = self.address.not_before else { return Ok(()) };
        if nginx::is_exiting() || nginx::now_ms().saturating_sub(self.lost_at_ms) >= OWN_AGENT_MS {
            return Ok(());
        }
        match changed_at(&self.address.path) {
            Some(changed) if changed < not_before => Err("it has not started yet".to_owned()),
            _ => Ok(()),
        }
    }

    /// Reads what there is, until the socket would block.
    pub fn on_readable(&mut self) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        loop {
            let Some(socket) = &mut self.socket else { return arrivals };
            match socket.read(&mut self.received) {
                Io::Done(_) => {}
                Io::Blocked => return arrivals,
                Io::Closed => {
                    self.disconnect("it closed the connection");
                    return arrivals;
                }
                Io::Failed(error) => {
                    self.disconnect(&error.to_string());
                    return arrivals;
                }
            }
            if let Err(error) = self.decode(&mut arrivals) {
                self.version = PROTOCOL;
                self.disconnect(&match error {
                    FrameError::Version { theirs } => {
                        format!(
                            "it speaks version {theirs} of the protocol, this module {OLDEST} to {PROTOCOL}: install both from \
                             one release, or from two that follow each other"
                        )
                    }
                    error => error.to_string(),
                });
                return arrivals;
            }
        }
    }

    fn decode(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), FrameError> {
        let mut from = 0;
        while let Some((frame, used)) = FromAgent::decode(&self.received[from..])? {
            match frame {
                FromAgent::Welcome { protocol, keys, .. } => {
                    self.welcome(protocol, &keys, arrivals);
                    // The one frame with secrets in it.
                    zeroize::Zeroize::zeroize(&mut self.received[from..from + used]);
                }
                answer => arrivals.push(Arrival::Answer(answer)),
            }
            from += used;
        }
        self.received.drain(..from);
        Ok(())
    }

    fn welcome(&mut self, version: u16, keys: &[agent_api::RingKey], arrivals: &mut Vec<Arrival>) {
        let root = |key: &agent_api::RingKey| {
            RootKey::from_bytes(*key.secret.expose()).for_reusable_only(key.reusable_only)
        };
        let ring: Vec<RootKey> = keys.iter().map(root).collect();
        if ring.is_empty() {
            // It speaks another version only, and closes the connection: the next one begins with that.
            self.version = version;
            return;
        }
        self.keys = Some(Rc::new(KeyRing::new(ring)));
        self.welcomed = true;
        self.attempts = 0;
        self.timer.stop();
        if std::mem::take(&mut self.reported) {
            nginx::log(
                Level::Notice,
                &format!("l402: l402d is there again at {}", self.address.path.display()),
            );
        }
        arrivals.extend(self.pending.waiting_for_keys().into_iter().map(Arrival::Keys));
    }

    /// Writes what is queued, until the socket would block.
    pub fn flush(&mut self) {
        loop {
            let Some(socket) = &mut self.socket else { return };
            while self.sending.len() < MAX_BUFFERED
                && self.pending.next_frame(self.version, &mut self.sending)
            {}
            if self.sent == self.sending.len() {
                return;
            }
            match socket.write(&self.sending[self.sent..]) {
                Io::Done(bytes) => self.sent += bytes,
                Io::Blocked => return,
                Io::Closed => return self.disconnect("it closed the connection"),
                Io::Failed(error) => return self.disconnect(&error.to_string()),
            }
            if self.sent == self.sending.len() {
                wipe(&mut self.sending);
                self.sent = 0;
            }
        }
    }

    /// Gives the connection up and tries again soon.
    pub fn disconnect(&mut self, reason: &str) {
        self.drop_connection();
        self.pause(reason);
    }

    /// The same after a fault of ours, whatever the connection's state.
    pub fn give_up(&mut self, reason: &str) {
        if !self.closed {
            self.disconnect(reason);
        }
    }

    fn drop_connection(&mut self) {
        self.socket = None;
        wipe(&mut self.received);
        wipe(&mut self.sending);
        self.sent = 0;
        self.pending.disconnected();
        if std::mem::take(&mut self.welcomed) {
            self.lost_at_ms = nginx::now_ms();
            self.attempts = 0;
            // Its successor may speak ours.
            self.version = PROTOCOL;
        }
    }

    fn pause(&mut self, reason: &str) {
        let pause = (FIRST_PAUSE_MS << self.attempts.min(10)).min(LONGEST_PAUSE_MS);
        self.attempts = self.attempts.saturating_add(1);
        self.timer.start(pause);
        if self.is_down() && !self.reported {
            self.reported = true;
            nginx::log(
                Level::Error,
                &format!(
                    "l402: l402d can't be reached at {}: {reason}; requests that need it get 503 until it can",
                    self.address.path.display()
                ),
            );
        }
    }

    fn report_outage(&mut self) {
        if !self.reported {
            self.reported = true;
            nginx::log(
                Level::Error,
                "l402: l402d can't be reached; requests that need it get 503 until it can",
            );
        }
    }

    /// Closes for good: the process ends.
    pub fn close(&mut self) {
        self.closed = true;
        self.timer.stop();
        self.drop_connection();
    }
}

/// Empties a buffer that may have held keys or preimages.
fn wipe(buffer: &mut Vec<u8>) {
    zeroize::Zeroize::zeroize(buffer.as_mut_slice());
    buffer.clear();
}

/// When the file's inode last changed; a rename counts.
fn changed_at(path: &Path) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.ctime(), found.ctime_nsec()))
}

/// The present moment by the clock that stamps inodes.
pub fn inode_clock() -> (i64, i64) {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the one struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
    (now.tv_sec, now.tv_nsec)
}
