//! What can only be checked once the whole configuration is read, and what the workers need to know.
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use agent_api::coprocess;
use ngx::ffi::{
    NGX_PROCESS_SIGNALLER, ngx_array_push, ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_handler_pt, ngx_http_phases, ngx_http_phases_NGX_HTTP_ACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_int_t, ngx_uint_t,
};
use settings::{AgentConfig, BACKEND, BackendSettings, Flags, STATE_DIR};

use crate::conf::{MainConf, Offer, Selling, Value};
use crate::guard::guard;
use crate::handler;
use crate::link::{Address, inode_clock};
use crate::listen;
use crate::nginx::{self, Level};
use crate::spawn::Program;

/// Where l402d is looked for when it does not lie beside the module.
const SYSTEM: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// What the workers need.
pub struct Service {
    /// Where l402d listens.
    pub address: Address,
    /// The l402d to start; `None` where the operator runs one.
    pub coprocess: Option<Coprocess>,
    /// Is ecash taken? An l402d that the operator runs has not said so yet.
    pub may_take_ecash: bool,
}

/// Our own l402d.
pub struct Coprocess {
    /// How it is started.
    pub program: Program,
    /// Where it keeps its state.
    pub state_dir: PathBuf,
}

/// `postconfiguration`: checks, and takes part in requests only if something is sold.
pub unsafe extern "C" fn finish(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(nginx::ERROR, || {
        // SAFETY: nginx hands the configuration being read, inside `http {}`.
        let (main, log, prefix) = unsafe {
            let prefix = nginx::bytes((*(*cf).cycle).conf_prefix);
            (MainConf::of_conf(cf), (*cf).log, Path::new(OsStr::from_bytes(prefix)))
        };
        if main.selling.is_empty() {
            return nginx::OK;
        }
        // SAFETY: all servers are read and merged.
        if let Some(line) = unsafe { listen::complaint(core_main(cf)) } {
            // SAFETY: as above.
            unsafe { nginx::log_to(log, Level::Emerg, &line) };
            return nginx::ERROR;
        }
        // `nginx -s …` reads the configuration too, in an environment that need not be the server's.
        if nginx::process_kind() != NGX_PROCESS_SIGNALLER as ngx_uint_t {
            let warn = |line: &str| {
                // SAFETY: the log of the configuration being read.
                unsafe { nginx::log_to(log, Level::Warn, line) }
            };
            match prepare(main, prefix, &warn) {
                Ok(service) => main.service = Some(service),
                Err(mut lines) => {
                    lines.dedup();
                    for line in lines {
                        // SAFETY: as above.
                        unsafe { nginx::log_to(log, Level::Emerg, &line) };
                    }
                    return nginx::ERROR;
                }
            }
        }
        // SAFETY: as above; nginx reads the handlers after all modules are done.
        unsafe {
            let post_read = add_handler(cf, ngx_http_phases_NGX_HTTP_POST_READ_PHASE, handler::post_read);
            let access = add_handler(cf, ngx_http_phases_NGX_HTTP_ACCESS_PHASE, handler::access);
            if post_read && access { nginx::OK } else { nginx::ERROR }
        }
    })
}

/// nginx's own configuration of `http {}`.
///
/// # Safety
/// `cf` is what nginx handed to `postconfiguration`.
unsafe fn core_main<'a>(cf: *mut ngx_conf_t) -> &'a mut ngx_http_core_main_conf_t {
    // SAFETY: the caller's promise; every context has a configuration of nginx's core at its index.
    unsafe {
        let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        &mut *(*context).main_conf.add(ngx_http_core_module.ctx_index).read().cast()
    }
}

