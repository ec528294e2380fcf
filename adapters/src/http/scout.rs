//! Questions to places that a policy names: key sets and authorization servers of others.
//!
//! Only over TLS, to the host that stands in the URL, at an address that was looked at first. Redirections are not
//! followed: an answer that is one is an answer like any other, and no place is asked that nobody named.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use policies::code::Outage;
use policies::network::Endpoint;
use tokio::time::timeout;

use super::chosen::dial;
use super::client::{Reply, exchange, form, request};
use super::dial::{Connection, Dialler};
use super::trust::Trust;
use super::url::AllowedUrl;

/// How much a question may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of time, from the look-up of the name to the last byte.
    pub within: Duration,
    /// Of the answer, in bytes.
    pub bytes_max: usize,
}

/// Asks places that somebody else chose; clones trust alike.
#[derive(Clone)]
pub struct Scout {
    trust: Arc<RwLock<Option<Trust>>>,
    private: bool,
}

impl Scout {
    /// Makes one that trusts `trust`; `private` says whether it may call private addresses.
    #[must_use]
    pub fn new(trust: &Trust, private: bool) -> Self {
        Self { trust: Arc::new(RwLock::new(Some(trust.clone()))), private }
    }

    /// Makes one that asks nobody: every question is an outage.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { trust: Arc::default(), private: false }
    }

    /// Trusts somebody else from now on; one that asks nobody stays so.
    pub fn believe(&self, trust: &Trust) {
        let mut held = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            *held = Some(trust.clone());
        }
    }

    /// Gets a resource. Never tried twice.
    ///
    /// # Errors
    /// An [`Outage`], which names the origin and never the path, if no whole answer came within the bounds.
    pub async fn get(&self, endpoint: &Endpoint, bounds: Bounds) -> Result<Reply, Outage> {
        let url = place(endpoint)?;
        self.call(endpoint, &url, request(Method::GET, &url, Bytes::new())?, bounds).await
    }

    /// Posts a form. Never tried twice.
    ///
    /// # Errors
    /// As of [`Scout::get`].
    pub async fn post_form(&self, endpoint: &Endpoint, body: Vec<u8>, bounds: Bounds) -> Result<Reply, Outage> {
        let url = place(endpoint)?;
        self.call(endpoint, &url, form(&url, body)?, bounds).await
    }

    async fn call(
        &self,
        endpoint: &Endpoint,
        url: &AllowedUrl,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
    ) -> Result<Reply, Outage> {
        let outage = |cause: String| Outage::new(endpoint.origin(), cause);
        let trust = self.trust.read().unwrap_or_else(PoisonError::into_inner).clone();
        let trust = trust.ok_or_else(|| outage("nobody is asked from here".to_owned()))?;
        let dialler = Dialler::new(url, &trust, b"http/1.1").map_err(|error| outage(error.to_string()))?;
        let calling = async {
            let stream = dial(url, self.private).await?;
            match dialler.secure(stream).await.map_err(|error| error.to_string())? {
                Connection::Tls(io) => exchange(*io, request, bounds.bytes_max).await,
                Connection::Inside(_) | Connection::Plain(_) => Err("it is not https".to_owned()),
            }
        };
        let called = timeout(bounds.within, calling).await;
        called.map_err(|_| outage("no whole answer in time".to_owned()))?.map_err(outage)
    }
}

impl fmt::Debug for Scout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scout").field("private", &self.private).finish_non_exhaustive()
    }
}

// What is asked here decides who may do what: in clear text it could be anybody's answer, even on this machine.
fn place(endpoint: &Endpoint) -> Result<AllowedUrl, Outage> {
    let url = AllowedUrl::chosen(endpoint).map_err(|error| Outage::new(endpoint.origin(), error))?;
    if url.is_tls() { Ok(url) } else { Err(Outage::new(endpoint.origin(), "it is not https")) }
}
