//! Verifications that the gateway itself asks for, before a citizen decides anything on its pages.
//!
//! They stand under a client that nobody is: no client can read them, and nobody is told how they end.

use policies::code::{Code, Outage};
use policies::id::{ClientId, VerificationId};
use policies::secret::Secret;
use policies::time::Timestamp;
use policies::verification::{Binding, Verification};
use spine::error::Rejection;
use spine::trail::Trail;

use crate::Broker;
use crate::create::{Wish, begin};
use crate::room::Unbounded;

/// Whose the verifications of logins are. A client of this name, should policy ever have one, reads none of them.
const GATEWAY: &str = "qaqpa.pages";

/// What a login's verification is begun with.
#[derive(Debug)]
pub struct Login<'a> {
    /// The number of the person who it should be.
    pub subject: &'a Secret<String>,
    /// Why, in words for the person.
    pub reason: &'a str,
    /// The level that is asked for, for example `L2`.
    pub level: &'a str,
    /// Where the provider's page leads the person back to.
    pub return_url: &'a str,
}

/// Tells whether a verification belongs to a login.
pub(crate) fn is_login(verification: &Verification) -> bool {
    verification.client.as_str() == GATEWAY
}

/// Begins the verification of a login. The trail learns of whom, sealed.
///
/// # Errors
/// [`Code::ProviderUnavailable`] if no provider of the level can be reached, [`Code::DependencyDown`] if the store cannot.
pub async fn begin_login(
    broker: &Broker<'_>,
    login: &Login<'_>,
    trail: &Trail,
    now: Timestamp,
) -> Result<Verification, Rejection> {
    let client = ClientId::parse(GATEWAY).expect("letters and a dot make an identifier");
    let wish = Wish {
        client: &client,
        subject: login.subject,
        binding: Binding::None,
        level: login.level,
        reason: login.reason,
        return_url: Some(login.return_url),
        room: &Unbounded,
    };
    begin(broker, wish, trail, now).await
}

/// Finds the verification of a login.
///
/// # Errors
/// [`Code::VerificationUnknown`] for one that is none of a login, [`Code::DependencyDown`] if the store cannot be reached.
pub async fn find_login(broker: &Broker<'_>, id: &VerificationId) -> Result<Verification, Rejection> {
    let down = |outage: Outage| Rejection::outage(Code::DependencyDown, &outage);
    let found = broker.verifications.get(id).await.map_err(down)?;
    let unknown = || Rejection::new(Code::VerificationUnknown, "There is no such verification.");
    found.filter(is_login).ok_or_else(unknown)
}
