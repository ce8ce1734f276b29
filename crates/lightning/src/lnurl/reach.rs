//! Where requests go: to the address that the operator wrote, and to public addresses, nowhere else.
//!
//! The wallet's server names the URLs of its callback and its look-ups, and may redirect. Whatever it names, it can't make
//! this host ask something of its own network (the cloud's metadata, a router, another service on this machine): the
//! operator's own origin is reached wherever it is; any other one by https only, and only at public addresses, which are
//! checked after the name is resolved, for the very connection that is made.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use reqwest::{Client, Proxy, Url};
use tokio::time::Instant;

use crate::LightningError;
use crate::http::{self, Answer, Web};

/// Redirects that are followed: a domain of one's own is often passed on to a wallet's.
const MAX_REDIRECTS: usize = 4;

/// The longest URL that a wallet may name, bytes: it is stored.
const LONGEST_URL: usize = 1024;

/// Other servers whose outages are remembered.
const MOST_SERVERS: usize = 64;

/// A Lightning address.
pub(super) struct Address {
    /// As people write it: `user@host`.
    pub(super) name: String,
    /// What it stands for (LUD-16).
    pub(super) url: Url,
}

impl Address {
    /// Reads `user@host[:port]`, with `http://` or `https://` in front if need be. Without, it is https, and http for an
    /// `.onion`.
    pub(super) fn parse(text: &str) -> Result<Address, String> {
        let bad = || format!("{text:?} is no Lightning address: expected user@host");
        let (scheme, name) = match text.split_once("://") {
            Some((scheme, name)) => (Some(scheme), name),
            None => (None, text),
        };
        let (user, host) = name.split_once('@').ok_or_else(bad)?;
        let bare = host.split(':').next().unwrap_or_default();
        let scheme = scheme.unwrap_or(if bare.ends_with(".onion") { "http" } else { "https" });
        let mut url: Url = format!("{scheme}://{host}").parse().map_err(|_| bad())?;
        let fits = matches!(scheme, "http" | "https") && !user.is_empty() && url.path() == "/";
        if !fits {
            return Err(bad());
        }
        url.path_segments_mut().map_err(|()| bad())?.clear().extend([".well-known", "lnurlp", user]);
        Ok(Address { name: name.to_owned(), url })
    }
}

/// The ways to the servers of one wallet.
pub(super) struct Reach {
    /// To the operator's own origin.
    own: (Client, Arc<Web>),
    /// To any other.
    other: Client,
    /// The outages of others, by host: one that is down holds up no other.
    others: Mutex<HashMap<String, Arc<Web>>>,
    origin: Url,
}

impl Reach {
    pub(super) fn new(address: &Address, socks5: Option<&str>) -> Result<Reach, String> {
        let origin = address.url.clone();
        let host = origin.host_str().unwrap_or_default().to_owned();
        let proxy = socks5.map(|proxy| Proxy::all(format!("socks5h://{proxy}")));
        let proxy = proxy.transpose().map_err(|error| format!("no proxy: {error}"))?;
        let through = |builder: reqwest::ClientBuilder| match &proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder,
        };
        let secure = origin.scheme() == "https";
        let own = http::client(secure, through)?;
        let other = |tls| http::client(tls, |builder| through(builder.dns_resolver(PublicOnly)));
        // A server of this network may name others by https; a system without authorities can't ask those.
        let other = other(true).or_else(|error| if secure { Err(error) } else { other(false) })?;
        Ok(Reach { own: (own, Arc::new(Web::new(host))), other, others: Mutex::default(), origin })
    }

    /// Asks `url`, following redirects.
    pub(super) async fn get(&self, url: &Url, deadline: Instant) -> Result<Answer, LightningError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let (client, web) = self.way(&url).map_err(LightningError::Refused)?;
            let response = web.begin(client.get(url.clone()), deadline).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return web.finish(response, deadline).await;
            }
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = next.ok_or_else(|| LightningError::Wrong("a redirect to nowhere".to_owned()))?;
        }
        Err(LightningError::Refused(format!("it redirects more than {MAX_REDIRECTS} times")))
    }

    /// Reads a URL that the wallet names, and says why it must not be asked if so.
    pub(super) fn check(&self, text: &str) -> Result<Url, String> {
        if text.len() > LONGEST_URL {
            return Err(format!("it is longer than {LONGEST_URL} bytes"));
        }
        let url: Url = text.parse().map_err(|_| "it is no URL".to_owned())?;
        self.may_ask(&url).map(|_| url)
    }

    /// How `url` is reached; else why not.
    fn way(&self, url: &Url) -> Result<(&Client, Arc<Web>), String> {
        if self.may_ask(url)? == Side::Own {
            return Ok((&self.own.0, self.own.1.clone()));
        }
        let host = url.host_str().unwrap_or_default();
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() >= MOST_SERVERS && !others.contains_key(host) {
            others.clear();
        }
        let web = others.entry(host.to_owned()).or_insert_with(|| {
            let own = self.origin.host_str().unwrap_or_default();
            Arc::new(Web::new(format!("{host}, which {own} names")))
        });
        Ok((&self.other, web.clone()))
    }

    /// Whose `url` is; else why it must not be asked.
    fn may_ask(&self, url: &Url) -> Result<Side, String> {
        let host = url.host_str().unwrap_or_default();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("the URL that it names at {host} holds a user name"));
        }
        if url.origin() == self.origin.origin() {
            return Ok(Side::Own);
        }
        let onion = host.ends_with(".onion") && self.origin.scheme() == "http";
        if url.scheme() == "http"
            && self.origin.scheme() == "https"
            && url.host_str() == self.origin.host_str()
        {
            return Err(format!(
                "it names itself by http://{host}, and is reached by https: the TLS proxy in front of it has to send \
                 X-Forwarded-Proto: https, and the server to heed it"
            ));
        }
        if url.scheme() != "https" && !(onion && url.scheme() == "http") {
            return Err(format!("it names an address at {host} that is not https"));
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if literal.is_ok_and(|address| !is_public(address)) {
            return Err(format!("it names {host}, which is no public address"));
        }
        Ok(Side::Other)
    }
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// The operator's own origin.
    Own,
    /// Another server.
    Other,
}

