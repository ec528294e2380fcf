//! Providers where a session is made, the person is sent to a page, and a signed webhook tells the outcome.

use std::time::Duration;

use policies::code::Outage;
use policies::id::ProviderId;
use policies::secret::Secret;

use super::port::{IdentityProvider, StartSession, Started};
use crate::http::client::Client;
use crate::http::url::AllowedUrl;
use crate::store::port::Answer;

/// A provider with sessions.
#[derive(Debug)]
pub struct SessionProvider {
    id: ProviderId,
    _client: Client,
    _sessions: AllowedUrl,
    _token: Option<Secret<String>>,
    _timeout: Duration,
}

impl SessionProvider {
    /// Makes the adapter of the provider whose sessions are made at `sessions`, with `token` as our bearer token there.
    #[must_use]
    pub fn new(
        id: ProviderId,
        client: Client,
        sessions: AllowedUrl,
        token: Option<Secret<String>>,
        timeout: Duration,
    ) -> Self {
        Self { id, _client: client, _sessions: sessions, _token: token, _timeout: timeout }
    }
}

impl IdentityProvider for SessionProvider {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn start<'a>(&'a self, session: StartSession<'a>) -> Answer<'a, Started> {
        let _ = session;
        Box::pin(async { Err(Outage::new("provider", "not built yet")) })
    }
}
