//! Rules of our own about calls that look wrong.

use super::refusal::Refusal;
use super::trigger;
use crate::condition::ConditionFacts;
use crate::facts::BodyFacts;
use crate::rulebook::{FraudAnswer, FraudRule, StepUp};

/// Tells which step-up a request needs under a fraud rule, if any; the rule's mode is not looked at.
///
/// # Errors
/// [`Refusal::Fraud`] if the rule denies, and what [`trigger::pulled`] says if it cannot be judged.
pub fn judged<'a>(
    rule: &'a FraudRule,
    body: &BodyFacts,
    facts: &ConditionFacts<'_>,
) -> Result<Option<&'a StepUp>, Refusal> {
    if !trigger::pulled(&rule.trigger, body, facts)? {
        return Ok(None);
    }
    match &rule.then {
        FraudAnswer::Deny => Err(Refusal::Fraud),
        FraudAnswer::StepUp(step_up) => Ok(Some(step_up)),
    }
}
