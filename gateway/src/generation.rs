//! One policy generation: contract and rulebook, joined. A request begins and ends on one.

use std::collections::BTreeMap;
use std::sync::Arc;

use openapi::{BodyShape, Contract, Operation, ValueKind};
use policies::facts::{FieldKind, HeaderFacts, OperationFacts, Security, Shape};
use policies::id::OperationId;
use policies::jose::{base64url, sha256};
use policies::rulebook::{OperationPolicy, Rulebook};
use policies::time::Timestamp;

use crate::desk::Cause;
use crate::own::own;
use crate::texts::Texts;

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

impl From<&Texts> for Bundle {
    fn from(texts: &Texts) -> Self {
        let contracts = texts.contracts.iter().map(|source| (source.name.as_str(), source.text.as_str()));
        Self::of(contracts.chain(texts.policies.iter().map(|source| (&*source.name, source.body()))))
    }
}

/// How a generation came to be.
#[derive(Debug, Clone)]
pub struct Birth {
    /// Its number: counts up with each change, from one.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Why.
    pub by: Cause,
}

/// Why an operation with a security scheme of another's making cannot be exposed.
const UNKNOWN_SCHEME: &str = "it does not ask for exactly one of accessToken, clientAuthentication, signedCallback and administrator, and does not say `security: []` either";

/// Why an idempotent operation with an opaque body cannot be exposed.
const UNREAD: &str = "it is idempotent, and its body is not read: repetitions are told from each other by the body";

/// Contract and policy as they were when this generation began.
#[derive(Debug)]
pub struct Generation {
    /// Counts up with each change, from one.
    pub number: u64,
    /// How it came to be.
    pub birth: Birth,
    /// The contract.
    pub contract: Contract,
    /// The policies.
    pub rulebook: Rulebook,
    /// The texts that both were read from, as they are kept for later.
    pub bundle: Bundle,
    /// The same texts, as they are compiled.
    pub texts: Arc<Texts>,
    /// When the same texts come to mean something else: an override ends. None if never.
    pub changes_at: Option<Timestamp>,
    by_index: Vec<Option<Arc<OperationPolicy>>>,
}

impl Generation {
    /// Joins a contract with the rulebook that was compiled against it.
    #[must_use]
    pub fn join(birth: Birth, mut contract: Contract, rulebook: Rulebook, texts: (Arc<Texts>, Bundle)) -> Self {
        contract.prefer(&|operation| rulebook.operations.contains_key(operation.id()));
        let policy = |operation: &Arc<Operation>| rulebook.operations.get(operation.id()).cloned();
        let by_index = contract.operations().iter().map(policy).collect();
        let (texts, bundle) = texts;
        Self { number: birth.number, birth, contract, rulebook, bundle, texts, changes_at: None, by_index }
    }

    /// Returns the operations that an override loosens which is over at `now`.
    pub fn overdue(&self, now: Timestamp) -> impl Iterator<Item = &OperationId> {
        let over = move |policy: &OperationPolicy| policy.loosened.as_ref().is_some_and(|given| given.ends <= now);
        self.rulebook.operations.iter().filter(move |(_, policy)| over(policy)).map(|(operation, _)| operation)
    }

    /// Makes the same anew without the operations that are [`overdue`](Self::overdue) when it is born.
    ///
    /// The next change stays due: what is withheld is not what the texts say.
    ///
    /// # Errors
    /// Every fault of the contract, which none had when it was read before.
    pub fn without_overdue(&self, birth: Birth) -> Result<Self, Vec<openapi::Fault>> {
        let contract = Contract::load_reusing(&self.texts.contracts, Some(&self.contract))?;
        let mut rulebook = self.rulebook.clone();
        for operation in self.overdue(birth.at) {
            rulebook.operations.remove(operation);
        }
        let texts = (Arc::clone(&self.texts), self.bundle.clone());
        Ok(Self { changes_at: self.changes_at, ..Self::join(birth, contract, rulebook, texts) })
    }

    /// Returns the policy of an operation; none if it is not exposed.
    #[must_use]
    pub fn policy(&self, operation: &Operation) -> Option<&Arc<OperationPolicy>> {
        self.by_index.get(operation.index())?.as_ref()
    }
}

/// Tells the policy compiler what the contract holds, and which operations cannot be exposed.
#[must_use]
pub fn facts(contract: &Contract) -> Vec<OperationFacts> {
    let mut found: Vec<OperationFacts> = contract.operations().iter().map(|operation| fact(operation)).collect();
    for (one, other) in contract.collisions() {
        let id = |index: &usize| contract.operations().get(*index).map(|operation| operation.id().to_owned());
        for (here, there) in [(one, other), (other, one)] {
            if let (Some(facts), Some(id)) = (found.get_mut(*here), id(there)) {
                facts.collides_with.push(id);
            }
        }
    }
    found
}

