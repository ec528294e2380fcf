//! Sealing what rests in a store, and hashing what must be found again without being known.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use policies::code::Outage;
use policies::jose::hmac_sha256;
use policies::secret::Secret;

use super::wrap::{KeyBytes, Wrapping};
use super::{PORT, data_key};
use crate::entropy;
use crate::store::port::SubjectKey;

// The first byte of what is sealed; another number is another form.
const FORM: u8 = 1;

// The first byte of what is sealed under a person's key.
const FORM_OF_A_SUBJECT: u8 = 2;

// The first byte of what a key of this process is sealed into.
const FORM_OF_A_KEY: u8 = 3;

/// The length of the id of a person's key, in bytes.
const ID_LEN: usize = 16;

// What a person's key is wrapped for.
const SUBJECT_KEY: &[u8] = b"subject key 1";

/// The data key of the process at work: AES-256-GCM and keyed hashes, under keys derived from it.
pub struct Sealer {
    sealing: RandomizedNonceKey,
    wrapping: RandomizedNonceKey,
    keeping: RandomizedNonceKey,
    hashing: Secret<[u8; 32]>,
}

impl Sealer {
    /// Loads the data key of a directory, `data.key`, which rests wrapped under `wrapping`; makes both where they are
    /// missing.
    ///
    /// The key that version 0.1 kept in the clear is taken over: what it sealed is opened on.
    ///
    /// # Errors
    /// [`Outage`] if the file cannot be read or written, others may read it, it holds no key, or was wrapped under
    /// another.
    pub fn load_or_create(directory: &Path, wrapping: &dyn Wrapping) -> Result<Self, Outage> {
        Self::from_master(&data_key::load_or_create(directory, wrapping)?)
    }

    /// Draws a data key that lives in memory only, for what is only tried.
    ///
    /// # Errors
    /// [`Outage`] if the crypto library takes no key.
    pub fn in_memory() -> Result<Self, Outage> {
        Self::from_master(&Secret::new(entropy::random::<32>()))
    }

    // Several keys from one: what one of them leaks says nothing of the others.
    fn from_master(master: &KeyBytes) -> Result<Self, Outage> {
        let derived = |label: &[u8]| Secret::new(hmac_sha256(master.expose(), label));
        let hashing = derived(b"qaqpa hashing key 1");
        let sealing = cipher(&derived(b"qaqpa sealing key 1"))?;
        let wrapping = cipher(&derived(b"qaqpa subject wrapping key 1"))?;
        let keeping = cipher(&derived(b"qaqpa signing keys key 1"))?;
        Ok(Self { sealing, wrapping, keeping, hashing })
    }

    /// Encrypts and authenticates; the same text gives another result each time.
    ///
    /// The form is one byte for the form, 12 for the nonce, the text, 16 for the tag.
    ///
    /// # Panics
    /// If the crypto library cannot encrypt a short text: then nothing can be stored safely.
    #[must_use]
    pub fn seal(&self, text: &[u8]) -> Vec<u8> {
        sealed(&self.sealing, &[FORM], &[FORM], text)
    }

    /// Tells whether something has the form of what [`seal`](Self::seal) makes.
    #[must_use]
    pub fn is_sealed(sealed: &[u8]) -> bool {
        sealed.first() == Some(&FORM)
    }

    /// Opens what this key sealed.
    ///
    /// # Errors
    /// [`Outage`] if it was sealed with another key, cut or changed.
    pub fn open(&self, sealed: &[u8]) -> Result<Secret<Vec<u8>>, Outage> {
        sealed.strip_prefix(&[FORM]).and_then(|body| opened(&self.sealing, &[FORM], body)).ok_or_else(wrong)
    }

    /// Seals a private key of this process under its public name: it is not opened under another.
    pub(super) fn seal_key(&self, name: &str, key: &Secret<Vec<u8>>) -> Vec<u8> {
        sealed(&self.keeping, &[FORM_OF_A_KEY], &bound(&[&[FORM_OF_A_KEY], name.as_bytes()]), key.expose())
    }

