//! Where a token is good: the place that a request asks for, and the scope that a purchase has.

use reqwest::Url;
use serde::{Deserialize, Serialize};

/// What a request asks for. The query is no part of it: servers sell the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// scheme://host[:port]
    pub origin: String,
    /// The path.
    pub path: String,
    /// The method; HEAD is sold as GET.
    pub method: String,
}

impl Place {
    /// The place of a URL.
    pub fn of(url: &Url, method: &str) -> Self {
        let method = if method == "HEAD" { "GET" } else { method };
        Self {
            origin: url.origin().ascii_serialization(),
            path: url.path().to_owned(),
            method: method.to_owned(),
        }
    }
}

/// What a token was bought for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Scope {
    /// One path and method.
    Exact {
        /// scheme://host[:port]
        origin: String,
        /// The path.
        path: String,
        /// The method.
        method: String,
    },
    /// Whatever the server counts to a name: the `realm=` or `services=` caveat of the token.
    Named {
        /// scheme://host[:port]
        origin: String,
        /// The caveat, as it is written.
        name: String,
        /// The paths where it was seen to serve.
        paths: Vec<String>,
    },
}

impl Scope {
    /// The scope of one place.
    pub fn exact(place: &Place) -> Self {
        Self::Exact { origin: place.origin.clone(), path: place.path.clone(), method: place.method.clone() }
    }

    /// The scope of a name, as seen at a place.
    pub fn named(place: &Place, name: &str) -> Self {
        Self::Named { origin: place.origin.clone(), name: name.to_owned(), paths: vec![place.path.clone()] }
    }

    /// What the caveats of a token say it is for; without a word about it, the place where it was asked for.
    pub fn of_caveats<'a>(place: &Place, mut caveats: impl Iterator<Item = &'a str>) -> Self {
        match caveats.find(|caveat| caveat.starts_with("realm=") || caveat.starts_with("services=")) {
            Some(name) => Self::named(place, name),
            None => Self::exact(place),
        }
    }

    /// Whether a token of this scope is known to serve the place.
    pub fn serves(&self, place: &Place) -> bool {
        match self {
            Self::Exact { origin, path, method } => {
                *origin == place.origin && *path == place.path && *method == place.method
            }
            Self::Named { origin, paths, .. } => *origin == place.origin && paths.contains(&place.path),
        }
    }

    /// Whether two scopes are one, whatever paths were seen.
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named { origin: a, name: x, .. }, Self::Named { origin: b, name: y, .. }) => {
                a == b && x == y
            }
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str, method: &str) -> Place {
        Place::of(&url.parse().unwrap(), method)
    }

    #[test]
    fn a_place_is_origin_path_and_method() {
        let get = place("http://shop.test:80/a?x=1#y", "GET");
        assert_eq!(get, place("http://shop.test/a", "HEAD"));
        assert_ne!(get, place("https://shop.test/a", "GET"));
        assert_ne!(get, place("http://shop.test:8080/a", "GET"));
        assert!(Scope::exact(&get).serves(&get));
        assert!(!Scope::exact(&get).serves(&place("http://shop.test/a", "POST")));
    }

    #[test]
    fn the_caveats_name_the_scope() {
        let here = place("http://shop.test/a", "GET");
        let gold = Scope::of_caveats(&here, ["origin=shop.test", "realm=gold"].into_iter());
        assert_eq!(gold, Scope::named(&here, "realm=gold"));
        assert!(gold.same(&Scope::named(&place("http://shop.test/b", "GET"), "realm=gold")));
        assert!(!gold.same(&Scope::named(&place("http://evil.test/a", "GET"), "realm=gold")));
        assert_eq!(Scope::of_caveats(&here, ["path=/a", "method=GET"].into_iter()), Scope::exact(&here));
    }
}
