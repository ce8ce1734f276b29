//! Gives the gate's response to the client.
use std::ffi::CStr;

use gate::{GrpcStatus, Response};
use ngx::ffi::ngx_int_t;

use crate::complaints;
use crate::context::{Sale, State};
use crate::nginx;
use crate::request::Request;

/// The type of every body the gate writes.
pub const JSON: &CStr = c"application/json";

/// What the access handler does with the request, once it has let go of all that the request holds.
pub enum Verdict {
    /// Returns this to nginx.
    Return(ngx_int_t),
    /// Answers with a status and a JSON body.
    Answer(Answer),
}

/// An answer whose headers are set.
pub struct Answer {
    status: u16,
    body: String,
    /// The same as a gRPC client reads it, if the client is one.
    grpc: Option<GrpcStatus>,
    /// May nginx send a page of the operator's in its place?
    may_be_a_page: bool,
}

/// Takes the response on: one line in the error log where there is something to tell, and the headers.
pub fn prepare(r: &Request, sale: &mut Sale, response: Response) -> Verdict {
    if let Some(complaint) = &response.log {
        complaints::report(r, complaint, sale.reason.take());
    }
    sale.facts.outcome = Some(response.outcome);
    for (name, value) in &response.headers {
        if r.add_response_header(name, value).is_err() {
            sale.state = State::Failed;
            return Verdict::Return(nginx::INTERNAL_ERROR);
        }
    }
    let answer = answer(r, &response, true);
    sale.state = State::Responded(Box::new(response));
    Verdict::Answer(answer)
}

/// The same answer once more, after its error page turned out to be for sale itself. The headers are there still. No
/// further page is looked for: with `recursive_error_pages` that would go on until nginx gives up.
pub fn again(r: &Request, response: &Response) -> Verdict {
    Verdict::Answer(answer(r, response, false))
}

fn answer(r: &Request, response: &Response, may_be_a_page: bool) -> Answer {
    Answer {
        status: response.status,
        body: response.body.clone(),
        grpc: r.is_grpc().then(|| GrpcStatus::of(response)),
        may_be_a_page,
    }
}

/// Carries the verdict out. With an answer, the request may be gone afterwards.
pub fn carry_out(r: Request, verdict: Verdict) -> ngx_int_t {
    match verdict {
        Verdict::Return(code) => code,
        // A gRPC client reads no page.
        Verdict::Answer(Answer { grpc: Some(status), .. }) => r.send_grpc(&status),
        Verdict::Answer(Answer { status, may_be_a_page: true, .. }) if r.leaves_answer_to_nginx(status) => {
            status as ngx_int_t
        }
        Verdict::Answer(Answer { status, body, .. }) => r.send(status, JSON, &body),
    }
}
