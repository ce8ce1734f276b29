//! HTTP/1.1 for front doors: a port, the requests that come by it as values, the upgrade to a websocket.

use std::pin::Pin;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::call::ConnectionId;
use crate::listener::{HANDSHAKE, ModeChange, Port, Registered, accept_all};
use crate::world::World;

/// The largest body of a request.
const LARGEST: usize = 64 * 1024;

/// A response.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A websocket, from the server's side.
pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<TokioIo<Upgraded>>,
    /// It outlives the server of its connection, and stays in the list of those that can be cut.
    _connection: Arc<Registered>,
}

/// A server behind a port.
pub(crate) trait Door: Send + Sync + 'static {
    /// Answers one request.
    fn answer(self: Arc<Self>, ask: Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

/// A request.
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// As it was sent.
    pub(crate) path: String,
    pub(crate) query: Pairs,
    /// The fields of a form.
    pub(crate) form: Pairs,
    pub(crate) body: Bytes,
    pub(crate) headers: HeaderMap,
    connection: Arc<Registered>,
    upgrade: Option<OnUpgrade>,
}

/// Names and values, decoded.
pub(crate) struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (unescaped(name), unescaped(value))
                })
                .collect(),
        )
    }

    /// The value of the first pair of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Ask {
    /// Which connection it came by.
    pub(crate) fn connection(&self) -> ConnectionId {
        ConnectionId(self.connection.id)
    }

    /// The upgrade to a websocket, if that is what is asked for: the answer to give, and the socket once it was given.
    pub(crate) fn websocket(
        &mut self,
    ) -> Option<(Answer, impl Future<Output = Option<Socket>> + Send + use<>)> {
        let key = self.headers.get(SEC_WEBSOCKET_KEY)?.as_bytes();
        let accept = derive_accept_key(key);
        let upgrade = self.upgrade.take()?;
        let answer = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, accept)
            .body(Full::default())
            .ok()?;
        let connection = self.connection.clone();
        let socket = async {
            let upgraded = TokioIo::new(upgrade.await.ok()?);
            let stream = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
            Some(Socket { stream, _connection: connection })
        };
        Some((answer, socket))
    }
}

/// A JSON response.
pub(crate) fn json(status: u16, body: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    answer
}

/// Serves `door` on `port` until the sender of `modes` is gone.
pub(crate) async fn serve(
    port: Port,
    modes: mpsc::UnboundedReceiver<ModeChange>,
    world: Arc<World>,
    door: Arc<impl Door>,
) {
    serve_with(port, modes, world, door, None).await;
}

/// As [`serve`], within TLS.
pub(crate) async fn serve_tls(
    port: Port,
    modes: mpsc::UnboundedReceiver<ModeChange>,
    world: Arc<World>,
    door: Arc<impl Door>,
    tls: TlsAcceptor,
) {
    serve_with(port, modes, world, door, Some(tls)).await;
}

async fn serve_with(
    port: Port,
    modes: mpsc::UnboundedReceiver<ModeChange>,
    world: Arc<World>,
    door: Arc<impl Door>,
    tls: Option<TlsAcceptor>,
) {
    accept_all(port, modes, |stream| {
        tokio::spawn(connection(stream, world.clone(), door.clone(), tls.clone()));
    })
    .await;
}

async fn connection(stream: TcpStream, world: Arc<World>, door: Arc<impl Door>, tls: Option<TlsAcceptor>) {
    let registered = stream.set_nodelay(true).and_then(|()| Registered::new(stream, world));
    let (stream, registered) = match registered {
        Ok(pair) => pair,
        Err(error) => return tracing::debug!(%error, "a connection was lost at once"),
    };
    let registered = Arc::new(registered);
    match tls {
        None => exchange(stream, registered, door).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => exchange(stream, registered, door).await,
            // The client is simply gone.
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        },
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    registered: Arc<Registered>,
    door: Arc<impl Door>,
) {
    let service = service_fn(|request| {
        let (door, registered) = (door.clone(), registered.clone());
        async move { Ok::<_, std::convert::Infallible>(door.answer(read(request, registered).await).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn read(mut request: Request<Incoming>, connection: Arc<Registered>) -> Ask {
    let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    // A body that is too long, or breaks off, is none.
    let body = Limited::new(body, LARGEST).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ask {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: Pairs::parse(head.uri.query().unwrap_or_default()),
        form: Pairs::parse(&String::from_utf8_lossy(&body)),
        body,
        headers: head.headers,
        connection,
        upgrade,
    }
}

/// `application/x-www-form-urlencoded`: `+` is a space, `%xx` a byte.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = || {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (first, if first == b'%' { escaped() } else { None }) {
            (_, Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', None) => {
                bytes.push(b' ');
                rest = after;
            }
            (byte, None) => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = Pairs::parse("a=1+2&caf%C3%A9=%26%3d&flag&b=%zz%4");
        assert_eq!(form.get("a"), Some("1 2"));
        assert_eq!(form.get("caf\u{e9}"), Some("&="));
        assert_eq!(form.get("flag"), Some(""));
        assert_eq!(form.get("b"), Some("%zz%4"));
        assert_eq!(form.get("c"), None);
    }
}
