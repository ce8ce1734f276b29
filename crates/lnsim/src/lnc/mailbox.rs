//! The mailbox's port: TLS, then WebSocket or gRPC, as the client asks for in its ALPN.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::StreamExt as _;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::boxes::{Boxes, Name, Refusal, Side};
use super::hashmail;
use super::weather::{Sky, Weather};
use crate::listener::{Mode, ModeChange, Port, accept};

const RECEIVE: &str = "/v1/lightning-node-connect/hashmail/receive";
const SEND: &str = "/v1/lightning-node-connect/hashmail/send";

/// How long a client may take over TLS and WebSocket's handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A mailbox.
pub(crate) struct Mailbox {
    pub(super) boxes: Boxes,
    pub(super) sky: Mutex<Sky>,
    address: SocketAddr,
    /// Counts what cuts all connections.
    cuts: watch::Sender<u64>,
    modes: mpsc::UnboundedSender<ModeChange>,
}

impl Mailbox {
    /// Starts one on any port of 127.0.0.1. Call within a runtime.
    pub(crate) fn start(tls: &ServerConfig) -> io::Result<Arc<Self>> {
        let port = Port::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (modes, changes) = mpsc::unbounded_channel();
        let mailbox = Arc::new(Self {
            boxes: Boxes::default(),
            sky: Mutex::new(Sky::new(Weather::default(), 0)),
            address: port.address(),
            cuts: watch::Sender::new(0),
            modes,
        });
        tokio::spawn(serve(port, changes, Arc::clone(&mailbox), TlsAcceptor::from(Arc::new(tls))));
        Ok(mailbox)
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to packets from now on, both ways.
    pub(crate) fn set_weather(&self, weather: Weather, seed: u64) {
        *self.sky.lock().unwrap_or_else(PoisonError::into_inner) = Sky::new(weather, seed);
    }

    /// Cuts all connections; the boxes stay.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// What a restart is: all connections are cut, and all boxes gone.
    pub(crate) fn restart(&self) {
        self.cut();
        self.boxes.clear();
    }

    /// Takes connections, or refuses them and cuts those that are. Returns when it has taken effect.
    pub(crate) fn set_open(&self, open: bool) {
        let (done, waiting) = std::sync::mpsc::sync_channel(1);
        let mode = if open { Mode::Open } else { Mode::Closed };
        let sent = self.modes.send((mode, done)).is_ok();
        if sent && let Ok(Err(error)) = waiting.recv() {
            tracing::error!(%error, address = %self.address, "the mailbox's port could not be opened again");
        }
        if !open {
            self.cut();
        }
    }
}

async fn serve(
    mut port: Port,
    mut changes: mpsc::UnboundedReceiver<ModeChange>,
    mailbox: Arc<Mailbox>,
    tls: TlsAcceptor,
) {
    let (to_grpc, incoming) = mpsc::unbounded_channel();
    tokio::spawn(hashmail::serve(Arc::clone(&mailbox), incoming));
    loop {
        tokio::select! {
            biased;
            change = changes.recv() => {
                let Some((mode, done)) = change else { return };
                // Nobody may be waiting any more; then the outcome is of no interest.
                let _ = done.send(port.set(mode));
            }
            accepted = accept(port.listener()) => if let Ok(stream) = accepted {
                let cuts = mailbox.cuts.subscribe();
                tokio::spawn(connection(stream, tls.clone(), Arc::clone(&mailbox), cuts, to_grpc.clone()));
            },
        }
    }
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    mailbox: Arc<Mailbox>,
    mut cuts: watch::Receiver<u64>,
    to_grpc: mpsc::UnboundedSender<io::Result<hashmail::Connection>>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        // The server ends only with the simulator.
        let _ = to_grpc.send(Ok(hashmail::Connection::new(stream, cuts)));
        return;
    }
    tokio::select! {
        () = websocket(stream, &mailbox) => {}
        _ = cuts.changed() => {}
    }
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
async fn websocket(stream: TlsStream<TcpStream>, mailbox: &Mailbox) {
    let mut path = String::new();
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let known = request.uri().query() == Some("method=POST");
        path = if known { request.uri().path().to_owned() } else { String::new() };
        Ok(response)
    };
    let Ok(Ok(socket)) = tokio::time::timeout(HANDSHAKE, accept_hdr_async(stream, note)).await else {
        return;
    };
    match path.as_str() {
        RECEIVE => receive(socket, mailbox).await,
        SEND => send(socket, mailbox).await,
        _ => {}
    }
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn receive(mut socket: Socket, mailbox: &Mailbox) {
    let Some(name) = next(&mut socket).await.and_then(|frame| name(&frame["stream_id"])) else { return };
    let slot = match mailbox.boxes.take(&name, Side::Read).await {
        Ok(slot) => slot,
        Err(refusal) => return answer(&mut socket, &json!({ "error": failure(refusal) })).await,
    };
    loop {
        let packet = tokio::select! {
            packet = slot.next() => packet,
            // The client leaves; it has nothing more to say.
            _ = next(&mut socket) => return,
        };
        let Some(packet) = packet else {
            return answer(&mut socket, &json!({ "error": failure("EOF") })).await;
        };
        let desc = json!({ "stream_id": BASE64.encode(&name) });
        let frame = json!({ "result": { "desc": desc, "msg": BASE64.encode(&packet) } });
        if put(&mut socket, &frame).await.is_err() {
            return;
        }
    }
}

async fn send(mut socket: Socket, mailbox: &Mailbox) {
    // A box that is written has one answer, at the end: an error stands there without the wrapper that frames have.
    if let Err(refusal) = take_all(&mut socket, mailbox).await {
        answer(&mut socket, &failure(refusal)).await;
    }
}

async fn take_all(socket: &mut Socket, mailbox: &Mailbox) -> Result<(), Refusal> {
    let mut slot = None;
    while let Some(frame) = next(socket).await {
        let named = name(&frame["desc"]["stream_id"]);
        let packet = frame["msg"].as_str().and_then(|text| BASE64.decode(text.as_bytes()).ok());
        let (Some(named), Some(packet)) = (named, packet) else { return Ok(()) };
        if slot.is_none() {
            slot = Some(mailbox.boxes.take(&named, Side::Write).await?);
        }
        if !slot.as_ref().is_some_and(|slot| slot.put(packet, &mailbox.sky)) {
            return Err("io: read/write on closed pipe");
        }
    }
    Ok(())
}

async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

fn failure(refusal: Refusal) -> Value {
    json!({ "code": 2, "message": refusal, "details": [] })
}

/// Sends the last frame.
async fn answer(socket: &mut Socket, frame: &Value) {
    // The client may be gone.
    let _ = put(socket, frame).await;
    let _ = socket.close(None).await;
}

async fn put(socket: &mut Socket, frame: &Value) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    futures_util::SinkExt::send(socket, Message::text(frame.to_string())).await
}

fn name(value: &Value) -> Option<Name> {
    BASE64.decode(value.as_str()?.as_bytes()).ok()?.try_into().ok()
}
