//! Decides: first what headers can tell ([`permit`]), then, with the body read and the key claimed, the rest ([`assess`]).
//!
//! What is allowed is a value that only this module makes: no [`Permit`], no assessment; no [`Clearance`], no deed.
//! Must never know how a request looks on the wire or what a refusal looks like there.

use std::net::IpAddr;
use std::sync::Arc;

use crate::binding::BoundToken;
use crate::caller::Caller;
use crate::condition::{ConditionFacts, KnownBody};
use crate::details::Detail;
use crate::facts::{BodyFacts, RequestFacts, Security};
use crate::id::{ClientId, ConsentId, OperationId, VerificationId};
use crate::jose::{base64url, digest_of_parts};
use crate::limit::Mode;
use crate::result::IdentityResult;
pub use crate::rule::{Denial, Refusal, RuleKind, RuleName};
use crate::rule::{condition, consent, fraud, licence, network, role, scope, step_up, suspension, trigger};
use crate::rulebook::{Client, ConsentNeed, OperationPolicy, ScopeSet};
use crate::time::Timestamp;
use crate::token::VerifiedToken;

/// A caller may call an operation, as far as can be told without the body; made only by [`permit`].
#[derive(Debug)]
#[must_use = "a permit is good for one assessment"]
pub struct Permit {
    policy: Arc<OperationPolicy>,
    client: Option<Arc<Client>>,
    granted: Vec<Detail>,
}

impl Permit {
    /// Returns the policy of the operation.
    #[must_use]
    pub fn policy(&self) -> &Arc<OperationPolicy> {
        &self.policy
    }

    /// Returns what citizens have granted for this very call; empty where no consent is asked for.
    #[must_use]
    pub fn granted(&self) -> &[Detail] {
        &self.granted
    }
}

/// A request may be done; made only by [`assess`].
#[derive(Debug)]
#[must_use = "a clearance is good for one deed"]
pub struct Clearance {
    policy: Arc<OperationPolicy>,
    granted: Vec<Detail>,
    spends: Vec<Spend>,
    reports: Vec<RuleName>,
}

/// A thing that is good for one deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spend {
    /// An identity result.
    Identity {
        /// Its id, under which it is spent.
        jti: String,
        /// The verification it came from.
        verification: VerificationId,
    },
    /// A citizen's consent to one payment.
    Consent(ConsentId),
}

impl Spend {
    /// Returns the name under which it is spent.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Spend::Identity { jti, .. } => jti.clone(),
            Spend::Consent(consent) => consent::spent_as(consent),
        }
    }
}

impl Clearance {
    /// Returns the policy of the operation.
    #[must_use]
    pub fn policy(&self) -> &Arc<OperationPolicy> {
        &self.policy
    }

    /// Returns what has to be spent before the deed, all or none, in one transaction with the claim.
    #[must_use]
    pub fn spends(&self) -> &[Spend] {
        &self.spends
    }

    /// Returns the verification that a spent identity result came from.
    #[must_use]
    pub fn verification(&self) -> Option<&VerificationId> {
        self.spends.iter().find_map(|spend| match spend {
            Spend::Identity { verification, .. } => Some(verification),
            Spend::Consent(_) => None,
        })
    }

    /// Returns the consent that is spent.
    #[must_use]
    pub fn consent(&self) -> Option<&ConsentId> {
        self.spends.iter().find_map(|spend| match spend {
            Spend::Consent(consent) => Some(consent),
            Spend::Identity { .. } => None,
        })
    }

    /// Returns what citizens have granted for this very call; empty where no consent is asked for. Of payments it is the
    /// one that this is.
    #[must_use]
    pub fn granted(&self) -> &[Detail] {
        &self.granted
    }

    /// Returns the rules that would have refused, had they been enforced.
    #[must_use]
    pub fn reports(&self) -> &[RuleName] {
        &self.reports
    }
}

