//! The compact serialization of a JWS, read strictly.

use serde_json::{Map, Value};
use thiserror::Error;

use super::algorithm::Algorithm;
use super::bytes::base64url_decode_strict;
use super::claims::{ClaimError, Claims};
use super::json::{JsonError, parse_object};
use super::key::{KID_BYTES_MAX, KeyError, KeySet, VerifyingKey};

// Header parameters that change what the signature means or where its key comes from. We follow none of them, and to
// ignore one would be to read another object than the signer wrote (RFC 7515, sections 4.1.2-4.1.11; RFC 7797; RFC 7516).
const FORBIDDEN_PARAMETERS: [&str; 9] = ["crit", "b64", "jku", "x5u", "x5c", "x5t", "x5t#S256", "zip", "enc"];

/// Why a text is not a rightly signed object.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JwsError {
    /// It is longer than its use allows.
    #[error("the object is too long")]
    TooLong,
    /// It is not three parts with two dots between.
    #[error("the object is no compact JWS")]
    NotCompact,
    /// A part is not unpadded base64url.
    #[error("a part of the object is not base64url")]
    NotBase64,
    /// Header or claims are no strict JSON object.
    #[error("header or claims: {0}")]
    NotJson(#[from] JsonError),
    /// A header parameter is missing or has the wrong type or size.
    #[error("the header parameter `{0}` is missing or malformed")]
    BadHeader(&'static str),
    /// The header has a parameter that is never followed here.
    #[error("the header parameter `{0}` is not accepted")]
    ForbiddenHeader(&'static str),
    /// `alg` is none of ours.
    #[error("the signature algorithm is not accepted")]
    UnsupportedAlgorithm,
    /// The header brings a key where the key has to be known before.
    #[error("a key inside the object is not accepted here")]
    EmbeddedKey,
    /// The key inside the object is no good.
    #[error("the key inside the object: {0}")]
    BadKey(#[from] KeyError),
    /// No key of the owner has this `kid` and algorithm.
    #[error("no key with this id and algorithm is known")]
    UnknownKey,
    /// The signature does not verify.
    #[error("the signature is wrong")]
    BadSignature,
    /// A claim has the wrong shape.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

/// A compact JWS, well-formed and not yet believed.
#[derive(Debug)]
pub struct CompactJws<'a> {
    signing_input: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    header: Map<String, Value>,
    claims: Claims,
}

impl<'a> CompactJws<'a> {
    /// Reads a compact JWS of at most `bytes_max` bytes.
    ///
    /// Header and claims are read, no signature is checked; nothing in it may be believed yet.
    ///
    /// # Errors
    /// [`JwsError`]: the algorithm is judged before anything that depends on a key.
    pub fn parse(raw: &'a str, bytes_max: usize) -> Result<Self, JwsError> {
        if raw.len() > bytes_max {
            return Err(JwsError::TooLong);
        }
        let (signing_input, signature) = raw.rsplit_once('.').ok_or(JwsError::NotCompact)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::NotCompact)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.') {
            return Err(JwsError::NotCompact);
        }
        let decode = |part: &str| base64url_decode_strict(part).ok_or(JwsError::NotBase64);
        let header = parse_object(&decode(header)?)?;
        if let Some(name) = FORBIDDEN_PARAMETERS.into_iter().find(|name| header.contains_key(*name)) {
            return Err(JwsError::ForbiddenHeader(name));
        }
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => Algorithm::parse(name).ok_or(JwsError::UnsupportedAlgorithm)?,
            _ => return Err(JwsError::BadHeader("alg")),
        };
        for name in ["typ", "kid", "cty"] {
            if header.get(name).is_some_and(|value| !value.is_string()) {
                return Err(JwsError::BadHeader(name));
            }
        }
        if text(&header, "kid").is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
            return Err(JwsError::BadHeader("kid"));
        }
        let claims = Claims::parse(&decode(payload)?)?;
        Ok(Self { signing_input, signature: decode(signature)?, algorithm, header, claims })
    }

    /// Returns the `typ` header parameter.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        text(&self.header, "typ")
    }

    /// Returns the algorithm of the header.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the `kid` header parameter.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        text(&self.header, "kid")
    }

    /// Returns the key inside the header; only a proof of possession may look at it.
    #[must_use]
    pub fn jwk(&self) -> Option<&Value> {
        self.header.get("jwk")
    }

    /// Lends the claims before the signature is checked: for look-ups and for refusing, never for allowing.
    #[must_use]
    pub fn peek(&self) -> &Claims {
        &self.claims
    }

    /// Checks the signature under a key that was known before and gives the claims.
    ///
    /// # Errors
    /// [`JwsError::EmbeddedKey`] if the header brings a key, [`JwsError::UnknownKey`] if header and key disagree on
    /// algorithm or `kid`, [`JwsError::BadSignature`].
    pub fn verify_with(self, key: &VerifyingKey) -> Result<Claims, JwsError> {
        if self.jwk().is_some() {
            return Err(JwsError::EmbeddedKey);
        }
        if let (Some(named), Some(kid)) = (self.kid(), key.kid())
            && named != kid
        {
            return Err(JwsError::UnknownKey);
        }
        if self.algorithm != key.algorithm() {
            return Err(JwsError::UnknownKey);
        }
        self.finish(key)
    }

    /// Checks the signature under whichever key of the set fits `kid` and algorithm, and gives the claims.
    ///
    /// # Errors
    /// As [`CompactJws::verify_with`].
    pub fn verify_with_any(self, keys: &KeySet) -> Result<Claims, JwsError> {
        if self.jwk().is_some() {
            return Err(JwsError::EmbeddedKey);
        }
        let mut tried = false;
        let found = keys.find(self.kid(), self.algorithm).any(|key| {
            tried = true;
            self.is_signed_by(key)
        });
        match (found, tried) {
            (true, _) => Ok(self.claims),
            (false, true) => Err(JwsError::BadSignature),
            (false, false) => Err(JwsError::UnknownKey),
        }
    }

    /// Checks the signature under the key that the object brings: proof of possession, nothing more.
    ///
    /// # Errors
    /// [`JwsError::BadHeader`] without a key, [`JwsError::BadKey`] with a bad one, [`JwsError::UnknownKey`] if its
    /// algorithm is not the header's, [`JwsError::BadSignature`].
    pub fn verify_with_embedded(self) -> Result<(VerifyingKey, Claims), JwsError> {
        let key = VerifyingKey::from_jwk(self.jwk().ok_or(JwsError::BadHeader("jwk"))?)?;
        if self.algorithm != key.algorithm() {
            return Err(JwsError::UnknownKey);
        }
        let claims = self.finish(&key)?;
        Ok((key, claims))
    }

    fn finish(self, key: &VerifyingKey) -> Result<Claims, JwsError> {
        if self.is_signed_by(key) { Ok(self.claims) } else { Err(JwsError::BadSignature) }
    }

    fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify(self.signing_input.as_bytes(), &self.signature)
    }
}

fn text<'a>(header: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    header.get(name).and_then(Value::as_str)
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
