//! Callbacks of identity providers, signed over their raw bytes (Standard Webhooks, symmetric `v1`).
//!
//! This module must not know what a callback says: the body is bytes here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

use thiserror::Error;

use crate::code::Code;
use crate::id::ProviderId;
use crate::jose::{constant_time_eq, hmac_sha256};
use crate::time::Timestamp;

/// How far the callback's timestamp may be from now, either way (Standard Webhooks, "Verifying timestamps").
pub const CALLBACK_WINDOW: Duration = Duration::from_secs(300);

/// The shortest secret, in bytes (Standard Webhooks: 24 to 64).
pub const SECRET_BYTES_MIN: usize = 24;

/// The longest callback id, in bytes.
pub const CALLBACK_ID_BYTES_MAX: usize = 128;

/// The most signatures that are looked at: two secrets during a rotation, with room.
pub const SIGNATURES_MAX: usize = 8;

/// Why a callback was not accepted; the sender is told one thing only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CallbackError {
    /// The configured secret is too short to mean anything.
    #[error("the callback secret is too short")]
    WeakSecret,
    /// Id or timestamp is not what the standard allows.
    #[error("the callback's id or timestamp is malformed")]
    Malformed,
    /// It was made too long ago, or its time has not come.
    #[error("the callback is not from now")]
    NotNow,
    /// None of the signatures is right.
    #[error("the callback's signature is wrong")]
    BadSignature,
}

impl CallbackError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::SignatureInvalid
    }
}

/// A callback that the provider sent; made only by [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCallback {
    provider: ProviderId,
    id: String,
}

impl VerifiedCallback {
    /// Returns who sent it.
    #[must_use]
    pub fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// Returns its id, the same when it is sent again.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Checks a callback of `provider`, whose shared secret is `secret`.
///
/// `signatures` are `version,base64` pairs with single spaces between; those of other versions are passed over. The
/// timestamp is in whole seconds, [`CALLBACK_WINDOW`] either way, both ends included. A callback may come again within
/// that time: what it causes must not depend on how often.
///
/// # Errors
/// [`CallbackError`].
pub fn verify(
    secret: &[u8],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    provider: &ProviderId,
    now: Timestamp,
) -> Result<VerifiedCallback, CallbackError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(CallbackError::WeakSecret);
    }
    // A dot in the id would let the parts of the signed text be cut in two ways.
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
    if id.is_empty() || id.len() > CALLBACK_ID_BYTES_MAX || !id.bytes().all(plain) {
        return Err(CallbackError::Malformed);
    }
    let made = parse_seconds(timestamp).ok_or(CallbackError::Malformed)?;
    if made + CALLBACK_WINDOW < now || made > now + CALLBACK_WINDOW {
        return Err(CallbackError::NotNow);
    }
    let mut signed = Vec::with_capacity(id.len() + timestamp.len() + body.len() + 2);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        signed.extend_from_slice(part);
    }
    let expected = hmac_sha256(secret, &signed);
    let is_ours = |entry: &str| {
        let bytes = entry.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| constant_time_eq(&bytes, &expected))
    };
    if !signatures.split(' ').take(SIGNATURES_MAX).any(is_ours) {
        return Err(CallbackError::BadSignature);
    }
    Ok(VerifiedCallback { provider: provider.clone(), id: id.to_owned() })
}

// Twelve digits reach beyond the year 9999 and still fit milliseconds.
fn parse_seconds(text: &str) -> Option<Timestamp> {
    if text.is_empty() || text.len() > 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().map(Timestamp::from_seconds)
}

#[cfg(test)]
#[path = "callback_tests.rs"]
mod tests;
