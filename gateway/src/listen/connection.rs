//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use policies::peer::Peer;
use spine::body::{Body, BodyFailure};
use spine::stage::Arrived;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch as flag;

use super::io::WatchedIo;
use super::limits::ConnectionLimits;
use super::listener::Listener;
use super::pace::Paced;
use super::tls::Shown;
use super::watch::{Busy, Over, Watch};

/// How often a connection's time-outs are looked at, at most.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// How long requests under way may still take when a connection is asked to end.
const DRAIN: Duration = Duration::from_secs(10);

/// The other end of a connection.
struct Known {
    address: IpAddr,
    shown: Option<Shown>,
}

impl Known {
    /// Tells who it is for one request: what its certificate is worth may have changed since the last one.
    fn now(&self, listener: &Listener) -> Peer {
        let (tls, shown) = (listener.tls.as_ref(), self.shown.as_ref());
        let certificate = tls.zip(shown).map(|(tls, shown)| tls.judge(shown, listener.house.clock.now()));
        Peer { address: self.address, certificate }
    }
}

/// Serves a connection until it ends.
pub(super) async fn run(
    listener: &Arc<Listener>,
    stream: TcpStream,
    peer: IpAddr,
    worker: usize,
    stop: flag::Receiver<bool>,
) {
    let Some(tls) = &listener.tls else {
        let peer = Known { address: peer, shown: None };
        return http1(listener, stream, peer, worker, Watch::start(Instant::now()), stop).await;
    };
    let stand = tls.stand();
    let handshake = tokio::time::timeout(listener.limits.handshake, stand.acceptor().accept(stream));
    let stream = match handshake.await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return listener.house.metrics.closed("handshake"),
        Err(_) => return listener.house.metrics.closed("handshake-time"),
    };
    // What the handshake took has a limit of its own.
    let watch = Watch::start(Instant::now());
    let session = stream.get_ref().1;
    let shown = stand.shown(session.peer_certificates(), listener.house.clock.now());
    let h2 = session.alpn_protocol() == Some(b"h2");
    let peer = Known { address: peer, shown };
    // What a renewed door no longer stands on is not kept for as long as this connection.
    drop(stand);
    if h2 {
        http2(listener, stream, peer, worker, watch, stop).await;
    } else {
        http1(listener, stream, peer, worker, watch, stop).await;
    }
}

async fn http1<S>(
    listener: &Arc<Listener>,
    stream: S,
    peer: Known,
    worker: usize,
    watch: Watch,
    stop: flag::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = listener.limits;
    let io = TokioIo::new(WatchedIo::new(stream, Some(watch.clone()), limits.write_stall));
    let service = service_fn(|request| serve(listener, request, &peer, worker, &watch));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // The watch tells a slow head from an idle connection; hyper's one timer for both is set to the longer.
        .header_read_timeout(limits.idle + limits.head)
        .max_buf_size(usize::try_from(limits.header_list_bytes_max).unwrap_or(16 * 1024) * 4)
        .serve_connection(io, service);
    drive(listener, connection, http1::Connection::graceful_shutdown, &watch, stop).await;
}

async fn http2<S>(
    listener: &Arc<Listener>,
    stream: S,
    peer: Known,
    worker: usize,
    watch: Watch,
    stop: flag::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = listener.limits;
    let io = TokioIo::new(WatchedIo::new(stream, None, limits.write_stall));
    let (owner, peer, seen) = (Arc::clone(listener), Arc::new(peer), watch.clone());
    let service = service_fn(move |request| {
        let (listener, peer, watch) = (Arc::clone(&owner), Arc::clone(&peer), seen.clone());
        async move { serve(&listener, request, &peer, worker, &watch).await }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(limits.header_list_bytes_max)
        // The edge advice of Envoy: 64 KiB a stream, 1 MiB a connection.
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(limits.idle / 3)
        .keep_alive_timeout(limits.head)
        .serve_connection(io, service);
    drive(listener, connection, http2::Connection::graceful_shutdown, &watch, stop).await;
}

/// Polls a connection beside its time-outs and the wish to stop.
async fn drive<C: Future>(
    listener: &Listener,
    connection: C,
    end_gently: fn(Pin<&mut C>),
    watch: &Watch,
    mut stop: flag::Receiver<bool>,
) {
    let limits = &listener.limits;
    let mut connection = std::pin::pin!(connection);
    let look = look(limits);
    let mut draining: Option<Instant> = None;
    loop {
        let stopping = async {
            if draining.is_some() {
                std::future::pending::<()>().await;
            }
            let _ = stop.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stopping => {
                end_gently(connection.as_mut());
                draining = Some(Instant::now());
            }
            () = tokio::time::sleep(look) => {}
        }
        let now = Instant::now();
        if draining.is_some_and(|since| now.saturating_duration_since(since) >= DRAIN) {
            return listener.house.metrics.closed("drain");
        }
        match watch.over(now, limits) {
            Some(Over::Now(reason)) => return listener.house.metrics.closed(reason),
            Some(Over::Gently(reason)) if draining.is_none() => {
                listener.house.metrics.closed(reason);
                end_gently(connection.as_mut());
                draining = Some(now);
            }
            _ => {}
        }
    }
}

// Often enough that no time-out is exceeded by more than an eighth.
fn look(limits: &ConnectionLimits) -> Duration {
    (limits.head.min(limits.idle).min(limits.request_total) / 8).min(LOOK_MAX)
}

async fn serve(
    listener: &Arc<Listener>,
    request: Request<Incoming>,
    peer: &Known,
    worker: usize,
    watch: &Watch,
) -> Result<Response<Watched>, Infallible> {
    let busy = watch.begin(Instant::now());
    let limits = &listener.limits;
    let request = request.map(|incoming| {
        if incoming.is_end_stream() {
            Body::empty()
        } else {
            Body::stream(Box::pin(Paced::new(incoming, limits.body_window, limits.body_bytes_min)))
        }
    });
    let arrived = Arrived { request, peer: peer.now(listener), entrance: Arc::clone(&listener.entrance), worker };
    let called = listener.stack.load().answer(arrived);
    let reply = called.await?;
    Ok(reply.map(|body| Watched { body, _busy: busy }))
}

/// An answer's body, which keeps its request under way on the connection until it ends.
struct Watched {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
