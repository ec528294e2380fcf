//! What administrators decided, compiled: one immutable value per policy generation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::condition::Condition;
use crate::consent::ConsentKind;
pub use crate::consent::ConsentTerms;
use crate::facts::Security;
use crate::id::{ApiId, ClientId, IssuerId, OperationId, OrganisationId, ProviderId, UpstreamId};
use crate::issuer::Issuer;
use crate::limit::{Limit, Mode};
use crate::mask::{FieldPath, Mask};
use crate::national::money::Money;
pub use crate::party::{
    CertificateName, Client, ClientAuthentication, ConsentHolder, KeySource, OauthTerms, Organisation, Plan, Role,
    ScopeSet, TokenBinding, Webhook,
};
use crate::time::Timestamp;

/// Which HTTP a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, by ALPN over TLS or with prior knowledge in clear text.
    Http2,
}

/// A backend; its addresses are an operator's business and stand in `qaqpa.yaml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its id.
    pub id: UpstreamId,
    /// Which HTTP it speaks.
    pub protocol: Protocol,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long the head of an answer may take.
    pub response: Duration,
    /// How many requests may be under way to it at once, per process.
    pub requests_max: u32,
}

/// An identity provider, as far as policy goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its id.
    pub id: ProviderId,
    /// The highest level of assurance that its evidence is believed for, for example `L2`.
    pub level: String,
    /// How long it may take to answer a call.
    pub timeout: Duration,
}

/// What brings a rule into play.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// More money than this.
    Above {
        /// The last amount that does not.
        above: Money,
        /// The JSON pointer of the object with `amount` and `currency` in the body.
        amount: String,
    },
    /// A condition that holds; one that cannot be judged denies.
    When(Arc<Condition>),
}

/// A payer has to be verified when it is triggered.
#[derive(Debug, Clone)]
pub struct StepUp {
    /// Its name.
    pub id: Arc<str>,
    /// When.
    pub trigger: Trigger,
    /// The authentication context that is asked for, for example `urn:qaqpa:acr:L2`.
    pub acr: String,
    /// Where it stands, `file:line`.
    pub origin: String,
}

/// What a fraud rule answers when it is triggered.
#[derive(Debug, Clone)]
pub enum FraudAnswer {
    /// The call is refused.
    Deny,
    /// The payer has to be verified first, under this rule's level (its trigger is not asked).
    StepUp(Arc<StepUp>),
}

/// A rule of our own about calls that look wrong.
#[derive(Debug, Clone)]
pub struct FraudRule {
    /// Its name.
    pub id: Arc<str>,
    /// When.
    pub trigger: Trigger,
    /// What then.
    pub then: FraudAnswer,
    /// Whether it is enforced.
    pub mode: Mode,
    /// Where it stands, `file:line`.
    pub origin: String,
}

/// A loosening that somebody answers for, until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Why.
    pub reason: String,
    /// Who has agreed.
    pub approved_by: String,
    /// The first instant at which it is over.
    pub ends: Timestamp,
    /// Where it stands, `file:line`.
    pub origin: String,
}

/// When an operation's audit record has to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditDuty {
    /// An intent record before the deed; without it there is no deed.
    Required,
    /// One record at the end, written when the log gets to it.
    Standard,
}

/// Who answers an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// This gateway.
    Own,
    /// A backend.
    Upstream(UpstreamId),
}

/// The operation by which a backend tells what became of a deed: a GET with the reference in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusOperation {
    /// The operation.
    pub operation: OperationId,
    /// The path before the reference.
    pub before: String,
    /// The path parameter that is the reference.
    pub parameter: String,
    /// The path after the reference.
    pub after: String,
}

impl StatusOperation {
    /// Returns the path under which the deed of a reference is told.
    #[must_use]
    pub fn path(&self, reference: &str) -> String {
        format!("{}{reference}{}", self.before, self.after)
    }
}

/// Which consent an operation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentNeed {
    /// Its kind.
    pub kind: ConsentKind,
    /// The path parameter that names the account, where there is one: it has to be a shared one.
    pub account: Option<String>,
    /// The list of an answer that holds accounts, and where in an item its id stands: others are left out.
    pub list: Option<AccountList>,
}

/// Where an answer has a list of accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountList {
    /// The list.
    pub items: FieldPath,
    /// The account's id within an item.
    pub id: FieldPath,
}

