//! The body of a backend's answer, which keeps its connection until it has ended.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep};

use super::endpoint::Endpoint;
use super::target::Place;

/// A body that hands its connection back when it has ended, and closes it when it is dropped before.
///
/// Trailers are left out.
pub struct PooledBody<B> {
    /// None once it has ended, well or not.
    body: Option<Incoming>,
    connection: Option<(http1::SendRequest<B>, Arc<Endpoint<B>>)>,
    place: Option<Place>,
    wait_max: Duration,
    /// Made at the first wait: most bodies come with their head and never need it.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether anything came since the timer was set.
    progressed: bool,
}

/// Why a body did not end well.
#[derive(Debug, Error)]
pub enum BodyError {
    /// Nothing came for as long as the head of an answer may take, or up to twice as long.
    #[error("the backend's answer stopped coming")]
    TimedOut,
    /// The connection ended before the body.
    #[error("the backend's answer broke off: {0}")]
    Lost(#[source] hyper::Error),
}

impl<B: Send + 'static> PooledBody<B> {
    /// Keeps `connection`, if it is this body's alone, and the place among the requests under way.
    pub(super) fn new(
        body: Incoming,
        connection: Option<(http1::SendRequest<B>, Arc<Endpoint<B>>)>,
        place: Place,
        wait_max: Duration,
    ) -> Self {
        let body = Some(body);
        let mut pooled = Self { body, connection, place: Some(place), wait_max, timer: None, progressed: false };
        if pooled.is_end_stream() {
            pooled.finish();
        }
        pooled
    }

    fn finish(&mut self) {
        self.body = None;
        self.place = None;
        if let Some((connection, endpoint)) = self.connection.take() {
            endpoint.hand_back(connection);
        }
    }

    fn give_up(&mut self) {
        self.body = None;
        self.place = None;
        self.connection = None;
    }

    // The timer is not set anew with each piece, which would cost more than the piece: when it fires, it is looked
    // whether anything came meanwhile.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait_max = self.wait_max;
        if self.timer.is_none() {
            self.progressed = false;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(wait_max)));
        while timer.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.progressed) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + wait_max);
        }
        Poll::Pending
    }
}

impl<B: Send + 'static> Body for PooledBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.progressed = true;
                    if body.is_end_stream() {
                        this.finish();
                    }
                    if frame.is_data() {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Poll::Ready(None) => {
                    this.finish();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(error))) => {
                    this.give_up();
                    return Poll::Ready(Some(Err(BodyError::Lost(error))));
                }
                Poll::Pending => {
                    if this.poll_patience(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.give_up();
                    return Poll::Ready(Some(Err(BodyError::TimedOut)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

// Nothing in it is pinned: the timer has its own box.
impl<B> Unpin for PooledBody<B> {}

impl<B> fmt::Debug for PooledBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBody").field("ended", &self.body.is_none()).finish_non_exhaustive()
    }
}
