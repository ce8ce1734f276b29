//! The two phase handlers: one notes the client's request, the other lets it through, lets it wait, or
//! answers it.
use gate::{Answer, Failure, Gate, Outcome, Policy, Question, Step, target};
use l402::TokenId;
use ngx::ffi::{ngx_http_request_t, ngx_int_t, ngx_time};
use settings::value::Rate;

use crate::agent_link;
use crate::answer::{self, Verdict};
use crate::conf::Offer;
use crate::context::{Client, Sale, State};
use crate::guard::guard;
use crate::nginx::{self, Level};
use crate::origin;
use crate::request::Request;
use crate::suspension::{self, Waiter};

/// Headers of credentials besides `Authorization`: macaroons of gRPC clients in the first two, ecash in the third (NUT-24).
const CARRIERS: [&[u8]; 3] = [b"macaroon", b"grpc-metadata-macaroon", b"x-cashu"];

/// NGX_HTTP_POST_READ_PHASE: before anything can rewrite the request.
pub unsafe extern "C" fn post_read(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(nginx::INTERNAL_ERROR, || {
        // SAFETY: nginx hands a phase handler a live request.
        let r = unsafe { Request::new(r) };
        // No location has been looked for yet: this is the server's own configuration. A request stays with its server.
        if !r.is_main() || !r.location_conf().server_sells.get() {
            return nginx::DECLINED;
        }
        if target::is_ambiguous(r.raw_target()) {
            r.log(Level::Info, "l402: the target can be read as two paths: refused");
            return nginx::BAD_REQUEST;
        }
        if r.merges_slashes() {
            r.shorten_raw_target(target::surplus_slashes(r.raw_target()));
        }
        if Client::find_or_note(&r).is_err() { nginx::INTERNAL_ERROR } else { nginx::DECLINED }
    })
}

/// NGX_HTTP_ACCESS_PHASE. nginx does not run it for subrequests.
pub unsafe extern "C" fn access(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(nginx::INTERNAL_ERROR, || {
        // SAFETY: nginx hands a phase handler a live request.
        let r = unsafe { Request::new(r) };
        let verdict = {
            let Some(offer) = &r.location_conf().offer else { return nginx::DECLINED };
            let Ok(mut client) = Client::find_or_note(&r) else { return nginx::INTERNAL_ERROR };
            decide(&r, &mut client, offer)
        };
        answer::carry_out(r, verdict)
    })
}

/// Starts the sale, or takes it up where it stands.
fn decide(r: &Request, client: &mut Client, offer: &Offer) -> Verdict {
    let Some(sale) = client.sale() else { return begin(r, client, offer) };
    if let State::Responded(response) = &sale.state {
        let again = answer::again(r, response);
        return match offer.is_on(r) {
            Ok(true) => again,
            Ok(false) => Verdict::Return(nginx::DECLINED),
            Err(line) => misconfigured(r, &line),
        };
    }
    match std::mem::replace(&mut sale.state, State::New) {
        State::New => begin(r, client, offer),
        State::DoneWaitingForKeys => start(r, client, offer, true),
        state @ (State::WaitingForKeys | State::Asked(_)) => {
            sale.state = state;
            Verdict::Return(nginx::AGAIN)
        }
        State::Answered(mut gate, answer) => {
            let step = resume(&mut gate, answer, sale);
            follow(r, sale, gate, step)
        }
        State::Granted => {
            sale.state = State::Granted;
            Verdict::Return(nginx::OK)
        }
        state @ (State::Failed | State::Responded(_)) => {
            sale.state = state;
            Verdict::Return(nginx::INTERNAL_ERROR)
        }
    }
}

/// Is there anything to sell, and at what price?
fn begin(r: &Request, client: &mut Client, offer: &Offer) -> Verdict {
    let price = match offer.is_on(r) {
        Ok(false) => {
            if offer.is_free_for_some() && !offer.shared_cache {
                client.note_free_for_some();
            }
            return Verdict::Return(nginx::DECLINED);
        }
        Ok(true) => offer.price(r),
        Err(line) => Err(line),
    };
    let sale = client.sale_of(r);
    sale.may_be_shared = offer.shared_cache;
    match price {
        Ok(price) => {
            sale.facts.amount_msat = Some(price);
            start(r, client, offer, false)
        }
        Err(line) => {
            sale.facts.outcome = Some(Outcome::Error);
            sale.state = State::Failed;
            misconfigured(r, &line)
        }
    }
}

