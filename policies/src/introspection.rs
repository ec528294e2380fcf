//! What a token is worth, told to resource servers that ask (RFC 7662).
//!
//! This module must not know how a token was found out to be taken back.

use serde_json::{Map, Value, json};

use crate::details;
use crate::grant::{GrantError, may_act};
use crate::party::{Client, ScopeSet};
use crate::time::Timestamp;
use crate::token::{Confirmation, VerifiedToken};

/// Tells a resource server what a token of `issuer` is worth to it.
///
/// `token` is none unless it is an access token of ours whose signature and times hold; `holder` is the client that it was
/// issued to, as the rulebook has it now; `revoked` is whether the token or its grant was taken back. Told are the scopes
/// that the asker has itself, and the details that go with them: a token without any of them is for somebody else. A token
/// that is worth nothing is told of as `{"active": false}` and nothing else, whatever the reason.
///
/// # Errors
/// [`GrantError::Suspended`], and [`GrantError::NotOffered`] to a client that is no resource server.
pub fn tell(
    asker: &Client,
    token: Option<&VerifiedToken>,
    holder: Option<&Client>,
    revoked: bool,
    issuer: &str,
    now: Timestamp,
) -> Result<Value, GrantError> {
    may_act(asker, now)?;
    if !asker.oauth.introspects {
        return Err(GrantError::NotOffered);
    }
    let told = token.filter(|token| !revoked && now < token.expires()).and_then(|token| {
        let holder = holder.filter(|holder| holder.id == *token.client() && may_act(holder, now).is_ok())?;
        worth(asker, token, holder, issuer)
    });
    Ok(told.unwrap_or_else(|| json!({ "active": false })))
}

fn worth(asker: &Client, token: &VerifiedToken, holder: &Client, issuer: &str) -> Option<Value> {
    let scopes = ScopeSet::of(token.scopes().iter().filter(|scope| asker.scopes.contains(scope)));
    if scopes.is_empty() {
        return None;
    }
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("active", Value::from(true));
    put("iss", Value::from(issuer));
    put("aud", Value::from(issuer));
    put("sub", Value::from(token.subject()));
    put("client_id", Value::from(holder.id.as_str()));
    put("scope", Value::from(scopes.to_string()));
    put("jti", Value::from(token.jti()));
    put("exp", Value::from(token.expires().seconds()));
    put("cnf", token.confirmation().to_claim());
    put(
        "token_type",
        Value::from(match token.confirmation() {
            Confirmation::Jkt(_) => "DPoP",
            Confirmation::X5tS256(_) => "Bearer",
        }),
    );
    if let Some(citizen) = token.citizen() {
        let theirs = citizen.details.iter().filter(|detail| detail.scopes().iter().any(|scope| scopes.contains(scope)));
        let theirs: Vec<_> = theirs.cloned().collect();
        put("authorization_details", details::to_claim(&theirs));
        put("acr", Value::from(citizen.acr.as_str()));
        put("auth_time", Value::from(citizen.authenticated.seconds()));
    }
    Some(Value::Object(members))
}

#[cfg(test)]
#[path = "introspection_tests.rs"]
mod tests;
