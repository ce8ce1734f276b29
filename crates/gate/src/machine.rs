//! The state machine of one request: credentials one after the other, then a challenge or a refusal.

use std::collections::VecDeque;

use l402::credential::{self, Found, MAX_TOKENS};
use l402::macaroon::MAX_BYTES;
use l402::{Credential, CredentialError, Identifier, KeyRing, Macaroon, Msat, TokenId, Uses};

use crate::ecash::{self, LOCATION, Payment};
use crate::judge::{Redeemable, Refusal, Stale, Verdict, Verified, judge};
use crate::memory::Memory;
use crate::policy::{OwnedSale, Policy, Request, Sale};
use crate::response::{Asked, End, Response, respond};
use crate::step::{Answer, Ecash, Failure, Grant, Proof, Question, Step};

/// The most bytes of credential headers that are read, ecash aside: eight tokens of any usual size.
pub const MAX_CREDENTIALS: usize = 16 * 1024;

/// The most caveats that all tokens of a request have. Each costs a hash to verify, also in a token that is not genuine.
const MAX_CAVEATS: usize = 128;

/// One request on its way to a grant or an answer. Owns all it needs while suspended; one that has come to its end at
/// once holds nothing.
#[derive(Debug)]
pub struct Gate(Option<Box<Suspended>>);

/// What a request that waits for l402d has come to.
#[derive(Debug)]
struct Suspended {
    sale: OwnedSale,
    course: Course,
    waiting: Waiting,
}

/// What l402d has been asked.
#[derive(Debug)]
enum Waiting {
    Nothing,
    Invoice,
    Redeem(Box<Redeemable>),
    Ecash(Ecash),
    /// What the ecash of this request has bought.
    Draw(Box<Redeemable>),
}

/// The credentials that are left, and what those before came to.
#[derive(Debug, Default)]
struct Course {
    candidates: VecDeque<Credential>,
    /// Comes after all credentials: who has a good token keeps the ecash.
    ecash: Option<Result<Ecash, &'static str>>,
    /// A request has the wallet asked about one payment at most.
    has_looked_up: bool,
    caveats: usize,
    seen: Seen,
}

/// What the credentials so far came to. In this order they decide, once there are no more.
#[derive(Debug, Default)]
struct Seen {
    /// The payment may be good: no second one is asked for.
    failure: Option<Failure>,
    unpaid: Option<Unpaid>,
    stale: Option<Stale>,
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Unpaid {
    macaroon: Macaroon,
    bolt11: String,
    expires_at: u64,
    offer: String,
}

/// Where a course leads.
enum Next {
    /// Without asking anyone, and by what.
    Grant(Grant, Box<Verified>),
    Respond(Response),
    Ask(Waiting),
}

impl Gate {
    /// Takes a request up. `now` is in Unix seconds.
    pub fn start(policy: &Policy<'_>, request: &Request<'_>, keys: &KeyRing, now: u64) -> (Gate, Step) {
        Gate::begin(policy, request, keys, now, None)
    }

    /// The same, with what this front end remembers of credentials that it verified before. What it remembers makes
    /// it faster and changes nothing else.
    pub fn start_remembering(
        policy: &Policy<'_>,
        request: &Request<'_>,
        keys: &KeyRing,
        now: u64,
        memory: &mut Memory,
    ) -> (Gate, Step) {
        Gate::begin(policy, request, keys, now, Some(memory))
    }

    fn begin(
        policy: &Policy<'_>,
        request: &Request<'_>,
        keys: &KeyRing,
        now: u64,
        mut memory: Option<&mut Memory>,
    ) -> (Gate, Step) {
        let sale = Sale::new(policy, request);
        if sale.price.0 == 0 {
            return (Gate(None), failed(Failure::Internal));
        }
        if keys.is_empty() {
            return (Gate(None), failed(Failure::AgentGone { retry_after_s: 1 }));
        }
        if let (Some(memory), Some(header)) = (memory.as_mut(), request.authorization)
            && let Some(verified) = memory.recall(header, keys)
            && let Some(grant) = verified.admits(&sale, now)
        {
            return (Gate(None), Step::Grant(grant));
        }
        if request.credential_bytes() > MAX_CREDENTIALS {
            return (Gate(None), refused(Refusal::Unreadable(CredentialError::TooLong)));
        }
        let mut course = Course::default();
        let from_authorization = course.take_in(request.authorization.map(credential::parse));
        let from_metadata = course.take_in(request.metadata_macaroon.map(credential::parse_metadata));
        course.ecash = ecash::find(request);
        match course.next(&sale, keys, now) {
            Next::Grant(grant, verified) => {
                // The grant is by the header as a whole only if the one token in it gave it, and none beside it.
                if let (Some(memory), Some(header), (1, 0)) =
                    (memory, request.authorization, (from_authorization, from_metadata))
                {
                    memory.note(header, keys, *verified);
                }
                (Gate(None), Step::Grant(grant))
            }
            Next::Respond(response) => (Gate(None), Step::Respond(response)),
            Next::Ask(waiting) => {
                let question = question(&waiting, &sale);
                let suspended = Suspended { sale: OwnedSale::of(sale), course, waiting };
                (Gate(Some(Box::new(suspended))), Step::Ask(question))
            }
        }
    }

