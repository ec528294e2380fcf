//! A request body that has to keep coming: at least so many bytes in each span, and no credentials in its trailers.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use spine::body::BodyFailure;
use tokio::time::{Instant, Sleep, sleep};

/// A body under watch.
pub(super) struct Paced {
    incoming: Incoming,
    window: Duration,
    bytes_min: usize,
    bytes_in_window: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What decides over a request may not come after it (RFC 9110, 6.5.1).
const NEVER_IN_TRAILERS: [&str; 8] = [
    "authorization",
    "dpop",
    "cookie",
    "host",
    "x-identity-result",
    "x-idempotency-key",
    "content-length",
    "transfer-encoding",
];

impl Paced {
    pub(super) fn new(incoming: Incoming, window: Duration, bytes_min: usize) -> Self {
        Self { incoming, window, bytes_min, bytes_in_window: 0, timer: None }
    }

    fn too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let window = self.window;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(window)));
        while timer.as_mut().poll(cx).is_ready() {
            if self.bytes_in_window < self.bytes_min {
                return true;
            }
            self.bytes_in_window = 0;
            timer.as_mut().reset(Instant::now() + window);
        }
        false
    }
}

fn refused(trailers: &HeaderMap) -> bool {
    NEVER_IN_TRAILERS.iter().any(|name| trailers.contains_key(*name))
        || trailers.keys().any(|name| name.as_str().starts_with("x-qaqpa-"))
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        loop {
            let Poll::Ready(polled) = Pin::new(&mut self.incoming).poll_frame(cx) else {
                return if self.too_slow(cx) { Poll::Ready(Some(Err(BodyFailure::TooSlow))) } else { Poll::Pending };
            };
            let Some(frame) = polled else { return Poll::Ready(None) };
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => return Poll::Ready(Some(Err(BodyFailure::Broken(error.to_string())))),
            };
            if let Some(data) = frame.data_ref() {
                self.bytes_in_window = self.bytes_in_window.saturating_add(data.len());
                return Poll::Ready(Some(Ok(frame)));
            }
            if frame.trailers_ref().is_some_and(refused) {
                let why = "a trailer that decides over the request".to_owned();
                return Poll::Ready(Some(Err(BodyFailure::Broken(why))));
            }
            // Harmless trailers end here: nothing of ours reads them, and backends do not expect them.
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
