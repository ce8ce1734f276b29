//! A relay's port: TCP, TLS, websocket. It can be closed and opened again, and its connections cut.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::relay::Relay;
use crate::listener::{Mode, ModeChange, Port, Registered, accept};
use crate::world::World;

/// How long a client may take over TLS and the upgrade to a websocket.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves a relay until the sender of `modes` is gone.
pub(super) async fn serve(
    mut port: Port,
    relay: Arc<Relay>,
    tls: Option<TlsAcceptor>,
    world: Arc<World>,
    mut modes: mpsc::UnboundedReceiver<ModeChange>,
) {
    let mut mode = Mode::Open;
    let mut ignored = Vec::new();
    loop {
        tokio::select! {
            biased;
            change = modes.recv() => {
                let Some((next, done)) = change else { return };
                mode = next;
                ignored.clear();
                let _ = done.send(port.set(mode));
            }
            accepted = accept(port.listener()) => match (accepted, mode) {
                (Ok(stream), Mode::Silent) => ignored.push(stream),
                (Ok(stream), _) => {
                    tokio::spawn(greet(stream, Arc::clone(&relay), tls.clone(), Arc::clone(&world)));
                }
                (Err(error), _) => tracing::warn!(%error, "a connection could not be accepted"),
            },
        }
    }
}

/// A client that fails here is simply gone.
async fn greet(stream: TcpStream, relay: Arc<Relay>, tls: Option<TlsAcceptor>, world: Arc<World>) {
    let registered = stream.set_nodelay(true).and_then(|()| Registered::new(stream, world));
    let Ok((stream, registered)) = registered else { return };
    match tls {
        None => talk(stream, &relay, registered.id()).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                talk(stream, &relay, registered.id()).await;
            }
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, relay: &Arc<Relay>, connection: u64) {
    let Ok(Ok(mut stream)) = timeout(HANDSHAKE, accept_async(stream)).await else { return };
    let (frames, mut queue) = mpsc::unbounded_channel();
    relay.enter(connection, frames);
    loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => relay.hear(connection, text.as_str()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            frame = queue.recv() => {
                let Some(frame) = frame else { break };
                if stream.send(Message::text(frame)).await.is_err() {
                    break;
                }
            }
        }
    }
    relay.leave(connection);
}
