//! An identity verification: its states, what it is bound to, and the result that may be spent once.

use crate::evidence::{Assured, NotAssured};
use crate::id::{ClientId, ProviderId, VerificationId};
use crate::time::Timestamp;

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The person is asked to stand before the camera of a provider.
    CapturePending,
    /// The person is who they should be.
    Passed,
    /// They are not; final.
    Failed,
    /// Nobody can tell; final, a new verification may be made.
    Inconclusive,
    /// Nobody came in time; final.
    Expired,
}

impl State {
    /// Returns the word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            State::CapturePending => "capture_pending",
            State::Passed => "passed",
            State::Failed => "failed",
            State::Inconclusive => "inconclusive",
            State::Expired => "expired",
        }
    }

    /// Reads a word of the contract.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [State::CapturePending, State::Passed, State::Failed, State::Inconclusive, State::Expired]
            .into_iter()
            .find(|state| state.word() == word)
    }

    /// Tells whether nothing can change it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, State::CapturePending)
    }
}

/// What a result is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// Nothing but knowing.
    None,
    /// One request: the binding hash that the step-up challenge told.
    Payment {
        /// Base64url of SHA-256, see [`binding_hash`](crate::decide::binding_hash).
        hash: String,
    },
}

/// One verification of one person for one client.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Its id.
    pub id: VerificationId,
    /// Who asked; nobody else may read it.
    pub client: ClientId,
    /// The keyed hash of the person's number, pairwise per client: what results name as `sub`.
    pub subject: String,
    /// The person's number, sealed under that person's own key; opened only for the backend's check of the payer.
    pub sealed_subject: Vec<u8>,
    /// Why.
    pub purpose: String,
    /// The level that was asked for, for example `L2`.
    pub level: String,
    /// What the result is good for.
    pub binding: Binding,
    /// How far it has come.
    pub state: State,
    /// The provider that was asked.
    pub provider: ProviderId,
    /// The provider's session.
    pub session: String,
    /// Where the person goes for the capture.
    pub capture_url: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on nobody needs to come any more.
    pub expires: Timestamp,
    /// When it was decided.
    pub decided: Option<Timestamp>,
    /// The context class that was reached.
    pub acr: Option<String>,
}

impl Verification {
    /// Returns the state at `now`: a capture nobody came to is over without anybody writing it down.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> State {
        if self.state == State::CapturePending && now >= self.expires { State::Expired } else { self.state }
    }

    /// Moves on by what was made of the provider's word; `None` if it was final already.
    ///
    /// A late, doubled or contradicting callback changes nothing.
    #[must_use]
    pub fn decide(&self, finding: Result<Assured, NotAssured>, now: Timestamp) -> Option<Verification> {
        if self.state_at(now).is_final() {
            return None;
        }
        let mut next = self.clone();
        next.decided = Some(now);
        match finding {
            Ok(assured) => {
                next.state = State::Passed;
                next.acr = Some(assured.acr().to_owned());
            }
            Err(NotAssured::Refuted) => next.state = State::Failed,
            Err(NotAssured::Inconclusive) => next.state = State::Inconclusive,
        }
        Some(next)
    }
}
