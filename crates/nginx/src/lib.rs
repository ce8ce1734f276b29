//! The nginx module: wiring only. What each part is for is said at its top.
//!
//! The way of a request: `handler` notes it and, in a location with an `Offer` (`conf`), drives the gate;
//! a question goes through `agent_link` to l402d while the request waits (`suspension`); the end is a
//! grant or an answer (`answer`).

mod agent_link;
mod answer;
mod cache;
mod complaints;
mod conf;
mod context;
mod coprocess;
mod directives;
#[cfg(feature = "faulty")]
mod faulty;
mod filter;
mod guard;
mod handler;
mod link;
mod listen;
mod merge;
mod nginx;
mod origin;
mod origins;
mod pending;
mod process;
mod question;
mod request;
mod rewrite;
mod service;
mod socket;
mod spawn;
mod state_dir;
mod suspension;
mod timer;
mod too_long;
mod variables;

use std::ffi::c_char;

use ngx::ffi::{NGX_HTTP_MODULE, ngx_conf_t, ngx_http_module_t, ngx_int_t, ngx_module_t, ngx_uint_t};

use crate::conf::MainConf;
use crate::guard::guard;

static CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: Some(variables::add),
    postconfiguration: Some(service::finish),
    create_main_conf: Some(merge::create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(merge::create_location),
    merge_loc_conf: Some(merge::merge_location),
};

static FILTER_CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: Some(install_filter),
    create_main_conf: None,
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: None,
    merge_loc_conf: None,
};

/// The module.
#[unsafe(no_mangle)]
pub static mut ngx_http_l402_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const CONTEXT).cast_mut().cast(),
    commands: (&raw mut directives::COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_module: Some(process::init_module),
    init_process: Some(process::init_process),
    exit_process: Some(process::exit_process),
    ..ngx_module_t::default()
};

/// Its header filter: another module, as it stands elsewhere in nginx's order.
#[unsafe(no_mangle)]
pub static mut ngx_http_l402_filter_module: ngx_module_t = ngx_module_t {
    ctx: (&raw const FILTER_CONTEXT).cast_mut().cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    ..ngx_module_t::default()
};

/// A list for nginx's loader, of pointers that never change.
#[repr(transparent)]
pub struct List<T, const N: usize>([*const T; N]);

// SAFETY: nothing writes to a list or through it but nginx's loader, which has one thread.
unsafe impl<T, const N: usize> Sync for List<T, N> {}

/// What nginx loads.
#[unsafe(no_mangle)]
pub static ngx_modules: List<ngx_module_t, 3> =
    List([&raw const ngx_http_l402_module, &raw const ngx_http_l402_filter_module, std::ptr::null()]);

/// The modules' names.
#[unsafe(no_mangle)]
pub static ngx_module_names: List<c_char, 3> =
    List([c"ngx_http_l402_module".as_ptr(), c"ngx_http_l402_filter_module".as_ptr(), std::ptr::null()]);

/// Where they go. nginx runs access handlers and header filters from the last module to the first: before
/// `auth_request`, `auth_basic` and `access` in this order means after them in time, so that a client whom
/// these turn away is not asked to pay; before `headers` means after `add_header` and `expires`.
#[unsafe(no_mangle)]
pub static ngx_module_order: List<c_char, 7> = List([
    c"ngx_http_l402_module".as_ptr(),
    c"ngx_http_auth_request_module".as_ptr(),
    c"ngx_http_auth_basic_module".as_ptr(),
    c"ngx_http_access_module".as_ptr(),
    c"ngx_http_l402_filter_module".as_ptr(),
    c"ngx_http_headers_filter_module".as_ptr(),
    std::ptr::null(),
]);

/// The module's place among the configurations of HTTP modules.
fn module_index() -> usize {
    // SAFETY: nginx sets it before it calls any callback of the module.
    unsafe { ngx_http_l402_module.ctx_index }
}

/// `postconfiguration` of the filter: only where something is sold.
unsafe extern "C" fn install_filter(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(nginx::ERROR, || {
        // SAFETY: nginx hands the configuration being read, inside `http {}`.
        if !unsafe { MainConf::of_conf(cf) }.selling.is_empty() {
            filter::install();
        }
        nginx::OK
    })
}
