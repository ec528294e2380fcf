//! Whether a token is in the hands of the one it was issued to.
//!
//! This module must not know what a token allows: that is for [`decide`](crate::decide).

use std::sync::Arc;

use crate::jose::constant_time_eq;
use crate::peer::{ChainVerdict, PeerCertificate};
use crate::proof::VerifiedProof;
use crate::rulebook::ClientAuthentication;
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

/// Checks that the certificate of a connection is vouched for as far as its client needs that.
///
/// A client that goes by its certificate needs one that the authorities, or its own list, vouch for now, with a token of
/// yesterday too; and nobody may come with one that was taken back, whatever it is for.
///
/// # Errors
/// [`TokenError::Unvouched`].
pub fn vouched(client: &ClientAuthentication, certificate: Option<&PeerCertificate>) -> Result<(), TokenError> {
    // Without any certificate the binding of the token decides.
    let Some(shown) = certificate else { return Ok(()) };
    let fine = match (client, shown.verdict()) {
        (_, ChainVerdict::Revoked) | (ClientAuthentication::TlsClientAuth(_), ChainVerdict::Unverified) => false,
        // One that policy no longer lists is gone at once.
        (ClientAuthentication::SelfSignedTlsClientAuth(listed), _) => listed.contains(shown.thumbprint()),
        (ClientAuthentication::TlsClientAuth(_), ChainVerdict::Verified(_))
        | (ClientAuthentication::PrivateKeyJwt(_), _) => true,
    };
    if fine { Ok(()) } else { Err(TokenError::Unvouched) }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::jose::KeySet;
    use crate::peer::CertificateNames;
    use crate::rulebook::{CertificateName, KeySource};

    fn shown(verdict: ChainVerdict) -> PeerCertificate {
        PeerCertificate::from_handshake([7; 32], CertificateNames::default(), verdict)
    }

    #[test]
    fn as50_as51_who_goes_by_a_certificate_needs_one_that_is_vouched_for() {
        let by_certificate = ClientAuthentication::TlsClientAuth(CertificateName::SanDns("app.example".into()));
        let by_key = ClientAuthentication::PrivateKeyJwt(KeySource::Given(KeySet::default()));
        let itself = ClientAuthentication::SelfSignedTlsClientAuth(BTreeSet::from([[7; 32]]));
        let unlisted = ClientAuthentication::SelfSignedTlsClientAuth(BTreeSet::from([[8; 32]]));
        let verified = shown(ChainVerdict::Verified(Arc::from("ca")));
        for (verdict, certificate, key, listed, gone) in [
            (Some(&shown(ChainVerdict::Revoked)), false, false, false, false),
            (Some(&shown(ChainVerdict::Unverified)), false, true, true, false),
            (Some(&verified), true, true, true, false),
            (None, true, true, true, true),
        ] {
            assert_eq!(vouched(&by_certificate, verdict).is_ok(), certificate, "{verdict:?}");
            assert_eq!(vouched(&by_key, verdict).is_ok(), key, "{verdict:?}");
            assert_eq!(vouched(&itself, verdict).is_ok(), listed, "{verdict:?}");
            assert_eq!(vouched(&unlisted, verdict).is_ok(), gone, "{verdict:?}");
        }
    }
}
