//! `$l402_status` and the others: what the module knows of a request, for logs, `map` and headers.
use ngx::ffi::{
    NGX_HTTP_VAR_NOCACHEABLE, ngx_conf_t, ngx_http_add_variable, ngx_http_request_t,
    ngx_http_variable_value_t, ngx_int_t, ngx_str_t, ngx_uint_t,
};

use crate::context::{Client, Facts};
use crate::guard::guard;
use crate::nginx;
use crate::request::Request;

/// A variable and its text, if there is one.
type Variable = (&'static str, fn(&Facts) -> Option<String>);

const VARIABLES: [Variable; 5] = [
    ("l402_status", |facts| facts.outcome.map(|outcome| outcome.as_str().to_owned())),
    ("l402_payment_hash", |facts| facts.payment_hash.map(|hash| hash.to_string())),
    ("l402_token_id", |facts| facts.token_id.map(|id| id.to_string())),
    ("l402_amount_msat", |facts| facts.amount_msat.map(|amount| amount.to_string())),
    ("l402_remaining_uses", |facts| facts.remaining.map(|uses| uses.to_string())),
];

/// Makes the variables known, before the configuration is read.
pub unsafe extern "C" fn add(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(nginx::ERROR, || {
        for (index, (name, _)) in VARIABLES.iter().enumerate() {
            let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
            // SAFETY: `cf` is the configuration being read; nginx copies the name.
            unsafe {
                let flags = NGX_HTTP_VAR_NOCACHEABLE as ngx_uint_t;
                let Some(variable) = ngx_http_add_variable(cf, &raw mut name, flags).as_mut() else {
                    return nginx::ERROR;
                };
                variable.get_handler = Some(get);
                variable.data = index;
            }
        }
        nginx::OK
    })
}

unsafe extern "C" fn get(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    index: usize,
) -> ngx_int_t {
    guard(nginx::ERROR, || {
        // SAFETY: nginx hands a live request.
        let r = unsafe { Request::new(r) };
        let mut client = Client::find(&r);
        let sale = client.as_mut().and_then(Client::sale);
        let text = sale.zip(VARIABLES.get(index)).and_then(|(sale, (_, text))| text(&sale.facts));
        // SAFETY: nginx hands the value to be set; the text is copied into the request's pool.
        unsafe {
            let Some(text) = text else {
                (*value).set_not_found(1);
                return nginx::OK;
            };
            let Some(copied) = nginx::copy(r.pool(), text.as_bytes()) else { return nginx::ERROR };
            (*value).set_len(copied.len as _);
            (*value).set_valid(1);
            (*value).set_no_cacheable(1);
            (*value).set_not_found(0);
            (*value).data = copied.data;
        }
        nginx::OK
    })
}
