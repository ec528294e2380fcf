//! Where the rules of each stage stand, for one call that was judged.

use openapi::Contract;
use policies::language::Place;
use policies::language::effective::Effective;
use policies::rule::{RuleKind, RuleName};
use policies::rulebook::{OperationPolicy, Rulebook, Service};

/// The decision of a stage that lets a call go on.
const PASS: &str = "pass";

/// What a stage is called to refuse for if what a citizen has agreed to is missing, another, or used up.
const CONSENTS: [&str; 3] = ["consent_required", "payment_consent_mismatch", "consent_consumed"];

/// What is known of a call, by name.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The operation.
    pub operation: Option<String>,
    /// The client.
    pub client: Option<String>,
    /// The limit that had no room.
    pub exhausted: Option<String>,
    /// Where the rule stands that refused.
    pub refused_by: Option<String>,
    /// Where the masks stand that the answer went through.
    pub masks: Vec<String>,
}

/// A policy set in which places are looked up.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Its rules.
    pub rulebook: &'a Rulebook,
    /// Its contract.
    pub contract: &'a Contract,
    /// Its rows.
    pub effective: &'a Effective,
}

impl Places<'_> {
    /// Returns where the rule of `stage` stands, `file:line`; empty if no file of the set says anything of it.
    ///
    /// Where a stage refused that is the rule which did; else what the stage went by. `decision` is its word.
    #[must_use]
    pub fn of(&self, stage: &str, decision: &str, seen: &Seen) -> String {
        let passed = decision == PASS;
        let policy = seen.operation.as_ref().and_then(|id| self.rulebook.operations.get(id.as_str()));
        let Some(policy) = policy else { return String::new() };
        let refused = seen.refused_by.clone().filter(|_| !passed);
        if stage == "meter" {
            let limit = seen.exhausted.as_ref().filter(|_| !passed).and_then(|id| id.split(':').next());
            return limit.map_or_else(|| self.plan(seen), |name| self.limit(name));
        }
        if CONSENTS.contains(&decision) {
            let (api, operation) = (policy.api.as_str(), policy.operation.as_str());
            return self.row(&["apis", api, "operations", operation, "consent"]);
        }
        refused.unwrap_or_else(|| self.gone_by(stage, policy, seen))
    }

    fn gone_by(&self, stage: &str, policy: &OperationPolicy, seen: &Seen) -> String {
        let (api, operation) = (policy.api.as_str(), policy.operation.as_str());
        match stage {
            "authenticate" => seen.client.as_ref().map(|client| self.row(&["clients", client])).unwrap_or_default(),
            "permit" => {
                let own = self.row(&["apis", api, "operations", operation, "requires"]);
                if own.is_empty() { policy.origin.clone() } else { own }
            }
            "validate" => {
                let known = self.contract.operations().iter().find(|known| known.id() == operation);
                known.map(|known| known.origin().to_owned()).unwrap_or_default()
            }
            "assess" => {
                let step_up = policy.step_ups.first().map(|rule| &rule.origin);
                step_up.or_else(|| policy.fraud.first().map(|rule| &rule.origin)).unwrap_or(&policy.origin).clone()
            }
            "deed" => match &policy.service {
                Service::Upstream(upstream) => self.row(&["upstreams", upstream.as_str()]),
                Service::Own => policy.origin.clone(),
            },
            // Masks of logs and traces are not for answers, and those of answers do not bite in every one.
            "redact" | "respond" if !seen.masks.is_empty() => seen.masks.join(", "),
            _ => policy.origin.clone(),
        }
    }

    fn plan(&self, seen: &Seen) -> String {
        let client = seen.client.as_ref().and_then(|id| self.rulebook.clients.get(id.as_str()));
        client.map(|client| self.row(&["plans", client.plan.id.as_str()])).unwrap_or_default()
    }

    fn limit(&self, name: &str) -> String {
        let named = self.row(&["limits", name]);
        if named.is_empty() { self.row(&["plans", name]) } else { named }
    }

    /// Returns where a rule stands that refused; empty if no line of the set says it.
    #[must_use]
    pub fn of_rule(&self, rule: &RuleName) -> String {
        match (rule.kind, &rule.origin) {
            (_, Some(origin)) => origin.to_string(),
            (RuleKind::Limit, None) => self.limit(rule.name.split(':').next().unwrap_or_default()),
            (RuleKind::Network, None) => self.row(&["organisations", &rule.name, "networks"]),
            (RuleKind::Allow | RuleKind::Fraud | RuleKind::StepUp, None) => String::new(),
        }
    }

    // The first line that says anything below a path.
    fn row(&self, path: &[&str]) -> String {
        let places = self.effective.below(path).filter_map(|row| row.place.as_ref());
        places.min().map(Place::origin).unwrap_or_default()
    }
}
