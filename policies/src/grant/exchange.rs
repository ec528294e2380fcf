//! One token request with everything around it, and what its token is bound to.

use super::client::{AuthenticatedClient, may_act};
use super::error::GrantError;
use crate::party::{ScopeSet, TokenBinding};
use crate::peer::PeerCertificate;
use crate::proof::VerifiedProof;
use crate::time::Timestamp;
use crate::token::{ACCESS_TOKEN_TTL, AccessGrant, Confirmation};

/// A token request of an authenticated client.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The client.
    pub client: &'a AuthenticatedClient,
    /// The DPoP proof that came with the request.
    pub proof: Option<&'a VerifiedProof>,
    /// The certificate of the connection.
    pub certificate: Option<&'a PeerCertificate>,
    /// Who issues.
    pub issuer: &'a str,
    /// The one resource that the token is for.
    pub audience: &'a str,
    /// When.
    pub now: Timestamp,
}

impl Exchange<'_> {
    /// Tells what the token is to be bound to: the key or certificate that is shown with this very request.
    ///
    /// # Errors
    /// What the binding lacks: a token that is bound to nothing is never granted.
    pub(super) fn confirmation(&self) -> Result<Confirmation, GrantError> {
        let by_key = self.proof.map(|proof| Confirmation::Jkt(proof.thumbprint().clone()));
        let by_certificate = self.certificate.map(|certificate| Confirmation::X5tS256(*certificate.thumbprint()));
        match (self.client.client().binding, by_key, by_certificate) {
            (TokenBinding::Dpop | TokenBinding::Either, Some(key), _) => Ok(key),
            // A client that shows a proof asks for a bound key; a token of the other kind would be of no use to it.
            (TokenBinding::Mtls, Some(_), _) => Err(GrantError::WrongBinding),
            (TokenBinding::Mtls | TokenBinding::Either, None, Some(certificate)) => Ok(certificate),
            (TokenBinding::Dpop | TokenBinding::Either, None, _) => Err(GrantError::ProofMissing),
            (TokenBinding::Mtls, None, None) => Err(GrantError::CertificateMissing),
        }
    }
}

/// Grants an access token to a client for itself (RFC 6749, section 4.4), bound to the key or certificate it shows.
///
/// Without a scope parameter all of the client's scopes are granted. `jti` is fresh randomness.
///
/// # Errors
/// [`GrantError::Suspended`], [`GrantError::InvalidScope`], or what the binding lacks.
pub fn client_credentials(at: &Exchange<'_>, scope: Option<&str>, jti: String) -> Result<AccessGrant, GrantError> {
    let client = at.client.client();
    may_act(client, at.now)?;
    let scopes = match scope {
        None => client.scopes.clone(),
        Some(text) => ScopeSet::parse(text).ok_or(GrantError::InvalidScope)?,
    };
    if scopes.is_empty() || !client.scopes.covers(&scopes) {
        return Err(GrantError::InvalidScope);
    }
    Ok(AccessGrant {
        issuer: at.issuer.to_owned(),
        audience: at.audience.to_owned(),
        client: client.id.clone(),
        subject: client.id.as_str().to_owned(),
        scopes,
        confirmation: at.confirmation()?,
        jti,
        issued: at.now,
        expires: at.now + ACCESS_TOKEN_TTL,
        citizen: None,
    })
}