    /// Goes on with l402d's answer to the last [`Step::Ask`]. An answer to another question is our fault: 500.
    pub fn resume(&mut self, answer: Answer, keys: &KeyRing, now: u64) -> Step {
        let Some(suspended) = &mut self.0 else { return failed(Failure::Internal) };
        match std::mem::replace(&mut suspended.waiting, Waiting::Nothing) {
            Waiting::Nothing => failed(Failure::Internal),
            Waiting::Invoice => suspended.challenge(answer, keys, now),
            Waiting::Redeem(token) => suspended.redeemed(*token, answer, keys, now),
            Waiting::Ecash(_) => suspended.taken(answer, keys, now),
            Waiting::Draw(token) => suspended.drawn(&token, answer),
        }
    }
}

impl Course {
    /// Adds the tokens that a header holds. Returns how many these are, those that can't be read included.
    fn take_in(&mut self, found: Option<Found>) -> usize {
        let Some(Found::Tokens(tokens)) = found else { return 0 };
        let count = tokens.len();
        for token in tokens {
            match token.and_then(|credential| self.within_bounds(credential)) {
                Ok(credential) => self.candidates.push_back(credential),
                Err(error) => self.seen.refuse(Refusal::Unreadable(error)),
            }
        }
        count
    }

    /// Counts a token in, unless the request has too many.
    fn within_bounds(&mut self, credential: Credential) -> Result<Credential, CredentialError> {
        self.caveats += credential.macaroon.caveats.len();
        let fits = self.candidates.len() < MAX_TOKENS && self.caveats <= MAX_CAVEATS;
        if fits { Ok(credential) } else { Err(CredentialError::TooMany) }
    }

    /// Tries the credentials that are left, then decides by what was seen.
    fn next(&mut self, sale: &Sale<'_>, keys: &KeyRing, now: u64) -> Next {
        while let Some(credential) = self.candidates.pop_front() {
            match judge(credential, sale, keys, now) {
                Verdict::Grant(grant, verified) => return Next::Grant(grant, verified),
                Verdict::Stale(stale) => self.seen.stale = self.seen.stale.or(Some(stale)),
                Verdict::Refused(refusal) => self.seen.refuse(refusal),
                // l402d has just failed: asking again would only double the wait.
                Verdict::Redeem(_) if self.seen.failure.is_some() => {}
                Verdict::Redeem(mut token) => {
                    if let Proof::LookUp(_) = token.proof
                        && std::mem::replace(&mut self.has_looked_up, true)
                    {
                        token.proof = Proof::Known;
                    }
                    return Next::Ask(Waiting::Redeem(token));
                }
            }
        }
        if self.seen.failure.is_none() {
            match self.ecash.take() {
                None => {}
                Some(Ok(token)) if ecash::can_buy(sale) => return Next::Ask(Waiting::Ecash(token)),
                Some(Ok(_)) => return Next::Respond(respond(End::Failed(Failure::Internal))),
                Some(Err(reason)) => return Next::Respond(respond(End::EcashRefused(reason))),
            }
        }
        match &self.seen {
            Seen { failure: Some(failure), .. } => Next::Respond(respond(End::Failed(*failure))),
            Seen { unpaid: Some(unpaid), .. } => Next::Respond(respond(End::Unpaid(Asked {
                macaroon_b64: &unpaid.macaroon.to_base64(),
                invoice: &unpaid.bolt11,
                offer: advertised(&unpaid.offer),
                expires_at: unpaid.expires_at,
            }))),
            Seen { stale: None, refusal: Some(refusal), .. } => {
                Next::Respond(respond(End::Refused(*refusal)))
            }
            Seen { stale: Some(_), .. } | Seen { refusal: None, .. } => Next::Ask(Waiting::Invoice),
        }
    }
}

impl Suspended {
    /// Goes on with the next credential.
    fn advance(&mut self, keys: &KeyRing, now: u64) -> Step {
        let sale = self.sale.borrow();
        match self.course.next(&sale, keys, now) {
            Next::Grant(grant, _) => Step::Grant(grant),
            Next::Respond(response) => Step::Respond(response),
            Next::Ask(waiting) => {
                let question = question(&waiting, &sale);
                self.waiting = waiting;
                Step::Ask(question)
            }
        }
    }

