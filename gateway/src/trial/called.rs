//! The operation that a case calls, as contract and policies have it: one that no policy exposes is called all the same.

use openapi::Operation;
use policies::facts::Security;
use policies::rulebook::{Client, ConsentNeed, OperationPolicy, ScopeSet};

use crate::generation::{Generation, security};
use crate::own::{Own, own};

/// The contract document of the administrators' door.
const ADMIN: &str = "admin";

/// The header that makes repetitions one request.
const KEY: &str = "x-idempotency-key";

/// An operation of the contract.
#[derive(Debug, Clone, Copy)]
pub(super) struct Called<'g> {
    /// What the contract says of it.
    pub(super) operation: &'g Operation,
    // None if it is not exposed.
    policy: Option<&'g OperationPolicy>,
}

impl<'g> Called<'g> {
    /// Finds an operation by its id.
    pub(super) fn find(generation: &'g Generation, id: &str) -> Option<Self> {
        let operation = generation.contract.operations().iter().find(|known| known.id() == id)?;
        Some(Self { operation, policy: generation.policy(operation).map(AsRef::as_ref) })
    }

    /// Tells how its callers show who they are; where nobody can tell, they come with a token.
    pub(super) fn security(&self) -> Security {
        let of_contract = || security(self.operation).0.unwrap_or(Security::AccessToken);
        self.policy.map_or_else(of_contract, |policy| policy.security)
    }

    /// Returns the scopes that a client of this kind would ask the token endpoint for.
    pub(super) fn scopes(&self, client: &Client) -> ScopeSet {
        let may = |scope: &&str| client.scopes.contains(scope);
        match self.policy {
            Some(policy) => ScopeSet::of(policy.scopes.iter().filter(may)),
            None => ScopeSet::of(security(self.operation).1.iter().map(String::as_str).filter(may)),
        }
    }

    /// Tells whether administrators call it, at a door of their own.
    pub(super) fn is_for_administrators(&self) -> bool {
        self.operation.document() == ADMIN
    }

    /// Tells whether it comes with a key that makes repetitions one request.
    pub(super) fn is_idempotent(&self) -> bool {
        self.operation.requires_header(KEY)
    }

    /// Returns the consent that its callers need.
    pub(super) fn consent(&self) -> Option<&'g ConsentNeed> {
        self.policy?.consent.as_ref()
    }

    /// Returns what the gateway does if it answers itself.
    pub(super) fn own(&self) -> Option<Own> {
        own(self.operation.id())
    }
}
