//! Payments as Eclair's websocket tells of them, opened again after every loss.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Upgraded;
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::api::{Api, Call, refusal};
use super::message;
use crate::LightningError;
use crate::connector::Push;
use crate::http::{deadline, innermost};
use crate::pause::{FIRST_PAUSE, pause_after};

/// Settlements that may wait for the engine.
const BACKLOG: usize = 1024;

/// Longest pause after a refusal, which only the operator can mend.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// How often the node is pinged, so that neither it nor anything between closes an idle connection.
const PING: Duration = Duration::from_secs(20);

/// A node that says nothing for so long, answers to pings included, is lost.
const SILENCE: Duration = Duration::from_secs(50);

/// The largest event: more than a payment in hundreds of parts.
const LARGEST: usize = 256 * 1024;

/// Follows the payments until the receiver is dropped.
pub(super) fn follow(api: Arc<Api>, timeout: Duration) -> mpsc::Receiver<Push> {
    let (to, settlements) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let mut follower = Follower { api, timeout, to: to.clone(), failures: 0 };
        tokio::select! {
            () = to.closed() => {}
            () = follower.run() => {}
        }
    });
    settlements
}

/// Opens a websocket, and closes it.
pub(super) async fn try_once(api: &Api, deadline: Instant) -> Result<(), LightningError> {
    connect(api, deadline).await.map(drop)
}

struct Follower {
    api: Arc<Api>,
    /// How long a connection may take.
    timeout: Duration,
    to: mpsc::Sender<Push>,
    /// Connections that failed since one held.
    failures: u32,
}

impl Follower {
    /// Ends when the engine has gone.
    async fn run(&mut self) {
        while !self.to.is_closed() {
            let Err(error) = self.stream().await else { return };
            let pause = match &error {
                LightningError::Unavailable { retry_after, .. } => {
                    (*retry_after).max(pause_after(self.failures))
                }
                LightningError::TimedOut => pause_after(self.failures),
                LightningError::Refused(_) | LightningError::Wrong(_) => {
                    pause_after(self.failures).saturating_mul(4).min(REFUSED_PAUSE)
                }
            };
            self.failures = self.failures.saturating_add(1);
            if self.to.send(Push::Lost(error)).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One connection; `Ok` when the engine has gone.
    async fn stream(&mut self) -> Result<(), LightningError> {
        let mut socket = connect(&self.api, deadline(self.timeout)).await?;
        let (mut pings, mut heard) = (interval_at(Instant::now() + PING, PING), Instant::now());
        if self.to.send(Push::Live).await.is_err() {
            return Ok(());
        }
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                _ = pings.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(ended("it said nothing for too long"));
                    }
                    let sent = timeout(SILENCE, socket.send(Message::Ping(Vec::new().into()))).await;
                    match sent {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => return Err(ended(&innermost(&error))),
                        Err(_) => return Err(ended("it takes nothing any more")),
                    }
                }
            };
            heard = Instant::now();
            // One that accepts and hangs up is not hammered: the connection has to say something first.
            self.failures = match &message {
                Some(Ok(_)) => 0,
                _ => self.failures,
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    let push = match message::event(&text) {
                        Ok(None) => continue,
                        Ok(Some(payment)) => Push::Paid(payment),
                        Err(error) => Push::Unreadable(error),
                    };
                    if self.to.send(push).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Ok(Message::Close(_))) | None => return Err(ended("it hung up")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ended(&innermost(&error))),
            }
        }
    }
}

/// The handshake of RFC 6455, by the same client as every call: same TLS, same password.
async fn connect(api: &Api, deadline: Instant) -> Result<WebSocketStream<Upgraded>, LightningError> {
    let key = generate_key();
    let request = api.websocket().header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
    let request = request.header(SEC_WEBSOCKET_VERSION, "13").header(SEC_WEBSOCKET_KEY, &key);
    let response = api.web().begin(request, deadline).await?;
    if response.status().as_u16() != 101 {
        return Err(refusal(Call::Ws, response.status().as_u16(), b""));
    }
    let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(LightningError::Wrong("a connection that is no websocket".to_owned()));
    }
    let upgraded = match timeout_at(deadline, response.upgrade()).await {
        Ok(upgraded) => upgraded.map_err(|error| ended(&innermost(&error)))?,
        Err(_) => return Err(LightningError::TimedOut),
    };
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

fn ended(reason: &str) -> LightningError {
    LightningError::unavailable(format!("the websocket ended: {reason}"), FIRST_PAUSE)
}
