//! Which mailbox, and how to connect to it.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::LinkError;
use super::{grpc, tls, websocket};
use crate::StreamId;

/// The port of addresses that name none.
const DEFAULT_PORT: u16 = 443;

/// How long TCP and TLS may take together.
const DIAL: Duration = Duration::from_secs(5);

/// Whom to trust as the mailbox.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The system's certificate authorities.
    System,
    /// These certificates instead, PEM: authorities, or the mailbox's own.
    Pem(Vec<u8>),
}

/// A mailbox.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
    speaks: Speaks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    WebSocket,
    Grpc,
}

impl Server {
    /// Reads `host[:port]`, with `wss://` (what is meant without it) or `grpcs://` before it.
    ///
    /// # Errors
    /// The operator's: the address can't be read, or there is no certificate to trust.
    pub fn new(address: &str, roots: &Roots) -> Result<Server, ServerError> {
        let (speaks, authority) = match address.trim().split_once("://") {
            None => (Speaks::WebSocket, address.trim()),
            Some(("wss", authority)) => (Speaks::WebSocket, authority),
            Some(("grpcs", authority)) => (Speaks::Grpc, authority),
            Some(_) => return Err(ServerError::Address),
        };
        let (host, port) = host_and_port(authority).ok_or(ServerError::Address)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ServerError::Address)?;
        let alpn: &[u8] = match speaks {
            Speaks::WebSocket => b"http/1.1",
            Speaks::Grpc => b"h2",
        };
        let tls = TlsConnector::from(Arc::new(tls::client_config(roots, alpn)?));
        Ok(Server(Arc::new(Inner { host: host.to_owned(), port, name, tls, speaks })))
    }

    /// `host:port`, for logs and as HTTP's authority.
    pub fn address(&self) -> String {
        let Inner { host, port, .. } = &*self.0;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Connects: TCP, then TLS.
    pub(super) async fn dial(&self) -> Result<TlsStream<TcpStream>, LinkError> {
        let dial = async {
            let Inner { host, port, name, tls, .. } = &*self.0;
            let tcp = TcpStream::connect((host.as_str(), *port)).await;
            let tcp = tcp.map_err(|error| LinkError::unreachable(&error))?;
            // Small frames wait for nothing.
            let _ = tcp.set_nodelay(true);
            tls.connect(name.clone(), tcp).await.map_err(|error| LinkError::of_tls(&error))
        };
        match timeout(DIAL, dial).await {
            Ok(result) => result,
            Err(_) => Err(LinkError::Unreachable("it does not answer in time".to_owned())),
        }
    }

    /// Opens a box to read.
    pub(super) async fn receive(&self, stream: &StreamId) -> Result<Receiver, LinkError> {
        Ok(match self.0.speaks {
            Speaks::WebSocket => Receiver::WebSocket(Box::new(websocket::receive(self, stream).await?)),
            Speaks::Grpc => Receiver::Grpc(Box::new(grpc::receive(self, stream).await?)),
        })
    }

    /// Opens a box to write.
    pub(super) async fn send(&self, stream: &StreamId) -> Result<Sender, LinkError> {
        Ok(match self.0.speaks {
            Speaks::WebSocket => Sender::WebSocket(Box::new(websocket::send(self, stream).await?)),
            Speaks::Grpc => Sender::Grpc(grpc::send(self, stream).await?),
        })
    }
}

/// A box that is read.
pub(super) enum Receiver {
    WebSocket(Box<websocket::Receiver>),
    Grpc(Box<grpc::Receiver>),
}

impl Receiver {
    /// The next packet. Loses none when it is given up.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkError> {
        match self {
            Receiver::WebSocket(receiver) => receiver.next().await,
            Receiver::Grpc(receiver) => receiver.next().await,
        }
    }

    /// Lets the mailbox know that the box is free.
    pub(super) async fn close(self) {
        match self {
            Receiver::WebSocket(receiver) => receiver.close().await,
            Receiver::Grpc(_) => {}
        }
    }
}

/// A box that is written.
pub(super) enum Sender {
    WebSocket(Box<websocket::Sender>),
    Grpc(grpc::Sender),
}

impl Sender {
    /// Puts a packet into the box, or what of it there is room for.
    pub(super) async fn put(&mut self, packet: &[u8]) -> Result<(), LinkError> {
        match self {
            Sender::WebSocket(sender) => sender.put(packet).await,
            Sender::Grpc(sender) => sender.put(packet).await,
        }
    }

    /// Why the mailbox takes no more. Waits until then.
    pub(super) async fn failure(&mut self) -> LinkError {
        match self {
            Sender::WebSocket(sender) => sender.failure().await,
            Sender::Grpc(sender) => sender.failure().await,
        }
    }

    /// Lets the mailbox know that the box is free.
    pub(super) async fn close(self) {
        match self {
            Sender::WebSocket(sender) => sender.close().await,
            Sender::Grpc(sender) => sender.close().await,
        }
    }
}

/// Shows the address only.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.address()).finish()
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; a slash at the end is passed over.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    (!host.is_empty() && port != 0).then_some((host, port))
}

/// What is wrong with the settings of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// The address can't be read.
    #[error("the mailbox's address is not host:port, with wss:// or grpcs:// before it or nothing")]
    Address,
    /// No certificate, or one that can't be read.
    #[error("the mailbox's certificate file holds no PEM certificate")]
    Certificate,
    /// This system has no certificate authorities.
    #[error(
        "this system has no certificate authorities (the package ca-certificates), and no certificate is named"
    )]
    NoSystemRoots,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, want) in [
            ("mailbox.example", Some(("mailbox.example", 443))),
            ("mailbox.example:8443/", Some(("mailbox.example", 8443))),
            ("127.0.0.1:1", Some(("127.0.0.1", 1))),
            ("[::1]:8443", Some(("::1", 8443))),
            ("[::1]", Some(("::1", 443))),
            ("", None),
            (":443", None),
            ("host:", None),
            ("host:0", None),
            ("host:+1", None),
            ("[::1]x", None),
        ] {
            assert_eq!(host_and_port(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_mailbox() {
        let roots = Roots::Pem(Vec::new());
        assert_eq!(Server::new("https://host", &roots).unwrap_err(), ServerError::Address);
        assert_eq!(Server::new("a b", &roots).unwrap_err(), ServerError::Address);
        assert_eq!(Server::new("host", &roots).unwrap_err(), ServerError::Certificate);
    }
}
