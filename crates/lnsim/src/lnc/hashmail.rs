//! The mailbox's gRPC service, `hashmailrpc.HashMail`: the calls that clients make.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{ClientStreamingService, Grpc, NamedService, ServerStreamingService};
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::Mailbox;
use super::boxes::{NOT_FOUND, Name, Side};

/// Serves until the sender of connections is gone.
pub(super) async fn serve(mailbox: Arc<Mailbox>, incoming: mpsc::UnboundedReceiver<io::Result<Connection>>) {
    let served = Server::builder()
        .add_service(HashMail(mailbox))
        .serve_with_incoming(UnboundedReceiverStream::new(incoming));
    if let Err(error) = served.await {
        tracing::error!(%error, "the mailbox's gRPC has ended");
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct CipherBoxDesc {
    #[prost(bytes = "vec", tag = "1")]
    stream_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CipherBox {
    #[prost(message, optional, tag = "1")]
    desc: Option<CipherBoxDesc>,
    #[prost(bytes = "vec", tag = "2")]
    msg: Vec<u8>,
}

#[derive(Clone)]
struct HashMail(Arc<Mailbox>);

impl NamedService for HashMail {
    const NAME: &'static str = "hashmailrpc.HashMail";
}

impl<B> Service<http::Request<B>> for HashMail
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/hashmailrpc.HashMail/RecvStream" => {
                    Grpc::new(ProstCodec::default()).server_streaming(Reading(service), request).await
                }
                "/hashmailrpc.HashMail/SendStream" => {
                    Grpc::new(ProstCodec::default()).client_streaming(Writing(service), request).await
                }
                _ => Status::unimplemented("not for clients").into_http(),
            })
        })
    }
}

struct Reading(HashMail);

impl ServerStreamingService<CipherBoxDesc> for Reading {
    type Response = CipherBox;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<CipherBox, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<CipherBoxDesc>) -> Self::Future {
        let HashMail(mailbox) = self.0.clone();
        Box::pin(async move {
            let desc = request.into_inner();
            let slot = mailbox.boxes.take(&name(&desc)?, Side::Read).await.map_err(Status::unknown)?;
            let (sender, packets) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                loop {
                    let packet = tokio::select! {
                        packet = slot.next() => packet,
                        () = sender.closed() => return,
                    };
                    let Some(msg) = packet else {
                        let _ = sender.send(Err(Status::unknown("EOF")));
                        return;
                    };
                    if sender.send(Ok(CipherBox { desc: Some(desc.clone()), msg })).is_err() {
                        return;
                    }
                }
            });
            let packets: Self::ResponseStream = Box::pin(UnboundedReceiverStream::new(packets));
            Ok(Response::new(packets))
        })
    }
}

struct Writing(HashMail);

impl ClientStreamingService<CipherBox> for Writing {
    type Response = CipherBoxDesc;
    type Future = BoxFuture<Response<CipherBoxDesc>, Status>;

    fn call(&mut self, request: Request<Streaming<CipherBox>>) -> Self::Future {
        let HashMail(mailbox) = self.0.clone();
        Box::pin(async move {
            let mut packets = request.into_inner();
            let mut slot = None;
            let mut last = CipherBoxDesc::default();
            while let Some(CipherBox { desc, msg }) = packets.message().await? {
                last = desc.ok_or_else(|| Status::unknown(NOT_FOUND))?;
                if slot.is_none() {
                    let taken = mailbox.boxes.take(&name(&last)?, Side::Write).await;
                    slot = Some(taken.map_err(Status::unknown)?);
                }
                if !slot.as_ref().is_some_and(|slot| slot.put(msg, &mailbox.sky)) {
                    return Err(Status::unknown("io: read/write on closed pipe"));
                }
            }
            Ok(Response::new(last))
        })
    }
}

fn name(desc: &CipherBoxDesc) -> Result<Name, Status> {
    desc.stream_id.as_slice().try_into().map_err(|_| Status::unknown(NOT_FOUND))
}

/// A connection that can be cut.
pub(super) struct Connection {
    stream: Box<TlsStream<TcpStream>>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Connection {
    pub(super) fn new(stream: TlsStream<TcpStream>, mut cuts: watch::Receiver<u64>) -> Self {
        let cut = Box::pin(async move {
            let _ = cuts.changed().await;
        });
        Self { stream: Box::new(stream), cut }
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            self.cut = Box::pin(std::future::ready(()));
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
