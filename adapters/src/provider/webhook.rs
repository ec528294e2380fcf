//! What a provider's webhook says; that it is the provider's is proven before, over the raw bytes.

use policies::evidence::Outcome;
use serde::Deserialize;
use thiserror::Error;

/// The body of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookBody {
    /// The provider's session.
    pub session: String,
    /// Our reference, as we gave it.
    pub reference: String,
    /// What the provider found.
    pub outcome: Outcome,
}

/// Why a body is not a webhook's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// Not the JSON object that was agreed on.
    #[error("the webhook's body is not what was agreed on")]
    Malformed,
}

#[derive(Deserialize)]
struct Wire {
    session: String,
    reference: String,
    outcome: WireOutcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireOutcome {
    Match,
    NoMatch,
    Spoof,
    CouldNotTell,
}

/// Reads the body of a webhook.
///
/// # Errors
/// [`WebhookError::Malformed`] if it is not what was agreed on; an outcome that we do not know is among that.
pub fn parse(body: &[u8]) -> Result<WebhookBody, WebhookError> {
    let wire: Wire = serde_json::from_slice(body).map_err(|_| WebhookError::Malformed)?;
    let outcome = match wire.outcome {
        WireOutcome::Match => Outcome::Match,
        WireOutcome::NoMatch => Outcome::NoMatch,
        WireOutcome::Spoof => Outcome::Spoof,
        WireOutcome::CouldNotTell => Outcome::CouldNotTell,
    };
    Ok(WebhookBody { session: wire.session, reference: wire.reference, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_agreed_on_is_refused() {
        for body in [
            "",
            "null",
            r#"{"session":"s","reference":"r"}"#,
            r#"{"session":"s","reference":"r","outcome":"MATCH"}"#,
            r#"{"session":"s","reference":"r","outcome":"passed"}"#,
            r#"{"session":1,"reference":"r","outcome":"match"}"#,
            r#"{"session":"s","session":"t","reference":"r","outcome":"match"}"#,
        ] {
            assert_eq!(parse(body.as_bytes()), Err(WebhookError::Malformed), "{body}");
        }
    }

    #[test]
    fn every_outcome_has_its_word() {
        for (word, outcome) in [
            ("match", Outcome::Match),
            ("no_match", Outcome::NoMatch),
            ("spoof", Outcome::Spoof),
            ("could_not_tell", Outcome::CouldNotTell),
        ] {
            let body = format!(r#"{{"session":"s","reference":"r","outcome":"{word}","occurredAt":"now"}}"#);
            let said = WebhookBody { session: "s".to_owned(), reference: "r".to_owned(), outcome };
            assert_eq!(parse(body.as_bytes()), Ok(said));
        }
    }
}
