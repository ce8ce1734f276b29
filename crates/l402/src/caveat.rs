//! The caveat vocabulary: what a token says of what was sold, and how a holder may narrow it.
//!
//! A minted token carries, one `key=value` each, in exactly this order:
//!
//! | caveat | |
//! |---|---|
//! | `origin=` | the shop that sold it; left out of a token of a shared realm |
//! | `path=`, `method=` — or `realm=` | what was sold |
//! | `route=` | only beside `path=`, where the server's configuration led the request to another place |
//! | `valid_until=` | Unix seconds, the last second in which it is good; left out where it never expires |
//! | `uses=` | a count, or `unlimited`; **always there** |
//! | `amount_msat=` | only where a dearer request needs a dearer token: the most a request may cost |
//!
//! What follows was appended by a holder and can only narrow. This matters because anyone can append. Were a missing
//! `uses=` to mean one use, the holder of such a token could append `uses=unlimited`, and nobody could tell it from a
//! minted one. So `uses=` is never left out, and the order says which caveats are ours: an `origin=`, `realm=` or `route=`
//! behind it can't turn a token of one kind into another. Every caveat that may be left out means "no bound" when it
//! is, but `route=`: without it a token opens its path only where no configuration led the request elsewhere, and that
//! is why it stands before `uses=`.
//!
//! A holder may append the same caveat again, a smaller `valid_until=`, `uses=` or `amount_msat=`, to a realm's
//! token also `origin=`, `path=`, `method=` and `route=`, and to any `preimage=` (Aperture's clients do), which is read with
//! the credential. Anything else refuses the token: unknown keys, wider or other values, third-party caveats.

use std::fmt;

use crate::macaroon::{Caveat, Macaroon};
use crate::payment::Msat;
pub use crate::terms::{MAX_PATH, Names, Origin, Place, Scope, Terms, Uses, encode_value};
use crate::terms::{is_bounded, is_value};
use crate::work;

/// The keys of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `origin=`
    Origin,
    /// `path=`
    Path,
    /// `method=`
    Method,
    /// `realm=`
    Realm,
    /// `route=`
    Route,
    /// `valid_until=`
    ValidUntil,
    /// `uses=`
    Uses,
    /// `amount_msat=`
    AmountMsat,
    /// `preimage=`
    Preimage,
}

impl Key {
    const ALL: [Key; 9] = [
        Key::Origin,
        Key::Path,
        Key::Method,
        Key::Realm,
        Key::Route,
        Key::ValidUntil,
        Key::Uses,
        Key::AmountMsat,
        Key::Preimage,
    ];

    /// As it is written, without `=`.
    pub fn name(self) -> &'static str {
        match self {
            Key::Origin => "origin",
            Key::Path => "path",
            Key::Method => "method",
            Key::Realm => "realm",
            Key::Route => "route",
            Key::ValidUntil => "valid_until",
            Key::Uses => "uses",
            Key::AmountMsat => "amount_msat",
            Key::Preimage => "preimage",
        }
    }
}

/// What a token was sold as, by its minted caveats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoldAs {
    /// `origin path method`, and perhaps `route`
    Request,
    /// `origin realm`
    Realm,
    /// `realm`: of every origin that shares it
    SharedRealm,
}

/// A token's caveats, the minted and the appended ones taken together. Values are as encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caveats {
    /// What was minted.
    pub sold_as: SoldAs,
    /// `origin=`
    pub origin: Option<Box<str>>,
    /// `path=`
    pub path: Option<Box<str>>,
    /// `method=`
    pub method: Option<Box<str>>,
    /// `realm=`
    pub realm: Option<Box<str>>,
    /// `route=`
    pub route: Option<Box<str>>,
    /// The smallest `valid_until=`: the last Unix second in which the token is good.
    pub valid_until: Option<u64>,
    /// The minted `valid_until=`.
    pub issued_valid_until: Option<u64>,
    /// The smallest `uses=`.
    pub uses: Uses,
    /// The smallest `amount_msat=`, in msat.
    pub amount: Option<Msat>,
}

