//! Tokens for what a citizen has granted: by the code, once, and by the refresh token after that.

use thiserror::Error;

use super::client::may_act;
use super::error::GrantError;
use super::exchange::Exchange;
use super::pkce;
use super::request::{CodeRequest, RefreshRequest};
use crate::authorization::{AuthorizationCode, Grant, RefreshToken};
use crate::code::Code;
use crate::details::Narrowed;
use crate::id::{ClientId, GrantId};
use crate::jose::constant_time_eq;
use crate::party::ScopeSet;
use crate::token::{ACCESS_TOKEN_TTL, AccessGrant, Citizen};

/// Why a code or a refresh token gave nothing; a client is told the same of all that concern the code or token itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RedeemError {
    /// The client may not, or the binding lacks something.
    #[error(transparent)]
    Refused(#[from] GrantError),
    /// Nobody has granted it, or what was granted is forgotten.
    #[error("{TOLD}")]
    Unknown,
    /// It belongs to another client.
    #[error("{TOLD}")]
    WrongClient,
    /// It was redeemed before; everything that came of it has to end.
    #[error("{TOLD}")]
    Reused(GrantId),
    /// Its time is over.
    #[error("{TOLD}")]
    Expired,
    /// What was granted was taken back, or is over.
    #[error("{TOLD}")]
    Ended,
    /// The redirect URI is another one.
    #[error("{TOLD}")]
    WrongRedirect,
    /// The verifier is missing, malformed, or another one.
    #[error("{TOLD}")]
    WrongVerifier,
    /// It is bound to another key than the one that is shown.
    #[error("{TOLD}")]
    WrongKey,
}

const TOLD: &str = "the code or token is unknown, over, used, or not for this client, redirect URI, verifier and key";

impl RedeemError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            RedeemError::Refused(error) => error.code(),
            _ => Code::OauthInvalidGrant,
        }
    }

    /// Returns the grant that has to be ended because of it.
    #[must_use]
    pub fn ends(&self) -> Option<&GrantId> {
        match self {
            RedeemError::Reused(grant) => Some(grant),
            _ => None,
        }
    }

    /// Tells whether somebody came with what is another client's, which belongs into the audit trail.
    #[must_use]
    pub fn is_theft(&self) -> bool {
        matches!(self, RedeemError::WrongClient | RedeemError::Reused(_))
    }
}

/// A code that was redeemed; made only by [`redeem`].
#[derive(Debug)]
#[must_use = "a code is redeemed once it is kept as such"]
pub struct Redeemed {
    code: AuthorizationCode,
    access: AccessGrant,
    ends: crate::time::Timestamp,
}

impl Redeemed {
    /// Returns the code as it has to be kept now, in place of what was found; who is slower at that has redeemed nothing.
    #[must_use]
    pub fn code(&self) -> &AuthorizationCode {
        &self.code
    }

    /// Returns what the access token is to say.
    #[must_use]
    pub fn access(&self) -> &AccessGrant {
        &self.access
    }

    /// Makes the refresh token that goes with it; `key` is SHA-256 of fresh randomness.
    #[must_use]
    pub fn refresh_token(&self, key: [u8; 32]) -> RefreshToken {
        RefreshToken { key, client: self.code.client.clone(), grant: self.code.grant.clone(), expires: self.ends }
    }
}

