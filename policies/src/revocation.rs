//! What has been taken back: tokens by their `jti`, and everything under a grant.
//!
//! A list of names is short, because a token that is over needs no name on it. This module must not know how the list
//! reaches every replica.

use crate::authorization::RefreshToken;
use crate::id::{ClientId, GrantId};
use crate::jose::digest_of_parts;
use crate::time::Timestamp;
use crate::token::{ACCESS_TOKEN_TTL, LEEWAY, VerifiedToken};

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

/// Takes back every token under a grant.
#[must_use]
pub fn of_grant(id: &GrantId, now: Timestamp) -> Revoked {
    // Twice the leeway: the last token may have been issued by a replica whose clock is ahead.
    Revoked { name: grant(id), until: now + ACCESS_TOKEN_TTL + LEEWAY + LEEWAY }
}

/// Takes back one token of an issuer.
#[must_use]
pub fn of_token(issuer: &str, taken: &VerifiedToken) -> Revoked {
    Revoked { name: token(issuer, taken.jti()), until: taken.expires() + LEEWAY + LEEWAY }
}

/// Returns the names under which a token of an issuer may have been taken back: its own, and that of its grant.
pub fn names(issuer: &str, of: &VerifiedToken) -> impl Iterator<Item = [u8; 32]> {
    std::iter::once(token(issuer, of.jti())).chain(of.citizen().map(|citizen| grant(&citizen.grant)))
}

/// What a client has shown to have it taken back (RFC 7009).
#[derive(Debug, Clone, Copy)]
pub enum Presented<'a> {
    /// A refresh token that is kept.
    Refresh(&'a RefreshToken),
    /// An access token of ours that is not over.
    Access(&'a VerifiedToken),
    /// Anything else.
    Unknown,
}

/// What is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// Nothing: it was unknown, or is another client's; the answer is the same.
    Nothing,
    /// One access token.
    Token(Revoked),
    /// Everything under a grant, and the grant itself.
    Grant(GrantId),
}

/// Judges what a client wants to have taken back (RFC 7009, section 2.1): only what is its own.
#[must_use]
pub fn asked(client: &ClientId, issuer: &str, presented: Presented<'_>) -> Revocation {
    match presented {
        Presented::Refresh(token) if token.client == *client => Revocation::Grant(token.grant.clone()),
        Presented::Access(token) if token.client() == client => Revocation::Token(of_token(issuer, token)),
        Presented::Refresh(_) | Presented::Access(_) | Presented::Unknown => Revocation::Nothing,
    }
}

#[cfg(test)]
#[path = "revocation_tests.rs"]
mod tests;
