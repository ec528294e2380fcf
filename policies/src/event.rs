//! Events: what has become of something a client asked for, told to that client and to nobody else.

use crate::id::ClientId;
use crate::time::Timestamp;

/// What has happened; its word is the `type` of the CloudEvent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// The outcome of a money call could not be told when it was answered.
    PaymentUnknown,
    /// The outcome of a money call that was unknown is known now.
    PaymentSettled,
    /// An identity verification has come to its end.
    VerificationDecided,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 3] =
        [EventKind::PaymentUnknown, EventKind::PaymentSettled, EventKind::VerificationDecided];

    /// Returns the `type` of the CloudEvent: reverse DNS of the product, then thing and verb.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            EventKind::PaymentUnknown => "kz.qaqpa.payment.unknown.v1",
            EventKind::PaymentSettled => "kz.qaqpa.payment.settled.v1",
            EventKind::VerificationDecided => "kz.qaqpa.verification.decided.v1",
        }
    }

    /// Reads a `type`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// An event that a store has not numbered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its own name: a UUID, the same in every delivery.
    pub id: String,
    /// Whose it is.
    pub client: ClientId,
    /// What it is about: the id of a payment or verification. Events of one subject are delivered in order.
    pub subject: String,
    /// What has happened.
    pub kind: EventKind,
    /// When.
    pub at: Timestamp,
    /// The `data` of the CloudEvent, as JSON text; holds nothing that names a person.
    pub data: String,
}

/// An event as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number among the client's events: 1, 2, 3, without gaps.
    pub position: u64,
    /// The event.
    pub event: NewEvent,
    /// How often its delivery to the client's endpoint was tried.
    pub attempts: u32,
}
