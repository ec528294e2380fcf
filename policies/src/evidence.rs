//! What a provider said of a person, and what we made of it: two types, so that an adapter cannot grant a level.

use crate::id::ProviderId;
use crate::rulebook::Provider;
use crate::time::Timestamp;

/// What a provider found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The living person is the subject.
    Match,
    /// It is somebody else.
    NoMatch,
    /// It was not a living person before the camera.
    Spoof,
    /// The provider could not tell.
    CouldNotTell,
}

/// A provider's word, authenticated but not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Whose word.
    pub provider: ProviderId,
    /// The provider's own session.
    pub session: String,
    /// What it found.
    pub outcome: Outcome,
}

/// A level of assurance that we stand for; made only by [`assure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assured {
    acr: String,
    at: Timestamp,
}

impl Assured {
    /// Returns the authentication context class, for example `urn:qaqpa:acr:L2`.
    #[must_use]
    pub fn acr(&self) -> &str {
        &self.acr
    }

    /// Returns when the evidence was judged.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// Why evidence gives no assurance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAssured {
    /// Somebody else, or no living person: final.
    Refuted,
    /// Nothing can be said: another attempt may help.
    Inconclusive,
}

/// Names the authentication context of a level, for example `L2`.
#[must_use]
pub fn acr_of_level(level: &str) -> String {
    format!("urn:qaqpa:acr:{level}")
}

/// Tells whether a provider is believed for `level`.
///
/// Levels are `L1` to `L4`: one digit, so that they compare as text.
#[must_use]
pub fn may_serve(provider: &Provider, level: &str) -> bool {
    level <= provider.level.as_str()
}

/// Judges a provider's evidence for a verification that asks for `level`.
///
/// # Errors
/// [`NotAssured::Refuted`] on a mismatch or a spoof; [`NotAssured::Inconclusive`] if the provider could not tell, if it
/// is not the provider that was asked, or if it is not believed for that level.
pub fn assure(evidence: &Evidence, provider: &Provider, level: &str, now: Timestamp) -> Result<Assured, NotAssured> {
    match evidence.outcome {
        Outcome::NoMatch | Outcome::Spoof => Err(NotAssured::Refuted),
        Outcome::CouldNotTell => Err(NotAssured::Inconclusive),
        Outcome::Match if evidence.provider == provider.id && may_serve(provider, level) => {
            Ok(Assured { acr: acr_of_level(level), at: now })
        }
        Outcome::Match => Err(NotAssured::Inconclusive),
    }
}
