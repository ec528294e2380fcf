//! One address of a backend and this thread's open connections to it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, header};
use http_body::Body;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use policies::code::Outage;
use policies::rulebook::Protocol;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::failure::SendError;
use super::request::OutgoingRequest;
use super::target::Target;
use crate::http::dial::{Connection, Dialler};
use crate::http::trust::Trust;
use crate::http::url::AllowedUrl;

/// How many idle connections a thread keeps to one endpoint: as many as requests under way at a busy moment.
pub(super) const IDLE_MAX: usize = 512;

/// An idle connection is closed after one to two of these: before common servers do it (5 to 75 s), so that few
/// requests meet a connection that is being closed.
pub(super) const IDLE_STEP: Duration = Duration::from_secs(2);

/// The longest head of an answer, in bytes: four times what the gateway takes from its own callers.
const ANSWER_HEAD_BYTES_MAX: usize = 64 * 1024;

/// HTTP/2 flow control: what may be on its way to us per answer and in all.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// How long an HTTP/2 connection may be silent before it is asked whether it lives, and how long it has to answer.
const PING_AFTER: Duration = Duration::from_secs(10);
const PING_WAIT: Duration = Duration::from_secs(5);

/// One address of a backend.
pub(super) struct Endpoint<B> {
    port: String,
    dialler: Dialler,
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    connect: Duration,
    idle: Mutex<Idle<B>>,
    shared: tokio::sync::Mutex<Option<http2::SendRequest<B>>>,
}

struct Idle<B> {
    /// The connection that was used last is at the end, so that those nobody needs grow old at the front.
    connections: Vec<(http1::SendRequest<B>, u64)>,
    /// Counts the sweeps, so that handing back need not read a clock.
    step: u64,
    sweeping: bool,
}