impl Caveats {
    /// Reads the caveats of a macaroon whose signature has been verified.
    ///
    /// # Errors
    /// The client's fault, unless the key is shared with other software that mints its own kind of macaroon.
    pub fn read(macaroon: &Macaroon) -> Result<Caveats, CaveatError> {
        let is_former = |caveat: &Caveat| matches!(caveat, Caveat::FirstParty(id) if id.starts_with(FORMER));
        if macaroon.caveats.first().is_some_and(is_former) {
            return Err(CaveatError::NotOurs);
        }
        let mut list = Vec::with_capacity(macaroon.caveats.len());
        for caveat in &macaroon.caveats {
            match caveat {
                Caveat::FirstParty(id) => list.push(split(id)?),
                Caveat::ThirdParty { .. } => return Err(CaveatError::ThirdParty),
            }
        }
        let (mut caveats, appended) = Caveats::minted(&list)?;
        for (key, value) in appended {
            caveats.narrow(*key, value)?;
        }
        Ok(caveats)
    }

    /// The minted caveats at the head of the list, and what follows them.
    fn minted<'l, 'a>(list: &'l [Pair<'a>]) -> Result<(Caveats, &'l [Pair<'a>]), CaveatError> {
        let mut rest = list;
        let mut take = |key: Key| match rest {
            [(found, value), tail @ ..] if *found == key => {
                rest = tail;
                Some(*value)
            }
            _ => None,
        };
        let origin = take(Key::Origin).map(Box::from);
        let realm = take(Key::Realm).map(Box::from);
        let mut of_request = |key| if realm.is_none() { take(key).map(Box::from) } else { None };
        let (path, method, route) = (of_request(Key::Path), of_request(Key::Method), of_request(Key::Route));
        let sold_as = match (&origin, &realm, &path, &method) {
            (Some(_), None, Some(_), Some(_)) => SoldAs::Request,
            (Some(_), Some(_), None, None) => SoldAs::Realm,
            (None, Some(_), None, None) => SoldAs::SharedRealm,
            _ => return Err(CaveatError::NotOurs),
        };
        let valid_until = take(Key::ValidUntil).map(|text| number(Key::ValidUntil, text)).transpose()?;
        let uses = take(Key::Uses).ok_or(CaveatError::NotOurs).and_then(uses)?;
        let caveats = Caveats {
            sold_as,
            origin,
            path,
            method,
            realm,
            route,
            valid_until,
            issued_valid_until: valid_until,
            uses,
            amount: None,
        };
        Ok((caveats, rest))
    }

    /// Takes one more caveat in: it must be no wider than what there is.
    fn narrow(&mut self, key: Key, value: &str) -> Result<(), CaveatError> {
        let contradiction = Err(CaveatError::Contradiction(key));
        match key {
            Key::Origin => same(&mut self.origin, key, value),
            Key::Path => same(&mut self.path, key, value),
            Key::Method => same(&mut self.method, key, value),
            // Without a route a token of a path says that there is none.
            Key::Route if self.sold_as == SoldAs::Request && self.route.is_none() => contradiction,
            Key::Route => same(&mut self.route, key, value),
            Key::Realm => match &self.realm {
                Some(realm) if **realm == *value => Ok(()),
                _ => contradiction,
            },
            Key::ValidUntil => {
                let at = number(key, value)?;
                if self.valid_until.is_some_and(|before| at > before) {
                    return contradiction;
                }
                self.valid_until = Some(at);
                Ok(())
            }
            Key::Uses => {
                let uses = uses(value)?;
                if !uses.is_within(self.uses) {
                    return contradiction;
                }
                self.uses = uses;
                Ok(())
            }
            Key::AmountMsat => {
                let amount = Msat(number(key, value)?);
                if self.amount.is_some_and(|before| amount > before) {
                    return contradiction;
                }
                self.amount = Some(amount);
                Ok(())
            }
            // `Credential` reads it: what a wallet returned in its place is no fault of the token.
            Key::Preimage => Ok(()),
        }
    }

    /// Does the token cover a request to `place` for what is sold as `scope` there? The path and the method of the request
    /// count also where a realm is sold: a holder may have narrowed to them.
    ///
    /// # Errors
    /// The first caveat that the request doesn't meet.
    pub fn covers(&self, place: &Place<'_>, scope: Scope<'_>) -> Result<(), CaveatError> {
        let unmet = |key| Err(CaveatError::Unmet(key));
        if self.origin.as_ref().is_some_and(|value| !place.origin.is_named(value)) {
            return unmet(Key::Origin);
        }
        match (self.sold_as, scope) {
            (SoldAs::Request, Scope::Request) if self.route.is_some() != place.route.is_some() => {
                return unmet(Key::Route);
            }
            (SoldAs::Request, Scope::Request) => {}
            (SoldAs::Realm | SoldAs::SharedRealm, Scope::Realm { name, shared }) => {
                if !self.realm.as_ref().is_some_and(|value| is_value(value, name.as_bytes())) {
                    return unmet(Key::Realm);
                }
                if self.sold_as == SoldAs::SharedRealm && !shared {
                    return unmet(Key::Origin);
                }
            }
            (SoldAs::Request, Scope::Realm { .. })
            | (SoldAs::Realm | SoldAs::SharedRealm, Scope::Request) => return unmet(Key::Realm),
        }
        if self.path.as_ref().is_some_and(|value| !is_bounded(value, place.path)) {
            return unmet(Key::Path);
        }
        if self.method.as_ref().is_some_and(|value| !is_value(value, place.method.as_bytes())) {
            return unmet(Key::Method);
        }
        let is_route = |value: &str| place.route.is_some_and(|route| is_bounded(value, route));
        if self.route.as_ref().is_some_and(|value| !is_route(value)) {
            return unmet(Key::Route);
        }
        Ok(())
    }

    /// Is the token past its time at Unix second `now`? It is good in the second `valid_until` itself.
    pub fn is_expired(&self, now: u64) -> bool {
        self.valid_until.is_some_and(|until| now > until)
    }

    /// Did the token pay for a request that costs so much?
    pub fn affords(&self, price: Msat) -> bool {
        self.amount.is_none_or(|paid| price <= paid)
    }
}

