//! The session's stream as HTTP/2 reads it: its end is an error, but not once the wallet is closed for good.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that falls silent, instead of failing, after `closed` was set: whoever still follows the settlements would
/// take an orderly end for a loss, and report it.
pub(super) struct FarewellStream<S> {
    pub(super) stream: S,
    pub(super) closed: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for FarewellStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buf) {
            // Nobody is waiting for an answer any more.
            Poll::Ready(Err(_)) if self.closed.load(Ordering::Acquire) => Poll::Pending,
            other => other,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FarewellStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
