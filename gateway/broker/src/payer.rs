//! Finds out whose number a spent identity result stands for.

use adapters::keys::{Opened, Subjects};
use adapters::store::port::Verifications;
use policies::code::Code;
use policies::id::VerificationId;
use policies::secret::Secret;
use spine::error::Rejection;

/// Opens the number of the person of a verification, so that the backend can compare it with the account's owner.
///
/// Does not check whose verification it is: a spent result vouches for that.
///
/// # Errors
/// [`Code::VerificationFailed`] if the verification is not there any more or its person was erased,
/// [`Code::DependencyDown`] if a store cannot be reached.
pub async fn payer(
    verifications: &dyn Verifications,
    subjects: Subjects<'_>,
    id: &VerificationId,
) -> Result<Secret<String>, Rejection> {
    let refuse =
        |why: &str| Rejection::new(Code::VerificationFailed, "The identity result is not accepted.").because(why);
    let found = verifications.get(id).await;
    let found = found.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
    let verification = found.ok_or_else(|| refuse("the verification is not in the store"))?;
    let opened = subjects.open(&purpose(id), &verification.sealed_subject).await;
    match opened.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))? {
        Opened::Text(bytes) => {
            let text = String::from_utf8(bytes.expose().clone()).map_err(|_| refuse("the subject is not text"))?;
            Ok(Secret::new(text))
        }
        Opened::Erased => Err(refuse("what was known of the person has been erased")),
    }
}

/// What a person's number is sealed for in a verification: it cannot be put into another.
pub(crate) fn purpose(id: &VerificationId) -> String {
    format!("verification {id}")
}
