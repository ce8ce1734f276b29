//! Gives the gate's response to the client.
use std::ffi::CStr;

use gate::Response;
use ngx::ffi::ngx_int_t;

use crate::context::{Sale, State};
use crate::nginx::{self, Level};
use crate::request::Request;

/// The type of every body the gate writes.
pub const JSON: &CStr = c"application/json";

/// What the access handler does with the request, once it has let go of all that the request holds.
pub enum Verdict {
    /// Returns this to nginx.
    Return(ngx_int_t),
    /// Answers with a status and a JSON body.
    Answer(u16, String),
}

/// Takes the response on: one line in the error log where there is something to tell, and the headers.
pub fn prepare(r: &Request, sale: &mut Sale, response: Response) -> Verdict {
    if let Some(line) = &response.log {
        let reason = sale.reason.take().map(|reason| format!(": {}", printable(&reason)));
        r.log(Level::Error, &format!("l402: {line}{}", reason.unwrap_or_default()));
    }
    sale.facts.outcome = Some(response.outcome);
    for (name, value) in &response.headers {
        if r.add_response_header(name, value).is_err() {
            sale.state = State::Failed;
            return Verdict::Return(nginx::INTERNAL_ERROR);
        }
    }
    let verdict = again(&response);
    sale.state = State::Responded(Box::new(response));
    verdict
}

/// The same answer once more, after its error page turned out to be for sale itself. The headers are
/// there still.
pub fn again(response: &Response) -> Verdict {
    Verdict::Answer(response.status, response.body.clone())
}

/// Carries the verdict out. With an answer, the request may be gone afterwards.
pub fn carry_out(r: Request, verdict: Verdict) -> ngx_int_t {
    match verdict {
        Verdict::Return(code) => code,
        // With the page that the operator has for this status, or with our own few words.
        Verdict::Answer(status, _) if r.leaves_answer_to_nginx(status) => status as ngx_int_t,
        Verdict::Answer(status, body) => r.send(status, JSON, &body),
    }
}

/// What another process said, fit for one line of a log.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
