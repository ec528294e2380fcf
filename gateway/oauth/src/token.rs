//! `POST /oauth/token`: an authenticated client gets a sender-constrained access token, for itself or for a citizen.

use adapters::authorizations::{Batch, Found, find, grant_key};
use adapters::entropy;
use policies::authorization::{AuthorizationCode, Grant, RefreshToken};
use policies::code::Code;
use policies::details;
use policies::grant::{self, CodeRequest, Exchange, GrantError, RedeemError, RefreshRequest, TokenRequest};
use policies::id::GrantId;
use policies::jose::{self, base64url, sha256};
use policies::token::{self, ACCESS_TOKEN_TYPE, AccessGrant, Confirmation};
use serde_json::{Map, Value, json};
use spine::error::Rejection;
use spine::trail::Trail;

use crate::{Server, away, ending};

/// Issues a token; gives the body of the answer (RFC 6749, section 5.1).
///
/// `jti` is fresh randomness. `trail` is told of which grant it comes, and if somebody shows what is another's.
///
/// # Errors
/// What the request lacks, in the words of RFC 6749, section 5.2; an outage of the store.
pub async fn issue(
    server: &Server<'_>,
    exchange: &Exchange<'_>,
    jti: String,
    trail: &Trail,
) -> Result<Value, Rejection> {
    let request = TokenRequest::parse(exchange.client.form()).map_err(|error| refused(&error))?;
    match request {
        TokenRequest::ClientCredentials { scope } => {
            let access = grant::client_credentials(exchange, scope.as_deref(), jti).map_err(|error| refused(&error))?;
            told(server, &access).map(Value::Object)
        }
        TokenRequest::AuthorizationCode(request) => redeem(server, exchange, &request, jti, trail).await,
        TokenRequest::RefreshToken(request) => refresh(server, exchange, &request, jti, trail).await,
    }
}

async fn redeem(
    server: &Server<'_>,
    exchange: &Exchange<'_>,
    request: &CodeRequest,
    jti: String,
    trail: &Trail,
) -> Result<Value, Rejection> {
    let code = find::<AuthorizationCode>(server.store, &request.key()).await.map_err(|outage| away(&outage))?;
    let Some(code) = code else { return Err(refused_of(&RedeemError::Unknown, trail)) };
    trail.note_reference(code.value.grant.as_str());
    let grant = grant_of(server, &code.value.grant).await?;
    let redeemed = match grant::redeem(exchange, request, &code.value, grant.as_ref().map(|grant| &grant.value), jti) {
        Ok(redeemed) => redeemed,
        Err(error) => return Err(ended(server, exchange, &error, trail).await?),
    };
    let mut answer = told(server, redeemed.access())?;
    let secret = base64url(&entropy::random::<32>());
    let refresh = redeemed.refresh_token(sha256(secret.as_bytes()));
    let mut batch = Batch::new().replace(&code, redeemed.code()).add(&refresh);
    if let Some(grant) = &grant {
        // Put in place of itself: a grant that somebody ends meanwhile gives nothing.
        batch = batch.replace(grant, &grant.value);
    }
    if !batch.commit(server.store, exchange.now).await.map_err(|outage| away(&outage))? {
        let reused = RedeemError::Reused(code.value.grant.clone());
        return Err(ended(server, exchange, &reused, trail).await?);
    }
    answer.insert("refresh_token".to_owned(), Value::from(secret));
    Ok(Value::Object(answer))
}

async fn refresh(
    server: &Server<'_>,
    exchange: &Exchange<'_>,
    request: &RefreshRequest,
    jti: String,
    trail: &Trail,
) -> Result<Value, Rejection> {
    let refresh = find::<RefreshToken>(server.store, &request.key()).await.map_err(|outage| away(&outage))?;
    let Some(refresh) = refresh else { return Err(refused_of(&RedeemError::Unknown, trail)) };
    trail.note_reference(refresh.value.grant.as_str());
    let grant = grant_of(server, &refresh.value.grant).await?;
    let access = grant::refresh(exchange, request, &refresh.value, grant.as_ref().map(|grant| &grant.value), jti)
        .map_err(|error| refused_of(&error, trail))?;
    told(server, &access).map(Value::Object)
}

async fn grant_of(server: &Server<'_>, id: &GrantId) -> Result<Option<Found<Grant>>, Rejection> {
    find::<Grant>(server.store, &grant_key(id)).await.map_err(|outage| away(&outage))
}

// AS10: who shows a code a second time may have stolen it, or is robbed of it; all that came of it ends.
async fn ended(
    server: &Server<'_>,
    exchange: &Exchange<'_>,
    error: &RedeemError,
    trail: &Trail,
) -> Result<Rejection, Rejection> {
    if let Some(grant) = error.ends() {
        ending::end_grant(server, grant, exchange.now).await?;
    }
    Ok(refused_of(error, trail))
}

// The client is told the same of all that concerns the code or token; log and trail tell them apart.
fn refused_of(error: &RedeemError, trail: &Trail) -> Rejection {
    if error.is_theft() {
        trail.note_step("grant", if error.ends().is_some() { "used_before" } else { "not_theirs" });
    }
    Rejection::new(error.code(), error.to_string()).because(format!("{error:?}"))
}

fn refused(error: &GrantError) -> Rejection {
    Rejection::new(error.code(), error.to_string()).because(error)
}

fn told(server: &Server<'_>, granted: &AccessGrant) -> Result<Map<String, Value>, Rejection> {
    let signed = jose::encode(ACCESS_TOKEN_TYPE, &token::claims(granted), None, server.keyring.signer())
        .map_err(|error| Rejection::new(Code::Internal, "The token could not be signed.").because(error))?;
    let token_type = match granted.confirmation {
        Confirmation::Jkt(_) => "DPoP",
        Confirmation::X5tS256(_) => "Bearer",
    };
    let body = json!({
        "access_token": signed,
        "token_type": token_type,
        "expires_in": granted.expires.since(granted.issued).as_secs(),
        "scope": granted.scopes.to_string(),
    });
    let Value::Object(mut body) = body else { return Ok(Map::new()) };
    if let Some(citizen) = &granted.citizen {
        body.insert("authorization_details".to_owned(), details::to_claim(&citizen.details));
    }
    Ok(body)
}
