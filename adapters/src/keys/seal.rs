//! Sealing what rests in a store, and hashing what must be found again without being known.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::code::Outage;
use policies::jose::hmac_sha256;
use policies::secret::Secret;

use super::PORT;
use crate::entropy;
use crate::files::{private_directory, read_private, write_private};

// The first byte of what is sealed; another number is another form.
const FORM: u8 = 1;

/// A key of the process for AES-256-GCM and keyed hashes, both derived from one file.
pub struct Sealer {
    sealing: RandomizedNonceKey,
    hashing: Secret<[u8; 32]>,
}

impl Sealer {
    /// Loads `sealing.key` of a directory; makes both where they are missing.
    ///
    /// # Errors
    /// [`Outage`] if the file cannot be read or written, others may read it, or it holds no key.
    pub fn load_or_create(directory: &Path) -> Result<Self, Outage> {
        private_directory(directory)?;
        let path = directory.join("sealing.key");
        if let Some(text) = read_private(&path)? {
            let bytes = STANDARD.decode(text.expose().trim_ascii()).ok().map(Secret::new);
            let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.expose().as_slice()).ok());
            let broken = || Outage::new(PORT, format!("{}: no key of 32 bytes in base64", path.display()));
            return Self::from_master(&Secret::new(key.ok_or_else(broken)?));
        }
        let master = Secret::new(entropy::random::<32>());
        let mut text = STANDARD.encode(master.expose());
        text.push('\n');
        write_private(&path, Secret::new(text).expose().as_bytes())?;
        Self::from_master(&master)
    }

    // Two keys from one: what one of them leaks says nothing of the other.
    fn from_master(master: &Secret<[u8; 32]>) -> Result<Self, Outage> {
        let sealing = Secret::new(hmac_sha256(master.expose(), b"qaqpa sealing key 1"));
        let hashing = Secret::new(hmac_sha256(master.expose(), b"qaqpa hashing key 1"));
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, sealing.expose())
            .map_err(|_| Outage::new(PORT, "the sealing key was refused"))?;
        Ok(Self { sealing, hashing })
    }

    /// Encrypts and authenticates; the same text gives another result each time.
    ///
    /// The form is one byte for the form, 12 for the nonce, the text, 16 for the tag.
    ///
    /// # Panics
    /// If the crypto library cannot encrypt a short text: then nothing can be stored safely.
    #[must_use]
    pub fn seal(&self, text: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(text.len() + AES_256_GCM.tag_len());
        body.extend_from_slice(text);
        let nonce = self
            .sealing
            .seal_in_place_append_tag(Aad::from([FORM]), &mut body)
            .expect("AES-GCM takes any text of less than 64 GiB");
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + body.len());
        sealed.push(FORM);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        sealed
    }

    /// Opens what this key sealed.
    ///
    /// # Errors
    /// [`Outage`] if it was sealed with another key, cut or changed.
    pub fn open(&self, sealed: &[u8]) -> Result<Secret<Vec<u8>>, Outage> {
        let wrong = || Outage::new(PORT, "a sealed value was not sealed with this key, or was changed");
        let (nonce, body) =
            sealed.strip_prefix(&[FORM]).and_then(|rest| rest.split_at_checked(NONCE_LEN)).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut text = body.to_vec();
        let length = self.sealing.open_in_place(nonce, Aad::from([FORM]), &mut text).map_err(|_| wrong())?.len();
        text.truncate(length);
        Ok(Secret::new(text))
    }

    /// Hashes a value for one purpose: equal for equal values, of no use without the key.
    ///
    /// Hashes of different domains cannot be compared with one another.
    #[must_use]
    pub fn keyed_hash(&self, domain: &str, value: &[u8]) -> [u8; 32] {
        let mut message = Vec::with_capacity(8 + domain.len() + value.len());
        message.extend_from_slice(&(domain.len() as u64).to_be_bytes());
        message.extend_from_slice(domain.as_bytes());
        message.extend_from_slice(value);
        hmac_sha256(self.hashing.expose(), Secret::new(message).expose())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
