//! A step on the way of a request: takes what was known, gives what is known now, or refuses.

use std::future::Future;

use crate::error::Rejection;

/// One step, or a frame that holds the rest of the way inside it.
///
/// The future is not boxed, so that a whole chain is one future; only the root of the stack boxes it. That is why this
/// is a trait of ours and not `tower::Service`, whose futures must have a name (frames are `tower::Layer`s all the same).
pub trait Refine<In>: Send + Sync {
    /// What is known afterwards; [`Reply`](crate::Reply) at the end of the way.
    type Out;

    /// Takes the step.
    ///
    /// # Errors
    /// A [`Rejection`] ends the way of the request.
    fn refine(&self, input: In) -> impl Future<Output = Result<Self::Out, Rejection>> + Send;
}

/// Two steps, one after the other.
#[derive(Debug, Clone)]
pub struct Then<First, Next> {
    first: First,
    next: Next,
}

/// Joins two steps.
pub fn then<First, Next>(first: First, next: Next) -> Then<First, Next> {
    Then { first, next }
}

impl<In, First, Next> Refine<In> for Then<First, Next>
where
    In: Send,
    First: Refine<In>,
    First::Out: Send,
    Next: Refine<First::Out>,
{
    type Out = Next::Out;

    async fn refine(&self, input: In) -> Result<Self::Out, Rejection> {
        let known = self.first.refine(input).await?;
        self.next.refine(known).await
    }
}
