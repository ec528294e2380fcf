//! Access tokens for ourselves, where backends and identity providers stand behind another authorization server.
//!
//! The `client_credentials` grant (RFC 6749, section 4.4). Those who send requests are given the header's value and know
//! nothing of where it came from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use oauth2::basic::{BasicClient, BasicTokenType};
use oauth2::{AuthType, ClientId, Scope, TokenResponse, TokenUrl};
use policies::code::Outage;
use policies::secret::Secret;
use policies::time::Timestamp;

use super::assertion::{ASSERTION_TYPE, AssertionKey};
use super::flight::{Fetched, Flight, Rests};
use super::line::{Line, Place, cause};
use crate::clock::Clock;
use crate::http::client::Client;
use crate::http::url::AllowedUrl;

/// How long one exchange may take, from the look-up of the name to the last byte.
pub const TOKEN_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long before its end a token is replaced beside its use.
pub const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// How long before its end a token is not used any more: it has to be good when the backend looks at it.
pub const USELESS_BEFORE: Duration = Duration::from_secs(5);

/// How long a token is used whose server does not say how long it lives (RFC 6749, section 5.1, only recommends to say it).
const LIFE_UNTOLD: Duration = Duration::from_secs(60);

/// The longest life that is believed: a token that a server has forgotten is found out by a refusal, once.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How old a token has to be for a backend's refusal to have it replaced: a backend that refuses every token must not have
/// one fetched for each request.
const REFUSED_AFTER: Duration = Duration::from_secs(10);

/// The longest token, in bytes: half of what common servers take as a header.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How we show the server who we are.
#[derive(Debug)]
pub enum Authentication {
    /// By an assertion (RFC 7523) for this issuer.
    Assertion {
        /// What we sign with.
        key: AssertionKey,
        /// The server's issuer: the audience.
        issuer: String,
    },
    /// By the certificate of the connection (RFC 8705), which the client shows.
    Certificate,
}

/// What we ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// As whom.
    pub client_id: String,
    /// The scope, if one has to be named.
    pub scope: Option<String>,
    /// The resource, if one has to be named (RFC 8707).
    pub resource: Option<String>,
}

/// A token and when it came.
#[derive(Clone)]
struct Held {
    value: HeaderValue,
    came: Timestamp,
}

/// Gets tokens of one server for one purpose, and keeps the one that is good.
pub struct Credentials(Arc<Inner>);

struct Inner {
    port: String,
    place: Place,
    authentication: Authentication,
    terms: Terms,
    clock: Clock,
    flight: Arc<Flight<Held>>,
}

impl Credentials {
    /// Prepares getting tokens at `url` by `client`; `port` names the purpose in outages, for example `upstream core`.
    #[must_use]
    pub fn new(
        port: &str,
        (client, url): (Client, AllowedUrl),
        authentication: Authentication,
        terms: Terms,
        clock: Clock,
    ) -> Self {
        let flight = Flight::new(Rests { fetched: Duration::ZERO, failed: Duration::from_secs(1) });
        let (port, place) = (format!("tokens for {port}"), Place::Configured(client, url));
        Self(Arc::new(Inner { port, place, authentication, terms, clock, flight }))
    }

    /// Returns the value of the `Authorization` header, if it is at hand.
    #[must_use]
    pub fn at_hand(&self) -> Option<HeaderValue> {
        self.0.flight.good(self.0.clock.now()).map(|held| held.value)
    }

    /// Returns the value of the `Authorization` header, fetching a token if need be; may take [`TOKEN_WAIT_MAX`].
    ///
    /// Fetched once for all who wait for it. Must be called on a runtime.
    ///
    /// # Errors
    /// An [`Outage`] if there is none.
    pub async fn value(&self) -> Result<HeaderValue, Outage> {
        let now = self.0.clock.now();
        let ask = || {
            let inner = Arc::clone(&self.0);
            async move { inner.fetch(now).await }
        };
        self.0.flight.get(now, |_| true, ask).await.map(|held| held.value)
    }

    /// Takes note that a backend has refused `value`: it is not used again, unless it is so new that another would fare no
    /// better.
    pub fn refused(&self, value: &HeaderValue) {
        let now = self.0.clock.now();
        let is = |held: &Held| held.value == *value && now >= held.came + REFUSED_AFTER;
        if self.0.flight.forget(is) {
            tracing::warn!("{}: a token was refused before its end, and is not used any more", self.0.port);
        }
    }
}

impl Inner {
    async fn fetch(&self, now: Timestamp) -> Result<Fetched<Held>, Outage> {
        let outage = |cause: String| Outage::new(self.port.clone(), cause);
        // Written into no request: the line knows where it goes.
        let url = TokenUrl::new("https://token.invalid/".to_owned()).map_err(|error| outage(error.to_string()))?;
        let client = BasicClient::new(ClientId::new(self.terms.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(url);
        let mut exchange = client.exchange_client_credentials();
        if let Authentication::Assertion { key, issuer } = &self.authentication {
            let assertion = key.assertion(&self.terms.client_id, issuer, now);
            exchange = exchange
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion.map_err(|error| outage(error.to_string()))?);
        }
        if let Some(scope) = &self.terms.scope {
            exchange = exchange.add_scope(Scope::new(scope.clone()));
        }
        if let Some(resource) = &self.terms.resource {
            exchange = exchange.add_extra_param("resource", resource.clone());
        }
        let line = Line::new(&self.place, TOKEN_WAIT_MAX);
        let answer = exchange.request_async(&line).await.map_err(|failure| outage(cause(&failure)))?;
        if *answer.token_type() != BasicTokenType::Bearer {
            return Err(outage("its token is of another type than Bearer".to_owned()));
        }
        let value = bearer(answer.access_token().secret()).ok_or_else(|| outage("its token is no token".to_owned()))?;
        let life = answer.expires_in().unwrap_or(LIFE_UNTOLD).min(LIFE_MAX);
        let usable_until = now + life.saturating_sub(USELESS_BEFORE);
        // One that lives for a few minutes only is replaced in the second half of its life.
        let fresh_until = now + life.saturating_sub(RENEW_BEFORE.max(USELESS_BEFORE).min(life / 2));
        if usable_until <= now {
            return Err(outage("its token is over before it can be used".to_owned()));
        }
        Ok(Fetched { value: Held { value, came: now }, fresh_until: fresh_until.min(usable_until), usable_until })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("port", &self.0.port).field("terms", &self.0.terms).finish_non_exhaustive()
    }
}

// The characters of RFC 6750, section 2.1, and no others: what a server says goes into a header of ours.
fn bearer(token: &str) -> Option<HeaderValue> {
    let body = token.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    if body.is_empty() || token.len() > TOKEN_BYTES_MAX || !body.bytes().all(allowed) {
        return None;
    }
    let text = Secret::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(text.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
