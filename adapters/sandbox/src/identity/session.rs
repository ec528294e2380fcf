//! Sessions of the identity provider: what was asked, how it ends, and for how long it is kept.

use crate::clock;
use crate::personas::Scenario;
use crate::reply::Problem;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Seconds until a session is over: the deadline that banks use.
const SESSION_SECONDS: i64 = 30 * 60;
/// Sessions kept; the oldest leaves first, so that memory is bounded.
const SESSIONS_MAX: usize = 10_000;
/// Characters of the reference and of the purpose.
const TEXT_CHARS_MAX: usize = 200;
/// Characters of the address that the page leads back to.
const RETURN_URL_CHARS_MAX: usize = 2048;
/// Challenges that a citizen can be asked to follow; the law asks for three.
const CHALLENGES_MAX: u32 = 10;
const CHALLENGES_DEFAULT: u32 = 3;

/// A session as it is asked for.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) reference: String,
    pub(super) subject: AskedSubject,
    pub(super) purpose: String,
    pub(super) callback_url: String,
    /// Where the page leads the citizen in the end.
    pub(super) return_url: Option<String>,
    pub(super) challenge_count: Option<u32>,
}

/// Who is to be verified.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedSubject {
    pub(super) iin: String,
}

impl Asked {
    /// Checks the texts' lengths and the number of challenges.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let fits = |text: &str| !text.trim().is_empty() && text.chars().count() <= TEXT_CHARS_MAX;
        if !fits(&self.reference) || !fits(&self.purpose) {
            return Err(Problem::shape("Reference and purpose have 1 to 200 characters."));
        }
        if self.return_url.as_deref().is_some_and(|url| !leads_back(url)) {
            return Err(Problem::shape("The return URL is a web page over TLS, or on this machine."));
        }
        match self.challenge_count {
            Some(count) if !(1..=CHALLENGES_MAX).contains(&count) => {
                Err(Problem::shape("The number of challenges is 1 to 10."))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a citizen may be led there: never to anything that a browser runs.
fn leads_back(url: &str) -> bool {
    let known = ["https://", "http://127.0.0.1:", "http://localhost:"].into_iter().any(|start| url.starts_with(start));
    known && url.len() <= RETURN_URL_CHARS_MAX && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Match,
    NoMatch,
    Spoof,
    CouldNotTell,
}

/// A session that was begun.
#[derive(Clone)]
pub(super) struct Session {
    id: String,
    reference: String,
    pub(super) purpose: String,
    pub(super) challenges: u32,
    pub(super) scenario: Scenario,
    pub(super) return_url: Option<String>,
    began: i64,
}

/// What the asker reads when a session was begun.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Begun {
    session: String,
    capture_url: String,
    expires_at: String,
}

/// What the asker reads of a session later.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    session: String,
    reference: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<String>,
    expires_at: String,
}

/// What a callback says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutcomeMessage {
    session: String,
    reference: String,
    outcome: Outcome,
    occurred_at: String,
}

/// How the callback of a session is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Once,
    /// The same bytes and the same id a second time.
    Twice,
    /// With a signature of another secret.
    Forged,
}

impl Session {
    /// Begins a session with a fresh random name.
    pub(super) fn begin(asked: Asked, scenario: Scenario, now: i64) -> Result<Self, Problem> {
        Ok(Self {
            id: random_name()?,
            reference: asked.reference,
            purpose: asked.purpose,
            challenges: asked.challenge_count.unwrap_or(CHALLENGES_DEFAULT),
            scenario,
            return_url: asked.return_url,
            began: now,
        })
    }

    pub(super) fn begun(&self, base: &str) -> Begun {
        Begun {
            session: self.id.clone(),
            capture_url: format!("{base}/sessions/{}/capture", self.id),
            expires_at: self.expires_at(),
        }
    }

    /// The truth about a session, whatever the callbacks said of it.
    pub(super) fn shown(&self, now: i64) -> Shown {
        let outcome = self.outcome();
        let status = match outcome {
            Some(_) => "decided",
            None if now >= self.began + SESSION_SECONDS => "expired",
            None => "pending",
        };
        Shown {
            session: self.id.clone(),
            reference: self.reference.clone(),
            status,
            outcome,
            occurred_at: outcome.map(|_| clock::write(self.began)),
            expires_at: self.expires_at(),
        }
    }

