//! Whom an administrator has stopped.

use super::refusal::Refusal;
use crate::rulebook::Client;

/// Refuses a client that is suspended, or whose organisation is.
///
/// # Errors
/// [`Refusal::OrganisationSuspended`] first, then [`Refusal::ClientSuspended`].
pub fn active(client: &Client) -> Result<(), Refusal> {
    if client.organisation.suspended {
        return Err(Refusal::OrganisationSuspended);
    }
    if client.suspended { Err(Refusal::ClientSuspended) } else { Ok(()) }
}
