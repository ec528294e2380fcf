//! The body of a backend's answer, which keeps its connection until it has ended.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use thiserror::Error;
use tokio::time::{Sleep, sleep};

use super::endpoint::Endpoint;

/// A place among the requests under way to a backend, given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicU32>);

impl Place {
    /// Takes a place if fewer than `most` are taken.
    pub(super) fn take(count: &Arc<AtomicU32>, most: u32) -> Option<Self> {
        let place = Self(Arc::clone(count));
        // Counted first and looked at then: of two at once, both may be refused but never both let in.
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that goes back to its endpoint when the body has ended.
pub(super) struct Lent<B> {
    pub(super) endpoint: Arc<Endpoint<B>>,
    pub(super) sender: SendRequest<B>,
}

/// A body that hands its connection back when it has ended, and closes it when it is dropped before.
pub struct PooledBody<B> {
    body: Incoming,
    lent: Option<Lent<B>>,
    place: Option<Place>,
    quiet_max: Duration,
    quiet: Option<Pin<Box<Sleep>>>,
}

impl<B> std::fmt::Debug for PooledBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PooledBody").field("pooled", &self.lent.is_some()).finish_non_exhaustive()
    }
}

/// Why a body did not end well.
#[derive(Debug, Error)]
pub enum BodyError {
    /// Nothing came for as long as the head of an answer may take.
    #[error("the backend's answer stopped coming")]
    TimedOut,
    /// The connection ended before the body.
    #[error("the backend's answer broke off: {0}")]
    Lost(#[source] hyper::Error),
}

impl<B> PooledBody<B> {
    /// Holds `place`, and on HTTP/1.1 the connection, until `body` has ended; a pause of `quiet_max` ends it.
    pub(super) fn new(body: Incoming, lent: Option<Lent<B>>, place: Place, quiet_max: Duration) -> Self {
        let mut pooled = Self { body, lent, place: Some(place), quiet_max, quiet: None };
        if pooled.body.is_end_stream() {
            pooled.end();
        }
        pooled
    }

    fn end(&mut self) {
        self.place = None;
        if let Some(Lent { endpoint, sender }) = self.lent.take() {
            endpoint.take_back(sender);
        }
    }
}

impl<B> Body for PooledBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match polled {
            Poll::Pending => {
                // Armed only while the backend is quiet: an answer that comes in one go costs no timer.
                let quiet_max = this.quiet_max;
                let quiet = this.quiet.get_or_insert_with(|| Box::pin(sleep(quiet_max)));
                if quiet.as_mut().poll(cx).is_ready() { Poll::Ready(Some(Err(BodyError::TimedOut))) } else { Poll::Pending }
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Lost(error)))),
            Poll::Ready(Some(Ok(frame))) => {
                this.quiet = None;
                if this.body.is_end_stream() {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
