//! Serving on loopback: accept, bound and stop. Knows neither banks nor providers.

use crate::reply::{HungUp, Reply};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How long the headers of one request may take; also how long a connection may idle between two.
const HEADER_WAIT: Duration = Duration::from_secs(10);
/// Bytes of the header section: the trusted headers and a `traceparent` need less than two kilobytes.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// How many headers one request may have.
const HEADERS_MAX: usize = 64;
/// Streams of one HTTP/2 connection at a time.
const STREAMS_MAX: u32 = 256;
/// Connections at a time; further ones wait in the backlog.
const CONNECTIONS_MAX: usize = 1024;
/// How long answers under way may take after a stop was asked for.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// Pause after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a service of the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is not a loopback address: the sandbox believes its callers, so no other host may call it.
    #[error("the sandbox listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The ledger's file could not be opened, read or written.
    #[error("the ledger cannot be used: {0}")]
    Ledger(#[from] rusqlite::Error),
    /// The ledger's thread could not be started.
    #[error("the ledger's thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// The ledger's file is another program's or another version's.
    #[error("the file is not a ledger of this sandbox")]
    NotALedger,
    /// The books do not balance; the text says which of them.
    #[error("the ledger does not balance: {0}")]
    Unbalanced(&'static str),
    /// The certificates that callbacks are to trust could not be read.
    #[error("the trust for callbacks cannot be used: {0}")]
    Trust(String),
}

/// A service that runs; it stops when this is dropped, or orderly with [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    /// Resolves when what stands behind the service (the ledger's thread) has ended.
    behind: Option<oneshot::Receiver<()>>,
}

impl Running {
    /// The address that is listened on, with the port that was found when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: answers under way are finished, for five seconds at most, and the ledger's file is released.
    pub async fn stop(self) {
        // Fails only when serving has ended already, which is what is wanted.
        let _ = self.stop.send(true);
        let _ = self.serving.await;
        if let Some(behind) = self.behind {
            // An error means that the other end was dropped: the thread has ended.
            let _ = behind.await;
        }
    }
}

/// A service: what is answered to one request.
pub(crate) trait Site: Send + Sync + 'static {
    /// Answers a request, or hangs up when a fault switch asks for it.
    fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> impl Future<Output = Result<Reply, HungUp>> + Send;
}

/// Listens on a loopback address.
///
/// # Errors
/// [`SandboxError::NotLoopback`] and [`SandboxError::Listen`].
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SandboxError> {
    if !address.ip().is_loopback() {
        return Err(SandboxError::NotLoopback(address));
    }
    let failed = |source| SandboxError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let found = listener.local_addr().map_err(failed)?;
    Ok((listener, found))
}

/// Serves a site on the current runtime until it is stopped.
///
/// `stop` is the sending half of a watch that the site may also look at.
pub(crate) fn serve<S: Site>(
    (listener, address): (TcpListener, SocketAddr),
    site: Arc<S>,
    stop: watch::Sender<bool>,
    behind: Option<oneshot::Receiver<()>>,
) -> Running {
    let stopped = stop.subscribe();
    let serving = tokio::spawn(accept(listener, site, stopped));
    Running { address, stop, serving, behind }
}

/// Resolves when a stop was asked for or nobody can ask any more.
pub(crate) async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    // Both outcomes mean the same: `true` was sent, or the sender is gone.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn accept<S: Site>(listener: TcpListener, site: Arc<S>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        // Room first: a connection that is not accepted costs the process nothing.
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            () = until_stopped(&mut stopped) => break,
            _ = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (site, stopped) = (Arc::clone(&site), stopped.clone());
                    connections.spawn(converse(stream, site, stopped, HEADER_WAIT));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    drop(listener);
    let finishing = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WAIT, finishing).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection, HTTP/1.1 or HTTP/2 with prior knowledge.
async fn converse<S: Site>(stream: TcpStream, site: Arc<S>, mut stopped: watch::Receiver<bool>, header_wait: Duration) {
    // Small replies must not wait for an acknowledgement; a failure only costs time.
    let _ = stream.set_nodelay(true);
    let spoken = AtomicBool::new(false);
    let service = service_fn(|request| {
        spoken.store(true, Ordering::Relaxed);
        Arc::clone(&site).answer(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_wait)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(header_wait)
        .keep_alive_timeout(header_wait);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // hyper's own timeout begins after the version is known, so silence before it is bounded here.
    let silence = tokio::time::sleep(header_wait);
    let mut silence = std::pin::pin!(silence);
    let mut listening = true;
    loop {
        // Errors of a connection (reset, malformed request, hung up) concern nobody but its peer.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = silence.as_mut(), if listening => {
                if !spoken.load(Ordering::Relaxed) {
                    return;
                }
                listening = false;
            }
            () = until_stopped(&mut stopped) => break,
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;
    use crate::rehearsal::Call;
    use crate::reply;
    use http::StatusCode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Echo;

    impl Site for Echo {
        async fn answer(self: Arc<Self>, _: http::Request<Incoming>) -> Result<Reply, HungUp> {
            Ok(reply::json(StatusCode::OK, &"heard"))
        }
    }

    async fn running() -> Running {
        let door = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        serve(door, Arc::new(Echo), watch::channel(false).0, None)
    }

    /// What one connection answers to these bytes until it is closed, when headers may take 50 ms.
    async fn until_closed(bytes: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (_stop, stopped) = watch::channel(false);
        let talking = tokio::spawn(converse(stream, Arc::new(Echo), stopped, Duration::from_millis(50)));
        client.write_all(bytes).await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        talking.await.unwrap();
        heard
    }

    #[tokio::test]
    async fn silence_and_half_a_header_end_the_connection() {
        assert_eq!(until_closed(b"").await, "");
        assert_eq!(until_closed(b"PRI").await, "");
        assert!(!until_closed(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow").await.contains("heard"));
        assert!(until_closed(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.contains("heard"));
    }

    #[tokio::test]
    async fn the_header_section_is_bounded() {
        let running = running().await;
        let with = |count: usize, bytes: usize| {
            (0..count).fold(Call::get("/"), |call, _| call.with("x-filler", "x".repeat(bytes)))
        };
        for (call, status) in [
            (with(HEADERS_MAX + 1, 1), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            (with(HEADERS_MAX, 1), StatusCode::OK),
            (with(1, HEADER_BYTES_MAX), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            (with(1, HEADER_BYTES_MAX - 1024), StatusCode::OK),
        ] {
            assert_eq!(call.send(running.address()).await.unwrap().status, status);
        }
    }

    #[tokio::test]
    async fn what_is_dropped_stops() {
        let running = running().await;
        let mut client = TcpStream::connect(running.address()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut heard = [0; 1];
        client.read_exact(&mut heard).await.unwrap();
        drop(running);
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with("\"heard\""));
    }
}
