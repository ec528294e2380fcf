//! What connections to stores go through: a bound on what a server may say before it is told something again.
//!
//! Their protocols begin with a length, and what reads them keeps all of it until it is whole: a server that names two
//! gigabytes and sends them would have all of our memory. This module must never know what is said.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that a server may send between two writes of ours: many times the longest answer that we ask for, and
/// little enough for a process to hold once a connection.
pub(crate) const UNASKED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A connection that fails when a server has said more than [`UNASKED_BYTES_MAX`] since it was last written to.
///
/// Speaks plain text: TLS belongs below it, as otherwise a server could have TLS itself write, by asking for new keys.
#[derive(Debug)]
pub(crate) struct Wary<S> {
    stream: S,
    bytes: usize,
}

impl<S> Wary<S> {
    /// Listens to a stream with a bound.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, bytes: 0 }
    }

    /// Returns what it listens to.
    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }
}

/// The error of a server that says too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server sends more than {UNASKED_BYTES_MAX} bytes at once")
    }
}

impl std::error::Error for TooMuch {}

impl<S: AsyncRead + Unpin> AsyncRead for Wary<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.bytes = self.bytes.saturating_add(buffer.filled().len().saturating_sub(before));
        Poll::Ready(if self.bytes > UNASKED_BYTES_MAX { Err(io::Error::other(TooMuch)) } else { Ok(()) })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wary<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.bytes = 0;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, join, repeat, sink};

    use super::*;

    async fn read(wary: &mut (impl AsyncRead + Unpin), bytes: usize) -> io::Result<u64> {
        tokio::io::copy(&mut wary.take(bytes as u64), &mut sink()).await
    }

    #[tokio::test]
    async fn so_many_bytes_may_come_unasked_and_not_one_more() {
        let mut wary = Wary::new(join(repeat(b'x'), sink()));
        assert_eq!(read(&mut wary, UNASKED_BYTES_MAX).await.unwrap(), UNASKED_BYTES_MAX as u64);
        let error = read(&mut wary, 1).await.unwrap_err();
        assert!(error.get_ref().unwrap().is::<TooMuch>(), "{error}");
        assert!(read(&mut wary, 1).await.is_err(), "it does not come round by itself");
    }

    #[tokio::test]
    async fn what_is_asked_for_may_be_answered_as_long() {
        let mut wary = Wary::new(join(repeat(b'x'), sink()));
        for _ in 0..2 {
            read(&mut wary, UNASKED_BYTES_MAX).await.unwrap();
            wary.write_all(b"go on").await.unwrap();
        }
        assert!(read(&mut wary, UNASKED_BYTES_MAX + 1).await.is_err());
    }
}
