//! Completes an answer's header: what it says to caches, and the token that a payment with ecash has bought. Also the answer
//! to what nginx did not even read ([`too_long`]).
//!
//! A header filter of its own, placed to run right after `add_header` and `expires` had their say.
use gate::Issued;
use ngx::ffi::{ngx_http_output_header_filter_pt, ngx_http_request_t, ngx_http_top_header_filter, ngx_int_t};

use crate::cache;
use crate::context::{Client, Sale, State};
use crate::guard::guard;
use crate::nginx::{self, PerProcess};
use crate::request::{OutOfMemory, Request};
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
        complete(&request).ok()?;
        Some((ours, next))
    });
    let Some((ours, next)) = step else { return nginx::ERROR };
    // SAFETY: the next filter of nginx's chain, with the request it handed to us.
    let sent = unsafe { next(r) };
    match ours {
        None => sent,
        Some(response) => guard(nginx::ERROR, || too_long::send(&request, &response, sent)),
    }
}

fn complete(r: &Request) -> Result<(), OutOfMemory> {
    let Some(mut client) = Client::find(r).filter(|_| r.is_main()) else { return Ok(()) };
    let is_free_for_some = client.is_free_for_some();
    match client.sale() {
        Some(sale) => complete_sale(r, sale),
        None if is_free_for_some => cache::keep_private(r),
        None => Ok(()),
    }
}

fn complete_sale(r: &Request, sale: &mut Sale) -> Result<(), OutOfMemory> {
    match sale.state {
        State::Responded(_) => cache::forbid(r),
        State::Granted => match sale.facts.issued.take() {
            Some(issued) => {
                r.add_response_header(Issued::HEADER, &issued.header_value())?;
                cache::forbid(r)
            }
            None if sale.may_be_shared => Ok(()),
            None => cache::keep_private_and_vary(r),
        },
        State::New
        | State::WaitingForKeys
        | State::DoneWaitingForKeys
        | State::Asked(_)
        | State::Answered(..)
        | State::Failed => Ok(()),
    }
}
