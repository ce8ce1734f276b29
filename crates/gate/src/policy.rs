//! What comes in: the operator's policy for a location, and the client's request.

use std::{fmt, net::Ipv6Addr};

use l402::credential;
use l402::{Msat, Names, Origin, Place, Scope, Terms, Uses};

use crate::step::ClientRate;

/// A name that several locations are sold under together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    /// As the operator wrote it.
    pub name: String,
    /// Does it span origins?
    pub shared: bool,
}

/// How a location sells itself.
#[derive(Clone, Debug)]
pub struct Policy<'a> {
    /// The shop that the request was sent to.
    pub origin: Origin<'a>,
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
    /// The location's name, under which a client's challenges are counted.
    pub location: &'a str,
    /// The rate of challenges for one client; `None` is any number.
    pub rate: Option<Rate>,
}

/// So many in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub limit: u32,
    /// In how many seconds.
    pub window_s: u32,
}

/// Look-ups that a client may have for each of its challenges.
const LOOK_UPS_PER_CHALLENGE: u32 = 10;

/// The rate of look-ups for one client where challenges are not limited.
const LOOK_UPS: Rate = Rate { limit: 2, window_s: 1 };

/// The name that a client is counted under. Of an IPv6 address the first 64 bits count: whoever has one has all of them.
fn client_name(address: &[u8]) -> String {
    let text = String::from_utf8_lossy(address);
    match text.parse::<Ipv6Addr>() {
        Ok(v6) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::")
        }
        Ok(_) | Err(_) => text.into_owned(),
    }
}

/// A client's request, as the client made it.
#[derive(Clone)]
pub struct Request<'a> {
    /// As sent; a HEAD is sold as GET.
    pub method: &'a str,
    /// The normalised path, before any internal redirect.
    pub path: &'a [u8],
    /// The place to which rewrites and internal redirects led the request before it was sold, if it is another one.
    pub route: Option<&'a [u8]>,
    /// The client's address as text.
    pub client: &'a [u8],
    /// The value of `Authorization`.
    pub authorization: Option<&'a [u8]>,
    /// The value of `Macaroon` or `Grpc-Metadata-Macaroon`.
    pub metadata_macaroon: Option<&'a [u8]>,
    /// The value of `X-Cashu`.
    pub ecash: Option<&'a [u8]>,
}

impl Request<'_> {
    /// The length of its credentials for us, ecash aside, in bytes.
    pub(crate) fn credential_bytes(&self) -> usize {
        let authorization = self.authorization.filter(|header| credential::names_l402(header));
        [authorization, self.metadata_macaroon].into_iter().flatten().map(<[u8]>::len).sum()
    }
}

/// Leaves the credentials out.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &String::from_utf8_lossy(self.path))
            .field("route", &self.route.map(String::from_utf8_lossy))
            .field("client", &String::from_utf8_lossy(self.client))
            .field("authorization", &self.authorization.map(|_| "redacted"))
            .field("metadata_macaroon", &self.metadata_macaroon.map(|_| "redacted"))
            .field("ecash", &self.ecash.map(|_| "redacted"))
            .finish()
    }
}

/// What is for sale to this request: of the two above, all that the decision looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sale<'a> {
    /// A HEAD is sold as GET.
    pub(crate) place: Place<'a>,
    pub(crate) realm: Option<&'a Realm>,
    /// Does the request use up some of what was bought? A HEAD needs a use that is left and takes none.
    pub(crate) draws: bool,
    pub(crate) price: Msat,
    computed_price: bool,
    timeout_s: u64,
    pub(crate) auto_detect: bool,
    uses: Uses,
    pub(crate) backend: &'a str,
    pub(crate) description: &'a str,
    location: &'a str,
    rate: Option<Rate>,
    client: &'a [u8],
}

