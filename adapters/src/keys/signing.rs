//! Keys to sign with, and the set of public keys that goes with them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use policies::code::Outage;
use policies::jose::{Algorithm, KeySet, SignError, Signer, VerifyingKey, base64url};
use policies::secret::Secret;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::PORT;
use crate::files::{private_directory, read_private, write_private};

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Pair {
    // The type of the key stands in the PKCS#8 document, and only one of the two takes it.
    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(Pair::Es256)
            .or_else(|_| Ed25519KeyPair::from_pkcs8(der).map(Pair::EdDsa))
            .ok()
    }

    fn jwk(&self) -> Option<Value> {
        match self {
            Pair::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref().strip_prefix(&[0x04])?.split_at_checked(32)?;
                Some(json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) }))
            }
            Pair::EdDsa(pair) => {
                Some(json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) }))
            }
        }
    }
}

/// A private key, parsed once; its id is the thumbprint of its public key.
pub struct SigningKey {
    pair: Pair,
    public: VerifyingKey,
}

impl SigningKey {
    /// Makes a new key for ES256 or EdDSA.
    ///
    /// # Errors
    /// [`Outage`] for other algorithms and if the system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Outage> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::Es256).ok(),
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::EdDsa).ok(),
            Algorithm::Ps256 => None,
        };
        Self::from_pair(pair.ok_or_else(|| Outage::new(PORT, format!("no new key for {algorithm}")))?)
    }

    /// Reads a PKCS#8 document, PEM or DER, with a P-256 or Ed25519 key.
    ///
    /// # Errors
    /// [`Outage`] if it is none; the cause holds nothing of it.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, Outage> {
        let pem = PrivatePkcs8KeyDer::from_pem_slice(document);
        let der = pem.as_ref().map_or(document, PrivatePkcs8KeyDer::secret_pkcs8_der);
        Self::from_pair(Pair::from_pkcs8(der).ok_or_else(|| Outage::new(PORT, "no PKCS#8 key for ES256 or EdDSA"))?)
    }

    /// Reads the key of a private file; `None` if there is none.
    ///
    /// # Errors
    /// [`Outage`] if the file cannot be read, others may read it, or it holds no such key.
    pub fn load(path: &Path) -> Result<Option<Self>, Outage> {
        let Some(document) = read_private(path)? else { return Ok(None) };
        Self::from_pkcs8(document.expose())
            .map(Some)
            .map_err(|outage| Outage::new(PORT, format!("{}: {}", path.display(), outage.cause)))
    }

    /// Writes the key as PKCS#8 PEM into a file of mode 0600.
    ///
    /// # Errors
    /// [`Outage`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Outage> {
        write_private(path, self.to_pem()?.expose().as_bytes())
    }

    /// Returns the public key, named by its thumbprint.
    #[must_use]
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    fn from_pair(pair: Pair) -> Result<Self, Outage> {
        let broken = || Outage::new(PORT, "the public part of a key is out of form");
        let bare = VerifyingKey::from_jwk(&pair.jwk().ok_or_else(broken)?).map_err(|_| broken())?;
        let mut named = bare.to_jwk();
        let members = named.as_object_mut().ok_or_else(broken)?;
        members.insert("kid".to_owned(), Value::from(bare.thumbprint().as_str()));
        let public = VerifyingKey::from_jwk(&named).map_err(|_| broken())?;
        Ok(Self { pair, public })
    }

    fn to_pem(&self) -> Result<Secret<String>, Outage> {
        let document = match &self.pair {
            Pair::Es256(pair) => pair.to_pkcs8v1(),
            Pair::EdDsa(pair) => pair.to_pkcs8v1(),
        };
        let document = document.map_err(|_| Outage::new(PORT, "a key could not be written"))?;
        Ok(pem("PRIVATE KEY", document.as_ref()))
    }
}

/// Shows the public part only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signer for SigningKey {
    fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    fn kid(&self) -> &str {
        self.public.thumbprint().as_str()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError("the crypto library refused to sign".to_owned());
        match &self.pair {
            Pair::Es256(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|signature| signature.as_ref().to_vec()).map_err(failed)
            }
            Pair::EdDsa(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(failed),
        }
    }
}

/// The key that signs now, and all keys that are published: the next, the current and the previous one.
///
/// A key is published before it signs and after it has signed, so that no verifier meets a signature of a key that it
/// could not know, and none loses one under which tokens still live.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// None for keys that live in memory only.
    directory: Option<PathBuf>,
    current: Arc<SigningKey>,
    next: Arc<SigningKey>,
    published: KeySet,
}

