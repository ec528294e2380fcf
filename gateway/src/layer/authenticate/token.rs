//! A caller with an access token: whose it is, whether it still counts, and whether its sender holds what it is bound to.

use std::sync::Arc;

use adapters::oauth::AskError;
use http::header::AUTHORIZATION;
use policies::binding;
use policies::caller::Caller;
use policies::code::{Code, Outage};
use policies::issuer::{self, Issuer, IssuerKeys, Source};
use policies::proof::VerifiedProof;
use policies::time::Timestamp;
use policies::token::{self, BearerToken, Expected, Scheme, TokenError, VerifiedToken};
use spine::error::Rejection;
use spine::stage::Routed;

use super::known::Entry;
use super::proof;
use super::sources::Sources;

/// Tells who comes with a token, and the DPoP proof that came with it.
pub(super) async fn identify(stage: &Sources, routed: &Routed) -> Result<(Caller, Option<VerifiedProof>), Rejection> {
    let (scheme, bearer) = presented(routed)?;
    held(stage, routed, scheme, &bearer).await.map_err(|rejection| rejection.under(scheme))
}

async fn held(
    stage: &Sources,
    routed: &Routed,
    scheme: Scheme,
    bearer: &BearerToken,
) -> Result<(Caller, Option<VerifiedProof>), Rejection> {
    let (source, entry) = verified(stage, routed, bearer).await?;
    let revoked = stage.house.revocations.is_revoked(entry.names(), routed.received);
    if revoked.await.map_err(down)? {
        return Err(refuse(Code::TokenInvalid).because("it was taken back"));
    }
    let verified = entry.token();
    let client = stage.generation.rulebook.clients.get(verified.client()).filter(|client| source.serves(client));
    let client =
        client.ok_or_else(|| refuse(Code::TokenInvalid).because("its client is gone, or has it from elsewhere"))?;
    let proof = match scheme {
        Scheme::Dpop => Some(proof::prove(&stage.house, routed, client, Some(bearer)).await?),
        Scheme::Bearer => None,
    };
    let certificate = routed.peer.certificate.as_deref();
    let token = binding::bind(Arc::clone(verified), scheme, proof.as_ref(), certificate).map_err(|error| {
        Rejection::new(error.code(), "The token is not bound to the key or certificate that was shown.").because(&error)
    })?;
    binding::vouched(&client.authentication, certificate).map_err(|error| {
        Rejection::new(error.code(), "The certificate that was shown is not accepted any more.").because(&error)
    })?;
    Ok((Caller::Bound { client: Arc::clone(client), token }, proof))
}

/// Gives the token as it was verified, now or a little while ago under the same keys, and who vouches for it.
async fn verified<'s>(
    stage: &'s Sources,
    routed: &Routed,
    bearer: &BearerToken,
) -> Result<(Source<'s>, Entry), Rejection> {
    let (house, now) = (&stage.house, routed.received);
    let (epoch, hash) = (house.keyring.epoch(), bearer.hash());
    if let Some(known) = stage.known.find(routed.worker, &hash, epoch) {
        // Time goes on for what is known, too.
        return if known.token().is_over(now) { Err(wrong(&TokenError::Expired)) } else { Ok((Source::Ours, known)) };
    }
    let issuers = &stage.generation.rulebook.issuers;
    let source = if issuers.is_empty() { Ok(Source::Ours) } else { issuer::source(bearer, &house.issuer, issuers) };
    match source.map_err(|error| wrong(&error))? {
        Source::Ours => {
            let keyring = house.keyring.now();
            let (issuer, keys) = (house.issuer.as_str(), keyring.published());
            let verified = token::verify(bearer, &Expected { issuer, audience: issuer, keys }, now);
            let entry = Entry::of(issuer, verified.map_err(|error| wrong(&error))?, keyring.epoch());
            stage.known.keep(routed.worker, hash, entry.clone());
            Ok((Source::Ours, entry))
        }
        // What others vouch for ends with their keys, of which no epoch tells: it is never kept here.
        Source::Theirs(theirs) => {
            let verified = Box::pin(by_other(stage, theirs, bearer, now)).await?;
            Ok((Source::Theirs(theirs), Entry::of(&theirs.issuer, verified, epoch)))
        }
    }
}

/// Asks another authorization server, or its keys, about a token that names it.
async fn by_other(
    stage: &Sources,
    issuer: &Issuer,
    bearer: &BearerToken,
    now: Timestamp,
) -> Result<VerifiedToken, Rejection> {
    let verified = match &issuer.keys {
        IssuerKeys::Jwks { url, algorithms } => {
            let kid = bearer.key_id();
            let keys = stage.house.jwks.keys(url, kid.as_deref(), now).await.map_err(down)?.only(algorithms);
            let audience = issuer.audience.as_deref().unwrap_or(&stage.house.issuer);
            let expected = Expected { issuer: &issuer.issuer, audience, keys: &keys };
            token::verify_other(bearer, &expected, now).map_err(|error| wrong(&error))?
        }
        IssuerKeys::Introspection { .. } => {
            let asked = stage.reach.introspections.get(&issuer.id);
            let asked = asked.ok_or_else(|| down(Outage::new("introspection", "nobody is configured to be asked")))?;
            match asked.introspect(bearer, now).await {
                Ok(Some(verified)) => verified,
                Ok(None) => return Err(refuse(Code::TokenInvalid).because("its issuer says that it is worth nothing")),
                Err(AskError::Token(error)) => return Err(wrong(&error)),
                Err(AskError::Outage(outage)) => return Err(down(outage)),
            }
        }
    };
    issuer.admit(verified).map_err(|error| wrong(&error))
}

fn down(outage: Outage) -> Rejection {
    Rejection::outage(Code::DependencyDown, &outage)
}

fn wrong(error: &TokenError) -> Rejection {
    refuse(error.code()).because(error)
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
