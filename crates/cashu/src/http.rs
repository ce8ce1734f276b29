//! The HTTP client for mints: the system's certificate authorities, no redirects, no proxy of the environment.

use std::sync::Arc;

use cdk::mint_url::MintUrl;
use reqwest::{Client, redirect::Policy};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::OpenError;

/// One client for all mints. Where none of them is reached by https, a system without certificate authorities is no obstacle.
///
/// # Errors
/// [`OpenError::Authorities`]
pub(crate) fn client(mints: &[MintUrl]) -> Result<Client, OpenError> {
    let failed = |reason: String| OpenError::Authorities { reason };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| failed(error.to_string()))?;
    let builder = if mints.iter().any(|mint| mint.to_string().starts_with("https://")) {
        builder.with_platform_verifier().map_err(|error| failed(error.to_string()))?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Client::builder()
        .user_agent(concat!("l402d/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .http1_only()
        .tls_backend_preconfigured(builder.with_no_client_auth())
        .build()
        .map_err(|error| failed(error.to_string()))
}
