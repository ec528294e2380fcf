//! A citizen's way through the pages: from the first look to the decision, one browser, one person.
//!
//! Who holds the cookie of a login is the browser that began it; who the person is, only a passed verification says.
//! This module must not know how pages look, how the cookie travels or how any of it is kept.

use std::time::Duration;

use thiserror::Error;

use crate::code::Code;
use crate::consent::Person;
use crate::id::{ClientId, VerificationId};
use crate::jose::{base64url, constant_time_eq, digest_of_parts};
use crate::time::Timestamp;
use crate::verification::State;

/// From when on a login is over, whatever it has come to: a person has half an hour to come to the camera, and some time
/// to read before and after it.
pub const LOGIN_TIME: Duration = Duration::from_secs(40 * 60);

/// For how long somebody who was verified may decide: longer, and it may be somebody else who sits there.
pub const DECISION_TIME: Duration = Duration::from_secs(10 * 60);

/// For how long a page may ask again by itself whether the provider has told the outcome; then the person is asked.
pub const WAIT_TIME: Duration = Duration::from_secs(10 * 60);

/// How often a login may ask for a verification.
pub const ATTEMPTS_MAX: u8 = 3;

/// How often verifications of one person may be asked for within [`ASKED_WITHIN`], in all logins together: whoever knows
/// a number must not be able to bother its owner without end. An operator may say another number.
pub const ASKED_MAX: usize = 10;

/// The most that an operator may say: each is remembered with its time, some 15 bytes.
pub const ASKED_MOST: usize = 1000;

/// Within which time [`ASKED_MAX`] counts.
pub const ASKED_WITHIN: Duration = Duration::from_secs(15 * 60);

/// What a login is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// To decide on an authorization request.
    Request {
        /// SHA-256 of its `request_uri`.
        pushed: [u8; 32],
        /// Whose it is.
        client: ClientId,
    },
    /// To look at one's own consents.
    OwnConsents,
}

/// How far a login has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has said who they are.
    Begun,
    /// Somebody has, and a provider is to find out whether it is true.
    Verifying {
        /// The verification.
        verification: VerificationId,
        /// Who it would be.
        person: Person,
        /// Since when.
        since: Timestamp,
        /// What stands for the ticket in the provider's link back ([`ticket_hash`]); none once the browser has come by it.
        ticket: Option<[u8; 32]>,
    },
    /// It is true.
    Verified {
        /// The verification that says so.
        verification: VerificationId,
        /// Who it is.
        person: Person,
        /// How well they were authenticated.
        acr: String,
        /// When.
        at: Timestamp,
    },
    /// It has ended: decided, left, or gone on under another name.
    Over,
}

/// A login as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// SHA-256 of the secret in the browser's cookie.
    pub key: [u8; 32],
    /// What for.
    pub errand: Errand,
    /// How far it has come.
    pub stage: Stage,
    /// How many verifications it has asked for.
    pub attempts: u8,
    /// From when on it is over.
    pub expires: Timestamp,
}

/// Why a login does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LoginError {
    /// Its time is over, it has ended, or it never was.
    #[error("the login is over")]
    Over,
    /// It is not where this would be the next step.
    #[error("this is not the next step of the login")]
    OutOfTurn,
    /// It has asked for as many verifications as it may.
    #[error("the login has no attempt left")]
    NoAttemptLeft,
    /// Too many verifications of the person were asked for.
    #[error("verifications of this person were asked for too often")]
    AskedTooOften,
    /// The form was not made for this login.
    #[error("the form is not of this login")]
    ForeignForm,
}

impl LoginError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            LoginError::Over | LoginError::OutOfTurn | LoginError::ForeignForm => Code::FormRefused,
            LoginError::NoAttemptLeft | LoginError::AskedTooOften => Code::RateLimited,
        }
    }
}

/// What became of the verification of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The provider has not told yet.
    Waiting {
        /// Whether the page may ask again by itself.
        by_itself: bool,
    },
    /// The person is who they said.
    Passed,
    /// So they are, but this browser was not led back by the provider's page: it may be that of somebody else.
    Elsewhere,
    /// They are not, or nobody can tell.
    Missed {
        /// Whether the login may ask once more.
        again: bool,
    },
}

