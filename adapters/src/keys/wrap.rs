//! What wraps a key: under it the data key rests, so that what is on the disk opens nothing by itself.
//!
//! This module must not know what the data key is for, nor where the key is that wraps it.

use std::path::PathBuf;

use aws_lc_rs::aead::NONCE_LEN;
use policies::code::Outage;
use policies::secret::Secret;

/// The file of the wrapped data key.
pub(super) const DATA_KEY_FILE: &str = "data.key";

/// A key of 32 bytes.
pub type KeyBytes = Secret<[u8; 32]>;

/// A key that was wrapped with AES-256-GCM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The nonce.
    pub nonce: [u8; NONCE_LEN],
    /// The key, encrypted, and the tag of 16 bytes.
    pub ciphertext: Vec<u8>,
}

/// Wraps keys, wherever the key that does so is.
///
/// What is wrapped for one purpose is not opened for another. Calls may wait for another machine: they belong to the
/// start of a process, never to a serving thread.
pub trait Wrapping: Send + Sync {
    /// Returns the word for where the key is: `key` for bytes in this process, `pkcs11` for a token.
    fn kind(&self) -> &'static str;

    /// Returns which key it is, in a form that tells nothing of its bytes.
    fn key_id(&self) -> String;

    /// Wraps a key for `purpose`.
    ///
    /// # Errors
    /// An [`Outage`] if the key that wraps cannot be used.
    fn wrap(&self, key: &KeyBytes, purpose: &[u8]) -> Result<Wrapped, Outage>;

    /// Opens what was wrapped for `purpose`.
    ///
    /// # Errors
    /// An [`Outage`] if the key that wraps cannot be used, or it was wrapped under another, for another purpose, or changed.
    fn open(&self, wrapped: &Wrapped, purpose: &[u8]) -> Result<KeyBytes, Outage>;
}

/// An AES-256 key in a token.
#[derive(Debug, Clone)]
pub struct TokenKey {
    /// The module of the token's maker, a shared library.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The label of the key in it.
    pub key: String,
    /// The PIN of the token's user.
    pub pin: Secret<Vec<u8>>,
}
