//! A client's connection, which can be frozen: it stays open and carries nothing, as behind a firewall that forgot it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::world::World;

/// The stream of a connection.
pub(crate) struct Line {
    stream: TcpStream,
    frozen: watch::Receiver<bool>,
    thaw: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Line {
    pub(crate) fn new(stream: TcpStream, world: &Arc<World>) -> Self {
        Self { stream, frozen: world.frozen(), thaw: None }
    }

    /// Ready while it is not frozen.
    fn poll_thawed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !*self.frozen.borrow() {
                self.thaw = None;
                return Poll::Ready(());
            }
            let mut frozen = self.frozen.clone();
            let thaw = self.thaw.get_or_insert_with(|| {
                Box::pin(async move {
                    // The simulator outlives its connections.
                    let _ = frozen.wait_for(|frozen| !*frozen).await;
                })
            });
            match thaw.as_mut().poll(cx) {
                Poll::Ready(()) => self.thaw = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_thawed(cx));
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_thawed(cx));
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