/// Returns the name under which the login of a cookie's secret rests.
#[must_use]
pub fn key_of(secret: &str) -> [u8; 32] {
    digest_of_parts(&[b"login", secret.as_bytes()])
}

/// Returns what is kept of the ticket that a provider's page leads the browser back with.
#[must_use]
pub fn ticket_hash(ticket: &str) -> [u8; 32] {
    digest_of_parts(&[b"way back of a login", ticket.as_bytes()])
}

/// Makes what every form of a login has to bring back: it follows from the cookie's secret, and does not tell it.
#[must_use]
pub fn form_token(secret: &str) -> String {
    base64url(&digest_of_parts(&[b"form of a login", secret.as_bytes()]))
}

/// Checks that a form was made for the login of this cookie (RFC 9700, 4.7).
///
/// # Errors
/// [`LoginError::ForeignForm`].
pub fn check_form(secret: &str, token: &str) -> Result<(), LoginError> {
    let same = constant_time_eq(form_token(secret).as_bytes(), token.as_bytes());
    if same { Ok(()) } else { Err(LoginError::ForeignForm) }
}

impl Login {
    /// Begins a login under the name of its cookie's secret.
    #[must_use]
    pub fn begin(key: [u8; 32], errand: Errand, now: Timestamp) -> Self {
        Self { key, errand, stage: Stage::Begun, attempts: 0, expires: now + LOGIN_TIME }
    }

    /// Tells whether nothing can come of it any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        let decided_late = matches!(&self.stage, Stage::Verified { at, .. } if now >= *at + DECISION_TIME);
        self.stage == Stage::Over || now >= self.expires || decided_late
    }

    /// Checks that a verification may be asked for now.
    ///
    /// # Errors
    /// [`LoginError::Over`], [`LoginError::OutOfTurn`] once somebody was verified, [`LoginError::NoAttemptLeft`] from the
    /// attempt after [`ATTEMPTS_MAX`] on.
    pub fn may_verify(&self, now: Timestamp) -> Result<(), LoginError> {
        if self.is_over(now) {
            return Err(LoginError::Over);
        }
        if matches!(self.stage, Stage::Verified { .. }) {
            return Err(LoginError::OutOfTurn);
        }
        if self.attempts >= ATTEMPTS_MAX { Err(LoginError::NoAttemptLeft) } else { Ok(()) }
    }

    /// Counts an attempt: before the provider is asked, so that one that does not answer counts too.
    ///
    /// # Errors
    /// As [`may_verify`](Self::may_verify).
    pub fn attempt(&self, now: Timestamp) -> Result<Login, LoginError> {
        self.may_verify(now)?;
        Ok(Self { stage: Stage::Begun, attempts: self.attempts.saturating_add(1), ..self.clone() })
    }

    /// Goes back to the number, for another attempt.
    ///
    /// # Errors
    /// As [`may_verify`](Self::may_verify).
    pub fn again(&self, now: Timestamp) -> Result<Login, LoginError> {
        self.may_verify(now)?;
        Ok(Self { stage: Stage::Begun, ..self.clone() })
    }

    /// Goes on to the verification that was begun; its outcome counts in the browser that brings the ticket back.
    #[must_use]
    pub fn verifying(&self, verification: VerificationId, person: Person, ticket: &str, now: Timestamp) -> Login {
        let ticket = Some(ticket_hash(ticket));
        Self { stage: Stage::Verifying { verification, person, since: now, ticket }, ..self.clone() }
    }

    /// Notes that the browser has come back by the provider's link; none if it has not, or had before.
    #[must_use]
    pub fn come_back(&self, ticket: &str) -> Option<Login> {
        let mut back = self.clone();
        let Stage::Verifying { ticket: expected, .. } = &mut back.stage else { return None };
        let brought = expected.as_ref().is_some_and(|hash| constant_time_eq(hash, &ticket_hash(ticket)));
        *expected = None;
        brought.then_some(back)
    }

    /// Judges how far a verification in progress has come; `since` is when it was begun.
    #[must_use]
    pub fn progress(&self, since: Timestamp, state: State, now: Timestamp) -> Progress {
        match state {
            State::CapturePending => Progress::Waiting { by_itself: now < since + WAIT_TIME },
            State::Passed if matches!(self.stage, Stage::Verifying { ticket: Some(_), .. }) => Progress::Elsewhere,
            State::Passed => Progress::Passed,
            State::Failed | State::Inconclusive | State::Expired => {
                Progress::Missed { again: self.attempts < ATTEMPTS_MAX }
            }
        }
    }

    /// Goes on under another name, now that the person is known (OWASP: a name from before the login is worth nothing
    /// after it); gives what is left under the old name and what stands under the new one.
    ///
    /// # Errors
    /// [`LoginError::Over`]; [`LoginError::OutOfTurn`] if no verification was asked for, or this browser has not come
    /// back from it.
    pub fn verified(&self, key: [u8; 32], acr: String, now: Timestamp) -> Result<(Login, Login), LoginError> {
        if self.is_over(now) {
            return Err(LoginError::Over);
        }
        let Stage::Verifying { verification, person, ticket: None, .. } = self.stage.clone() else {
            return Err(LoginError::OutOfTurn);
        };
        let stage = Stage::Verified { verification, person, acr, at: now };
        Ok((self.ended(), Self { key, stage, ..self.clone() }))
    }

    /// Ends it.
    #[must_use]
    pub fn ended(&self) -> Login {
        Self { stage: Stage::Over, ..self.clone() }
    }
}