/// A value of the configuration can't be used: never free.
fn misconfigured(r: &Request, line: &str) -> Verdict {
    r.log(Level::Error, &format!("l402: {line}"));
    Verdict::Return(nginx::INTERNAL_ERROR)
}

/// Puts the request before the gate, unless it must wait for the keys first.
fn start(r: &Request, client: &mut Client, offer: &Offer, waited: bool) -> Verdict {
    if !waited && agent_link::keys().is_none() {
        let sale = client.sale_of(r);
        if let Ok(id) = agent_link::wait_for_keys(Waiter::new(sale)) {
            sale.state = State::WaitingForKeys;
            return wait(r, sale, id);
        }
    }
    let Ok([macaroon, grpc_macaroon, ecash]) = r.headers(CARRIERS) else {
        r.log(Level::Info, "l402: the request has too many header lines: refused");
        client.sale_of(r).state = State::Failed;
        return Verdict::Return(nginx::BAD_REQUEST);
    };
    let policy = Policy {
        origin: origin::of(r, offer),
        realm: offer.realm.as_ref(),
        amount_msat: client.sale_of(r).facts.amount_msat.unwrap_or(0),
        computed_price: offer.price_is_computed(),
        timeout_s: offer.timeout_s,
        auto_detect: offer.auto_detect,
        uses: offer.uses,
        backend: &offer.backend,
        description: &offer.description,
        location: &offer.name,
        rate: offer.rate.map(|Rate { limit, window_s }| gate::Rate { limit, window_s }),
    };
    let route = origin::route(r, client);
    let request = gate::Request {
        method: client.method(),
        path: client.path(),
        route: route.as_deref(),
        client: r.client_address(),
        authorization: r.authorization(),
        metadata_macaroon: macaroon.or(grpc_macaroon),
        ecash,
    };
    let (gate, step) = agent_link::open_gate(&policy, &request, now());
    follow(r, client.sale_of(r), gate, step)
}

/// Does what the gate says, until the request is let through, waits, or has its answer.
fn follow(r: &Request, sale: &mut Sale, mut gate: Gate, mut step: Step) -> Verdict {
    loop {
        match step {
            Step::Grant(grant) => {
                sale.facts.grant(&grant);
                sale.state = State::Granted;
                return Verdict::Return(nginx::OK);
            }
            Step::Respond(response) => return answer::prepare(r, sale, response),
            Step::Ask(question) => {
                if let Question::Redeem { payment_hash, token_id, .. } = &question {
                    sale.facts.payment_hash = Some(*payment_hash);
                    sale.facts.token_id = Some(*token_id);
                }
                match agent_link::ask(question, Waiter::new(sale)) {
                    Ok(id) => {
                        sale.state = State::Asked(gate);
                        return wait(r, sale, id);
                    }
                    Err(gone) => {
                        let failure = Failure::AgentGone { retry_after_s: gone.retry_after_s };
                        step = resume(&mut gate, Answer::Failed(failure), sale);
                    }
                }
            }
        }
    }
}

/// The gate's next step, and a note of what its answer may show.
fn resume(gate: &mut Gate, answer: Answer, sale: &mut Sale) -> Step {
    let keys = agent_link::keys().unwrap_or_default();
    if let Answer::Invoice { payment_hash, nonce, amount_msat, .. } = &answer {
        sale.facts.amount_msat = Some(*amount_msat);
        sale.facts.payment_hash = Some(*payment_hash);
        sale.facts.token_id = keys.signing().map(|key| TokenId::new(key.id(), *nonce));
    }
    gate.resume(answer, &keys, now())
}

fn wait(r: &Request, sale: &mut Sale, id: u64) -> Verdict {
    match suspension::suspend(r, sale, id, r.main_conf().agent_timeout_ms()) {
        Ok(()) => Verdict::Return(nginx::AGAIN),
        Err(_) => {
            sale.state = State::Failed;
            Verdict::Return(nginx::INTERNAL_ERROR)
        }
    }
}

/// Unix seconds, as of this turn of the event loop.
fn now() -> u64 {
    u64::try_from(ngx_time()).unwrap_or(0)
}