/// Decides whether a caller may call an operation: who it is, whether it was stopped, licence, network, role, scope,
/// consent, and the conditions that do not name the body, in this order.
///
/// `account` is the path parameter that [`ConsentNeed::account`] names, `peer` the other end of the connection. Does not look at limits, the body, or whether an identity result is
/// needed: see [`assess`].
///
/// # Errors
/// The first [`Refusal`], with the rule that says so. That of a client which authenticates with the request itself comes
/// as [`Refusal::ClientRefused`].
pub fn permit(
    policy: &Arc<OperationPolicy>,
    caller: &Caller,
    account: Option<&str>,
    peer: IpAddr,
    now: Timestamp,
) -> Result<Permit, Box<Denial>> {
    let wrong_caller = Refusal::WrongCaller { needs: policy.security };
    let mut shown: Option<&BoundToken> = None;
    let client = match (policy.security, caller) {
        (Security::Public, Caller::Public)
        | (Security::SignedCallback, Caller::Provider(_))
        | (Security::Administrator, Caller::Administrator(_)) => None,
        (Security::ClientAuthentication, Caller::Client(authenticated)) => Some(authenticated.client()),
        (Security::AccessToken, Caller::Bound { client, token }) => {
            if *token.token().client() != client.id {
                return Err(wrong_caller.into());
            }
            if token.token().is_over(now) {
                return Err(Refusal::TokenOver.into());
            }
            shown = Some(token);
            Some(client)
        }
        _ => return Err(wrong_caller.into()),
    };
    let token = shown.map(BoundToken::token);
    let granted = |need: &ConsentNeed| {
        let (Some(client), Some(token)) = (client, token) else { return Err(Refusal::FactsDoNotFit) };
        consent::granted(need, &policy.scopes, client, token.citizen(), account)
    };
    let head = Head {
        policy,
        client: client.map(AsRef::as_ref),
        scopes: token.map(VerifiedToken::scopes),
        consented: &|need| granted(need).map(|_| ()),
        peer: Some(peer),
        now,
    };
    head.ask(&mut Err)?;
    let granted = policy.consent.as_ref().map(granted).transpose()?.unwrap_or_default();
    let granted = granted.into_iter().cloned().collect();
    Ok(Permit { policy: Arc::clone(policy), client: client.map(Arc::clone), granted })
}

/// Tells whether a client that called from `peer` now would get a permit, with a token of all its scopes and, if it can get
/// one, of a citizen who has consented: for who explains a policy. Nothing is permitted by it.
///
/// # Errors
/// As of [`permit`], for the same reasons in the same order.
pub fn could_call(policy: &OperationPolicy, client: &Client, peer: IpAddr, now: Timestamp) -> Result<(), Box<Denial>> {
    match policy.security {
        Security::Public => Ok(()),
        Security::SignedCallback | Security::Administrator => {
            Err(Refusal::WrongCaller { needs: policy.security }.into())
        }
        Security::ClientAuthentication | Security::AccessToken => {
            let scopes = Some(&client.scopes).filter(|_| policy.security == Security::AccessToken);
            let consented = |need: &ConsentNeed| consent::obtainable(need, client);
            Head { policy, client: Some(client), scopes, consented: &consented, peer: Some(peer), now }.ask(&mut Err)
        }
    }
}

/// What headers tell of a request whose caller has shown who it is.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) policy: &'a OperationPolicy,
    pub(crate) client: Option<&'a Client>,
    pub(crate) scopes: Option<&'a ScopeSet>,
    /// Refuses unless a citizen has consented as the operation needs it.
    pub(crate) consented: &'a dyn Fn(&ConsentNeed) -> Result<(), Refusal>,
    /// None only where a decision is judged again and nobody has written it down.
    pub(crate) peer: Option<IpAddr>,
    pub(crate) now: Timestamp,
}

/// Takes a denial; as long as it gives `Ok`, the rules behind are asked too.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Box<Denial>) -> Result<(), Box<Denial>>;

