//! Assertions that show other authorization servers who we are (RFC 7523).

use std::fmt;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use policies::jose::{Algorithm, SignError, Signer, VerifyingKey, base64url_decode_strict, encode};
use policies::secret::Secret;
use policies::time::Timestamp;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::entropy;

/// How long an assertion is good: it is made for one request, and clocks differ.
const ASSERTION_TTL: Duration = Duration::from_secs(60);

/// The parameter that says what kind of assertion stands beside it (RFC 7523, section 2.2).
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why a text is not a key to sign assertions with; tells nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// It is not one JSON object with the members of a private key.
    #[error("it is not a private JWK")]
    NotPrivate,
    /// It is no key of P-256 or Ed25519.
    #[error("it is not a key of P-256 (ES256) or Ed25519 (EdDSA)")]
    Unsupported,
    /// Its parts do not belong together.
    #[error("its private and its public part do not belong together")]
    Broken,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

/// A private key that assertions are signed with, named as its JWK names it, or else by its thumbprint.
pub struct AssertionKey {
    pair: Pair,
    public: VerifyingKey,
    kid: String,
}

impl AssertionKey {
    /// Reads a private JWK of P-256 or Ed25519.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub fn read(jwk: &Secret<Vec<u8>>) -> Result<Self, KeyFault> {
        let mut members: Map<String, Value> = serde_json::from_slice(jwk.expose()).map_err(|_| KeyFault::NotPrivate)?;
        let Some(Value::String(private)) = members.remove("d") else { return Err(KeyFault::NotPrivate) };
        let private = Secret::new(base64url_decode_strict(&private).ok_or(KeyFault::NotPrivate)?);
        // What the other side is told of it: how a private key is marked says nothing of its public part.
        for mark in ["use", "key_ops"] {
            members.remove(mark);
        }
        let coordinate = |name: &str| {
            members.get(name).and_then(Value::as_str).and_then(base64url_decode_strict).unwrap_or_default()
        };
        let (x, y) = (coordinate("x"), coordinate("y"));
        let public = VerifyingKey::from_jwk(&Value::Object(members)).map_err(|_| KeyFault::Unsupported)?;
        let pair = match public.algorithm() {
            Algorithm::Es256 => {
                let point: Vec<u8> = [0x04].into_iter().chain(x).chain(y).collect();
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                EcdsaKeyPair::from_private_key_and_public_key(algorithm, private.expose(), &point).map(Pair::Es256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_seed_and_public_key(private.expose(), &x).map(Pair::EdDsa),
            Algorithm::Ps256 => return Err(KeyFault::Unsupported),
        };
        let kid = public.kid().unwrap_or(public.thumbprint().as_str()).to_owned();
        let key = Self { pair: pair.map_err(|_| KeyFault::Broken)?, public, kid };
        // A key that signs for another is found here, and not by the server that refuses it.
        let probe = key.sign(b"probe").map_err(|_| KeyFault::Broken)?;
        if key.public.verify(b"probe", &probe) { Ok(key) } else { Err(KeyFault::Broken) }
    }

    /// Writes an assertion of `client` for the server whose issuer is `audience`: that one string and nothing else, as
    /// FAPI 2.0 asks (section 5.3.3.1).
    pub(super) fn assertion(&self, client: &str, audience: &str, now: Timestamp) -> Result<String, SignError> {
        let claims = json!({
            "iss": client,
            "sub": client,
            "aud": audience,
            "jti": entropy::token_128bit(),
            "iat": now.seconds(),
            "exp": (now + ASSERTION_TTL).seconds(),
        });
        encode("JWT", &claims, None, self)
    }
}

impl Signer for AssertionKey {
    fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    fn kid(&self) -> &str {
        &self.kid
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message);
                signature.map(|signature| signature.as_ref().to_vec()).map_err(|error| SignError(error.to_string()))
            }
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// Shows the name only.
impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

    use policies::jose::CompactJws;

    use super::*;
    use crate::keys::private_jwk;

    fn read(jwk: &Value) -> Result<AssertionKey, KeyFault> {
        AssertionKey::read(&Secret::new(jwk.to_string().into_bytes()))
    }

    #[test]
    fn as6_only_a_whole_private_key_signs_assertions() {
        for text in ["", "[]", "{}", "-----BEGIN PRIVATE KEY-----", r#"{"d":1}"#, r#"{"d":"!"}"#] {
            let found = AssertionKey::read(&Secret::new(text.as_bytes().to_vec()));
            assert_eq!(found.err(), Some(KeyFault::NotPrivate), "{text}");
        }
        let (one, other) =
            (private_jwk(Algorithm::Es256, "one").unwrap(), private_jwk(Algorithm::Es256, "other").unwrap());
        let mut mixed = one.clone();
        mixed["d"] = other["d"].clone();
        assert_eq!(read(&mixed).err(), Some(KeyFault::Broken));
        let mut unknown = one;
        unknown["crv"] = json!("P-384");
        assert_eq!(read(&unknown).err(), Some(KeyFault::Unsupported));
        let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"});
        assert_eq!(read(&rsa).err(), Some(KeyFault::Unsupported));
    }

    #[test]
    fn as6_an_assertion_is_for_one_issuer_by_its_string_and_for_one_use() {
        let now = Timestamp::from_seconds(1_800_000_000);
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let private = private_jwk(algorithm, "gate-1").unwrap();
            let key = read(&private).unwrap();
            assert!(!format!("{key:?}").contains(private["d"].as_str().unwrap()));
            let told = |text: &str| {
                let jws = CompactJws::parse(text, 4096).unwrap();
                assert_eq!(jws.kid(), Some("gate-1"));
                jws.verify_with(&key.public).unwrap()
            };
            let (first, second) = (
                told(&key.assertion("gate", "https://as.example", now).unwrap()),
                told(&key.assertion("gate", "https://as.example", now).unwrap()),
            );
            assert!(first.audience_is("https://as.example").unwrap());
            assert_eq!(first.required_string("iss").unwrap(), "gate");
            assert_eq!(first.required_string("sub").unwrap(), "gate");
            assert_eq!(first.required_instant("exp").unwrap(), now + ASSERTION_TTL);
            assert_ne!(first.jti().unwrap(), second.jti().unwrap());
        }
    }
}
