//! The log level of requests that were not let through: the first of a kind is a warning.
use std::hash::{DefaultHasher, Hash, Hasher};

use gate::Complaint;

use crate::nginx::{Level, PerProcess};
use crate::request::Request;

/// Kinds of mistakes of clients that are told at warn, each once a worker. Beyond it they are told at info, as is every
/// repetition: anybody can cause such a line, as often as they like.
const MAX_KINDS: usize = 64;

static KINDS: PerProcess<Vec<u64>> = PerProcess::new(Vec::new());

/// Writes one line. `reason` is what l402d said was wrong, for the operator.
pub fn report(r: &Request, complaint: &Complaint, reason: Option<String>) {
    let (level, line) = match complaint {
        Complaint::Failure(line) => (Level::Error, line),
        Complaint::Client(line) if is_new(line) => (Level::Warn, line),
        Complaint::Client(line) => (Level::Info, line),
    };
    let reason = reason.map(|reason| format!(": {}", printable(&reason)));
    r.log(level, &format!("l402: {line}{}", reason.unwrap_or_default()));
}

/// Is it the first line of its kind?
fn is_new(line: &str) -> bool {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    let kind = hasher.finish();
    let mut kinds = KINDS.hold();
    let is_new = kinds.len() < MAX_KINDS && !kinds.contains(&kind);
    if is_new {
        kinds.push(kind);
    }
    is_new
}

/// Text of another process, fit for one line of a log.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
