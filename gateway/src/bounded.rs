//! A request body that streams on: never more bytes than the operation allows, never longer than its time.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use spine::body::{Body, BodyFailure};

/// The bound around a body.
pub struct Bounded {
    inner: Body,
    broken: Arc<OnceLock<Broken>>,
    bytes_left: usize,
    deadline: Pin<Box<tokio::time::Sleep>>,
}

/// Which bound a body broke; the backend's connection only tells that it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Too many bytes came.
    Size,
    /// They came too slowly, or not at all.
    Time,
}

impl Bounded {
    /// Bounds a body to `bytes_max` bytes until `deadline`; `broken` is told if it keeps to neither.
    #[must_use]
    pub fn body(inner: Body, bytes_max: usize, deadline: Instant, broken: Arc<OnceLock<Broken>>) -> Body {
        let deadline = Box::pin(tokio::time::sleep_until(deadline.into()));
        Body::stream(Box::pin(Self { inner, broken, bytes_left: bytes_max, deadline }))
    }

    fn fail(&self, which: Broken, failure: BodyFailure) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        // The first bound that was broken is the one that counts.
        let _ = self.broken.set(which);
        Poll::Ready(Some(Err(failure)))
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match self.bytes_left.checked_sub(length) {
                Some(left) => self.bytes_left = left,
                None => return self.fail(Broken::Size, BodyFailure::TooLarge),
            }
        }
        if polled.is_pending() && Future::poll(self.deadline.as_mut(), cx).is_ready() {
            return self.fail(Broken::Time, BodyFailure::TooSlow);
        }
        if matches!(polled, Poll::Ready(Some(Err(BodyFailure::TooSlow)))) {
            let _ = self.broken.set(Broken::Time);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
