//! Decides: first what headers can tell ([`permit`]), then, with the body read and the key claimed, the rest ([`assess`]).
//!
//! What is allowed is a value that only this module makes: no [`Permit`], no assessment; no [`Clearance`], no deed.
//! Must never know how a request looks on the wire or what a refusal looks like there.

use std::net::IpAddr;
use std::sync::Arc;

use crate::caller::Caller;
use crate::condition::ConditionFacts;
use crate::facts::{RequestFacts, Security};
use crate::id::{ClientId, OperationId, VerificationId};
use crate::jose::{base64url, digest_of_parts};
use crate::limit::Mode;
use crate::result::IdentityResult;
pub use crate::rule::{Denial, Refusal, RuleKind, RuleName};
use crate::rule::{condition, fraud, licence, network, role, scope, step_up, suspension, trigger};
use crate::rulebook::{Client, OperationPolicy};
use crate::time::Timestamp;

/// A caller may call an operation, as far as can be told without the body; made only by [`permit`].
#[derive(Debug)]
#[must_use = "a permit is good for one assessment"]
pub struct Permit {
    policy: Arc<OperationPolicy>,
    client: Option<Arc<Client>>,
}

impl Permit {
    /// Returns the policy of the operation.
    #[must_use]
    pub fn policy(&self) -> &Arc<OperationPolicy> {
        &self.policy
    }
}

/// A request may be done; made only by [`assess`].
#[derive(Debug)]
#[must_use = "a clearance is good for one deed"]
pub struct Clearance {
    policy: Arc<OperationPolicy>,
    spends: Option<(String, VerificationId)>,
    reports: Vec<RuleName>,
}

impl Clearance {
    /// Returns the policy of the operation.
    #[must_use]
    pub fn policy(&self) -> &Arc<OperationPolicy> {
        &self.policy
    }

    /// Returns the id of the identity result that has to be spent before the deed, in one transaction with the claim.
    #[must_use]
    pub fn spends(&self) -> Option<&str> {
        self.spends.as_ref().map(|(jti, _)| jti.as_str())
    }

    /// Returns the verification that the spent result came from.
    #[must_use]
    pub fn verification(&self) -> Option<&VerificationId> {
        self.spends.as_ref().map(|(_, verification)| verification)
    }

    /// Returns the rules that would have refused, had they been enforced.
    #[must_use]
    pub fn reports(&self) -> &[RuleName] {
        &self.reports
    }
}

/// Decides whether a caller may call an operation: who it is, whether it was stopped, licence, network, role, scope, and
/// the conditions that do not name the body, in this order.
///
/// `peer` is the other end of the connection. Does not look at limits, the body, or whether an identity result is
/// needed: see [`assess`].
///
/// # Errors
/// The first [`Refusal`], with the rule that says so. That of a client which authenticates with the request itself comes
/// as [`Refusal::ClientRefused`].
pub fn permit(
    policy: &Arc<OperationPolicy>,
    caller: &Caller,
    peer: IpAddr,
    now: Timestamp,
) -> Result<Permit, Box<Denial>> {
    let wrong_caller = Refusal::WrongCaller { needs: policy.security };
    let mut scopes = None;
    let client = match (policy.security, caller) {
        (Security::Public, Caller::Public)
        | (Security::SignedCallback, Caller::Provider(_))
        | (Security::Administrator, Caller::Administrator(_)) => None,
        (Security::ClientAuthentication, Caller::Client(authenticated)) => {
            let client = authenticated.client();
            may_act(client, peer, now).map_err(|denial| {
                let Denial { refusal, rule, reports } = *denial;
                Box::new(Denial { refusal: Refusal::ClientRefused(Box::new(refusal)), rule, reports })
            })?;
            Some(client)
        }
        (Security::AccessToken, Caller::Bound { client, token }) => {
            let token = token.token();
            if *token.client() != client.id {
                return Err(wrong_caller.into());
            }
            if token.is_over(now) {
                return Err(Refusal::TokenOver.into());
            }
            may_act(client, peer, now)?;
            role::held(&policy.roles, &client.organisation.roles)?;
            scope::granted(&policy.scopes, token.scopes(), &client.scopes)?;
            scopes = Some(token.scopes());
            Some(client)
        }
        _ => return Err(wrong_caller.into()),
    };
    if !policy.allow.is_empty() {
        let client = client.map(AsRef::as_ref);
        let facts = ConditionFacts { policy, client, scopes, peer: Some(peer), body: None, now };
        allowed(policy, &facts, false)?;
    }
    Ok(Permit { policy: Arc::clone(policy), client: client.map(Arc::clone) })
}

// Each condition is judged once: here without the body, there with it.
fn allowed(policy: &OperationPolicy, facts: &ConditionFacts<'_>, body: bool) -> Result<(), Box<Denial>> {
    for rule in policy.allow.iter().filter(|rule| rule.names_body() == body) {
        condition::holds(rule, facts).map_err(|refusal| Denial::by(refusal, RuleName::allow(rule)))?;
    }
    Ok(())
}

/// Names one request, so that an identity result can be bound to it: base64url of SHA-256.
///
/// `body_digest` is SHA-256 over path, query and canonical body. Two requests have the same name only if client, operation and body
/// are the same; each part is hashed with its length, so that none runs into the next.
#[must_use]
pub fn binding_hash(client: &ClientId, operation: &OperationId, body_digest: &[u8; 32]) -> String {
    // The first part keeps the hash apart from all others that are made of the same things.
    base64url(&digest_of_parts(&[
        b"qaqpa binding v1",
        client.as_str().as_bytes(),
        operation.as_str().as_bytes(),
        body_digest,
    ]))
}

