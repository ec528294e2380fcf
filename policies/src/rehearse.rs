//! Judges a recorded decision again under a proposed policy set, with the very functions that decide.
//!
//! What a rule asks for and nobody wrote down makes a decision undecidable, unless another rule refuses for certain.
//! Must never guess a fact, and must never know how records are written.

use std::net::IpAddr;

use crate::code::Code;
use crate::condition::{ConditionFacts, KnownAmount, KnownBody};
use crate::consent::ConsentKind;
use crate::decide::{Head, Whole};
use crate::facts::{BodyFacts, Security};
use crate::id::{ClientId, OperationId};
use crate::limit::{Limit, Mode};
use crate::national::money::Money;
use crate::party::ConsentHolder;
use crate::rule::step_up::{PURPOSE, reached};
use crate::rule::{Denial, Refusal, RuleKind, RuleName};
use crate::rulebook::{Client, ConsentNeed, OperationPolicy, Rulebook, ScopeSet, Trigger};
use crate::time::Timestamp;
use crate::token::LEEWAY;

/// What a record tells of one request, as far as rules care; what it does not tell is `None`.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// When the request was received; now, for the rules.
    pub received: Option<Timestamp>,
    /// The operation.
    pub operation: Option<OperationId>,
    /// The client.
    pub client: Option<ClientId>,
    /// The scopes of its token.
    pub scopes: Option<ScopeSet>,
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    /// The limits that the request was counted against, by id.
    pub limits: Vec<String>,
    /// The limit that had no room.
    pub exhausted: Option<String>,
    /// The rules that would have refused, had they been enforced, by kind and name.
    pub reports: Vec<(String, String)>,
    /// The kinds of the consents that its token carried, each with whether the call was found to keep to it; none of a
    /// token that spoke for its client, as all did once.
    pub consents: Option<Vec<(ConsentKind, bool)>>,
    /// The amount that rules judged, and the JSON pointer at which it stood.
    pub amount: Option<(Money, Option<String>)>,
    /// The context that the identity result reached which came with the request, and when it ends.
    pub identity: Option<(String, Timestamp)>,
    /// What the stages decided, in order: their names and `pass`, or the name of the refusal.
    pub steps: Vec<(String, String)>,
}

/// What comes of judging a decision again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The same, or nothing that rules decide.
    Same,
    /// Something else.
    Changed {
        /// How it was refused; none if it was not.
        from: Option<String>,
        /// How it would be refused; none if it would not.
        to: Option<&'static str>,
        /// The rule that would refuse, if an administrator wrote one.
        rule: Option<RuleName>,
    },
    /// It cannot be told.
    Undecidable {
        /// What nobody wrote down.
        why: String,
    },
}

/// The stages that ask rules; what another one refused, rules do not change.
const METER: &str = "meter";
const PERMIT: &str = "permit";
const ASSESS: &str = "assess";

/// The stages before the deed, besides those that ask rules.
const OTHERS: [&str; 8] = ["guard", "hygiene", "route", "authenticate", "trace", "read", "validate", "once"];

/// What the stage `once` says of a request that was answered before: it is not assessed again.
const REPLAY: &str = "replay";

/// Judges a record under a rulebook; `name` tells what records have for a code.
#[must_use]
pub fn judge(recorded: &Recorded, rulebook: &Rulebook, name: &dyn Fn(Code) -> &'static str) -> Verdict {
    let (Some(operation), Some(now)) = (&recorded.operation, recorded.received) else { return Verdict::Same };
    let refused = recorded.refused();
    if refused.is_some_and(|(stage, _)| !matches!(stage, METER | PERMIT | ASSESS)) {
        return Verdict::Same;
    }
    let from = refused.map(|(_, code)| code);
    let changed = |to: Option<Code>, rule: Option<RuleName>| {
        let to = to.map(name);
        if from == to { Verdict::Same } else { Verdict::Changed { from: from.map(str::to_owned), to, rule } }
    };
    let gone = |code: Code| if from.is_some() { Verdict::Same } else { changed(Some(code), None) };
    let Some(policy) = rulebook.operations.get(operation) else { return gone(Code::UnknownPath) };
    let client = match (policy.security, &recorded.client) {
        (Security::AccessToken | Security::ClientAuthentication, Some(client)) => match rulebook.clients.get(client) {
            Some(client) => Some(client.as_ref()),
            None => return gone(Code::ClientUnauthenticated),
        },
        // Who was nobody then stays nobody.
        (Security::AccessToken | Security::ClientAuthentication, None) => return Verdict::Same,
        _ => None,
    };
    let again = Again { recorded, policy, client, now };
    if let Some((METER, _)) = refused {
        return again.metered();
    }
    match again.outcome() {
        Outcome::Refused(denial) => changed(Some(denial.refusal.code()), denial.rule),
        Outcome::Unknown(why) => Verdict::Undecidable { why },
        Outcome::Limited(rule) => changed(Some(Code::RateLimited), Some(rule)),
        Outcome::Allowed => changed(None, None),
    }
}

