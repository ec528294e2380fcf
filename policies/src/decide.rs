//! Decides: first what headers can tell ([`permit`]), then, with the body read and the key claimed, the rest ([`assess`]).
//!
//! What is allowed is a value that only this module makes: no [`Permit`], no assessment; no [`Clearance`], no deed.
//! Must never know how a request looks on the wire or what a refusal looks like there.

use std::sync::Arc;

use crate::caller::Caller;
use crate::facts::{RequestFacts, Security};
use crate::id::{ClientId, OperationId, VerificationId};
use crate::jose::{base64url, digest_of_parts};
use crate::result::IdentityResult;
pub use crate::rule::Refusal;
use crate::rule::{licence, role, scope, step_up, suspension};
use crate::rulebook::{Client, OperationPolicy, Trigger};
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
}

/// Decides whether a caller may call an operation: who it is, whether it was stopped, licence, role, scope, in this order.
///
/// Does not look at limits, the body, or whether an identity result is needed: see [`assess`].
///
/// # Errors
/// The first [`Refusal`]. That of a client which authenticates with the request itself comes as
/// [`Refusal::ClientRefused`].
pub fn permit(policy: &Arc<OperationPolicy>, caller: &Caller, now: Timestamp) -> Result<Permit, Refusal> {
    let wrong_caller = Refusal::WrongCaller { needs: policy.security };
    let client = match (policy.security, caller) {
        (Security::Public, Caller::Public)
        | (Security::SignedCallback, Caller::Provider(_))
        | (Security::Administrator, Caller::Administrator(_)) => None,
        (Security::ClientAuthentication, Caller::Client(authenticated)) => {
            let client = authenticated.client();
            may_act(client, now).map_err(|refusal| Refusal::ClientRefused(Box::new(refusal)))?;
            Some(Arc::clone(client))
        }
        (Security::AccessToken, Caller::Bound { client, token }) => {
            let token = token.token();
            if *token.client() != client.id {
                return Err(wrong_caller);
            }
            if token.is_over(now) {
                return Err(Refusal::TokenOver);
            }
            may_act(client, now)?;
            role::held(&policy.roles, &client.organisation.roles)?;
            scope::granted(&policy.scopes, token.scopes(), &client.scopes)?;
            Some(Arc::clone(client))
        }
        _ => return Err(wrong_caller),
    };
    Ok(Permit { policy: Arc::clone(policy), client })
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

/// Decides whether a permitted request may be done, now that its body is known.
///
/// An identity result that the rule does not ask for is not looked at and not spent. Whether a result was spent before
/// is the store's word, given when [`Clearance::spends`] is spent.
///
/// # Errors
/// A [`Refusal`], [`Refusal::StepUp`] with what to do among them.
pub fn assess(
    permit: Permit,
    facts: &RequestFacts<'_>,
    identity: Option<&IdentityResult>,
    now: Timestamp,
) -> Result<Clearance, Refusal> {
    let Permit { policy, client } = permit;
    if *facts.operation != policy.operation || client.as_ref().map(|client| &client.id) != facts.client {
        return Err(Refusal::FactsDoNotFit);
    }
    let mut spends = None;
    for rule in &policy.step_ups {
        let client = client.as_ref().ok_or(Refusal::FactsDoNotFit)?;
        let binding = binding_hash(&client.id, &policy.operation, facts.body_digest);
        let amount = match &rule.trigger {
            Trigger::Above { amount, .. } => facts.body.amount(amount),
            Trigger::When(_) => None,
        };
        let needed = step_up::verified(rule, amount, identity, &binding, &policy.operation, now)?;
        if needed {
            spends = identity.map(|result| (result.jti().to_owned(), result.verification().clone()));
        }
    }
    Ok(Clearance { policy, spends })
}

fn may_act(client: &Client, now: Timestamp) -> Result<(), Refusal> {
    suspension::active(client)?;
    licence::valid(&client.organisation, now)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
