//! Writes what an answer says to caches, after the upstream, `expires` and `add_header` had their say.
use gate::cache::{self, NO_STORE, VARY};
use ngx::ffi::{ngx_array_create, ngx_array_push, ngx_array_t, ngx_pool_t, ngx_table_elt_t};

use crate::nginx;
use crate::request::{OutOfMemory, Request};

/// The header that is merged.
const CACHE_CONTROL: &str = "Cache-Control";

/// Keeps an answer of ours, or one with a token in it, out of every cache.
///
/// # Errors
/// Memory is out.
pub fn forbid(r: &Request) -> Result<(), OutOfMemory> {
    set(r, NO_STORE)?;
    add_vary(r)
}

/// Keeps what was paid for out of shared caches.
///
/// # Errors
/// Memory is out.
pub fn keep_private_and_vary(r: &Request) -> Result<(), OutOfMemory> {
    keep_private(r)?;
    add_vary(r)
}

/// Keeps what not everybody gets for nothing out of shared caches.
///
/// # Errors
/// Memory is out.
pub fn keep_private(r: &Request) -> Result<(), OutOfMemory> {
    let mut values = Vec::new();
    r.each_response_header(|header| {
        let name = header.key.as_bytes();
        if name.eq_ignore_ascii_case(CACHE_CONTROL.as_bytes()) {
            values.push(header.value);
        } else if cache::is_of_shared_caches(name) {
            header.hash = 0;
        }
    });
    set(r, &cache::private(values.iter().map(|value| value.as_bytes())))
}

/// Makes this the one `Cache-Control` of the answer.
fn set(r: &Request, value: &str) -> Result<(), OutOfMemory> {
    // SAFETY: the pool is the request's, which is alive.
    let value = unsafe { nginx::copy(r.pool(), value.as_bytes()) }.ok_or(OutOfMemory)?;
    let mut is_set = false;
    r.each_response_header(|header| {
        if !header.key.as_bytes().eq_ignore_ascii_case(CACHE_CONTROL.as_bytes()) {
            return;
        }
        if std::mem::replace(&mut is_set, true) {
            header.hash = 0;
        } else {
            header.value = value;
        }
    });
    if is_set {
        return Ok(());
    }
    let line = r.push_response_header(CACHE_CONTROL, value)?;
    // SAFETY: the request is alive, and so is the line in its pool.
    unsafe { (*r.as_ptr()).headers_out.cache_control.register(r.pool(), line) }
}

/// Says which request headers decide, once: nginx may run a header filter twice for one answer.
fn add_vary(r: &Request) -> Result<(), OutOfMemory> {
    let mut is_there = false;
    r.each_response_header(|header| {
        is_there |=
            header.key.as_bytes().eq_ignore_ascii_case(b"vary") && header.value.as_bytes() == VARY.as_bytes();
    });
    if is_there { Ok(()) } else { r.add_response_header("Vary", VARY) }
}

/// nginx's own index of an answer's `Cache-Control` lines: an array up to version 1.22, a chain of lines from 1.23 on. There is
/// none yet.
trait CacheControlLines {
    /// # Safety
    /// `pool` is the request's, and `line` one of its answer's.
    unsafe fn register(
        &mut self,
        pool: *mut ngx_pool_t,
        line: *mut ngx_table_elt_t,
    ) -> Result<(), OutOfMemory>;
}

impl CacheControlLines for ngx_array_t {
    unsafe fn register(
        &mut self,
        pool: *mut ngx_pool_t,
        line: *mut ngx_table_elt_t,
    ) -> Result<(), OutOfMemory> {
        // SAFETY: the caller's promise; an array that was never used has no elements and is made first.
        unsafe {
            let size = size_of::<*mut ngx_table_elt_t>();
            if self.elts.is_null() {
                *self = *ngx_array_create(pool, 1, size).as_ref().ok_or(OutOfMemory)?;
            }
            let slot = ngx_array_push(self).cast::<*mut ngx_table_elt_t>();
            if slot.is_null() {
                return Err(OutOfMemory);
            }
            slot.write(line);
        }
        Ok(())
    }
}

impl CacheControlLines for *mut ngx_table_elt_t {
    unsafe fn register(&mut self, _: *mut ngx_pool_t, line: *mut ngx_table_elt_t) -> Result<(), OutOfMemory> {
        *self = line;
        Ok(())
    }
}
