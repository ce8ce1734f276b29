//! The module's configuration: what was written (`Option`s), and what it comes to once all levels are
//! merged.
use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;
use std::ptr::NonNull;

use gate::{Names, Realm, Uses};
use ngx::ffi::{
    ngx_conf_t, ngx_cycle_t, ngx_http_complex_value_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_module, ngx_http_request_t,
};
use settings::{AMOUNT_MSAT_DEFAULT, DEFAULT_AGENT_TIMEOUT_MS, L402, value::Rate};

use crate::module_index;
use crate::nginx;
use crate::request::Request;
use crate::service::Service;

/// Where in the configuration something was written.
#[derive(Clone, Debug)]
pub struct Place {
    file: String,
    line: u64,
}

impl Place {
    /// Where nginx is reading.
    ///
    /// # Safety
    /// `cf` is what nginx handed to a directive's handler.
    pub unsafe fn of(cf: *const ngx_conf_t) -> Self {
        // SAFETY: the caller's promise; `conf_file` is null for directives of the command line.
        unsafe {
            match (*cf).conf_file.as_ref() {
                Some(file) => Self {
                    file: String::from_utf8_lossy(nginx::bytes(file.file.name)).into_owned(),
                    line: file.line as u64,
                },
                None => Self { file: "command line".to_owned(), line: 0 },
            }
        }
    }
}

/// As nginx writes it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub place: Place,
}

/// A text with variables, compiled by nginx into memory of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Complex(NonNull<ngx_http_complex_value_t>);

impl Complex {
    /// # Safety
    /// It was compiled by nginx and lives as long as the configuration.
    pub const unsafe fn new(compiled: NonNull<ngx_http_complex_value_t>) -> Self {
        Self(compiled)
    }

    /// For nginx.
    pub const fn as_ptr(self) -> *mut ngx_http_complex_value_t {
        self.0.as_ptr()
    }
}

/// A setting that is either said once or computed for each request.
#[derive(Clone, Copy, Debug)]
pub enum Value<T> {
    /// Said once.
    Fixed(T),
    /// Computed.
    Computed(Complex),
}

/// What is written in a location, or in a server or `http {}` for the locations in it.
#[derive(Default)]
pub struct LocationConf {
    /// `l402`
    pub l402: Option<Placed<Value<bool>>>,
    /// `l402_amount_msat_default`
    pub amount_msat: Option<Placed<Value<u64>>>,
    /// `l402_macaroon_timeout`, in seconds.
    pub timeout_s: Option<u64>,
    /// `l402_auto_detect_payment`
    pub auto_detect: Option<bool>,
    /// `l402_indefinite_access`
    pub indefinite_access: Option<bool>,
    /// `l402_max_uses`
    pub max_uses: Option<u32>,
    /// `l402_realm`; `off` is `None` inside.
    pub realm: Option<Placed<Option<Realm>>>,
    /// `l402_origin`
    pub origin: Option<String>,
    /// `l402_shared_cache`
    pub shared_cache: Option<bool>,
    /// `l402_invoice_rate_limit`; `off` is `None` inside.
    pub rate: Option<Option<Rate>>,
    /// `l402_backend name …;` or `l402_lnurl_addr address;`
    pub payee: Option<Placed<Payee>>,
    /// What all of it comes to; `None` where nothing is sold.
    pub offer: Option<Offer>,
    /// Of a server: is anything sold in it?
    pub server_sells: Cell<bool>,
}

/// Who is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payee {
    /// Backends, by their names, separated by a space: each is asked where the one before it fails.
    Backends(String),
    /// A Lightning address, by itself.
    Lnurl(String),
}

/// How a location sells itself.
pub struct Offer {
    /// `l402`: on, or computed.
    pub switch: Value<bool>,
    /// Where that is written, for complaints.
    pub place: Place,
    /// The price; a server that sells may leave it to its locations.
    pub price: Option<Value<u64>>,
    /// The exact names of its server.
    pub names: Names,
    /// `l402_origin`
    pub origin: Option<String>,
    /// The realm.
    pub realm: Option<Realm>,
    /// A token's life in seconds; 0 is for ever.
    pub timeout_s: u64,
    /// Is a macaroon alone enough?
    pub auto_detect: bool,
    /// How many requests one payment buys.
    pub uses: Uses,
    /// The backends that are paid, separated by a space.
    pub backend: String,
    /// The Lightning address that it stands for, where that was named.
    pub lnurl: Option<String>,
    /// Where the backend was named, or else where `l402` is written.
    pub backend_place: Place,
    /// A server whose requests its locations serve: what it lacks may be theirs to say.
    pub for_locations: bool,
    /// What the invoice says it is for.
    pub description: String,
    /// How often one client may be challenged.
    pub rate: Option<Rate>,
    /// What its challenges are counted under.
    pub name: String,
    /// May shared caches keep what is paid for?
    pub shared_cache: bool,
}

impl Offer {
    /// Is this request to be paid for?
    ///
    /// # Errors
    /// A variable's value is no boolean: the line for the error log.
    pub fn is_on(&self, r: &Request) -> Result<bool, String> {
        match self.switch {
            Value::Fixed(on) => Ok(on),
            Value::Computed(text) => evaluate(r, text, |value| L402.flag(value)),
        }
    }

    /// The price of this request, in msat.
    ///
    /// # Errors
    /// There is none, or a variable's value is no price: the line for the error log.
    pub fn price(&self, r: &Request) -> Result<u64, String> {
        match self.price {
            Some(Value::Fixed(price)) => Ok(price),
            Some(Value::Computed(text)) => evaluate(r, text, |value| AMOUNT_MSAT_DEFAULT.msat(value)),
            None => Err(AMOUNT_MSAT_DEFAULT.missing().to_string()),
        }
    }