    /// The answer to [`Question::Ecash`].
    fn taken(&mut self, answer: Answer, keys: &KeyRing, now: u64) -> Step {
        let sale = self.sale.borrow();
        match answer {
            // One request has no end: whoever paid and got no answer gets it later. More than one end as their token does.
            Answer::Paid { paid_at, .. } if sale.uses() != Uses::Limited(1) && sale.is_over(paid_at, now) => {
                ecash_refused(ecash::SPENT)
            }
            Answer::Paid { payment_hash, preimage, nonce, paid_at } => {
                let payment = Payment { payment_hash, preimage, nonce, paid_at };
                match payment.credential(&sale, keys) {
                    Ok(token) if token.limit.is_none() => self.let_through(&token, None),
                    Ok(token) => {
                        let waiting = Waiting::Draw(Box::new(token));
                        let question = question(&waiting, &sale);
                        self.waiting = waiting;
                        Step::Ask(question)
                    }
                    Err(failure) => failed(failure),
                }
            }
            Answer::EcashRefused(reason) => ecash_refused(&reason),
            // As if it had not been sent.
            Answer::NoEcash => self.advance(keys, now),
            Answer::Failed(failure) => Step::Respond(respond(End::EcashFailed(failure))),
            _ => failed(Failure::Internal),
        }
    }

    /// The answer to the draw from what the ecash bought.
    fn drawn(&self, token: &Redeemable, answer: Answer) -> Step {
        match answer {
            Answer::Granted { remaining } => self.let_through(token, remaining),
            Answer::UsedUp => ecash_refused(ecash::SPENT),
            Answer::Failed(failure) => Step::Respond(respond(End::EcashFailed(failure))),
            _ => failed(Failure::Internal),
        }
    }

    fn let_through(&self, token: &Redeemable, remaining: Option<u32>) -> Step {
        Step::Grant(Grant {
            payment_hash: token.identifier.payment_hash,
            token_id: token.identifier.token_id,
            amount_msat: self.sale.borrow().price.0,
            remaining,
            issued: ecash::issued(token),
        })
    }

    /// The answer to [`Question::Redeem`].
    fn redeemed(&mut self, token: Redeemable, answer: Answer, keys: &KeyRing, now: u64) -> Step {
        let seen = &mut self.course.seen;
        match answer {
            Answer::Granted { remaining } => {
                return Step::Grant(Grant {
                    payment_hash: token.identifier.payment_hash,
                    token_id: token.identifier.token_id,
                    amount_msat: self.sale.borrow().price.0,
                    remaining,
                    issued: None,
                });
            }
            Answer::Unsettled { bolt11, expires_at, offer } if is_bech32(&bolt11) => {
                let macaroon = without_preimage(token, keys);
                seen.unpaid.get_or_insert(Unpaid { macaroon, bolt11, expires_at, offer });
            }
            Answer::UsedUp => seen.stale = seen.stale.or(Some(Stale::UsedUp)),
            Answer::Dead => seen.stale = seen.stale.or(Some(Stale::InvoiceGone)),
            Answer::CannotLookUp => seen.refuse(Refusal::CannotLookUp),
            Answer::Failed(failure) => seen.failure = Some(failure),
            Answer::Unsettled { .. }
            | Answer::Invoice { .. }
            | Answer::Paid { .. }
            | Answer::EcashRefused(_)
            | Answer::NoEcash => return failed(Failure::Internal),
        }
        self.advance(keys, now)
    }

