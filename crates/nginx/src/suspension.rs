//! How a request waits without costing the worker anything, and how it goes on.
//!
//! It waits in the access phase: the handler has returned NGX_AGAIN, a timer keeps the wait bounded (and a
//! worker that shuts down alive), nginx watches for the client to leave, and a clean-up handler takes the
//! question back when the request ends in any other way.
use std::ffi::c_void;
use std::ptr::NonNull;

use gate::{Answer, Failure};
use ngx::ffi::{
    ngx_add_timer, ngx_connection_t, ngx_del_timer, ngx_event_t, ngx_handle_read_event,
    ngx_http_block_reading, ngx_http_cleanup_add, ngx_http_log_ctx_t, ngx_http_run_posted_requests,
    ngx_http_test_reading, ngx_pcalloc, ngx_post_event, ngx_posted_events,
};

use crate::agent_link;
use crate::context::{Sale, State};
use crate::guard::guard;
use crate::nginx;
use crate::request::{OutOfMemory, Request};

/// After a fault in an alarm it sounds again, in milliseconds.
const ALARM_AGAIN_MS: u64 = 1000;

/// A sale that waits. Valid while it is in the table of [`crate::pending`]: it leaves that table before
/// its memory goes.
#[derive(Clone, Copy)]
pub struct Waiter(NonNull<Sale>);

/// Why a request goes on.
pub enum Wake {
    /// There are keys now.
    Keys,
    /// l402d answered, and perhaps told the operator why.
    Answer(Answer, Option<String>),
    /// l402d is down.
    Down,
}

/// The waiting of one request.
pub struct Suspension {
    /// The entry in the table while it waits.
    id: Option<u64>,
    /// Made at the first wait, in the request's pool.
    alarm: Option<NonNull<Alarm>>,
    /// When the request has waited long enough, in milliseconds of nginx's clock: set by its first wait, whatever it waits
    /// for later.
    deadline_ms: Option<u64>,
}

/// The timer of a request, and what it belongs to.
#[repr(C)]
struct Alarm {
    event: ngx_event_t,
    sale: *mut Sale,
}

impl Waiter {
    /// The sale, to be woken later.
    pub fn new(sale: &Sale) -> Self {
        Self(sale.handle)
    }
}

impl Suspension {
    /// Not waiting.
    pub const fn new() -> Self {
        Self { id: None, alarm: None, deadline_ms: None }
    }
}

/// Lets the request wait for the entry `id`. All its waits together last `timeout_ms` at most.
///
/// # Errors
/// Memory is out; the request does not wait.
pub fn suspend(r: &Request, sale: &mut Sale, id: u64, timeout_ms: u64) -> Result<(), OutOfMemory> {
    sale.suspension.id = Some(id);
    let now_ms = nginx::now_ms();
    let deadline_ms = *sale.suspension.deadline_ms.get_or_insert(now_ms + timeout_ms);
    let alarm = match sale.suspension.alarm {
        Some(alarm) => alarm,
        None => {
            let alarm = make_alarm(r, sale).inspect_err(|_| take_back(sale))?;
            sale.suspension.alarm = Some(alarm);
            alarm
        }
    };
    // SAFETY: the request, its connection and the alarm in its pool are alive.
    unsafe {
        let c = (*r.as_ptr()).connection;
        let event = &raw mut (*alarm.as_ptr()).event;
        (*event).data = c.cast();
        (*event).log = (*c).log;
        ngx_add_timer(event, deadline_ms.saturating_sub(now_ms) as _);
        (*r.as_ptr()).read_event_handler = Some(ngx_http_test_reading);
        // The client may have left already: look once.
        if (*(*c).read).ready() != 0 {
            ngx_post_event((*c).read, &raw mut ngx_posted_events);
        } else if ngx_handle_read_event((*c).read, 0) != nginx::OK {
            take_back(sale);
            return Err(OutOfMemory);
        }
    }
    Ok(())
}

