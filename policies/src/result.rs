//! Identity results: what a passed verification tells its client, signed by us, good for one request.
//!
//! This module must not know whether a result was spent: that is the store's word, see
//! [`decide::assess`](crate::decide::assess).

use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::code::Code;
use crate::id::{ClientId, VerificationId};
use crate::jose::{ClaimError, CompactJws, JwsError, KeySet};
use crate::time::Timestamp;
use crate::token::LEEWAY;

/// The longest result, in bytes: it travels in one header.
pub const RESULT_BYTES_MAX: usize = 4 * 1024;

/// How long a result may be good for: long enough to repeat the request, short enough that the person is still there.
pub const RESULT_TTL_MAX: Duration = Duration::from_secs(300);

/// The `typ` of a result.
pub const RESULT_TYPE: &str = "identity-result+jwt";

/// Why a result was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResultError {
    /// It is no rightly signed object of ours.
    #[error("the identity result is not valid: {0}")]
    Jws(#[from] JwsError),
    /// A claim is missing or malformed.
    #[error("the identity result is not valid: {0}")]
    Claim(#[from] ClaimError),
    /// Its `typ` is another one.
    #[error("the object is no identity result")]
    WrongType,
    /// Another issuer made it.
    #[error("the identity result is from another issuer")]
    WrongIssuer,
    /// It was made for another client.
    #[error("the identity result is for another client")]
    WrongClient,
    /// Its time has not come, or it claims to be good for longer than any.
    #[error("the identity result is not from now")]
    NotNow,
    /// Its time is over.
    #[error("the identity result has expired")]
    Expired,
}

impl ResultError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::VerificationFailed
    }
}

/// What a result is to say.
#[derive(Debug, Clone)]
pub struct ResultGrant {
    /// Who issues it.
    pub issuer: String,
    /// To whom.
    pub client: ClientId,
    /// The keyed hash of the person's number, pairwise per client.
    pub subject: String,
    /// The verification it came from.
    pub verification: VerificationId,
    /// The one request it is good for, if it is bound to one.
    pub binding_hash: Option<String>,
    /// The context class that was reached.
    pub acr: String,
    /// How it was reached (RFC 8176).
    pub amr: Vec<String>,
    /// Its id, by which it is spent.
    pub jti: String,
    /// When it is issued.
    pub issued: Timestamp,
    /// When it ends; at most [`RESULT_TTL_MAX`] later, or nobody accepts it.
    pub expires: Timestamp,
}

/// Writes the claims of a result.
#[must_use]
pub fn claims(grant: &ResultGrant) -> Value {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", Value::from(grant.issuer.as_str()));
    put("aud", Value::from(grant.client.as_str()));
    put("sub", Value::from(grant.subject.as_str()));
    put("verification", Value::from(grant.verification.as_str()));
    put("acr", Value::from(grant.acr.as_str()));
    put("amr", Value::from(grant.amr.clone()));
    put("jti", Value::from(grant.jti.as_str()));
    put("iat", Value::from(grant.issued.seconds()));
    put("exp", Value::from(grant.expires.seconds()));
    if let Some(hash) = &grant.binding_hash {
        put("binding", Value::from(hash.as_str()));
    }
    Value::Object(claims)
}

/// A result of ours, for this client, in its time; made only by [`check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityResult {
    verification: VerificationId,
    subject: String,
    binding_hash: Option<String>,
    acr: String,
    jti: String,
    expires: Timestamp,
}

impl IdentityResult {
    /// Returns the verification it came from.
    #[must_use]
    pub fn verification(&self) -> &VerificationId {
        &self.verification
    }

    /// Returns the pairwise subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the one request it is good for, if it is bound to one.
    #[must_use]
    pub fn binding_hash(&self) -> Option<&str> {
        self.binding_hash.as_deref()
    }

    /// Returns the context class that was reached.
    #[must_use]
    pub fn acr(&self) -> &str {
        &self.acr
    }

    /// Returns the id by which it is spent.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// Returns its `exp`.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Tells whether its time is over: from `exp` + [`LEEWAY`] on.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires + LEEWAY
    }
}

/// Checks a result that `client` presents.
///
/// Does not check what it is bound to, how strong it is, or whether it was spent.
///
/// # Errors
/// [`ResultError`]; [`ResultError::Expired`] from `exp` + [`LEEWAY`] on.
pub fn check(
    raw: &str,
    keys: &KeySet,
    issuer: &str,
    client: &ClientId,
    now: Timestamp,
) -> Result<IdentityResult, ResultError> {
    let jws = CompactJws::parse(raw, RESULT_BYTES_MAX)?;
    if jws.typ() != Some(RESULT_TYPE) {
        return Err(ResultError::WrongType);
    }
    if jws.peek().required_string("iss")? != issuer {
        return Err(ResultError::WrongIssuer);
    }
    let claims = jws.verify_with_any(keys)?;
    if !claims.audience_is(client.as_str())? {
        return Err(ResultError::WrongClient);
    }
    let (issued, expires) = (claims.required_instant("iat")?, claims.required_instant("exp")?);
    if now >= expires + LEEWAY {
        return Err(ResultError::Expired);
    }
    if issued > now + LEEWAY || expires > issued + RESULT_TTL_MAX {
        return Err(ResultError::NotNow);
    }
    let verification = VerificationId::parse(claims.required_string("verification")?)
        .map_err(|_| ClaimError::OutOfRange("verification"))?;
    Ok(IdentityResult {
        verification,
        subject: claims.required_string("sub")?.to_owned(),
        binding_hash: claims.string("binding")?.map(str::to_owned),
        acr: claims.required_string("acr")?.to_owned(),
        jti: claims.jti()?.to_owned(),
        expires,
    })
}

#[cfg(test)]
#[path = "result_tests.rs"]
mod tests;
