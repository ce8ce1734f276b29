//! The calls of a mint's HTTP API (NUT-01 to NUT-09), and whose word an answer is: the mint's, or that of something before it.
//!
//! Only a JSON body with an error code is the mint's word. Whatever else comes with a status that is no success, a firewall's page
//! or a rate limit, says nothing about ecash: it is a [`Fault`], and the call may be repeated.

use std::time::Duration;

use cdk::error::ErrorCode;
use cdk::mint_url::MintUrl;
use cdk::nuts::nut23::{MeltQuoteBolt11Request, MeltQuoteBolt11Response};
use cdk::nuts::{
    CheckStateRequest, CheckStateResponse, Id, KeySet, KeysResponse, MeltRequest, RestoreRequest,
    RestoreResponse, SwapRequest, SwapResponse,
};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::foreign::{foreign_bytes, foreign_text};

/// The largest answer: far more than any call here has, little enough to bound what a mint can cost us.
const LARGEST: usize = 256 * 1024;
/// How long a mint is left alone that limits how often it is asked and does not say for how long.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest time that it is left alone for, whatever it says.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A mint's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Its code is of the list of NUT-00.
    Known(ErrorCode, String),
    /// Its code is not.
    Unknown(String),
    /// The request is longer than the mint takes, or what stands before it (HTTP 413). It was not acted upon.
    TooLarge,
}

impl Word {
    /// What it says, fit for a log.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Known(code, detail) => format!("{detail} (code {code})"),
            Self::Unknown(detail) => detail.clone(),
            Self::TooLarge => "the request is too large (HTTP 413)".into(),
        }
    }

    /// Whether the mint takes fewer proofs or outputs in one request.
    pub(crate) fn is_of_size(&self) -> bool {
        match self {
            Self::Known(code, _) => {
                matches!(code, ErrorCode::MaxInputsExceeded | ErrorCode::MaxOutputsExceeded)
            }
            Self::TooLarge => true,
            Self::Unknown(_) => false,
        }
    }
}

/// Why there is no answer of the mint's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What went wrong, fit for a log.
    pub(crate) reason: String,
    /// How long the mint is to be left alone.
    pub(crate) pause: Option<Duration>,
}

impl Fault {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), pause: None }
    }
}

/// An answer of a mint's: what was asked for, or its error.
pub(crate) type Answer<T> = Result<Result<T, Word>, Fault>;

/// The API of one mint.
pub(crate) struct Api {
    url: MintUrl,
    client: Client,
}

impl Api {
    pub(crate) fn new(url: MintUrl, client: Client) -> Self {
        Self { url, client }
    }

    /// All keysets of the mint, each as its JSON says (NUT-02).
    pub(crate) async fn keysets(&self) -> Answer<Vec<Value>> {
        let list = |mut told: Value| match told["keysets"].take() {
            Value::Array(keysets) => Ok(keysets),
            _ => Err(Fault::new("its list of keysets is none")),
        };
        match self.get::<Value>(&["v1", "keysets"]).await? {
            Ok(told) => Ok(Ok(list(told)?)),
            Err(word) => Ok(Err(word)),
        }
    }

    /// A keyset with its keys (NUT-01).
    pub(crate) async fn keyset(&self, id: Id) -> Answer<KeySet> {
        match self.get::<KeysResponse>(&["v1", "keys", &id.to_string()]).await? {
            Ok(told) => {
                let found = told.keysets.into_iter().find(|keyset| keyset.id == id);
                Ok(Ok(found.ok_or_else(|| Fault::new(format!("it gives no keys of its keyset {id}")))?))
            }
            Err(word) => Ok(Err(word)),
        }
    }

    /// What the mint says about itself, as its JSON says (NUT-06).
    pub(crate) async fn info(&self) -> Answer<Value> {
        self.get(&["v1", "info"]).await
    }

    /// NUT-03
    pub(crate) async fn swap(&self, request: &SwapRequest) -> Answer<SwapResponse> {
        self.post(&["v1", "swap"], request).await
    }

    /// NUT-07
    pub(crate) async fn check_state(&self, request: &CheckStateRequest) -> Answer<CheckStateResponse> {
        self.post(&["v1", "checkstate"], request).await
    }

    /// NUT-09
    pub(crate) async fn restore(&self, request: &RestoreRequest) -> Answer<RestoreResponse> {
        self.post(&["v1", "restore"], request).await
    }

    /// NUT-05, NUT-23
    pub(crate) async fn melt_quote(
        &self,
        request: &MeltQuoteBolt11Request,
    ) -> Answer<MeltQuoteBolt11Response<String>> {
        self.post(&["v1", "melt", "quote", "bolt11"], request).await
    }

    /// NUT-05, NUT-23
    pub(crate) async fn melt_quote_state(&self, quote: &str) -> Answer<MeltQuoteBolt11Response<String>> {
        self.get(&["v1", "melt", "quote", "bolt11", quote]).await
    }