impl Recorded {
    /// Returns the stage that refused, and the name of its refusal.
    #[must_use]
    pub fn refused(&self) -> Option<(&str, &str)> {
        let before_the_deed = |stage: &str| matches!(stage, METER | PERMIT | ASSESS) || OTHERS.contains(&stage);
        let refuses = |(stage, decision): &&(String, String)| {
            before_the_deed(stage) && !matches!(decision.as_str(), "pass" | REPLAY)
        };
        self.steps.iter().find(refuses).map(|(stage, decision)| (stage.as_str(), decision.as_str()))
    }

    fn was_replayed(&self) -> bool {
        self.steps.iter().any(|(_, decision)| decision == REPLAY)
    }
}

enum Outcome {
    Refused(Box<Denial>),
    Limited(RuleName),
    Unknown(String),
    Allowed,
}

struct Again<'a> {
    recorded: &'a Recorded,
    policy: &'a OperationPolicy,
    client: Option<&'a Client>,
    now: Timestamp,
}

impl Again<'_> {
    /// Judges what a limit refused: while that limit refuses, nothing else was asked.
    fn metered(&self) -> Verdict {
        let exhausted = self.recorded.exhausted.as_deref();
        let still = self.limits().any(|limit| exhausted == Some(&*limit.id));
        if still { Verdict::Same } else { Verdict::Undecidable { why: "how full other limits were".to_owned() } }
    }

    /// Goes through the limits that refuse.
    fn limits(&self) -> impl Iterator<Item = &Limit> {
        let planned = self.client.into_iter().flat_map(|client| &client.plan.limits);
        let counts = |limit: &&Limit| limit.mode == Mode::Enforce && limit.concerns(self.client.is_some());
        planned.chain(&self.policy.limits).filter(counts)
    }

    fn outcome(&self) -> Outcome {
        let mut unknown = None;
        for limit in self.limits() {
            if !self.recorded.limits.iter().any(|known| **known == *limit.id) {
                unknown = Some(format!("how full the limit `{}` was", limit.id));
            } else if self.reported(RuleKind::Limit, &limit.id) {
                return Outcome::Limited(RuleName::limit(limit));
            }
        }
        let mut denials = Vec::new();
        let mut tell = |denial: Box<Denial>| {
            denials.push(denial);
            Ok(())
        };
        let (policy, client, scopes, peer) =
            (self.policy, self.client, self.recorded.scopes.as_ref(), self.recorded.peer);
        let consented = |need: &ConsentNeed| self.consented(need);
        let head = Head { policy, client, scopes, consented: &consented, peer, now: self.now };
        // Each denial is taken, so that no first one ends it.
        let _ = head.ask(&mut tell);
        if !self.recorded.was_replayed() {
            let (operation, api) = (&policy.operation, &policy.api);
            let amount = self.amount();
            let known = amount.as_ref().map_or(KnownBody::Nothing, KnownBody::Amount);
            let conditions = ConditionFacts { operation, api, client, scopes, peer, body: known, now: self.now };
            let body = self.body();
            let (ordered, verified) = (|| self.ordered(), |acr: &str| self.verified(acr));
            let whole = Whole { policy, conditions, body: &body, ordered: &ordered, verified: &verified };
            let _ = whole.ask(&mut Vec::new(), &mut tell);
        }
        for denial in denials {
            match missing(&denial.refusal) {
                Some(why) => unknown = unknown.or(Some(why)),
                None => return Outcome::Refused(denial),
            }
        }
        unknown.map_or(Outcome::Allowed, Outcome::Unknown)
    }

    fn reported(&self, kind: RuleKind, name: &str) -> bool {
        self.recorded.reports.iter().any(|(known, of)| known == kind.word() && of == name)
    }

    /// What is known of the body: the one amount that rules judged then.
    fn body(&self) -> BodyFacts {
        let mut body = BodyFacts::default();
        let Some((money, at)) = &self.recorded.amount else { return body };
        let mut pointers: Vec<&String> = self.policy.triggers().filter_map(|(trigger, _)| pointer(trigger)).collect();
        pointers.dedup();
        match (at, pointers.as_slice()) {
            (Some(at), _) => body.amounts.push((at.clone(), *money)),
            // Older records do not tell where it stood: where it stands if there is one place only.
            (None, [only]) => body.amounts.push(((*only).clone(), *money)),
            (None, _) => {}
        }
        body
    }

    /// What conditions may know of the body: of older records they do not guess where the amount stood.
    fn amount(&self) -> Option<KnownAmount> {
        let (money, at) = self.recorded.amount.as_ref()?;
        KnownAmount::at(at.as_deref()?, money)
    }

    fn consented(&self, need: &ConsentNeed) -> Result<(), Refusal> {
        let missing = Err(Refusal::ConsentMissing { kind: need.kind });
        let Some(consents) = &self.recorded.consents else {
            let exempt = self.client.is_some_and(|client| client.oauth.consents == ConsentHolder::Organisation);
            return if exempt { Ok(()) } else { missing };
        };
        let mut of_kind = consents.iter().filter(|(kind, _)| *kind == need.kind).peekable();
        if of_kind.peek().is_none() {
            return missing;
        }
        if of_kind.any(|(_, kept)| *kept) {
            return Ok(());
        }
        if self.recorded.refused() == Some((PERMIT, CONSENT_REQUIRED)) {
            return Err(Refusal::AccountNotShared);
        }
        Err(Refusal::NotJudged { why: "what exactly the citizen had agreed to".to_owned() })
    }

    fn ordered(&self) -> Result<(), Refusal> {
        let (Some(need), Some(consents)) = (&self.policy.consent, &self.recorded.consents) else { return Ok(()) };
        if self.recorded.refused() == Some((ASSESS, CONSENT_MISMATCH)) {
            return Err(Refusal::OrderDiffers { at: "" });
        }
        let kept = consents.iter().any(|(kind, kept)| *kept && *kind == need.kind);
        if kept || need.kind != ConsentKind::DomesticPayment {
            return Ok(());
        }
        Err(Refusal::NotJudged { why: "what exactly the citizen had agreed to".to_owned() })
    }

    fn verified(&self, acr: &str) -> Result<(), Refusal> {
        if self.recorded.refused() == Some((ASSESS, VERIFICATION_FAILED)) {
            return Err(Refusal::ResultForAnother);
        }
        match &self.recorded.identity {
            Some((has, expires)) => reached(acr, has, self.now >= *expires + LEEWAY),
            None => Err(Refusal::StepUp {
                acr: acr.to_owned(),
                purpose: PURPOSE,
                binding: String::new(),
                operation: self.policy.operation.clone(),
            }),
        }
    }
}

/// What records have for a consent that was not there, and for one to something else.
const CONSENT_REQUIRED: &str = "consent_required";
const CONSENT_MISMATCH: &str = "payment_consent_mismatch";

/// What records have for an identity result that did not do.
const VERIFICATION_FAILED: &str = "verification_failed";

fn pointer(trigger: &Trigger) -> Option<&String> {
    match trigger {
        Trigger::Above { amount, .. } => Some(amount),
        Trigger::When(_) => None,
    }
}

/// Tells what a rule could not find, if that is why it refuses.
fn missing(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::NotJudged { why } => Some(why.clone()),
        Refusal::AmountUnknown { at } => Some(format!("the amount at {at}")),
        Refusal::ClientRefused(inner) => missing(inner),
        _ => None,
    }
}

#[cfg(test)]
#[path = "rehearse_tests.rs"]
mod tests;
