//! The port of identity providers.

use policies::id::ProviderId;
use policies::secret::Secret;

use crate::store::port::Answer;

/// What a provider is told to begin a check.
#[derive(Debug)]
pub struct StartSession<'a> {
    /// Our reference: the id of the verification.
    pub reference: &'a str,
    /// The person's number (IIN).
    pub subject: &'a Secret<String>,
    /// Why the person is checked, in words for the person.
    pub purpose: &'a str,
    /// The level that is asked for, for example `L2`.
    pub level: &'a str,
    /// Where the provider tells the outcome.
    pub callback_url: &'a str,
    /// Where its page leads the person back to in the end; none if the person came by another way.
    pub return_url: Option<&'a str>,
}

/// What a provider answers to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The provider's name for the session.
    pub session: String,
    /// Where the person goes for the capture.
    pub capture_url: String,
}

/// A service that can tell whether the person before the camera is who they should be.
pub trait IdentityProvider: Send + Sync {
    /// Returns its id in the rulebook.
    fn id(&self) -> &ProviderId;

    /// Begins a check; an outage if the provider did not clearly say that it did.
    fn start<'a>(&'a self, session: StartSession<'a>) -> Answer<'a, Started>;
}
