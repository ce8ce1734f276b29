//! nginx's idioms in the types this crate uses: return codes, text, logs, memory that lives as long as a pool.
use std::cell::{RefCell, RefMut};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;

use ngx::ffi::{
    NGX_AGAIN, NGX_ALIGNMENT, NGX_DECLINED, NGX_DONE, NGX_ERROR, NGX_LOG_ALERT, NGX_LOG_EMERG, NGX_LOG_ERR,
    NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN, NGX_OK, ngx_conf_log_error, ngx_conf_t, ngx_current_msec,
    ngx_cycle, ngx_exiting, ngx_int_t, ngx_log_error_core, ngx_log_t, ngx_pnalloc, ngx_pool_cleanup_add,
    ngx_pool_t, ngx_process, ngx_quit, ngx_str_t, ngx_terminate, ngx_uint_t,
};

use crate::guard::guard;

/// Done, or go on.
pub const OK: ngx_int_t = NGX_OK as ngx_int_t;
/// Failed.
pub const ERROR: ngx_int_t = NGX_ERROR as ngx_int_t;
/// Call again later.
pub const AGAIN: ngx_int_t = NGX_AGAIN as ngx_int_t;
/// The request is not this function's any more.
pub const DONE: ngx_int_t = NGX_DONE as ngx_int_t;
/// Not my business.
pub const DECLINED: ngx_int_t = NGX_DECLINED as ngx_int_t;
/// A handler's "400 Bad Request".
pub const BAD_REQUEST: ngx_int_t = 400;
/// A handler's "500 Internal Server Error".
pub const INTERNAL_ERROR: ngx_int_t = 500;

/// What a directive's handler returns when all is well.
pub const CONF_OK: *mut c_char = std::ptr::null_mut();
/// What it returns after it has logged what is wrong.
pub const CONF_ERROR: *mut c_char = usize::MAX as *mut c_char;

/// How loud a line of the error log is.
#[derive(Clone, Copy)]
pub enum Level {
    /// nginx can't start.
    Emerg,
    /// A fault that must not happen.
    Alert,
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// Normal but notable.
    Notice,
    /// Normal.
    Info,
}

impl Level {
    const fn code(self) -> ngx_uint_t {
        (match self {
            Self::Emerg => NGX_LOG_EMERG,
            Self::Alert => NGX_LOG_ALERT,
            Self::Error => NGX_LOG_ERR,
            Self::Warn => NGX_LOG_WARN,
            Self::Notice => NGX_LOG_NOTICE,
            Self::Info => NGX_LOG_INFO,
        }) as ngx_uint_t
    }
}

/// One line in the error log of the running cycle.
pub fn log(level: Level, text: &str) {
    // SAFETY: once nginx has logged anything `ngx_cycle` is set and its log lives as long as the cycle.
    let log = unsafe { ngx_cycle.as_ref().map_or(std::ptr::null_mut(), |cycle| cycle.log) };
    // SAFETY: null or a live log, as above.
    unsafe { log_to(log, level, text) }
}

/// One line in a log, such as a connection's, which adds the client and the request.
///
/// # Safety
/// `log` is null or a live log.
pub unsafe fn log_to(log: *mut ngx_log_t, level: Level, text: &str) {
    // SAFETY: the caller's promise; `%*s` takes a length and a pointer, and reads no further.
    unsafe {
        if log.is_null() || (*log).log_level < level.code() {
            return;
        }
        ngx_log_error_core(level.code(), log, 0, c"%*s".as_ptr(), text.len(), text.as_ptr());
    }
}

/// Says what is wrong with the directive being read, with its file and line.
///
/// # Safety
/// `cf` is what nginx handed to the directive's handler.
pub unsafe fn conf_error(cf: *mut ngx_conf_t, text: &str) -> *mut c_char {
    // SAFETY: the caller's promise; `%*s` as in `log_to`.
    unsafe {
        let format: &CStr = c"%*s";
        ngx_conf_log_error(Level::Emerg.code(), cf, 0, format.as_ptr(), text.len(), text.as_ptr());
    }
    CONF_ERROR
}