/// How often verifications of one person were asked for of late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The keyed hash of their number.
    pub person: [u8; 32],
    /// When, the earliest first.
    pub times: Vec<Timestamp>,
}

impl Asked {
    /// Begins to count.
    #[must_use]
    pub fn never(person: [u8; 32]) -> Self {
        Self { person, times: Vec::new() }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// [`LoginError::AskedTooOften`] from the one after `most` within [`ASKED_WITHIN`] on.
    pub fn once_more(&self, most: usize, now: Timestamp) -> Result<Asked, LoginError> {
        let mut times: Vec<_> = self.times.iter().copied().filter(|at| now < *at + ASKED_WITHIN).collect();
        if times.len() >= most {
            return Err(LoginError::AskedTooOften);
        }
        times.push(now);
        Ok(Self { person: self.person, times })
    }
}

/// Which login has verified somebody for an authorization request: no other browser may decide on it from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// SHA-256 of the request's `request_uri`.
    pub pushed: [u8; 32],
    /// The login's name.
    pub login: [u8; 32],
    /// From when on nobody needs to know.
    pub expires: Timestamp,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const TICK: Duration = Duration::from_millis(1);

    fn begun() -> Login {
        let client = ClientId::parse("app").unwrap();
        Login::begin(key_of("secret"), Errand::Request { pushed: [1; 32], client }, NOW)
    }

    fn verifying(login: &Login, now: Timestamp) -> Login {
        let person = Person { index: [2; 32], sealed: vec![3] };
        login.attempt(now).unwrap().verifying(VerificationId::parse("v").unwrap(), person, "ticket", now)
    }

    fn back(login: &Login, now: Timestamp) -> Login {
        verifying(login, now).come_back("ticket").unwrap()
    }

    fn verified(login: &Login, now: Timestamp) -> Login {
        back(login, now).verified(key_of("another"), "urn:qaqpa:acr:L2".to_owned(), now).unwrap().1
    }

    #[test]
    fn as29_a_form_of_another_login_is_refused() {
        assert_eq!(check_form("secret", ""), Err(LoginError::ForeignForm));
        assert_eq!(check_form("secret", &form_token("other")), Err(LoginError::ForeignForm));
        assert_eq!(check_form("secret", "secret"), Err(LoginError::ForeignForm));
        assert_eq!(check_form("secret", &form_token("secret")), Ok(()));
    }

    #[test]
    fn as29_the_name_of_a_login_tells_neither_secret_nor_form() {
        assert_ne!(base64url(&key_of("secret")), form_token("secret"));
        assert_ne!(key_of("secret"), key_of("secret "));
    }

    #[test]
    fn as29_a_login_goes_on_under_another_name() {
        let before = back(&begun(), NOW);
        let (old, new) = before.verified(key_of("another"), "acr".to_owned(), NOW).unwrap();
        assert_eq!((old.key, &old.stage), (before.key, &Stage::Over));
        assert!(old.is_over(NOW) && !new.is_over(NOW));
        assert_ne!(new.key, before.key);
        assert!(matches!(new.stage, Stage::Verified { .. }));
    }

