//! The port: TCP, TLS and HTTP/2 for the front door; it can be closed and opened again, and its connections cut.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lnd_rpc::invoicesrpc::invoices_server::InvoicesServer;
use lnd_rpc::lnrpc::lightning_server::LightningServer;
use lnd_rpc::routerrpc::router_server::RouterServer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::call::ConnectionId;
use crate::front::Front;
use crate::line::Line;
use crate::world::World;

/// How long a client may take over the TLS handshake.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What the port does with who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Serves.
    Open,
    /// Refuses.
    Closed,
    /// Accepts and says nothing.
    Silent,
}

/// A change of mode, and whom to tell when it has taken effect.
pub(crate) type ModeChange = (Mode, std::sync::mpsc::SyncSender<io::Result<()>>);

/// A bound port. It stays reserved while it refuses connections: a socket that is bound and doesn't listen holds it.
pub(crate) struct Port {
    reserved: TcpSocket,
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Port {
    /// Binds `address` and listens. Call within a runtime.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let reserved = socket(address)?;
        let address = reserved.local_addr()?;
        let listener = Some(listen(address)?);
        Ok(Self { reserved, address, listener })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What accepts, while anything does.
    pub(crate) fn listener(&self) -> Option<&TcpListener> {
        self.listener.as_ref()
    }

    pub(crate) fn set(&mut self, mode: Mode) -> io::Result<()> {
        match (mode, &self.listener) {
            (Mode::Closed, _) => self.listener = None,
            (Mode::Open | Mode::Silent, None) => self.listener = Some(listen(self.reserved.local_addr()?)?),
            (Mode::Open | Mode::Silent, Some(_)) => {}
        }
        Ok(())
    }
}

/// Where connections go whose bytes are gRPC.
pub(crate) type Door = mpsc::UnboundedSender<io::Result<Connection>>;

/// Opens the front door. Call within a runtime.
pub(crate) fn open(front: Front) -> Door {
    let (connections, incoming) = mpsc::unbounded_channel();
    tokio::spawn(
        Server::builder()
            .add_service(LightningServer::new(front.clone()))
            .add_service(RouterServer::new(front.clone()))
            .add_service(InvoicesServer::new(front))
            .serve_with_incoming(UnboundedReceiverStream::new(incoming)),
    );
    connections
}

/// Passes connections that need no TLS on to the front door, until their sender is gone.
pub(crate) async fn pass_on(mut streams: mpsc::UnboundedReceiver<TcpStream>, door: Door, world: Arc<World>) {
    while let Some(stream) = streams.recv().await {
        if let Ok((stream, registered)) = Registered::new(stream, world.clone()) {
            // The door closes only with the simulator.
            let _ = door.send(Ok(Connection { stream: Box::new(stream), registered }));
        }
    }
}

/// Serves `port` until the sender of `modes` is gone.
pub(crate) async fn serve(
    port: Port,
    world: Arc<World>,
    connections: Door,
    tls: watch::Receiver<TlsAcceptor>,
    modes: mpsc::UnboundedReceiver<ModeChange>,
) {
    accept_all(port, modes, |stream| {
        let tls = tls.borrow().clone();
        tokio::spawn(handshake(stream, tls, world.clone(), connections.clone()));
    })
    .await;
}

/// Hands each connection that comes while `port` is open to `take`, until the sender of `modes` is gone.
pub(crate) async fn accept_all(
    mut port: Port,
    mut modes: mpsc::UnboundedReceiver<ModeChange>,
    take: impl Fn(TcpStream),
) {
    let mut mode = Mode::Open;
    // Connections that came while the port was silent; they end with the silence.
    let mut ignored = Vec::new();
    loop {
        tokio::select! {
            biased;
            change = modes.recv() => {
                let Some((next, done)) = change else { return };
                mode = next;
                ignored.clear();
                // Nobody may be waiting any more; then the outcome is of no interest.
                let _ = done.send(port.set(mode));
            }
            accepted = accept(port.listener()) => match (accepted, mode) {
                (Ok(stream), Mode::Silent) => ignored.push(stream),
                (Ok(stream), _) => take(stream),
                // Out of file descriptors, or a client that left at once: the next one may fare better.
                (Err(error), _) => tracing::warn!(%error, "a connection could not be accepted"),
            },
        }
    }
}

pub(crate) async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Makes TLS of TCP and hands the connection to gRPC. A client that fails here is simply gone.
async fn handshake(stream: TcpStream, tls: TlsAcceptor, world: Arc<World>, connections: Door) {
    let registered = stream.set_nodelay(true).and_then(|()| Registered::new(stream, world));
    let (stream, registered) = match registered {
        Ok(pair) => pair,
        Err(error) => return tracing::debug!(%error, "a connection was lost at once"),
    };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            // The server ends only with the simulator.
            let _ = connections.send(Ok(Connection { stream: Box::new(stream), registered }));
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake timed out"),
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    socket(address)?.listen(BACKLOG)
}

/// An entry in the list of open connections, for as long as it lives.
pub(crate) struct Registered {
    pub(crate) id: u64,
    world: Arc<World>,
}

impl Registered {
    pub(crate) fn new(stream: TcpStream, world: Arc<World>) -> io::Result<(Line, Self)> {
        let stream = stream.into_std()?;
        let id = world.connections.add(stream.try_clone()?);
        let line = Line::new(TcpStream::from_std(stream)?, &world);
        Ok((line, Self { id, world }))
    }

    /// By what it can be cut.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.world.connections.remove(self.id);
    }
}

/// A connection of gRPC.
pub(crate) struct Connection {
    stream: Box<dyn Bytes>,
    registered: Registered,
}

/// What bytes come by.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl Bytes for TlsStream<Line> {}
impl Bytes for Line {}

impl Connected for Connection {
    type ConnectInfo = ConnectionId;

    fn connect_info(&self) -> ConnectionId {
        ConnectionId(self.registered.id)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
