//! The compact serialization of a JWS, read strictly.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
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

    /// Checks as [`CompactJws::verify_with_any`], and a refusal costs a check of a signature even if no key fits.
    ///
    /// For owners whose very existence is no stranger's business: a faster refusal would tell that a key is unknown. A
    /// stranger is refused alike with an empty set.
    ///
    /// # Errors
    /// As [`CompactJws::verify_with`].
    pub fn verify_evenly(self, keys: &KeySet) -> Result<Claims, JwsError> {
        if self.jwk().is_some() || keys.find(self.kid(), self.algorithm).next().is_none() {
            self.spend();
        }
        self.verify_with_any(keys)
    }

    /// Does the work of checking the signature under one key of its algorithm, and believes nothing.
    pub fn spend(&self) {
        #[cfg(test)]
        counted::add(counted::Work::StandIn);
        // Whatever comes of it: nobody signs for us with these keys. `kid` and `jwk` are passed over on purpose.
        for key in STAND_INS.find(None, self.algorithm) {
            _ = self.is_signed_by(key);
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
        #[cfg(test)]
        counted::add(counted::Work::Check);
        key.verify(self.signing_input.as_bytes(), &self.signature)
    }
}

fn text<'a>(header: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    header.get(name).and_then(Value::as_str)
}

// One key of each algorithm to do idle work with: the public keys of the examples of RFC 9449 (section 4.1), RFC 8037
// (appendix A.2) and RFC 7638 (section 3.1).
static STAND_INS: LazyLock<KeySet> = LazyLock::new(|| {
    let n = concat!(
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3",
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA",
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-",
        "kEgU8awapJzKnqDKgw",
    );
    let (x, y) = ("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
    let jwks = [
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        json!({"kty": "RSA", "n": n, "e": "AQAB"}),
    ];
    KeySet::new(jwks.iter().filter_map(|jwk| VerifyingKey::from_jwk(jwk).ok()).collect()).unwrap_or_default()
});

/// Counts the signature checks of this thread, since equal work shows in no result.
#[cfg(test)]
pub(crate) mod counted {
    use std::cell::Cell;

    thread_local! {
        static COUNTS: Cell<Counts> = const { Cell::new(Counts { checks: 0, stand_ins: 0 }) };
    }

    /// All checks of signatures, and how often a stand-in was asked to do one.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Counts {
        pub(crate) checks: u32,
        pub(crate) stand_ins: u32,
    }

    pub(super) enum Work {
        Check,
        StandIn,
    }

    pub(super) fn add(work: Work) {
        let mut counts = COUNTS.get();
        match work {
            Work::Check => counts.checks += 1,
            Work::StandIn => counts.stand_ins += 1,
        }
        COUNTS.set(counts);
    }

    /// Tells what `work` cost.
    pub(crate) fn during<T>(work: impl FnOnce() -> T) -> (T, Counts) {
        COUNTS.set(Counts { checks: 0, stand_ins: 0 });
        let outcome = work();
        (outcome, COUNTS.get())
    }
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "vectors_tests.rs"]
mod vectors;
