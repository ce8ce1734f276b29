//! One HTTP exchange: what is asked, what comes back, and which redirects are followed.
//!
//! A token goes to the origin that it was bought from and to no other: with a token, a redirect is followed within the
//! origin only; without one it is followed anywhere, leaving the caller's own credentials behind.

use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, PROXY_AUTHORIZATION,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};

use crate::error::{Failure, Kind, with_causes};

const MAX_REDIRECTS: usize = 10;

/// What is asked.
#[derive(Clone)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// The caller's headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// The client. It uses no proxy, whatever the environment says, and trusts the system's certificate authorities.
#[derive(Debug)]
pub struct Web {
    client: Client,
}

impl Web {
    /// A client whose steps (connect, headers, each piece of the body) take at most `step` each.
    /// `plain`: http only, so that a system without certificate authorities is no obstacle.
    pub fn new(step: Duration, plain: bool) -> Result<Self, Failure> {
        let builder = || {
            Client::builder()
                .user_agent(concat!("l402/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .no_proxy()
                .connect_timeout(step)
                .read_timeout(step)
        };
        let client = match builder().build() {
            Err(_) if plain => builder().tls_certs_only([]).build(),
            other => other,
        };
        client.map(|client| Self { client }).map_err(|error| {
            let text = format!(
                "no TLS client can be made: {} (is the package ca-certificates installed?)",
                with_causes(&error)
            );
            Failure::new(Kind::Local, text)
        })
    }

    /// Asks with ecash (secret), which goes to this URL and follows no redirect out of its origin.
    pub async fn send_ecash(&self, ask: &Ask, url: &Url, token: &str) -> Result<Response, Failure> {
        let mut ask = ask.clone();
        let value = HeaderValue::from_str(token);
        let mut value = value.map_err(|_| Failure::new(Kind::Local, "the wallet holds no token"))?;
        value.set_sensitive(true);
        ask.headers.insert("x-cashu", value);
        let request = self.client.request(ask.method.clone(), url.clone()).headers(ask.headers);
        let request = ask.body.into_iter().fold(request, |request, body| request.body(body));
        request.send().await.map_err(|error| unreachable(url, error))
    }

    /// Asks, following redirects; with `authorization` (secret) only within the origin.
    pub async fn send(&self, ask: &Ask, url: &Url, authorization: Option<&str>) -> Result<Response, Failure> {
        let mut ask = ask.clone();
        if let Some(value) = authorization {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Failure::new(Kind::Unusable, "the server's token holds characters that no header may carry")
            })?;
            value.set_sensitive(true);
            ask.headers.insert(AUTHORIZATION, value);
        }
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request =
                self.client.request(ask.method.clone(), url.clone()).headers(ask.headers.clone());
            if let Some(body) = &ask.body {
                request = request.body(body.clone());
            }
            let response = request.send().await.map_err(|error| unreachable(&url, error))?;
            let Some(next) = redirect(&response) else { return Ok(response) };
            if next.origin() != url.origin() {
                if authorization.is_some() {
                    return Ok(response);
                }
                for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
                    ask.headers.remove(name);
                }
            }
            turn(&mut ask, response.status());
            url = next;
        }
        Err(Failure::new(
            Kind::Status,
            format!("the server redirected more than {MAX_REDIRECTS} times, last to {url}"),
        ))
    }
}

/// Where a response sends its reader: only to http and https.
fn redirect(response: &Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let next = response.url().join(location).ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

/// RFC 9110, 15.4: 303 turns into GET; 301 and 302 do so for POST, as every browser does.
fn turn(ask: &mut Ask, status: StatusCode) {
    let becomes_get = match status {
        StatusCode::SEE_OTHER => ask.method != Method::HEAD,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => ask.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        ask.method = Method::GET;
        ask.body = None;
        ask.headers.remove(reqwest::header::CONTENT_TYPE);
    }
}

/// A connection that failed: the text names the host, never a header.
pub fn unreachable(url: &Url, error: reqwest::Error) -> Failure {
    let host = url.origin().ascii_serialization();
    let what = if error.is_timeout() { "did not answer in time" } else { "can't be reached" };
    Failure::new(Kind::Network, format!("{host} {what}: {}", with_causes(&error.without_url())))
}

/// `Name: value` of the command line.
pub fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let parsed = text.split_once(':').and_then(|(name, value)| {
        Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?))
    });
    // The value may be a secret: only the name is told.
    let name = text.split(':').next().unwrap_or_default();
    parsed.ok_or_else(|| Failure::new(Kind::Usage, format!("--header {name:?}: 'Name: value' is expected")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_names_and_values() {
        let (name, value) = header("X-Thing: a: b").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-thing", "a: b"));
        for bad in ["no colon", ": v", "a b: c", "X: a\r\nY: b"] {
            assert_eq!(header(bad).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn a_redirected_post_turns_into_a_get_where_the_standard_says_so() {
        let ask = |method| Ask { method, headers: HeaderMap::new(), body: Some(vec![1]) };
        for (method, status, expected) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::PUT, 302, Method::PUT),
            (Method::PUT, 303, Method::GET),
            (Method::HEAD, 303, Method::HEAD),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
        ] {
            let mut turned = ask(method);
            turn(&mut turned, StatusCode::from_u16(status).unwrap());
            assert_eq!(turned.method, expected, "{status}");
            assert_eq!(turned.body.is_none(), expected == Method::GET);
        }
    }
}
