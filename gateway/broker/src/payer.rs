//! Finds out whose number a spent identity result stands for, and notes it where it can be erased.

use adapters::keys::{Opened, Subjects, record_purpose};
use adapters::store::port::{SubjectKey, Verifications};
use policies::audit::PersonalData;
use policies::code::{Code, Outage};
use policies::id::VerificationId;
use policies::secret::Secret;
use spine::error::Rejection;
use spine::trail::Trail;

/// Opens the number of the person of a verification, so that the backend can compare it with the account's owner, and
/// notes on the trail who it was, sealed under the same key.
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
    trail: &Trail,
) -> Result<Secret<String>, Rejection> {
    let down = |outage: Outage| Rejection::outage(Code::DependencyDown, &outage);
    let refuse =
        |why: &str| Rejection::new(Code::VerificationFailed, "The identity result is not accepted.").because(why);
    let found = verifications.get(id).await;
    let verification = found.map_err(down)?.ok_or_else(|| refuse("the verification is not in the store"))?;
    let opened = subjects.open(&purpose(id), &verification.sealed_subject).await;
    match opened.map_err(down)? {
        Opened::Text(bytes, key) => {
            let text = String::from_utf8(bytes.expose().clone()).map_err(|_| refuse("the subject is not text"))?;
            let number = Secret::new(text);
            if let Some(key) = key {
                note(subjects, &key, &number, trail).map_err(down)?;
            }
            Ok(number)
        }
        Opened::Erased => Err(refuse("what was known of the person has been erased")),
    }
}

/// Notes on the trail whom a request is about, so that it can be erased from there.
pub(crate) fn note(
    subjects: Subjects<'_>,
    key: &SubjectKey,
    number: &Secret<String>,
    trail: &Trail,
) -> Result<(), Outage> {
    // Twelve digits need no escaping, and a JSON tree would leave a copy that nobody wipes.
    let text = Secret::new(format!("{{\"iin\":\"{}\"}}", number.expose()));
    let sealed = subjects.seal(key, &record_purpose(trail.interaction()), text.expose().as_bytes())?;
    trail.note_personal(PersonalData { key: key.id, sealed: sealed.into() });
    Ok(())
}

/// What a person's number is sealed for in a verification: it cannot be put into another.
pub(crate) fn purpose(id: &VerificationId) -> String {
    format!("verification {id}")
}