/// Resolves names to their public addresses only.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(format!("{} is at no public address", name.as_str()).into());
            }
            Ok(Box::new(public.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Whether an address is one that the whole world can reach (the special-purpose registries of IANA).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (b & 0xc0) == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b & 0xfe) == 18))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Global unicast is 2000::/3. Within it: 6to4 and Teredo, which stand for other addresses, and what is for documents.
    let [first, second, ..] = segments;
    (first & 0xe000) == 0x2000
        && first != 0x2002
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && first != 0x3fff
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses() {
        for (text, url) in [
            ("alice@example.com", "https://example.com/.well-known/lnurlp/alice"),
            ("alice@example.com:8443", "https://example.com:8443/.well-known/lnurlp/alice"),
            ("bob@abcdef.onion", "http://abcdef.onion/.well-known/lnurlp/bob"),
            ("http://alice@127.0.0.1:5000", "http://127.0.0.1:5000/.well-known/lnurlp/alice"),
            ("a/../b@example.com", "https://example.com/.well-known/lnurlp/a%2F..%2Fb"),
        ] {
            assert_eq!(Address::parse(text).unwrap().url.as_str(), url);
        }
        for bad in ["", "alice", "@example.com", "alice@", "ftp://alice@example.com", "alice@example.com/x"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wallet_on_the_internet_points_to_the_internet_only() {
        let reach = Reach::new(&Address::parse("alice@example.com").unwrap(), None).unwrap();
        for good in [
            "https://example.com/x",
            "https://wallet.example/x?y",
            "https://8.8.8.8/x",
            "https://[2606:4700::1]/",
        ] {
            assert!(reach.check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/x",
            "http://wallet.example/x",
            "https://127.0.0.1/x",
            "https://0x7f.1/x",
            "https://2130706433/x",
            "https://[::1]/x",
            "https://[::ffff:10.0.0.1]/x",
            "https://169.254.169.254/latest/meta-data/",
            "https://user@wallet.example/",
            "file:///etc/passwd",
            "gopher://wallet.example/",
            "nowhere",
        ] {
            assert!(reach.check(bad).is_err(), "{bad}");
        }
        assert!(reach.check(&format!("https://wallet.example/{}", "x".repeat(1024))).is_err());
    }

    #[test]
    fn a_wallet_on_this_host_points_to_itself_or_to_the_internet() {
        let reach = Reach::new(&Address::parse("http://alice@127.0.0.1:5000").unwrap(), None).unwrap();
        for good in ["http://127.0.0.1:5000/verify", "https://wallet.example/"] {
            assert!(reach.check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://127.0.0.1:5001/",
            "https://127.0.0.1:5000/",
            "http://localhost:5000/",
            "http://[::1]:5000/",
        ] {
            assert!(reach.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_addresses() {
        for public in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2a00:1450::1", "2606:4700:4700::1111"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inner in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.1.1.1",
            "169.254.1.1",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:1.1.1.1",
            "64:ff9b::a00:1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
    }

    #[tokio::test]
    async fn a_name_of_this_host_is_no_public_address() {
        let refused = PublicOnly.resolve("localhost".parse().unwrap()).await.err().unwrap();
        assert!(refused.to_string().contains("no public address"), "{refused}");
    }
}
