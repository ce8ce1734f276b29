//! The origin and the route of a request, which its token is bound to.
use std::borrow::Cow;

use gate::Origin;

use crate::conf::Offer;
use crate::context::Client;
use crate::listen;
use crate::request::Request;

/// The shop that the client asked for.
pub fn of<'a>(r: &'a Request, offer: &'a Offer) -> Origin<'a> {
    if let Some(name) = &offer.origin {
        return Origin { name: name.as_bytes(), names: None, port: None };
    }
    let port = listen::told(r.local_port());
    let host = r.host();
    match offer.names.first().filter(|_| offer.names.iter().any(|name| **name == *host)) {
        Some(first) => Origin { name: first, names: Some(&offer.names), port },
        None => Origin { name: host, names: None, port },
    }
}

/// The place that rewrites and internal redirects led to, if it is another than the client's path names: another path, or
/// a named location.
pub fn route<'a>(r: &'a Request, client: &Client) -> Option<Cow<'a, [u8]>> {
    let path = r.path_bytes();
    let is_led = path != client.path();
    match (r.named_location(), is_led) {
        (None, false) => None,
        (None, true) => Some(Cow::Borrowed(path)),
        (Some(name), false) => Some(Cow::Borrowed(name)),
        (Some(name), true) => Some(Cow::Owned([name, b":", path].concat())),
    }
}
