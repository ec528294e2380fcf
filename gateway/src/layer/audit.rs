//! `audit`: opens the trail, and seals it when the last byte is out or the request is dropped.

use std::sync::Arc;

use policies::audit::Ending;
use spine::Reply;
use spine::body::Held;
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::{Guarded, Received};
use spine::trail::Trail;
use tower::Layer;

use crate::house::House;

/// Makes the frame for one policy generation.
#[derive(Debug, Clone)]
pub struct AuditLayer {
    /// Where the log is.
    pub house: Arc<House>,
    /// The number of the generation that decides.
    pub generation: u64,
    /// The digest of its policy set.
    pub policies: Arc<str>,
}

impl<S> Layer<S> for AuditLayer {
    type Service = Audit<S>;

    fn layer(&self, inner: S) -> Audit<S> {
        let (house, policies) = (Arc::clone(&self.house), Arc::clone(&self.policies));
        Audit { house, generation: self.generation, policies, inner }
    }
}

/// The frame.
#[derive(Debug)]
pub struct Audit<S> {
    house: Arc<House>,
    generation: u64,
    policies: Arc<str>,
    inner: S,
}

impl<S: Refine<Received, Out = Reply>> Refine<Guarded> for Audit<S> {
    type Out = Reply;

    async fn refine(&self, guarded: Guarded) -> Result<Reply, Rejection> {
        let now = self.house.clock.now();
        let trail = Trail::open(guarded.interaction().clone(), now, self.generation);
        trail.note_policies(&self.policies);
        // Sealed by its drop: whatever happens to this future, one outcome record is written.
        let mut seal = Box::new(Seal { house: Arc::clone(&self.house), trail: Some(trail.clone()), status: None });
        match self.inner.refine(guarded.receive(now, trail)).await {
            Ok(mut reply) => {
                seal.status = Some(reply.status().as_u16());
                reply.body_mut().hold(seal);
                Ok(reply)
            }
            Err(rejection) => {
                seal.status = Some(rejection.status().as_u16());
                seal.end(true);
                Err(rejection)
            }
        }
    }
}

/// Writes the outcome record once.
struct Seal {
    house: Arc<House>,
    trail: Option<Trail>,
    status: Option<u16>,
}

impl Seal {
    fn seal(&mut self, ending: Ending) {
        if let Some(trail) = self.trail.take() {
            let now = self.house.clock.now();
            if let Some((operation, note)) = trail.take_fields() {
                let (interaction, status) = (trail.interaction(), self.status.unwrap_or_default());
                tracing::info!(
                    interaction = %interaction, operation = %operation, status, note = %note,
                    "{interaction}: {operation} was answered with {status}"
                );
            }
            // Whoever has not shown who they are could fill the disk with refusals: beyond so many a second they are
            // counted, not written.
            if trail.is_stranger()
                && self.status.is_some_and(|status| status >= 400)
                && !self.house.strangers.admit(now)
            {
                return self.house.metrics.audit_suppressed();
            }
            let record = trail.outcome(ending, self.status, now);
            if self.house.audit.record(record).is_err() {
                self.house.metrics.audit_lost();
            }
        }
    }
}

impl Held for Seal {
    fn end(mut self: Box<Self>, complete: bool) {
        self.seal(if complete { Ending::Answered } else { Ending::Abandoned });
    }
}

impl Drop for Seal {
    fn drop(&mut self) {
        self.seal(Ending::Abandoned);
    }
}
