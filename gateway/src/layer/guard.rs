//! `guard`: sheds what is too much before any cryptography, bounds the time, and catches what panics.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use policies::code::Code;
use policies::limit::Metering;
use spine::Reply;
use spine::body::Held;
use spine::error::Rejection;
use spine::rate_limit::Room;
use spine::refine::Refine;
use spine::stage::{Door, Guarded, Traced};
use tower::Layer;

use crate::house::House;

/// How long a request may take until its answer begins, whatever its operation allows: above every policy's timeout.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// When to come back after shedding.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Makes the frame.
#[derive(Debug, Clone)]
pub struct GuardLayer(pub Arc<House>);

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { house: Arc::clone(&self.0), inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Guard<S> {
    house: Arc<House>,
    inner: S,
}

impl<S: Refine<Guarded, Out = Reply>> Refine<Traced> for Guard<S> {
    type Out = Reply;

    async fn refine(&self, traced: Traced) -> Result<Reply, Rejection> {
        let door = traced.arrived.entrance.door;
        // The administrators' listener stays usable while the public ones are flooded.
        let place = if door == Door::Admin { None } else { Some(self.admit(&traced)?) };
        // The deadline is a value: every wait on the way keeps to it or has a shorter bound of its own, and the listener
        // ends the connection of a request that outlives them all. A timer here would cost every request.
        let deadline = Instant::now() + REQUEST_TIME_MAX;
        let rest = CatchPanic(std::pin::pin!(self.inner.refine(Guarded::admitted(traced, deadline))));
        let mut reply = rest.await.unwrap_or_else(|cause| {
            self.house.metrics.panicked();
            Err(Rejection::new(Code::Internal, "The request could not be answered.").because(cause))
        })?;
        if let Some(place) = place {
            reply.body_mut().hold(Box::new(place));
        }
        Ok(reply)
    }
}

impl<S> Guard<S> {
    fn admit(&self, traced: &Traced) -> Result<Place, Rejection> {
        let now = self.house.clock.now();
        if let Metering::Exceeded { retry_after } = self.house.peers.check(traced.arrived.peer.address, now) {
            self.house.metrics.shed("peer");
            let detail = "Too many requests come from this address.";
            return Err(Rejection::new(Code::RateLimited, detail)
                .violated(Room::none_of("peer", retry_after))
                .retry_after(retry_after));
        }
        Place::take(&self.house.in_flight, self.house.limits.requests_in_flight_max).ok_or_else(|| {
            self.house.metrics.shed("concurrency");
            Rejection::new(Code::Capacity, "Too many requests are under way.").retry_after(RETRY_AFTER)
        })
    }
}

/// A place among the requests under way, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let place = Place(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Held for Place {
    fn end(self: Box<Self>, _complete: bool) {}
}

/// Turns a panic of the future inside into an error with its text.
pub(crate) struct CatchPanic<F>(pub(crate) F);

impl<F: Future + Unpin> Future for CatchPanic<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // After a panic the future is dropped, never polled again: no half-changed state of it is seen.
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(cx)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                Poll::Ready(Err(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_taken_and_the_next_refused() {
        let count = Arc::new(AtomicUsize::new(0));
        let first = Place::take(&count, 2);
        let second = Place::take(&count, 2);
        assert!(first.is_some() && second.is_some() && Place::take(&count, 2).is_none());
        drop(second);
        assert!(Place::take(&count, 2).is_some());
    }
}
