//! `POST /oauth/token`: an authenticated client gets a sender-constrained access token.

use policies::code::Code;
use policies::grant::{self, AuthenticatedClient};
use policies::jose::{self, Signer};
use policies::peer::PeerCertificate;
use policies::proof::VerifiedProof;
use policies::time::Timestamp;
use policies::token::{self, Confirmation};
use serde_json::{Value, json};
use spine::error::Rejection;

/// Who issues.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// The issuer; also the one audience of its tokens.
    pub issuer: &'a str,
    /// The key that signs.
    pub signer: &'a dyn Signer,
}

/// Issues a token for `client_credentials`; gives the body of the answer (RFC 6749, 5.1).
///
/// # Errors
/// The refusal of [`grant::client_credentials`], or [`Code::Internal`] if the key cannot sign.
pub fn issue(
    server: &Server<'_>,
    client: &AuthenticatedClient,
    proof: Option<&VerifiedProof>,
    certificate: Option<&PeerCertificate>,
    jti: String,
    now: Timestamp,
) -> Result<Value, Rejection> {
    let granted = grant::client_credentials(client, proof, certificate, server.issuer, server.issuer, jti, now)
        .map_err(|error| Rejection::new(error.code(), error.to_string()).because(&error))?;
    let signed = jose::encode("at+jwt", &token::claims(&granted), None, server.signer)
        .map_err(|error| Rejection::new(Code::Internal, "The token could not be signed.").because(error))?;
    let token_type = match granted.confirmation {
        Confirmation::Jkt(_) => "DPoP",
        Confirmation::X5tS256(_) => "Bearer",
    };
    Ok(json!({
        "access_token": signed,
        "token_type": token_type,
        "expires_in": granted.expires.since(now).as_secs(),
        "scope": granted.scopes.to_string(),
    }))
}
