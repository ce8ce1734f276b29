//! The mailbox over gRPC, `hashmailrpc.HashMail`: one connection and one streaming call for each box.

use std::sync::Mutex;

use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::error::LinkError;
use super::server::Server;
use crate::StreamId;
use crate::mailbox::{MAX_FRAME, MailboxError};

/// Packets that wait for HTTP/2's flow control.
const QUEUE: usize = 64;

/// `hashmailrpc.CipherBoxDesc`
#[derive(Clone, PartialEq, prost::Message)]
struct CipherBoxDesc {
    #[prost(bytes = "vec", tag = "1")]
    stream_id: Vec<u8>,
}

/// `hashmailrpc.CipherBox`
#[derive(Clone, PartialEq, prost::Message)]
struct CipherBox {
    #[prost(message, optional, tag = "1")]
    desc: Option<CipherBoxDesc>,
    #[prost(bytes = "vec", tag = "2")]
    msg: Vec<u8>,
}

pub(super) async fn receive(server: &Server, stream: &StreamId) -> Result<Receiver, LinkError> {
    let mut client = client(server).await?;
    let path = PathAndQuery::from_static("/hashmailrpc.HashMail/RecvStream");
    let request = Request::new(desc(stream));
    let call = tokio::spawn(async move {
        let codec = ProstCodec::<CipherBoxDesc, CipherBox>::default();
        client.server_streaming(request, path, codec).await.map(tonic::Response::into_inner)
    });
    Ok(Receiver { call: Some(call), packets: None })
}

pub(super) async fn send(server: &Server, stream: &StreamId) -> Result<Sender, LinkError> {
    let mut client = client(server).await?;
    let path = PathAndQuery::from_static("/hashmailrpc.HashMail/SendStream");
    let (packets, mut queue) = mpsc::channel(QUEUE);
    let queue = futures_util::stream::poll_fn(move |context| queue.poll_recv(context));
    let call = tokio::spawn(async move {
        let codec = ProstCodec::<CipherBox, CipherBoxDesc>::default();
        client.client_streaming(Request::new(queue), path, codec).await.map(drop)
    });
    Ok(Sender { call, packets: Some(packets), desc: desc(stream) })
}

/// A connection, ready for one call.
async fn client(server: &Server) -> Result<Grpc<Channel>, LinkError> {
    let once = Mutex::new(Some(TokioIo::new(server.dial().await?)));
    let connector = tower::service_fn(move |_| {
        let stream = once.lock().map_or(None, |mut slot| slot.take());
        async move { stream.ok_or(std::io::Error::from(std::io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address()))
        .map_err(|error| LinkError::unreachable(&error))?;
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| LinkError::unreachable(&error))?;
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_FRAME);
    client.ready().await.map_err(|error| LinkError::unreachable(&error))?;
    Ok(client)
}

fn desc(stream: &StreamId) -> CipherBoxDesc {
    CipherBoxDesc { stream_id: stream.expose().to_vec() }
}

/// A box that is read. The mailbox answers with the first packet only, so that the call may be under way for long.
pub(super) struct Receiver {
    call: Option<JoinHandle<Result<Streaming<CipherBox>, Status>>>,
    packets: Option<Streaming<CipherBox>>,
}

impl Receiver {
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, LinkError> {
        if let Some(call) = &mut self.call {
            let answered = call.await;
            self.call = None;
            let packets = answered.map_err(|error| LinkError::unreachable(&error))?.map_err(failed)?;
            self.packets = Some(packets);
        }
        let Some(packets) = &mut self.packets else { return Err(closed()) };
        Ok(packets.message().await.map_err(failed)?.ok_or_else(closed)?.msg)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(call) = &self.call {
            call.abort();
        }
    }
}

/// A box that is written.
pub(super) struct Sender {
    call: JoinHandle<Result<(), Status>>,
    /// `None` once it is closed.
    packets: Option<mpsc::Sender<CipherBox>>,
    desc: CipherBoxDesc,
}

impl Sender {
    pub(super) async fn put(&mut self, packet: &[u8]) -> Result<(), LinkError> {
        let packet = CipherBox { desc: Some(self.desc.clone()), msg: packet.to_vec() };
        let sent = match &self.packets {
            Some(packets) => packets.send(packet).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(self.failure().await) }
    }

    pub(super) async fn failure(&mut self) -> LinkError {
        match (&mut self.call).await {
            Ok(Ok(())) => closed(),
            Ok(Err(status)) => failed(status),
            Err(error) => LinkError::unreachable(&error),
        }
    }

    pub(super) async fn close(mut self) {
        self.packets = None;
        // The mailbox answers when it has read everything; whether it does is no matter.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(200), &mut self.call).await;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.call.abort();
    }
}

fn failed(status: Status) -> LinkError {
    // A status with a source was made here, because the connection broke.
    if std::error::Error::source(&status).is_some() {
        return LinkError::Unreachable(status.message().to_owned());
    }
    MailboxError::from_message(status.message()).into()
}

fn closed() -> LinkError {
    LinkError::Unreachable("it ended the stream".to_owned())
}