    #[test]
    fn nobody_is_verified_who_was_not_asked() {
        let refused = begun().verified([0; 32], "acr".to_owned(), NOW).unwrap_err();
        assert_eq!(refused, LoginError::OutOfTurn);
        let over = back(&begun(), NOW).ended().verified([0; 32], "acr".to_owned(), NOW).unwrap_err();
        assert_eq!(over, LoginError::Over);
        assert_eq!(verified(&begun(), NOW).may_verify(NOW), Err(LoginError::OutOfTurn));
    }

    #[test]
    fn as29_a_pass_counts_only_in_the_browser_that_has_come_back() {
        let away = verifying(&begun(), NOW);
        for ticket in ["", "Ticket", "ticket ", "secret"] {
            assert_eq!(away.come_back(ticket), None, "{ticket}");
        }
        assert_eq!(begun().come_back("ticket"), None);
        assert_eq!(away.verified([0; 32], "acr".to_owned(), NOW), Err(LoginError::OutOfTurn));
        assert_eq!(away.progress(NOW, State::Passed, NOW), Progress::Elsewhere);
        let back = away.come_back("ticket").unwrap();
        assert_eq!(back.progress(NOW, State::Passed, NOW), Progress::Passed);
        assert!(back.verified([0; 32], "acr".to_owned(), NOW).is_ok());
        // A ticket is brought once.
        assert_eq!(back.come_back("ticket"), None);
        assert_eq!(back.come_back(""), None);
    }

    #[test]
    fn a_login_ends() {
        let login = begun();
        assert!(!login.is_over(NOW + LOGIN_TIME - TICK));
        assert!(login.is_over(NOW + LOGIN_TIME));
        assert_eq!(login.may_verify(NOW + LOGIN_TIME), Err(LoginError::Over));
        assert!(login.ended().is_over(NOW));
    }

    #[test]
    fn a_decision_has_its_time() {
        let login = verified(&begun(), NOW);
        assert!(!login.is_over(NOW + DECISION_TIME - TICK));
        assert!(login.is_over(NOW + DECISION_TIME));
    }

    #[test]
    fn attempts_are_counted_before_the_provider_is_asked() {
        let mut login = begun();
        for _ in 0..ATTEMPTS_MAX {
            login = login.attempt(NOW).unwrap();
        }
        assert_eq!(login.attempt(NOW), Err(LoginError::NoAttemptLeft));
        assert_eq!(login.again(NOW), Err(LoginError::NoAttemptLeft));
        let second = verifying(&begun(), NOW).again(NOW).unwrap();
        assert_eq!((second.attempts, second.stage), (1, Stage::Begun));
        let last = verifying(&Login { attempts: ATTEMPTS_MAX - 1, ..begun() }, NOW);
        assert_eq!(last.progress(NOW, State::Failed, NOW), Progress::Missed { again: false });
    }

    #[test]
    fn what_a_provider_has_told_is_the_progress() {
        let login = back(&begun(), NOW);
        let at = |state, now| login.progress(NOW, state, now);
        assert_eq!(at(State::CapturePending, NOW + WAIT_TIME - TICK), Progress::Waiting { by_itself: true });
        assert_eq!(at(State::CapturePending, NOW + WAIT_TIME), Progress::Waiting { by_itself: false });
        assert_eq!(at(State::Passed, NOW), Progress::Passed);
        for state in [State::Failed, State::Inconclusive, State::Expired] {
            assert_eq!(at(state, NOW), Progress::Missed { again: true });
        }
    }

    #[test]
    fn nobody_is_bothered_without_end() {
        let mut asked = Asked::never([0; 32]);
        for _ in 0..ASKED_MAX {
            asked = asked.once_more(ASKED_MAX, NOW).unwrap();
        }
        assert_eq!(asked.once_more(ASKED_MAX, NOW), Err(LoginError::AskedTooOften));
        assert_eq!(asked.once_more(ASKED_MAX, NOW + ASKED_WITHIN - TICK), Err(LoginError::AskedTooOften));
        let later = asked.once_more(ASKED_MAX, NOW + ASKED_WITHIN).unwrap();
        assert_eq!(later.times, [NOW + ASKED_WITHIN]);
    }
}
