//! The state machine of one request: credentials one after the other, then a challenge or a refusal.

use std::collections::VecDeque;

use l402::credential::{self, Found};
use l402::macaroon::MAX_BYTES;
use l402::{Credential, Identifier, KeyRing, Macaroon, TokenId};

use crate::judge::{Redeemable, Refusal, Stale, Verdict, judge};
use crate::policy::{Policy, Request, Sale};
use crate::response::{Asked, End, respond};
use crate::step::{Answer, Failure, Grant, Question, Step};

/// What a minted macaroon names as its location. Not signed, of no meaning; Aperture's says `lsat`.
const LOCATION: &str = "l402";

/// One request on its way to a grant or an answer. Owns all it needs while suspended.
#[derive(Debug)]
pub struct Gate {
    sale: Sale,
    candidates: VecDeque<Credential>,
    waiting: Waiting,
    seen: Seen,
}

/// What l402d has been asked.
#[derive(Debug)]
enum Waiting {
    Nothing,
    Invoice,
    Redeem(Box<Redeemable>),
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
}

impl Gate {
    /// Takes a request up. `now` is in Unix seconds.
    pub fn start(policy: &Policy<'_>, request: &Request<'_>, keys: &KeyRing, now: u64) -> (Gate, Step) {
        let mut gate = Gate {
            sale: Sale::new(policy, request),
            candidates: VecDeque::new(),
            waiting: Waiting::Nothing,
            seen: Seen::default(),
        };
        if gate.sale.price.0 == 0 {
            return (gate, failed(Failure::Internal));
        }
        if keys.is_empty() {
            return (gate, failed(Failure::AgentGone { retry_after_s: 1 }));
        }
        let found = [
            request.authorization.map(credential::parse),
            request.metadata_macaroon.map(credential::parse_metadata),
        ];
        for found in found.into_iter().flatten() {
            match found {
                Found::NotL402 => {}
                Found::Tokens(tokens) => tokens.into_iter().for_each(|token| match token {
                    Ok(credential) => gate.candidates.push_back(credential),
                    Err(error) => gate.seen.refuse(Refusal::Unreadable(error)),
                }),
            }
        }
        let step = gate.advance(keys, now);
        (gate, step)
    }

    /// Goes on with l402d's answer to the last [`Step::Ask`]. An answer to another question is our fault: 500.
    pub fn resume(&mut self, answer: Answer, keys: &KeyRing, now: u64) -> Step {
        match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Nothing => failed(Failure::Internal),
            Waiting::Invoice => self.challenge(answer, keys, now),
            Waiting::Redeem(token) => self.redeemed(*token, answer, keys, now),
        }
    }

    /// Tries the credentials that are left, then decides by what was seen.
    fn advance(&mut self, keys: &KeyRing, now: u64) -> Step {
        while let Some(credential) = self.candidates.pop_front() {
            match judge(credential, &self.sale, keys, now) {
                Verdict::Grant(grant) => return Step::Grant(grant),
                Verdict::Stale(stale) => self.seen.stale = self.seen.stale.or(Some(stale)),
                Verdict::Refused(refusal) => self.seen.refuse(refusal),
                // l402d has just failed: asking again would only double the wait.
                Verdict::Redeem(_) if self.seen.failure.is_some() => {}
                Verdict::Redeem(token) => {
                    let question = Question::Redeem {
                        backend: self.sale.backend.clone(),
                        payment_hash: token.identifier.payment_hash,
                        token_id: token.identifier.token_id,
                        proof: token.proof.clone(),
                        limit: token.limit,
                    };
                    self.waiting = Waiting::Redeem(token);
                    return Step::Ask(question);
                }
            }
        }
        match &self.seen {
            Seen { failure: Some(failure), .. } => failed(*failure),
            Seen { unpaid: Some(unpaid), .. } => Step::Respond(respond(End::Unpaid(Asked {
                macaroon: &unpaid.macaroon,
                invoice: &unpaid.bolt11,
                expires_at: unpaid.expires_at,
            }))),
            Seen { stale: None, refusal: Some(refusal), .. } => {
                Step::Respond(respond(End::Refused(*refusal)))
            }
            Seen { stale: Some(_), .. } | Seen { refusal: None, .. } => {
                self.waiting = Waiting::Invoice;
                Step::Ask(Question::Invoice {
                    backend: self.sale.backend.clone(),
                    amount_msat: self.sale.price.0,
                    description: self.sale.description.clone(),
                })
            }
        }
    }

    /// The answer to [`Question::Redeem`].
    fn redeemed(&mut self, token: Redeemable, answer: Answer, keys: &KeyRing, now: u64) -> Step {
        match answer {
            Answer::Granted { remaining } => {
                return Step::Grant(Grant {
                    payment_hash: token.identifier.payment_hash,
                    token_id: token.identifier.token_id,
                    amount_msat: self.sale.price.0,
                    remaining,
                });
            }
            Answer::Unsettled { bolt11, expires_at } if is_invoice(&bolt11) => {
                let macaroon = without_preimage(token, keys);
                self.seen.unpaid.get_or_insert(Unpaid { macaroon, bolt11, expires_at });
            }
            Answer::UsedUp => self.seen.stale = self.seen.stale.or(Some(Stale::UsedUp)),
            Answer::Dead => self.seen.stale = self.seen.stale.or(Some(Stale::InvoiceGone)),
            Answer::CannotLookUp => self.seen.refuse(Refusal::CannotLookUp),
            Answer::Failed(failure) => self.seen.failure = Some(failure),
            Answer::Unsettled { .. } | Answer::Invoice { .. } => return failed(Failure::Internal),
        }
        self.advance(keys, now)
    }

    /// The answer to [`Question::Invoice`].
    fn challenge(&self, answer: Answer, keys: &KeyRing, now: u64) -> Step {
        let (payment_hash, bolt11, nonce, expires_at) = match answer {
            Answer::Invoice { payment_hash, bolt11, nonce, expires_at } if is_invoice(&bolt11) => {
                (payment_hash, bolt11, nonce, expires_at)
            }
            Answer::Failed(failure) => return failed(failure),
            Answer::Invoice { .. }
            | Answer::Granted { .. }
            | Answer::Unsettled { .. }
            | Answer::UsedUp
            | Answer::Dead
            | Answer::CannotLookUp => return failed(Failure::Internal),
        };
        let Some(key) = keys.signing() else { return failed(Failure::Internal) };
        let identifier = Identifier::new(payment_hash, TokenId::new(key.id(), nonce));
        let macaroon = Macaroon::mint(key, &identifier, LOCATION, self.sale.terms(now).caveats());
        if macaroon.encode_v2().len() > MAX_BYTES {
            // Never sell a token that couldn't be read when it comes back.
            return failed(Failure::Internal);
        }
        Step::Respond(respond(End::Challenged {
            asked: Asked { macaroon: &macaroon, invoice: &bolt11, expires_at },
            amount: self.sale.price,
            instead_of: self.seen.stale,
        }))
    }
}

impl Seen {
    /// The first refusal is the one that is told.
    fn refuse(&mut self, refusal: Refusal) {
        self.refusal = self.refusal.or(Some(refusal));
    }
}

fn failed(failure: Failure) -> Step {
    Step::Respond(respond(End::Failed(failure)))
}

/// Fit for a header: bech32 is letters and digits.
fn is_invoice(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
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
