//! Settling: what becomes of a money call whose outcome was not known when it was answered.

use crate::id::{IdempotencyKey, OrganisationId};
use crate::once::StoredReply;
use crate::time::Timestamp;

/// A claim whose deed may have been done, and nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The claim: client, operation, key.
    pub key: IdempotencyKey,
    /// Whose client it is.
    pub organisation: OrganisationId,
    /// Under which reference the backend knows the deed, if it knows it.
    pub reference: String,
    /// When it was first claimed.
    pub since: Timestamp,
    /// How often the backend was asked before.
    pub asked: u32,
    /// Whether the client was told `unknown`; if not, the gateway died before it could tell anything.
    pub told: bool,
}

/// What a store does with an undecided claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The outcome is known: this is the answer for repetitions from now on.
    Answered(StoredReply),
    /// The backend never heard of it: the same body may try again, under the same reference.
    NotReceived,
    /// Not known yet: to be asked again then.
    AskAgain(Timestamp),
}

/// How an undecided deed stands, for who reads it under its reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nobody knows yet.
    Undecided {
        /// When it was first claimed.
        since: Timestamp,
    },
    /// The backend had not received it when it was asked last, or was never sent it.
    NotReceived {
        /// When it was first claimed.
        since: Timestamp,
    },
    /// The backend has answered: what it says is the truth.
    Answered,
}
