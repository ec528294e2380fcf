//! Which payers have to be verified first.

use std::cmp::Ordering;

use super::refusal::Refusal;
use crate::evidence::acr_of_level;
use crate::id::OperationId;
use crate::national::money::Money;
use crate::result::IdentityResult;
use crate::rulebook::{StepUp, Trigger};
use crate::time::Timestamp;

/// What verifications for a step-up are made for.
pub const PURPOSE: &str = "payment_stepup";

/// Judges a request under a step-up rule; `true` says that the identity result was needed and is to be spent.
///
/// `binding` is the hash of this very request, see [`binding_hash`](crate::decide::binding_hash).
///
/// # Errors
/// [`Refusal::AmountUnknown`] if there is no amount to compare; above the amount [`Refusal::StepUp`] without a result,
/// and [`Refusal::ResultForAnother`], [`Refusal::ResultOver`] or [`Refusal::ResultTooWeak`] with one that does not do.
pub fn verified(
    rule: &StepUp,
    amount: Option<&Money>,
    identity: Option<&IdentityResult>,
    binding: &str,
    operation: &OperationId,
    now: Timestamp,
) -> Result<bool, Refusal> {
    // An amount in another currency cannot be compared; passing it would open the gate to all currencies but one.
    let Trigger::Above { above, amount: at } = &rule.trigger else { return Err(Refusal::FactsDoNotFit) };
    let compared = amount.filter(|amount| amount.tiyn() >= 0).and_then(|amount| amount.compare(above));
    match compared {
        None => return Err(Refusal::AmountUnknown { at: at.clone() }),
        Some(Ordering::Less | Ordering::Equal) => return Ok(false),
        Some(Ordering::Greater) => {}
    }
    let Some(result) = identity else {
        return Err(Refusal::StepUp {
            acr: rule.acr.clone(),
            purpose: PURPOSE,
            binding: binding.to_owned(),
            operation: operation.clone(),
        });
    };
    if result.binding_hash() != Some(binding) {
        return Err(Refusal::ResultForAnother);
    }
    if result.is_over(now) {
        return Err(Refusal::ResultOver);
    }
    if !reaches(result.acr(), &rule.acr) {
        return Err(Refusal::ResultTooWeak { acr: rule.acr.clone() });
    }
    Ok(true)
}

// Levels are one digit after the same letter, so that whole names of one length compare as text; others only equal.
fn reaches(has: &str, needs: &str) -> bool {
    let levelled = |acr: &str| (1..=4).any(|level| acr == acr_of_level(&format!("L{level}")));
    has == needs || (levelled(has) && levelled(needs) && has >= needs)
}