    /// The answer to [`Question::Invoice`].
    fn challenge(&self, answer: Answer, keys: &KeyRing, now: u64) -> Step {
        let (payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer) = match answer {
            Answer::Invoice { payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer }
                if is_bech32(&bolt11) && amount_msat > 0 =>
            {
                (payment_hash, bolt11, nonce, expires_at, amount_msat, ecash, offer)
            }
            Answer::Failed(failure) => return failed(failure),
            Answer::Invoice { .. }
            | Answer::Granted { .. }
            | Answer::Unsettled { .. }
            | Answer::UsedUp
            | Answer::Dead
            | Answer::Paid { .. }
            | Answer::EcashRefused(_)
            | Answer::NoEcash
            | Answer::CannotLookUp => return failed(Failure::Internal),
        };
        let Some(key) = keys.signing() else { return failed(Failure::Internal) };
        let identifier = Identifier::new(payment_hash, TokenId::new(key.id(), nonce));
        let sale = self.sale.borrow();
        let macaroon = Macaroon::mint(key, &identifier, LOCATION, sale.terms(now).caveats());
        let macaroon_b64 = macaroon.to_base64();
        // Its binary form, padding counted.
        if macaroon_b64.len() / 4 * 3 > MAX_BYTES {
            // Never sell a token that couldn't be read when it comes back.
            return failed(Failure::Internal);
        }
        Step::Respond(respond(End::Challenged {
            asked: Asked {
                macaroon_b64: &macaroon_b64,
                invoice: &bolt11,
                offer: advertised(&offer),
                expires_at,
            },
            amount: Msat(amount_msat),
            instead_of: self.course.seen.stale,
            ecash: Some(ecash).filter(|ecash| is_ecash_request(ecash)),
        }))
    }
}

impl Seen {
    /// The first refusal is the one that is told.
    fn refuse(&mut self, refusal: Refusal) {
        self.refusal = self.refusal.or(Some(refusal));
    }
}

/// What l402d is to be asked.
fn question(waiting: &Waiting, sale: &Sale<'_>) -> Question {
    match waiting {
        Waiting::Ecash(token) => Question::Ecash {
            backend: sale.backend.to_owned(),
            amount_msat: sale.price.0,
            path: sale.place.path.to_vec(),
            terms: sale.bought(),
            token: token.clone(),
        },
        Waiting::Redeem(token) | Waiting::Draw(token) => Question::Redeem {
            backend: sale.backend.to_owned(),
            payment_hash: token.identifier.payment_hash,
            token_id: token.identifier.token_id,
            proof: token.proof.clone(),
            limit: token.limit,
            draw: sale.draws,
        },
        Waiting::Invoice | Waiting::Nothing => Question::Invoice {
            backend: sale.backend.to_owned(),
            amount_msat: sale.price.0,
            description: sale.description.to_owned(),
            path: sale.place.path.to_vec(),
            rate: sale.challenge_rate(),
        },
    }
}

fn refused(refusal: Refusal) -> Step {
    Step::Respond(respond(End::Refused(refusal)))
}

fn failed(failure: Failure) -> Step {
    Step::Respond(respond(End::Failed(failure)))
}

fn ecash_refused(reason: &str) -> Step {
    Step::Respond(respond(End::EcashRefused(reason)))
}

/// Fit for a header: base64 or bech32m.
fn is_ecash_request(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=+/".contains(&byte))
}

/// The offer, where there is one that is fit for a header: without it the challenge is as good.
fn advertised(offer: &str) -> Option<&str> {
    Some(offer).filter(|offer| is_bech32(offer))
}

/// Fit for a header: bech32 is letters and digits.
fn is_bech32(text: &str) -> bool {
    // Without a branch, so that many bytes are looked at at once.
    let other = text.bytes().fold(0, |seen, byte| {
        let fit = byte.is_ascii_digit() | (byte | 0x20).is_ascii_lowercase();
        seen | u8::from(!fit)
    });
    !text.is_empty() && other == 0
}

/// The macaroon to pay for: as presented, less the `preimage=` that a client added to it.
fn without_preimage(token: Redeemable, keys: &KeyRing) -> Macaroon {
    let Redeemable { macaroon, identifier, .. } = token;
    let caveats = macaroon.first_party_texts();
    let Some(key) = keys.find(identifier.token_id.key_id()) else { return macaroon };
    let kept: Vec<&str> = caveats.into_iter().filter(|text| !text.starts_with("preimage=")).collect();
    if kept.len() == macaroon.caveats.len() {
        return macaroon;
    }
    Macaroon::mint(key, &identifier, &macaroon.location, kept)
}