/// # Safety
/// `cf` is what nginx handed to `postconfiguration`.
unsafe fn add_handler(
    cf: *mut ngx_conf_t,
    phase: ngx_http_phases,
    handler: unsafe extern "C" fn(*mut ngx::ffi::ngx_http_request_t) -> ngx_int_t,
) -> bool {
    // SAFETY: the caller's promise; a phase's array holds handlers.
    unsafe {
        let core = core_main(cf);
        let phases = (&raw mut core.phases).cast::<ngx::ffi::ngx_http_phase_t>();
        let handlers = &raw mut (*phases.add(phase as usize)).handlers;
        let slot = ngx_array_push(handlers).cast::<ngx_http_handler_pt>();
        if slot.is_null() {
            return false;
        }
        slot.write(Some(handler));
        true
    }
}

/// Says of each location which statements of nginx's rewrite module answer before anything is paid.
fn warn_of_answers_before_payment(main: &MainConf, warn: &dyn Fn(&str)) {
    for Selling { conf, answered, called } in &main.selling {
        // SAFETY: as in `prepare`.
        let place = unsafe { conf.as_ref() }.offer.as_ref().map(|offer| offer.place.to_string());
        for statement in answered {
            warn(&format!(
                "l402: {called}, which sells by l402 in {}, has a \"{statement}\" that answers before anything is paid: what that \
                 answers is free",
                place.as_deref().unwrap_or_default()
            ));
        }
    }
}

/// What the workers need, or a line for each mistake.
fn prepare(main: &MainConf, prefix: &Path, warn: &dyn Fn(&str)) -> Result<Service, Vec<String>> {
    let offers: Vec<&Offer> = main
        .selling
        .iter()
        // SAFETY: each is a configuration that `merge_location` just finished; they live as long as `main`.
        .filter_map(|selling| unsafe { selling.conf.as_ref() }.offer.as_ref())
        .collect();
    warn_of_answers_before_payment(main, warn);
    if let Some(agent) = &main.agent {
        let to_address = |offer: &&Offer| {
            let address = offer.lnurl.as_ref()?;
            Some(format!(
                "l402_lnurl_addr \"{address}\" is not for the l402d of l402_agent, which has its own backends; expected one \
                 of type lnurl in its configuration, and its name in l402_backend, in {}",
                offer.backend_place
            ))
        };
        let lines: Vec<String> = offers.iter().filter_map(to_address).collect();
        if !lines.is_empty() {
            return Err(lines);
        }
        if let Some(block) = main.blocks.first() {
            warn(&format!(
                "l402_backend \"{}\" in {} is not used: the l402d of l402_agent has its own backends",
                block.name, block.place
            ));
        }
        let address = Address { path: agent.value.clone(), not_before: None };
        return Ok(Service { address, coprocess: None, may_take_ecash: true });
    }
    let config = agent_config(main, prefix, &offers)?;
    let unknown: Vec<String> = offers
        .iter()
        .filter(|offer| !offer.for_locations)
        .flat_map(|offer| {
            let missing = |name| settings::backend_exists(name, &config.backends).err();
            let complaints = offer.backend.split(' ').filter_map(missing);
            complaints.map(|complaint| format!("{complaint} in {}", offer.backend_place)).collect::<Vec<_>>()
        })
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    if config.ecash.is_some() {
        for offer in offers.iter().filter(|offer| !offer.for_locations) {
            if let Some(Value::Fixed(price)) = offer.price
                && price % 1000 != 0
            {
                warn(&format!(
                    "the price of {price} msat is no whole number of satoshis, and who pays with ecash pays {} in {}",
                    price.div_ceil(1000) * 1000,
                    offer.place
                ));
            }
        }
    }
    for name in settings::set_but_not_read(&environment) {
        warn(&format!("{name} is set, but this version of the l402 module does not read it"));
    }
    let paths = find_program().map_err(|line| vec![line])?;
    let program = Program { paths, config: config.to_pairs(), generation: generation() };
    Ok(Service {
        may_take_ecash: config.ecash.is_some(),
        address: Address { path: config.socket, not_before: Some(inode_clock()) },
        coprocess: Some(Coprocess { program, state_dir: config.state_dir }),
    })
}

