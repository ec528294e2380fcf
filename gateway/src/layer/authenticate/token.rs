//! A caller with an access token: whose it is, whether it still counts, and whether its sender holds what it is bound to.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use policies::binding;
use policies::caller::Caller;
use policies::code::Code;
use policies::proof::VerifiedProof;
use policies::token::{self, BearerToken, Expected, Scheme, TokenError};
use spine::error::Rejection;
use spine::stage::Routed;

use super::known::Entry;
use super::{Authenticate, proof};

/// Tells who comes with a token, and the DPoP proof that came with it.
pub(super) async fn identify(
    stage: &Authenticate,
    routed: &Routed,
) -> Result<(Caller, Option<VerifiedProof>), Rejection> {
    let (scheme, bearer) = presented(routed)?;
    let entry = verified(stage, routed, &bearer)?;
    let revoked = stage.house.revocations.is_revoked(entry.names(), routed.received);
    if revoked.await.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))? {
        return Err(refuse(Code::TokenInvalid).because("it was taken back"));
    }
    let verified = entry.token();
    let client = stage.generation.rulebook.clients.get(verified.client()).cloned();
    let client = client.ok_or_else(|| refuse(Code::TokenInvalid).because("its client is gone"))?;
    let proof = match scheme {
        Scheme::Dpop => Some(proof::prove(&stage.house, routed, &client, Some(&bearer)).await?),
        Scheme::Bearer => None,
    };
    let certificate = routed.peer.certificate.as_deref();
    let token = binding::bind(Arc::clone(verified), scheme, proof.as_ref(), certificate).map_err(|error| {
        Rejection::new(error.code(), "The token is not bound to the key or certificate that was shown.").because(&error)
    })?;
    binding::vouched(&client.authentication, certificate).map_err(|error| {
        Rejection::new(error.code(), "The certificate that was shown is not accepted any more.").because(&error)
    })?;
    Ok((Caller::Bound { client, token }, proof))
}

/// Gives the token as it was verified, now or a little while ago under the same keys.
fn verified(stage: &Authenticate, routed: &Routed, bearer: &BearerToken) -> Result<Entry, Rejection> {
    let (house, now) = (&stage.house, routed.received);
    let refuse = |error: &TokenError| refuse(error.code()).because(error);
    let keyring = house.keyring.now();
    let hash = bearer.hash();
    if let Some(known) = stage.known.find(routed.worker, &hash, keyring.epoch()) {
        // Time goes on for what is known, too.
        return if known.token().is_over(now) { Err(refuse(&TokenError::Expired)) } else { Ok(known) };
    }
    let expected = Expected { issuer: &house.issuer, audience: &house.issuer, keys: keyring.published() };
    let verified = token::verify(bearer, &expected, now).map_err(|error| refuse(&error))?;
    let entry = Entry::of(&house.issuer, verified, keyring.epoch());
    stage.known.keep(routed.worker, hash, entry.clone());
    Ok(entry)
}

// One text for whatever is wrong with a token: who found one learns nothing of it.
fn refuse(code: Code) -> Rejection {
    Rejection::new(code, "The access token is not accepted.").next("Ask /oauth/token for a new one.")
}

// RS1: the token stands in the Authorization header, once, and nowhere else. `hygiene` has refused a second header.
pub(super) fn presented(routed: &Routed) -> Result<(Scheme, BearerToken), Rejection> {
    if routed.head.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token="))) {
        return Err(Rejection::new(Code::TokenMalformed, "An access token may not stand in the query."));
    }
    let Some(value) = routed.head.headers.get(AUTHORIZATION) else {
        return Err(Rejection::new(Code::TokenMissing, "An access token is needed.")
            .next("Get one from /oauth/token and send it as `Authorization: DPoP <token>` with a `DPoP` proof."));
    };
    let text = value
        .to_str()
        .map_err(|_| Rejection::new(Code::TokenMalformed, "The Authorization header is not readable."))?;
    token::parse_authorization(text).map_err(|error| {
        Rejection::new(error.code(), "The Authorization header holds no access token.").because(&error)
    })
}
