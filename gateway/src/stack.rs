//! The list of layers, in the order in which a request meets them.
//!
//! The types make the order: each layer takes what the one before it gives, so that two swapped lines do not compile.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use spine::Reply;
use spine::body::Body;
use spine::refine::{Refine, then};
use spine::stage::Arrived;
use tower::{Layer as _, Service, ServiceBuilder};

use crate::deed::Deed;
use crate::generation::Generation;
use crate::house::House;
use crate::layer::assess::Assess;
use crate::layer::audit::AuditLayer;
use crate::layer::authenticate::Authenticate;
use crate::layer::challenge::ChallengeLayer;
use crate::layer::guard::GuardLayer;
use crate::layer::meter::MeterLayer;
use crate::layer::once::OnceLayer;
use crate::layer::permit::Permit;
use crate::layer::redact::RedactLayer;
use crate::layer::route::Route;
use crate::layer::trace::TraceLayer;
use crate::layer::validate::Validate;
use crate::reach::Reach;

/// Builds the way of a request through one policy generation.
#[rustfmt::skip]
fn way(house: &Arc<House>, generation: &Arc<Generation>, reach: &Arc<Reach>) -> impl Refine<Box<Arrived>, Out = Reply> + 'static {
    let number = generation.number;
    let done = ServiceBuilder::new()
        .layer(RedactLayer(Arc::clone(house)))
        .service(Deed { house: Arc::clone(house), generation: Arc::clone(generation), reach: Arc::clone(reach) });
    let judged = then(Assess(Arc::clone(house)), done);
    let judged_once = OnceLayer(Arc::clone(house)).layer(judged);

    ServiceBuilder::new()
        .layer(TraceLayer(Arc::clone(house)))
        .layer(GuardLayer(Arc::clone(house)))
        .layer(AuditLayer { house: Arc::clone(house), generation: number, policies: Arc::clone(&generation.bundle.name) })
        .service(
            then(Route(Arc::clone(generation)),
            then(Authenticate::new(Arc::clone(house), Arc::clone(generation), Arc::clone(reach)),
            ChallengeLayer.layer(
            MeterLayer::new(Arc::clone(house), &generation.rulebook).layer(
            then(Permit,
            then(Validate, judged_once)))))),
        )
}

/// The answer to come: the one box of a request's way.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

trait Root: Send + Sync {
    fn call(self: Arc<Self>, arrived: Box<Arrived>) -> ReplyFuture;
}

impl<W: Refine<Box<Arrived>, Out = Reply> + 'static> Root for W {
    fn call(self: Arc<Self>, arrived: Box<Arrived>) -> ReplyFuture {
        Box::pin(async move {
            Ok(self.refine(arrived).await.unwrap_or_else(|rejection| {
                // `trace` answers every refusal; this is what is left if it ever did not.
                let mut reply = Reply::new(Body::empty());
                *reply.status_mut() = rejection.status();
                reply
            }))
        })
    }
}

/// The stack of one policy generation: a tower service from an arrived request to its reply.
#[derive(Clone)]
pub struct Stack {
    root: Arc<dyn Root>,
    generation: Arc<Generation>,
    reach: Arc<Reach>,
}

impl Stack {
    /// Builds the stack.
    #[must_use]
    pub fn build(house: &Arc<House>, generation: Arc<Generation>, reach: Arc<Reach>) -> Self {
        Self { root: Arc::new(way(house, &generation, &reach)), generation, reach }
    }

    /// Returns what it reaches.
    #[must_use]
    pub fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    /// Returns the generation it decides by.
    #[must_use]
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("generation", &self.generation.number).finish_non_exhaustive()
    }
}

impl Stack {
    /// Answers a request; what [`Service::call`] does, without a stack of one's own.
    #[must_use]
    pub fn answer(&self, arrived: Arrived) -> ReplyFuture {
        Arc::clone(&self.root).call(Box::new(arrived))
    }
}

impl Service<Arrived> for Stack {
    type Response = Reply;
    type Error = Infallible;
    type Future = ReplyFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // `guard` sheds; nothing waits here.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, arrived: Arrived) -> Self::Future {
        self.answer(arrived)
    }
}
