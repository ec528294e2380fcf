//! A backend as the pools see it, and the count of what is under way to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use policies::id::UpstreamId;
use policies::rulebook::{Protocol, Upstream};

use crate::http::inside::Inside;
use crate::http::trust::Trust;
use crate::http::url::AllowedUrl;
use crate::oauth::Credentials;

/// A backend: where it is and how long it may take. Clones share one count of requests under way.
#[derive(Clone)]
pub struct Target {
    pub(super) id: UpstreamId,
    pub(super) protocol: Protocol,
    pub(super) endpoints: Vec<AllowedUrl>,
    pub(super) connect: Duration,
    pub(super) response: Duration,
    requests_max: u32,
    under_way: Arc<AtomicU32>,
    pub(super) inside: Option<Arc<dyn Inside>>,
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) trust: Option<Trust>,
}

/// The place of one request among those under way; free again when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicU32>);

impl Target {
    /// Makes the target of a backend at these addresses (their paths are not used), which are taken in turn.
    #[must_use]
    pub fn new(upstream: &Upstream, endpoints: Vec<AllowedUrl>) -> Self {
        Self {
            id: upstream.id.clone(),
            protocol: upstream.protocol,
            endpoints,
            connect: upstream.connect,
            response: upstream.response,
            requests_max: upstream.requests_max,
            under_way: Arc::default(),
            inside: None,
            credentials: None,
            trust: None,
        }
    }

    /// Has each request carry a token of ours; the wait for one counts as connecting.
    #[must_use]
    pub fn authorized(mut self, credentials: Arc<Credentials>) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Has connections to the backend trust as `trust` does, and show the certificate that it shows.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Has every connection to the backend taken by a service inside this process.
    #[must_use]
    pub fn inside(mut self, service: Arc<dyn Inside>) -> Self {
        self.inside = Some(service);
        self
    }

    /// Returns how many requests are under way, over all clones.
    #[must_use]
    pub fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    pub(super) fn place(&self) -> Option<Place> {
        let more = |count: u32| (count < self.requests_max).then_some(count + 1);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(&self.under_way)))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("id", &self.id).field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