impl<'a> Sale<'a> {
    pub(crate) fn new(policy: &Policy<'a>, request: &Request<'a>) -> Sale<'a> {
        let is_head = request.method == "HEAD";
        let method = if is_head { "GET" } else { request.method };
        Sale {
            place: Place { origin: policy.origin, path: request.path, method, route: request.route },
            realm: policy.realm,
            draws: !is_head,
            price: Msat(policy.amount_msat),
            computed_price: policy.computed_price,
            timeout_s: policy.timeout_s,
            auto_detect: policy.auto_detect,
            uses: policy.uses,
            backend: policy.backend,
            description: policy.description,
            location: policy.location,
            rate: policy.rate,
            client: request.client,
        }
    }

    /// What is sold.
    pub(crate) fn scope(&self) -> Scope<'a> {
        match self.realm {
            Some(realm) => Scope::Realm { name: &realm.name, shared: realm.shared },
            None => Scope::Request,
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

    /// The terms of a token minted at Unix second `now`. The amount that it names is the location's own price, also where
    /// another one was listed for the path and paid: it says which requests are bought.
    pub(crate) fn terms(&self, now: u64) -> Terms<'a> {
        let needs_amount = self.computed_price || self.realm.is_none() && self.place.route.is_some();
        Terms {
            place: self.place,
            scope: self.scope(),
            // A time-out that passes the end of time is none.
            valid_until: if self.timeout_s == 0 { None } else { now.checked_add(self.timeout_s) },
            uses: self.uses,
            amount: needs_amount.then_some(self.price),
        }
    }

    /// The rate of challenges for this client.
    pub(crate) fn challenge_rate(&self) -> Option<ClientRate> {
        let Rate { limit, window_s } = self.rate?;
        Some(ClientRate { key: format!("{} {}", self.location, client_name(self.client)), limit, window_s })
    }

    /// The rate of look-ups for this client.
    pub(crate) fn look_up_rate(&self) -> ClientRate {
        let client = client_name(self.client);
        match self.rate {
            Some(Rate { limit, window_s }) => ClientRate {
                key: format!("look-up {} {client}", self.location),
                limit: limit.saturating_mul(LOOK_UPS_PER_CHALLENGE),
                window_s,
            },
            None => {
                let Rate { limit, window_s } = LOOK_UPS;
                ClientRate { key: format!("look-up {client}"), limit, window_s }
            }
        }
    }
}

/// A [`Sale`] that outlives a suspension.
#[derive(Debug)]
pub(crate) struct OwnedSale {
    origin: OwnedOrigin,
    path: Vec<u8>,
    method: String,
    route: Option<Vec<u8>>,
    realm: Option<Realm>,
    draws: bool,
    price: Msat,
    computed_price: bool,
    timeout_s: u64,
    auto_detect: bool,
    uses: Uses,
    backend: String,
    description: String,
    location: String,
    rate: Option<Rate>,
    client: Vec<u8>,
}

#[derive(Debug)]
struct OwnedOrigin {
    name: Vec<u8>,
    names: Option<Names>,
    port: Option<u16>,
}

impl OwnedSale {
    pub(crate) fn of(sale: Sale<'_>) -> OwnedSale {
        let Place { origin, path, method, route } = sale.place;
        OwnedSale {
            origin: OwnedOrigin {
                name: origin.name.to_vec(),
                names: origin.names.cloned(),
                port: origin.port,
            },
            path: path.to_vec(),
            method: method.to_owned(),
            route: route.map(<[u8]>::to_vec),
            realm: sale.realm.cloned(),
            draws: sale.draws,
            price: sale.price,
            computed_price: sale.computed_price,
            timeout_s: sale.timeout_s,
            auto_detect: sale.auto_detect,
            uses: sale.uses,
            backend: sale.backend.to_owned(),
            description: sale.description.to_owned(),
            location: sale.location.to_owned(),
            rate: sale.rate,
            client: sale.client.to_vec(),
        }
    }

    pub(crate) fn borrow(&self) -> Sale<'_> {
        let OwnedOrigin { name, names, port } = &self.origin;
        Sale {
            place: Place {
                origin: Origin { name, names: names.as_ref(), port: *port },
                path: &self.path,
                method: &self.method,
                route: self.route.as_deref(),
            },
            realm: self.realm.as_ref(),
            draws: self.draws,
            price: self.price,
            computed_price: self.computed_price,
            timeout_s: self.timeout_s,
            auto_detect: self.auto_detect,
            uses: self.uses,
            backend: &self.backend,
            description: &self.description,
            location: &self.location,
            rate: self.rate,
            client: &self.client,
        }
    }
}
