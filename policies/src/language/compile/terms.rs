//! Reads what one layer says of operations: the same keys in the defaults of a set, of an API, and at an operation.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conditions::Conditions;
use super::consent::{Said, said};
use super::layers::{Bounds, Given};
use super::limits;
use super::masking::Masked;
use super::names::Names;
use super::parties;
use super::rows::shown;
use super::rules::Defined;
use crate::language::decode::{Fields, Value};
use crate::language::problem::{Place, Problem, quoted};
use crate::language::suggest::did_you_mean;
use crate::language::table::Kind;
use crate::language::units::{shown_bytes, shown_duration};
use crate::limit::{Limit, Mode};
use crate::mask::FieldPath;
use crate::rulebook::{AuditDuty, FraudRule, Role, StepUp};

/// What operations may name.
pub(super) struct Rules<'a, 'n> {
    pub(super) limits: &'a Names<'n, Arc<Limit>>,
    pub(super) step_ups: &'a Names<'n, Defined<'n, StepUp>>,
    pub(super) fraud: &'a Names<'n, Defined<'n, FraudRule>>,
    pub(super) masks: &'a Names<'n, Masked<'n>>,
    pub(super) conditions: &'a Conditions<'a>,
    /// The scopes of contracts and those that are defined.
    pub(super) scopes: &'a BTreeSet<String>,
}

/// A list of one layer.
pub(super) type Listed<T> = Option<Given<Vec<T>>>;

/// What one layer says.
#[derive(Default)]
pub(super) struct Terms<'n> {
    pub(super) bounds: Bounds,
    /// Where `requires` stands.
    pub(super) requires: Option<Place>,
    /// The consent that is needed.
    pub(super) consent: Option<Given<Said<'n>>>,
    pub(super) scopes: Listed<&'n str>,
    pub(super) allow: Listed<Value<'n>>,
    pub(super) limits: Listed<Arc<Limit>>,
    pub(super) step_ups: Listed<Defined<'n, StepUp>>,
    pub(super) fraud: Listed<Defined<'n, FraudRule>>,
    pub(super) masks: Listed<Masked<'n>>,
    pub(super) note: Listed<(FieldPath, Value<'n>)>,
    /// Whether something that was given could not be read.
    pub(super) broken: bool,
}

impl<'n> Terms<'n> {
    /// Reads the keys that the layer's table has; scopes that are asked for are added to `asked`.
    pub(super) fn read(fields: &Fields<'n>, rules: &Rules<'_, 'n>, asked: &mut BTreeSet<String>) -> Self {
        let mut terms = Self::default();
        if let Some(value) = fields.at("requires") {
            terms.requires = Some(value.key_place().clone());
            match value.mapping() {
                Some(requires) => terms.requires(&requires, rules, asked),
                None => terms.broken = true,
            }
        }
        if let Some(value) = fields.at("consent") {
            terms.consent = said(value);
            terms.broken |= terms.consent.is_none();
        }
        let bounds = &mut terms.bounds;
        let mut broken = false;
        let mut given = |found: bool| broken |= !found;
        bounds.body_bytes = single(fields.at("maxBody"), Value::size, |size| shown_bytes(*size), &mut given);
        bounds.timeout = single(fields.at("timeout"), Value::time, |span| shown_duration(*span), &mut given);
        bounds.audit = single(fields.at("audit"), audit, |duty| duty_word(*duty).to_owned(), &mut given);
        if let Some(value) = fields.at("validate") {
            match value.mapping() {
                Some(validate) => {
                    let word = |mode: &Mode| mode.word().to_owned();
                    bounds.responses = single(validate.at("response"), limits::mode, word, &mut given);
                }
                None => given(false),
            }
        }
        terms.broken |= broken;
        terms.allow = terms.list(fields.at("allow"), |item| {
            rules.conditions.of(item)?;
            Some((shown(&Kind::Condition, item.node()), item))
        });
        terms.limits = terms.named(fields.at("limits"), rules.limits, "limit");
        terms.step_ups = terms.named(fields.at("stepUp"), rules.step_ups, "step-up rule");
        terms.fraud = terms.named(fields.at("fraud"), rules.fraud, "fraud rule");
        terms.masks = terms.named(fields.at("mask"), rules.masks, "mask");
        terms.note = terms.list(fields.at("note"), |item| {
            let path = item.field_path()?;
            Some((path.as_str().to_owned(), (path, item)))
        });
        terms
    }

