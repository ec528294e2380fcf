//! What an organisation is licensed to do.

use std::collections::BTreeSet;

use super::refusal::Refusal;
use crate::rulebook::Role;

/// Refuses an organisation that has none of the roles; no role asked for means any organisation.
///
/// # Errors
/// [`Refusal::RoleMissing`] with all that would do.
pub fn held(needs: &BTreeSet<Role>, has: &BTreeSet<Role>) -> Result<(), Refusal> {
    if needs.is_empty() || !needs.is_disjoint(has) {
        Ok(())
    } else {
        Err(Refusal::RoleMissing { needs: needs.clone() })
    }
}
