//! l402d as a co-process of worker 0: started with it, started again when it falls, gone when it ends.
use std::ptr::NonNull;

use agent_api::coprocess::READY;
use ngx::ffi::{ngx_connection_t, ngx_event_t};

use crate::agent_link;
use crate::guard::guard;
use crate::nginx::{self, Level, PerProcess};
use crate::socket::{Io, Socket};
use crate::spawn::{Identity, Program, spawn};
use crate::timer::Timer;

/// The pause before the first new start, in milliseconds; it doubles with each.
const FIRST_PAUSE_MS: u64 = 100;
/// The longest pause, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 10_000;
/// An l402d that has run this long was well, in milliseconds: the pauses begin anew.
const WELL_AFTER_MS: u64 = 30_000;

static COPROCESS: PerProcess<Option<Coprocess>> = PerProcess::new(None);

struct Coprocess {
    program: Program,
    become_user: Option<Identity>,
    lifeline: Option<Socket>,
    started_at_ms: u64,
    falls: u32,
    timer: Timer,
}

/// Starts l402d and keeps it running as long as this process does.
pub fn start(program: Program, become_user: Option<Identity>) {
    let timer = Timer::new(on_timer);
    let mut coprocess = Coprocess { program, become_user, lifeline: None, started_at_ms: 0, falls: 0, timer };
    coprocess.run();
    *COPROCESS.hold() = Some(coprocess);
}

/// Lets l402d end.
pub fn stop() {
    if let Some(mut coprocess) = COPROCESS.hold().take() {
        coprocess.timer.stop();
        coprocess.lifeline = None;
    }
}

impl Coprocess {
    fn run(&mut self) {
        self.started_at_ms = nginx::now_ms();
        let lifeline = spawn(&self.program, self.become_user);
        match lifeline.and_then(|fd| Socket::adopt(fd, on_lifeline, on_nothing)) {
            Ok(lifeline) => self.lifeline = Some(lifeline),
            Err(error) => self.fell(&format!("can't be started: {error}")),
        }
    }

    /// Reads the lifeline; `true`: l402d says that it listens.
    fn listen(&mut self) -> bool {
        let mut read = Vec::new();
        let mut ready = false;
        loop {
            let Some(lifeline) = &mut self.lifeline else { return ready };
            match lifeline.read(&mut read) {
                Io::Done(_) => ready |= read.drain(..).any(|byte| byte == READY),
                Io::Blocked => return ready,
                Io::Closed | Io::Failed(_) => {
                    self.lifeline = None;
                    self.fell("has ended (its log tells why)");
                }
            }
        }
    }

    fn fell(&mut self, how: &str) {
        if nginx::is_exiting() {
            return;
        }
        if nginx::now_ms().saturating_sub(self.started_at_ms) >= WELL_AFTER_MS {
            self.falls = 0;
        }
        let pause = (FIRST_PAUSE_MS << self.falls.min(10)).min(LONGEST_PAUSE_MS);
        self.falls = self.falls.saturating_add(1);
        nginx::log(Level::Error, &format!("l402: l402d {how}; it is started again in {pause} ms"));
        self.timer.start(pause);
    }
}

unsafe extern "C" fn on_lifeline(event: *mut ngx_event_t) {
    let done = guard(false, || {
        // SAFETY: a connection's event points to its connection, which lives as long as the cycle.
        let (connection, close) = unsafe {
            let connection = (*event).data.cast::<ngx_connection_t>();
            (NonNull::new(connection), !connection.is_null() && (*connection).close() != 0)
        };
        if close {
            stop();
            return true;
        }
        let ready = match COPROCESS.hold().as_mut() {
            Some(coprocess) if owns(coprocess, connection) => coprocess.listen(),
            _ => false,
        };
        if ready {
            agent_link::connect_now();
        }
        true
    });
    if !done {
        look_later();
    }
}

/// A late event of a lifeline that was closed is not for its successor.
fn owns(coprocess: &Coprocess, connection: Option<NonNull<ngx_connection_t>>) -> bool {
    coprocess.lifeline.as_ref().zip(connection).is_some_and(|(lifeline, connection)| lifeline.is(connection))
}

/// Nothing is ever written to the lifeline.
unsafe extern "C" fn on_nothing(_: *mut ngx_event_t) {}

unsafe extern "C" fn on_timer(_: *mut ngx_event_t) {
    let done = guard(false, || {
        let ready = match COPROCESS.hold().as_mut().filter(|_| !nginx::is_exiting()) {
            Some(coprocess) if coprocess.lifeline.is_some() => coprocess.listen(),
            Some(coprocess) => {
                coprocess.run();
                false
            }
            None => false,
        };
        if ready {
            agent_link::connect_now();
        }
        true
    });
    if !done {
        look_later();
    }
}

/// After a fault of ours: what the lifeline had to say is not said again, so it is looked at once more.
fn look_later() {
    guard((), || {
        if let Some(coprocess) = COPROCESS.hold().as_mut() {
            coprocess.timer.start(FIRST_PAUSE_MS);
        }
    });
}
