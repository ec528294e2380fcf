//! Settling: what becomes of a money call whose outcome was not known when it was answered.
//!
//! The backend is asked under the reference of the call, never sent it again, until it tells. Must never know how it is
//! asked.

use std::time::Duration;

use serde_json::{Value, json};

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
    /// Since when nobody has been sending it: when its last holder answered, or that holder's lease ended.
    pub quiet_since: Timestamp,
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

/// How long after the last sending a backend that knows nothing of a deed may still come to know it: several times the
/// longest that the gateway waits for an answer, for what waits in queues behind the backend's door.
pub const RECEIPT_WINDOW: Duration = Duration::from_secs(2 * 60);

/// How often a backend must have been asked before its not knowing counts: one replica that lags behind is not all.
pub const ASKED_MIN: u32 = 3;

/// How long after the first question without an answer the second comes; each further one takes twice as long.
pub const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);

/// The longest time between two questions, without what chance adds: a backend that comes back is asked within it.
pub const ASK_AGAIN_MAX: Duration = Duration::from_secs(60);

/// What a backend said when it was asked what became of a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// It knows the deed: the body of its answer, JSON if the backend is sound.
    Known(&'a [u8]),
    /// It knows no such deed.
    Unheard,
    /// Nothing that could be used.
    Nothing,
}

/// What an answer of a backend means for an undecided deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The outcome is known: the state of the deed, in the backend's word, or [`ANSWERED`] if that is none to pass on.
    Settled(String),
    /// The backend never heard of it and will not any more.
    NotReceived,
    /// Not known yet: to be asked again then.
    AskAgain(Timestamp),
}

/// The state of a deed whose outcome nobody knows.
pub const UNKNOWN: &str = "unknown";

/// The state of a deed that its backend never heard of.
pub const NOT_RECEIVED: &str = "not_received";

/// The state of a deed that its backend knows by a word that is no code: reading the deed shows it.
pub const ANSWERED: &str = "answered";

/// Judges what a backend said of an undecided deed at `now`.
///
/// `dice` is random: it spreads the questions of many deeds that became undecided in one moment. A body without a
/// `status`, or whose status is as unknown as ours, settles nothing.
#[must_use]
pub fn judge(undecided: &Undecided, said: Said<'_>, dice: u64, now: Timestamp) -> Verdict {
    let again = Verdict::AskAgain(now + pause(undecided.asked, dice));
    match said {
        Said::Known(body) => status(body).map_or(again, Verdict::Settled),
        Said::Unheard => {
            let over = now >= undecided.quiet_since + RECEIPT_WINDOW;
            if over && undecided.asked.saturating_add(1) >= ASKED_MIN { Verdict::NotReceived } else { again }
        }
        Said::Nothing => again,
    }
}

/// Tells whether a body is the state of the deed of `reference`: an object that names it as `member`.
#[must_use]
pub fn is_of(body: &[u8], member: &str, reference: &str) -> bool {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    body.as_ref().and_then(|body| body.get(member)).and_then(Value::as_str) == Some(reference)
}

/// Tells whether a body is a JSON object that says anything at all.
#[must_use]
pub fn is_telling(body: &[u8]) -> bool {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    body.as_ref().and_then(Value::as_object).is_some_and(|members| !members.is_empty())
}

/// Writes the `data` of an event that tells how a deed stands.
#[must_use]
pub fn told(reference: &str, status: &str) -> String {
    json!({"paymentId": reference, "status": status}).to_string()
}

/// How a deed is shown to who asks for it while its backend has nothing to tell.
#[must_use]
pub fn shown(reference: &str, fate: Fate) -> Option<Value> {
    let (status, since) = match fate {
        Fate::Undecided { since } => (UNKNOWN, since),
        Fate::NotReceived { since } => (NOT_RECEIVED, since),
        Fate::Answered => return None,
    };
    Some(json!({"paymentId": reference, "status": status, "createdAt": since.to_string()}))
}

/// The longest state that is taken from a backend, in letters: codes of ISO 20022 are of at most as many (`Max35Text`).
const STATUS_LETTERS_MAX: usize = 35;

// Without digits: an event holds it, and numbers of persons and of accounts have no business there.
fn status(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let status = body.get("status")?.as_str()?;
    let telling =
        !status.trim().is_empty() && ![UNKNOWN, NOT_RECEIVED].iter().any(|word| status.eq_ignore_ascii_case(word));
    let plain = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let code = status.len() <= STATUS_LETTERS_MAX && status.bytes().all(plain);
    telling.then(|| if code { status } else { ANSWERED }.to_owned())
}

