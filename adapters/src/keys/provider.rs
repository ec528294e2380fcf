//! What `jsonwebtoken` signs and verifies with in this process: keys parsed as strictly as everywhere else.
//!
//! Our own tokens do not go this way; this is for whoever calls the library, so that it cannot be used with a key or an
//! algorithm that the house does not accept.

use std::sync::{LazyLock, OnceLock};

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, aws_lc};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey, signature};
use policies::jose::{Signer, VerifyingKey, base64url};
use serde_json::{Value, json};

use super::signing::SigningKey;

static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(|| CryptoProvider {
    signer_factory,
    verifier_factory,
    key_utils: aws_lc::DEFAULT_PROVIDER.key_utils.clone(),
});

/// Returns the provider.
#[must_use]
pub fn provider() -> &'static CryptoProvider {
    &PROVIDER
}

/// Makes it the one of this process; may be called again.
///
/// Gives `false` if another one was in use before, which stays: then the library was called before this.
pub fn install() -> bool {
    static OURS: OnceLock<bool> = OnceLock::new();
    *OURS.get_or_init(|| provider().install_default().is_ok())
}

// A key of ours, as the library wants it.
struct LibrarySigner(SigningKey);

impl signature::Signer<Vec<u8>> for LibrarySigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        self.0.sign(message).map_err(signature::Error::from_source)
    }
}

impl JwtSigner for LibrarySigner {
    fn algorithm(&self) -> Algorithm {
        JwtVerifier::algorithm(self.0.verifying_key())
    }
}

fn signer_factory(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if !matches!(algorithm, Algorithm::ES256 | Algorithm::EdDSA) {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let signer = SigningKey::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidKeyFormat)?;
    // One key, one algorithm: the header does not choose.
    if JwtVerifier::algorithm(signer.verifying_key()) != *algorithm {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(LibrarySigner(signer)))
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let jwk = match (algorithm, key.family(), key.kind()) {
        (Algorithm::ES256, AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => ec_jwk(point),
        (Algorithm::EdDSA, AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(point)) => {
            Some(json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(point) }))
        }
        (Algorithm::PS256, AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Some(json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) }))
        }
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    let key = VerifyingKey::from_jwk(&jwk.ok_or(ErrorKind::InvalidKeyFormat)?);
    Ok(Box::new(key.map_err(|_| ErrorKind::InvalidKeyFormat)?))
}

fn ec_jwk(point: &[u8]) -> Option<Value> {
    let (x, y) = point.strip_prefix(&[0x04])?.split_at_checked(32)?;
    Some(json!({ "kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y) }))
}

#[cfg(test)]
#[path = "provider_tests.rs"]
mod tests;
