//! What the authorization server remembers, in its own types: read from and written to the items of a store.
//!
//! The form in which each type rests is told here, in one place; whether it is still valid is judged in `policies`.

use policies::code::Outage;
use policies::revocation::Revoked;
use policies::time::Timestamp;

use crate::store::port::{Authorizations, Item, ItemKind, Step};

mod forms;
mod login;

pub use self::forms::{CONSENTS_KEPT, consent_key, grant_key};
pub use self::login::{asked_key, holder_key};

/// A value that rests as an item.
pub trait Kept: Sized {
    /// What it is to a store.
    const KIND: ItemKind;

    /// Under which name it rests.
    fn key(&self) -> [u8; 32];

    /// Who may be listed it.
    fn owner(&self) -> Option<[u8; 32]> {
        None
    }

    /// From when on it may be forgotten: later than it is over, so that who comes late is told why.
    fn keep_until(&self) -> Timestamp;

    /// Writes it.
    fn write(&self) -> Vec<u8>;

    /// Reads it; none if this is not how one is written.
    fn read(body: &[u8]) -> Option<Self>;
}

/// A value as it was found, with the version that a replacement has to name.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    version: u64,
}

/// Finds a value.
///
/// # Errors
/// An outage of the store, or of what it gave.
pub async fn find<T: Kept>(store: &dyn Authorizations, key: &[u8; 32]) -> Result<Option<Found<T>>, Outage> {
    store.item(T::KIND, key).await?.map(found).transpose()
}

/// Gives the values of an owner, the newest first.
///
/// # Errors
/// As [`find`].
pub async fn of_owner<T: Kept>(store: &dyn Authorizations, owner: &[u8; 32]) -> Result<Vec<Found<T>>, Outage> {
    store.of_owner(T::KIND, owner).await?.into_iter().map(found).collect()
}

fn found<T: Kept>((item, version): (Item, u64)) -> Result<Found<T>, Outage> {
    let unreadable = || Outage::new("authorizations", format!("a {} cannot be read", T::KIND.word()));
    T::read(&item.body).map(|value| Found { value, version }).ok_or_else(unreadable)
}

/// Changes that are made together, or not at all.
#[derive(Debug, Default)]
#[must_use = "nothing is changed before it is committed"]
pub struct Batch {
    steps: Vec<Step>,
    revoked: Vec<Revoked>,
}

impl Batch {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value that is not there yet.
    #[expect(clippy::should_implement_trait, reason = "what is added is no batch")]
    pub fn add<T: Kept>(mut self, value: &T) -> Self {
        self.steps.push(Step::Add(item(value)));
        self
    }

    /// Puts a value in place of what was found, if that has not changed since.
    pub fn replace<T: Kept>(mut self, before: &Found<T>, value: &T) -> Self {
        self.steps.push(Step::Replace(item(value), before.version));
        self
    }

    /// Takes something back.
    pub fn revoke(mut self, revoked: Revoked) -> Self {
        self.revoked.push(revoked);
        self
    }

    /// Makes the changes; `false` if somebody was faster, and nothing is changed.
    ///
    /// # Errors
    /// An outage of the store: then nobody knows.
    pub async fn commit(self, store: &dyn Authorizations, now: Timestamp) -> Result<bool, Outage> {
        store.change_items(&self.steps, &self.revoked, now).await
    }
}

fn item<T: Kept>(value: &T) -> Item {
    Item { kind: T::KIND, key: value.key(), owner: value.owner(), keep_until: value.keep_until(), body: value.write() }
}
