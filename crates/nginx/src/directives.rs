//! The directives: one table, and for each what it does with its arguments.
use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;
use std::ptr::NonNull;

use ngx::ffi::{
    NGX_CONF_1MORE, NGX_CONF_BLOCK, NGX_CONF_TAKE1, NGX_CONF_TAKE12, NGX_HTTP_LOC_CONF,
    NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_SRV_CONF,
    ngx_command_t, ngx_conf_parse, ngx_conf_t, ngx_http_compile_complex_value,
    ngx_http_compile_complex_value_t, ngx_http_complex_value_t, ngx_http_script_variables_count, ngx_pcalloc,
    ngx_str_t, ngx_uint_t,
};
use settings::{
    AGENT, AGENT_TIMEOUT, AMOUNT_MSAT_DEFAULT, AUTO_DETECT_PAYMENT, BACKEND, Complaint, INDEFINITE_ACCESS,
    INVOICE_RATE_LIMIT, L402, LNURL_ADDR, MACAROON_TIMEOUT, MAX_USES, ORIGIN, REALM, SHARED_CACHE, STATE_DIR,
};

use crate::conf::{Block, Complex, LocationConf, MainConf, Payee, Place, Placed, Value};
use crate::guard::guard;
use crate::nginx;

const EVERYWHERE: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

/// nginx's table.
pub static mut COMMANDS: [ngx_command_t; 17] = [
    location(c"l402", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_l402)),
    location(c"l402_amount_msat_default", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_amount)),
    location(c"l402_macaroon_timeout", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_timeout)),
    location(c"l402_max_uses", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_max_uses)),
    location(c"l402_indefinite_access", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_indefinite)),
    location(c"l402_auto_detect_payment", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_auto_detect)),
    location(c"l402_invoice_rate_limit", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_rate)),
    location(c"l402_origin", NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1, &LocationSetter(set_origin)),
    location(c"l402_shared_cache", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_shared_cache)),
    location(c"l402_realm", EVERYWHERE | NGX_CONF_TAKE12, &LocationSetter(set_realm)),
    location(c"l402_lnurl_addr", EVERYWHERE | NGX_CONF_TAKE1, &LocationSetter(set_lnurl)),
    // nginx can't tell `name;` from `name {` on one level: the block is for http, the reference for the rest.
    location(
        c"l402_backend",
        NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_1MORE,
        &LocationSetter(set_backend),
    ),
    main(c"l402_backend", NGX_CONF_BLOCK, &MainSetter(add_backend)),
    main(c"l402_agent", 0, &MainSetter(set_agent)),
    main(c"l402_agent_timeout", 0, &MainSetter(set_agent_timeout)),
    main(c"l402_state_dir", 0, &MainSetter(set_state_dir)),
    ngx_command_t::empty(),
];

