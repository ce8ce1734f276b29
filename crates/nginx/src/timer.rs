//! A timer of nginx's event loop that belongs to the process, not to a request.
use std::ptr::NonNull;

use ngx::ffi::{
    ngx_add_timer, ngx_connection_t, ngx_cycle, ngx_del_timer, ngx_delete_posted_event, ngx_event_t,
    ngx_post_event, ngx_posted_events,
};

/// A callback of the event loop.
pub type EventHandler = unsafe extern "C" fn(*mut ngx_event_t);

/// An event and the connection it pretends to belong to: debug builds of nginx read the `fd` of every
/// event's connection.
struct Parts {
    event: ngx_event_t,
    connection: ngx_connection_t,
}

/// A timer, or an event to be posted.
pub struct Timer(NonNull<Parts>);

impl Timer {
    /// An event that calls `handler`. Its timer does not keep a worker that shuts down from ending.
    pub fn new(handler: EventHandler) -> Self {
        // SAFETY: both are plain C structs for which all-zero is a valid value.
        let mut parts: Parts = unsafe { std::mem::zeroed() };
        parts.connection.fd = -1;
        parts.event.handler = Some(handler);
        parts.event.set_cancelable(1);
        let parts = NonNull::from(Box::leak(Box::new(parts)));
        let this = Self(parts);
        // SAFETY: the memory is ours until `drop`; only raw pointers to it exist from here on.
        unsafe { (*this.event()).data = (&raw mut (*parts.as_ptr()).connection).cast() };
        this
    }

    fn event(&self) -> *mut ngx_event_t {
        // SAFETY: a field's address; the memory is ours until `drop`.
        unsafe { &raw mut (*self.0.as_ptr()).event }
    }

    /// Calls the handler once, at the end of this turn of the event loop.
    pub fn post(&self) {
        // SAFETY: the event lives until `drop`, and posted events are run by this thread. Like a timer's, its
        // log must be there: debug builds of nginx read its level.
        unsafe {
            (*self.event()).log = (*ngx_cycle).log;
            ngx_post_event(self.event(), &raw mut ngx_posted_events);
        }
    }

    /// Calls the handler once, after so many milliseconds; an earlier start is forgotten.
    pub fn start(&self, after_ms: u64) {
        self.stop();
        // SAFETY: the event lives until `drop`, and nginx's timer tree is only touched by this thread.
        unsafe {
            (*self.event()).log = (*ngx_cycle).log;
            ngx_add_timer(self.event(), after_ms as _);
        }
    }

    /// Calls nothing.
    pub fn stop(&self) {
        // SAFETY: as in `start`; the flag says that the event is in the tree.
        unsafe {
            if (*self.event()).timer_set() != 0 {
                ngx_del_timer(self.event());
            }
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
        // SAFETY: `new` made the parts from a box, and nginx has no pointer to them any more.
        unsafe {
            if (*self.event()).posted() != 0 {
                ngx_delete_posted_event(self.event());
            }
            drop(Box::from_raw(self.0.as_ptr()));
        }
    }
}