// Up to half of it is added by chance.
fn pause(asked: u32, dice: u64) -> Duration {
    let doubled = ASK_AGAIN_MIN.saturating_mul(1_u32.checked_shl(asked).unwrap_or(u32::MAX));
    let pause = doubled.min(ASK_AGAIN_MAX);
    let half = u64::try_from(pause.as_millis() / 2).unwrap_or(u64::MAX);
    pause + Duration::from_millis(dice % half.saturating_add(1))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::id::{ClientId, OperationId};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn undecided(asked: u32) -> Undecided {
        let client = ClientId::parse("demo-app").unwrap();
        let operation = OperationId::parse("createDomesticPayment").unwrap();
        Undecided {
            key: IdempotencyKey::bind(&client, &operation, "order-1").unwrap(),
            organisation: OrganisationId::parse("demo-fintech").unwrap(),
            reference: "018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20".to_owned(),
            since: NOW,
            quiet_since: NOW,
            asked,
            told: true,
        }
    }

    fn again(after: Duration) -> Verdict {
        Verdict::AskAgain(NOW + after)
    }

    #[test]
    fn what_is_no_state_settles_nothing() {
        for body in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"status":null}"#,
            r#"{"status":""}"#,
            r#"{"status":7}"#,
            r#"{"status":"unknown"}"#,
            r#"{"status":"UNKNOWN"}"#,
            r#"{"status":"not_received"}"#,
            r#"{"status":" "}"#,
            "<h1>",
        ] {
            assert_eq!(judge(&undecided(0), Said::Known(body.as_bytes()), 0, NOW), again(ASK_AGAIN_MIN), "{body}");
        }
    }

    #[test]
    fn a_body_is_of_the_deed_it_names() {
        for body in [
            "",
            "{",
            "[]",
            "\"x\"",
            "{}",
            r#"{"status":"ACSC"}"#,
            r#"{"paymentId":"y"}"#,
            r#"{"paymentId":"X"}"#,
            r#"{"paymentId":["x"]}"#,
            r#"{"id":"x"}"#,
            r#"{"data":{"paymentId":"x"}}"#,
        ] {
            assert!(!is_of(body.as_bytes(), "paymentId", "x"), "{body}");
        }
        assert!(is_of(br#"{"paymentId":"x","status":"ACSC"}"#, "paymentId", "x"));
    }

    #[test]
    fn only_an_object_with_members_tells_anything() {
        for body in ["", "{", "{}", "[]", "[{\"a\":1}]", "null", "\"no\"", "404"] {
            assert!(!is_telling(body.as_bytes()), "{body}");
        }
        assert!(is_telling(br#"{"title":"no such payment"}"#));
    }

    #[test]
    fn what_the_backend_tells_is_the_outcome() {
        let longest = "A".repeat(STATUS_LETTERS_MAX);
        for status in ["ACSC", "PDNG", "RJCT", "in_progress", &longest] {
            let body = format!(r#"{{"paymentId":"x","status":"{status}"}}"#);
            let verdict = judge(&undecided(9), Said::Known(body.as_bytes()), 0, NOW);
            assert_eq!(verdict, Verdict::Settled(status.to_owned()));
        }
    }

    #[test]
    fn a_deed_known_by_what_is_no_code_is_settled_and_the_word_told_to_nobody() {
        let long = "A".repeat(STATUS_LETTERS_MAX + 1);
        let words =
            ["810202200109", "KZ86125KZT5004100100", "Aisulu Sandbaeva", "ACSC1", "in-progress", "ACSC ", "Ә", &long];
        for word in words {
            let body = format!(r#"{{"paymentId":"x","status":"{word}"}}"#);
            let verdict = judge(&undecided(0), Said::Known(body.as_bytes()), 0, NOW);
            assert_eq!(verdict, Verdict::Settled(ANSWERED.to_owned()), "{word}");
        }
    }

    #[test]
    fn not_knowing_counts_only_after_the_window_and_enough_questions() {
        let last = NOW + RECEIPT_WINDOW - Duration::from_millis(1);
        let judged = |asked, now| judge(&undecided(asked), Said::Unheard, 0, now);
        assert!(matches!(judged(99, last), Verdict::AskAgain(_)));
        assert!(matches!(judged(ASKED_MIN - 2, NOW + RECEIPT_WINDOW), Verdict::AskAgain(_)));
        assert_eq!(judged(ASKED_MIN - 1, NOW + RECEIPT_WINDOW), Verdict::NotReceived);
        // A deed that was sent again later has its window from then on.
        let mut later = undecided(9);
        later.quiet_since = NOW + RECEIPT_WINDOW;
        assert!(matches!(judge(&later, Said::Unheard, 0, NOW + RECEIPT_WINDOW), Verdict::AskAgain(_)));
    }

    #[test]
    fn a_backend_that_tells_nothing_is_asked_more_and_more_rarely_and_never_given_up() {
        for (asked, seconds) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (31, 60), (32, 60), (u32::MAX, 60)] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(judge(&undecided(asked), Said::Nothing, 0, NOW), again(pause), "{asked}");
            let half = seconds * 500;
            assert_eq!(judge(&undecided(asked), Said::Nothing, half, NOW), again(pause * 3 / 2));
            assert_eq!(judge(&undecided(asked), Said::Nothing, half + 1, NOW), again(pause));
        }
        let years = NOW + Duration::from_secs(100_000_000);
        assert!(matches!(judge(&undecided(u32::MAX), Said::Nothing, 0, years), Verdict::AskAgain(_)));
    }

    #[test]
    fn a_deed_is_shown_until_its_backend_tells() {
        assert_eq!(shown("x", Fate::Answered), None);
        let shown = |fate| shown("x", fate).unwrap();
        assert_eq!(shown(Fate::Undecided { since: NOW })["status"], "unknown");
        let body = shown(Fate::NotReceived { since: NOW });
        assert_eq!((&body["status"], &body["createdAt"]), (&json!("not_received"), &json!(NOW.to_string())));
    }
}