    /// May a request be served for nothing, as a variable says?
    pub fn is_free_for_some(&self) -> bool {
        matches!(self.switch, Value::Computed(_))
    }

    /// Is the price computed from the request?
    pub fn price_is_computed(&self) -> bool {
        matches!(self.price, Some(Value::Computed(_)))
    }
}

fn evaluate<'r, T>(
    r: &'r Request,
    text: Complex,
    parse: impl FnOnce(&'r [u8]) -> Result<T, settings::Complaint>,
) -> Result<T, String> {
    let value = r.evaluate(text).map_err(|_| "a variable can't be computed".to_owned())?;
    parse(value).map_err(|complaint| complaint.to_string())
}

impl LocationConf {
    /// # Safety
    /// `r` is alive.
    pub unsafe fn of_request<'a>(r: *const ngx_http_request_t) -> &'a Self {
        // SAFETY: nginx keeps what `create` returned for each location at the module's index.
        unsafe { &*(*r).loc_conf.add(module_index()).read().cast::<Self>() }
    }
}

/// What is written once, in `http {}`.
#[derive(Default)]
pub struct MainConf {
    /// `l402_agent`
    pub agent: Option<Placed<PathBuf>>,
    /// `l402_agent_timeout`, in milliseconds.
    pub agent_timeout_ms: Option<u64>,
    /// `l402_state_dir`
    pub state_dir: Option<Placed<String>>,
    /// The `l402_backend` blocks.
    pub blocks: Vec<Block>,
    /// Every location (and server) that sells, to be checked once all is read.
    pub selling: Vec<Selling>,
    /// Has it been said that `merge_slashes off` and selling can't be combined?
    pub warned_of_slashes: bool,
    /// What the workers need, once all is checked; `None` where nothing is sold.
    pub service: Option<Service>,
}

/// A location or server that sells.
pub struct Selling {
    /// Its configuration, which lives as long as that of `http {}`.
    pub conf: NonNull<LocationConf>,
    /// The `return` and `rewrite` that answer before it can sell.
    pub answered: Vec<&'static str>,
    /// Its name in complaints.
    pub called: String,
}

/// `l402_backend name { … }`
pub struct Block {
    /// Its name.
    pub name: String,
    /// Its lines.
    pub pairs: Vec<(String, String)>,
    /// Where it begins.
    pub place: Place,
}

impl MainConf {
    /// How long a request may wait for l402d, in milliseconds.
    pub fn agent_timeout_ms(&self) -> u64 {
        self.agent_timeout_ms.unwrap_or(DEFAULT_AGENT_TIMEOUT_MS)
    }

    /// # Safety
    /// `r` is alive.
    pub unsafe fn of_request<'a>(r: *const ngx_http_request_t) -> &'a Self {
        // SAFETY: nginx keeps what `create` returned at the module's index.
        unsafe { &*(*r).main_conf.add(module_index()).read().cast::<Self>() }
    }

    /// The configuration being read.
    ///
    /// # Safety
    /// `cf` is what nginx handed to a callback of an HTTP module, inside `http {}`; nobody else refers to
    /// the configuration.
    pub unsafe fn of_conf<'a>(cf: *const ngx_conf_t) -> &'a mut Self {
        // SAFETY: inside `http {}` `ctx` is a configuration context; the index as above.
        unsafe {
            let context = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
            &mut *(*context).main_conf.add(module_index()).read().cast::<Self>()
        }
    }

    /// The configuration of a cycle; `None` if it has no `http {}`.
    ///
    /// # Safety
    /// `cycle` is alive and its configuration has been read; nobody else refers to it.
    pub unsafe fn of_cycle<'a>(cycle: *const ngx_cycle_t) -> Option<&'a mut Self> {
        // SAFETY: `conf_ctx` has an entry for each module; that of `http` is null or a context.
        unsafe {
            let http = ngx_http_module.index;
            let context = (*cycle).conf_ctx.add(http).read().cast::<ngx_http_conf_ctx_t>();
            (*context.as_ref()?.main_conf.add(module_index())).cast::<Self>().as_mut()
        }
    }
}

/// nginx's own configuration of the server being merged.
///
/// # Safety
/// `cf` is what nginx handed to a merge callback; the reference must not outlive it.
pub unsafe fn core_server<'a>(cf: *const ngx_conf_t) -> &'a ngx_http_core_srv_conf_t {
    // SAFETY: nginx points the context to the server and location being merged.
    unsafe {
        let index = ngx_http_core_module.ctx_index;
        &*(*(*cf).ctx.cast::<ngx_http_conf_ctx_t>()).srv_conf.add(index).read().cast()
    }
}

/// Notes that something is sold in the server being merged.
///
/// # Safety
/// `cf` is what nginx handed to a merge callback of locations.
pub unsafe fn note_server_sells(cf: *const ngx_conf_t) {
    // SAFETY: a server's own context holds what `create_location` made for it, at the module's index; it lives as
    // long as the configuration, and only this flag of it is written while others may refer to it.
    unsafe {
        let own = core_server(cf).ctx;
        (*(*own).loc_conf.add(module_index()).read().cast::<LocationConf>()).server_sells.set(true);
    }
}

/// nginx's own configuration of the location being merged.
///
/// # Safety
/// As [`core_server`].
pub unsafe fn core_location<'a>(cf: *const ngx_conf_t) -> &'a ngx_http_core_loc_conf_t {
    // SAFETY: as `core_server`.
    unsafe {
        let index = ngx_http_core_module.ctx_index;
        &*(*(*cf).ctx.cast::<ngx_http_conf_ctx_t>()).loc_conf.add(index).read().cast()
    }
}
