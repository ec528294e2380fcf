//! Proof key for code exchange (RFC 7636), method S256 only.

use crate::jose::{base64url, base64url_decode_strict, constant_time_eq, sha256};

/// The fewest characters of a verifier (RFC 7636, section 4.1).
pub const VERIFIER_CHARACTERS_MIN: usize = 43;

/// The most characters of a verifier (RFC 7636, section 4.1).
pub const VERIFIER_CHARACTERS_MAX: usize = 128;

/// Tells whether a text can be a challenge of the method S256: base64url of 32 bytes, 43 characters.
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    base64url_decode_strict(text).is_some_and(|bytes| bytes.len() == 32)
}

/// Tells whether a verifier is well formed and the challenge was made of it; compared in constant time.
#[must_use]
pub fn fits(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let well_formed = (VERIFIER_CHARACTERS_MIN..=VERIFIER_CHARACTERS_MAX).contains(&verifier.len())
        && verifier.bytes().all(unreserved);
    let made = base64url(&sha256(verifier.as_bytes()));
    well_formed && is_challenge(challenge) && constant_time_eq(made.as_bytes(), challenge.as_bytes())
}
