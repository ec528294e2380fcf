//! What names a person is sealed under that person's own key: whoever destroys the key has erased what it sealed,
//! wherever copies of it rest.
//!
//! This module must not know what is sealed.

use std::fmt;

use policies::code::Outage;
use policies::id::InteractionId;
use policies::secret::Secret;
use policies::time::Timestamp;

use super::Sealer;
use crate::store::port::{SubjectKey, SubjectKeys};

/// The domain of the keyed hashes that people's keys are found by.
const DOMAIN: &str = "subject key";

/// Returns what personal data of the record of an interaction is sealed for: it cannot be put into another record.
#[must_use]
pub fn record_purpose(interaction: &InteractionId) -> String {
    format!("record {interaction}")
}

/// What became of a wish to open what was sealed for a person.
#[derive(Debug)]
pub enum Opened {
    /// Here it is, with the key it was sealed under; none for what was sealed before people had keys of their own.
    Text(Secret<Vec<u8>>, Option<SubjectKey>),
    /// The key of the person was destroyed: nobody can open it any more.
    Erased,
}

/// Seals what names a person, each under a key of their own.
#[derive(Clone, Copy)]
pub struct Subjects<'a> {
    sealer: &'a Sealer,
    keys: &'a dyn SubjectKeys,
}

impl fmt::Debug for Subjects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subjects")
    }
}

impl<'a> Subjects<'a> {
    /// Joins the data key with the store of people's keys.
    #[must_use]
    pub fn new(sealer: &'a Sealer, keys: &'a dyn SubjectKeys) -> Self {
        Self { sealer, keys }
    }

    /// Gives the key of the person with this number, a new one if there is none.
    ///
    /// # Errors
    /// An [`Outage`] if the store cannot be asked, or the key in it was not made under this data key.
    pub async fn key(&self, number: &Secret<String>, now: Timestamp) -> Result<SubjectKey, Outage> {
        let fresh = self.sealer.fresh_subject_key();
        self.keys.obtain(self.hash(number), fresh, now).await
    }

    /// Seals what names a person under their key, for `purpose`.
    ///
    /// # Errors
    /// An [`Outage`] if the key was not made under this data key, or was changed.
    pub fn seal(&self, key: &SubjectKey, purpose: &str, text: &[u8]) -> Result<Vec<u8>, Outage> {
        self.sealer.seal_for(key, purpose, text)
    }

    /// Opens what was sealed for a person and `purpose`, also what was sealed before people had keys of their own.
    ///
    /// # Errors
    /// An [`Outage`] if the store cannot be asked, or the text was changed or sealed for another purpose.
    pub async fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Opened, Outage> {
        let Some(id) = Sealer::key_id_of(sealed) else {
            return self.sealer.open(sealed).map(|text| Opened::Text(text, None));
        };
        match self.keys.find(id).await? {
            Some(key) => self.sealer.open_with(&key, purpose, sealed).map(|text| Opened::Text(text, Some(key))),
            None => Ok(Opened::Erased),
        }
    }

    /// Destroys the key of the person with this number; gives its id, or none if there was none.
    ///
    /// # Errors
    /// An [`Outage`] if the store cannot destroy it now.
    pub async fn erase(&self, number: &Secret<String>) -> Result<Option<[u8; 16]>, Outage> {
        self.keys.destroy(self.hash(number)).await
    }

    // Nobody can try numbers without the data key.
    fn hash(&self, number: &Secret<String>) -> [u8; 32] {
        self.sealer.keyed_hash(DOMAIN, number.expose().as_bytes())
    }
}