impl Head<'_> {
    /// Asks every rule that headers answer, in order.
    pub(crate) fn ask(&self, tell: Tell<'_>) -> Result<(), Box<Denial>> {
        let Self { policy, client, scopes, consented, peer, now } = *self;
        if let Some(client) = client {
            let by_itself = policy.security == Security::ClientAuthentication;
            self.may_act(client, &mut |denial| tell(if by_itself { of_client(*denial) } else { denial }))?;
            if let (Security::AccessToken, Some(scopes)) = (policy.security, scopes) {
                role::held(&policy.roles, &client.organisation.roles).or_else(|refusal| tell(refusal.into()))?;
                scope::granted(&policy.scopes, scopes, &client.scopes).or_else(|refusal| tell(refusal.into()))?;
            }
            if let Some(need) = &policy.consent {
                consented(need).or_else(|refusal| tell(refusal.into()))?;
            }
        }
        if policy.allow.is_empty() {
            return Ok(());
        }
        let (operation, api) = (&policy.operation, &policy.api);
        let facts = ConditionFacts { operation, api, client, scopes, peer, body: KnownBody::Nothing, now };
        allowed(policy, &facts, false, tell)
    }

    fn may_act(&self, client: &Client, tell: Tell<'_>) -> Result<(), Box<Denial>> {
        suspension::active(client).or_else(|refusal| tell(refusal.into()))?;
        licence::valid(&client.organisation, self.now).or_else(|refusal| tell(refusal.into()))?;
        let networks = &client.organisation.networks;
        let inside = match self.peer {
            Some(peer) => network::inside(networks, peer),
            None if networks.is_empty() => Ok(()),
            None => Err(Refusal::NotJudged { why: "`request.peer` is not there".to_owned() }),
        };
        inside.or_else(|refusal| tell(Denial::by(refusal, RuleName::networks(&client.organisation))))
    }
}

fn of_client(denial: Denial) -> Box<Denial> {
    let Denial { refusal, rule, reports } = denial;
    Box::new(Denial { refusal: Refusal::ClientRefused(Box::new(refusal)), rule, reports })
}

// Each condition is judged once: here without the body, there with it.
fn allowed(
    policy: &OperationPolicy,
    facts: &ConditionFacts<'_>,
    body: bool,
    tell: Tell<'_>,
) -> Result<(), Box<Denial>> {
    for rule in policy.allow.iter().filter(|rule| rule.names_body() == body) {
        condition::holds(rule, facts).or_else(|refusal| tell(Denial::by(refusal, RuleName::allow(rule))))?;
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

/// Decides whether a permitted request may be done, now that its body is known: that a payment is the one a citizen has
/// agreed to, conditions that name the body, fraud rules, step-ups. Every fraud rule and every step-up is asked; of the step-ups that are needed the strictest decides.
///
/// An identity result that no rule asks for is not looked at and not spent. Whether a result or a consent was spent before
/// is the store's word, given when [`Clearance::spends`] are spent.
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
    let Permit { policy, client, granted } = permit;
    if *facts.operation != policy.operation || client.as_ref().map(|client| &client.id) != facts.client {
        return Err(Refusal::FactsDoNotFit.into());
    }
    if policy.allow.is_empty() && policy.fraud.is_empty() && policy.step_ups.is_empty() && granted.is_empty() {
        return Ok(Clearance { policy, granted, spends: Vec::new(), reports: Vec::new() });
    }
    let verified = |acr: &str| {
        // Of a body that nobody read no result can tell that it was made for it.
        let (Some(client), Some(digest)) = (facts.client, facts.body_digest) else {
            return Err(Refusal::FactsDoNotFit);
        };
        let binding = binding_hash(client, facts.operation, digest);
        step_up::verified(acr, identity, &binding, facts.operation, now)
    };
    let conditions = ConditionFacts {
        operation: &policy.operation,
        api: &policy.api,
        client: client.as_deref(),
        scopes: facts.scopes,
        peer: Some(facts.peer),
        body: facts.value.into(),
        now,
    };
    let ordered = || consent::equal(&granted, facts.value);
    let whole = Whole {
        policy: &policy,
        conditions,
        body: facts.body,
        ordered: &|| ordered().map(|_| ()),
        verified: &verified,
    };
    let mut reports = Vec::new();
    match whole.ask(&mut reports, &mut Err) {
        Ok(needed) => {
            let order = ordered()?.cloned();
            let mut spends: Vec<Spend> = identity.filter(|_| needed).map(spent).into_iter().collect();
            let mut granted = granted;
            if let Some(order) = order {
                spends.push(Spend::Consent(order.consent().clone()));
                granted = vec![order];
            }
            Ok(Clearance { policy, granted, spends, reports })
        }
        Err(mut denial) => {
            denial.reports = reports;
            Err(denial)
        }
    }
}

fn spent(result: &IdentityResult) -> Spend {
    Spend::Identity { jti: result.jti().to_owned(), verification: result.verification().clone() }
}

/// A request as its last rules see it.
pub(crate) struct Whole<'a> {
    pub(crate) policy: &'a OperationPolicy,
    pub(crate) conditions: ConditionFacts<'a>,
    pub(crate) body: &'a BodyFacts,
    /// Refuses a payment that is not the one a citizen has agreed to.
    pub(crate) ordered: &'a dyn Fn() -> Result<(), Refusal>,
    /// Refuses unless the payer was verified as a context says.
    pub(crate) verified: &'a dyn Fn(&str) -> Result<(), Refusal>,
}