    /// NUT-05, NUT-08, NUT-23
    pub(crate) async fn melt(
        &self,
        request: &MeltRequest<String>,
    ) -> Answer<MeltQuoteBolt11Response<String>> {
        self.post(&["v1", "melt", "bolt11"], request).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Answer<T> {
        self.exchange(Method::GET, path, None).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Answer<T> {
        let body = serde_json::to_vec(body).map_err(|_| Fault::new("a request can't be written"))?;
        self.exchange(Method::POST, path, Some(body)).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Vec<u8>>,
    ) -> Answer<T> {
        let url = self.url.join_paths(path).map_err(|_| Fault::new("its address can't be used"))?;
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| Fault::new(innermost(&error)))?;
        let (status, pause) = (response.status().as_u16(), pause_of(&response));
        let body = match read(response).await {
            Ok(body) => body,
            Err(reason) => return Err(Fault { reason: format!("HTTP {status}, {reason}"), pause }),
        };
        understood(status, pause, &body)
    }
}

/// Reads a body that is not too long.
async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| innermost(&error))? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("an answer of more than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an answer means.
fn understood<T: DeserializeOwned>(status: u16, pause: Option<Duration>, body: &[u8]) -> Answer<T> {
    match status {
        200..=299 => serde_json::from_slice(body).map(Ok).map_err(|error| {
            let reason = format!("its answer can't be read: {}", foreign_text(&error.to_string()));
            Fault::new(reason)
        }),
        413 => Ok(Err(Word::TooLarge)),
        // What they say is about the request's time, or about who stands before the mint.
        408 | 425 | 429 | 502..=504 => Err(not_the_mints(status, pause, body)),
        _ => word(body).map(Err).ok_or_else(|| not_the_mints(status, pause, body)),
    }
}

fn not_the_mints(status: u16, pause: Option<Duration>, body: &[u8]) -> Fault {
    let reason = format!("HTTP {status} with no answer of a mint's: {}", foreign_bytes(body));
    Fault { reason, pause: pause.or_else(|| (status == 429).then_some(PAUSE)) }
}

/// The error body of NUT-00, if it is one.
fn word(body: &[u8]) -> Option<Word> {
    let told: Value = serde_json::from_slice(body).ok()?;
    let number = told.get("code")?.as_i64()?;
    let detail = foreign_text(told["detail"].as_str().unwrap_or_default());
    match u16::try_from(number).map(ErrorCode::from_code) {
        // cdk's name for a fault of its own.
        Ok(ErrorCode::Unknown(_) | ErrorCode::ConcurrentUpdate) | Err(_) => {
            Some(Word::Unknown(format!("{detail} (code {number})")))
        }
        Ok(code) => Some(Word::Known(code, detail)),
    }
}

/// How long the other side asks to be left alone, in whole seconds (RFC 9110 §10.2.3). A date counts for nothing: clocks differ.
fn pause_of(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(Duration::from_secs(1), LONGEST_PAUSE))
}

/// The cause at the bottom: what the layers above say of it names no more.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    foreign_text(&cause.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(status: u16, body: &str) -> Answer<Value> {
        understood(status, None, body.as_bytes())
    }

    #[test]
    fn only_an_error_body_with_a_known_code_is_a_refusal() {
        let spent = told(400, r#"{"detail": "Token already spent", "code": 11001}"#).unwrap().unwrap_err();
        assert_eq!(spent, Word::Known(ErrorCode::TokenAlreadySpent, "Token already spent".into()));
        for (status, body) in [
            (400, r#"{"detail": "x", "code": 0}"#),
            (403, r#"{"code": 403}"#),
            (500, r#"{"detail": "x", "code": 50000}"#),
            (400, r#"{"detail": "x", "code": -1}"#),
            (400, r#"{"detail": ["x"], "code": 999999}"#),
        ] {
            assert!(matches!(told(status, body), Ok(Err(Word::Unknown(_)))), "{status} {body}");
        }
        for (status, body) in [
            (403, "<html>403</html>"),
            (404, r#"{"detail": "Not Found"}"#),
            (405, r#"{"detail": "Method Not Allowed"}"#),
            (400, r#"{"code": "11001", "detail": "x"}"#),
            (400, ""),
            (429, r#"{"detail": "x", "code": 11001}"#),
            (502, r#"{"detail": "x", "code": 11001}"#),
            (301, ""),
            (200, "<html>"),
        ] {
            assert!(told(status, body).is_err(), "{status} {body}");
        }
        assert_eq!(told(413, "<html>").unwrap(), Err(Word::TooLarge));
        assert_eq!(told(200, "{}").unwrap(), Ok(serde_json::json!({})));
    }

    #[test]
    fn who_limits_how_often_it_is_asked_is_left_alone() {
        assert_eq!(told(429, "").unwrap_err().pause, Some(PAUSE));
        let asked = Some(Duration::from_secs(7));
        assert_eq!(understood::<Value>(503, asked, b"").unwrap_err().pause, asked);
        assert_eq!(told(503, "").unwrap_err().pause, None);
    }

    #[test]
    fn what_a_mint_says_is_bounded_and_on_one_line() {
        let long = format!(r#"{{"code": 10001, "detail": "a\n{}"}}"#, "b ".repeat(100_000));
        let word = told(400, &long).unwrap().unwrap_err().text();
        assert!(word.len() < 300 && word.starts_with("a\\nb"), "{word}");
        let fault = told(403, &"\n\u{1b}".repeat(100_000)).unwrap_err().reason;
        assert!(fault.len() < 3000 && !fault.contains(['\n', '\u{1b}']), "{fault}");
    }
}
