//! What brings a rule into play.

use std::cmp::Ordering;

use super::refusal::Refusal;
use crate::condition::ConditionFacts;
use crate::facts::BodyFacts;
use crate::rulebook::Trigger;

/// Tells whether a trigger is pulled by a request.
///
/// # Errors
/// [`Refusal::AmountUnknown`] if there is no amount to compare, [`Refusal::NotJudged`] if a condition cannot be judged.
pub fn pulled(trigger: &Trigger, body: &BodyFacts, facts: &ConditionFacts<'_>) -> Result<bool, Refusal> {
    match trigger {
        Trigger::Above { above, amount: at } => {
            // An amount in another currency cannot be compared; passing it would open the gate to all currencies but one.
            let amount = body.amount(at).filter(|amount| amount.tiyn() >= 0);
            match amount.and_then(|amount| amount.compare(above)) {
                None => Err(Refusal::AmountUnknown { at: at.clone() }),
                Some(Ordering::Less | Ordering::Equal) => Ok(false),
                Some(Ordering::Greater) => Ok(true),
            }
        }
        Trigger::When(condition) => condition.judge(facts).map_err(|fault| Refusal::NotJudged { why: fault.why }),
    }
}
