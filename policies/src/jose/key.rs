//! Public keys to verify with: read strictly from JWK, parsed once, one algorithm each.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::signature;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::algorithm::Algorithm;
use super::bytes::{base64url, base64url_decode_strict, sha256};

/// The smallest RSA modulus, in bits (FAPI 2.0, section 5.4).
pub const RSA_BITS_MIN: usize = 2048;

/// The largest RSA modulus, in bits: larger ones cost the verifier more than they give.
pub const RSA_BITS_MAX: usize = 4096;

/// The longest key id, in bytes: room for a thumbprint URI or a UUID with a prefix.
pub const KID_BYTES_MAX: usize = 256;

/// The most keys in one set: several generations of several algorithms; each may have to be tried.
pub const KEYS_MAX: usize = 16;

// Members that only private or symmetric keys have (RFC 7518, section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a JWK is not a key that verifies here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is no JSON object.
    #[error("a key is a JSON object")]
    NotAnObject,
    /// A member is missing, has the wrong type or does not decode.
    #[error("the key's member `{0}` is missing or malformed")]
    BadMember(&'static str),
    /// It holds private or symmetric key material.
    #[error("the key holds the private member `{0}`: only public keys belong here")]
    Private(&'static str),
    /// Key type, curve or algorithm is not one of ES256, EdDSA (Ed25519), PS256, or they contradict each other.
    #[error("the key is not one of P-256 (ES256), Ed25519 (EdDSA), RSA (PS256)")]
    Unsupported,
    /// It is for encryption or not for verification.
    #[error("the key is not meant for verifying (`use` or `key_ops`)")]
    WrongUse,
    /// It is too small, too large, or a point that anyone can sign for.
    #[error("the key is too weak or outside the allowed size")]
    Weak,
    /// The numbers are no point of the curve or no RSA key.
    #[error("the key is not a point of its curve or no RSA key")]
    Invalid,
    /// Two keys of a set have the same id.
    #[error("the key id `{0}` stands twice in the set")]
    DuplicateKid(String),
    /// A set has more than [`KEYS_MAX`] keys.
    #[error("a set has at most {KEYS_MAX} keys")]
    TooMany,
}

/// The name of a key that follows from the key itself: base64url of SHA-256 (RFC 7638).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint(String);

impl Thumbprint {
    /// Reads a thumbprint as `cnf.jkt` has it; `None` unless it is the one text of 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = base64url_decode_strict(text)?;
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    /// Returns the base64url text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key of one algorithm, parsed once and shared by its clones.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Inner>);

struct Inner {
    kid: Option<String>,
    algorithm: Algorithm,
    thumbprint: Thumbprint,
    public: Value,
    parsed: ParsedPublicKey,
}

impl VerifyingKey {
    /// Reads a public JWK (RFC 7517).
    ///
    /// `kty`, `crv` and, if present, `alg` have to agree on one algorithm; an RSA key without `alg` is a PS256 key.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with it; private members are refused even beside a good public key.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let jwk = jwk.as_object().ok_or(KeyError::NotAnObject)?;
        if let Some(name) = PRIVATE_MEMBERS.into_iter().find(|name| jwk.contains_key(*name)) {
            return Err(KeyError::Private(name));
        }
        check_use(jwk)?;
        let kid = optional_string(jwk, "kid")?;
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > KID_BYTES_MAX) {
            return Err(KeyError::BadMember("kid"));
        }
        let (algorithm, parsed, members) = match string(jwk, "kty")? {
            "EC" => p256(jwk)?,
            "OKP" => ed25519(jwk)?,
            "RSA" => rsa(jwk)?,
            _ => return Err(KeyError::Unsupported),
        };
        if let Some(name) = optional_string(jwk, "alg")?
            && Algorithm::parse(name) != Some(algorithm)
        {
            return Err(KeyError::Unsupported);
        }
        // RFC 7638, section 3: the required members only, in alphabetical order, no white space. All of them are plain
        // base64url or fixed words by now, so that nothing needs escaping.
        let canonical: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let thumbprint = Thumbprint(base64url(&sha256(format!("{{{}}}", canonical.join(",")).as_bytes())));
        let public = public_jwk(&members, kid, algorithm);
        Ok(Self(Arc::new(Inner { kid: kid.map(str::to_owned), algorithm, thumbprint, public, parsed })))
    }

    /// Returns the key id, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.0.kid.as_deref()
    }

    /// Returns the one algorithm it verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Returns its RFC 7638 thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.0.thumbprint
    }

    /// Tells whether `signature` is this key's signature of `signing_input`.
    #[must_use]
    pub fn verify(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        self.0.parsed.verify_sig(signing_input, signature).is_ok()
    }

    /// Returns the public JWK with `kid`, `alg` and `use`.
    #[must_use]
    pub fn to_jwk(&self) -> Value {
        self.0.public.clone()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.0.kid)
            .field("algorithm", &self.0.algorithm)
            .field("thumbprint", &self.0.thumbprint.0)
            .finish()
    }
}

