//! Making signed objects; the private key itself stands outside, behind [`Signer`].

use serde_json::{Map, Value};
use thiserror::Error;

use super::algorithm::Algorithm;
use super::bytes::base64url;

/// The signer could not sign; `0` says why, for the log, and holds no key material.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("signing failed: {0}")]
pub struct SignError(pub String);

/// Something that holds a private key and signs with it.
pub trait Signer: Send + Sync {
    /// Returns the one algorithm it signs with.
    fn algorithm(&self) -> Algorithm;

    /// Returns the id under which its public key is published.
    fn kid(&self) -> &str;

    /// Signs a message; the signature has the form that JWS asks for (for ES256: r and s, 32 bytes each).
    ///
    /// # Errors
    /// [`SignError`] if the key is out of reach or broken.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Writes claims as a compact JWS of type `typ`.
///
/// With `jwk` the header carries that key instead of the signer's `kid`, as DPoP proofs do.
///
/// # Errors
/// [`SignError`] of the signer.
pub fn encode(typ: &str, claims: &Value, jwk: Option<Value>, signer: &dyn Signer) -> Result<String, SignError> {
    let mut header = Map::new();
    header.insert("typ".to_owned(), Value::from(typ));
    header.insert("alg".to_owned(), Value::from(signer.algorithm().as_str()));
    match jwk {
        Some(jwk) => header.insert("jwk".to_owned(), jwk),
        None => header.insert("kid".to_owned(), Value::from(signer.kid())),
    };
    let header = base64url(Value::Object(header).to_string().as_bytes());
    let mut text = format!("{header}.{}", base64url(claims.to_string().as_bytes()));
    let signature = signer.sign(text.as_bytes())?;
    text.push('.');
    text.push_str(&base64url(&signature));
    Ok(text)
}
