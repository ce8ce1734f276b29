//! What happens when nginx's processes start and end.
use ngx::ffi::{
    NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_core_conf_t, ngx_core_module, ngx_cycle_t, ngx_int_t,
    ngx_test_config, ngx_uint_t, ngx_worker,
};

use crate::agent_link;
use crate::conf::MainConf;
use crate::coprocess;
use crate::guard::guard;
use crate::nginx::{self, Level};
use crate::spawn::Identity;
use crate::state_dir::{self, Missing};

/// `init_module`: in the master, at each start and reload, and under `nginx -t`, which must change nothing.
pub unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    // SAFETY: nginx hands the new cycle; the old one, if there is any, has no configuration at the first start.
    let (testing, first) = unsafe {
        let first = (*cycle).old_cycle.as_ref().is_none_or(|old| old.conf_ctx.is_null());
        (ngx_test_config != 0, first)
    };
    // After a reload an error here would end the running server.
    let failed = if first || testing { nginx::ERROR } else { nginx::OK };
    guard(failed, || {
        // SAFETY: the new cycle's configuration has been read.
        let (main, identity) = unsafe { (MainConf::of_cycle(cycle), worker_identity(cycle)) };
        let Some(coprocess) = main.and_then(|main| main.service.as_ref()?.coprocess.as_ref()) else {
            return nginx::OK;
        };
        let missing = if testing { Missing::Leave } else { Missing::Make };
        let Err(error) = state_dir::prepare(&coprocess.state_dir, identity, missing) else {
            return nginx::OK;
        };
        let line =
            format!("l402: the state directory {} can't be used: {error}", coprocess.state_dir.display());
        // SAFETY: the new cycle's log is open.
        unsafe { nginx::log_to((*cycle).log, Level::Emerg, &line) };
        failed
    })
}

/// `init_process`: in each worker. After a fault of ours it serves all that isn't sold, and 503 for what is: nginx
/// would not start a worker again that failed here.
pub unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(nginx::OK, || {
        let kind = nginx::process_kind();
        // Cache manager and loader come here too, as worker 0.
        if kind != NGX_PROCESS_WORKER as ngx_uint_t && kind != NGX_PROCESS_SINGLE as ngx_uint_t {
            return nginx::OK;
        }
        // SAFETY: nginx hands the running cycle; `ngx_worker` was set before.
        let (main, number, identity) =
            unsafe { (MainConf::of_cycle(cycle), ngx_worker, worker_identity(cycle)) };
        let Some(service) = main.and_then(|main| main.service.as_mut()) else { return nginx::OK };
        // The other workers need no secret of l402d's, and wipe their copy.
        if let Some(coprocess) = service.coprocess.take()
            && number == 0
        {
            coprocess::start(coprocess.program, identity);
        }
        if let Err(error) = agent_link::start(service.address.clone()) {
            nginx::log(Level::Emerg, &format!("l402: no randomness for request ids: {error}"));
            return nginx::ERROR;
        }
        nginx::OK
    })
}

/// `exit_process`: nginx takes what is left open for a leak.
pub unsafe extern "C" fn exit_process(_: *mut ngx_cycle_t) {
    guard((), || {
        agent_link::close();
        coprocess::stop();
    });
}

/// Who workers (and l402d) run as; `None` where nginx was not started by root and nobody changes.
///
/// # Safety
/// `cycle`'s configuration has been read.
unsafe fn worker_identity(cycle: *const ngx_cycle_t) -> Option<Identity> {
    // SAFETY: the caller's promise; every cycle has a core configuration.
    unsafe {
        let index = ngx_core_module.index;
        let core = (*cycle).conf_ctx.add(index).read().cast::<ngx_core_conf_t>();
        (libc::geteuid() == 0).then(|| Identity { user: (*core).user, group: (*core).group })
    }
}