/// Keys are equal if they are the same key under the same name.
impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.thumbprint == other.0.thumbprint && self.0.kid == other.0.kid
    }
}

impl Eq for VerifyingKey {}

impl signature::Verifier<Vec<u8>> for VerifyingKey {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        if VerifyingKey::verify(self, message, signature) { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl JwtVerifier for VerifyingKey {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        match self.0.algorithm {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        }
    }
}

/// A set of public keys of one owner.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Arc<[VerifyingKey]>);

impl KeySet {
    /// Makes a set; an empty one verifies nothing.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKid`] if an id stands twice, [`KeyError::TooMany`] beyond [`KEYS_MAX`].
    pub fn new(keys: Vec<VerifyingKey>) -> Result<Self, KeyError> {
        if keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let mut seen = HashSet::new();
        for kid in keys.iter().filter_map(VerifyingKey::kid) {
            if !seen.insert(kid) {
                return Err(KeyError::DuplicateKid(kid.to_owned()));
            }
        }
        Ok(Self(keys.into()))
    }

    /// Returns the keys that may have signed an object with this `kid` and algorithm.
    ///
    /// With a `kid` that is the one key of that name, if its algorithm is the same; without, all keys of the algorithm.
    pub fn find<'a>(&'a self, kid: Option<&'a str>, algorithm: Algorithm) -> impl Iterator<Item = &'a VerifyingKey> {
        self.0.iter().filter(move |key| key.algorithm() == algorithm && (kid.is_none() || key.kid() == kid))
    }

    /// Returns all keys.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the public JWK set (RFC 7517, section 5).
    #[must_use]
    pub fn to_jwks(&self) -> Value {
        json!({ "keys": self.iter().map(VerifyingKey::to_jwk).collect::<Vec<_>>() })
    }
}

// The members that make a key's thumbprint, in alphabetical order.
type Members<'a> = Vec<(&'static str, &'a str)>;
type Parts<'a> = (Algorithm, ParsedPublicKey, Members<'a>);

fn p256(jwk: &Map<String, Value>) -> Result<Parts<'_>, KeyError> {
    if string(jwk, "crv")? != "P-256" {
        return Err(KeyError::Unsupported);
    }
    let (x, y) = (coordinate(jwk, "x")?, coordinate(jwk, "y")?);
    let point: Vec<u8> = [0x04].into_iter().chain(x).chain(y).collect();
    let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).map_err(|_| KeyError::Invalid)?;
    let members = vec![("crv", "P-256"), ("kty", "EC"), ("x", string(jwk, "x")?), ("y", string(jwk, "y")?)];
    Ok((Algorithm::Es256, parsed, members))
}

