//! One address of a backend, with its open connections.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use http_body::Body;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use policies::code::Outage;
use policies::rulebook::Protocol;
use rustls::ClientConfig;

use super::connect::connect;
use crate::http::trust::Trust;
use crate::http::url::AllowedUrl;

/// How long a connection may rest before it is used again: servers commonly close theirs after ten seconds or more, and
/// a request sent into a closing connection is lost.
pub const REST_MAX: Duration = Duration::from_secs(8);

/// The most resting connections of one endpoint on one serving thread.
pub const RESTING_MAX: usize = 256;

struct Resting<B> {
    sender: http1::SendRequest<B>,
    since: Instant,
}

/// An address and its connections.
pub(super) struct Endpoint<B> {
    url: AllowedUrl,
    host: HeaderValue,
    tls: Arc<ClientConfig>,
    connect: Duration,
    /// HTTP/1.1: the last one handed back is taken first, so that the others grow old and go.
    resting: Mutex<VecDeque<Resting<B>>>,
    /// HTTP/2: all requests share one connection; who finds none makes it while the others wait.
    shared: tokio::sync::Mutex<Option<http2::SendRequest<B>>>,
}

impl<B> std::fmt::Debug for Endpoint<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

impl<B> Endpoint<B> {
    pub(super) fn new(url: AllowedUrl, protocol: Protocol, trust: &Trust, connect: Duration) -> Option<Self> {
        let host = HeaderValue::from_str(&url.authority()).ok()?;
        let protocols: &[&[u8]] = match protocol {
            Protocol::Http1 => &[b"http/1.1"],
            Protocol::Http2 => &[b"h2"],
        };
        let (resting, shared) = (Mutex::default(), tokio::sync::Mutex::default());
        Some(Self { url, host, tls: trust.config(protocols), connect, resting, shared })
    }

    /// Returns the value of the `Host` header.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Returns the address.
    pub(super) fn url(&self) -> &AllowedUrl {
        &self.url
    }

    fn resting(&self) -> MutexGuard<'_, VecDeque<Resting<B>>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection that has rested, the youngest first.
    pub(super) fn rested(&self) -> Option<http1::SendRequest<B>> {
        let mut resting = self.resting();
        while let Some(found) = resting.pop_back() {
            if found.since.elapsed() >= REST_MAX {
                // All that are left are older.
                resting.clear();
                return None;
            }
            if !found.sender.is_closed() {
                return Some(found.sender);
            }
        }
        None
    }

    /// Takes a connection back whose answer has ended.
    pub(super) fn take_back(&self, sender: http1::SendRequest<B>) {
        if sender.is_closed() {
            return;
        }
        let mut resting = self.resting();
        while resting.front().is_some_and(|oldest| oldest.since.elapsed() >= REST_MAX) {
            resting.pop_front();
        }
        if resting.len() < RESTING_MAX {
            resting.push_back(Resting { sender, since: Instant::now() });
        }
    }
}

impl<B> Endpoint<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Makes a new HTTP/1.1 connection.
    pub(super) async fn open(&self) -> Result<http1::SendRequest<B>, Outage> {
        let stream = connect(&self.url, &self.tls, self.connect).await?;
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(|error| self.outage(&error))?;
        // Ends when the sender is dropped and the last answer has ended; its errors reach who waits for the answer.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// Gives the shared HTTP/2 connection, made anew if there is none or it has ended.
    pub(super) async fn shared(&self) -> Result<http2::SendRequest<B>, Outage> {
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = connect(&self.url, &self.tls, self.connect).await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(REST_MAX)
            .keep_alive_timeout(self.connect.max(Duration::from_secs(1)))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.outage(&error))?;
        tokio::spawn(async move { drop(connection.await) });
        *shared = Some(sender.clone());
        Ok(sender)
    }

    fn outage(&self, error: &hyper::Error) -> Outage {
        Outage::new(format!("the connection to {}", self.url.authority()), error)
    }
}
