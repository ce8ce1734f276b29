//! What a list of caveats allows, said a second time and naively: a macaroon is the conjunction of its caveats.

use l402::caveat::{MAX_PATH, encode_value};
use l402::{Names, Origin, Place, Scope, Uses};

/// A request and what it is sold as.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The name of the shop, at most [`MAX_PATH`] bytes when encoded.
    pub name: &'a str,
    /// All its names, each as short, where it has several.
    pub names: Option<&'a Names>,
    /// Its port, where it is named.
    pub port: Option<u16>,
    /// The realm's name and whether origins share it; `None` where the path is sold.
    pub realm: Option<(&'a str, bool)>,
    /// The place to which the configuration led the request; as short as the path.
    pub route: Option<&'a [u8]>,
    /// At most [`MAX_PATH`] bytes when encoded.
    pub path: &'a [u8],
    /// Never HEAD.
    pub method: &'a str,
    /// Unix seconds.
    pub now: u64,
    /// In msat.
    pub price: u64,
}

impl<'a> Asked<'a> {
    /// The same, as crate l402 has it.
    pub fn scope(&self) -> Scope<'a> {
        match self.realm {
            Some((name, shared)) => Scope::Realm { name, shared },
            None => Scope::Request,
        }
    }

    /// The same, as crate l402 has it.
    pub fn place(&self) -> Place<'a> {
        let origin = Origin { name: self.name.as_bytes(), names: self.names, port: self.port };
        Place { origin, path: self.path, method: self.method, route: self.route }
    }
}

/// Do these caveats, of a token that could be read, allow this request (its count of uses aside)?
pub fn allow(caveats: &[&str], asked: &Asked<'_>) -> bool {
    let sold_to_a_realm = has(caveats, "realm=");
    let of_all_origins = caveats.first().is_some_and(|first| first.starts_with("realm="));
    let follows_the_route = sold_to_a_realm || has(caveats, "route=") == asked.route.is_some();
    sold_to_a_realm == asked.realm.is_some()
        && (!of_all_origins || asked.realm.is_some_and(|(_, shared)| shared))
        && follows_the_route
        && caveats.iter().all(|caveat| meets(caveat, asked))
}

/// The least of the counts of uses.
pub fn uses(caveats: &[&str]) -> Uses {
    let counts = caveats.iter().filter_map(|caveat| caveat.strip_prefix("uses=")?.parse().ok());
    counts.min().map_or(Uses::Unlimited, Uses::Limited)
}

/// Is there a caveat of that key?
pub fn has(caveats: &[&str], key: &str) -> bool {
    caveats.iter().any(|caveat| caveat.starts_with(key))
}

fn meets(caveat: &str, asked: &Asked<'_>) -> bool {
    let (key, value) = caveat.split_once('=').expect("a caveat that was read is key=value");
    let number = || value.parse::<u64>().expect("a count that was read is a number");
    match key {
        "origin" => {
            let port = asked.port.map(|port| format!(":{port}")).unwrap_or_default();
            let of = |name: &[u8]| short(name) + &port;
            let names = asked.names.into_iter().flat_map(|names| names.iter());
            value == of(asked.name.as_bytes()) || names.into_iter().any(|name| value == of(name))
        }
        "path" => value == short(asked.path),
        "route" => asked.route.is_some_and(|route| value == short(route)),
        "method" => value == encode_value(asked.method.as_bytes()),
        "realm" => asked.realm.is_some_and(|(name, _)| value == encode_value(name.as_bytes())),
        "valid_until" => asked.now <= number(),
        "amount_msat" => asked.price <= number(),
        "uses" => value == "unlimited" || number() > 0,
        "preimage" => true,
        _ => panic!("a caveat that no one knows was read: {caveat:?}"),
    }
}

fn short(bytes: &[u8]) -> String {
    let written = encode_value(bytes);
    assert!(written.len() <= MAX_PATH);
    written
}
