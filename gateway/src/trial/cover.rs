//! Which rules of a policy set a run of cases has shown to bite, and which it has not.

use std::collections::{BTreeMap, BTreeSet};

use policies::case::Given;
use policies::language::Place;
use policies::language::effective::Effective;
use policies::limit::{Limit, Mode};
use policies::mask::{Mask, MaskPlace, masked};
use policies::rule::RuleKind;
use policies::rulebook::{FraudAnswer, OperationPolicy, Rulebook};

use serde_json::Value;

use super::call::Outcome;

/// A rule that a case can show to bite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// What kind of rule it is, in the words of the language.
    pub kind: &'static str,
    /// What it is called.
    pub name: String,
    /// Where it stands, `file:line`; empty if the policies do not say so in one place.
    pub origin: String,
}

/// What was shown.
#[derive(Debug, Default)]
pub struct Coverage {
    shown: BTreeSet<(&'static str, String)>,
}

impl Coverage {
    /// Takes note of what bit in one call.
    pub fn note(&mut self, rulebook: &Rulebook, given: &Given, outcome: &Outcome) {
        self.show("operation", given.operation.as_str());
        for limit in outcome.limits() {
            self.show("limit", limit);
        }
        for rule in outcome.facts.refused_by.iter().chain(&outcome.facts.reports) {
            // Conditions have no names; the line tells them apart.
            let name = if rule.kind == RuleKind::Allow { rule.origin.as_deref() } else { None };
            self.show(word(rule.kind), name.unwrap_or(&rule.name));
        }
        let Some(policy) = rulebook.operations.get(&given.operation) else { return };
        for mask in policy.masks.iter().filter(|mask| bites(mask, outcome)) {
            self.show("mask", &mask.id);
        }
    }

    /// Returns every rule of a policy set, as it is at first and later, with whether it was shown to bite.
    ///
    /// `effective` tells where limits stand.
    pub fn of<'r>(&self, rulebooks: impl Iterator<Item = &'r Rulebook>, effective: &Effective) -> Vec<(Rule, bool)> {
        let rules = rules(rulebooks, effective);
        rules.into_iter().map(|((kind, key), rule)| (rule, self.shown.contains(&(kind, key)))).collect()
    }

    fn show(&mut self, kind: &'static str, name: &str) {
        self.shown.insert((kind, name.to_owned()));
    }
}

impl Outcome {
    /// Goes through the limits that had no room, refused or only reported.
    pub(super) fn limits(&self) -> impl Iterator<Item = &str> {
        let reports = self.facts.reports.iter().filter(|rule| rule.kind == RuleKind::Limit);
        self.facts.exhausted.as_deref().into_iter().chain(reports.map(|rule| &*rule.name))
    }

    /// Goes through the names of the rules that bit, refused or only reported.
    pub(super) fn rules(&self) -> impl Iterator<Item = &str> {
        let judged = self.facts.refused_by.iter().chain(&self.facts.reports).map(|rule| &*rule.name);
        judged.chain(self.masks().map(|mask| &*mask.id))
    }

    /// Goes through the masks that have hidden something in the answer.
    pub fn masks(&self) -> impl Iterator<Item = &Mask> {
        let masks = self.facts.policy.iter().flat_map(|policy| &policy.masks);
        masks.filter(|mask| bites(mask, self)).map(AsRef::as_ref)
    }
}

const fn word(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Network => "network",
        RuleKind::Allow => "allow",
        RuleKind::Limit => "limit",
        RuleKind::Fraud => "fraud",
        RuleKind::StepUp => "stepUp",
    }
}

// Whether the answer of the backend was another than the client got to see.
fn bites(mask: &Mask, outcome: &Outcome) -> bool {
    let roles = outcome.facts.client.as_ref().map(|client| &client.organisation.roles);
    let passed = outcome.asked > 0 && outcome.status < 400 && mask.places.contains(&MaskPlace::Responses);
    passed && mask.covers_answers(roles) && changes(mask, &outcome.scripted)
}

fn changes(mask: &Mask, body: &[u8]) -> bool {
    let read = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
    masked(body, [mask]).is_ok_and(|shown| shown.is_some_and(|shown| read(&shown) != read(body)))
}

type Rules = BTreeMap<(&'static str, String), Rule>;

fn rules<'r>(rulebooks: impl Iterator<Item = &'r Rulebook>, effective: &Effective) -> Rules {
    let mut found = Rules::new();
    let mut add = |kind: &'static str, key: &str, name: &str, origin: &str| {
        let rule = Rule { kind, name: name.to_owned(), origin: origin.to_owned() };
        found.entry((kind, key.to_owned())).or_insert(rule);
    };
    for rulebook in rulebooks {
        of_set(rulebook, effective, &mut add);
    }
    found
}

fn of_set(rulebook: &Rulebook, effective: &Effective, add: &mut impl FnMut(&'static str, &str, &str, &str)) {
    for policy in rulebook.operations.values() {
        add("operation", policy.operation.as_str(), policy.operation.as_str(), &policy.origin);
        of_operation(policy, effective, add);
    }
    for client in rulebook.clients.values() {
        for limit in client.plan.limits.iter().filter(|limit| limit.mode != Mode::Off) {
            add("limit", &limit.id, &limit.id, &origin(limit, effective));
        }
        if !client.organisation.networks.is_empty() {
            let id = client.organisation.id.as_str();
            add("network", id, id, "");
        }
    }
}

fn of_operation(policy: &OperationPolicy, effective: &Effective, add: &mut impl FnMut(&'static str, &str, &str, &str)) {
    for limit in policy.limits.iter().filter(|limit| limit.mode != Mode::Off) {
        add("limit", &limit.id, &limit.id, &origin(limit, effective));
    }
    for rule in &policy.step_ups {
        add("stepUp", &rule.id, &rule.id, &rule.origin);
    }
    for rule in policy.fraud.iter().filter(|rule| rule.mode != Mode::Off) {
        add("fraud", &rule.id, &rule.id, &rule.origin);
        if let FraudAnswer::StepUp(step_up) = &rule.then {
            add("stepUp", &step_up.id, &step_up.id, &step_up.origin);
        }
    }
    for condition in &policy.allow {
        add("allow", condition.origin(), condition.text(), condition.origin());
    }
    for mask in policy.masks.iter().filter(|mask| mask.places.contains(&MaskPlace::Responses)) {
        add("mask", &mask.id, &mask.id, &mask.origin);
    }
}

// The id of a limit begins with the name of its plan, or its own.
fn origin(limit: &Limit, effective: &Effective) -> String {
    let name = limit.id.split(':').next().unwrap_or_default();
    let places = ["limits", "plans"].into_iter().flat_map(|section| {
        effective
            .rows
            .iter()
            .filter(move |row| matches!(row.path.as_slice(), [first, second, ..] if first == section && second == name))
    });
    places.filter_map(|row| row.place.as_ref()).map(Place::origin).next().unwrap_or_default()
}