    /// The message of the callback; in a forged one, what the forger would like to be believed.
    pub(super) fn outcome_message(&self) -> OutcomeMessage {
        OutcomeMessage {
            session: self.id.clone(),
            reference: self.reference.clone(),
            outcome: self.outcome().unwrap_or(Outcome::Match),
            occurred_at: clock::write(self.began),
        }
    }

    /// How the callback is sent; `None` when nobody ever calls.
    pub(super) fn callbacks(&self) -> Option<Plan> {
        match self.scenario {
            Scenario::Late | Scenario::Error => None,
            Scenario::Duplicate => Some(Plan::Twice),
            Scenario::Forged => Some(Plan::Forged),
            Scenario::Match | Scenario::NoMatch | Scenario::Spoof | Scenario::CouldNotTell => Some(Plan::Once),
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.scenario {
            Scenario::Match | Scenario::Duplicate => Some(Outcome::Match),
            Scenario::NoMatch => Some(Outcome::NoMatch),
            Scenario::Spoof => Some(Outcome::Spoof),
            Scenario::CouldNotTell => Some(Outcome::CouldNotTell),
            // The citizen never came; a forged callback changes nothing about that.
            Scenario::Late | Scenario::Forged | Scenario::Error => None,
        }
    }

    fn expires_at(&self) -> String {
        clock::write(self.began + SESSION_SECONDS)
    }
}

/// The sessions that are kept.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_name: HashMap<String, Session>,
    oldest_first: VecDeque<String>,
}

impl Sessions {
    /// Keeps a session; the oldest makes room for it.
    pub(super) fn keep(&self, session: Session) {
        // Nothing can panic while the lock is held, so what a poisoned lock guards is whole.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.oldest_first.len() >= SESSIONS_MAX
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.by_name.remove(&oldest);
        }
        kept.oldest_first.push_back(session.id.clone());
        kept.by_name.insert(session.id.clone(), session);
    }

    /// The session of this name.
    pub(super) fn find(&self, id: &str) -> Option<Session> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_name.get(id).cloned()
    }
}

/// A random UUID of version 4.
pub(super) fn random_name() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(status, "provider_unavailable", "The provider has no randomness.")
    })?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    fn asked(challenge_count: Option<u32>, purpose: &str) -> Asked {
        Asked {
            reference: "r".to_owned(),
            subject: AskedSubject { iin: String::new() },
            purpose: purpose.to_owned(),
            callback_url: String::new(),
            return_url: None,
            challenge_count,
        }
    }

    #[test]
    fn each_limit_has_two_sides() {
        assert!(asked(Some(0), "p").check().is_err());
        assert!(asked(Some(1), "p").check().is_ok());
        assert!(asked(Some(10), "p").check().is_ok());
        assert!(asked(Some(11), "p").check().is_err());
        assert!(asked(None, " ").check().is_err());
        assert!(asked(None, &"я".repeat(200)).check().is_ok());
        assert!(asked(None, &"я".repeat(201)).check().is_err());
    }

    #[test]
    fn a_citizen_is_led_back_to_web_pages_only() {
        let asked = |url: String| Asked { return_url: Some(url), ..asked(None, "p") };
        let long = |length: usize| format!("https://{}", "a".repeat(length - 8));
        for url in ["", "javascript:alert(1)", "data:text/html,x", "//x", "/x", "http://example.com/", "https://a b/"] {
            assert!(asked(url.to_owned()).check().is_err(), "{url}");
        }
        assert!(asked(long(RETURN_URL_CHARS_MAX + 1)).check().is_err());
        for url in [long(RETURN_URL_CHARS_MAX), "http://127.0.0.1:1/x".to_owned(), "https://a/".to_owned()] {
            assert!(asked(url.clone()).check().is_ok(), "{url}");
        }
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let begin = || Session::begin(asked(None, "p"), Scenario::Match, 0).unwrap();
        let (first, second) = (begin(), begin());
        sessions.keep(first.clone());
        sessions.keep(second.clone());
        for number in 2..SESSIONS_MAX {
            let mut session = first.clone();
            session.id = number.to_string();
            sessions.keep(session);
        }
        assert!(sessions.find(&first.id).is_some());
        sessions.keep(begin());
        assert!(sessions.find(&first.id).is_none());
        assert!(sessions.find(&second.id).is_some());
    }

    #[test]
    fn a_session_that_nobody_ends_expires() {
        let session = Session::begin(asked(None, "p"), Scenario::Late, 1000).unwrap();
        assert_eq!(session.shown(1000 + SESSION_SECONDS - 1).status, "pending");
        assert_eq!(session.shown(1000 + SESSION_SECONDS).status, "expired");
    }
}
