//! How a client reaches a node: TCP or SOCKS5, TLS that trusts exactly the node's certificate, a macaroon on each call.
//!
//! [`Node`] is parsed once from what the operator gave and makes channels in two ways: [`Node::channel`] connects at
//! the first call and again after each loss (for tools); [`Node::connect`] makes one connection that is never
//! replaced behind the caller's back (for who keeps its own back-off).

mod dial;
mod macaroon;
mod pin;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

pub use dial::ConnectError;
pub use macaroon::MacaroonInterceptor;

use crate::invoicesrpc::invoices_client::InvoicesClient;
use crate::lnrpc::lightning_client::LightningClient;
use crate::routerrpc::router_client::RouterClient;

/// LND's gRPC port, for addresses that name none.
pub const DEFAULT_PORT: u16 = 10009;

/// A ping goes out after this much silence while a call is open. LND allows one each 5 s (`grpc.client-ping-min-wait`)
/// and none on a connection without calls, so idle connections are not pinged.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The connection is given up when a ping stays unanswered for so long.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A channel that sends the macaroon.
pub type Authorized = InterceptedService<Channel, MacaroonInterceptor>;

/// A node and what is needed to speak to it.
#[derive(Clone)]
pub struct Node {
    dialer: Arc<dial::Dialer>,
    endpoint: Endpoint,
    macaroon: MacaroonInterceptor,
    connect_timeout: Duration,
}

impl Node {
    /// Parses what the operator gave. `address` is `host[:port]`, `cert_pem` the content of the node's `tls.cert`,
    /// `macaroon` that of a macaroon file (or its hex), `socks5` `host:port` of a proxy, which then also resolves the
    /// name. `connect_timeout` bounds everything up to the end of the TLS handshake.
    pub fn new(
        address: &str,
        cert_pem: &[u8],
        macaroon: &[u8],
        socks5: Option<&str>,
        connect_timeout: Duration,
    ) -> Result<Node, NodeError> {
        let target = dial::HostPort::parse(address, DEFAULT_PORT).ok_or(NodeError::Address)?;
        let proxy = match socks5 {
            Some(text) => Some(dial::HostPort::parse_proxy(text).ok_or(NodeError::Proxy)?),
            None => None,
        };
        let pinned: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert_pem)
            .collect::<Result<_, _>>()
            .map_err(|_| NodeError::Certificate)?;
        let tls = pin::client_config(pinned).ok_or(NodeError::Certificate)?;
        let endpoint = Endpoint::from_shared(format!("https://{}", target.authority()))
            .map_err(|_| NodeError::Address)?
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false);
        Ok(Node {
            dialer: Arc::new(dial::Dialer::new(target, proxy, tls)?),
            endpoint,
            macaroon: MacaroonInterceptor::new(macaroon).ok_or(NodeError::Macaroon)?,
            connect_timeout,
        })
    }

    /// `host:port`, for logs.
    pub fn address(&self) -> String {
        self.dialer.target().authority()
    }

    /// A channel that connects at the first call, and again at the next call after a loss. It must be made within a
    /// tokio runtime.
    pub fn channel(&self) -> Channel {
        let (dialer, timeout) = (Arc::clone(&self.dialer), self.connect_timeout);
        self.endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
            let dialer = Arc::clone(&dialer);
            async move { dialer.dial(timeout).await.map(TokioIo::new) }
        }))
    }

    /// Connects now. When that connection is lost, each later call of the channel fails at once with a status for which
    /// [`never_sent`] holds.
    pub async fn connect(&self) -> Result<Channel, ConnectError> {
        let stream = self.dialer.dial(self.connect_timeout).await?;
        over(&self.endpoint, stream)
            .await
            .map_err(|error| ConnectError::Broken { address: self.address(), reason: innermost(&error) })
    }

    /// The interceptor that puts the macaroon on each call.
    pub fn macaroon(&self) -> MacaroonInterceptor {
        self.macaroon.clone()
    }

    /// The `lnrpc.Lightning` service over `channel`.
    pub fn lightning(&self, channel: Channel) -> LightningClient<Authorized> {
        LightningClient::with_interceptor(channel, self.macaroon())
    }

    /// The `routerrpc.Router` service over `channel`.
    pub fn router(&self, channel: Channel) -> RouterClient<Authorized> {
        RouterClient::with_interceptor(channel, self.macaroon())
    }

    /// The `invoicesrpc.Invoices` service over `channel`.
    pub fn invoices(&self, channel: Channel) -> InvoicesClient<Authorized> {
        InvoicesClient::with_interceptor(channel, self.macaroon())
    }
}

/// A channel over a stream that leads to a node already, such as one through a mailbox. When it ends, each later call of
/// the channel fails at once with a status for which [`never_sent`] holds.
///
/// # Errors
/// The stream's other end does not speak HTTP/2.
pub async fn over_stream<S>(stream: S) -> Result<Channel, tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    over(&Endpoint::from_static("http://lnd"), stream).await
}

async fn over<S>(endpoint: &Endpoint, stream: S) -> Result<Channel, tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let once = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_| {
        let stream = once.lock().map_or(None, |mut slot| slot.take());
        async move { stream.ok_or(ConnectionSpent) }
    });
    endpoint.connect_with_connector(connector).await
}

/// Shows the address only.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// What is wrong with the operator's settings of a node. The texts hold no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The address can't be read.
    #[error("the address of the node is not host[:port], such as 127.0.0.1:10009")]
    Address,
    /// The proxy can't be read.
    #[error("the SOCKS5 proxy is not host:port, such as 127.0.0.1:9050")]
    Proxy,
    /// No certificate, or one that can't be read.
    #[error("the certificate file holds no PEM certificate; give LND's tls.cert")]
    Certificate,
    /// Nothing that could be a macaroon.
    #[error("the macaroon file is empty; give one that LND made, such as invoice.macaroon")]
    Macaroon,
}

/// The one connection of [`Node::connect`] is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection to the node is closed")]
pub struct ConnectionSpent;

/// Whether a call failed because its connection had gone before: the node has not seen it, and it may be made again on
/// another connection.
pub fn never_sent(status: &tonic::Status) -> bool {
    sources(status).any(|error| error.is::<ConnectionSpent>())
}

/// Whether a status was made on this side because the transport failed, as opposed to an answer of the node.
pub fn is_transport(status: &tonic::Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// The connect error within a status of a [`Node::channel`], if that is why the call failed.
pub fn connect_error(status: &tonic::Status) -> Option<&ConnectError> {
    sources(status).find_map(|error| error.downcast_ref::<ConnectError>())
}

/// The text of the last error of a chain: the one that says what happened.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// The error and all that caused it, outermost first.
fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}
