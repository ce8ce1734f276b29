//! What a list of caveats allows, said a second time and naively: a macaroon is the conjunction of its caveats.

use l402::caveat::{MAX_PATH, encode_value};
use l402::{Scope, Uses};

/// A request and what it is sold as.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The virtual server.
    pub server: &'a str,
    /// The realm's name and whether servers share it; `None` where the path is sold.
    pub realm: Option<(&'a str, bool)>,
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
            None => Scope::Request { path: self.path, method: self.method },
        }
    }
}

/// Do these caveats, of a token that could be read, allow this request (its count of uses aside)?
pub fn allow(caveats: &[&str], asked: &Asked<'_>) -> bool {
    let sold_to_a_realm = has(caveats, "realm=");
    let of_all_servers = caveats.first().is_some_and(|first| first.starts_with("realm="));
    sold_to_a_realm == asked.realm.is_some()
        && (!of_all_servers || asked.realm.is_some_and(|(_, shared)| shared))
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
        "server" => value == encode_value(asked.server.as_bytes()),
        "path" => {
            let path = encode_value(asked.path);
            assert!(path.len() <= MAX_PATH);
            value == path
        }
        "method" => value == encode_value(asked.method.as_bytes()),
        "realm" => asked.realm.is_some_and(|(name, _)| value == encode_value(name.as_bytes())),
        "valid_until" => asked.now <= number(),
        "amount_msat" => asked.price <= number(),
        "uses" => value == "unlimited" || number() > 0,
        "preimage" => value.len() == 64,
        _ => panic!("a caveat that no one knows was read: {caveat:?}"),
    }
}
