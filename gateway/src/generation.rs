//! One policy generation: contract and rulebook, joined. A request begins and ends on one.

use std::collections::BTreeMap;
use std::sync::Arc;

use openapi::{Contract, Operation};
use policies::facts::{OperationFacts, Security, Shape};
use policies::jose::{base64url, sha256};
use policies::rulebook::{OperationPolicy, Rulebook};

use crate::own::own;

/// The texts of contracts and policies, and what names them: the same texts have the same digest in every process.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// SHA-256 of `text`.
    pub digest: [u8; 32],
    /// The same as text, base64url: what the audit trail and the log call the set.
    pub name: Arc<str>,
    /// A JSON object: each file's name with its text.
    pub text: Vec<u8>,
}

impl Bundle {
    /// Puts texts together; their order does not matter.
    pub fn of<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let sorted: BTreeMap<&str, &str> = texts.collect();
        let text = serde_json::to_vec(&sorted).expect("a map of texts is JSON");
        let digest = sha256(&text);
        Self { digest, name: Arc::from(base64url(&digest)), text }
    }
}

/// Contract and policy as they were when this generation began.
#[derive(Debug)]
pub struct Generation {
    /// Counts up with each change, from one.
    pub number: u64,
    /// The contract.
    pub contract: Contract,
    /// The policies.
    pub rulebook: Rulebook,
    /// The texts that both were read from.
    pub bundle: Bundle,
    by_index: Vec<Option<Arc<OperationPolicy>>>,
}

impl Generation {
    /// Joins a contract with the rulebook that was compiled against it.
    #[must_use]
    pub fn join(number: u64, contract: Contract, rulebook: Rulebook, bundle: Bundle) -> Self {
        let policy = |operation: &Arc<Operation>| rulebook.operations.get(operation.id()).cloned();
        let by_index = contract.operations().iter().map(policy).collect();
        Self { number, contract, rulebook, bundle, by_index }
    }

    /// Returns the policy of an operation; none if it is not exposed.
    #[must_use]
    pub fn policy(&self, operation: &Operation) -> Option<&Arc<OperationPolicy>> {
        self.by_index.get(operation.index())?.as_ref()
    }
}

/// Tells the policy compiler what the contract holds.
///
/// # Errors
/// A security scheme that no stage knows, or more than one at an operation, with the place of the operation.
pub fn facts(contract: &Contract) -> Result<Vec<OperationFacts>, Vec<openapi::Fault>> {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    for operation in contract.operations() {
        if operation.has_body() && !operation.needs_body_check() && operation.requires_header("x-idempotency-key") {
            let message = format!("operation `{}` is idempotent, but its body is not read", operation.id());
            faults.push(fault(
                operation,
                message,
                "repetitions are told from each other by the body: describe it as JSON",
            ));
        }
        let (security, scopes) = match operation.security() {
            [] => (Some(Security::Public), Vec::new()),
            [one] => (scheme(&one.scheme), one.scopes.clone()),
            _ => (None, Vec::new()),
        };
        let Some(security) = security else {
            let message =
                format!("operation `{}` asks for a security scheme that this gateway does not know", operation.id());
            let help = "use exactly one of accessToken, clientAuthentication, signedCallback, administrator, or `security: []`";
            faults.push(fault(operation, message, help));
            continue;
        };
        found.push(OperationFacts {
            id: operation.id().to_owned(),
            api: operation.document().to_owned(),
            method: operation.method().to_owned(),
            template: operation.template().to_owned(),
            security,
            scopes,
            has_body: operation.has_body(),
            body: Shape { open: true, ..Shape::default() },
            answer: Shape { open: true, ..Shape::default() },
            idempotent: operation.requires_header("x-idempotency-key"),
            own: own(operation.id()).is_some(),
            collides_with: Vec::new(),
            obstacle: None,
            origin: operation.origin().to_owned(),
        });
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

fn scheme(name: &str) -> Option<Security> {
    match name {
        "accessToken" => Some(Security::AccessToken),
        "clientAuthentication" => Some(Security::ClientAuthentication),
        "signedCallback" => Some(Security::SignedCallback),
        "administrator" => Some(Security::Administrator),
        _ => None,
    }
}

fn fault(operation: &Operation, message: String, help: &str) -> openapi::Fault {
    let (file, line) = operation.origin().rsplit_once(':').unwrap_or((operation.origin(), "1"));
    let (file, line) = (file.to_owned(), line.parse().unwrap_or(1));
    openapi::Fault { file, line, column: 1, message, help: Some(help.to_owned()) }
}
