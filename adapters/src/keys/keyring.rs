//! The keys that sign, one after the other, and the set of public keys that goes with them.
//!
//! A key is published before it signs and after it has signed, so that no verifier meets a signature of a key that it could
//! not know, and none loses one under which something is still good. When that is so stands in `policies::rotation`. This
//! module must not know what is signed.

use std::fmt;
use std::sync::Arc;

use policies::code::Outage;
use policies::jose::{Algorithm, KeySet, VerifyingKey};
use policies::rotation::is_over;
use policies::time::Timestamp;

use super::{PORT, SigningKey};

/// How many keys are remembered that sign and verify no more, so that old heads of the audit trail are known for ours: of
/// ten years at one a month. What is older is in the trail's own `keys.json`.
pub const RETIRED_MAX: usize = 120;

/// What a key is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It is published and will sign.
    Next,
    /// It signs.
    Current,
    /// It signs no more, and what it signed may still be good.
    Previous,
    /// Nothing that it signed is good any more, but for proofs of the audit trail.
    Retired,
}

impl KeyState {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            KeyState::Next => "next",
            KeyState::Current => "current",
            KeyState::Previous => "previous",
            KeyState::Retired => "retired",
        }
    }
}

/// A key of ours, by its public part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The public key, named by its thumbprint.
    pub key: VerifyingKey,
    /// Since when it is published.
    pub published: Timestamp,
    /// Since when it signs; none for the next one.
    pub signs_from: Option<Timestamp>,
    /// Until when it signed; none for the current and the next one.
    pub signed_until: Option<Timestamp>,
}

impl KnownKey {
    /// Tells what it is good for at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        match (self.signs_from, self.signed_until) {
            (None, _) => KeyState::Next,
            (Some(_), None) => KeyState::Current,
            (Some(_), Some(until)) if is_over(until, now) => KeyState::Retired,
            (Some(_), Some(_)) => KeyState::Previous,
        }
    }
}

/// The key that signs now, and all keys that are published: the current, the next and the previous ones.
#[derive(Clone)]
pub struct Keyring {
    pub(super) current: Arc<SigningKey>,
    pub(super) next: Arc<SigningKey>,
    /// All that are known: the current, the next, then the newest of those that have signed first.
    pub(super) known: Vec<KnownKey>,
    published: KeySet,
    epoch: u64,
}

impl Keyring {
    /// Joins the keys that sign with what is known of all; `known` begins with the current and the next one.
    pub(super) fn new(
        current: Arc<SigningKey>,
        next: Arc<SigningKey>,
        known: Vec<KnownKey>,
        now: Timestamp,
    ) -> Result<Self, Outage> {
        let live = known.iter().filter(|one| one.state(now) != KeyState::Retired);
        let published =
            KeySet::new(live.map(|one| one.key.clone()).collect()).map_err(|error| Outage::new(PORT, error))?;
        Ok(Self { current, next, known, published, epoch: 1 })
    }

    pub(super) fn first(now: Timestamp) -> Result<Self, Outage> {
        let (current, next) = (SigningKey::generate(Algorithm::Es256)?, SigningKey::generate(Algorithm::Es256)?);
        let known = vec![signing(&current, now, now), coming(&next, now)];
        Self::new(Arc::new(current), Arc::new(next), known, now)
    }

    /// Returns the key that signs now.
    #[must_use]
    pub fn signer(&self) -> &SigningKey {
        &self.current
    }

    /// Returns the name of the key that signs now.
    #[must_use]
    pub fn signer_name(&self) -> &str {
        self.current.verifying_key().thumbprint().as_str()
    }

    /// Returns the public keys: the current first, then the next, then the previous ones.
    #[must_use]
    pub fn published(&self) -> &KeySet {
        &self.published
    }

    /// Returns a number that is another one whenever the published keys of this process are others.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns every key that is remembered, in the same order, those that are not published any more at the end.
    #[must_use]
    pub fn known(&self) -> &[KnownKey] {
        &self.known
    }

    /// Since when the current key signs, and since when the next one is published.
    #[must_use]
    pub fn times(&self) -> (Timestamp, Timestamp) {
        let signs_from = self.known.iter().find_map(|one| one.signs_from.filter(|_| one.signed_until.is_none()));
        let published = self.known.iter().find(|one| one.signs_from.is_none()).map(|one| one.published);
        // A ring without either cannot be made; the least harmful reading is one that is never due.
        (signs_from.unwrap_or(Timestamp::MAX), published.unwrap_or(Timestamp::MAX))
    }

    /// The same keys under another number.
    pub(super) fn numbered(self, epoch: u64) -> Self {
        Self { epoch, ..self }
    }

    /// The next key signs, the current one is published on, and there is a new next one.
    pub(super) fn rotated(&self, now: Timestamp) -> Result<Self, Outage> {
        let fresh = Arc::new(SigningKey::generate(Algorithm::Es256)?);
        let (_, published) = self.times();
        let mut known = vec![signing(&self.next, published, now), coming(&fresh, now)];
        let behind = self.known.iter().filter(|one| one.signs_from.is_some());
        known.extend(behind.map(|one| KnownKey { signed_until: one.signed_until.or(Some(now)), ..one.clone() }));
        let live = known.iter().filter(|one| one.state(now) != KeyState::Retired).count();
        known.truncate(live + RETIRED_MAX);
        Self::new(Arc::clone(&self.next), fresh, known, now)
    }
}

pub(super) fn signing(key: &SigningKey, published: Timestamp, now: Timestamp) -> KnownKey {
    let key = key.verifying_key().clone();
    KnownKey { key, published, signs_from: Some(now), signed_until: None }
}

pub(super) fn coming(key: &SigningKey, now: Timestamp) -> KnownKey {
    KnownKey { key: key.verifying_key().clone(), published: now, signs_from: None, signed_until: None }
}

/// Shows the public parts only.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("known", &self.known).field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
