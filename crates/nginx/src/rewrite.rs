//! Finds the statements of nginx's rewrite module that answer a request before it can be sold.
//!
//! The rewrite phase comes before the access phase: what `return` or a redirecting `rewrite` answers is free. nginx keeps
//! these statements as a list of code structures, each of which begins with its function. That list is read here, and nothing of
//! it is changed.
use std::ffi::{CStr, c_void};

use ngx::ffi::{
    ngx_array_t, ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_script_if_code, ngx_http_script_if_code_t,
    ngx_http_script_regex_code_t, ngx_http_script_regex_start_code, ngx_http_script_return_code,
    ngx_http_script_return_code_t, ngx_module_t,
};

/// The name of nginx's rewrite module, which may not be there.
const MODULE: &CStr = c"ngx_http_rewrite_module";

/// An entry of the list, as far as it matters here.
enum Statement {
    /// `if`, and how many bytes on it ends.
    If(usize),
    /// `return`, and its status.
    Return(usize),
    /// `rewrite … redirect` or `permanent`, or to another host.
    Redirect,
}

/// The statements of the location being merged that answer: each by its name, once. What refuses or redirects within an `if`
/// is left out, as it is meant for some requests only; and so is what refuses in a named location, which is a page for a refusal.
///
/// # Safety
/// `cf` is what nginx handed to a merge callback of locations.
pub unsafe fn answers(cf: *const ngx_conf_t, is_named: bool) -> Vec<&'static str> {
    // SAFETY: the caller's promise.
    let Some(codes) = (unsafe { codes(cf) }) else { return Vec::new() };
    let mut found = Vec::new();
    let mut conditional_until = 0;
    for at in (0..codes.len()).step_by(size_of::<usize>()) {
        // SAFETY: nginx rounds the size of each structure up to that of a pointer, and what begins with a structure's
        // function is that structure.
        let Some(statement) = (unsafe { read(&codes[at..]) }) else { continue };
        let is_conditional = at < conditional_until;
        match statement {
            Statement::If(length) => conditional_until = at + length,
            Statement::Return(400..) if is_named => {}
            Statement::Return(status) if !is_conditional || (200..300).contains(&status) => {
                found.push("return")
            }
            Statement::Redirect if !is_conditional => found.push("rewrite"),
            Statement::Return(_) | Statement::Redirect => {}
        }
    }
    found.dedup();
    found
}

/// The list of the location being merged, if it has one.
///
/// # Safety
/// As [`answers`].
unsafe fn codes<'a>(cf: *const ngx_conf_t) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise. The module's configuration begins with a pointer to an array of bytes in every version
    // from 1.22 on; it is null without statements.
    unsafe {
        let module = libc::dlsym(libc::RTLD_DEFAULT, MODULE.as_ptr()).cast::<ngx_module_t>().as_ref()?;
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let conf = (*context).loc_conf.add(module.ctx_index).read().cast::<*const ngx_array_t>();
        let codes = (*conf.as_ref()?).as_ref()?;
        Some(std::slice::from_raw_parts(codes.elts.cast::<u8>(), codes.nelts))
    }
}

/// The statement that the list goes on with, if it is one that matters.
///
/// # Safety
/// `rest` is aligned for a pointer, and what begins with a structure's function is that structure.
unsafe fn read(rest: &[u8]) -> Option<Statement> {
    let function = rest.first_chunk::<{ size_of::<usize>() }>().map(|bytes| usize::from_ne_bytes(*bytes))?;
    let is = |code: *const c_void| function == code.addr();
    // SAFETY: the caller's promise, and the size is checked.
    unsafe {
        if is(ngx_http_script_if_code as *const c_void) {
            whole::<ngx_http_script_if_code_t>(rest).map(|code| Statement::If(code.next))
        } else if is(ngx_http_script_return_code as *const c_void) {
            whole::<ngx_http_script_return_code_t>(rest).map(|code| Statement::Return(code.status))
        } else if is(ngx_http_script_regex_start_code as *const c_void) {
            let code = whole::<ngx_http_script_regex_code_t>(rest)?;
            (code.redirect() == 1).then_some(Statement::Redirect)
        } else {
            None
        }
    }
}

/// # Safety
/// `rest` begins with a `T`, if it is long enough.
unsafe fn whole<T>(rest: &[u8]) -> Option<&T> {
    // SAFETY: the caller's promise, and the size is checked.
    (rest.len() >= size_of::<T>()).then(|| unsafe { &*rest.as_ptr().cast::<T>() })
}
