//! clnrest: `POST https://host:3010/v1/<method>` with a rune.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::time::Instant;

use super::link::Failure;
use super::refusal::Method;
use super::rpc;
use crate::LightningError;
use crate::foreign::shown;
use crate::http::{Web, client, innermost};
use crate::pause::FIRST_PAUSE;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);

/// clnrest's interface.
pub(super) struct Rest {
    web: Web,
    client: Client,
    base: Url,
    /// The rune as a header, whose `Debug` does not show it.
    rune: HeaderValue,
}

impl Rest {
    /// At `host:port`. Without a certificate, the system's authorities vouch for clnrest.
    ///
    /// # Errors
    /// The operator's: an address, rune or certificate that is none.
    pub(super) fn new(address: &str, rune: &str, certificate: Option<&[u8]>) -> Result<Rest, String> {
        let base = Url::parse(&format!("https://{address}/v1/"))
            .map_err(|_| "the address of clnrest is none".to_owned())?;
        let mut rune = HeaderValue::from_str(rune).map_err(|_| "the rune is none".to_owned())?;
        rune.set_sensitive(true);
        let client = match certificate {
            None => client(true, |builder| builder.pool_idle_timeout(IDLE))?,
            Some(pem) => {
                let config = trusting(pem)?;
                client(false, |builder| builder.tls_backend_preconfigured(config).pool_idle_timeout(IDLE))?
            }
        };
        let web = Web::new(format!("clnrest at {address}"));
        Ok(Rest { web, client, base, rune })
    }

    pub(super) async fn call(
        &self,
        method: Method,
        params: &Value,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let url = self.base.join(method.name()).map_err(|error| {
            Failure::NoAnswer(LightningError::Refused(format!("the address of clnrest: {error}")))
        })?;
        let request = self.client.post(url).header("Rune", self.rune.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(params.to_string());
        let answer = self.web.exchange(request, deadline).await.map_err(Failure::NoAnswer)?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match answer.status {
            200..=299 if body.is_object() => Ok(body),
            200..=299 => {
                Err(Failure::NoAnswer(LightningError::Wrong("an answer that is no JSON".to_owned())))
            }
            // From something in front of clnrest.
            status @ (429 | 502..=504) => {
                let text = format!("HTTP status {status}");
                Err(Failure::NoAnswer(LightningError::unavailable(text, FIRST_PAUSE)))
            }
            // clnrest's own word for lightningd's silence: an error without a number.
            status @ 500..=599 if body["code"].as_i64().is_none() => {
                let said = body["message"].as_str().unwrap_or_default();
                let text =
                    format!("{}: clnrest answers HTTP status {status}: {}", method.name(), shown(said));
                Err(Failure::NoAnswer(LightningError::unavailable(text, FIRST_PAUSE)))
            }
            status => {
                let mut error = rpc::error(&body);
                if error.message.is_empty() {
                    error.message = format!("HTTP status {status}");
                }
                if matches!(status, 401 | 403) && error.code == 0 {
                    error.code = super::refusal::NOT_AUTHORIZED;
                }
                Err(Failure::Answer(error))
            }
        }
    }
}

/// TLS that trusts these certificates and no others, and only for the names that they are for.
fn trusting(pem: &[u8]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("the certificate can't be read: {error}"))?;
        // Of a bundle of many authorities some may be of a form that nobody can use.
        roots.add_parsable_certificates([certificate]);
    }
    if roots.is_empty() {
        return Err("the certificate file holds no certificate that can be used".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| innermost(&error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