fn make_alarm(r: &Request, sale: &mut Sale) -> Result<NonNull<Alarm>, OutOfMemory> {
    // SAFETY: the request is alive; the alarm is zeroed memory of its size in the request's pool. The
    // clean-up handler runs when the request ends, before its pool and with it the sale is freed.
    unsafe {
        let alarm = ngx_pcalloc(r.pool(), size_of::<Alarm>()).cast::<Alarm>();
        let alarm = NonNull::new(alarm).ok_or(OutOfMemory)?;
        (*alarm.as_ptr()).event.handler = Some(on_alarm);
        (*alarm.as_ptr()).sale = sale.handle.as_ptr();
        let cleanup = ngx_http_cleanup_add(r.as_ptr(), 0);
        if cleanup.is_null() {
            return Err(OutOfMemory);
        }
        (*cleanup).data = sale.handle.as_ptr().cast();
        (*cleanup).handler = Some(on_request_end);
        Ok(alarm)
    }
}

/// Ends the wait without an answer.
fn take_back(sale: &mut Sale) {
    stop_alarm(sale);
    if let Some(id) = sale.suspension.id.take() {
        agent_link::cancel(id);
    }
}

fn stop_alarm(sale: &mut Sale) {
    let Some(alarm) = sale.suspension.alarm else { return };
    // SAFETY: the alarm lives in the request's pool, as the sale does.
    unsafe {
        let event = &raw mut (*alarm.as_ptr()).event;
        if (*event).timer_set() != 0 {
            ngx_del_timer(event);
        }
    }
}

/// The request ended while it waited, or long after.
unsafe extern "C" fn on_request_end(data: *mut c_void) {
    let taken_back = guard(false, || {
        // SAFETY: `make_alarm` set the sale, which the request's pool still holds.
        take_back(unsafe { &mut *data.cast::<Sale>() });
        true
    });
    if !taken_back {
        // The table would keep a pointer to freed memory: better one worker less.
        std::process::abort();
    }
}

/// The wait has lasted long enough.
unsafe extern "C" fn on_alarm(event: *mut ngx_event_t) {
    // Should the rest fail by a fault of ours, the request must not wait for ever.
    // SAFETY: nginx hands the alarm's event, whose timer has just run out; `take_back` stops it again.
    unsafe { ngx_add_timer(event, ALARM_AGAIN_MS as _) };
    guard((), || {
        // SAFETY: the event is the first field of an `Alarm`, whose sale lives as long as it.
        let sale = unsafe { &mut *(*event.cast::<Alarm>()).sale };
        take_back(sale);
        let gone = Failure::AgentGone { retry_after_s: 1 };
        resume(Waiter::new(sale), |state| end_of_wait(state, gone));
    });
}

/// Lets a request go on that has just left the table.
pub fn wake(waiter: Waiter, wake: Wake) {
    match wake {
        Wake::Keys => resume(waiter, |_| State::New),
        Wake::Down => resume(waiter, |state| end_of_wait(state, Failure::AgentGone { retry_after_s: 2 })),
        Wake::Answer(answer, reason) => {
            // SAFETY: the waiter was in the table until now, so its sale is alive.
            unsafe { (*waiter.0.as_ptr()).reason = reason };
            resume(waiter, |state| match state {
                State::Asked(gate) => State::Answered(gate, answer),
                other => other,
            });
        }
    }
}

fn end_of_wait(state: State, failure: Failure) -> State {
    match state {
        State::Asked(gate) => State::Answered(gate, Answer::Failed(failure)),
        State::WaitingForKeys => State::DoneWaitingForKeys,
        other => other,
    }
}

/// Runs the request's phases again, from the access handler that suspended it. The request may be gone
/// afterwards.
fn resume(waiter: Waiter, next: impl FnOnce(State) -> State) {
    let sale = waiter.0.as_ptr();
    // SAFETY: the sale is alive, and with it the request and its connection. No reference to the sale
    // is held while nginx runs the request. The connection's memory outlives the request; nginx itself
    // goes on the same way after an upstream's event.
    unsafe {
        (*sale).suspension.id = None;
        stop_alarm(&mut *sale);
        let state = std::mem::replace(&mut (*sale).state, State::New);
        (*sale).state = next(state);

        let r = (*sale).request;
        let c: *mut ngx_connection_t = (*r).connection;
        if let Some(context) = (*(*c).log).data.cast::<ngx_http_log_ctx_t>().as_mut() {
            context.current_request = r;
        }
        (*r).read_event_handler = Some(ngx_http_block_reading);
        if let Some(handler) = (*r).write_event_handler {
            handler(r);
        }
        ngx_http_run_posted_requests(c);
    }
}