/// Everything policy says of one exposed operation.
#[derive(Debug, Clone)]
pub struct OperationPolicy {
    /// The operation.
    pub operation: OperationId,
    /// The API it belongs to.
    pub api: ApiId,
    /// How callers show who they are, as the contract says.
    pub security: Security,
    /// The organisation needs one of these; empty means any.
    pub roles: BTreeSet<Role>,
    /// The token needs all of these.
    pub scopes: ScopeSet,
    /// The longest body, in bytes.
    pub body_bytes_max: usize,
    /// How long the whole request may take.
    pub timeout: Duration,
    /// Who answers.
    pub service: Service,
    /// Whether the request is done once per `x-idempotency-key`.
    pub idempotent: bool,
    /// By which operation a backend tells what became of the request; only of one that is done once.
    pub settled_by: Option<StatusOperation>,
    /// When a payer has to be verified; every rule is asked.
    pub step_ups: Vec<Arc<StepUp>>,
    /// Limits of its own, beside those of the caller's plan.
    pub limits: Vec<Limit>,
    /// Conditions that all have to hold.
    pub allow: Vec<Arc<Condition>>,
    /// Rules about calls that look wrong; every rule is asked.
    pub fraud: Vec<Arc<FraudRule>>,
    /// What happens to answers that break the contract.
    pub responses: Mode,
    /// What is masked in answers, log lines and traces.
    pub masks: Vec<Arc<Mask>>,
    /// Fields of the request's body that are written into log line and span, masked where a mask says so.
    pub noted: Vec<FieldPath>,
    /// The loosening in force, if there is one.
    pub loosened: Option<Override>,
    /// The consent that a citizen's token has to carry.
    pub consent: Option<ConsentNeed>,
    /// What is recorded when.
    pub audit: AuditDuty,
    /// Where the policy of this operation stands, `file:line`.
    pub origin: String,
}

impl OperationPolicy {
    /// Goes through the limits that a call of `client` is counted against beside those of its plan: each limit counts a
    /// call once, and one that counts by clients counts only them.
    pub fn limits_of<'a>(&'a self, client: Option<&'a Client>) -> impl Iterator<Item = &'a Limit> {
        let planned =
            move |id: &str| client.is_some_and(|client| client.plan.limits.iter().any(|limit| &*limit.id == id));
        self.limits.iter().filter(move |limit| limit.concerns(client.is_some()) && !planned(&limit.id))
    }

    /// Goes through everything that brings a rule about the request into play, with whether that rule is enforced; rules
    /// that are off are left out.
    pub fn triggers(&self) -> impl Iterator<Item = (&Trigger, bool)> {
        let fraud = self.fraud.iter().filter(|rule| rule.mode != Mode::Off);
        let step_ups = self.step_ups.iter().map(|rule| (&rule.trigger, true));
        step_ups.chain(fraud.map(|rule| (&rule.trigger, rule.mode == Mode::Enforce)))
    }
}

/// The compiled policy set.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    /// All organisations.
    pub organisations: BTreeMap<OrganisationId, Arc<Organisation>>,
    /// All clients.
    pub clients: HashMap<ClientId, Arc<Client>>,
    /// All backends.
    pub upstreams: BTreeMap<UpstreamId, Upstream>,
    /// All identity providers, in the order they are tried.
    pub providers: Vec<Provider>,
    /// Other authorization servers whose tokens are taken.
    pub issuers: BTreeMap<IssuerId, Arc<Issuer>>,
    /// What policy says of consents; of a kind that is not here, [`ConsentTerms::usual`] holds.
    pub consents: BTreeMap<ConsentKind, ConsentTerms>,
    /// The operation by which a backend lists the accounts of a customer, for citizens to choose from.
    pub customer_accounts: Option<OperationId>,
    /// The exposed operations; one that is not here does not exist.
    pub operations: BTreeMap<OperationId, Arc<OperationPolicy>>,
}

impl Rulebook {
    /// Goes through the operations whose outcome `status` tells.
    pub fn settled_by<'a>(&'a self, status: &'a OperationId) -> impl Iterator<Item = &'a OperationPolicy> {
        let settles = |policy: &&OperationPolicy| policy.settled_by.as_ref().is_some_and(|by| by.operation == *status);
        self.operations.values().map(AsRef::as_ref).filter(move |policy| settles(policy))
    }
}
