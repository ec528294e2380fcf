//! Rules that operations name: when a payer has to be verified, and which calls look wrong.

use std::sync::Arc;

use super::conditions::Conditions;
use super::limits;
use super::names::Names;
use super::places::{self, Told};
use super::services::level;
use crate::condition::Condition;
use crate::evidence::acr_of_level;
use crate::facts::OperationFacts;
use crate::language::decode::{Fields, Value};
use crate::language::document::Key;
use crate::language::tables::{FRAUD, STEP_UP};
use crate::limit::Mode;
use crate::rulebook::{FraudAnswer, FraudRule, Provider, StepUp, Trigger};

/// A rule as it is defined, with what its trigger has to be held against each operation by.
pub(super) struct Defined<'n, T> {
    pub(super) rule: Arc<T>,
    said: Said<'n>,
}

impl<T> Clone for Defined<'_, T> {
    fn clone(&self) -> Self {
        Self { rule: Arc::clone(&self.rule), said: self.said.clone() }
    }
}

/// What a trigger asks for, where it is written.
#[derive(Clone)]
enum Said<'n> {
    Amount(Value<'n>, String),
    When(Value<'n>),
}

/// A rule that a trigger belongs to.
pub(super) trait Triggered: Clone {
    /// Puts a trigger that was compiled for one operation in the place of the general one.
    fn with(self, trigger: Trigger) -> Self;
}

impl Triggered for StepUp {
    fn with(self, trigger: Trigger) -> Self {
        Self { trigger, ..self }
    }
}

impl Triggered for FraudRule {
    fn with(self, trigger: Trigger) -> Self {
        Self { trigger, ..self }
    }
}

impl<T: Triggered> Defined<'_, T> {
    /// Tells whether the rule compares an amount.
    pub(super) fn compares_amount(&self) -> bool {
        matches!(self.said, Said::Amount(..))
    }

    /// Makes the rule fit for an operation, or tells why it cannot be judged there.
    pub(super) fn of_operation(
        &self,
        conditions: &Conditions<'_>,
        told: &Told,
        facts: &OperationFacts,
        key: &Key,
    ) -> Option<Arc<T>> {
        match &self.said {
            Said::Amount(value, pointer) => {
                places::amount(*value, pointer, facts, key, told).then(|| Arc::clone(&self.rule))
            }
            Said::When(value) => {
                let condition = conditions.of_operation(*value, facts, key)?;
                if !condition.names_body() {
                    return Some(Arc::clone(&self.rule));
                }
                Some(Arc::new(T::clone(&self.rule).with(Trigger::When(condition))))
            }
        }
    }
}

impl Defined<'_, FraudRule> {
    /// Tells whether its answer is that the payer has to be verified.
    pub(super) fn asks_for_step_up(&self) -> bool {
        matches!(self.rule.then, FraudAnswer::StepUp(_))
    }
}

/// Reads a step-up rule.
pub(super) fn step_up<'n>(
    key: &Key,
    value: Value<'n>,
    providers: &Names<'_, Provider>,
    conditions: &Conditions<'_>,
) -> Option<Defined<'n, StepUp>> {
    let fields = value.table(&STEP_UP)?;
    let trigger = trigger(&fields, conditions);
    let level_value = fields.at("level");
    let level = level_value.and_then(level);
    let reached = match (&level, level_value) {
        (Some(level), Some(value)) => reached(level, value, providers),
        _ => true,
    };
    let (trigger, said) = trigger?;
    let level = level.filter(|_| reached)?;
    let id = Arc::from(key.text.as_str());
    let rule = StepUp { id, trigger, acr: acr_of_level(&level), origin: key.place.origin() };
    Some(Defined { rule: Arc::new(rule), said })
}

/// Reads a fraud rule.
pub(super) fn fraud<'n>(
    key: &Key,
    value: Value<'n>,
    step_ups: &Names<'_, Defined<'_, StepUp>>,
    conditions: &Conditions<'_>,
) -> Option<Defined<'n, FraudRule>> {
    let fields = value.table(&FRAUD)?;
    let trigger = trigger(&fields, conditions);
    let then = fields.at("then").and_then(|value| answer(value, step_ups));
    let mode = fields.at("mode").map_or(Some(Mode::Enforce), limits::mode);
    let (trigger, said) = trigger?;
    let id = Arc::from(key.text.as_str());
    let rule = FraudRule { id, trigger, then: then?, mode: mode?, origin: key.place.origin() };
    Some(Defined { rule: Arc::new(rule), said })
}

fn answer(value: Value<'_>, step_ups: &Names<'_, Defined<'_, StepUp>>) -> Option<FraudAnswer> {
    if value.is_mapping() {
        let rule = step_ups.resolve(value.mapping()?.at("stepUp")?, "step-up rule")?;
        return Some(FraudAnswer::StepUp(Arc::clone(&rule.rule)));
    }
    value.word(|_| Some(FraudAnswer::Deny))
}

// One of an amount and a condition; what is given is read whatever is missing.
fn trigger<'n>(fields: &Fields<'n>, conditions: &Conditions<'_>) -> Option<(Trigger, Said<'n>)> {
    let (above_value, amount_value, when_value) = (fields.at("above"), fields.at("amount"), fields.at("when"));
    let above = above_value.map(Value::money);
    let amount = amount_value.map(Value::pointer);
    let when = when_value.map(|value| conditions.of(value));
    let owner = fields.owner();
    let refuse = |place: Value<'n>, message: String, label: &str| {
        place.report(
            place
                .fault("P0304", message)
                .label(label)
                .help("write `above` with `amount` for a rule about money, or `when` with a condition for any other"),
        );
        None
    };
    match (above_value, amount_value, when_value) {
        (Some(_), Some(value), None) => {
            let (above, amount) = (above??, amount??);
            Some((Trigger::Above { above, amount: amount.clone() }, Said::Amount(value, amount)))
        }
        (None, None, Some(value)) => Some((Trigger::When(when??), Said::When(value))),
        (None, None, None) => refuse(owner, format!("nothing brings {} into play", owner.name()), "no trigger in here"),
        (Some(value), None, None) => {
            refuse(value, format!("{} has `above` and no `amount`", owner.name()), "where in the body does it stand?")
        }
        (None, Some(value), None) => {
            refuse(value, format!("{} has `amount` and no `above`", owner.name()), "compared with what?")
        }
        (_, _, Some(value)) => {
            refuse(value, format!("{} has two triggers", owner.name()), "a condition beside an amount")
        }
    }
}

fn reached(level: &str, value: Value<'_>, providers: &Names<'_, Provider>) -> bool {
    // Levels are one digit after the same letter, so that they compare as text.
    if providers.values().any(|provider| provider.level.as_str() >= level) || !providers.complete() {
        return true;
    }
    let best = providers.values().map(|provider| provider.level.as_str()).max();
    let help = best.map_or_else(
        || "define a provider under `identity: {providers: ...}`".to_owned(),
        |best| format!("the highest level of a provider is `{best}`"),
    );
    value.report(
        value
            .fault("P0302", format!("no identity provider reaches the level `{level}`"))
            .label("nobody could ever be verified so far")
            .help(help),
    );
    false
}

/// Compiles the conditions that all have to hold for an operation.
pub(super) fn allowed(
    items: &[Value<'_>],
    conditions: &Conditions<'_>,
    facts: &OperationFacts,
    key: &Key,
) -> Option<Vec<Arc<Condition>>> {
    let compiled: Vec<_> = items.iter().map(|value| conditions.of_operation(*value, facts, key)).collect();
    compiled.into_iter().collect()
}
