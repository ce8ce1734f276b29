//! The mailbox over WebSocket: one connection for each box.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::error::LinkError;
use super::server::Server;
use crate::StreamId;
use crate::mailbox::{self, MAX_FRAME, RECEIVE_PATH, SEND_PATH};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// How long the mailbox may take to change to WebSocket.
const UPGRADE: Duration = Duration::from_secs(5);

/// How long a farewell may take.
const CLOSE: Duration = Duration::from_millis(200);

pub(super) async fn receive(server: &Server, stream: &StreamId) -> Result<Receiver, LinkError> {
    let mut socket = open(server, RECEIVE_PATH).await?;
    socket.send(Message::text(mailbox::encode_receive(stream))).await.map_err(failed)?;
    Ok(Receiver(socket))
}

pub(super) async fn send(server: &Server, stream: &StreamId) -> Result<Sender, LinkError> {
    Ok(Sender { socket: open(server, SEND_PATH).await?, stream: stream.clone() })
}

async fn open(server: &Server, path: &str) -> Result<Socket, LinkError> {
    let tls = server.dial().await?;
    let config = WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
    let upgrade = client_async_with_config(format!("wss://{}{path}", server.address()), tls, Some(config));
    match timeout(UPGRADE, upgrade).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(LinkError::Unreachable("it does not answer in time".to_owned())),
    }
}

/// A box that is read.
pub(super) struct Receiver(Socket);

impl Receiver {
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkError> {
        next_frame(&mut self.0).await.and_then(|frame| Ok(mailbox::decode(&frame)?))
    }

    pub(super) async fn close(mut self) {
        close(&mut self.0).await;
    }
}

/// A box that is written.
pub(super) struct Sender {
    socket: Socket,
    stream: StreamId,
}

impl Sender {
    pub(super) async fn put(&mut self, packet: &[u8]) -> Result<(), LinkError> {
        self.socket.send(Message::text(mailbox::encode_send(&self.stream, packet))).await.map_err(failed)
    }

    /// The mailbox says nothing on this connection but what is wrong.
    pub(super) async fn failure(&mut self) -> LinkError {
        loop {
            match next_frame(&mut self.socket).await {
                Err(error) => return error,
                Ok(frame) => {
                    if let Err(error) = mailbox::decode(&frame) {
                        return error.into();
                    }
                }
            }
        }
    }

    pub(super) async fn close(mut self) {
        close(&mut self.socket).await;
    }
}

async fn next_frame(socket: &mut Socket) -> Result<tungstenite::Bytes, LinkError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.into()),
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            // Answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => {
                return Err(LinkError::Unreachable("it closed the connection".to_owned()));
            }
            Some(Err(error)) => return Err(failed(error)),
        }
    }
}

async fn close(socket: &mut Socket) {
    // It is over in any case.
    let _ = timeout(CLOSE, socket.close(None)).await;
}

fn failed(error: tungstenite::Error) -> LinkError {
    match error {
        tungstenite::Error::Io(error) => LinkError::of_tls(&error),
        tungstenite::Error::Http(response) => LinkError::Unreachable(format!(
            "it answers with status {}, not with a WebSocket",
            response.status()
        )),
        other => LinkError::unreachable(&other),
    }
}
