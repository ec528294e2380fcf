//! Delivering an event to a client's endpoint as Standard Webhooks 1.0 has it: the signature, the schedule, and what an
//! answer means.
//!
//! Must not know how a message is sent. Source: the specification of Standard Webhooks, version 1.0.0; its sections are
//! named where they are used.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::jose::hmac_sha256;
use crate::rulebook::{Client, Webhook};
use crate::secret::Secret;
use crate::time::Timestamp;

/// What a written secret begins with ("Signature scheme").
pub const SECRET_PREFIX: &str = "whsec_";

/// The shortest secret, in bytes ("Signature scheme": 192 bits).
pub const SECRET_BYTES_MIN: usize = 24;

/// The longest secret, in bytes ("Signature scheme": 512 bits).
pub const SECRET_BYTES_MAX: usize = 64;

/// The most secrets of one endpoint: the current one, and the one before during a rotation.
pub const SECRETS_MAX: usize = 2;

/// How long each attempt waits after the one before it ("Deliverability and reliability", example retry schedule): the
/// last comes about three days after the first.
pub const SCHEDULE: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(5 * 3600),
    Duration::from_secs(10 * 3600),
    Duration::from_secs(14 * 3600),
    Duration::from_secs(20 * 3600),
    Duration::from_secs(24 * 3600),
];

/// By how much of itself jitter makes a wait longer at most: a fifth, so that endpoints that failed together do not all
/// come back in the same second.
pub const JITTER_DIVISOR: u32 = 5;

/// The longest wait that an endpoint may ask for: more, and events would be over before they are told.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// Why a text is not a secret; never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SecretError {
    /// It does not begin with [`SECRET_PREFIX`].
    #[error("a webhook secret begins with `{SECRET_PREFIX}`")]
    Prefix,
    /// What follows is not base64.
    #[error("a webhook secret is base64 behind `{SECRET_PREFIX}`")]
    Encoding,
    /// It is shorter than [`SECRET_BYTES_MIN`] or longer than [`SECRET_BYTES_MAX`].
    #[error("a webhook secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes")]
    Length,
}

/// The secret under which messages to one endpoint are signed; made only by [`SigningSecret::parse`].
#[derive(Debug, Clone)]
pub struct SigningSecret(Secret<Vec<u8>>);

impl SigningSecret {
    /// Reads a secret as it is handed to the endpoint's owner: `whsec_` and base64 of 24 to 64 bytes.
    ///
    /// Blanks around it are passed over: files end with a line break.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.trim().strip_prefix(SECRET_PREFIX).ok_or(SecretError::Prefix)?;
        let mut bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| SecretError::Encoding)?);
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(SecretError::Length);
        }
        Ok(Self(Secret::new(std::mem::take(&mut *bytes))))
    }
}

/// The headers of one attempt ("Webhook headers").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `webhook-id`: the event's own id, the same in every attempt.
    pub id: String,
    /// `webhook-timestamp`: when this attempt is made, in seconds since 1970.
    pub timestamp: String,
    /// `webhook-signature`: one signature for each secret, with blanks between.
    pub signature: String,
}

/// Signs a message for each of `secrets`; none if there is no secret, or the id could be cut in two ways.
#[must_use]
pub fn sign(secrets: &[SigningSecret], id: &str, body: &[u8], now: Timestamp) -> Option<Signed> {
    if secrets.is_empty() || id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') {
        return None;
    }
    let timestamp = now.seconds().to_string();
    let mut content = Vec::with_capacity(id.len() + timestamp.len() + body.len() + 2);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        content.extend_from_slice(part);
    }
    let one = |secret: &SigningSecret| format!("v1,{}", STANDARD.encode(hmac_sha256(secret.0.expose(), &content)));
    let signature = secrets.iter().map(one).collect::<Vec<_>>().join(" ");
    Some(Signed { id: id.to_owned(), timestamp, signature })
}

/// What came back of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// An answer.
    Answer {
        /// Its HTTP status.
        status: u16,
        /// Its `Retry-After` (RFC 9110, 10.2.3).
        retry_after: Option<&'a str>,
    },
    /// No whole answer, for whatever reason.
    Nothing,
}

/// What is to be done with an event after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more: the endpoint took it.
    Delivered,
    /// Try again then.
    Again(Timestamp),
    /// Try no more.
    Parked,
}

/// Judges an attempt ("Delivery success and failure").
///
/// `attempts` counts this one too. `jitter` is a number drawn by lot. A redirection is a failure like any other. What an
/// endpoint asks for by `Retry-After` never makes the wait shorter than the schedule has it, nor longer than
/// [`RETRY_AFTER_MAX`].
#[must_use]
pub fn judge(heard: Heard<'_>, attempts: u32, jitter: u8, now: Timestamp) -> Verdict {
    let asked = match heard {
        Heard::Answer { status: 200..=299, .. } => return Verdict::Delivered,
        // The endpoint's owner wants no more of it.
        Heard::Answer { status: 410, .. } => return Verdict::Parked,
        Heard::Answer { status: 429 | 503, retry_after: Some(text) } => wait(text, now),
        Heard::Answer { .. } | Heard::Nothing => None,
    };
    let next = usize::try_from(attempts).ok().and_then(|attempts| SCHEDULE.get(attempts));
    let Some(planned) = next else { return Verdict::Parked };
    let planned = *planned + *planned / JITTER_DIVISOR * u32::from(jitter) / u32::from(u8::MAX);
    let asked = asked.unwrap_or_default().min(RETRY_AFTER_MAX);
    Verdict::Again(now + planned.max(asked))
}

/// Tells whether a client is to be told anything now: as whoever may not call is not called either.
#[must_use]
pub fn endpoint(client: &Client, now: Timestamp) -> Option<&Webhook> {
    let organisation = &client.organisation;
    let active = !client.suspended && !organisation.suspended && now < organisation.licence_ends;
    client.webhook.as_ref().filter(|_| active)
}

// Whole seconds, or a date of the one form that RFC 9110 (5.6.7) has anybody write: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs));
    }
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.split_once(", ")?;
    let mut parts = date.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (clock, zone) = (parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let date = Timestamp::from_date(&format!("{year}-{month:02}-{day}"))?;
    let mut units = clock.split(':').map(|part| part.parse::<u64>().ok().filter(|_| part.len() == 2));
    let (hours, minutes, seconds) = (units.next()??, units.next()??, units.next()??);
    let within = hours < 24 && minutes < 60 && seconds < 61 && units.next().is_none();
    let fine = within && zone == "GMT" && parts.next().is_none();
    fine.then(|| (date + Duration::from_secs(hours * 3600 + minutes * 60 + seconds)).since(now))
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
