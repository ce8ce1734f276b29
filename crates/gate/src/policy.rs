//! What comes in: the operator's policy for a location, and the client's request.

use std::{fmt, net::Ipv6Addr};

use l402::{Msat, Scope, Terms, Uses};

/// A name that several locations are sold under together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// As the operator wrote it.
    pub name: String,
    /// Does it span virtual servers?
    pub shared: bool,
}

/// How a location sells itself.
#[derive(Clone, Debug)]
pub struct Policy<'a> {
    /// The virtual server: its first `server_name`.
    pub server: &'a str,
    /// The realm; `None` sells each path by each method on its own.
    pub realm: Option<&'a Realm>,
    /// The price of this request in msat; 0 is a mistake of the operator's, never free.
    pub amount_msat: u64,
    /// Is the price computed from the request?
    pub computed_price: bool,
    /// A token's life in seconds; 0 is for ever.
    pub timeout_s: u64,
    /// Is a macaroon alone enough, so that l402d looks the settlement up?
    pub auto_detect: bool,
    /// How many requests one payment buys.
    pub uses: Uses,
    /// The backend that is paid, or several separated by a space, in the order in which they are asked.
    pub backend: &'a str,
    /// What the invoice says it is for.
    pub description: &'a str,
    /// How often this client may be challenged here.
    pub rate: Option<Rate<'a>>,
}

/// So many challenges in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate<'a> {
    /// Whose challenges are counted together: the location and the client.
    pub key: &'a str,
    /// How many.
    pub limit: u32,
    /// In how many seconds.
    pub window_s: u32,
}

/// The name that a client's challenges at a route are counted under. Of an IPv6 address the first 64 bits count: whoever
/// has one has all of them.
pub fn rate_key(route: &str, address: &[u8]) -> String {
    let text = String::from_utf8_lossy(address);
    match text.parse::<Ipv6Addr>() {
        Ok(v6) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{route} {a:x}:{b:x}:{c:x}:{d:x}::")
        }
        _ => format!("{route} {text}"),
    }
}

/// A client's request, as the client made it.
#[derive(Clone)]
pub struct Request<'a> {
    /// As sent; a HEAD is sold as GET.
    pub method: &'a str,
    /// The normalised path, before any internal redirect.
    pub path: &'a [u8],
    /// The value of `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The value of `Macaroon` or `Grpc-Metadata-Macaroon`.
    pub metadata_macaroon: Option<&'a [u8]>,
    /// The value of `X-Cashu`.
    pub ecash: Option<&'a [u8]>,
}

/// Leaves the credentials out.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &String::from_utf8_lossy(self.path))
            .field("authorization", &self.authorization.map(|_| "redacted"))
            .field("metadata_macaroon", &self.metadata_macaroon.map(|_| "redacted"))
            .field("ecash", &self.ecash.map(|_| "redacted"))
            .finish()
    }
}

/// What is for sale to this request: of the two above, all that the decision looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sale<'a> {
    pub(crate) server: &'a str,
    pub(crate) realm: Option<&'a Realm>,
    pub(crate) path: &'a [u8],
    pub(crate) method: &'a str,
    pub(crate) price: Msat,
    computed_price: bool,
    timeout_s: u64,
    pub(crate) auto_detect: bool,
    uses: Uses,
    pub(crate) backend: &'a str,
    pub(crate) description: &'a str,
    pub(crate) rate: Option<Rate<'a>>,
}

impl<'a> Sale<'a> {
    pub(crate) fn new(policy: &Policy<'a>, request: &Request<'a>) -> Sale<'a> {
        Sale {
            server: policy.server,
            realm: policy.realm,
            path: request.path,
            method: if request.method == "HEAD" { "GET" } else { request.method },
            price: Msat(policy.amount_msat),
            computed_price: policy.computed_price,
            timeout_s: policy.timeout_s,
            auto_detect: policy.auto_detect,
            uses: policy.uses,
            backend: policy.backend,
            description: policy.description,
            rate: policy.rate,
        }
    }

    /// What is sold.
    pub(crate) fn scope(&self) -> Scope<'a> {
        match self.realm {
            Some(realm) => Scope::Realm { name: &realm.name, shared: realm.shared },
            None => Scope::Request { path: self.path, method: self.method },
        }
    }

    /// What a payment by ecash buys, in words that differ wherever two sales do: the caveats of its token, whatever the
    /// time and the price.
    pub(crate) fn bought(&self) -> String {
        let terms = Terms { valid_until: None, amount: None, ..self.terms(0) };
        terms.caveats().join("\n")
    }

    /// Has what was bought at Unix second `at` expired at `now`?
    pub(crate) fn is_over(&self, at: u64, now: u64) -> bool {
        self.terms(at).valid_until.is_some_and(|end| end < now)
    }

    pub(crate) fn uses(&self) -> Uses {
        self.uses
    }

    /// The terms of a token minted at Unix second `now`. A computed price that it names is the location's own, also
    /// where another one was listed for the path and paid: it says which requests are bought.
    pub(crate) fn terms(&self, now: u64) -> Terms<'a> {
        Terms {
            server: self.server,
            scope: self.scope(),
            // A time-out that passes the end of time is none.
            valid_until: if self.timeout_s == 0 { None } else { now.checked_add(self.timeout_s) },
            uses: self.uses,
            amount: self.computed_price.then_some(self.price),
        }
    }
}

/// A [`Sale`] that outlives a suspension.
#[derive(Debug)]
pub(crate) struct OwnedSale {
    server: String,
    realm: Option<Realm>,
    path: Vec<u8>,
    method: String,
    price: Msat,
    computed_price: bool,
    timeout_s: u64,
    auto_detect: bool,
    uses: Uses,
    backend: String,
    description: String,
    /// Its key, and the rest.
    rate: Option<(String, u32, u32)>,
}

impl OwnedSale {
    pub(crate) fn of(sale: Sale<'_>) -> OwnedSale {
        OwnedSale {
            server: sale.server.to_owned(),
            realm: sale.realm.cloned(),
            path: sale.path.to_vec(),
            method: sale.method.to_owned(),
            price: sale.price,
            computed_price: sale.computed_price,
            timeout_s: sale.timeout_s,
            auto_detect: sale.auto_detect,
            uses: sale.uses,
            backend: sale.backend.to_owned(),
            description: sale.description.to_owned(),
            rate: sale.rate.map(|rate| (rate.key.to_owned(), rate.limit, rate.window_s)),
        }
    }

    pub(crate) fn borrow(&self) -> Sale<'_> {
        Sale {
            server: &self.server,
            realm: self.realm.as_ref(),
            path: &self.path,
            method: &self.method,
            price: self.price,
            computed_price: self.computed_price,
            timeout_s: self.timeout_s,
            auto_detect: self.auto_detect,
            uses: self.uses,
            backend: &self.backend,
            description: &self.description,
            rate: self.rate.as_ref().map(|(key, limit, window_s)| Rate {
                key,
                limit: *limit,
                window_s: *window_s,
            }),
        }
    }
}
