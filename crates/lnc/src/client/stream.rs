//! The byte stream to the node, and the handle that ends it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;

use super::driver::Ended;

/// Bytes to and from the node. Dropping it ends the session with a FIN. Once it has ended, reading fails with the reason.
pub struct Stream {
    pub(super) pipe: DuplexStream,
    pub(super) ended: Arc<OnceLock<Ended>>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(context, buf))?;
        if buf.filled().len() == before && buf.remaining() > 0 {
            let why = self.ended.get().cloned().unwrap_or(Ended::Here);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

/// A session under way, apart from its stream.
#[derive(Clone)]
pub struct Session {
    pub(super) close: watch::Sender<bool>,
    pub(super) ended: Arc<OnceLock<Ended>>,
}

impl Session {
    /// Ends the session: FIN, and time for the mailbox to pass it on, so that the node takes the next client at once.
    /// Returns when that is done, within a second and a half.
    pub async fn close(&self) {
        self.close.send_replace(true);
        self.close.closed().await;
    }

    /// Why the session is over; `None` while it isn't.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.get()
    }
}