/// What a directive does; `post` of its entry in the table points to one of these.
struct LocationSetter(fn(&mut LocationConf, &Given<'_>) -> Result<(), Mistake>);
struct MainSetter(fn(&mut MainConf, &Given<'_>) -> Result<(), Mistake>);

const fn location(name: &'static CStr, kind: u32, setter: &'static LocationSetter) -> ngx_command_t {
    ngx_command_t {
        name: nginx::constant(name),
        type_: kind as ngx_uint_t,
        set: Some(set_in_location),
        conf: NGX_HTTP_LOC_CONF_OFFSET as ngx_uint_t,
        offset: 0,
        post: std::ptr::from_ref(setter).cast_mut().cast(),
    }
}

const fn main(name: &'static CStr, kind: u32, setter: &'static MainSetter) -> ngx_command_t {
    ngx_command_t {
        name: nginx::constant(name),
        type_: (NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1 | kind) as ngx_uint_t,
        set: Some(set_in_main),
        conf: NGX_HTTP_MAIN_CONF_OFFSET as ngx_uint_t,
        offset: 0,
        post: std::ptr::from_ref(setter).cast_mut().cast(),
    }
}

/// A directive as it was written.
struct Given<'a> {
    cf: *mut ngx_conf_t,
    args: &'a [ngx_str_t],
}

/// Why a directive can't be taken.
enum Mistake {
    /// Says it all, in one line.
    Line(String),
    /// nginx has said it.
    Said,
}

impl From<Complaint> for Mistake {
    fn from(complaint: Complaint) -> Self {
        Self::Line(complaint.to_string())
    }
}

unsafe extern "C" fn set_in_location(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: `conf` is what `create_location` made, as the entry's `conf` says, and `post` its setter.
    guard(nginx::CONF_ERROR, || unsafe {
        let setter = &*(*command).post.cast::<LocationSetter>();
        set(cf, |given| setter.0(&mut *conf.cast::<LocationConf>(), given))
    })
}

unsafe extern "C" fn set_in_main(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: `conf` is what `create_main` made, as the entry's `conf` says, and `post` its setter.
    guard(nginx::CONF_ERROR, || unsafe {
        let setter = &*(*command).post.cast::<MainSetter>();
        set(cf, |given| setter.0(&mut *conf.cast::<MainConf>(), given))
    })
}

/// # Safety
/// `cf` is what nginx handed to the directive's handler.
unsafe fn set(cf: *mut ngx_conf_t, act: impl FnOnce(&Given<'_>) -> Result<(), Mistake>) -> *mut c_char {
    // SAFETY: the directive's words stay as they are while its handler runs: `given` reads them before
    // anything else is parsed.
    unsafe {
        let args = (*(*cf).args).as_slice::<ngx_str_t>();
        match act(&Given { cf, args }) {
            Ok(()) => nginx::CONF_OK,
            Err(Mistake::Line(line)) => nginx::conf_error(cf, &line),
            Err(Mistake::Said) => nginx::CONF_ERROR,
        }
    }
}

impl Given<'_> {
    /// The directive's name.
    fn name(&self) -> String {
        self.args
            .first()
            .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
            .unwrap_or_default()
    }

    /// Its first argument.
    fn value(&self) -> &[u8] {
        self.args.get(1).map(ngx_str_t::as_bytes).unwrap_or_default()
    }

    fn place(&self) -> Place {
        // SAFETY: `cf` is what nginx handed to the directive's handler.
        unsafe { Place::of(self.cf) }
    }

    fn placed<T>(&self, value: T) -> Placed<T> {
        Placed { value, place: self.place() }
    }

    /// Sets what is not set yet on this level.
    fn once<T>(&self, slot: &mut Option<T>, value: T) -> Result<(), Mistake> {
        if slot.is_some() {
            return Err(Mistake::Line(format!("\"{}\" directive is duplicate", self.name())));
        }
        *slot = Some(value);
        Ok(())
    }

    /// The first argument, parsed now or, if it has variables, for each request.
    fn value_or_variable<T>(
        &self,
        parse: impl FnOnce(&[u8]) -> Result<T, Complaint>,
    ) -> Result<Placed<Value<T>>, Mistake> {
        let mut text = self.args.get(1).copied().unwrap_or_default();
        // SAFETY: reads the text's bytes.
        if unsafe { ngx_http_script_variables_count(&raw mut text) } == 0 {
            return Ok(self.placed(Value::Fixed(parse(self.value())?)));
        }
        let out_of_memory = || Mistake::Line("memory is out".to_owned());
        // SAFETY: the configuration's pool is alive; the compiled text is zeroed memory of its size in it.
        let compiled = unsafe {
            let size = size_of::<ngx_http_complex_value_t>();
            let compiled = ngx_pcalloc((*self.cf).pool, size).cast::<ngx_http_complex_value_t>();
            let compiled = NonNull::new(compiled).ok_or_else(out_of_memory)?;
            let mut job: ngx_http_compile_complex_value_t = std::mem::zeroed();
            job.cf = self.cf;
            job.value = &raw mut text;
            job.complex_value = compiled.as_ptr();
            if ngx_http_compile_complex_value(&raw mut job) != nginx::OK {
                return Err(Mistake::Said);
            }
            Complex::new(compiled)
        };
        Ok(self.placed(Value::Computed(compiled)))
    }
}

fn set_l402(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    let value = given.value_or_variable(|text| L402.flag(text))?;
    given.once(&mut conf.l402, value)
}

fn set_amount(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    let value = given.value_or_variable(|text| AMOUNT_MSAT_DEFAULT.msat(text))?;
    given.once(&mut conf.amount_msat, value)
}

fn set_timeout(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.timeout_s, MACAROON_TIMEOUT.life(given.value())?)
}

fn set_max_uses(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.max_uses, MAX_USES.uses(given.value())?)
}

fn set_indefinite(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.indefinite_access, INDEFINITE_ACCESS.flag(given.value())?)
}

fn set_auto_detect(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.auto_detect, AUTO_DETECT_PAYMENT.flag(given.value())?)
}

fn set_rate(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.rate, INVOICE_RATE_LIMIT.rate(given.value())?)
}