fn ed25519(jwk: &Map<String, Value>) -> Result<Parts<'_>, KeyError> {
    if string(jwk, "crv")? != "Ed25519" {
        return Err(KeyError::Unsupported);
    }
    let x = coordinate(jwk, "x")?;
    if is_small_order(&x) {
        return Err(KeyError::Weak);
    }
    let parsed = ParsedPublicKey::new(&ED25519, x).map_err(|_| KeyError::Invalid)?;
    Ok((Algorithm::EdDsa, parsed, vec![("crv", "Ed25519"), ("kty", "OKP"), ("x", string(jwk, "x")?)]))
}

fn rsa(jwk: &Map<String, Value>) -> Result<Parts<'_>, KeyError> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let bits = match n.first() {
        // RFC 7518, section 6.3.1.1: the shortest form only, or the thumbprint would not be the key's one name.
        None | Some(0) => return Err(KeyError::BadMember("n")),
        Some(first) => n.len() * 8 - first.leading_zeros() as usize,
    };
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(KeyError::Weak);
    }
    // Four bytes hold every exponent in use; small and even ones are broken.
    if e.is_empty() || e.len() > 4 || e.first() == Some(&0) {
        return Err(KeyError::BadMember("e"));
    }
    let exponent = e.iter().fold(0_u32, |value, byte| (value << 8) | u32::from(*byte));
    if exponent < 65_537 || exponent % 2 == 0 || n.last().is_some_and(|last| last % 2 == 0) {
        return Err(KeyError::Weak);
    }
    let parsed = RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PSS_2048_8192_SHA256)
        .map_err(|_| KeyError::Invalid)?;
    Ok((Algorithm::Ps256, parsed, vec![("e", string(jwk, "e")?), ("kty", "RSA"), ("n", string(jwk, "n")?)]))
}

fn check_use(jwk: &Map<String, Value>) -> Result<(), KeyError> {
    if optional_string(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::WrongUse);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
            if operations.iter().any(|operation| operation == "verify") { Ok(()) } else { Err(KeyError::WrongUse) }
        }
        Some(_) => Err(KeyError::BadMember("key_ops")),
    }
}

fn public_jwk(members: &Members<'_>, kid: Option<&str>, algorithm: Algorithm) -> Value {
    let mut jwk: Map<String, Value> =
        members.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
    jwk.insert("alg".to_owned(), Value::from(algorithm.as_str()));
    jwk.insert("use".to_owned(), Value::from("sig"));
    if let Some(kid) = kid {
        jwk.insert("kid".to_owned(), Value::from(kid));
    }
    Value::Object(jwk)
}

fn optional_string<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, KeyError> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::BadMember(name)),
    }
}

fn string<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, KeyError> {
    optional_string(jwk, name)?.ok_or(KeyError::BadMember(name))
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    base64url_decode_strict(string(jwk, name)?).ok_or(KeyError::BadMember(name))
}

// RFC 7518, section 6.2.1.2: full length, leading zeros kept.
fn coordinate(jwk: &Map<String, Value>, name: &'static str) -> Result<[u8; 32], KeyError> {
    bytes(jwk, name)?.try_into().map_err(|_| KeyError::BadMember(name))
}

// The points of Ed25519 whose order divides eight, in every encoding: under them anybody can make a signature, so that
// a token bound to one would be bound to nobody. Compared without the sign bit. Source: libsodium, ge25519_has_small_order.
fn is_small_order(point: &[u8; 32]) -> bool {
    const ORDER_8_A: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    const ORDER_8_B: [u8; 32] = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];
    let mut plain = *point;
    let [first, middle @ .., last] = &mut plain;
    *last &= 0x7f;
    let zeros = middle.iter().all(|byte| *byte == 0) && *last == 0;
    let ones = middle.iter().all(|byte| *byte == 0xff) && *last == 0x7f;
    // y = 0 and 1; y = p - 1, p and p + 1, where p = 2^255 - 19.
    (zeros && *first <= 1) || (ones && (0xec..=0xee).contains(first)) || plain == ORDER_8_A || plain == ORDER_8_B
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
