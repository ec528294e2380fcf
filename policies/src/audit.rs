//! What is written down of a request: facts and decisions, never a token, a body or a person's number.

use std::net::IpAddr;
use std::sync::Arc;

use crate::binding::BoundToken;
use crate::id::{AdminId, ConsentId, InteractionId, OperationId, ProviderId, VerificationId};
use crate::limit::LimitKey;
use crate::national::money::Money;
use crate::rule::RuleName;
use crate::rulebook::{Client, OperationPolicy};
use crate::time::Timestamp;

/// What one stage decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage, by its name in the stack.
    pub stage: &'static str,
    /// `pass`, or the stable name of the refusal.
    pub decision: &'static str,
    /// When, in microseconds since the request was received.
    pub micros: u32,
}

/// Which record of a request this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// Written and durable before the deed.
    Intent,
    /// Written when the last byte is out or the request was dropped.
    Outcome,
    /// Written when a backend has told what became of a deed whose outcome was unknown, before anybody relies on it.
    Settlement,
}

impl RecordKind {
    /// Returns the word that records have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            RecordKind::Intent => "intent",
            RecordKind::Outcome => "outcome",
            RecordKind::Settlement => "settlement",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Not yet: this is an intent.
    Pending,
    /// Answered to the last byte.
    Answered,
    /// The client went away, or the request was dropped.
    Abandoned,
    /// Of a settlement: the backend had not received the deed.
    NotReceived,
    /// Of a settlement that an earlier record tells of: it came too late, and does not count.
    Superseded,
}

impl Ending {
    /// Returns the word that records have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Ending::Pending => "pending",
            Ending::Answered => "answered",
            Ending::Abandoned => "abandoned",
            Ending::NotReceived => "not_received",
            Ending::Superseded => "superseded",
        }
    }
}

/// An identity result that a rule judged, without whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedIdentity {
    /// The verification it came from.
    pub verification: VerificationId,
    /// The context class that was reached.
    pub acr: Arc<str>,
    /// When it ends.
    pub expires: Timestamp,
}

/// Data that names a person, sealed under that person's own key: it can be destroyed while the record stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalData {
    /// The id of the key.
    pub key: [u8; 16],
    /// What was sealed; of no use without the key.
    pub sealed: Arc<[u8]>,
}

/// How a backend's answer breaks the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFaults {
    /// How many faults were found; counting ends early.
    pub count: u32,
    /// The rule of the contract that the first one breaks, in JSON Schema's word where it has one.
    pub keyword: &'static str,
}

/// A counter that has counted a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// The limit that it belongs to, by its id.
    pub limit: Arc<str>,
    /// Its name, which is written down as a keyed hash alone: it may tell of people.
    pub key: LimitKey,
}

/// What the rules judged, so that a decision can be judged again with the policies of its generation.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The policy set that was in force, by its digest: the store keeps it under that.
    pub policies: Option<Arc<str>>,
    /// The client, once known; it tells the organisation, its roles and its limits.
    pub client: Option<Arc<Client>>,
    /// The token, once it was shown to be in its client's hands; it tells the scopes.
    pub token: Option<BoundToken>,
    /// The consents that the call was found to keep to; empty where none was asked for.
    pub granted: Vec<ConsentId>,
    /// The administrator, once known.
    pub administrator: Option<AdminId>,
    /// The identity provider that called back, once known.
    pub provider: Option<ProviderId>,
    /// What policy says of the operation, once routed; it tells further limits and the override in force.
    pub policy: Option<Arc<OperationPolicy>>,
    /// The counters that counted the request, where client and operation alone do not tell which these are.
    pub counters: Option<Vec<Counter>>,
    /// The limit that had no room and refused, by its id; of several, the one that has none for the longest.
    pub exhausted: Option<Arc<str>>,
    /// The others that had no room, by their ids.
    pub also_exhausted: Vec<Arc<str>>,
    /// The rule that refused.
    pub refused_by: Option<RuleName>,
    /// Why it could not be judged, if that is why it refused; holds no value of the request.
    pub not_judged: Option<Arc<str>>,
    /// Rules that would have refused, had they been enforced.
    pub reports: Vec<RuleName>,
    /// How the backend's answer breaks the contract, if it does.
    pub answer: Option<AnswerFaults>,
    /// The other end of the connection, of a client that has shown who it is.
    pub peer: Option<IpAddr>,
    /// The amount that rules judged.
    pub amount: Option<Money>,
    /// Where it stood in the body, a JSON pointer.
    pub amount_at: Option<Arc<str>>,
    /// The identity result that came with the request.
    pub identity: Option<JudgedIdentity>,
    /// What names a person, sealed.
    pub personal: Option<PersonalData>,
}

/// One record of the audit trail.
#[derive(Debug, Clone)]
pub struct Record {
    /// Intent, outcome or settlement.
    pub kind: RecordKind,
    /// The interaction.
    pub interaction: InteractionId,
    /// When it began.
    pub received: Timestamp,
    /// When it ended; for an intent, when it was written.
    pub at: Timestamp,
    /// The operation, once routed.
    pub operation: Option<OperationId>,
    /// What the stages decided, in order.
    pub steps: Vec<Step>,
    /// What they judged.
    pub facts: Facts,
    /// The reference under which the backend knows the deed.
    pub reference: Option<Arc<str>>,
    /// The status that was answered.
    pub status: Option<u16>,
    /// How it ended.
    pub ending: Ending,
    /// The policy generation that decided.
    pub generation: u64,
}