    /// Tells whether the layer says a list, by its key.
    pub(super) fn says(&self, list: &str) -> bool {
        match list {
            "scopes" => self.scopes.is_some(),
            "allow" => self.allow.is_some(),
            "limits" => self.limits.is_some(),
            "fraud" => self.fraud.is_some(),
            "stepUp" => self.step_ups.is_some(),
            "mask" => self.masks.is_some(),
            _ => false,
        }
    }

    fn requires(&mut self, fields: &Fields<'n>, rules: &Rules<'_, 'n>, asked: &mut BTreeSet<String>) {
        let words = |roles: &BTreeSet<Role>| roles.iter().map(|role| role.word().to_owned()).collect();
        if let Some(value) = fields.at("roles") {
            match parties::roles(value) {
                Some(roles) => {
                    let shown = words(&roles);
                    self.bounds.roles = Some(Given { value: roles, shown, place: value.place().clone() });
                }
                None => self.broken = true,
            }
        }
        if let Some(value) = fields.at("scopes") {
            match parties::scopes(value) {
                Some(scopes) => {
                    for (scope, item) in &scopes {
                        warn_of_new_scope(scope, *item, rules.scopes);
                        asked.insert((*scope).to_owned());
                    }
                    let value_of = scopes.iter().map(|(scope, _)| *scope).collect();
                    let shown = scopes.iter().map(|(scope, _)| (*scope).to_owned()).collect();
                    self.scopes = Some(Given { value: value_of, shown, place: value.place().clone() });
                }
                None => self.broken = true,
            }
        }
    }

    fn named<T: Clone>(&mut self, value: Option<Value<'n>>, names: &Names<'n, T>, what: &str) -> Listed<T> {
        self.list(value, |item| Some((item.text()?.to_owned(), names.resolve(item, what)?.clone())))
    }

    fn list<T>(
        &mut self,
        value: Option<Value<'n>>,
        mut read: impl FnMut(Value<'n>) -> Option<(String, T)>,
    ) -> Listed<T> {
        let value = value?;
        let Some(items) = value.items(|item| Some((read(item), item))) else {
            self.broken = true;
            return None;
        };
        let mut given = Given { value: Vec::new(), shown: Vec::new(), place: value.place().clone() };
        let written = !items.is_empty();
        for (found, item) in items {
            // The others are still held against the contract.
            let Some((name, found)) = found else {
                self.broken = true;
                continue;
            };
            if given.shown.contains(&name) {
                item.report(item.fault("P0110", format!("the same stands twice in {}", value.name())).label("again"));
                self.broken = true;
                continue;
            }
            given.shown.push(name);
            given.value.push(found);
        }
        // A list of which nothing could be read is another thing than an empty one.
        (!written || !given.value.is_empty()).then_some(given)
    }
}

fn single<'n, T>(
    value: Option<Value<'n>>,
    read: impl FnOnce(Value<'n>) -> Option<T>,
    shown: impl FnOnce(&T) -> String,
    given: &mut impl FnMut(bool),
) -> Option<Given<T>> {
    let value = value?;
    let found = read(value);
    given(found.is_some());
    let found = found?;
    Some(Given { shown: vec![shown(&found)], value: found, place: value.place().clone() })
}

fn audit(value: Value<'_>) -> Option<AuditDuty> {
    value.word(|word| [AuditDuty::Standard, AuditDuty::Required].into_iter().find(|duty| duty_word(*duty) == word))
}

const fn duty_word(duty: AuditDuty) -> &'static str {
    match duty {
        AuditDuty::Standard => "standard",
        AuditDuty::Required => "required",
    }
}

fn warn_of_new_scope(scope: &str, value: Value<'_>, known: &BTreeSet<String>) {
    if known.contains(scope) {
        return;
    }
    let help = did_you_mean(scope, known.iter().map(String::as_str)).map_or_else(
        || format!("say what it is for under `scopes: {{{scope}: {{title: ...}}}}`"),
        |word| format!("did you mean `{word}`?"),
    );
    value.report(
        Problem::warning("P0404", value.place(), format!("no contract knows the scope {}", quoted(scope)))
            .label("developers are not told of it")
            .help(help),
    );
}
