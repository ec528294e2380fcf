//! How the keys that sign rest: one file, `signing.json`, with the private parts sealed under the data key.
//!
//! The public parts stand in it for everybody who may read the file, as the tools of the audit trail do; a keyed hash over
//! all of it tells a gateway whether somebody else has put a key there. This module must not know when keys are rotated.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::code::Outage;
use policies::jose::{Signer, VerifyingKey, base64url, constant_time_eq};
use policies::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keyring::{Keyring, KnownKey, coming, signing};
use super::seal::Sealer;
use super::{PORT, SigningKey};
use crate::files::{private_directory, read_private, write_private};

/// The file of the keys that sign.
const FILE: &str = "signing.json";

/// Whoever rotates holds it, among the processes that share the folder.
const LOCK: &str = "signing.lock";

/// The version of the file's form.
const VERSION: u32 = 1;

/// The domain of the keyed hash over the file.
const DOMAIN: &str = "keys that sign";

/// The files in which early builds of version 0.1 kept keys in the clear: the current, the next, the previous one.
const PLAIN_FILES: [&str; 3] = ["signing.pem", "signing-next.pem", "signing-previous.pem"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    keys: Vec<KeyForm>,
    /// The keyed hash of this text while nothing stands here.
    seal: String,
}

/// A key; times are in seconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyForm {
    jwk: Value,
    published: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signs_from: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_until: Option<i64>,
    /// The private part, sealed; none for a key that signs no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private: Option<String>,
}

/// What a file is told apart by from the one that stood there before.
type Stamp = (u64, i64, i64, u64);

/// The keys that sign, as they rest.
pub(super) struct KeyringFile {
    directory: PathBuf,
    path: PathBuf,
    sealer: Arc<Sealer>,
    seen: Mutex<Option<Stamp>>,
}

/// The right to exchange the file; given back when dropped.
pub(super) struct FileLock {
    _file: File,
}

impl KeyringFile {
    pub(super) fn new(directory: &Path, sealer: &Arc<Sealer>) -> Self {
        let path = directory.join(FILE);
        Self { directory: directory.to_owned(), path, sealer: Arc::clone(sealer), seen: Mutex::new(None) }
    }

    /// Reads the keys; makes them where there are none, and takes those over that lie in the clear.
    pub(super) fn load_or_create(&self, now: Timestamp) -> Result<Keyring, Outage> {
        private_directory(&self.directory)?;
        let _lock = self.lock()?;
        let plain = self.plain()?;
        let keyring = match self.read(now)? {
            Some(keyring) => keyring,
            None => {
                let keyring = match &plain {
                    Some(plain) => plain.taken_over(now)?,
                    None => Keyring::first(now)?,
                };
                self.write(&keyring)?;
                keyring
            }
        };
        for key in plain.iter().flat_map(Plain::keys) {
            if !keyring.known.iter().any(|known| known.key == *key.verifying_key()) {
                return Err(self.told(&format!(
                    "it does not know a key that lies beside it in the clear ({}); keep the files of one time alone",
                    PLAIN_FILES.join(", ")
                )));
            }
        }
        if plain.is_some() {
            self.remove_plain()?;
        }
        Ok(keyring)
    }

    /// Waits until no other process exchanges the file.
    pub(super) fn lock(&self) -> Result<FileLock, Outage> {
        let path = self.directory.join(LOCK);
        let taken = (|| {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(FileLock { _file: file })
        })();
        taken.map_err(|error: std::io::Error| Outage::new(PORT, format!("{}: {error}", path.display())))
    }

    /// Reads the file if it is another one than was read or written last.
    pub(super) fn read_if_changed(&self, now: Timestamp) -> Result<Option<Keyring>, Outage> {
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == self.stamp()? {
            return Ok(None);
        }
        match self.read(now)? {
            Some(keyring) => Ok(Some(keyring)),
            None => Err(self.told("it is gone; put it back from a backup, or stop all gateways and start one")),
        }
    }

    /// Writes the keys, after it was seen that they will be opened again.
    pub(super) fn write(&self, keyring: &Keyring) -> Result<(), Outage> {
        let text = self.sealed(keyring)?;
        self.opened(&text, Timestamp::MAX)
            .map_err(|outage| Outage::new(PORT, format!("the keys were sealed and do not open again: {outage}")))?;
        write_private(&self.path, &text)?;
        self.note(self.stamp()?);
        Ok(())
    }

    fn read(&self, now: Timestamp) -> Result<Option<Keyring>, Outage> {
        // Before it is read: one that is written meanwhile is read again.
        let stamp = self.stamp()?;
        let Some(text) = read_private(&self.path)? else { return Ok(None) };
        let keyring = self.opened(text.expose(), now)?;
        self.note(stamp);
        Ok(Some(keyring))
    }

    fn note(&self, stamp: Option<Stamp>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
    }

