//! Whether a token is in the hands of the one it was issued to.
//!
//! This module must not know what a token allows: that is for [`decide`](crate::decide).

use std::sync::Arc;

use crate::jose::constant_time_eq;
use crate::peer::PeerCertificate;
use crate::proof::VerifiedProof;
use crate::token::{Confirmation, Scheme, TokenError, VerifiedToken};

/// A token in the hands of the one it was issued to; made only by [`bind`].
#[derive(Debug, Clone)]
pub struct BoundToken(Arc<VerifiedToken>);

impl BoundToken {
    /// Returns the token.
    #[must_use]
    pub fn token(&self) -> &VerifiedToken {
        &self.0
    }
}

/// Checks that the sender holds what the token is bound to.
///
/// A token bound to a key needs the scheme `DPoP` and a proof for this very token; one bound to a certificate needs the
/// scheme `Bearer` and that certificate on this connection.
///
/// # Errors
/// [`TokenError::WrongScheme`], [`TokenError::ProofMissing`], [`TokenError::WrongHolder`].
pub fn bind(
    token: impl Into<Arc<VerifiedToken>>,
    scheme: Scheme,
    proof: Option<&VerifiedProof>,
    certificate: Option<&PeerCertificate>,
) -> Result<BoundToken, TokenError> {
    let token = token.into();
    match (token.confirmation(), scheme) {
        (Confirmation::Jkt(expected), Scheme::Dpop) => {
            let proof =
                proof.filter(|proof| proof.token_hash() == Some(token.hash())).ok_or(TokenError::ProofMissing)?;
            if !constant_time_eq(proof.thumbprint().as_str().as_bytes(), expected.as_str().as_bytes()) {
                return Err(TokenError::WrongHolder);
            }
        }
        (Confirmation::X5tS256(expected), Scheme::Bearer) => {
            let shown = certificate.ok_or(TokenError::WrongHolder)?;
            if !constant_time_eq(shown.thumbprint(), expected) {
                return Err(TokenError::WrongHolder);
            }
        }
        (Confirmation::Jkt(_), Scheme::Bearer) | (Confirmation::X5tS256(_), Scheme::Dpop) => {
            return Err(TokenError::WrongScheme);
        }
    }
    Ok(BoundToken(token))
}
