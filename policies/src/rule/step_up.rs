//! Whether a payer that has to be verified was.

use super::refusal::Refusal;
use crate::evidence::acr_of_level;
use crate::id::OperationId;
use crate::result::IdentityResult;
use crate::time::Timestamp;

/// What verifications for a step-up are made for.
pub const PURPOSE: &str = "payment_stepup";

/// The levels that contexts are made of, the weakest first.
const LEVELS: [&str; 4] = ["L1", "L2", "L3", "L4"];

/// Refuses a request whose payer has to be verified as `acr` says, unless this very result shows that.
///
/// `binding` is the hash of this very request, see [`binding_hash`](crate::decide::binding_hash).
///
/// # Errors
/// [`Refusal::StepUp`] without a result, and [`Refusal::ResultForAnother`], [`Refusal::ResultOver`] or
/// [`Refusal::ResultTooWeak`] with one that does not do.
pub fn verified(
    acr: &str,
    identity: Option<&IdentityResult>,
    binding: &str,
    operation: &OperationId,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(result) = identity else {
        return Err(Refusal::StepUp {
            acr: acr.to_owned(),
            purpose: PURPOSE,
            binding: binding.to_owned(),
            operation: operation.clone(),
        });
    };
    if result.binding_hash() != Some(binding) {
        return Err(Refusal::ResultForAnother);
    }
    reached(acr, result.acr(), result.is_over(now))
}

/// Refuses a context that is over, or that is less than is asked for.
///
/// # Errors
/// [`Refusal::ResultOver`], [`Refusal::ResultTooWeak`].
pub(crate) fn reached(acr: &str, reached: &str, over: bool) -> Result<(), Refusal> {
    if over {
        return Err(Refusal::ResultOver);
    }
    if reaches(reached, acr) { Ok(()) } else { Err(Refusal::ResultTooWeak { acr: acr.to_owned() }) }
}

/// Ranks a context among those that are asked for: by its level, and one that is none of ours above all.
#[must_use]
pub fn rank(acr: &str) -> usize {
    LEVELS.iter().position(|level| acr == acr_of_level(level)).unwrap_or(LEVELS.len())
}

// One that is none of ours reaches only itself.
fn reaches(has: &str, needs: &str) -> bool {
    has == needs || (rank(has) < LEVELS.len() && rank(needs) < LEVELS.len() && rank(has) >= rank(needs))
}
