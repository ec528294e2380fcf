//! DPoP proofs (RFC 9449): that the sender of this request holds a key.
//!
//! The order is cheap checks, signature, replay: an invalid proof must not be able to fill or burn the replay store.
//! This module must not know whose key it is: that is for [`binding::bind`](crate::binding::bind) and
//! [`grant`](crate::grant).

use std::borrow::Cow;
use std::time::Duration;

use thiserror::Error;

use crate::code::Code;
use crate::jose::{ClaimError, Claims, CompactJws, JwsError, Thumbprint, base64url, constant_time_eq, digest_of_parts};
use crate::nonce::{Judged, Nonces};
use crate::time::Timestamp;
use crate::token::{BearerToken, LEEWAY};

/// The longest proof, in bytes: with an RSA key of 4096 bits it has about 2 KiB.
pub const PROOF_BYTES_MAX: usize = 4 * 1024;

/// How long a proof is good for after its `iat`.
pub const PROOF_AGE_MAX: Duration = Duration::from_secs(60);

/// How far ahead of our clock its `iat` may lie.
pub const PROOF_AHEAD_MAX: Duration = LEEWAY;

/// The longest `htu`, in bytes: as long as the longest request target we take.
pub const TARGET_BYTES_MAX: usize = 2048;

/// The `typ` of a proof.
pub const PROOF_TYPE: &str = "dpop+jwt";

/// Why a proof was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// It is no rightly signed object, or its key is no good.
    #[error("the DPoP proof is not valid: {0}")]
    Jws(#[from] JwsError),
    /// Its `typ` is another one.
    #[error("the DPoP proof has the wrong type")]
    WrongType,
    /// A claim is missing or malformed.
    #[error("the DPoP proof is not valid: {0}")]
    Claim(#[from] ClaimError),
    /// It is for another method.
    #[error("the DPoP proof is for another method")]
    WrongMethod,
    /// It is for another URL.
    #[error("the DPoP proof is for another URL")]
    WrongTarget,
    /// It is for another access token, or for none.
    #[error("the DPoP proof is for another access token")]
    WrongToken,
    /// It was made too long ago or too far ahead, or its own `exp` and `nbf` say so.
    #[error("the DPoP proof is not from now")]
    NotNow,
    /// It names no nonce of ours that is of now; one with this nonce would do.
    #[error("the DPoP proof needs the nonce that comes with this answer")]
    NonceNeeded(String),
    /// It was used before.
    #[error("the DPoP proof was used before")]
    Replayed,
}

impl ProofError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            ProofError::Replayed => Code::ProofReplayed,
            ProofError::NonceNeeded(_) => Code::ProofNonceNeeded,
            _ => Code::ProofInvalid,
        }
    }

    /// Returns the nonce that the next proof has to name, if that is what is missing.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        match self {
            ProofError::NonceNeeded(nonce) => Some(nonce),
            _ => None,
        }
    }
}

/// What a proof has to fit.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL of the request without query: our configured external origin and the canonical path, never a header.
    pub target: &'a str,
    /// The access token that came with it; `None` at the token endpoint.
    pub token: Option<&'a BearerToken>,
    /// The nonces of the client that sends it.
    pub nonces: Nonces<'a>,
}

/// A proof with everything checked but its replay; made only by [`check`].
#[derive(Debug)]
#[must_use = "a proof counts only once its replay was asked for"]
pub struct CheckedProof {
    thumbprint: Thumbprint,
    replay_key: [u8; 32],
    keep_until: Timestamp,
    token_hash: Option<[u8; 32]>,
    next_nonce: Option<String>,
}

impl CheckedProof {
    /// Returns the thumbprint of its key.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns the key under which it may be used once: a hash of its key, URL and `jti`.
    #[must_use]
    pub fn replay_key(&self) -> [u8; 32] {
        self.replay_key
    }

    /// Returns until when it has to be remembered; later it is refused for its age.
    #[must_use]
    pub fn keep_until(&self) -> Timestamp {
        self.keep_until
    }

    /// Takes the replay store's word: `fresh` if it had never seen the key.
    ///
    /// # Errors
    /// [`ProofError::Replayed`].
    pub fn accept(self, fresh: bool) -> Result<VerifiedProof, ProofError> {
        if !fresh {
            return Err(ProofError::Replayed);
        }
        let Self { thumbprint, token_hash, next_nonce, .. } = self;
        Ok(VerifiedProof { thumbprint, token_hash, next_nonce })
    }
}

/// A proof that holds for this request; made only by [`CheckedProof::accept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedProof {
    thumbprint: Thumbprint,
    token_hash: Option<[u8; 32]>,
    next_nonce: Option<String>,
}

impl VerifiedProof {
    /// Returns the thumbprint of the key whose possession it proves.
    #[must_use]
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns SHA-256 of the access token it was made for, if it was checked against one.
    #[must_use]
    pub fn token_hash(&self) -> Option<&[u8; 32]> {
        self.token_hash.as_ref()
    }

    /// Returns the nonce that the next proof should name, if that of this one is about to end.
    #[must_use]
    pub fn next_nonce(&self) -> Option<&str> {
        self.next_nonce.as_deref()
    }
}

