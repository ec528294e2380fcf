//! The scripted service behind a trial: it stands where backends and identity providers do, and does what a case says.
//!
//! It takes connections inside this process, so that requests go out and answers come in through the real client.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adapters::http::inside::Inside;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use policies::rulebook::Protocol;
use tokio::io::{DuplexStream, duplex};

/// How much of a message may be on its way inside the process, in bytes: as much as over a common socket.
const PIPE_BYTES: usize = 64 * 1024;

/// What the service does when it is asked.
#[derive(Debug, Clone)]
pub(super) enum Play {
    /// Answers.
    Answers {
        /// The status.
        status: StatusCode,
        /// The media type, if there is a body.
        content_type: Option<HeaderValue>,
        /// The body.
        body: Bytes,
    },
    /// Takes no connection.
    Down,
    /// Takes the request and never answers.
    Silent,
}

/// The service.
#[derive(Debug)]
pub(super) struct Script {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    play: Play,
    asked: u32,
}

impl Script {
    /// Begins with this play.
    pub(super) fn new(play: Play) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { play, asked: 0 }) })
    }

    /// Returns how often the service was asked.
    pub(super) fn asked(&self) -> u32 {
        self.state().asked
    }

    /// Returns the door of the service that speaks `protocol`.
    pub(super) fn door(self: &Arc<Self>, protocol: Protocol) -> Arc<dyn Inside> {
        Arc::new(Entry { script: Arc::clone(self), protocol })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        // A service reads before it answers; what breaks off has been asked all the same.
        let _ = request.into_body().collect().await;
        let play = {
            let mut state = self.state();
            state.asked += 1;
            state.play.clone()
        };
        let Play::Answers { status, content_type, body } = play else { return std::future::pending().await };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        if let Some(content_type) = content_type {
            response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
        }
        Ok(response)
    }
}

struct Entry {
    script: Arc<Script>,
    protocol: Protocol,
}

impl Inside for Entry {
    fn connect(&self) -> Result<DuplexStream, io::Error> {
        if matches!(self.script.state().play, Play::Down) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = duplex(PIPE_BYTES);
        let (script, protocol) = (Arc::clone(&self.script), self.protocol);
        // Ends with its connection, at the latest with the runtime of the trial.
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let script = Arc::clone(&script);
                async move { script.answer(request).await }
            });
            let io = TokioIo::new(far);
            // Whoever closes the connection has what it wanted.
            let _ = match protocol {
                Protocol::Http1 => http1::Builder::new().serve_connection(io, service).await,
                Protocol::Http2 => http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await,
            };
        });
        Ok(near)
    }
}
