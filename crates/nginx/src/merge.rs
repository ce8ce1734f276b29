//! Inner levels win over outer ones, and a location that sells becomes an offer.
use std::ffi::{c_char, c_void};
use std::ptr::NonNull;

use gate::Uses;
use ngx::ffi::{ngx_conf_t, ngx_http_core_loc_conf_t, ngx_http_core_srv_conf_t};
use settings::{AMOUNT_MSAT_DEFAULT, DEFAULT_BACKEND, DEFAULT_MACAROON_TIMEOUT_S, DEFAULT_MAX_USES};

use crate::conf::{
    LocationConf, MainConf, Offer, Payee, Selling, Value, core_location, core_server, note_server_sells,
};
use crate::guard::guard;
use crate::listen::exact_names;
use crate::nginx::{self, Level};
use crate::rewrite;

/// The longest description of an invoice, in characters; BOLT11 holds 639 bytes.
const MAX_DESCRIPTION: usize = 150;

/// The longest name of a location, in characters: with an address behind it, it fits a frame.
const MAX_NAME: usize = 200;

/// `create_main_conf`
pub unsafe extern "C" fn create_main(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx hands the configuration being read.
    unsafe { create::<MainConf>(cf) }
}

/// `create_loc_conf`
pub unsafe extern "C" fn create_location(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx hands the configuration being read.
    unsafe { create::<LocationConf>(cf) }
}

/// # Safety
/// `cf` is the configuration being read.
unsafe fn create<T: Default>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard(std::ptr::null_mut(), || {
        // SAFETY: the pool of the configuration being read is alive.
        let made = unsafe { nginx::keep((*cf).pool, T::default()) };
        made.map_or(std::ptr::null_mut(), |made| made.as_ptr().cast())
    })
}

/// `merge_loc_conf`
pub unsafe extern "C" fn merge_location(
    cf: *mut ngx_conf_t,
    outer: *mut c_void,
    inner: *mut c_void,
) -> *mut c_char {
    guard(nginx::CONF_ERROR, || {
        // SAFETY: nginx hands the configuration being read and two of what `create_location` made, which
        // are never the same.
        unsafe {
            let inner_conf = &mut *inner.cast::<LocationConf>();
            inherit(inner_conf, &*outer.cast::<LocationConf>());
            let location = core_location(cf);
            match make_offer(inner_conf, core_server(cf), location) {
                Ok(offer) => inner_conf.offer = offer,
                Err(line) => {
                    nginx::log_to((*cf).log, Level::Emerg, &line);
                    return nginx::CONF_ERROR;
                }
            }
            if inner_conf.offer.is_some() {
                note_server_sells(cf);
                let main = MainConf::of_conf(cf);
                let selling = |conf| Selling {
                    conf,
                    // The block of an `if` has the statements of what is around it.
                    answered: match location.noname() {
                        0 => rewrite::answers(cf, location.named() == 1),
                        _ => Vec::new(),
                    },
                    called: called(location),
                };
                main.selling.extend(NonNull::new(inner.cast::<LocationConf>()).map(selling));
                if core_server(cf).merge_slashes == 0 && !std::mem::replace(&mut main.warned_of_slashes, true)
                {
                    let line = "l402: merge_slashes is off in a server that sells: /a and //a are sold as two paths; \
                                make sure that they are not served as one";
                    nginx::log_to((*cf).log, Level::Warn, line);
                }
            }
        }
        nginx::CONF_OK
    })
}

fn inherit(inner: &mut LocationConf, outer: &LocationConf) {
    fn set<T: Clone>(inner: &mut Option<T>, outer: &Option<T>) {
        if inner.is_none() {
            inner.clone_from(outer);
        }
    }
    set(&mut inner.l402, &outer.l402);
    set(&mut inner.amount_msat, &outer.amount_msat);
    set(&mut inner.timeout_s, &outer.timeout_s);
    set(&mut inner.auto_detect, &outer.auto_detect);
    set(&mut inner.indefinite_access, &outer.indefinite_access);
    set(&mut inner.max_uses, &outer.max_uses);
    set(&mut inner.realm, &outer.realm);
    set(&mut inner.origin, &outer.origin);
    set(&mut inner.shared_cache, &outer.shared_cache);
    set(&mut inner.rate, &outer.rate);
    set(&mut inner.payee, &outer.payee);
}

fn called(location: &ngx_http_core_loc_conf_t) -> String {
    if location.name.is_empty() {
        return "a server".to_owned();
    }
    format!("location \"{}\"", String::from_utf8_lossy(location.name.as_bytes()))
}

/// The offer of a location; `None` where `l402` is off. The error names the line to mend.
fn make_offer(
    conf: &LocationConf,
    server: &ngx_http_core_srv_conf_t,
    location: &ngx_http_core_loc_conf_t,
) -> Result<Option<Offer>, String> {
    let Some(switch) = conf.l402.as_ref().filter(|l402| !matches!(l402.value, Value::Fixed(false))) else {
        return Ok(None);
    };
    // A server may say `l402 on` and leave the prices to its locations, as may the block of an `if` in it. What none of
    // them serves then gets a 500, never for free.
    let for_locations = location.name.is_empty() && (!location.locations.is_null() || location.noname() == 1);
    if conf.amount_msat.is_none() && !for_locations {
        return Err(format!("{} in {}", AMOUNT_MSAT_DEFAULT.missing(), switch.place));
    }
    let indefinite = conf.indefinite_access.unwrap_or(false);
    let max_uses = conf.max_uses.unwrap_or(DEFAULT_MAX_USES);
    let realm = match &conf.realm {
        Some(realm) => match &realm.value {
            Some(found) => {
                settings::realm_has_reuse(&found.name, indefinite, max_uses)
                    .map_err(|complaint| format!("{complaint} in {}", realm.place))?;
                Some(found.clone())
            }
            None => None,
        },
        None => None,
    };
    let names = exact_names(server);
    let server = String::from_utf8_lossy(server.server_name.as_bytes()).into_owned();
    let what = match &realm {
        Some(realm) => format!("{} at {server}", realm.name),
        None => format!("{server}{}", String::from_utf8_lossy(location.name.as_bytes())),
    };
    let name = format!("{server}{}", String::from_utf8_lossy(location.name.as_bytes()));
    let description = format!("Access to {what}");
    let (backend, lnurl) = match conf.payee.as_ref().map(|payee| &payee.value) {
        None => (DEFAULT_BACKEND.to_owned(), None),
        Some(Payee::Backends(names)) => (names.clone(), None),
        Some(Payee::Lnurl(address)) => (settings::lnurl_backend_name(address), Some(address.clone())),
    };
    Ok(Some(Offer {
        switch: switch.value,
        place: switch.place.clone(),
        price: conf.amount_msat.as_ref().map(|amount| amount.value),
        names,
        origin: conf.origin.clone(),
        realm,
        timeout_s: conf.timeout_s.unwrap_or(DEFAULT_MACAROON_TIMEOUT_S),
        auto_detect: conf.auto_detect.unwrap_or(false),
        uses: if indefinite { Uses::Unlimited } else { Uses::Limited(max_uses) },
        backend,
        lnurl,
        backend_place: conf.payee.as_ref().map_or_else(|| switch.place.clone(), |named| named.place.clone()),
        for_locations,
        description: description.chars().filter(|c| !c.is_control()).take(MAX_DESCRIPTION).collect(),
        rate: conf.rate.flatten(),
        name: name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect(),
        shared_cache: conf.shared_cache.unwrap_or(false),
    }))
}