impl<B> Endpoint<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    pub(super) fn new(target: &Target, url: &AllowedUrl, trust: &Trust) -> Result<Self, Box<dyn StdError>> {
        let protocol: &[u8] = match target.protocol {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        };
        let authority = url.authority();
        Ok(Self {
            port: format!("upstream {}", target.id),
            dialler: Dialler::new(url, trust, protocol)?.inside(target.inside.as_ref()),
            scheme: if url.is_tls() { Scheme::HTTPS } else { Scheme::HTTP },
            host: HeaderValue::from_str(&authority)?,
            authority: Authority::try_from(authority)?,
            connect: target.connect,
            idle: Mutex::new(Idle { connections: Vec::new(), step: 0, sweeping: false }),
            shared: tokio::sync::Mutex::new(None),
        })
    }

    /// Writes the request as it is sent to this endpoint over HTTP/1.1.
    pub(super) fn http1_request(&self, request: OutgoingRequest<B>) -> Request<B> {
        let mut sent = Request::new(request.body);
        *sent.method_mut() = request.method;
        *sent.uri_mut() = Uri::from(request.target);
        *sent.headers_mut() = request.headers;
        sent.headers_mut().insert(header::HOST, self.host.clone());
        sent
    }

    /// Writes the request as it is sent to this endpoint over HTTP/2.
    pub(super) fn http2_request(&self, request: OutgoingRequest<B>) -> Request<B> {
        let mut sent = Request::new(request.body);
        *sent.method_mut() = request.method;
        *sent.uri_mut() = self.absolute(request.target);
        *sent.version_mut() = http::Version::HTTP_2;
        *sent.headers_mut() = request.headers;
        sent
    }

    /// Takes an idle connection that is ready to send, the one used last.
    pub(super) fn idle(&self) -> Option<http1::SendRequest<B>> {
        let mut idle = self.lock();
        while idle.connections.pop_if(|(connection, _)| connection.is_closed()).is_some() {}
        let ready = idle.connections.iter().rposition(|(connection, _)| connection.is_ready())?;
        Some(idle.connections.remove(ready).0)
    }

    /// Opens a connection.
    pub(super) async fn open(&self) -> Result<http1::SendRequest<B>, SendError> {
        let opening = async {
            match self.dialler.connect().await.map_err(|error| self.not_sent(error))? {
                Connection::Inside(io) => self.http1_over(io).await,
                Connection::Plain(io) => self.http1_over(io).await,
                Connection::Tls(io) => self.http1_over(*io).await,
            }
        };
        timeout(self.connect, opening).await.map_err(|_| SendError::TimedOut { sent: false })?
    }

    /// Returns the one HTTP/2 connection that all requests share, opening it if there is none.
    pub(super) async fn shared(&self) -> Result<http2::SendRequest<B>, SendError> {
        let sharing = async {
            // Held while connecting, so that a burst opens one connection and not one each.
            let mut shared = self.shared.lock().await;
            if let Some(connection) = shared.as_ref().filter(|connection| !connection.is_closed()) {
                return Ok(connection.clone());
            }
            let connection = match self.dialler.connect().await.map_err(|error| self.not_sent(error))? {
                Connection::Inside(io) => self.http2_over(io).await,
                Connection::Plain(io) => self.http2_over(io).await,
                Connection::Tls(io) => self.http2_over(*io).await,
            }?;
            *shared = Some(connection.clone());
            Ok(connection)
        };
        timeout(self.connect, sharing).await.map_err(|_| SendError::TimedOut { sent: false })?
    }

    pub(super) fn lost(&self, cause: impl ToString) -> SendError {
        SendError::Lost(Outage::new(self.port.clone(), cause))
    }

    pub(super) fn not_sent(&self, cause: impl ToString) -> SendError {
        SendError::NotSent(Outage::new(self.port.clone(), cause))
    }

    async fn http1_over<I>(&self, io: I) -> Result<http1::SendRequest<B>, SendError>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_header_size(ANSWER_HEAD_BYTES_MAX);
        let (sender, connection) = builder.handshake(io).await.map_err(|error| self.not_sent(error))?;
        self.drive(connection);
        Ok(sender)
    }

    async fn http2_over<I>(&self, io: I) -> Result<http2::SendRequest<B>, SendError>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(ANSWER_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_WAIT);
        let (sender, connection) = builder.handshake(io).await.map_err(|error| self.not_sent(error))?;
        self.drive(connection);
        Ok(sender)
    }

    // A connection is a task of the serving thread; it ends when its senders are gone or its other end closes it.
    fn drive(&self, connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
        let port = self.port.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to {port} ended: {error}");
            }
        });
    }

    fn absolute(&self, target: PathAndQuery) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).expect("a scheme, an authority and a path together are a URI")
    }
}

impl<B: Send + 'static> Endpoint<B> {
    /// Takes back a connection whose last answer has ended.
    pub(super) fn hand_back(self: &Arc<Self>, connection: http1::SendRequest<B>) {
        let mut idle = self.lock();
        if connection.is_closed() || idle.connections.len() >= IDLE_MAX {
            return;
        }
        if !idle.sweeping {
            // Without a runtime nobody would ever close it.
            let Ok(runtime) = Handle::try_current() else { return };
            idle.sweeping = true;
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
        let step = idle.step;
        idle.connections.push((connection, step));
    }
}

impl<B> Endpoint<B> {
    fn lock(&self) -> MutexGuard<'_, Idle<B>> {
        // The list is whole between any two of its calls.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what was idle for two steps; `false` if nothing is left to watch over.
    fn close_old(&self) -> bool {
        let mut idle = self.lock();
        idle.step += 1;
        let step = idle.step;
        idle.connections.retain(|(connection, since)| step < since + 2 && !connection.is_closed());
        idle.sweeping = !idle.connections.is_empty();
        idle.sweeping
    }

    #[cfg(test)]
    pub(super) fn idle_count(&self) -> usize {
        self.lock().connections.len()
    }
}

async fn sweep<B: Send + 'static>(endpoint: Weak<Endpoint<B>>) {
    loop {
        sleep(IDLE_STEP).await;
        if !endpoint.upgrade().is_some_and(|endpoint| endpoint.close_old()) {
            return;
        }
    }
}

impl<B> fmt::Debug for Endpoint<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("port", &self.port).field("authority", &self.authority).finish_non_exhaustive()
    }
}
