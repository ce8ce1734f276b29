//! One credential against one sale: what can be said of it without asking anyone.

use std::fmt;

use l402::caveat::Key;
use l402::{CaveatError, Caveats, Credential, CredentialError, Identifier, KeyRing, Macaroon, Uses};

use crate::policy::Sale;
use crate::step::{Grant, Proof};

/// What a credential is worth.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It admits, and nobody need be asked.
    Grant(Grant, Box<Verified>),
    /// It is good; l402d has to say whether it is paid for or used up.
    Redeem(Box<Redeemable>),
    /// It is genuine and does not serve this request: buying another one helps.
    Stale(Stale),
    /// It is not genuine, or was spoiled: buying another one would not help.
    Refused(Refusal),
}

/// What is true of a reusable credential with its preimage, whatever is asked for and whenever: its signature,
/// under the keys of that moment, and its preimage were right. What depends on the request and the time is in
/// [`Verified::admits`].
#[derive(Debug)]
pub(crate) struct Verified {
    identifier: Identifier,
    caveats: Caveats,
}

impl Verified {
    /// The bytes of memory that it takes beyond its own fields.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Caveats { origin, path, method, realm, route, .. } = &self.caveats;
        let texts = [origin, path, method, realm, route];
        texts.into_iter().flatten().map(|text| text.len() + ALLOCATION).sum()
    }

    /// The grant for this sale at Unix second `now`, if it covers it.
    pub(crate) fn admits(&self, sale: &Sale<'_>, now: u64) -> Option<Grant> {
        fits(&self.caveats, sale, now).is_ok().then(|| self.grant(sale))
    }

    fn grant(&self, sale: &Sale<'_>) -> Grant {
        Grant {
            payment_hash: self.identifier.payment_hash,
            token_id: self.identifier.token_id,
            amount_msat: sale.price.0,
            remaining: None,
            issued: None,
        }
    }
}

/// The bytes that the allocator adds to each piece of memory.
pub(crate) const ALLOCATION: usize = 16;

/// A good credential on its way through l402d.
#[derive(Debug)]
pub(crate) struct Redeemable {
    pub(crate) macaroon: Macaroon,
    pub(crate) identifier: Identifier,
    pub(crate) proof: Proof,
    pub(crate) limit: Option<u32>,
}

/// Why a genuine token does not serve this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    UnknownKey,
    NotOurs,
    Elsewhere(Key),
    Expired,
    UsedUp,
    Underpaid,
    InvoiceGone,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stale::Elsewhere(key) => {
                return write!(f, "the token is for another {}; this buys one for this request", key.name());
            }
            Stale::NotOurs => "the token is not of the kind that is sold here; this buys a new one",
            Stale::UnknownKey => {
                "the token was signed with a key that is not in use here; this buys a new one"
            }
            Stale::Expired => "the token has expired; this buys a new one",
            Stale::UsedUp => "the token is used up; this buys a new one",
            Stale::Underpaid => "the token paid for less than this request costs; this buys another",
            Stale::InvoiceGone => "the token's invoice was not paid in time; this is a new one",
        })
    }
}

/// Why a credential is refused. The texts go into a header and a log: nothing of the client's is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unreadable(CredentialError),
    Forged,
    Caveat(CaveatError),
    WrongPreimage,
    NeedsPreimage,
    CannotLookUp,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unreadable(error) => error.fmt(f),
            Refusal::Forged => f.write_str("the token's signature does not verify"),
            Refusal::Caveat(error) => error.fmt(f),
            Refusal::WrongPreimage => f.write_str("the preimage is not the one of this token's payment"),
            Refusal::NeedsPreimage => {
                f.write_str("a preimage is needed: send L402 MACAROON:PREIMAGE, 32 bytes of hex")
            }
            Refusal::CannotLookUp => f.write_str(
                "this wallet can not look payments up, so a preimage is needed: send L402 MACAROON:PREIMAGE",
            ),
        }
    }
}

/// Judges a credential, in the order: key, signature, caveats, time, price, preimage.
pub(crate) fn judge(credential: Credential, sale: &Sale<'_>, keys: &KeyRing, now: u64) -> Verdict {
    let Credential { macaroon, identifier, preimage } = credential;
    let Some(key) = keys.find(identifier.token_id.key_id()) else {
        return Verdict::Stale(Stale::UnknownKey);
    };
    if !macaroon.verify_signature(key) {
        return Verdict::Refused(Refusal::Forged);
    }
    let caveats = match Caveats::read(&macaroon) {
        Ok(caveats) => caveats,
        Err(CaveatError::NotOurs) => return Verdict::Stale(Stale::NotOurs),
        Err(error) => return Verdict::Refused(Refusal::Caveat(error)),
    };
    if let Err(stale) = fits(&caveats, sale, now) {
        return Verdict::Stale(stale);
    }
    if key.is_for_reusable_only() && caveats.uses != Uses::Unlimited {
        return Verdict::Stale(Stale::UnknownKey);
    }
    let proof = match preimage {
        Some(Ok(preimage)) if preimage.matches(&identifier.payment_hash) => Proof::Preimage(preimage),
        // Some wallets return zeros, a UUID or nothing in place of a preimage: their payments are looked up.
        _ if sale.auto_detect => Proof::LookUp(sale.look_up_rate()),
        Some(Ok(_)) => return Verdict::Refused(Refusal::WrongPreimage),
        Some(Err(error)) => return Verdict::Refused(Refusal::Unreadable(error)),
        None => return Verdict::Refused(Refusal::NeedsPreimage),
    };
    // What the token says was bought counts, not what the location sells by now.
    match (caveats.uses, proof) {
        (Uses::Unlimited, Proof::Preimage(_)) => {
            let verified = Verified { identifier, caveats };
            Verdict::Grant(verified.grant(sale), Box::new(verified))
        }
        (uses, proof) => {
            let limit = match uses {
                Uses::Unlimited => None,
                Uses::Limited(limit) => Some(limit),
            };
            Verdict::Redeem(Box::new(Redeemable { macaroon, identifier, proof, limit }))
        }
    }
}

/// Is the token for this request, at Unix second `now`, and for one that costs so much?
fn fits(caveats: &Caveats, sale: &Sale<'_>, now: u64) -> Result<(), Stale> {
    caveats.covers(&sale.place, sale.scope()).map_err(|error| match error {
        CaveatError::Unmet(key) => Stale::Elsewhere(key),
        // Reading the caveats refuses those.
        CaveatError::ThirdParty
        | CaveatError::Unknown
        | CaveatError::NotOurs
        | CaveatError::BadValue(_)
        | CaveatError::Contradiction(_) => Stale::NotOurs,
    })?;
    if caveats.is_expired(now) {
        return Err(Stale::Expired);
    }
    if !caveats.affords(sale.price) {
        return Err(Stale::Underpaid);
    }
    Ok(())
}