/// A context that a rule asks for.
struct Wanted<'a> {
    acr: &'a str,
    rule: RuleName,
}

impl Whole<'_> {
    /// Asks every rule about the body; tells whether an identity result was needed, and in `reports` which rules would
    /// have refused, had they been enforced.
    pub(crate) fn ask(&self, reports: &mut Vec<RuleName>, tell: Tell<'_>) -> Result<bool, Box<Denial>> {
        let policy = self.policy;
        (self.ordered)().or_else(|refusal| tell(refusal.into()))?;
        allowed(policy, &self.conditions, true, tell)?;
        let (mut denials, mut wanted) = (Vec::new(), Vec::new());
        for rule in policy.fraud.iter().filter(|rule| rule.mode != Mode::Off) {
            let judged = fraud::judged(rule, self.body, &self.conditions);
            let name = || RuleName::fraud(rule);
            match (judged, rule.mode) {
                (Ok(None), _) => {}
                (Ok(Some(step_up)), Mode::Enforce) => wanted.push(Wanted { acr: &step_up.acr, rule: name() }),
                (Ok(Some(step_up)), _) => {
                    // One that the payer has gone through would not have refused.
                    if (self.verified)(&step_up.acr).is_err() {
                        reports.push(name());
                    }
                }
                (Err(refusal), Mode::Enforce) => denials.push(Denial::by(refusal, name())),
                (Err(_), _) => reports.push(name()),
            }
        }
        for rule in &policy.step_ups {
            let name = || RuleName::step_up(rule);
            match trigger::pulled(&rule.trigger, self.body, &self.conditions) {
                Ok(true) => wanted.push(Wanted { acr: &rule.acr, rule: name() }),
                Ok(false) => {}
                Err(refusal) => denials.push(Denial::by(refusal, name())),
            }
        }
        denials.into_iter().try_for_each(&mut *tell)?;
        // The strictest is asked for first: who reaches it reaches the others, and who does not is told the most.
        wanted.sort_by_key(|wanted| std::cmp::Reverse(step_up::rank(wanted.acr)));
        let needed = !wanted.is_empty();
        for Wanted { acr, rule } in wanted {
            (self.verified)(acr).or_else(|refusal| tell(Denial::by(refusal, rule)))?;
        }
        Ok(needed)
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "decide_rules_tests.rs"]
mod rules_tests;
