//! Which rule says no, in words that the audit trail keeps: an administrator finds the line of a file by them.
//!
//! Must never hold a value of a request.

use std::fmt;
use std::sync::Arc;

use super::refusal::Refusal;
use crate::condition::Condition;
use crate::limit::Limit;
use crate::rulebook::{FraudRule, Organisation, StepUp};

/// The kinds of rules that administrators write and that refuse by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKind {
    /// The networks of an organisation.
    Network,
    /// A condition of `allow`.
    Allow,
    /// A limit of a plan or an operation.
    Limit,
    /// A fraud rule.
    Fraud,
    /// A step-up.
    StepUp,
}

impl RuleKind {
    /// Every kind.
    pub const ALL: [RuleKind; 5] =
        [RuleKind::Network, RuleKind::Allow, RuleKind::Limit, RuleKind::Fraud, RuleKind::StepUp];

    /// Returns the word that records and metrics have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            RuleKind::Network => "network",
            RuleKind::Allow => "allow",
            RuleKind::Limit => "limit",
            RuleKind::Fraud => "fraud",
            RuleKind::StepUp => "step_up",
        }
    }
}

/// One rule, by what an administrator knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    /// What kind of rule it is.
    pub kind: RuleKind,
    /// Its name; `allow` for conditions, which have none of their own.
    pub name: Arc<str>,
    /// Where it stands, `file:line`; none where something larger than a line says so.
    pub origin: Option<Arc<str>>,
}

impl RuleName {
    /// Names a condition of `allow`.
    #[must_use]
    pub fn allow(condition: &Condition) -> Self {
        Self { kind: RuleKind::Allow, name: Arc::from("allow"), origin: Some(Arc::from(condition.origin())) }
    }

    /// Names a fraud rule.
    #[must_use]
    pub fn fraud(rule: &FraudRule) -> Self {
        Self { kind: RuleKind::Fraud, name: Arc::clone(&rule.id), origin: Some(Arc::from(rule.origin.as_str())) }
    }

    /// Names a step-up.
    #[must_use]
    pub fn step_up(rule: &StepUp) -> Self {
        Self { kind: RuleKind::StepUp, name: Arc::clone(&rule.id), origin: Some(Arc::from(rule.origin.as_str())) }
    }

    /// Names a limit.
    #[must_use]
    pub fn limit(limit: &Limit) -> Self {
        Self { kind: RuleKind::Limit, name: Arc::clone(&limit.id), origin: None }
    }

    /// Names the networks of an organisation.
    #[must_use]
    pub fn networks(organisation: &Organisation) -> Self {
        Self { kind: RuleKind::Network, name: Arc::from(organisation.id.as_str()), origin: None }
    }
}

/// For the log: kind, name and place.
impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.word(), self.name)?;
        self.origin.as_ref().map_or(Ok(()), |origin| write!(f, " ({origin})"))
    }
}

/// A refusal, with the rule that says so, if an administrator wrote one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What is refused, and why.
    pub refusal: Refusal,
    /// The rule.
    pub rule: Option<RuleName>,
    /// Rules that would have refused as well, had they been enforced.
    pub reports: Vec<RuleName>,
}

impl Denial {
    /// Refuses by a rule.
    #[must_use]
    pub fn by(refusal: Refusal, rule: RuleName) -> Box<Self> {
        Box::new(Self { refusal, rule: Some(rule), reports: Vec::new() })
    }
}

impl From<Refusal> for Box<Denial> {
    fn from(refusal: Refusal) -> Self {
        Box::new(Denial { refusal, rule: None, reports: Vec::new() })
    }
}
