//! The keyring of a serving process: it is exchanged while it serves, and whoever uses it ends on the one it began with.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use policies::code::Outage;
use policies::rotation::{TooEarly, may_sign};
use policies::time::Timestamp;
use thiserror::Error;

use super::keyring::{KeyState, Keyring};
use super::keyring_file::KeyringFile;
use super::seal::Sealer;

/// Why keys were not rotated.
#[derive(Debug, Error)]
pub enum NotRotated {
    /// The next key is not known for long enough.
    #[error(transparent)]
    TooEarly(#[from] TooEarly),
    /// The current key signs since a shorter time than was asked for.
    #[error("the current key signs since {since}")]
    NotDue {
        /// Since when.
        since: Timestamp,
    },
    /// The file cannot be read or written; the keys are as they were.
    #[error(transparent)]
    Outage(#[from] Outage),
}

/// The keyring of a serving process: whoever uses it takes one snapshot and ends on it.
pub struct LiveKeyring {
    now: ArcSwap<Keyring>,
    /// None for keys that live in memory only.
    file: Option<KeyringFile>,
    /// Held while the keys are exchanged.
    exchanging: Mutex<()>,
}

impl LiveKeyring {
    /// Loads the keys of a directory; makes the directory and ES256 keys where there are none.
    ///
    /// They rest in `signing.json`, the private parts sealed under the data key. Keys that lie there in the clear, as in
    /// early builds of version 0.1, are taken over, and their files removed.
    ///
    /// # Errors
    /// [`Outage`] if a file cannot be read or written, was changed or sealed under another data key, or holds no key: a
    /// broken key is never replaced by itself.
    pub fn open(directory: &Path, sealer: &Arc<Sealer>, now: Timestamp) -> Result<Self, Outage> {
        let file = KeyringFile::new(directory, sealer);
        let keyring = file.load_or_create(now)?;
        Ok(Self { now: ArcSwap::from_pointee(keyring), file: Some(file), exchanging: Mutex::new(()) })
    }

    /// Makes ES256 keys that live in memory only, for what is only tried.
    ///
    /// # Errors
    /// [`Outage`] if the system gives no randomness.
    pub fn in_memory(now: Timestamp) -> Result<Self, Outage> {
        Ok(Self { now: ArcSwap::from_pointee(Keyring::first(now)?), file: None, exchanging: Mutex::new(()) })
    }

    /// Returns the keyring of now: take it once for a request, so that what signs and what verifies belong together.
    #[must_use]
    pub fn now(&self) -> Arc<Keyring> {
        self.now.load_full()
    }

    /// Returns a number that is another one whenever the published keys are others.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.now.load().epoch()
    }

    /// Has the next key sign from now on, publishes the current one on, and makes a new next one.
    ///
    /// Reads and writes files: never to be called on a serving thread.
    ///
    /// # Errors
    /// [`NotRotated`]; the keys are as they were then.
    pub fn rotate(&self, now: Timestamp) -> Result<Arc<Keyring>, NotRotated> {
        self.rotate_if(now, |_| Ok(()))
    }

    /// The same, if `fit` says yes to the keyring as it is when nobody else can exchange it.
    ///
    /// # Errors
    /// As of [`rotate`](Self::rotate), and what `fit` says.
    pub fn rotate_if(
        &self,
        now: Timestamp,
        fit: impl FnOnce(&Keyring) -> Result<(), NotRotated>,
    ) -> Result<Arc<Keyring>, NotRotated> {
        let _exchanging = self.exchanging.lock().unwrap_or_else(PoisonError::into_inner);
        // Other processes may share the file: whoever comes second finds the keys just rotated.
        let lock = self.file.as_ref().map(KeyringFile::lock).transpose()?;
        if let Some(file) = &self.file
            && let Some(newer) = file.read_if_changed(now)?
        {
            self.put(newer);
        }
        let before = self.now();
        let (_, published) = before.times();
        may_sign(published, now)?;
        fit(&before)?;
        let rotated = before.rotated(now)?;
        if let Some(file) = &self.file {
            file.write(&rotated)?;
        }
        drop(lock);
        Ok(self.put(rotated))
    }

    /// Takes over what another process has written, and stops publishing keys that are over; tells whether anything is
    /// another than before.
    ///
    /// Reads a file if it has changed: never to be called on a serving thread.
    ///
    /// # Errors
    /// [`Outage`] if the file cannot be read, or was changed by somebody else; the keys stay as they were.
    pub fn follow(&self, now: Timestamp) -> Result<bool, Outage> {
        let _exchanging = self.exchanging.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.now();
        let read = self.file.as_ref().map(|file| file.read_if_changed(now)).transpose()?.flatten();
        let after = match read {
            Some(newer) => newer,
            None => {
                let live = before.known.iter().filter(|one| one.state(now) != KeyState::Retired).count();
                if live == before.published().iter().count() {
                    return Ok(false);
                }
                Keyring::new(Arc::clone(&before.current), Arc::clone(&before.next), before.known.clone(), now)?
            }
        };
        let epoch = before.epoch();
        Ok(self.put(after).epoch() != epoch)
    }

    // The epoch goes on where the published keys are others, in whatever order.
    fn put(&self, keyring: Keyring) -> Arc<Keyring> {
        let before = self.now();
        let same = before.published().to_jwks() == keyring.published().to_jwks();
        let epoch = if same { before.epoch() } else { before.epoch() + 1 };
        let after = Arc::new(keyring.numbered(epoch));
        self.now.store(Arc::clone(&after));
        after
    }
}

impl fmt::Debug for LiveKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveKeyring").field(&self.now()).finish()
    }
}

#[cfg(test)]
#[path = "live_keyring_tests.rs"]
mod tests;
