//! Events: what has become of something a client asked for, told to that client and to nobody else.

use serde_json::{Value, json};

use crate::id::ClientId;
use crate::time::Timestamp;

/// The version of CloudEvents that events are written in.
pub const SPEC_VERSION: &str = "1.0";

/// The media type of one event on its own (CloudEvents JSON format 1.0.2, 3).
pub const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// How many digits a `sequence` has: with leading zeros texts sort as numbers, and all fit a signed 64-bit integer.
pub const SEQUENCE_DIGITS: usize = 18;

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

impl Event {
    /// Writes the event as CloudEvents 1.0 has it in JSON, in the structured mode.
    ///
    /// `source` is the issuer: with `id` it names the event in the whole world. `sequence` is the extension of that name
    /// from CloudEvents' documented extensions: the event's position among the client's, as the feed takes it in `after`.
    /// The same event gives the same text in every delivery.
    #[must_use]
    pub fn to_cloud_event(&self, source: &str) -> Value {
        let event = &self.event;
        // What a producer wrote is JSON; were it ever not, the client is still told that something has happened.
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        json!({
            "specversion": SPEC_VERSION,
            "id": event.id,
            "source": source,
            "type": event.kind.word(),
            "subject": event.subject,
            "time": event.at.to_string(),
            "datacontenttype": "application/json",
            "sequence": sequence(self.position),
            "data": data,
        })
    }
}

/// Writes a position as a `sequence`.
#[must_use]
pub fn sequence(position: u64) -> String {
    format!("{position:0SEQUENCE_DIGITS$}")
}

/// Reads a `sequence`, or a position without the leading zeros; none for what is longer or no number.
#[must_use]
pub fn position(sequence: &str) -> Option<u64> {
    let fits = !sequence.is_empty() && sequence.len() <= SEQUENCE_DIGITS;
    (fits && sequence.bytes().all(|byte| byte.is_ascii_digit())).then(|| sequence.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn event(data: &str) -> Event {
        Event {
            position: 42,
            event: NewEvent {
                id: "0197a5e8-0000-7000-8000-000000000001".to_owned(),
                client: ClientId::parse("demo-app").unwrap(),
                subject: "v-1".to_owned(),
                kind: EventKind::VerificationDecided,
                at: Timestamp::from_millis(1_795_305_600_250),
                data: data.to_owned(),
            },
            attempts: 1,
        }
    }

    #[test]
    fn an_event_is_written_as_cloudevents_has_it() {
        let written = event("{\"status\":\"passed\"}").to_cloud_event("https://gw.example");
        let expected = json!({
            "specversion": "1.0",
            "id": "0197a5e8-0000-7000-8000-000000000001",
            "source": "https://gw.example",
            "type": "kz.qaqpa.verification.decided.v1",
            "subject": "v-1",
            "time": "2026-11-22T00:00:00.250Z",
            "datacontenttype": "application/json",
            "sequence": "000000000000000042",
            "data": {"status": "passed"},
        });
        assert_eq!(written, expected);
        // Names of attributes: lower-case letters and digits, at most 20 (CloudEvents 1.0.2, "Naming Conventions").
        let name = |name: &String| name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(written.as_object().unwrap().keys().all(name));
        // Nobody but the client is told of it, so nobody has to be named.
        assert!(!written.to_string().contains("demo-app"));
        assert_eq!(event("not JSON").to_cloud_event("x").get("data"), Some(&Value::Null));
    }

    #[test]
    fn sequences_sort_as_positions_do_and_can_be_read_back() {
        assert!(sequence(9) < sequence(10) && sequence(10) < sequence(999_999_999_999_999_999));
        for number in [0, 1, 42, 999_999_999_999_999_999] {
            assert_eq!(position(&sequence(number)), Some(number));
        }
        assert_eq!(position("7"), Some(7));
        for text in ["", "-1", "+1", "1 ", "x", "1000000000000000000", "0000000000000000001"] {
            assert_eq!(position(text), None, "{text}");
        }
    }

    #[test]
    fn words_of_kinds_can_be_read_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.word()), Some(kind));
        }
        assert_eq!(EventKind::from_word("kz.qaqpa.payment.settled"), None);
    }
}
