//! The client for single calls: one connection each, one deadline for all of it, a bound on the answer.

use std::time::Duration;

use bytes::Bytes;
use policies::code::Outage;
use policies::secret::Secret;

use super::trust::Trust;
use super::url::AllowedUrl;

/// The longest answer that is read, in bytes: what services tell us in JSON is far below.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Calls other services.
#[derive(Debug, Clone)]
pub struct Client {
    _trust: Trust,
}

/// What a service answered; any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`ANSWER_BYTES_MAX`].
    pub body: Bytes,
}

impl Client {
    /// Makes a client that trusts `trust`.
    #[must_use]
    pub fn new(trust: &Trust) -> Self {
        Self { _trust: trust.clone() }
    }

    /// Gets a resource; connecting, sending and reading together may take `within`.
    ///
    /// # Errors
    /// An [`Outage`] if no whole answer came, in time and within the size.
    pub async fn get(&self, url: &AllowedUrl, within: Duration) -> Result<Reply, Outage> {
        let _ = within;
        Err(Outage::new(url.authority(), "not built yet"))
    }

    /// Posts a JSON body, with a bearer token if one is given; all of it may take `within`. Never tried twice.
    ///
    /// # Errors
    /// An [`Outage`] if no whole answer came, in time and within the size.
    pub async fn post_json(
        &self,
        url: &AllowedUrl,
        bearer: Option<&Secret<String>>,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Reply, Outage> {
        let _ = (bearer, body, within);
        Err(Outage::new(url.authority(), "not built yet"))
    }
}
