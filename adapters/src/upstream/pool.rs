//! The pools: per backend a list of endpoints, per endpoint its open connections.

use std::error::Error as StdError;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use policies::code::Outage;
use policies::id::UpstreamId;
use policies::rulebook::{Protocol, Upstream};
use thiserror::Error;

use super::body::PooledBody;
use super::request::OutgoingRequest;
use crate::http::trust::Trust;
use crate::http::url::AllowedUrl;

/// A backend: where it is and how long it may take. Clones share one count of requests under way.
#[derive(Debug, Clone)]
pub struct Target {
    id: UpstreamId,
    protocol: Protocol,
    endpoints: Vec<AllowedUrl>,
    connect: Duration,
    response: Duration,
    requests_max: u32,
    under_way: Arc<AtomicU32>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SendError {
    /// No endpoint could be reached; not a byte of the request went out.
    #[error("nothing was sent: {0}")]
    NotSent(Outage),
    /// It took too long.
    #[error("no answer in time")]
    TimedOut {
        /// Whether any byte of the request may have gone out.
        sent: bool,
    },
    /// The request, or a part of it, went out; its answer never came.
    #[error("the answer was lost: {0}")]
    Lost(Outage),
    /// As many requests are under way to this backend as may be; nothing was sent.
    #[error("as many requests are under way to this backend as may be")]
    Full,
}

/// The connections of one serving thread to all backends.
#[derive(Debug)]
pub struct Pools<B> {
    _targets: Vec<Target>,
    _body: PhantomData<fn() -> B>,
}

impl Target {
    /// Makes the target of a backend at these addresses (their paths are not used), which are tried in turn.
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
        }
    }
}

impl<B> Pools<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Makes the pools of one serving thread; connects to nobody yet.
    #[must_use]
    pub fn new(targets: Vec<Target>, trust: &Trust) -> Self {
        let _ = trust;
        Self { _targets: targets, _body: PhantomData }
    }

    /// Sends a request and returns the head of the answer, its body to be read.
    ///
    /// Must be called on the runtime that serves; connections live on it. The headers of the answer are without what
    /// belongs to the connection.
    ///
    /// # Errors
    /// [`SendError`] tells whether the backend may have seen anything of the request.
    pub async fn send(
        &self,
        upstream: &UpstreamId,
        request: OutgoingRequest<B>,
    ) -> Result<Response<PooledBody<B>>, SendError> {
        let _ = request;
        Err(SendError::NotSent(Outage::new(format!("upstream {upstream}"), "not built yet")))
    }
}
