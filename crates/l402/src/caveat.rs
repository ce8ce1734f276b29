//! The caveat vocabulary: what a token says of what was sold, and how a holder may narrow it.
//!
//! A minted token carries, one `key=value` each, in exactly this order:
//!
//! | caveat | |
//! |---|---|
//! | `server=` | the virtual server; left out of a token of a shared realm |
//! | `path=`, `method=` — or `realm=` | what was sold |
//! | `valid_until=` | Unix seconds, the last second in which it is good; left out where it never expires |
//! | `uses=` | a count, or `unlimited`; **always there** |
//! | `amount_msat=` | only where the price is computed from the request: the most a request may cost |
//!
//! What follows was appended by a holder and can only narrow. This matters because anyone can append: were a
//! missing `uses=` to mean one use, the holder of such a token could append `uses=unlimited`, and nobody could tell
//! it from a minted one. So `uses=` is never left out, and the order says which caveats are ours: a `server=` or
//! `realm=` behind it can't turn a token of one kind into another. Every caveat that may be left out means "no
//! bound" when it is.
//!
//! A holder may append the same caveat again, a smaller `valid_until=`, `uses=` or `amount_msat=`, to a realm's
//! token also `server=`, `path=` and `method=`, and to any `preimage=` (Aperture's clients do). Anything else
//! refuses the token: unknown keys, wider or other values, third-party caveats.

use std::fmt;

use crate::macaroon::{Caveat, Macaroon};
use crate::payment::{Msat, Preimage, PreimageError};
pub use crate::terms::{MAX_PATH, Scope, Terms, Uses, encode_value};
use crate::terms::{is_path, is_value};

/// The keys of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `server=`
    Server,
    /// `path=`
    Path,
    /// `method=`
    Method,
    /// `realm=`
    Realm,
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
    const ALL: [Key; 8] = [
        Key::Server,
        Key::Path,
        Key::Method,
        Key::Realm,
        Key::ValidUntil,
        Key::Uses,
        Key::AmountMsat,
        Key::Preimage,
    ];

    /// As it is written, without `=`.
    pub fn name(self) -> &'static str {
        match self {
            Key::Server => "server",
            Key::Path => "path",
            Key::Method => "method",
            Key::Realm => "realm",
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
    /// `server path method`
    Request,
    /// `server realm`
    Realm,
    /// `realm`: of all virtual servers
    SharedRealm,
}

/// A token's caveats, the minted and the appended ones taken together. Values are as encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caveats {
    /// What was minted.
    pub sold_as: SoldAs,
    /// `server=`
    pub server: Option<String>,
    /// `path=`
    pub path: Option<String>,
    /// `method=`
    pub method: Option<String>,
    /// `realm=`
    pub realm: Option<String>,
    /// The smallest `valid_until=`: the last Unix second in which the token is good.
    pub valid_until: Option<u64>,
    /// The minted `valid_until=`.
    pub issued_valid_until: Option<u64>,
    /// The smallest `uses=`.
    pub uses: Uses,
    /// The smallest `amount_msat=`, in msat.
    pub amount: Option<Msat>,
    /// `preimage=`
    pub preimage: Option<Preimage>,
}

impl Caveats {
    /// Reads the caveats of a macaroon whose signature has been verified.
    ///
    /// # Errors
    /// The client's fault, unless the key is shared with other software that mints its own kind of macaroon.
    pub fn read(macaroon: &Macaroon) -> Result<Caveats, CaveatError> {
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
        let server = take(Key::Server).map(str::to_owned);
        let realm = take(Key::Realm).map(str::to_owned);
        let (path, method) = match realm {
            Some(_) => (None, None),
            None => (take(Key::Path).map(str::to_owned), take(Key::Method).map(str::to_owned)),
        };
        let sold_as = match (&server, &realm, &path, &method) {
            (Some(_), None, Some(_), Some(_)) => SoldAs::Request,
            (Some(_), Some(_), None, None) => SoldAs::Realm,
            (None, Some(_), None, None) => SoldAs::SharedRealm,
            _ => return Err(CaveatError::NotOurs),
        };
        let valid_until = take(Key::ValidUntil).map(|text| number(Key::ValidUntil, text)).transpose()?;
        let uses = take(Key::Uses).ok_or(CaveatError::NotOurs).and_then(uses)?;
        let caveats = Caveats {
            sold_as,
            server,
            path,
            method,
            realm,
            valid_until,
            issued_valid_until: valid_until,
            uses,
            amount: None,
            preimage: None,
        };
        Ok((caveats, rest))
    }

