//! HTTP to a wallet: one exchange within a deadline, an answer of bounded size, back-off when no connection can be made.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::{Instant, timeout_at};

use crate::LightningError;
use crate::pause::{FIRST_PAUSE, Gate};

/// The largest answer: far more than any call here has, little enough to bound what a wallet can cost us.
const LARGEST: usize = 256 * 1024;

/// Connections to one wallet.
pub(crate) struct Web {
    gate: Gate,
    /// What errors call the other side; holds no secret.
    place: String,
}

/// What came back.
pub(crate) struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Web {
    /// For a wallet that errors call `place`.
    pub(crate) fn new(place: impl Into<String>) -> Web {
        Web { gate: Gate::default(), place: place.into() }
    }

    /// One exchange.
    ///
    /// # Errors
    /// [`LightningError::Unavailable`] or [`LightningError::TimedOut`]; whatever the other side answers is no error here.
    pub(crate) async fn exchange(
        &self,
        request: RequestBuilder,
        deadline: Instant,
    ) -> Result<Answer, LightningError> {
        let response = self.begin(request, deadline).await?;
        self.finish(response, deadline).await
    }

    /// As [`Web::exchange`], the body of an answer that has begun.
    pub(crate) async fn finish(
        &self,
        mut response: Response,
        deadline: Instant,
    ) -> Result<Answer, LightningError> {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= LARGEST => body.extend_from_slice(&chunk),
                Ok(Ok(Some(_))) => {
                    let text = format!("an answer of more than {LARGEST} bytes");
                    return Err(LightningError::Wrong(text));
                }
                Ok(Ok(None)) => return Ok(Answer { status, body }),
                Ok(Err(error)) => return Err(self.lost(&error)),
                Err(_) => return Err(LightningError::TimedOut),
            }
        }
    }

    /// As [`Web::exchange`], up to the head of the answer.
    pub(crate) async fn begin(
        &self,
        request: RequestBuilder,
        deadline: Instant,
    ) -> Result<Response, LightningError> {
        self.gate.pass()?;
        match timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => {
                self.gate.answered();
                Ok(response)
            }
            Ok(Err(error)) if error.is_connect() => {
                let text = format!("no connection to {}: {}", self.place, innermost(&error));
                let pause = self.gate.failed(&text);
                Err(LightningError::unavailable(text, pause))
            }
            Ok(Err(error)) => Err(self.lost(&error)),
            Err(_) => Err(LightningError::TimedOut),
        }
    }

    fn lost(&self, error: &reqwest::Error) -> LightningError {
        let text = format!("the connection to {} was lost: {}", self.place, innermost(error));
        LightningError::unavailable(text, FIRST_PAUSE)
    }
}

/// A client that follows no redirect and uses no proxy of the environment. `tls`: whether it has to trust the system's
/// certificate authorities; without, a system that has none is no obstacle.
///
/// # Errors
/// The operator's: the system's certificate authorities can't be read.
pub(crate) fn client(tls: bool, more: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<Client, String> {
    let builder = Client::builder()
        .user_agent(concat!("l402d/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .http1_only()
        .tls_backend_preconfigured(tls_config(tls)?);
    more(builder).build().map_err(|error| format!("no HTTP client can be made: {}", innermost(&error)))
}

fn tls_config(system: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = match system {
        true => builder.with_platform_verifier().map_err(|error| {
            format!(
                "the system's certificate authorities can't be read: {error} (is ca-certificates installed?)"
            )
        })?,
        false => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

/// The cause at the bottom: what the layers above say of it names no more.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// From now on, by a call that may take so long.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout
}