/// The first caveat of tokens of before the first release: they are read no more, and buying another one helps.
const FORMER: &[u8] = b"server=";

/// A caveat as it is written.
type Pair<'a> = (Key, &'a str);

/// Splits `key=value`.
fn split(id: &[u8]) -> Result<Pair<'_>, CaveatError> {
    work::spend(id.len());
    let text = std::str::from_utf8(id).map_err(|_| CaveatError::Unknown)?;
    let (name, value) = text.split_once('=').ok_or(CaveatError::Unknown)?;
    let key = Key::ALL.into_iter().find(|key| key.name() == name).ok_or(CaveatError::Unknown)?;
    Ok((key, value))
}

fn same(slot: &mut Option<Box<str>>, key: Key, value: &str) -> Result<(), CaveatError> {
    match slot {
        Some(before) if **before != *value => Err(CaveatError::Contradiction(key)),
        Some(_) => Ok(()),
        None => {
            *slot = Some(value.into());
            Ok(())
        }
    }
}

/// A decimal number in the one form we write: digits, no sign, no leading zero.
fn number(key: Key, text: &str) -> Result<u64, CaveatError> {
    let bad = CaveatError::BadValue(key);
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().map_err(|_| bad) } else { Err(bad) }
}

fn uses(text: &str) -> Result<Uses, CaveatError> {
    if text == "unlimited" {
        return Ok(Uses::Unlimited);
    }
    match u32::try_from(number(Key::Uses, text)?) {
        Ok(0) | Err(_) => Err(CaveatError::BadValue(Key::Uses)),
        Ok(count) => Ok(Uses::Limited(count)),
    }
}

/// Why a token's caveats refuse it. The texts hold no byte of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaveatError {
    /// A third-party caveat.
    ThirdParty,
    /// A key that isn't in the vocabulary, or no `key=value` at all.
    Unknown,
    /// The minted caveats are not those that we write, or not in our order.
    NotOurs,
    /// A value that can't be read.
    BadValue(Key),
    /// A later caveat is wider than, or other than, an earlier one.
    Contradiction(Key),
    /// The request is not what the token was sold or narrowed to.
    Unmet(Key),
}

impl fmt::Display for CaveatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaveatError::ThirdParty => f.write_str("third-party caveats are not accepted"),
            CaveatError::Unknown => f.write_str("the token has a caveat that is not known here"),
            CaveatError::NotOurs => f.write_str("the token's caveats are not those of a token sold here"),
            CaveatError::BadValue(key) => write!(f, "the token's {} caveat can't be read", key.name()),
            CaveatError::Contradiction(key) => {
                write!(f, "the token's {} caveats contradict each other", key.name())
            }
            CaveatError::Unmet(key) => write!(f, "the token is for another {}", key.name()),
        }
    }
}

impl std::error::Error for CaveatError {}
