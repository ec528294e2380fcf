//! The pools: per backend a list of endpoints, per endpoint its open connections.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Parts as UriParts, Scheme};
use http::{Request, Response, Uri, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use policies::code::Outage;
use policies::id::UpstreamId;
use policies::rulebook::{Protocol, Upstream};
use thiserror::Error;

use super::body::{Lent, Place, PooledBody};
use super::endpoint::Endpoint;
use super::request::{OutgoingRequest, strip_hop_by_hop};
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

#[derive(Debug)]
struct Backend<B> {
    target: Target,
    endpoints: Vec<Arc<Endpoint<B>>>,
    next: AtomicUsize,
}

/// The connections of one serving thread to all backends.
#[derive(Debug)]
pub struct Pools<B> {
    backends: HashMap<UpstreamId, Backend<B>>,
}

/// What a failed attempt leaves: the request, if not a byte of it went out, or the reason to give up.
enum Failed<B> {
    Unsent(Request<B>, Outage),
    Final(SendError),
}

impl<B> Pools<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Makes the pools of one serving thread; connects to nobody yet.
    #[must_use]
    pub fn new(targets: Vec<Target>, trust: &Trust) -> Self {
        let backend = |target: Target| {
            let endpoint =
                |url: &AllowedUrl| Endpoint::new(url.clone(), target.protocol, trust, target.connect).map(Arc::new);
            let endpoints = target.endpoints.iter().filter_map(endpoint).collect();
            (target.id.clone(), Backend { target, endpoints, next: AtomicUsize::new(0) })
        };
        Self { backends: targets.into_iter().map(backend).collect() }
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
        let port = || format!("upstream {upstream}");
        let none = || SendError::NotSent(Outage::new(port(), "it has no address"));
        let backend = self.backends.get(upstream).ok_or_else(none)?;
        let count = backend.endpoints.len();
        let place = Place::take(&backend.target.under_way, backend.target.requests_max).ok_or(SendError::Full)?;
        let first = backend.next.fetch_add(1, Ordering::Relaxed);
        let mut unsent = request.into_request();
        let mut last = Outage::new(port(), "it has no address");
        for offset in 0..count {
            // One endpoint that cannot be reached is no reason to refuse; one that may have seen the request is final.
            let Some(endpoint) = backend.endpoints.get(first.wrapping_add(offset) % count) else { break };
            match backend.attempt(endpoint, unsent).await {
                Ok((answer, lent)) => return Ok(pooled(answer, lent, place, backend.target.response)),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Unsent(request, outage)) => {
                    unsent = request;
                    last = outage;
                },
            }
        }
        Err(SendError::NotSent(last))
    }
}

impl<B> Backend<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn attempt(
        &self,
        endpoint: &Arc<Endpoint<B>>,
        request: Request<B>,
    ) -> Result<(Response<Incoming>, Option<Lent<B>>), Failed<B>> {
        match self.target.protocol {
            Protocol::Http1 => self.over_http1(endpoint, request).await,
            Protocol::Http2 => self.over_http2(endpoint, request).await.map(|answer| (answer, None)),
        }
    }

    async fn over_http1(
        &self,
        endpoint: &Arc<Endpoint<B>>,
        mut request: Request<B>,
    ) -> Result<(Response<Incoming>, Option<Lent<B>>), Failed<B>> {
        request.headers_mut().insert(header::HOST, endpoint.host().clone());
        while let Some(mut sender) = endpoint.rested() {
            // A connection handed back a moment ago may still be finishing; a closed one says so here.
            if self.in_time(sender.ready()).await?.is_err() {
                continue;
            }
            match self.in_time(sender.try_send_request(request)).await? {
                Ok(answer) => return Ok((answer, Some(Lent { endpoint: Arc::clone(endpoint), sender }))),
                // The backend closed it while it rested, and nothing went out.
                Err(error) => request = self.unsent(error)?.0,
            }
        }
        let mut sender = match endpoint.open().await {
            Ok(sender) => sender,
            Err(outage) => return Err(Failed::Unsent(request, outage)),
        };
        match self.in_time(sender.try_send_request(request)).await? {
            Ok(answer) => Ok((answer, Some(Lent { endpoint: Arc::clone(endpoint), sender }))),
            Err(error) => self.unsent(error).and_then(|(request, outage)| Err(Failed::Unsent(request, outage))),
        }
    }

    async fn over_http2(
        &self,
        endpoint: &Arc<Endpoint<B>>,
        mut request: Request<B>,
    ) -> Result<Response<Incoming>, Failed<B>> {
        let mut target = UriParts::default();
        target.scheme = Some(if endpoint.url().is_tls() { Scheme::HTTPS } else { Scheme::HTTP });
        target.authority = endpoint.url().authority().parse().ok();
        target.path_and_query = request.uri().path_and_query().cloned();
        if let Ok(uri) = Uri::from_parts(target) {
            *request.uri_mut() = uri;
        }
        *request.version_mut() = Version::HTTP_2;
        let mut attempts = 2;
        loop {
            let mut sender = match endpoint.shared().await {
                Ok(sender) => sender,
                Err(outage) => return Err(Failed::Unsent(request, outage)),
            };
            match self.in_time(sender.try_send_request(request)).await? {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let (unsent, outage) = self.unsent(error)?;
                    attempts -= 1;
                    if attempts == 0 {
                        return Err(Failed::Unsent(unsent, outage));
                    }
                    request = unsent;
                }
            }
        }
    }

    /// Waits for what a backend may take as long for as for the head of an answer.
    async fn in_time<T>(&self, waiting: impl Future<Output = T>) -> Result<T, Failed<B>> {
        let waited = tokio::time::timeout(self.target.response, waiting).await;
        waited.map_err(|_| Failed::Final(SendError::TimedOut { sent: true }))
    }

    /// Gets the request back from a failed attempt, if not a byte of it went out.
    fn unsent(&self, mut error: TrySendError<Request<B>>) -> Result<(Request<B>, Outage), Failed<B>> {
        let request = error.take_message();
        let outage = Outage::new(format!("upstream {}", self.target.id), error.into_error());
        match request {
            Some(request) => Ok((request, outage)),
            None => Err(Failed::Final(SendError::Lost(outage))),
        }
    }
}

fn pooled<B>(
    answer: Response<Incoming>,
    lent: Option<Lent<B>>,
    place: Place,
    quiet_max: Duration,
) -> Response<PooledBody<B>> {
    let (mut head, body) = answer.into_parts();
    strip_hop_by_hop(&mut head.headers);
    Response::from_parts(head, PooledBody::new(body, lent, place, quiet_max))
}
