//! What the rest of the module asks of this worker's link to l402d, and the callbacks that drive it.
use std::hash::RandomState;
use std::ptr::NonNull;
use std::rc::Rc;

use gate::{Gate, Memory, Policy, Question, Request, Step};
use l402::KeyRing;
use ngx::ffi::{ngx_connection_t, ngx_event_t};

use crate::guard::guard;
use crate::link::{Address, Arrival, Link, Unavailable};
use crate::nginx::PerProcess;
use crate::question;
use crate::suspension::{self, Waiter, Wake};
use crate::timer::Timer;

/// The number of verified credentials that a worker remembers: 16 MiB at most, once so many different ones have come.
const REMEMBERED: usize = 16_384;

static WORKER: PerProcess<Option<Worker>> = PerProcess::new(None);

struct Worker {
    link: Link,
    /// Posted once a turn of the event loop, so that the questions of a turn leave in one write.
    flush: Timer,
    requests: RequestIds,
    memory: Memory,
}

/// Names for redemptions: random for the process, counted within it.
struct RequestIds {
    process: [u8; 8],
    next: u64,
}

impl RequestIds {
    fn next(&mut self) -> [u8; 16] {
        self.next += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.process);
        id[8..].copy_from_slice(&self.next.to_le_bytes());
        id
    }
}

/// Connects this worker to l402d and stays connected.
///
/// # Errors
/// The system has no randomness to give.
pub fn start(address: Address) -> std::io::Result<()> {
    let mut process = [0; 8];
    // SAFETY: writes the 8 bytes it is given.
    let got = unsafe { libc::getrandom(process.as_mut_ptr().cast(), process.len(), 0) };
    if got != process.len() as isize {
        return Err(std::io::Error::last_os_error());
    }
    let mut link = Link::new(address, Timer::new(on_timer));
    link.connect();
    let requests = RequestIds { process, next: 0 };
    let memory = Memory::new(REMEMBERED, RandomState::new());
    *WORKER.hold() = Some(Worker { link, flush: Timer::new(on_flush), requests, memory });
    Ok(())
}

/// Closes the connection for good.
pub fn close() {
    if let Some(mut worker) = WORKER.hold().take() {
        worker.link.close();
    }
}

/// l402d says that it listens: no need to wait for the next attempt.
pub fn connect_now() {
    if let Some(worker) = WORKER.hold().as_mut() {
        worker.link.connect();
    }
}

/// The keys that tokens are verified with, or `None` before l402d has told them.
pub fn keys() -> Option<Rc<KeyRing>> {
    WORKER.hold().as_ref().and_then(|worker| worker.link.keys())
}

/// Puts a request before the gate, with this worker's keys and what it remembers. Without keys the gate answers 503 by
/// itself.
pub fn open_gate(policy: &Policy<'_>, request: &Request<'_>, now: u64) -> (Gate, Step) {
    match WORKER.hold().as_mut() {
        Some(Worker { link, memory, .. }) => match link.keys() {
            Some(keys) => Gate::start_remembering(policy, request, &keys, now, memory),
            None => Gate::start(policy, request, &KeyRing::default(), now),
        },
        None => Gate::start(policy, request, &KeyRing::default(), now),
    }
}

/// Asks; the answer wakes `waiter`.
///
/// # Errors
/// l402d is down, or too many wait already.
pub fn ask(question: Question, waiter: Waiter) -> Result<u64, Unavailable> {
    with_link(|worker| {
        let request = worker.requests.next();
        let frame = |id| Some(question::to_frame(question, id, request));
        let id = worker.link.pending.add(waiter, frame).map_err(|_| Unavailable { retry_after_s: 1 })?;
        worker.post_flush();
        Ok(id)
    })
}

/// Wakes `waiter` once there are keys.
///
/// # Errors
/// As [`ask`].
pub fn wait_for_keys(waiter: Waiter) -> Result<u64, Unavailable> {
    with_link(|worker| {
        worker.link.pending.add(waiter, |_| None).map_err(|_| Unavailable { retry_after_s: 1 })
    })
}

