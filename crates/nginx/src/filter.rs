//! `Cache-Control: private` on what was paid for, unless the operator or the upstream says otherwise; and the token that
//! a payment with ecash has bought. Also the answer to what nginx did not even read ([`too_long`]).
//!
//! A header filter of its own, placed to run right after `add_header` and `expires` had their say.
use gate::Issued;
use ngx::ffi::{ngx_http_output_header_filter_pt, ngx_http_request_t, ngx_http_top_header_filter, ngx_int_t};

use crate::context::{Client, State};
use crate::guard::guard;
use crate::nginx::{self, PerProcess};
use crate::request::Request;
use crate::too_long;

/// The filter after ours.
static NEXT: PerProcess<ngx_http_output_header_filter_pt> = PerProcess::new(None);

/// Puts the filter on top of the chain, as nginx's modules do.
pub fn install() {
    // SAFETY: the chain is built while the configuration is read, by one thread.
    unsafe {
        *NEXT.hold() = ngx_http_top_header_filter;
        ngx_http_top_header_filter = Some(filter);
    }
}

unsafe extern "C" fn filter(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx hands a live request, which it frees in none of the calls below.
    let request = unsafe { Request::new(r) };
    let step = guard(None, || {
        let ours = too_long::prepare(&request).ok()?;
        let next = (*NEXT.hold())?;
        complete(&request).then_some((ours, next))
    });
    let Some((ours, next)) = step else { return nginx::ERROR };
    // SAFETY: the next filter of nginx's chain, with the request it handed to us.
    let sent = unsafe { next(r) };
    match ours {
        None => sent,
        Some(response) => guard(nginx::ERROR, || too_long::send(&request, &response, sent)),
    }
}

/// `false`: memory is out.
fn complete(r: &Request) -> bool {
    let mut client = if r.is_main() { Client::find(r) } else { None };
    let sale = client.as_mut().and_then(Client::sale);
    let Some(sale) = sale.filter(|sale| matches!(sale.state, State::Granted)) else { return true };
    let is_private =
        r.has_response_header(b"cache-control") || r.add_response_header("Cache-Control", "private").is_ok();
    let token = sale.facts.issued.take().map(|issued| issued.header_value());
    let has_token = token.is_none_or(|token| r.add_response_header(Issued::HEADER, &token).is_ok());
    is_private && has_token
}
