//! The body of a backend's answer, which keeps its connection until it has ended.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

/// A body that hands its connection back when it has ended, and closes it when it is dropped before.
#[derive(Debug)]
pub struct PooledBody<B> {
    body: Incoming,
    _sender: PhantomData<B>,
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

impl<B: Unpin> Body for PooledBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(BodyError::Lost)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