/// Decides whether a permitted request may be done, now that its body is known: conditions that name the body, fraud
/// rules, step-ups. Every fraud rule and every step-up is asked; of the step-ups that are needed the strictest decides.
///
/// An identity result that no rule asks for is not looked at and not spent. Whether a result was spent before is the
/// store's word, given when [`Clearance::spends`] is spent.
///
/// # Errors
/// A [`Refusal`], [`Refusal::StepUp`] with what to do among them, with the rule that says so. Rules that would have
/// refused, had they been enforced, are told either way.
pub fn assess(
    permit: Permit,
    facts: &RequestFacts<'_>,
    identity: Option<&IdentityResult>,
    now: Timestamp,
) -> Result<Clearance, Box<Denial>> {
    let Permit { policy, client } = permit;
    if *facts.operation != policy.operation || client.as_ref().map(|client| &client.id) != facts.client {
        return Err(Refusal::FactsDoNotFit.into());
    }
    if policy.allow.is_empty() && policy.fraud.is_empty() && policy.step_ups.is_empty() {
        return Ok(Clearance { policy, spends: None, reports: Vec::new() });
    }
    let asked = Asked {
        facts,
        conditions: ConditionFacts {
            policy: &policy,
            client: client.as_deref(),
            scopes: facts.scopes,
            peer: Some(facts.peer),
            body: facts.value,
            now,
        },
        identity,
    };
    allowed(&policy, &asked.conditions, true)?;
    let mut reports = Vec::new();
    match asked.judged(&mut reports) {
        Ok(spends) => Ok(Clearance { spends: spends.map(spent), reports, policy }),
        Err(mut denial) => {
            denial.reports = reports;
            Err(denial)
        }
    }
}

fn spent(result: &IdentityResult) -> (String, VerificationId) {
    (result.jti().to_owned(), result.verification().clone())
}

/// A request as its last rules see it.
struct Asked<'a> {
    facts: &'a RequestFacts<'a>,
    conditions: ConditionFacts<'a>,
    identity: Option<&'a IdentityResult>,
}

/// A context that a rule asks for.
struct Wanted<'a> {
    acr: &'a str,
    rule: RuleName,
}

impl<'a> Asked<'a> {
    /// Asks every rule; gives the identity result that is to be spent, if one was needed.
    fn judged(&self, reports: &mut Vec<RuleName>) -> Result<Option<&'a IdentityResult>, Box<Denial>> {
        let (policy, body) = (self.conditions.policy, self.facts.body);
        let (mut denied, mut wanted) = (None, Vec::new());
        for rule in policy.fraud.iter().filter(|rule| rule.mode != Mode::Off) {
            let judged = fraud::judged(rule, body, &self.conditions);
            let name = || RuleName::fraud(rule);
            match (judged, rule.mode) {
                (Ok(None), _) => {}
                (Ok(Some(step_up)), Mode::Enforce) => wanted.push(Wanted { acr: &step_up.acr, rule: name() }),
                (Ok(Some(step_up)), _) => {
                    // One that the payer has gone through would not have refused.
                    if self.verified(&step_up.acr).is_err() {
                        reports.push(name());
                    }
                }
                (Err(refusal), Mode::Enforce) => denied = denied.or_else(|| Some(Denial::by(refusal, name()))),
                (Err(_), _) => reports.push(name()),
            }
        }
        for rule in &policy.step_ups {
            let name = || RuleName::step_up(rule);
            match trigger::pulled(&rule.trigger, body, &self.conditions) {
                Ok(true) => wanted.push(Wanted { acr: &rule.acr, rule: name() }),
                Ok(false) => {}
                Err(refusal) => denied = denied.or_else(|| Some(Denial::by(refusal, name()))),
            }
        }
        denied.map_or(Ok(()), Err)?;
        // The strictest is asked for first: who reaches it reaches the others, and who does not is told the most.
        wanted.sort_by_key(|wanted| std::cmp::Reverse(step_up::rank(wanted.acr)));
        let needed = !wanted.is_empty();
        for Wanted { acr, rule } in wanted {
            self.verified(acr).map_err(|refusal| Denial::by(refusal, rule))?;
        }
        Ok(self.identity.filter(|_| needed))
    }

    fn verified(&self, acr: &str) -> Result<(), Refusal> {
        // Of a body that nobody read no result can tell that it was made for it.
        let (Some(client), Some(digest)) = (self.facts.client, self.facts.body_digest) else {
            return Err(Refusal::FactsDoNotFit);
        };
        let operation = self.facts.operation;
        let binding = binding_hash(client, operation, digest);
        step_up::verified(acr, self.identity, &binding, operation, self.conditions.now)
    }
}

fn may_act(client: &Client, peer: IpAddr, now: Timestamp) -> Result<(), Box<Denial>> {
    suspension::active(client)?;
    licence::valid(&client.organisation, now)?;
    let networks = &client.organisation.networks;
    network::inside(networks, peer).map_err(|refusal| Denial::by(refusal, RuleName::networks(&client.organisation)))
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "decide_rules_tests.rs"]
mod rules_tests;
