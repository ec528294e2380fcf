//! What a client wants a citizen to agree to, on its way from the wish to the token.
//!
//! Must not know what pages look like: that is for [`Citizen`](super::Citizen).

use std::fmt;

use adapters::entropy;
use policies::jose;
use policies::secret::Secret;
use policies::time::Timestamp;
use serde_json::{Value, json};

use super::wire::{Exchange, Question};

/// How long the accounts may be read, if the client of the command line asks.
const READ_DAYS: u64 = 30;

/// A consent that was made and waits for a citizen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its id.
    pub id: String,
    /// The type of its `authorization_details`.
    pub detail: &'static str,
    /// Where it is read and ended.
    pub path: String,
}

/// What binds a code to whoever asked for it (RFC 7636), and an answer to its request.
pub struct Pkce {
    /// The secret that is shown when the code is redeemed.
    pub verifier: Secret<String>,
    /// What has to come back with the code.
    pub state: String,
}

impl Pkce {
    /// Draws both.
    #[must_use]
    pub fn fresh() -> Self {
        let verifier = Secret::new(jose::base64url(&entropy::random::<32>()));
        Self { verifier, state: entropy::token_128bit() }
    }

    /// Returns what is told of the secret beforehand (S256).
    #[must_use]
    pub fn challenge(&self) -> String {
        jose::base64url(&jose::sha256(self.verifier.expose().as_bytes()))
    }
}

impl fmt::Debug for Pkce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pkce")
    }
}

impl Consent {
    /// Where consents to read accounts are made.
    pub const ACCESS: &'static str = "/v1/account-access-consents";

    /// Where consents to a payment are made.
    pub const PAYMENT: &'static str = "/v1/domestic-payment-consents";

    /// Words the wish to read whatever accounts the citizen chooses.
    #[must_use]
    pub fn access(purpose: &str, now: Timestamp) -> Question {
        let expires = Timestamp::from_seconds(now.seconds()) + std::time::Duration::from_secs(READ_DAYS * 86_400);
        let body = json!({
            "permissions": ["accounts", "balances", "transactions"],
            "expiresAt": expires.to_string(),
            "purpose": purpose,
        });
        named(Question::post(Self::ACCESS, &body))
    }

    /// Words the wish to make a payment, by the body that it will be asked for with.
    #[must_use]
    pub fn payment(order: &Value) -> Question {
        named(Question::post(Self::PAYMENT, order))
    }

    /// Takes the consent out of the answer.
    ///
    /// # Errors
    /// A sentence for people if the answer holds none.
    pub fn of(made: &Exchange) -> Result<Self, String> {
        let id = made.text("/consentId").filter(|_| made.status == 201);
        let id = id.ok_or_else(|| {
            let why = made.text("/detail").unwrap_or_default();
            format!("No consent was made: {} {why}", made.status_line())
        })?;
        let detail = if made.asked.path == Self::PAYMENT { "payment_initiation" } else { "account_information" };
        let path = format!("{}/{id}", made.asked.path);
        Ok(Self { id, detail, path })
    }

    /// Words the end of it; the client asks for it with a token of its own.
    #[must_use]
    pub fn end(&self) -> Question {
        Question::new("DELETE", &self.path)
    }
}

fn named(question: Question) -> Question {
    question.with("x-idempotency-key", &format!("consent-{}", entropy::token_128bit()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    // RFC 7636, appendix B.
    #[test]
    fn a_challenge_is_the_hash_of_its_verifier() {
        let pkce = Pkce {
            verifier: Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned()),
            state: String::new(),
        };
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let (one, other) = (Pkce::fresh(), Pkce::fresh());
        assert!(one.challenge() != other.challenge() && one.state != other.state);
        assert_eq!(one.verifier.expose().len(), 43);
    }

    #[test]
    fn a_consent_is_taken_from_what_was_made_and_from_nothing_else() {
        let made = |path: &str, status: u16| Exchange {
            base: String::new(),
            asked: Question::new("POST", path),
            status,
            headers: Vec::new(),
            body: br#"{"consentId": "c1"}"#.to_vec(),
        };
        assert!(Consent::of(&made(Consent::ACCESS, 403)).is_err());
        let consent = Consent::of(&made(Consent::PAYMENT, 201)).unwrap();
        assert_eq!((consent.detail, consent.path.as_str()), ("payment_initiation", "/v1/domestic-payment-consents/c1"));
        assert_eq!(Consent::of(&made(Consent::ACCESS, 201)).unwrap().detail, "account_information");
    }
}
