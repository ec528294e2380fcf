//! Keys to sign with.

use std::fmt;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use policies::code::Outage;
use policies::jose::{Algorithm, SignError, Signer, VerifyingKey, base64url};
use policies::secret::Secret;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::PORT;
use crate::files::{read_private, write_private};

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

    /// Writes the key as a PKCS#8 document.
    pub(super) fn to_der(&self) -> Result<Secret<Vec<u8>>, Outage> {
        let document = match &self.pair {
            Pair::Es256(pair) => pair.to_pkcs8v1(),
            Pair::EdDsa(pair) => pair.to_pkcs8v1(),
        };
        let document = document.map_err(|_| Outage::new(PORT, "a key could not be written"))?;
        Ok(Secret::new(document.as_ref().to_vec()))
    }

    fn to_pem(&self) -> Result<Secret<String>, Outage> {
        Ok(pem("PRIVATE KEY", self.to_der()?.expose()))
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

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