fn set_origin(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.origin, ORIGIN.origin(given.value())?)
}

fn set_shared_cache(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.shared_cache, SHARED_CACHE.flag(given.value())?)
}

fn set_realm(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    let realm = REALM.realm(given.args.get(1..).unwrap_or_default())?;
    let realm = realm.map(|realm| gate::Realm { name: realm.name, shared: realm.shared });
    given.once(&mut conf.realm, given.placed(realm))
}

fn set_backend(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    let names = BACKEND.backend_names(given.args.get(1..).unwrap_or_default())?;
    set_payee(conf, given, Payee::Backends(names))
}

fn set_lnurl(conf: &mut LocationConf, given: &Given<'_>) -> Result<(), Mistake> {
    set_payee(conf, given, Payee::Lnurl(LNURL_ADDR.lightning_address(given.value())?))
}

fn set_payee(conf: &mut LocationConf, given: &Given<'_>, payee: Payee) -> Result<(), Mistake> {
    match (&conf.payee, &payee) {
        (Some(Placed { value: Payee::Backends(_), .. }), Payee::Lnurl(_))
        | (Some(Placed { value: Payee::Lnurl(_), .. }), Payee::Backends(_)) => Err(Mistake::Line(
            "l402_backend and l402_lnurl_addr both say who is paid; expected one of them on each level"
                .to_owned(),
        )),
        _ => given.once(&mut conf.payee, given.placed(payee)),
    }
}

fn set_agent(conf: &mut MainConf, given: &Given<'_>) -> Result<(), Mistake> {
    let path = PathBuf::from(AGENT.unix_socket(given.value())?);
    given.once(&mut conf.agent, given.placed(path))
}

fn set_agent_timeout(conf: &mut MainConf, given: &Given<'_>) -> Result<(), Mistake> {
    given.once(&mut conf.agent_timeout_ms, AGENT_TIMEOUT.timeout(given.value())?)
}

fn set_state_dir(conf: &mut MainConf, given: &Given<'_>) -> Result<(), Mistake> {
    let path = STATE_DIR.state_dir(given.value())?.to_owned();
    given.once(&mut conf.state_dir, given.placed(path))
}

fn add_backend(conf: &mut MainConf, given: &Given<'_>) -> Result<(), Mistake> {
    let name = BACKEND.backend_name(given.value())?.to_owned();
    if let Some(other) = conf.blocks.iter().find(|block| block.name == name) {
        let line =
            format!("l402_backend \"{name}\" is defined already in {}; expected each name once", other.place);
        return Err(Mistake::Line(line));
    }
    let mut block = Block { name, pairs: Vec::new(), place: given.place() };
    // SAFETY: `cf` is what nginx handed to the directive's handler. Its own handler and argument are put
    // back afterwards; until then `read_line` gets the block's lines.
    let parsed = unsafe {
        let saved = *given.cf;
        (*given.cf).handler = Some(read_line);
        (*given.cf).handler_conf = (&raw mut block).cast();
        let parsed = ngx_conf_parse(given.cf, std::ptr::null_mut());
        (*given.cf).handler = saved.handler;
        (*given.cf).handler_conf = saved.handler_conf;
        parsed
    };
    if parsed != nginx::CONF_OK {
        return Err(Mistake::Said);
    }
    conf.blocks.push(block);
    Ok(())
}

/// A line of an `l402_backend` block: a key and a value. What they mean is found out once all is read.
unsafe extern "C" fn read_line(
    cf: *mut ngx_conf_t,
    _: *mut ngx_command_t,
    block: *mut c_void,
) -> *mut c_char {
    // SAFETY: `add_backend` put the block there, and `cf` is what nginx hands to a handler.
    guard(nginx::CONF_ERROR, || unsafe {
        let block = &mut *block.cast::<Block>();
        let words = (*(*cf).args).as_slice::<ngx_str_t>();
        let words: Vec<_> = words.iter().map(|word| std::str::from_utf8(word.as_bytes())).collect();
        match words.as_slice() {
            [Ok(key), Ok(value)] => {
                block.pairs.push(((*key).to_owned(), (*value).to_owned()));
                nginx::CONF_OK
            }
            [Ok(key), ..] => {
                nginx::conf_error(cf, &format!("l402_backend {}: \"{key}\" takes one value", block.name))
            }
            _ => nginx::conf_error(cf, &format!("l402_backend {}: this is not UTF-8", block.name)),
        }
    })
}