/// l402d's configuration, from the blocks and the environment.
fn agent_config(main: &MainConf, prefix: &Path, offers: &[&Offer]) -> Result<AgentConfig, Vec<String>> {
    let read = |path: &Path| std::fs::read(prefix.join(path));
    let read_private = |path: &Path| {
        let path = prefix.join(path);
        settings::check_private_mode(std::fs::metadata(&path)?.permissions().mode())?;
        std::fs::read(path)
    };
    let mut lines = Vec::new();
    let mut backends: Vec<BackendSettings> = Vec::new();
    for block in &main.blocks {
        match settings::named_backend(&block.name, &block.pairs, &read) {
            Ok(backend) => backends.push(backend),
            Err(complaints) => {
                let of_block = |complaint| format!("{complaint} in {}", block.place);
                lines.extend(complaints.iter().map(of_block));
            }
        }
    }
    for offer in offers {
        let Some(address) = &offer.lnurl else { continue };
        if backends.iter().any(|backend| backend.name == offer.backend) {
            continue;
        }
        match settings::lnurl_backend(address, &environment) {
            Ok(backend) => backends.push(backend),
            Err(complaints) => {
                lines.extend(complaints.iter().map(|it| format!("{it} in {}", offer.backend_place)));
            }
        }
    }
    let state_dir = main.state_dir.as_ref().map(|dir| (STATE_DIR.name(), dir.value.as_str()));
    let flags = Flags { state_dir, listen: None, log_in_state_dir: true, backends };
    let config = AgentConfig::from_env(&environment, &read, &read_private, flags);
    match config {
        Ok(config) if lines.is_empty() => Ok(config),
        Ok(_) => Err(lines),
        Err(complaints) => {
            for complaint in complaints {
                // Of what is said in the environment nginx knows no line: name the one that needs it.
                let block = main.blocks.iter().find(|block| complaint.value.as_ref() == Some(&block.name));
                let place = match block {
                    Some(block) if complaint.setting == BACKEND.name() => format!(" in {}", block.place),
                    _ => offers
                        .first()
                        .map_or_else(String::new, |offer| format!("; needed by l402 in {}", offer.place)),
                };
                lines.push(format!("{complaint}{place}"));
            }
            Err(lines)
        }
    }
}

/// This moment by the clock that only moves forward.
fn generation() -> CString {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the one struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    CString::new(nanoseconds.to_string()).unwrap_or_default()
}

fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The files of l402d: beside the module's own file, or else the system's.
fn find_program() -> Result<Vec<CString>, String> {
    let directories = || module_dir().into_iter().chain(SYSTEM.iter().map(PathBuf::from));
    let programs = coprocess::programs();
    let places: Vec<PathBuf> =
        programs.iter().flat_map(|program| directories().map(move |dir| dir.join(program))).collect();
    let found = places.iter().filter(|path| is_program(path).unwrap_or(false));
    let found: Vec<CString> =
        found.filter_map(|path| CString::new(path.as_os_str().as_bytes()).ok()).collect();
    if found.is_empty() {
        let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        return Err(format!(
            "l402d is not installed: expected the program as one of {}, or l402_agent",
            places.join(", ")
        ));
    }
    Ok(found)
}

fn is_program(path: &Path) -> io::Result<bool> {
    let found = std::fs::metadata(path)?;
    Ok(found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The directory of the file that this code was loaded from.
fn module_dir() -> Option<PathBuf> {
    // SAFETY: fills the struct it is given; `dli_fname` is a C string that lives as long as the module.
    let file = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(finish as *const libc::c_void, &raw mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        CStr::from_ptr(info.dli_fname).to_bytes()
    };
    let file = std::fs::canonicalize(OsStr::from_bytes(file)).ok()?;
    file.parent().map(Path::to_path_buf)
}
