//! The way to one relay: TCP, TLS, websocket; reached again after every loss, with back-off.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::hub::Hub;

/// Pause after the first loss or failed attempt; it doubles with each further one until the relay says something.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause. There is one client per host, so the relay is not stormed.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often a relay is pinged, so that neither it nor anything between closes an idle connection.
const PING: Duration = Duration::from_secs(20);

/// A relay that answers no pings is lost.
const SILENCE: Duration = Duration::from_secs(50);

/// The largest message of a relay: more than any event of NIP-47, little enough to bound what a relay can cost us.
const LARGEST: usize = 256 * 1024;

/// Where a relay is.
#[derive(Clone, Debug)]
pub(super) struct Address {
    url: String,
    host: String,
    port: u16,
    /// The name that its certificate must have; `None` for `ws://`.
    tls: Option<ServerName<'static>>,
}

impl Address {
    /// Reads `wss://host[:port][/path]`.
    ///
    /// # Errors
    /// The operator's.
    pub(super) fn parse(url: &str) -> Result<Address, String> {
        let bad = || format!("{url:?} is no relay: expected wss://host[:port][/path]");
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (tls, port) = match uri.scheme_str() {
            Some("wss") => (Some(ServerName::try_from(host.clone()).map_err(|_| bad())?), 443),
            Some("ws") => (None, 80),
            _ => return Err(bad()),
        };
        Ok(Address { url: url.to_owned(), host, port: uri.port_u16().unwrap_or(port), tls })
    }

    /// Whether it is reached over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }
}

/// TLS as the system trusts it.
///
/// # Errors
/// The system's trusted certificates can't be had.
pub(super) fn system_tls() -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let config = builder
        .with_platform_verifier()
        .map_err(|error| format!("the system's trusted certificates can't be read: {error}"))?;
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Keeps one relay reached, for as long as the task runs.
pub(super) async fn keep(
    hub: Arc<Hub>,
    index: usize,
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    limit: Duration,
) {
    let mut failures = 0;
    loop {
        hub.connecting(index);
        let lost = match timeout(limit, connect(&address, tls.as_ref())).await {
            Ok(Ok(stream)) => {
                let queue = hub.up(index);
                let (spoke, reason) = talk(stream, queue, &hub, index).await;
                // One that accepts and hangs up is not hammered.
                if spoke {
                    failures = 0;
                }
                format!("the connection to the relay {} was lost: {reason}", address.url)
            }
            Ok(Err(reason)) => format!("no connection to the relay {}: {reason}", address.url),
            Err(_) => format!("the relay {} did not answer in time", address.url),
        };
        let pause = pause_after(failures);
        failures = failures.saturating_add(1);
        tracing::debug!("{lost}");
        hub.down(index, &lost, pause);
        sleep(pause).await;
    }
}

/// Passes on what is to be said and what is heard, until either side ends. Whether the relay spoke, and why it ended.
async fn talk<S>(
    mut stream: WebSocketStream<S>,
    mut queue: mpsc::Receiver<String>,
    hub: &Hub,
    index: usize,
) -> (bool, String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut spoke = false;
    let mut heard = Instant::now();
    let mut pings = tokio::time::interval_at(Instant::now() + PING, PING);
    loop {
        let sent = tokio::select! {
            // The hub drops the queue of a relay that it takes for dead.
            frame = queue.recv() => match frame {
                Some(frame) => timeout(SILENCE, stream.send(Message::text(frame))).await,
                None => return (spoke, "it said nothing for too long".to_owned()),
            },
            message = stream.next() => match message {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    if let Message::Text(text) = &message {
                        spoke = true;
                        hub.hear(index, text.as_str());
                    }
                    continue;
                }
                Some(Err(error)) => return (spoke, said(&error)),
                None => return (spoke, "it hung up".to_owned()),
            },
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE {
                    return (spoke, "it answers no pings".to_owned());
                }
                timeout(SILENCE, stream.send(Message::Ping(Vec::new().into()))).await
            }
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return (spoke, said(&error)),
            Err(_) => return (spoke, "it takes nothing".to_owned()),
        }
    }
}

/// A byte stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<WebSocketStream<Box<dyn Stream>>, String> {
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await;
    let tcp = tcp.map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let stream: Box<dyn Stream> = match (&address.tls, tls) {
        (Some(name), Some(tls)) => {
            let connected = TlsConnector::from(Arc::clone(tls)).connect(name.clone(), tcp).await;
            Box::new(connected.map_err(|error| format!("TLS: {error}"))?)
        }
        (Some(_), None) => return Err("TLS is not set up".to_owned()),
        (None, _) => Box::new(tcp),
    };
    let request = address.url.as_str().into_client_request().map_err(|error| said(&error))?;
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let opened = client_async_with_config(request, stream, Some(config)).await;
    opened.map(|(stream, _)| stream).map_err(|error| said(&error))
}

fn said(error: &Error) -> String {
    match error {
        Error::Http(response) => format!("it answers HTTP {} instead of a websocket", response.status()),
        Error::ConnectionClosed | Error::AlreadyClosed => "it hung up".to_owned(),
        other => other.to_string(),
    }
}

/// Pause after one more failure when there were `failures` before.
fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses() {
        let relay = Address::parse("wss://relay.example/v1?x=y").unwrap();
        assert_eq!((relay.host.as_str(), relay.port, relay.is_secure()), ("relay.example", 443, true));
        let relay = Address::parse("ws://[::1]:7777").unwrap();
        assert_eq!((relay.host.as_str(), relay.port, relay.is_secure()), ("::1", 7777, false));
        for bad in ["https://relay.example", "relay.example", "wss://", "wss://a b", "", "ws:///path"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!(pause_after(0), FIRST_PAUSE);
        assert_eq!(pause_after(3), FIRST_PAUSE * 8);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn the_system_trusts_somebody() {
        system_tls().unwrap();
    }
}
