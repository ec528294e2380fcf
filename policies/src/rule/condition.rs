//! Conditions that all have to hold.

use super::refusal::Refusal;
use crate::condition::{Condition, ConditionFacts};

/// Refuses unless a condition holds; one that cannot be judged does not.
///
/// # Errors
/// [`Refusal::ConditionUnmet`], [`Refusal::NotJudged`].
pub fn holds(condition: &Condition, facts: &ConditionFacts<'_>) -> Result<(), Refusal> {
    match condition.judge(facts) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::ConditionUnmet),
        Err(fault) => Err(Refusal::NotJudged { why: fault.why }),
    }
}