/// Redeems a code (RFC 6749, section 4.1.3; RFC 7636, section 4.6; RFC 9449, section 10).
///
/// `code` is what was kept under the key of `request`, `grant` what it stands for. `jti` is fresh randomness. When its own
/// client comes a second time, that is what is wrong with it, whatever else is: so that the grant ends.
///
/// # Errors
/// [`RedeemError`]; on [`RedeemError::Reused`] the grant has to be ended.
pub fn redeem(
    at: &Exchange<'_>,
    request: &CodeRequest,
    code: &AuthorizationCode,
    grant: Option<&Grant>,
    jti: String,
) -> Result<Redeemed, RedeemError> {
    may_act(at.client.client(), at.now)?;
    is_theirs(at, &code.client)?;
    if code.redeemed {
        return Err(RedeemError::Reused(code.grant.clone()));
    }
    if at.now >= code.expires {
        return Err(RedeemError::Expired);
    }
    if !constant_time_eq(request.redirect_uri.as_bytes(), code.redirect_uri.as_bytes()) {
        return Err(RedeemError::WrongRedirect);
    }
    let verifier = request.verifier.as_ref().ok_or(RedeemError::WrongVerifier)?;
    if !pkce::fits(verifier.expose(), &code.challenge) {
        return Err(RedeemError::WrongVerifier);
    }
    if let Some(bound) = &code.jkt {
        let proof = at.proof.ok_or(GrantError::ProofMissing)?;
        if !constant_time_eq(proof.thumbprint().as_str().as_bytes(), bound.as_str().as_bytes()) {
            return Err(RedeemError::WrongKey);
        }
    }
    let grant = grant.filter(|grant| grant.id == code.grant).ok_or(RedeemError::Unknown)?;
    let access = access(at, grant, None, request.narrowed.as_ref(), jti)?;
    Ok(Redeemed { code: AuthorizationCode { redeemed: true, ..code.clone() }, access, ends: grant.expires })
}

/// Gives a further access token for what a citizen has granted (RFC 6749, section 6).
///
/// `token` is what was kept under the key of `request`, `grant` what it stands for. The refresh token stays as it is: FAPI
/// 2.0, section 5.3.2.1, forbids to rotate it. The access token is bound to what is shown now, which may be another key
/// than before (RFC 9449, section 5).
///
/// # Errors
/// [`RedeemError`].
pub fn refresh(
    at: &Exchange<'_>,
    request: &RefreshRequest,
    token: &RefreshToken,
    grant: Option<&Grant>,
    jti: String,
) -> Result<AccessGrant, RedeemError> {
    may_act(at.client.client(), at.now)?;
    is_theirs(at, &token.client)?;
    if at.now >= token.expires {
        return Err(RedeemError::Expired);
    }
    let grant = grant.filter(|grant| grant.id == token.grant).ok_or(RedeemError::Unknown)?;
    access(at, grant, request.scope.as_deref(), request.narrowed.as_ref(), jti)
}

fn is_theirs(at: &Exchange<'_>, owner: &ClientId) -> Result<(), RedeemError> {
    if at.client.client().id == *owner { Ok(()) } else { Err(RedeemError::WrongClient) }
}

// A token says at most what was granted, what its client may still have, and what the request leaves of it (AS12).
fn access(
    at: &Exchange<'_>,
    grant: &Grant,
    scope: Option<&str>,
    narrowed: Option<&Narrowed>,
    jti: String,
) -> Result<AccessGrant, RedeemError> {
    let client = at.client.client();
    is_theirs(at, &grant.client)?;
    if !grant.is_alive(at.now) {
        return Err(RedeemError::Ended);
    }
    let details = match narrowed {
        None => grant.details.clone(),
        Some(narrowed) => narrowed.leave(&grant.details).ok_or(GrantError::InvalidDetails)?,
    };
    let of_details = ScopeSet::of(details.iter().flat_map(|detail| detail.scopes()));
    let may = |scope: &str| client.scopes.contains(scope) && of_details.contains(scope) && grant.scopes.contains(scope);
    let scopes = match scope {
        None => ScopeSet::of(grant.scopes.iter().filter(|scope| may(scope))),
        Some(text) => ScopeSet::parse(text).filter(|asked| asked.iter().all(may)).ok_or(GrantError::InvalidScope)?,
    };
    if scopes.is_empty() {
        return Err(GrantError::InvalidScope.into());
    }
    Ok(AccessGrant {
        issuer: at.issuer.to_owned(),
        audience: at.audience.to_owned(),
        client: client.id.clone(),
        subject: grant.subject.clone(),
        scopes,
        confirmation: at.confirmation()?,
        jti,
        issued: at.now,
        // No token outlasts what it was granted for.
        expires: (at.now + ACCESS_TOKEN_TTL).min(grant.expires),
        citizen: Some(Citizen {
            grant: grant.id.clone(),
            details,
            acr: grant.acr.clone(),
            authenticated: grant.authenticated,
        }),
    })
}

#[cfg(test)]
#[path = "redeem_tests.rs"]
mod tests;
