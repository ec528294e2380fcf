//! Whose licence is over.

use super::refusal::Refusal;
use crate::rulebook::Organisation;
use crate::time::Timestamp;

/// Refuses an organisation from the instant its licence ends.
///
/// # Errors
/// [`Refusal::LicenceOver`] from [`Organisation::licence_ends`] on.
pub fn valid(organisation: &Organisation, now: Timestamp) -> Result<(), Refusal> {
    if now >= organisation.licence_ends { Err(Refusal::LicenceOver) } else { Ok(()) }
}
