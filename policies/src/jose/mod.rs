//! Signed JSON objects (JWS, JWK, JWT), read strictly: what the standards leave open is closed here.
//!
//! This is the layer under tokens, proofs, assertions and results. It knows what a well-formed, rightly signed object
//! is, and must never know what the object is for: types, issuers, audiences and times are judged by its users.
//!
//! Sources: RFC 7515, 7517, 7518, 7519, 7638, 8037, 8725, 9864.

mod algorithm;
mod bytes;
mod claims;
mod json;
mod jws;
mod key;
mod set;
mod sign;
#[cfg(test)]
pub(crate) mod testing;

pub use algorithm::Algorithm;
pub use bytes::{base64url, base64url_decode_strict, constant_time_eq, digest_of_parts, hmac_sha256, sha256};
pub use claims::{ClaimError, Claims, INSTANT_SECONDS_MAX, JTI_CHARACTERS_MAX};
pub(crate) use json::parse_value;
pub use json::{DEPTH_MAX, JsonError};
#[cfg(test)]
pub(crate) use jws::counted;
pub use jws::{CompactJws, JwsError};
pub use key::{KEYS_MAX, KID_BYTES_MAX, KeyError, KeySet, RSA_BITS_MAX, RSA_BITS_MIN, Thumbprint, VerifyingKey};
pub use set::{SET_BYTES_MAX, SetError};
pub use sign::{SignError, Signer, encode};
