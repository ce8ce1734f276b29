//! The answer to a credential in a header line that nginx has no room for. nginx gives up on such a request before any phase, and
//! filters alone see its answer.

use gate::Response;
use ngx::ffi::ngx_int_t;

use crate::answer::JSON;
use crate::complaints;
use crate::nginx;
use crate::request::{OutOfMemory, Request};

/// Turns nginx's answer into ours, if it is to such a request: its header now. The body is for [`send`].
///
/// # Errors
/// Memory is out.
pub fn prepare(r: &Request) -> Result<Option<Response>, OutOfMemory> {
    let Some(line) = r.header_without_room().filter(|_| r.is_main()) else { return Ok(None) };
    let may_take_ecash = r.main_conf().service.as_ref().is_some_and(|service| service.may_take_ecash);
    let Some(response) = gate::too_long(line, may_take_ecash) else { return Ok(None) };
    if let Some(complaint) = &response.log {
        complaints::report(r, complaint, None);
    }
    for (name, value) in &response.headers {
        r.add_response_header(name, value)?;
    }
    r.announce(JSON, response.body.len());
    Ok(Some(response))
}

/// Sends the body, once the header is sent with this result.
pub fn send(r: &Request, response: &Response, header: ngx_int_t) -> ngx_int_t {
    if header == nginx::ERROR || header > nginx::OK { header } else { r.send_body(&response.body) }
}
