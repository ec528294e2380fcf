//! The stages and frames of the stack, one file each, each named by its verb.
//!
//! A layer holds no rule: it fetches facts, calls a pure function of `policies`, and does what it said.

pub mod assess;
pub mod audit;
pub mod authenticate;
pub mod guard;
mod hygiene;
pub mod meter;
pub mod once;
pub mod permit;
pub(crate) mod read;
pub mod redact;
pub mod route;
pub mod trace;
pub mod validate;

use policies::decide::Refusal;
use spine::error::Rejection;
use spine::trail::Trail;

/// Notes on the trail how a stage ended.
fn noted<T>(trail: &Trail, stage: &'static str, result: Result<T, Rejection>) -> Result<T, Rejection> {
    trail.note_step(stage, result.as_ref().map_or_else(Rejection::name, |_| "pass"));
    result
}

/// Puts a rule's refusal into an answer.
fn refused(refusal: &Refusal) -> Rejection {
    Rejection::new(refusal.code(), refusal.detail())
}
