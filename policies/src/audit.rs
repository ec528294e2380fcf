//! What is written down of a request: facts and decisions, never a token, a body or a person's number.

use crate::id::{AdminId, ClientId, InteractionId, OperationId, OrganisationId, ProviderId};
use crate::time::Timestamp;

/// What one stage decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage, by its name in the stack.
    pub stage: &'static str,
    /// `pass`, or the stable name of the refusal.
    pub decision: &'static str,
}

/// Which of the two records of a request this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// Written and durable before the deed.
    Intent,
    /// Written when the last byte is out or the request was dropped.
    Outcome,
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
}

/// One record of the audit trail.
#[derive(Debug, Clone)]
pub struct Record {
    /// Intent or outcome.
    pub kind: RecordKind,
    /// The interaction.
    pub interaction: InteractionId,
    /// When it began.
    pub received: Timestamp,
    /// When it ended; for an intent, when it was written.
    pub at: Timestamp,
    /// The operation, once routed.
    pub operation: Option<OperationId>,
    /// The client, once known.
    pub client: Option<ClientId>,
    /// The organisation, once known.
    pub organisation: Option<OrganisationId>,
    /// The administrator, once known.
    pub administrator: Option<AdminId>,
    /// The identity provider that called back, once known.
    pub provider: Option<ProviderId>,
    /// What the stages decided, in order.
    pub steps: Vec<Step>,
    /// The amount that rules judged, for example `250000.00 KZT`.
    pub amount: Option<String>,
    /// The reference under which the backend knows the deed.
    pub reference: Option<String>,
    /// The status that was answered.
    pub status: Option<u16>,
    /// How it ended.
    pub ending: Ending,
    /// The policy generation that decided.
    pub generation: u64,
}