    fn stamp(&self) -> Result<Option<Stamp>, Outage> {
        match fs::metadata(&self.path) {
            Ok(about) => Ok(Some((about.ino(), about.mtime(), about.mtime_nsec(), about.len()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.told(&error.to_string())),
        }
    }

    fn sealed(&self, keyring: &Keyring) -> Result<Vec<u8>, Outage> {
        let private = |key: &SigningKey| -> Result<String, Outage> {
            Ok(STANDARD.encode(self.sealer.seal_key(key.kid(), &key.to_der()?)))
        };
        let form = |known: &KnownKey| -> Result<KeyForm, Outage> {
            let own = [&keyring.current, &keyring.next].into_iter().find(|key| *key.verifying_key() == known.key);
            Ok(KeyForm {
                jwk: known.key.to_jwk(),
                published: known.published.seconds(),
                signs_from: known.signs_from.map(Timestamp::seconds),
                signed_until: known.signed_until.map(Timestamp::seconds),
                private: own.map(|key| private(key)).transpose()?,
            })
        };
        let keys = keyring.known.iter().map(form).collect::<Result<Vec<_>, _>>()?;
        let mut form = Form { version: VERSION, keys, seal: String::new() };
        form.seal = self.seal(&form);
        let mut text = form.text();
        text.push(b'\n');
        Ok(text)
    }

    fn opened(&self, text: &[u8], now: Timestamp) -> Result<Keyring, Outage> {
        let broken = || self.told("this holds no keys that sign; restore it from a backup");
        let mut form: Form = serde_json::from_slice(text).map_err(|_| broken())?;
        if form.version != VERSION {
            return Err(self.told(&format!("its version is {}, this program reads {VERSION}", form.version)));
        }
        let seal = std::mem::take(&mut form.seal);
        if !constant_time_eq(seal.as_bytes(), self.seal(&form).as_bytes()) {
            return Err(self.told(
                "it was changed, or sealed under another data key than data.key holds; restore both from one backup",
            ));
        }
        let mut own = Vec::new();
        let mut known = Vec::new();
        for key in &form.keys {
            let public = VerifyingKey::from_jwk(&key.jwk).map_err(|_| broken())?;
            if let Some(private) = &key.private {
                let sealed = STANDARD.decode(private).map_err(|_| broken())?;
                let name = public.kid().ok_or_else(broken)?;
                let opened = self.sealer.open_key(name, &sealed).map_err(|outage| self.told(&outage.cause))?;
                let key = SigningKey::from_pkcs8(opened.expose()).map_err(|outage| self.told(&outage.cause))?;
                if *key.verifying_key() != public {
                    return Err(broken());
                }
                own.push(Arc::new(key));
            }
            known.push(KnownKey {
                key: public,
                published: Timestamp::from_seconds(key.published),
                signs_from: key.signs_from.map(Timestamp::from_seconds),
                signed_until: key.signed_until.map(Timestamp::from_seconds),
            });
        }
        let [current, next] = <[Arc<SigningKey>; 2]>::try_from(own).map_err(|_| broken())?;
        let named = |at: usize, key: &SigningKey| known.get(at).is_some_and(|one| one.key == *key.verifying_key());
        if !named(0, &current) || !named(1, &next) {
            return Err(broken());
        }
        Keyring::new(current, next, known, now)
    }

    fn seal(&self, form: &Form) -> String {
        base64url(&self.sealer.keyed_hash(DOMAIN, &form.text()))
    }

    fn plain(&self) -> Result<Option<Plain>, Outage> {
        let [current, next, previous] = PLAIN_FILES.map(|name| SigningKey::load(&self.directory.join(name)));
        let (current, next, previous) = (current?, next?, previous?);
        Ok((current.is_some() || next.is_some() || previous.is_some()).then_some(Plain { current, next, previous }))
    }

    fn remove_plain(&self) -> Result<(), Outage> {
        for path in PLAIN_FILES.map(|name| self.directory.join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Outage::new(PORT, format!("{} cannot be removed: {error}", path.display())));
                }
                _ => {}
            }
        }
        let synced = File::open(&self.directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| Outage::new(PORT, format!("{}: {error}", self.directory.display())))
    }

    fn told(&self, why: &str) -> Outage {
        Outage::new(PORT, format!("{}: {why}", self.path.display()))
    }
}

impl Form {
    fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("numbers, texts and lists of them are JSON")
    }
}

/// The keys of a version that kept them in the clear.
struct Plain {
    current: Option<SigningKey>,
    next: Option<SigningKey>,
    previous: Option<SigningKey>,
}

impl Plain {
    fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        [&self.current, &self.next, &self.previous].into_iter().flatten()
    }

    fn taken_over(&self, now: Timestamp) -> Result<Keyring, Outage> {
        let fresh = Keyring::first(now)?;
        let again = |key: &Option<SigningKey>, other: &Arc<SigningKey>| -> Result<Arc<SigningKey>, Outage> {
            let Some(key) = key else { return Ok(Arc::clone(other)) };
            SigningKey::from_pkcs8(key.to_der()?.expose()).map(Arc::new)
        };
        let current = again(&self.current, &fresh.current)?;
        let mut next = again(&self.next, &fresh.next)?;
        if next.verifying_key() == current.verifying_key() {
            // A rotation was cut off between its second and third step.
            next = Arc::clone(&fresh.next);
        }
        let mut known = vec![signing(&current, now, now), coming(&next, now)];
        let previous = self.previous.as_ref().map(|key| signing(key, now, now));
        let previous = previous.filter(|one| known.iter().all(|other| other.key != one.key));
        known.extend(previous.map(|one| KnownKey { signed_until: Some(now), ..one }));
        Keyring::new(current, next, known, now)
    }
}

/// Returns the public parts of all keys that a directory remembers, for the tools of the audit trail; none if they are not
/// for us to read.
///
/// Whether somebody else has put one there is not checked: that takes the data key.
#[must_use]
pub fn known_public(directory: &Path) -> Vec<VerifyingKey> {
    let text = read_private(&directory.join(FILE)).ok().flatten();
    let form: Option<Form> = text.and_then(|text| serde_json::from_slice(text.expose()).ok());
    match form {
        Some(form) => form.keys.iter().filter_map(|key| VerifyingKey::from_jwk(&key.jwk).ok()).collect(),
        None => {
            let plain = PLAIN_FILES.map(|name| SigningKey::load(&directory.join(name)).ok().flatten());
            plain.into_iter().flatten().map(|key| key.verifying_key().clone()).collect()
        }
    }
}
