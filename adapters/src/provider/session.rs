//! Providers where a session is made, the person is sent to a page, and a signed webhook tells the outcome.
//!
//! `POST {sessions}` with `{"reference", "subject": {"iin"}, "purpose", "callbackUrl"}`, and `"returnUrl"` where the page
//! is to lead the person back, answers 201 with `{"session", "captureUrl"}`. What goes out and what comes back are pure functions; the call between them is a line.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policies::code::Outage;
use policies::id::ProviderId;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::port::{IdentityProvider, StartSession, Started};
use crate::http::client::{Client, Reply};
use crate::http::url::AllowedUrl;
use crate::oauth::Credentials;
use crate::store::port::Answer;

/// The longest name of a session that is believed, in bytes: it is a key of our store.
pub const SESSION_BYTES_MAX: usize = 128;

/// A provider with sessions.
#[derive(Debug)]
pub struct SessionProvider {
    id: ProviderId,
    client: Client,
    sessions: AllowedUrl,
    credentials: Option<Arc<Credentials>>,
    timeout: Duration,
}

impl SessionProvider {
    /// Makes the adapter of the provider whose sessions are made at `sessions`; `credentials` give our token there, if it
    /// wants one.
    #[must_use]
    pub fn new(
        id: ProviderId,
        client: Client,
        sessions: AllowedUrl,
        credentials: Option<Arc<Credentials>>,
        timeout: Duration,
    ) -> Self {
        Self { id, client, sessions, credentials, timeout }
    }

    // The wait for a token and the call together have the provider's time.
    async fn post(&self, body: Vec<u8>) -> Result<Reply, Outage> {
        let Some(credentials) = &self.credentials else {
            return self.client.post_json(&self.sessions, None, body, self.timeout).await;
        };
        let begun = Instant::now();
        let late = |_| Outage::new(format!("provider {}", self.id), "no token for it in time");
        let value = timeout(self.timeout, credentials.value()).await.map_err(late)??;
        let left = self.timeout.saturating_sub(begun.elapsed());
        let reply = self.client.post_json(&self.sessions, Some(&value), body, left).await?;
        if reply.status == 401 {
            credentials.refused(&value);
        }
        Ok(reply)
    }
}

impl IdentityProvider for SessionProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn start<'a>(&'a self, session: StartSession<'a>) -> Answer<'a, Started> {
        Box::pin(async move {
            let outage = |cause: ReplyError| Outage::new(format!("provider {}", self.id), cause);
            let body = request(&session).ok_or_else(|| outage(ReplyError::Malformed))?;
            let reply = self.post(body).await?;
            process(&reply).map_err(outage)
        })
    }
}

/// Why an answer begins no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplyError {
    Status(u16),
    Malformed,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyError::Status(status) => write!(f, "it answered {status}"),
            ReplyError::Malformed => f.write_str("it answered something else than a session"),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireRequest<'a> {
    reference: &'a str,
    subject: WireSubject<'a>,
    purpose: &'a str,
    callback_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<&'a str>,
}

#[derive(Serialize)]
struct WireSubject<'a> {
    iin: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReply {
    session: String,
    capture_url: String,
}

fn request(session: &StartSession<'_>) -> Option<Vec<u8>> {
    let StartSession { reference, subject, purpose, callback_url, return_url, level: _ } = *session;
    let subject = WireSubject { iin: subject.expose() };
    serde_json::to_vec(&WireRequest { reference, subject, purpose, callback_url, return_url }).ok()
}

fn process(reply: &Reply) -> Result<Started, ReplyError> {
    if reply.status != 201 {
        return Err(ReplyError::Status(reply.status));
    }
    let wire: WireReply = serde_json::from_slice(&reply.body).map_err(|_| ReplyError::Malformed)?;
    let named =
        (1..=SESSION_BYTES_MAX).contains(&wire.session.len()) && wire.session.bytes().all(|b| b.is_ascii_graphic());
    // People are sent there: anything but a web page over TLS, or on this machine, is not passed on.
    if !named || AllowedUrl::configured(&wire.capture_url).is_err() {
        return Err(ReplyError::Malformed);
    }
    Ok(Started { session: wire.session, capture_url: wire.capture_url })
}

#[cfg(test)]
mod tests {
    use policies::secret::Secret;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: body.to_owned().into() }
    }

    #[test]
    fn only_a_session_that_was_made_is_one() {
        let good = r#"{"session":"s-1","captureUrl":"https://id.example/s-1","expiresAt":"later"}"#;
        assert_eq!(process(&reply(500, good)), Err(ReplyError::Status(500)));
        assert_eq!(process(&reply(200, good)), Err(ReplyError::Status(200)));
        for body in [
            "",
            "[]",
            r#"{"session":"s-1"}"#,
            r#"{"session":"","captureUrl":"https://id.example/"}"#,
            r#"{"session":"a b","captureUrl":"https://id.example/"}"#,
            r#"{"session":"s-1","captureUrl":"javascript:alert(1)"}"#,
            r#"{"session":"s-1","captureUrl":"http://id.example/"}"#,
        ] {
            assert_eq!(process(&reply(201, body)), Err(ReplyError::Malformed), "{body}");
        }
        let long =
            format!(r#"{{"session":"{}","captureUrl":"https://id.example/"}}"#, "s".repeat(SESSION_BYTES_MAX + 1));
        assert_eq!(process(&reply(201, &long)), Err(ReplyError::Malformed));
        let longest =
            format!(r#"{{"session":"{}","captureUrl":"https://id.example/"}}"#, "s".repeat(SESSION_BYTES_MAX));
        assert!(process(&reply(201, &longest)).is_ok());
        let started = Started { session: "s-1".to_owned(), capture_url: "https://id.example/s-1".to_owned() };
        assert_eq!(process(&reply(201, good)), Ok(started));
    }

    #[test]
    fn a_session_is_asked_for_in_the_words_of_the_provider() {
        let subject = Secret::new("810202200109".to_owned());
        let session = StartSession {
            reference: "ver-1",
            subject: &subject,
            purpose: "payment",
            level: "L2",
            callback_url: "https://gw.example/cb",
            return_url: None,
        };
        let body = r#"{"reference":"ver-1","subject":{"iin":"810202200109"},"purpose":"payment","callbackUrl":"https://gw.example/cb"}"#;
        assert_eq!(request(&session).as_deref(), Some(body.as_bytes()));
        let back = r#"{"reference":"ver-1","subject":{"iin":"810202200109"},"purpose":"payment","callbackUrl":"https://gw.example/cb","returnUrl":"https://gw.example/back"}"#;
        let session = StartSession { return_url: Some("https://gw.example/back"), ..session };
        assert_eq!(request(&session).as_deref(), Some(back.as_bytes()));
        assert!(!format!("{session:?}").contains("810202200109"));
    }
}
