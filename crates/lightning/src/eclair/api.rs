//! The calls of Eclair's HTTP interface: form in, JSON out, and what its errors mean.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use settings::Secret;
use tokio::time::Instant;

use crate::LightningError;
use crate::connector::Found;
use crate::foreign::{Secrets, shown};
use crate::http::{self, Answer, Web};

/// What is sent as the user's name. Eclair does not read it; a proxy in front of it may need one (nginx refuses an empty one).
const USER: &str = "l402";

/// When to come back to a node that says it is not ready.
const NOT_READY_PAUSE: Duration = Duration::from_secs(2);

/// A call, by its name in Eclair's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    CreateInvoice,
    GetReceivedInfo,
    DeleteInvoice,
    GetInfo,
    Channels,
    /// The websocket.
    Ws,
}

impl Call {
    pub(super) fn name(self) -> &'static str {
        match self {
            Call::CreateInvoice => "createinvoice",
            Call::GetReceivedInfo => "getreceivedinfo",
            Call::DeleteInvoice => "deleteinvoice",
            Call::GetInfo => "getinfo",
            Call::Channels => "channels",
            Call::Ws => "ws",
        }
    }
}

/// The interface of one node.
pub(super) struct Api {
    client: Client,
    web: Web,
    base: Url,
    password: Secret<String>,
}

impl Api {
    pub(super) fn new(address: &str, password: &str) -> Result<Api, String> {
        let base: Url = address.parse().map_err(|error| format!("{address:?} is no address: {error}"))?;
        let host = base.host_str().unwrap_or_default();
        if !matches!(base.scheme(), "http" | "https") || host.is_empty() {
            return Err(format!("{address:?} is no address: expected http://host:port"));
        }
        let place = match base.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let client = http::client(base.scheme() == "https", |builder| builder)?;
        Ok(Api { client, web: Web::new(place), base, password: Secret::new(password.to_owned()) })
    }

    /// One call.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: Call,
        form: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<T, LightningError> {
        let answer = self.post(call, form, deadline).await?;
        read(call, &answer)
    }

    /// One look-up: what it found, or what it means that nothing was found.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        call: Call,
        form: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Result<T, Found>, LightningError> {
        let answer = self.post(call, form, deadline).await?;
        // Eclair answers with an error text of its own; any other server's page means that this is no Eclair.
        match (answer.status, error_text(&answer.body)) {
            (404, Some(_)) => Ok(Err(Found::Unknown)),
            (400 | 500, Some(text)) => Ok(Err(Found::Unclear(format!("{}: {text}", call.name())))),
            _ => read(call, &answer).map(Ok),
        }
    }

    /// One call that changes something and has nothing to tell; `false` where this Eclair does not know it, or where what
    /// stands before it does not let it through.
    pub(super) async fn tell(
        &self,
        call: Call,
        form: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<bool, LightningError> {
        let answer = self.post(call, form, deadline).await?;
        match answer.status {
            200 => Ok(true),
            403..=405 => Ok(false),
            status => Err(refusal(call, status, &answer.body)),
        }
    }

    /// The websocket's request, without the headers of its handshake.
    pub(super) fn websocket(&self) -> RequestBuilder {
        self.authorized(self.client.get(self.url(Call::Ws)))
    }

    pub(super) fn web(&self) -> &Web {
        &self.web
    }

    async fn post(
        &self,
        call: Call,
        form: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<Answer, LightningError> {
        let mut url = self.url(call);
        // The form's encoding is that of a query.
        let body = url.query_pairs_mut().clear().extend_pairs(form).finish().query().unwrap_or("").to_owned();
        let request = self.authorized(self.client.post(self.url(call)));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        self.web.exchange(request, deadline).await
    }

    fn url(&self, call: Call) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(call.name());
        }
        url
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(USER, Some(self.password.expose()))
    }

