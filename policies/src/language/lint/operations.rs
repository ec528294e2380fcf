//! What is weak about single operations.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::report::Report;
use super::rules::{
    ALWAYS_REFUSES, AUDIT_NOT_REQUIRED, BODY_LARGE, LIMITS_NOT_ENFORCED, LOOSENED, NEVER_REFUSES, NO_CASE, NO_CONSENT,
    NO_LIMIT, NO_ROLE, NO_STEP_UP, RESPONSES_OFF, RESPONSES_REPORTED, Rule, TIMEOUT_LONG, TIMEOUT_SHORT,
};
use crate::condition::Condition;
use crate::facts::{FieldKind, OperationFacts, Security};
use crate::language::compile::Compiled;
use crate::language::units::{shown_bytes, shown_duration};
use crate::limit::Mode;
use crate::rulebook::{AuditDuty, FraudAnswer, OperationPolicy, Rulebook, Service, Trigger};

/// A body of more is large, in bytes: no JSON of the contracts comes near.
const BODY_LARGE_BYTES: usize = 1024 * 1024;

/// Looks at every exposed operation.
pub(super) fn look(report: &mut Report<'_>, compiled: &Compiled, operations: &[OperationFacts]) {
    let facts: HashMap<&str, &OperationFacts> = operations.iter().map(|facts| (facts.id.as_str(), facts)).collect();
    let tried: BTreeSet<&str> =
        compiled.cases.iter().flat_map(|case| &case.steps).map(|step| step.given.operation.as_str()).collect();
    for policy in compiled.rulebook.operations.values() {
        let id = policy.operation.as_str();
        let mut one = One { report, policy, path: ["apis", policy.api.as_str(), "operations", id] };
        one.limits();
        one.answers();
        one.callers();
        one.times(&compiled.rulebook);
        one.conditions();
        if facts.get(id).is_some_and(|facts| moves_money(facts)) {
            one.money();
        }
        if !tried.contains(id) {
            one.tell(&NO_CASE, &[], "no case calls", "add one to `tests:`");
        }
    }
}

struct One<'a, 'w> {
    report: &'a mut Report<'w>,
    policy: &'a OperationPolicy,
    path: [&'a str; 4],
}

impl One<'_, '_> {
    // `message` is completed by the name of the operation.
    fn tell(&mut self, rule: &'static Rule, keys: &[&str], message: &str, help: &str) {
        let path: Vec<&str> = self.path.iter().chain(keys).copied().collect();
        self.report.tell(rule, &path, format!("{message} `{}`", self.policy.operation), help);
    }

    fn limits(&mut self) {
        let by_client = matches!(self.policy.security, Security::AccessToken | Security::ClientAuthentication);
        let limits = &self.policy.limits;
        if limits.is_empty() && by_client {
            self.tell(&NO_LIMIT, &[], "only the limits of plans hold for", "name a limit of its own in `limits`");
        } else if !limits.is_empty() && limits.iter().all(|limit| limit.mode != Mode::Enforce) {
            self.tell(&LIMITS_NOT_ENFORCED, &["limits"], "no limit is enforced for", "put one into the mode `enforce`");
        }
        if self.policy.body_bytes_max > BODY_LARGE_BYTES {
            let size = shown_bytes(self.policy.body_bytes_max);
            self.tell(
                &BODY_LARGE,
                &["maxBody"],
                &format!("bodies of {size} may come to"),
                "write less if the contract needs less",
            );
        }
    }

    fn answers(&mut self) {
        if matches!(self.policy.service, Service::Own) {
            return;
        }
        let keys = ["validate", "response"];
        match self.policy.responses {
            Mode::Enforce => {}
            Mode::Report => self.tell(
                &RESPONSES_REPORTED,
                &keys,
                "answers that break the contract still reach clients of",
                "say `validate: {response: enforce}` once none is counted",
            ),
            Mode::Off => {
                self.tell(&RESPONSES_OFF, &keys, "answers are not judged of", "say `validate: {response: report}`");
            }
        }
    }