/// The bytes of an nginx string.
///
/// # Safety
/// The string's memory stays as it is for `'a`.
pub unsafe fn bytes<'a>(text: ngx_str_t) -> &'a [u8] {
    if text.len == 0 || text.data.is_null() {
        return &[];
    }
    // SAFETY: a non-empty `ngx_str_t` points to `len` bytes; the caller vouches for `'a`.
    unsafe { std::slice::from_raw_parts(text.data, text.len) }
}

/// A string constant as nginx wants it; nginx never writes to one.
pub const fn constant(text: &'static CStr) -> ngx_str_t {
    ngx_str_t { len: text.to_bytes().len(), data: text.as_ptr() as *mut u8 }
}

/// Copies bytes into a pool; `None` if memory is out.
///
/// # Safety
/// `pool` is a live pool.
pub unsafe fn copy(pool: *mut ngx_pool_t, from: &[u8]) -> Option<ngx_str_t> {
    // SAFETY: the caller's promise; the new memory is `len` bytes and overlaps nothing.
    unsafe {
        let data = ngx_pnalloc(pool, from.len().max(1)).cast::<u8>();
        if data.is_null() {
            return None;
        }
        std::ptr::copy_nonoverlapping(from.as_ptr(), data, from.len());
        Some(ngx_str_t { len: from.len(), data })
    }
}

/// Puts a value into a pool, to be dropped with it; `None` if memory is out.
///
/// # Safety
/// `pool` is a live pool. The value must not need its place after the pool is gone.
pub unsafe fn keep<T>(pool: *mut ngx_pool_t, value: T) -> Option<NonNull<T>> {
    const { assert!(align_of::<T>() <= NGX_ALIGNMENT) };
    // SAFETY: the caller's promise; `ngx_pool_cleanup_add` allocates `size` bytes aligned to
    // NGX_ALIGNMENT, and the handler is set only once they hold a `T`.
    unsafe {
        let cleanup = ngx_pool_cleanup_add(pool, size_of::<T>());
        let place = NonNull::new(cleanup)?.as_ref().data.cast::<T>();
        place.write(value);
        (*cleanup).handler = Some(drop_kept::<T>);
        NonNull::new(place)
    }
}

unsafe extern "C" fn drop_kept<T>(data: *mut c_void) {
    // SAFETY: `keep` set this handler on memory that holds a `T`, and a pool runs a handler once.
    guard((), || unsafe { data.cast::<T>().drop_in_place() });
}

/// Milliseconds of nginx's own monotonic clock, as of this turn of the event loop.
pub fn now_ms() -> u64 {
    // SAFETY: a plain integer that only this thread's event loop writes.
    (unsafe { ngx_current_msec }) as u64
}

/// Is this worker shutting down?
pub fn is_exiting() -> bool {
    // SAFETY: plain integers that only this thread and its signal handlers write.
    unsafe { ngx_exiting != 0 || ngx_quit != 0 || ngx_terminate != 0 }
}

/// What kind of nginx process this is, one of `NGX_PROCESS_*`.
pub fn process_kind() -> ngx_uint_t {
    // SAFETY: a plain integer, written before any code of a module runs in that process.
    unsafe { ngx_process }
}

/// State of a process whose event loop has one thread.
pub struct PerProcess<T>(RefCell<T>);

// SAFETY: nginx calls modules from its main thread only; its thread pools run no callback of ours, and
// we start no thread. So the cell is never reached from two threads.
unsafe impl<T> Sync for PerProcess<T> {}

impl<T> PerProcess<T> {
    /// Holds `value`.
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// The state, exclusively. Let it go before calling anything of nginx that may call us back.
    ///
    /// # Panics
    /// If it is held already: a fault of ours, stopped by [`guard`].
    pub fn hold(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }
}