/// Nobody waits for `id` any more; a use that was drawn for it is given back.
pub fn cancel(id: u64) {
    if let Some(worker) = WORKER.hold().as_mut() {
        worker.link.pending.cancel(id);
        worker.post_flush();
    }
}

fn with_link<T>(act: impl FnOnce(&mut Worker) -> Result<T, Unavailable>) -> Result<T, Unavailable> {
    let mut held = WORKER.hold();
    let worker = held.as_mut().ok_or(Unavailable { retry_after_s: 1 })?;
    worker.link.check()?;
    act(worker)
}

impl Worker {
    fn post_flush(&self) {
        if self.link.is_connected() && self.link.pending.queued() > 0 {
            self.flush.post();
        }
    }
}

/// Tells the requests. Each is looked up again, as telling one may have ended another.
fn deliver(arrivals: Vec<Arrival>) {
    for arrival in arrivals {
        let id = match &arrival {
            Arrival::Keys(id) | Arrival::Down(id) => *id,
            Arrival::Answer(frame) => frame.id(),
        };
        let waiter = WORKER.hold().as_mut().and_then(|worker| worker.link.pending.take(id));
        let Some(waiter) = waiter else { continue };
        suspension::wake(
            waiter,
            match arrival {
                Arrival::Keys(_) => Wake::Keys,
                Arrival::Down(_) => Wake::Down,
                Arrival::Answer(frame) => {
                    let (answer, reason) = question::to_answer(frame);
                    Wake::Answer(answer, reason)
                }
            },
        );
    }
}

/// Runs `act` on the link if the event is one of its present connection, unless nginx wants that closed.
///
/// # Safety
/// `event` is an event of a connection, as nginx hands it to a handler.
unsafe fn on_connection(
    event: *mut ngx_event_t,
    act: impl FnOnce(&mut Link) -> Vec<Arrival>,
) -> Vec<Arrival> {
    // SAFETY: a connection's event points to its connection, which lives as long as the cycle.
    let (connection, close) = unsafe {
        let connection = (*event).data.cast::<ngx_connection_t>();
        (NonNull::new(connection), !connection.is_null() && (*connection).close() != 0)
    };
    let mut held = WORKER.hold();
    let Some(worker) = held.as_mut() else { return Vec::new() };
    match connection {
        Some(connection) if worker.link.owns(connection) => {}
        _ => return Vec::new(),
    }
    if close {
        worker.link.close();
        return Vec::new();
    }
    act(&mut worker.link)
}

/// The connection's read event.
pub unsafe extern "C" fn on_readable(event: *mut ngx_event_t) {
    let done = guard(false, || {
        // SAFETY: called by nginx with a connection's event.
        let arrivals = unsafe { on_connection(event, Link::on_readable) };
        deliver(arrivals);
        true
    });
    if !done {
        give_up_connection();
    }
}

/// The connection's write event.
pub unsafe extern "C" fn on_writable(event: *mut ngx_event_t) {
    let done = guard(false, || {
        // SAFETY: called by nginx with a connection's event.
        let arrivals = unsafe {
            on_connection(event, |link| {
                link.flush();
                Vec::new()
            })
        };
        deliver(arrivals);
        true
    });
    if !done {
        give_up_connection();
    }
}

unsafe extern "C" fn on_timer(_: *mut ngx_event_t) {
    let done = guard(false, || {
        let arrivals = WORKER.hold().as_mut().map(|worker| worker.link.on_timer());
        deliver(arrivals.unwrap_or_default());
        true
    });
    if !done {
        give_up_connection();
    }
}

unsafe extern "C" fn on_flush(_: *mut ngx_event_t) {
    let done = guard(false, || {
        if let Some(worker) = WORKER.hold().as_mut() {
            worker.link.flush();
        }
        true
    });
    if !done {
        give_up_connection();
    }
}

/// After a fault of ours nobody knows what was read or written of this connection: on the next one all that is
/// unanswered is asked again.
fn give_up_connection() {
    guard((), || {
        if let Some(worker) = WORKER.hold().as_mut() {
            worker.link.give_up("a fault of the module");
        }
    });
}