impl Keyring {
    /// Loads the keys of a directory; makes the directory and ES256 keys where there are none.
    ///
    /// # Errors
    /// [`Outage`] if a file cannot be read or written, or holds no key: a broken key is never replaced by itself.
    pub fn load_or_create(directory: &Path) -> Result<Self, Outage> {
        private_directory(directory)?;
        let current = load_or_generate(&current_path(directory))?;
        let mut next = load_or_generate(&next_path(directory))?;
        if next.verifying_key() == current.verifying_key() {
            // A rotation was cut off between its second and third step.
            next = generate_into(&next_path(directory))?;
        }
        let previous = SigningKey::load(&previous_path(directory))?;
        let mut keys = vec![current.verifying_key().clone(), next.verifying_key().clone()];
        keys.extend(previous.map(|key| key.verifying_key().clone()).filter(|key| key != current.verifying_key()));
        let published = KeySet::new(keys).map_err(|error| Outage::new(PORT, error))?;
        Ok(Self { directory: Some(directory.to_owned()), current: Arc::new(current), next: Arc::new(next), published })
    }

    /// Makes ES256 keys that live in memory only, for what is only tried.
    ///
    /// # Errors
    /// [`Outage`] if the system gives no randomness.
    pub fn in_memory() -> Result<Self, Outage> {
        let (current, next) = (SigningKey::generate(Algorithm::Es256)?, SigningKey::generate(Algorithm::Es256)?);
        let keys = vec![current.verifying_key().clone(), next.verifying_key().clone()];
        let published = KeySet::new(keys).map_err(|error| Outage::new(PORT, error))?;
        Ok(Self { directory: None, current: Arc::new(current), next: Arc::new(next), published })
    }

    /// Returns the key that signs now.
    #[must_use]
    pub fn signer(&self) -> &SigningKey {
        &self.current
    }

    /// Returns a number that is another one whenever the published keys of this process are others.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        1
    }

    /// Returns the public keys: current first, then next, then previous.
    #[must_use]
    pub fn published(&self) -> &KeySet {
        &self.published
    }

    /// Makes the next key the current one, keeps the current one as the previous, and makes a new next one.
    ///
    /// What the key before the previous one signed is no longer accepted: rotate no more often than tokens live.
    ///
    /// # Errors
    /// [`Outage`] if a file cannot be written; loading again then goes on from wherever it stopped. Keys in memory are not
    /// rotated.
    pub fn rotate(&self) -> Result<Self, Outage> {
        let directory = self.directory.as_deref().ok_or_else(|| Outage::new(PORT, "keys in memory are not rotated"))?;
        self.current.save(&previous_path(directory))?;
        self.next.save(&current_path(directory))?;
        generate_into(&next_path(directory))?;
        Self::load_or_create(directory)
    }
}

/// The keyring of a serving process: whoever uses it takes one snapshot and ends on it.
#[derive(Debug)]
pub struct LiveKeyring {
    now: ArcSwap<Keyring>,
}

impl LiveKeyring {
    /// Begins with this keyring.
    #[must_use]
    pub fn new(keyring: Keyring) -> Self {
        Self { now: ArcSwap::from_pointee(keyring) }
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
}

/// Writes a PEM document (RFC 7468).
pub(super) fn pem(label: &str, der: &[u8]) -> Secret<String> {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    // Sized at once: a string that grows leaves copies of the key behind.
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 2 * label.len() + 64);
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    drop(Secret::new(text));
    pem.push_str(&format!("\n-----END {label}-----\n"));
    Secret::new(pem)
}

fn current_path(directory: &Path) -> PathBuf {
    directory.join("signing.pem")
}

fn next_path(directory: &Path) -> PathBuf {
    directory.join("signing-next.pem")
}

fn previous_path(directory: &Path) -> PathBuf {
    directory.join("signing-previous.pem")
}

fn load_or_generate(path: &Path) -> Result<SigningKey, Outage> {
    match SigningKey::load(path)? {
        Some(key) => Ok(key),
        None => generate_into(path),
    }
}

fn generate_into(path: &Path) -> Result<SigningKey, Outage> {
    let key = SigningKey::generate(Algorithm::Es256)?;
    key.save(path)?;
    Ok(key)
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