    /// The password, and the header that it is sent in.
    pub(super) fn secrets(&self) -> Secrets {
        let password = self.password.expose();
        Secrets::none().text(password).text(&format!("{USER}:{password}"))
    }
}

#[derive(Deserialize)]
struct ErrorText {
    error: String,
}

fn error_text(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|ErrorText { error }| shown(&error))
}

fn read<T: DeserializeOwned>(call: Call, answer: &Answer) -> Result<T, LightningError> {
    if answer.status != 200 {
        return Err(refusal(call, answer.status, &answer.body));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        // Without serde's excerpt of the answer, which could be a preimage.
        LightningError::Wrong(format!(
            "an answer to {} that can't be read (line {}, column {})",
            call.name(),
            error.line(),
            error.column()
        ))
    })
}

/// Turns an answer that is an error into ours.
pub(super) fn refusal(call: Call, status: u16, body: &[u8]) -> LightningError {
    let name = call.name();
    let text = error_text(body);
    let said = || text.clone().unwrap_or_else(|| format!("status {status}"));
    match (status, &text) {
        (401 | 403, _) => LightningError::Refused(
            "it does not accept the password; ECLAIR_PASSWORD has to be eclair.api.password of eclair.conf"
                .to_owned(),
        ),
        (404 | 405, None) => LightningError::Refused(format!(
            "it does not know {name} ({}); is eclair.api.enabled set, and is this the address of its API?",
            said()
        )),
        (404 | 405, Some(text)) => {
            LightningError::Refused(format!("it does not know {name}; is it a recent Eclair? ({text})"))
        }
        (408 | 504, _) => LightningError::TimedOut,
        (429 | 502 | 503, _) => LightningError::unavailable(format!("{name}: {}", said()), NOT_READY_PAUSE),
        (300..=399, _) => LightningError::Refused(format!(
            "{name}: it redirects (status {status}); write the address it means"
        )),
        (200..=299, _) => LightningError::Wrong(format!("{name}: an answer with status {status}")),
        _ => LightningError::Refused(format!("{name}: {}", said())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn whose_fault() {
        for (status, body, want) in [
            (401, r#"{"error":"The supplied authentication is invalid"}"#, "eclair.api.password"),
            (400, r#"{"error":"The form field 'amountMsat'\nwas malformed"}"#, "'amountMsat' was malformed"),
            (404, "<html>", "eclair.api.enabled"),
            (405, r#"{"error":"HTTP method not allowed"}"#, "recent Eclair"),
            (500, r#"{"error":"requirement failed"}"#, "createinvoice: requirement failed"),
            (301, "", "redirects"),
        ] {
            match refusal(Call::CreateInvoice, status, body.as_bytes()) {
                LightningError::Refused(text) => assert!(text.contains(want), "{status}: {text}"),
                other => panic!("{status}: {other:?}"),
            }
        }
        for status in [429, 502, 503] {
            let error = refusal(Call::GetInfo, status, b"");
            assert!(matches!(error, LightningError::Unavailable { .. }), "{status}: {error:?}");
        }
        assert_eq!(refusal(Call::GetInfo, 408, b""), LightningError::TimedOut);
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_repeated() {
        let answer = Answer { status: 200, body: br#"{"paymentPreimage":"abab"}"#.to_vec() };
        match read::<super::super::Created>(Call::CreateInvoice, &answer) {
            Err(LightningError::Wrong(text)) => assert!(!text.contains("abab"), "{text}"),
            other => panic!("{:?}", other.err()),
        }
    }

    #[test]
    fn addresses() {
        for (address, url) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/getinfo"),
            ("http://[::1]:8080/", "http://[::1]:8080/getinfo"),
            ("http://node.example/eclair", "http://node.example/eclair/getinfo"),
        ] {
            assert_eq!(Api::new(address, "p").unwrap().url(Call::GetInfo).as_str(), url);
        }
        for bad in ["node:8080", "ftp://node", "", "http://"] {
            assert!(Api::new(bad, "p").is_err(), "{bad}");
        }
    }
}