/// Checks a proof against RFC 9449, section 4.3; everything but its replay.
///
/// # Errors
/// [`ProofError`]. Times: accepted from `iat` - [`PROOF_AHEAD_MAX`] to `iat` + [`PROOF_AGE_MAX`], both included; its
/// own `exp` and `nbf` narrow that, with [`LEEWAY`].
pub fn check(raw: &str, expected: &Expected<'_>, now: Timestamp) -> Result<CheckedProof, ProofError> {
    let jws = CompactJws::parse(raw, PROOF_BYTES_MAX)?;
    if jws.typ() != Some(PROOF_TYPE) {
        return Err(ProofError::WrongType);
    }
    let token_hash = expected.token.map(BearerToken::hash);
    let issued = check_claims(jws.peek(), expected, token_hash.as_ref(), now)?;
    let next_nonce = check_nonce(jws.peek(), expected, now)?;
    let (key, claims) = jws.verify_with_embedded()?;
    let thumbprint = key.thumbprint().clone();
    let parts = [b"dpop", thumbprint.as_str().as_bytes(), expected.target.as_bytes(), claims.jti()?.as_bytes()];
    Ok(CheckedProof {
        replay_key: digest_of_parts(&parts),
        thumbprint,
        // Longer than the window by the skew between replicas: forgotten earlier, it could be used twice.
        keep_until: issued + PROOF_AGE_MAX + LEEWAY,
        token_hash,
        next_nonce,
    })
}

// Last of what needs no cryptography: who has to come again should not find out one fault after the other.
fn check_nonce(claims: &Claims, expected: &Expected<'_>, now: Timestamp) -> Result<Option<String>, ProofError> {
    match expected.nonces.judge(claims.string("nonce")?, now) {
        Judged::Fine => Ok(None),
        Judged::Ending(next) => Ok(Some(next)),
        Judged::Refused(nonce) => Err(ProofError::NonceNeeded(nonce)),
    }
}

// What needs no cryptography beyond the token's hash; gives `iat`.
fn check_claims(
    claims: &Claims,
    expected: &Expected<'_>,
    token_hash: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Timestamp, ProofError> {
    claims.jti()?;
    if claims.required_string("htm")? != expected.method {
        return Err(ProofError::WrongMethod);
    }
    if !is_same_target(claims.required_string("htu")?, expected.target) {
        return Err(ProofError::WrongTarget);
    }
    let issued = claims.required_instant("iat")?;
    let ended = claims.instant("exp")?.is_some_and(|expires| now >= expires + LEEWAY);
    let ahead = claims.instant("nbf")?.is_some_and(|begins| begins > now + LEEWAY);
    if issued > now + PROOF_AHEAD_MAX || issued + PROOF_AGE_MAX < now || ended || ahead {
        return Err(ProofError::NotNow);
    }
    let told = claims.string("ath")?;
    if let Some(hash) = token_hash {
        let told = told.ok_or(ClaimError::Missing("ath"))?;
        if !constant_time_eq(told.as_bytes(), base64url(hash).as_bytes()) {
            return Err(ProofError::WrongToken);
        }
    }
    Ok(issued)
}

// Query and fragment of `htu` do not count (RFC 9449, section 4.3, item 9).
fn is_same_target(told: &str, expected: &str) -> bool {
    if told.len() > TARGET_BYTES_MAX {
        return false;
    }
    let told = told.split(['?', '#']).next().unwrap_or(told);
    told == expected || normalise_url(told).is_some_and(|told| Some(told) == normalise_url(expected))
}

/// Writes an http or https URL in its normal form (RFC 3986, sections 6.2.2 and 6.2.3); `None` if it is none.
///
/// Letter case of scheme, host and percent triplets, default and empty ports, unreserved characters in triplets, dot
/// segments and an empty path are made one. A query or fragment, user information, and characters that no URL has are
/// refused. Doing it twice changes nothing.
#[must_use]
pub fn normalise_url(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let (host, port) = split_authority(authority)?;
    let mut normal = format!("{scheme}://{}", host.to_ascii_lowercase());
    if port.is_some_and(|port| port != default_port) {
        normal.push_str(&format!(":{}", port.unwrap_or(default_port)));
    }
    normal.push_str(&without_dot_segments(&normal_triplets(path)?));
    Some(normal)
}

// Host and port; an empty port is no port. User information has no place in a target.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if authority.starts_with('[') {
        let (address, port) = authority.split_at(authority.find(']')? + 1);
        let inner = address.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<std::net::Ipv6Addr>().ok()?;
        (address, port)
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || !(host.starts_with('[') || host.bytes().all(name)) {
        return None;
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        Some("") => Some((host, None)),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some((host, Some(digits.parse().ok()?))),
        _ => None,
    }
}

// Upper-case triplets, unreserved ones decoded; `None` for what may not stand in a path.
fn normal_triplets(path: &str) -> Option<Cow<'_, str>> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let sub_delimiter = |byte: u8| b"!$&'()*+,;=:@/".contains(&byte);
    if !path.contains('%') {
        return path.bytes().all(|byte| unreserved(byte) || sub_delimiter(byte)).then_some(Cow::Borrowed(path));
    }
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            let value = u8::try_from(high * 16 + low).ok()?;
            if unreserved(value) {
                normal.push(char::from(value));
            } else {
                normal.push_str(&format!("%{value:02X}"));
            }
        } else if unreserved(byte) || sub_delimiter(byte) {
            normal.push(char::from(byte));
        } else {
            return None;
        }
    }
    Some(Cow::Owned(normal))
}

// RFC 3986, section 5.2.4, for a path that begins with a slash.
fn without_dot_segments(path: &str) -> Cow<'_, str> {
    if !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    Cow::Owned(format!("/{}", kept.join("/")))
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
