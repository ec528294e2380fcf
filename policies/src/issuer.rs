//! Other authorization servers whose tokens are taken here, as policy names them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{ClientId, IssuerId};
use crate::jose::{Algorithm, ClaimError, CompactJws, JwsError};
use crate::language::decode::SecretReference;
use crate::network::Endpoint;
use crate::party::Client;
use crate::token::{BearerToken, TOKEN_BYTES_MAX, TokenError, VerifiedToken};

/// How it is known that a token is theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKeys {
    /// Its tokens are JWTs (RFC 9068) signed under one of the keys that it publishes.
    Jwks {
        /// Where.
        url: Endpoint,
        /// The algorithms that it signs with.
        algorithms: BTreeSet<Algorithm>,
    },
    /// It is asked about each token (RFC 7662).
    Introspection {
        /// Where.
        url: Endpoint,
        /// As whom we ask.
        client: ClientId,
        /// The private JWK that we sign assertions with.
        key: SecretReference,
    },
}

/// Another authorization server; its `iss` selects this configuration and is never a place to ask at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its name in policies.
    pub id: IssuerId,
    /// Its `iss`, byte for byte.
    pub issuer: String,
    /// What has to be in `aud` of its tokens; ours if left out.
    pub audience: Option<String>,
    /// How its tokens are known.
    pub keys: IssuerKeys,
    /// Whether its tokens may speak for users of its own.
    pub users: bool,
    /// Where this stands, `file:line`.
    pub origin: String,
}

impl Issuer {
    /// Takes a token that was found to be one of its own, if it speaks for its client alone: nobody here knows the users of
    /// other servers, nor what they have agreed to. Where `users` says that the server sees to that, any subject will do;
    /// the token counts as its client's all the same, and never as a citizen's.
    ///
    /// # Errors
    /// [`TokenError::Claim`] about `sub`.
    pub fn admit(&self, verified: VerifiedToken) -> Result<VerifiedToken, TokenError> {
        if self.users || verified.subject() == verified.client().as_str() {
            Ok(verified)
        } else {
            Err(ClaimError::OutOfRange("sub").into())
        }
    }
}

/// Who is to be asked what a token is worth.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Our own keys.
    Ours,
    /// Another authorization server.
    Theirs(&'a Arc<Issuer>),
}

impl Source<'_> {
    /// Tells whether a client's tokens come from there: from the one place that policy names, and no other.
    #[must_use]
    pub fn serves(&self, client: &Client) -> bool {
        match self {
            Source::Ours => client.oauth.issuer.is_none(),
            Source::Theirs(issuer) => client.oauth.issuer.as_ref() == Some(&issuer.id),
        }
    }
}

/// Tells by an unbelieved token who is to be asked about it; `ours` is our own issuer.
///
/// The `iss` of a signed token selects one of the configured issuers byte for byte and is nothing else. What is no signed
/// object at all tells nothing of its issuer: the one issuer that is asked about tokens is asked, if there is exactly one.
///
/// # Errors
/// [`TokenError::WrongIssuer`] if nobody here is meant, otherwise what is wrong with the token.
pub fn source<'a>(
    token: &BearerToken,
    ours: &str,
    issuers: &'a BTreeMap<IssuerId, Arc<Issuer>>,
) -> Result<Source<'a>, TokenError> {
    match CompactJws::parse(token.expose(), TOKEN_BYTES_MAX) {
        Ok(jws) => {
            let told = jws.peek().required_string("iss")?;
            if told == ours {
                return Ok(Source::Ours);
            }
            let found = issuers.values().find(|issuer| issuer.issuer == told);
            found.map(Source::Theirs).ok_or(TokenError::WrongIssuer)
        }
        Err(error @ JwsError::NotCompact) => {
            let mut asked = issuers.values().filter(|issuer| matches!(issuer.keys, IssuerKeys::Introspection { .. }));
            match (asked.next(), asked.next()) {
                (Some(issuer), None) => Ok(Source::Theirs(issuer)),
                _ => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
#[path = "issuer_tests.rs"]
pub(crate) mod tests;
