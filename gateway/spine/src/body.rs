//! The body of a request or an answer: nothing, bytes, or a stream that is passed on untouched.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// Why a body ended before its end.
#[derive(Debug)]
pub enum BodyFailure {
    /// More bytes came than may.
    TooLarge,
    /// Bytes came too slowly, or stopped coming.
    TooSlow,
    /// The other side broke off or broke the framing; the text is for the log.
    Broken(String),
}

impl fmt::Display for BodyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyFailure::TooLarge => f.write_str("the body is too large"),
            BodyFailure::TooSlow => f.write_str("the body came too slowly"),
            BodyFailure::Broken(why) => write!(f, "the body broke off: {why}"),
        }
    }
}

impl std::error::Error for BodyFailure {}

/// A stream of body frames with its type erased.
pub type Stream = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyFailure> + Send + Sync>>;

/// What is kept until a body has ended; told once whether the end was reached before it was dropped.
pub trait Held: Send + Sync {
    /// Ends the keeping; `complete` is false if the body was dropped before its last byte.
    fn end(self: Box<Self>, complete: bool);
}

enum Inner {
    Empty,
    Whole(Bytes),
    Stream(Stream),
}

/// A body.
pub struct Body {
    inner: Inner,
    held: Vec<Box<dyn Held>>,
}

impl Default for Body {
    /// Makes a body of no bytes.
    fn default() -> Self {
        Self::empty()
    }
}

impl Body {
    /// Makes a body of no bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self { inner: Inner::Empty, held: Vec::new() }
    }

    /// Makes a body of these bytes.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let inner = if bytes.is_empty() { Inner::Empty } else { Inner::Whole(bytes) };
        Self { inner, held: Vec::new() }
    }

    /// Passes a stream on.
    #[must_use]
    pub fn stream(stream: Stream) -> Self {
        let inner = if stream.is_end_stream() { Inner::Empty } else { Inner::Stream(stream) };
        Self { inner, held: Vec::new() }
    }

    /// Keeps something until the body has ended or is dropped.
    pub fn hold(&mut self, held: Box<dyn Held>) {
        self.held.push(held);
    }

    /// Takes the body out, leaving none behind.
    #[must_use]
    pub fn take(&mut self) -> Body {
        std::mem::take(self)
    }

    fn finish(&mut self, complete: bool) {
        // The last held first, as scopes end.
        while let Some(held) = self.held.pop() {
            held.end(complete);
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.inner {
            Inner::Empty => "Body(empty)",
            Inner::Whole(_) => "Body(whole)",
            Inner::Stream(_) => "Body(stream)",
        })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let polled = match &mut self.inner {
            Inner::Empty => Poll::Ready(None),
            Inner::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.inner = Inner::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Inner::Stream(stream) => stream.as_mut().poll_frame(cx),
        };
        match &polled {
            Poll::Ready(None) => self.finish(true),
            Poll::Ready(Some(Err(_))) => self.finish(false),
            // The server may never ask again after the last frame.
            Poll::Ready(Some(Ok(_))) if self.is_end_stream() => self.finish(true),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => true,
            Inner::Whole(_) => false,
            Inner::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Stream(stream) => stream.size_hint(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // An answer without a body is never polled: dropping it is its end.
        let complete = matches!(self.inner, Inner::Empty);
        self.finish(complete);
    }
}
