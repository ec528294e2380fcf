//! The pools: which endpoint a request goes to, and what its failure means.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use policies::code::Outage;
use policies::id::UpstreamId;
use policies::rulebook::Protocol;
use tokio::time::timeout;

use super::body::PooledBody;
use super::endpoint::Endpoint;
use super::failure::SendError;
use super::request::{OutgoingRequest, strip_hop_by_hop};
use super::target::Target;
use crate::http::trust::Trust;
use crate::oauth::Credentials;

/// How many idle connections may turn out to be closed before a new one is opened: more than that is a backend that
/// closes all of them.
const STALE_MAX: usize = 3;

/// The connections of one serving thread to all backends.
#[derive(Debug)]
pub struct Pools<B> {
    // A handful: comparing a few short names is cheaper than hashing one.
    pools: Vec<Pool<B>>,
}

#[derive(Debug)]
struct Pool<B> {
    target: Target,
    endpoints: Vec<Arc<Endpoint<B>>>,
    turn: AtomicUsize,
}

/// A request that did not go out, and why.
type Unsent<B> = (OutgoingRequest<B>, SendError);

impl<B> Pools<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Makes the pools of one serving thread; connects to nobody yet.
    #[must_use]
    pub fn new(targets: Vec<Target>, trust: &Trust) -> Self {
        Self { pools: targets.into_iter().map(|target| Pool::new(target, trust)).collect() }
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
        match self.pools.iter().find(|pool| pool.target.id == *upstream) {
            Some(pool) => pool.send(request).await,
            None => Err(SendError::NotSent(Outage::new(format!("upstream {upstream}"), "it has no address"))),
        }
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.pools.iter().flat_map(|pool| &pool.endpoints).map(|endpoint| endpoint.idle_count()).sum()
    }
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn new(target: Target, trust: &Trust) -> Self {
        let trust = target.trust.as_ref().unwrap_or(trust);
        let endpoints = target.endpoints.iter().filter_map(|url| match Endpoint::new(&target, url, trust) {
            Ok(endpoint) => Some(Arc::new(endpoint)),
            Err(error) => {
                tracing::error!("upstream {}: {} cannot be called: {error}", target.id, url.authority());
                None
            }
        });
        Self { endpoints: endpoints.collect(), target, turn: AtomicUsize::new(0) }
    }

    async fn send(&self, mut request: OutgoingRequest<B>) -> Result<Response<PooledBody<B>>, SendError> {
        let place = self.target.place().ok_or(SendError::Full)?;
        let shown = match &self.target.credentials {
            Some(credentials) => Some(self.authorize(credentials, &mut request).await?),
            None => None,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut failed = SendError::NotSent(Outage::new(format!("upstream {}", self.target.id), "it has no address"));
        // Each endpoint once, beginning with the one whose turn it is; on to the next only while nothing was sent.
        for step in 0..self.endpoints.len() {
            let Some(endpoint) = self.endpoints.get(turn.wrapping_add(step) % self.endpoints.len()) else { break };
            let sent = match self.target.protocol {
                Protocol::Http1 => self.send_http1(endpoint, request).await,
                Protocol::Http2 => Box::pin(self.send_http2(endpoint, request)).await,
            };
            match sent {
                Ok(Ok((answer, connection))) => {
                    let connection = connection.map(|connection| (connection, Arc::clone(endpoint)));
                    if let (Some((credentials, value)), StatusCode::UNAUTHORIZED) = (&shown, answer.status()) {
                        credentials.refused(value);
                    }
                    let (mut head, body) = answer.into_parts();
                    strip_hop_by_hop(&mut head.headers);
                    let body = PooledBody::new(body, connection, place, self.target.response);
                    return Ok(Response::from_parts(head, body));
                }
                Ok(Err((unsent, error))) => (request, failed) = (unsent, error),
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// Writes a token of ours into a request.
    async fn authorize<'a>(
        &self,
        credentials: &'a Credentials,
        request: &mut OutgoingRequest<B>,
    ) -> Result<(&'a Credentials, HeaderValue), SendError> {
        let value = match credentials.at_hand() {
            Some(value) => value,
            // Boxed: it is rare, and every request would carry it.
            None => {
                let coming = timeout(self.target.connect, Box::pin(credentials.value())).await;
                coming.map_err(|_| SendError::TimedOut { sent: false })?.map_err(SendError::NotSent)?
            }
        };
        request.headers.insert(AUTHORIZATION, value.clone());
        Ok((credentials, value))
    }

    async fn send_http1(
        &self,
        endpoint: &Endpoint<B>,
        request: OutgoingRequest<B>,
    ) -> Result<Result<(Response<Incoming>, Option<http1::SendRequest<B>>), Unsent<B>>, SendError> {
        let method = request.method.clone();
        let mut request = endpoint.http1_request(request);
        for attempt in 0..=STALE_MAX {
            let idle = if attempt < STALE_MAX { endpoint.idle() } else { None };
            let fresh = idle.is_none();
            let mut connection = match idle {
                Some(connection) => connection,
                // Boxed: connecting is rare and its state is large, and every request would carry it.
                None => match Box::pin(endpoint.open()).await {
                    Ok(connection) => connection,
                    Err(error) => return Ok(Err((taken_apart(request), error))),
                },
            };
            let sent = within(self.target.response, connection.try_send_request(request)).await?;
            match sent {
                Ok(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(endpoint.lost("it switched protocols, which nobody asked for"));
                }
                // What follows a CONNECT is no HTTP, so that such a connection can never be used again.
                Ok(answer) if method == Method::CONNECT => return Ok(Ok((answer, None))),
                Ok(answer) => return Ok(Ok((answer, Some(connection)))),
                Err(mut error) => match error.take_message() {
                    // It was closed before a byte was written: an idle connection that the backend had given up.
                    Some(unsent) if !fresh => request = unsent,
                    Some(unsent) => {
                        let error = endpoint.not_sent(error.into_error());
                        return Ok(Err((taken_apart(unsent), error)));
                    }
                    None => return Err(endpoint.lost(told(&error.into_error()))),
                },
            }
        }
        Err(endpoint.lost("no connection stayed open"))
    }

    async fn send_http2(
        &self,
        endpoint: &Endpoint<B>,
        request: OutgoingRequest<B>,
    ) -> Result<Result<(Response<Incoming>, Option<http1::SendRequest<B>>), Unsent<B>>, SendError> {
        let mut request = endpoint.http2_request(request);
        let mut unsent_before = false;
        loop {
            let mut connection = match endpoint.shared().await {
                Ok(connection) => connection,
                Err(error) => return Ok(Err((taken_apart(request), error))),
            };
            match within(self.target.response, connection.try_send_request(request)).await? {
                Ok(answer) => return Ok(Ok((answer, None))),
                Err(mut error) => match error.take_message() {
                    // The connection was being closed; the next one is new.
                    Some(unsent) if !unsent_before => (request, unsent_before) = (unsent, true),
                    Some(unsent) => {
                        let error = endpoint.not_sent(error.into_error());
                        return Ok(Err((taken_apart(unsent), error)));
                    }
                    None => return Err(endpoint.lost(told(&error.into_error()))),
                },
            }
        }
    }
}

async fn within<B>(
    response: Duration,
    answer: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<B>>>>,
) -> Result<Result<Response<Incoming>, TrySendError<Request<B>>>, SendError> {
    timeout(response, answer).await.map_err(|_| SendError::TimedOut { sent: true })
}

// hyper's own words say little; what lies below them tells what happened.
fn told(error: &hyper::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn taken_apart<B>(request: Request<B>) -> OutgoingRequest<B> {
    let (head, body) = request.into_parts();
    let target = head.uri.into_parts().path_and_query;
    let target = target.unwrap_or(http::uri::PathAndQuery::from_static("/"));
    OutgoingRequest { method: head.method, target, headers: head.headers, body }
}
