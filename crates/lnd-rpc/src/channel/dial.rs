//! One connection: TCP, directly or through SOCKS5, then TLS, within one time-out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_socks::tcp::Socks5Stream;

use super::NodeError;

/// Makes connections to one node.
pub(super) struct Dialer {
    target: HostPort,
    proxy: Option<HostPort>,
    tls: TlsConnector,
    server_name: ServerName<'static>,
}

impl Dialer {
    pub(super) fn new(
        target: HostPort,
        proxy: Option<HostPort>,
        tls: rustls::ClientConfig,
    ) -> Result<Dialer, NodeError> {
        let server_name = ServerName::try_from(target.host.clone()).map_err(|_| NodeError::Address)?;
        Ok(Dialer { target, proxy, tls: TlsConnector::from(Arc::new(tls)), server_name })
    }

    pub(super) fn target(&self) -> &HostPort {
        &self.target
    }

    /// Connects; all of it takes at most `timeout`.
    pub(super) async fn dial(&self, timeout: Duration) -> Result<TlsStream<TcpStream>, ConnectError> {
        tokio::time::timeout(timeout, self.dial_unbounded())
            .await
            .map_err(|_| ConnectError::TimedOut { address: self.target.authority() })?
    }

    async fn dial_unbounded(&self) -> Result<TlsStream<TcpStream>, ConnectError> {
        let stream = match &self.proxy {
            None => TcpStream::connect((self.target.host.as_str(), self.target.port))
                .await
                .map_err(|error| self.unreachable(&error.to_string()))?,
            Some(proxy) => self.through(proxy).await?,
        };
        // Small requests wait for nothing.
        let _ = stream.set_nodelay(true);
        self.tls.connect(self.server_name.clone(), stream).await.map_err(|error| self.tls_failed(&error))
    }

    /// Connects through `proxy`, which resolves the node's name (an onion address, perhaps).
    async fn through(&self, proxy: &HostPort) -> Result<TcpStream, ConnectError> {
        let address = proxy.authority();
        let socket = TcpStream::connect((proxy.host.as_str(), proxy.port))
            .await
            .map_err(|error| ConnectError::Proxy { proxy: address.clone(), reason: error.to_string() })?;
        let target = (self.target.host.as_str(), self.target.port);
        let tunnel = Socks5Stream::connect_with_socket(socket, target)
            .await
            .map_err(|error| ConnectError::Proxy { proxy: address, reason: error.to_string() })?;
        Ok(tunnel.into_inner())
    }

    fn unreachable(&self, reason: &str) -> ConnectError {
        ConnectError::Unreachable { address: self.target.authority(), reason: reason.to_owned() }
    }

    fn tls_failed(&self, error: &io::Error) -> ConnectError {
        let address = self.target.authority();
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => ConnectError::Expired { address },
            Some(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => ConnectError::OtherName { address },
            Some(rustls::Error::InvalidCertificate(_)) => ConnectError::Certificate { address },
            Some(
                rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
                | rustls::Error::NoApplicationProtocol,
            ) => ConnectError::NotGrpc { address },
            _ => ConnectError::Broken { address, reason: error.to_string() },
        }
    }
}

/// Why there is no connection. The texts are for the operator and hold no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The name can't be resolved, nobody listens, or there is no route.
    #[error("can't connect to {address}: {reason}")]
    Unreachable {
        /// `host:port` of the node.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The proxy can't be reached, or can't reach the node.
    #[error("can't connect through the SOCKS5 proxy {proxy}: {reason}")]
    Proxy {
        /// `host:port` of the proxy.
        proxy: String,
        /// What went wrong.
        reason: String,
    },
    /// Another certificate than the one configured.
    #[error(
        "{address} shows a certificate that is not the one in the certificate file; copy the node's current tls.cert"
    )]
    Certificate {
        /// `host:port` of the node.
        address: String,
    },
    /// A certificate of an authority in the certificate file, which has expired.
    #[error(
        "the certificate that {address} shows has expired, or is not valid yet by this host's clock; renew it there"
    )]
    Expired {
        /// `host:port` of the node.
        address: String,
    },
    /// A certificate of an authority in the certificate file, for another name.
    #[error("the certificate that {address} shows is for another name; use a name that it has")]
    OtherName {
        /// `host:port` of the node.
        address: String,
    },
    /// TLS, and no HTTP/2 behind it.
    #[error(
        "this is not LND's gRPC at {address}: LND's REST interface has a port of its own (8080), gRPC is at 10009"
    )]
    NotGrpc {
        /// `host:port` of the node.
        address: String,
    },
    /// The connection broke off before it could be used, or its other end speaks something else.
    #[error("no TLS connection to {address}: {reason}")]
    Broken {
        /// `host:port` of the node.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// Nothing came within the time-out.
    #[error("{address} did not answer in time")]
    TimedOut {
        /// `host:port` of the node.
        address: String,
    },
}

/// A host name or address, without brackets, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    pub(super) host: String,
    pub(super) port: u16,
}

impl HostPort {
    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
    pub(super) fn parse(text: &str, default_port: u16) -> Option<HostPort> {
        let (host, port) = split(text.trim())?;
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => default_port,
        };
        let named = ServerName::try_from(host).is_ok();
        (named && port != 0).then(|| HostPort { host: host.to_owned(), port })
    }

    /// Reads `host:port`, with or without `socks5://` or `socks5h://` before it. Tor's port is the default.
    pub(super) fn parse_proxy(text: &str) -> Option<HostPort> {
        let text = text.trim();
        let text = text.strip_prefix("socks5h://").or_else(|| text.strip_prefix("socks5://")).unwrap_or(text);
        HostPort::parse(text.trim_end_matches('/'), 9050)
    }

    /// `host:port`, an IPv6 address in brackets: what a URL and HTTP/2's `:authority` hold.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Parts of an address: the host without brackets, and what follows the colon.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if after.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn authority(text: &str) -> Option<String> {
        HostPort::parse(text, 10009).map(|parsed| parsed.authority())
    }

    #[test]
    fn addresses() {
        for (text, want) in [
            ("127.0.0.1", "127.0.0.1:10009"),
            (" node.example:10010 ", "node.example:10010"),
            ("[::1]:10010", "[::1]:10010"),
            ("::1", "[::1]:10009"),
            ("abcdef.onion:8080", "abcdef.onion:8080"),
        ] {
            assert_eq!(authority(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for text in ["", ":10009", "host:", "host:0", "host:+1", "host:99999", "https://host", "[::1", "a b"]
        {
            assert_eq!(authority(text), None, "{text}");
        }
    }

    #[test]
    fn proxies() {
        for text in ["127.0.0.1:9050", "socks5://127.0.0.1:9050", "socks5h://127.0.0.1:9050/", "127.0.0.1"] {
            assert_eq!(HostPort::parse_proxy(text).unwrap().authority(), "127.0.0.1:9050", "{text}");
        }
    }
}