    /// Opens a private key that was sealed under this name.
    ///
    /// # Errors
    /// [`Outage`] if it was sealed under another name or data key, cut or changed.
    pub(super) fn open_key(&self, name: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, Outage> {
        let body = sealed.strip_prefix(&[FORM_OF_A_KEY]);
        let key = body.and_then(|body| opened(&self.keeping, &bound(&[&[FORM_OF_A_KEY], name.as_bytes()]), body));
        key.ok_or_else(wrong)
    }

    /// Draws a key for one person, wrapped under the data key.
    ///
    /// # Panics
    /// As [`seal`](Self::seal).
    #[must_use]
    pub fn fresh_subject_key(&self) -> SubjectKey {
        let id = entropy::random::<ID_LEN>();
        let key = Secret::new(entropy::random::<32>());
        SubjectKey { id, wrapped: sealed(&self.wrapping, &[FORM], &bound(&[SUBJECT_KEY, &id]), key.expose()) }
    }

    /// Seals what names a person under their own key, for one purpose: it is not opened for another.
    ///
    /// The form is one byte for the form, 16 for the key's id, 12 for the nonce, the text, 16 for the tag.
    ///
    /// # Errors
    /// [`Outage`] if the key was not wrapped under this data key, or changed.
    ///
    /// # Panics
    /// As [`seal`](Self::seal).
    pub fn seal_for(&self, key: &SubjectKey, purpose: &str, text: &[u8]) -> Result<Vec<u8>, Outage> {
        let cipher = self.subject(key)?;
        let mut head = vec![FORM_OF_A_SUBJECT];
        head.extend_from_slice(&key.id);
        Ok(sealed(&cipher, &head, &bound(&[&head, purpose.as_bytes()]), text))
    }

    /// Tells the id of the person's key that something was sealed under; none for what was sealed under no such key.
    #[must_use]
    pub fn key_id_of(sealed: &[u8]) -> Option<[u8; ID_LEN]> {
        sealed.strip_prefix(&[FORM_OF_A_SUBJECT])?.first_chunk().copied()
    }

    /// Opens what was sealed under a person's key for one purpose.
    ///
    /// # Errors
    /// [`Outage`] if it was sealed under another key or for another purpose, cut or changed.
    pub fn open_with(&self, key: &SubjectKey, purpose: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, Outage> {
        let cipher = self.subject(key)?;
        let (head, body) = sealed.split_at_checked(1 + ID_LEN).ok_or_else(wrong)?;
        if head.split_first() != Some((&FORM_OF_A_SUBJECT, &key.id)) {
            return Err(wrong());
        }
        opened(&cipher, &bound(&[head, purpose.as_bytes()]), body).ok_or_else(wrong)
    }

    fn subject(&self, key: &SubjectKey) -> Result<RandomizedNonceKey, Outage> {
        let body = key.wrapped.strip_prefix(&[FORM]);
        let text = body.and_then(|body| opened(&self.wrapping, &bound(&[SUBJECT_KEY, &key.id]), body));
        let bytes = text.and_then(|text| <[u8; 32]>::try_from(text.expose().as_slice()).ok()).map(Secret::new);
        let other = || Outage::new(PORT, "the key of a person was not made under this data key, or was changed");
        cipher(&bytes.ok_or_else(other)?)
    }

    /// Hashes a value for one purpose: equal for equal values, of no use without the key.
    ///
    /// Hashes of different domains cannot be compared with one another.
    #[must_use]
    pub fn keyed_hash(&self, domain: &str, value: &[u8]) -> [u8; 32] {
        let message = Secret::new(bound(&[domain.as_bytes(), value]));
        hmac_sha256(self.hashing.expose(), message.expose())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

fn cipher(key: &KeyBytes) -> Result<RandomizedNonceKey, Outage> {
    RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(|_| Outage::new(PORT, "a sealing key was refused"))
}

// Each part but the last with its length before it: no two lists of parts give the same bytes.
fn bound(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if index + 1 < parts.len() {
            all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        }
        all.extend_from_slice(part);
    }
    all
}

// The head in the clear, the nonce, the text and the tag.
fn sealed(cipher: &RandomizedNonceKey, head: &[u8], associated: &[u8], text: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(text.len() + AES_256_GCM.tag_len());
    body.extend_from_slice(text);
    let nonce = cipher
        .seal_in_place_append_tag(Aad::from(associated), &mut body)
        .expect("AES-GCM takes any text of less than 64 GiB");
    let mut all = Vec::with_capacity(head.len() + NONCE_LEN + body.len());
    all.extend_from_slice(head);
    all.extend_from_slice(nonce.as_ref());
    all.extend_from_slice(&body);
    all
}

fn opened(cipher: &RandomizedNonceKey, associated: &[u8], body: &[u8]) -> Option<Secret<Vec<u8>>> {
    let (nonce, body) = body.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = body.to_vec();
    let length = cipher.open_in_place(nonce, Aad::from(associated), &mut text).ok()?.len();
    text.truncate(length);
    Some(Secret::new(text))
}

fn wrong() -> Outage {
    Outage::new(PORT, "a sealed value was not sealed with this key, or was changed")
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
