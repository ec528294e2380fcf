//! Where the wrapping key is: beside the data key, in a text that is given, or in a token.
//!
//! This module must not know what is wrapped.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policies::code::Outage;
use policies::jose::hmac_sha256;
use policies::secret::Secret;

use super::PORT;
use super::pkcs11::TokenWrapping;
use super::wrap::{DATA_KEY_FILE, KeyBytes, TokenKey, Wrapped, Wrapping};
use crate::entropy;
use crate::files::{private_directory, read_private, write_private};

/// The file of the wrapping key that is made where none is configured.
pub(super) const GENERATED_FILE: &str = "wrapping.key";

/// Where the wrapping key is.
#[derive(Debug, Clone)]
pub enum WrapSource {
    /// In a file of mode 0600 beside the data key, made at the first start.
    Generated,
    /// Given, as 32 bytes in base64.
    Given(Secret<Vec<u8>>),
    /// In a token behind a PKCS#11 module; it never leaves it.
    Token(TokenKey),
}

/// Opens the wrapping key; `directory` is where the generated one lies, beside the data key.
///
/// A token is not asked yet: that is done when a key is wrapped or opened.
///
/// # Errors
/// An [`Outage`] that names the file, never what is in it.
pub fn open_wrapping(directory: &Path, source: &WrapSource) -> Result<Box<dyn Wrapping>, Outage> {
    match source {
        WrapSource::Generated => Ok(Box::new(generated(directory)?)),
        WrapSource::Given(text) => {
            let wrong = || Outage::new(PORT, "the configured wrapping key is not 32 bytes in base64");
            Ok(Box::new(KeyWrapping::from_base64(text).ok_or_else(wrong)?))
        }
        WrapSource::Token(token) => Ok(Box::new(TokenWrapping::new(token.clone()))),
    }
}

/// Loads the key that is made where none is configured, or makes it.
fn generated(directory: &Path) -> Result<KeyWrapping, Outage> {
    private_directory(directory)?;
    let path = directory.join(GENERATED_FILE);
    if let Some(text) = read_private(&path)? {
        let broken = || Outage::new(PORT, format!("{}: no key of 32 bytes in base64", path.display()));
        return KeyWrapping::from_base64(&text).ok_or_else(broken);
    }
    // A new one could not open what is there, and would hide which one is missed.
    if directory.join(DATA_KEY_FILE).exists() {
        return Err(Outage::new(
            PORT,
            format!(
                "{} is missing, without which {DATA_KEY_FILE} cannot be opened; put it back, or configure under \
                 `keys` the wrapping key that was used before",
                path.display()
            ),
        ));
    }
    let key = Secret::new(entropy::random::<32>());
    let mut text = STANDARD.encode(key.expose());
    text.push('\n');
    write_private(&path, Secret::new(text).expose().as_bytes())?;
    KeyWrapping::new(&key)
}

/// A wrapping key whose bytes are in this process.
pub(super) struct KeyWrapping {
    cipher: RandomizedNonceKey,
    id: String,
}

impl KeyWrapping {
    pub(super) fn new(key: &KeyBytes) -> Result<Self, Outage> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, key.expose())
            .map_err(|_| Outage::new(PORT, "the wrapping key was refused"))?;
        let hash = hmac_sha256(key.expose(), b"qaqpa wrapping key id 1");
        // 64 bits tell keys apart and are no help in finding one.
        let id = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { cipher, id })
    }

    fn from_base64(text: &Secret<Vec<u8>>) -> Option<Self> {
        let bytes = Secret::new(STANDARD.decode(text.expose().trim_ascii()).ok()?);
        let key = Secret::new(<[u8; 32]>::try_from(bytes.expose().as_slice()).ok()?);
        Self::new(&key).ok()
    }
}

impl Wrapping for KeyWrapping {
    fn kind(&self) -> &'static str {
        "key"
    }

    fn key_id(&self) -> String {
        self.id.clone()
    }

    fn wrap(&self, key: &KeyBytes, purpose: &[u8]) -> Result<Wrapped, Outage> {
        let mut ciphertext = key.expose().to_vec();
        let nonce = self
            .cipher
            .seal_in_place_append_tag(Aad::from(purpose), &mut ciphertext)
            .map_err(|_| Outage::new(PORT, "a key could not be wrapped"))?;
        Ok(Wrapped { nonce: *nonce.as_ref(), ciphertext })
    }

    fn open(&self, wrapped: &Wrapped, purpose: &[u8]) -> Result<KeyBytes, Outage> {
        let wrong = || Outage::new(PORT, "a wrapped key was changed, or wrapped under another key");
        let nonce = Nonce::assume_unique_for_key(wrapped.nonce);
        let mut body = wrapped.ciphertext.clone();
        let opened = self.cipher.open_in_place(nonce, Aad::from(purpose), &mut body).map_err(|_| wrong())?;
        let key = <[u8; 32]>::try_from(&*opened).map(Secret::new).map_err(|_| wrong());
        // Wipes it.
        drop(Secret::new(body));
        key
    }
}

impl fmt::Debug for KeyWrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyWrapping").field("id", &self.id).finish_non_exhaustive()
    }
}
