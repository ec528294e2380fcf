//! `POST /oauth/introspect`: a resource server asks what a token is worth (RFC 7662).

use adapters::authorizations::{find, grant_key};
use policies::authorization::Grant;
use policies::code::Code;
use policies::grant::AuthenticatedClient;
use policies::introspection;
use policies::revocation;
use policies::time::Timestamp;
use policies::token::{self, BearerToken, Expected, VerifiedToken};
use serde_json::Value;
use spine::error::Rejection;

use crate::{Server, away};

/// Tells what the token of a form is worth; gives the body of the answer.
///
/// # Errors
/// If the client may not ask, or asks for nothing; an outage of the store.
pub async fn introspect(server: &Server<'_>, client: &AuthenticatedClient, now: Timestamp) -> Result<Value, Rejection> {
    let text = client.form().get("token").ok_or_else(missing)?;
    let token = verified(server, text, now);
    let revoked = match &token {
        Some(token) => is_over(server, token, now).await?,
        None => false,
    };
    let holder = token.as_ref().and_then(|token| server.rulebook.clients.get(token.client()));
    let told =
        introspection::tell(client.client(), token.as_ref(), holder.map(AsRef::as_ref), revoked, server.issuer, now);
    told.map_err(|error| Rejection::new(error.code(), error.to_string()).because(&error))
}

/// Verifies a token of ours; none if it is none, or none that is worth anything now.
pub(crate) fn verified(server: &Server<'_>, text: &str, now: Timestamp) -> Option<VerifiedToken> {
    let expected = Expected { issuer: server.issuer, audience: server.issuer, keys: server.keyring.published() };
    token::verify(&BearerToken::parse(text).ok()?, &expected, now).ok()
}

pub(crate) fn missing() -> Rejection {
    Rejection::new(Code::OauthInvalidRequest, "The parameter 'token' is missing.")
}

// The list may be a second old, the grant is not: who asks here wants to know how it is now.
async fn is_over(server: &Server<'_>, token: &VerifiedToken, now: Timestamp) -> Result<bool, Rejection> {
    let names: Vec<[u8; 32]> = revocation::names(server.issuer, token).collect();
    if server.revocations.is_revoked(&names, now).await.map_err(|outage| away(&outage))? {
        return Ok(true);
    }
    let Some(citizen) = token.citizen() else { return Ok(false) };
    let grant = find::<Grant>(server.store, &grant_key(&citizen.grant)).await.map_err(|outage| away(&outage))?;
    Ok(!grant.is_some_and(|grant| grant.value.is_alive(now)))
}