    /// Takes one more caveat in: it must be no wider than what there is.
    fn narrow(&mut self, key: Key, value: &str) -> Result<(), CaveatError> {
        let contradiction = Err(CaveatError::Contradiction(key));
        match key {
            Key::Server => same(&mut self.server, key, value),
            Key::Path => same(&mut self.path, key, value),
            Key::Method => same(&mut self.method, key, value),
            Key::Realm => match &self.realm {
                Some(realm) if realm == value => Ok(()),
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
            Key::Preimage => {
                let preimage = Preimage::from_hex(value).map_err(CaveatError::Preimage)?;
                if self.preimage.as_ref().is_some_and(|before| *before != preimage) {
                    return contradiction;
                }
                self.preimage = Some(preimage);
                Ok(())
            }
        }
    }

    /// Does the token cover a request to `server` for what is sold as `scope` there? `path` and `method` are
    /// those of the request (a HEAD as GET), also where a realm is sold: a holder may have narrowed to them.
    ///
    /// # Errors
    /// The client's fault: the first caveat that the request doesn't meet.
    pub fn covers(
        &self,
        server: &str,
        scope: Scope<'_>,
        path: &[u8],
        method: &str,
    ) -> Result<(), CaveatError> {
        let unmet = |key| Err(CaveatError::Unmet(key));
        if self.server.as_ref().is_some_and(|is| !is_value(is, server.as_bytes())) {
            return unmet(Key::Server);
        }
        match (self.sold_as, scope) {
            (SoldAs::Request, Scope::Request { .. }) => {}
            (SoldAs::Realm | SoldAs::SharedRealm, Scope::Realm { name, shared }) => {
                if !self.realm.as_ref().is_some_and(|is| is_value(is, name.as_bytes())) {
                    return unmet(Key::Realm);
                }
                if self.sold_as == SoldAs::SharedRealm && !shared {
                    return unmet(Key::Server);
                }
            }
            (SoldAs::Request, Scope::Realm { .. })
            | (SoldAs::Realm | SoldAs::SharedRealm, Scope::Request { .. }) => return unmet(Key::Realm),
        }
        if self.path.as_ref().is_some_and(|is| !is_path(is, path)) {
            return unmet(Key::Path);
        }
        if self.method.as_ref().is_some_and(|is| !is_value(is, method.as_bytes())) {
            return unmet(Key::Method);
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

/// A caveat as it is written.
type Pair<'a> = (Key, &'a str);

/// Splits `key=value`.
fn split(id: &[u8]) -> Result<Pair<'_>, CaveatError> {
    let text = std::str::from_utf8(id).map_err(|_| CaveatError::Unknown)?;
    let (name, value) = text.split_once('=').ok_or(CaveatError::Unknown)?;
    let key = Key::ALL.into_iter().find(|key| key.name() == name).ok_or(CaveatError::Unknown)?;
    Ok((key, value))
}

fn same(slot: &mut Option<String>, key: Key, value: &str) -> Result<(), CaveatError> {
    match slot {
        Some(before) if before != value => Err(CaveatError::Contradiction(key)),
        Some(_) => Ok(()),
        None => {
            *slot = Some(value.to_owned());
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
    /// The minted caveats are not in the order we write.
    NotOurs,
    /// A value that can't be read.
    BadValue(Key),
    /// A later caveat is wider than, or other than, an earlier one.
    Contradiction(Key),
    /// The request is not what the token was sold or narrowed to.
    Unmet(Key),
    /// The `preimage=` caveat holds no preimage.
    Preimage(PreimageError),
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
            CaveatError::Preimage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CaveatError {}