/// Tells how callers of an operation show who they are, and the scopes it asks for; none if this gateway knows no such way.
#[must_use]
pub fn security(operation: &Operation) -> (Option<Security>, &[String]) {
    match operation.security() {
        [] => (Some(Security::Public), &[]),
        [one] => (scheme(&one.scheme), &one.scopes),
        _ => (None, &[]),
    }
}

fn fact(operation: &Operation) -> OperationFacts {
    let (security, scopes) = security(operation);
    // Repetitions are told from each other by the body: one that streams on is never read.
    let unread = operation.has_body() && operation.may_stream();
    let idempotent = operation.requires_header("x-idempotency-key");
    let obstacle = match operation.obstacle() {
        Some(obstacle) => Some(obstacle.to_owned()),
        None if security.is_none() => Some(UNKNOWN_SCHEME.to_owned()),
        None if unread && idempotent => Some(UNREAD.to_owned()),
        None => None,
    };
    OperationFacts {
        id: operation.id().to_owned(),
        api: operation.document().to_owned(),
        method: operation.method().to_owned(),
        template: operation.template().to_owned(),
        // What cannot be exposed is never taken for public, whoever forgets to look at the obstacle.
        security: security.filter(|_| obstacle.is_none()).unwrap_or(Security::AccessToken),
        scopes: scopes.to_vec(),
        has_body: operation.has_body(),
        body: shape(operation.body_shape()),
        body_streams: operation.has_body() && operation.may_stream(),
        answer: shape(operation.answer_shape()),
        answer_streams: operation.answers_may_stream(),
        headers: operation.headers().map(|(name, required)| HeaderFacts { name: name.to_owned(), required }).collect(),
        idempotent,
        own: own(operation.id()).is_some(),
        collides_with: Vec::new(),
        obstacle,
        origin: operation.origin().to_owned(),
    }
}

/// Tells in the policies' words where values may stand in a body.
fn shape(told: BodyShape) -> Shape {
    let kind = |kind: ValueKind| match kind {
        ValueKind::Object => FieldKind::Object,
        ValueKind::Array => FieldKind::Array,
        ValueKind::Text => FieldKind::Text,
        ValueKind::Integer => FieldKind::Integer,
        ValueKind::Number => FieldKind::Number,
        ValueKind::Boolean => FieldKind::Boolean,
        ValueKind::Any => FieldKind::Any,
    };
    Shape { fields: told.fields.into_iter().map(|(pointer, value)| (pointer, kind(value))).collect(), open: told.open }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const STATEMENTS: &str = "openapi: 3.0.3
info: {title: t, version: v1}
paths:
  /v1/statements:
    get:
      operationId: getStatement
      security: []
      responses: {'200': {description: d, content: {application/pdf: {}}}, '404': {description: d}}
    post:
      operationId: keepStatement
      security: []
      requestBody: {content: {application/octet-stream: {}, application/json: {schema: {type: object}}}}
      responses: {'200': {description: d, content: {application/json: {schema: {type: object}}}}}
    put:
      operationId: changeStatement
      security: []
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'204': {description: d}, '500': {description: d, content: {text/plain: {}}}}
";

    #[test]
    fn headers_are_told_as_limits_write_them() {
        let text = "openapi: 3.0.3
info: {title: t, version: v1}
paths:
  /v1/payers:
    parameters:
      - {name: X-Payer-Id, in: header, required: true, schema: {type: string}}
      - {name: page, in: query, schema: {type: integer}}
    get:
      operationId: getPayer
      security: []
      parameters: [{name: X-Branch, in: header, schema: {type: string}}]
      responses: {'204': {description: d}}
";
        let contract = Contract::load(&[openapi::Source { name: "p.yaml".to_owned(), text: text.to_owned() }]).unwrap();
        let found = facts(&contract);
        let said = |name: &str| found.first().unwrap().header(name).map(|header| header.required);
        assert_eq!([said("x-payer-id"), said("x-branch")], [Some(true), Some(false)]);
        assert_eq!([said("page"), said("X-Payer-Id"), said("x-other")], [None; 3]);
    }

    #[test]
    fn what_streams_is_told_to_policies() {
        let contract = Contract::load(&[openapi::Source { name: "s.yaml".to_owned(), text: STATEMENTS.to_owned() }]);
        let mut found: Vec<_> = facts(&contract.unwrap())
            .into_iter()
            .map(|facts| (facts.id, facts.body_streams, facts.answer_streams))
            .collect();
        found.sort();
        let told = |id: &str, body: bool, answer: bool| (id.to_owned(), body, answer);
        assert_eq!(
            found,
            [
                told("changeStatement", false, false),
                told("getStatement", false, true),
                told("keepStatement", true, false)
            ]
        );
    }
}