    fn callers(&mut self) {
        let policy = self.policy;
        if policy.security == Security::AccessToken && policy.roles.is_empty() {
            self.tell(&NO_ROLE, &[], "organisations with any licence may call", "add `requires: {roles: [...]}`");
        }
        if let Some(loosened) = &policy.loosened {
            let message = format!("{} has agreed that looser values hold for", loosened.approved_by);
            self.tell(&LOOSENED, &["override"], &message, "take the override away as soon as its reason is gone");
        }
    }

    fn times(&mut self, rulebook: &Rulebook) {
        let Service::Upstream(id) = &self.policy.service else { return };
        let Some(upstream) = rulebook.upstreams.get(id) else { return };
        let (timeout, answer) = (self.policy.timeout, upstream.response);
        let whole = upstream.connect.saturating_add(answer);
        let shown = shown_duration;
        if timeout < answer {
            let help = format!("`{id}` may take {} for the head of its answer", shown(answer));
            self.tell(&TIMEOUT_SHORT, &["timeout"], &format!("{} are all that is left for", shown(timeout)), &help);
        } else if timeout > whole.saturating_mul(2) && timeout > Duration::from_secs(1) {
            let help = format!("`{id}` has failed after {}", shown(whole));
            self.tell(&TIMEOUT_LONG, &["timeout"], &format!("{} may go by at", shown(timeout)), &help);
        }
    }

    fn conditions(&mut self) {
        let policy = self.policy;
        for condition in &policy.allow {
            let (Some(rule), help) = constant(condition, "true") else { continue };
            self.tell(rule, &["allow"], &format!("`{}` is the same for every call of", condition.text()), help);
        }
        let step_ups = policy.step_ups.iter().map(|rule| ("stepUp", &rule.id, &rule.trigger));
        let frauds = policy.fraud.iter().map(|rule| ("fraud", &rule.id, &rule.trigger));
        for (section, id, trigger) in step_ups.chain(frauds) {
            let Trigger::When(condition) = trigger else { continue };
            let (Some(rule), help) = constant(condition, "false") else { continue };
            let message = format!("`{}` is the same for every call", condition.text());
            self.report.tell(rule, &[section, id, "when"], message, help);
        }
    }

    fn money(&mut self) {
        let policy = self.policy;
        if policy.idempotent && policy.audit != AuditDuty::Required {
            self.tell(&AUDIT_NOT_REQUIRED, &["audit"], "money could move without a record by", "say `audit: required`");
        }
        let asked = |answer: &FraudAnswer| matches!(answer, FraudAnswer::StepUp(_));
        if policy.step_ups.is_empty() && !policy.fraud.iter().any(|rule| asked(&rule.then)) {
            self.tell(&NO_STEP_UP, &[], "no amount needs a verified payer at", "name a rule of `stepUp`");
        }
        if policy.consent.is_none() {
            self.tell(&NO_CONSENT, &[], "no citizen has to agree to", "say `consent: domestic-payment`");
        }
    }
}

// A condition that names nothing of the call; `open` is what it says if it protects nothing.
fn constant(condition: &Condition, open: &str) -> (Option<&'static Rule>, &'static str) {
    if condition.names_body() || condition.facts().next().is_some() {
        return (None, "");
    }
    if condition.text().trim() == open {
        (Some(&NEVER_REFUSES), "take it away, or name a fact of the call (`qaqpa explain condition`)")
    } else {
        (Some(&ALWAYS_REFUSES), "name a fact of the call (`qaqpa explain condition`)")
    }
}

/// Tells whether an operation moves money: a backend does more than reading, and its body holds an amount with a currency.
fn moves_money(facts: &OperationFacts) -> bool {
    let body = &facts.body;
    let amounts = body.fields.iter().filter(|(_, kind)| *kind == FieldKind::Object);
    let is_amount = |at: &str| ["amount", "currency"].iter().all(|part| body.kind(&format!("{at}/{part}")).is_some());
    facts.method != "GET"
        && !facts.own
        && facts.security == Security::AccessToken
        && facts.idempotent
        && amounts.map(|(pointer, _)| pointer.as_str()).chain([""]).any(is_amount)
}
