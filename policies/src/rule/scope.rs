//! What a token was granted for.

use super::refusal::Refusal;
use crate::rulebook::ScopeSet;

/// Refuses unless all of `needed` were granted to the token and are still allowed to its client.
///
/// A scope that was taken from the client after its token was issued is gone at once, not when the token ends.
///
/// # Errors
/// [`Refusal::ScopeMissing`] with all that are missing.
pub fn granted(needed: &ScopeSet, token: &ScopeSet, client: &ScopeSet) -> Result<(), Refusal> {
    let missing = ScopeSet::of(needed.iter().filter(|scope| !(token.contains(scope) && client.contains(scope))));
    if missing.is_empty() { Ok(()) } else { Err(Refusal::ScopeMissing { missing }) }
}
