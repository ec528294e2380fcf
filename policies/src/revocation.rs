//! What has been taken back: tokens by their `jti`, and everything under a grant.
//!
//! A list of names is short, because a token that is over needs no name on it. This module must not know how the list
//! reaches every replica.

use crate::id::GrantId;
use crate::jose::digest_of_parts;
use crate::time::Timestamp;

/// Something that was taken back, and for how long that has to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// A hash of what it is.
    pub name: [u8; 32],
    /// From when on every token that it could concern is over.
    pub until: Timestamp,
}

/// Names a token of an issuer.
#[must_use]
pub fn token(issuer: &str, jti: &str) -> [u8; 32] {
    digest_of_parts(&[b"revoked token", issuer.as_bytes(), jti.as_bytes()])
}

/// Names everything under a grant of ours.
#[must_use]
pub fn grant(id: &GrantId) -> [u8; 32] {
    digest_of_parts(&[b"revoked grant", id.as_str().as_bytes()])
}
