//! Pools against a backend that is written by hand, byte by byte.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use policies::id::UpstreamId;
use policies::rulebook::{Protocol, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{advance, sleep};

use super::endpoint::IDLE_STEP;
use super::{BodyError, OutgoingRequest, PooledBody, Pools, SendError, Target};
use crate::http::trust::Trust;
use crate::http::url::AllowedUrl;

const CONNECT: Duration = Duration::from_secs(1);
const RESPONSE: Duration = Duration::from_secs(3);

/// What the backend does with a request it has read.
#[derive(Clone, Copy)]
enum Act {
    /// Writes these bytes and reads on.
    Say(&'static str),
    /// Writes these bytes and closes.
    SayAndClose(&'static str),
    /// Says nothing and keeps the connection.
    Hang,
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A backend that does one act per request, the last one again and again.
struct Backend {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicUsize>,
}

impl Backend {
    async fn start(acts: &[Act]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            heads: Arc::default(),
            closed: Arc::default(),
        };
        let acts = Arc::new(Mutex::new(acts.iter().copied().collect::<VecDeque<_>>()));
        let (connections, heads, closed) = (backend.connections.clone(), backend.heads.clone(), backend.closed.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acts, heads, closed) = (acts.clone(), heads.clone(), closed.clone());
                tokio::spawn(async move {
                    serve(stream, &acts, &heads).await;
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        backend
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, acts: &Mutex<VecDeque<Act>>, heads: &Mutex<Vec<String>>) {
    let mut read = Vec::new();
    loop {
        while !read.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut piece = [0; 4096];
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => read.extend_from_slice(piece.get(..count).unwrap()),
            }
        }
        heads.lock().unwrap().push(String::from_utf8(std::mem::take(&mut read)).unwrap());
        let act = {
            let mut acts = acts.lock().unwrap();
            if acts.len() > 1 { acts.pop_front().unwrap() } else { *acts.front().unwrap() }
        };
        match act {
            Act::Say(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::SayAndClose(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                return;
            }
            // Until the other side gives up.
            Act::Hang => while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {},
        }
    }
}

fn upstream(protocol: Protocol, requests_max: u32) -> Upstream {
    let id = UpstreamId::parse("bank").unwrap();
    Upstream { id, protocol, connect: CONNECT, response: RESPONSE, requests_max }
}

fn target(protocol: Protocol, addresses: &[SocketAddr], requests_max: u32) -> Target {
    let urls = addresses.iter().map(|address| AllowedUrl::configured(&format!("http://{address}")).unwrap());
    Target::new(&upstream(protocol, requests_max), urls.collect())
}

fn pools<B>(target: &Target) -> Pools<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Pools::new(vec![target.clone()], &Trust::nobody().unwrap())
}

fn get() -> OutgoingRequest<Full<Bytes>> {
    OutgoingRequest::new(Method::GET, PathAndQuery::from_static("/a?b=c"), HeaderMap::new(), Full::default())
}

async fn send(pools: &Pools<Full<Bytes>>) -> Result<http::Response<PooledBody<Full<Bytes>>>, SendError> {
    pools.send(&UpstreamId::parse("bank").unwrap(), get()).await
}

async fn whole(pools: &Pools<Full<Bytes>>) -> Bytes {
    send(pools).await.unwrap().into_body().collect().await.unwrap().to_bytes()
}

/// Lets everything that can run without a clock run.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
        // Real sockets need a moment; the paused clock only moves when nothing else is to do.
        std::thread::yield_now();
    }
}

/// Waits for something the sockets have to bring about.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

#[test]
fn pools_and_bodies_may_be_shared_and_sent() {
    fn shared<T: Send + Sync + Unpin>() {}
    shared::<Pools<Full<Bytes>>>();
    shared::<PooledBody<Full<Bytes>>>();
}

#[tokio::test]
async fn an_unknown_backend_and_one_without_address_get_nothing() {
    let pools = pools(&target(Protocol::Http1, &[], 9));
    assert!(matches!(send(&pools).await, Err(SendError::NotSent(_))));
    assert!(matches!(pools.send(&UpstreamId::parse("x").unwrap(), get()).await, Err(SendError::NotSent(_))));
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_answer_has_ended() {
    let backend = Backend::start(&[Act::Say(OK)]).await;
    let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
    for _ in 0..5 {
        assert_eq!(whole(&pools).await, "ok");
        assert_eq!(pools.idle_count(), 1);
    }
    assert_eq!(backend.connections(), 1);
    assert_eq!(backend.heads().len(), 5);
}

#[tokio::test]
async fn an_answer_without_a_body_hands_its_connection_back_at_once() {
    let backend = Backend::start(&[Act::Say("HTTP/1.1 204 No Content\r\n\r\n")]).await;
    let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
    let answer = send(&pools).await.unwrap();
    assert!(answer.body().is_end_stream());
    assert_eq!(pools.idle_count(), 1);
}

#[tokio::test]
async fn rs61_only_our_own_headers_go_out_and_none_of_the_connection_come_back() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\n\
                  connection: X-B, keep-alive , not a name\r\nconnection: x-c\r\nx-a: 1\r\nx-b: 1\r\nx-c: 1\r\n\r\nok";
    let backend = Backend::start(&[Act::Say(answer)]).await;
    let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
    let mut headers = HeaderMap::new();
    for name in ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "x-ours"] {
        headers.insert(name, HeaderValue::from_static("9"));
    }
    let body = Full::new(Bytes::from_static(b"{}"));
    let request = OutgoingRequest::new(Method::POST, PathAndQuery::from_static("/a?b=c"), headers, body);
    let answer = pools.send(&UpstreamId::parse("bank").unwrap(), request).await.unwrap();
    let names: Vec<_> = answer.headers().keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["x-a"]);
    let heads = backend.heads();
    let head = heads.first().unwrap();
    let address = backend.address;
    assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
    let mut lines: Vec<_> = head.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["content-length: 2", &format!("host: {address}"), "x-ours: 9"]);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_request() {
    let backend = Backend::start(&[Act::SayAndClose(OK), Act::Say(OK)]).await;
    let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
    assert_eq!(whole(&pools).await, "ok");
    until(|| backend.closed() == 1).await;
    assert_eq!(whole(&pools).await, "ok");
    assert_eq!((backend.connections(), backend.heads().len()), (2, 2));
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_never_sent_again() {
    let broken = "HTTP/1.1 200";
    for acts in [&[Act::SayAndClose("")][..], &[Act::SayAndClose(broken)], &[Act::Say(OK), Act::SayAndClose("")]] {
        let backend = Backend::start(acts).await;
        let target = target(Protocol::Http1, &[backend.address], 9);
        let pools = pools(&target);
        if acts.len() > 1 {
            assert_eq!(whole(&pools).await, "ok");
        }
        assert!(matches!(send(&pools).await, Err(SendError::Lost(_))));
        assert_eq!(backend.heads().len(), acts.len());
        assert_eq!((pools.idle_count(), target.under_way()), (0, 0));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_lost() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "SMTP ready\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let backend = Backend::start(&[Act::SayAndClose(answer)]).await;
        let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
        assert!(matches!(send(&pools).await, Err(SendError::Lost(_))), "{answer}");
        assert_eq!(pools.idle_count(), 0);
    }
}

#[tokio::test]
async fn a_head_has_a_longest_length() {
    let head = |bytes: usize| {
        let fixed = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-long: \r\n\r\n";
        format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-long: {}\r\n\r\n", "a".repeat(bytes - fixed.len()))
    };
    for (bytes, fits) in [(60 * 1024, true), (70 * 1024, false)] {
        let backend = Backend::start(&[Act::Say(head(bytes).leak())]).await;
        let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
        assert_eq!(send(&pools).await.is_ok(), fits, "{bytes}");
    }
}

#[tokio::test]
async fn what_was_not_sent_goes_to_the_next_address_and_addresses_take_turns() {
    let dead = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let (one, two) = (Backend::start(&[Act::Say(OK)]).await, Backend::start(&[Act::Say(OK)]).await);
    let pools = pools(&target(Protocol::Http1, &[dead, one.address, two.address], 9));
    for _ in 0..6 {
        assert_eq!(whole(&pools).await, "ok");
    }
    assert_eq!((one.heads().len(), two.heads().len()), (4, 2));
    let alone = self::pools::<Full<Bytes>>(&target(Protocol::Http1, &[dead], 9));
    assert!(matches!(send(&alone).await, Err(SendError::NotSent(_))));
}

#[tokio::test]
async fn places_are_bounded_over_all_threads_and_free_when_the_answer_has_ended() {
    let backend = Backend::start(&[Act::Say(OK)]).await;
    let target = target(Protocol::Http1, &[backend.address], 2);
    let (one, other) = (pools(&target), pools(&target));
    let first = send(&one).await.unwrap();
    let second = send(&other).await.unwrap();
    assert!(matches!(send(&one).await, Err(SendError::Full)));
    assert!(matches!(send(&other).await, Err(SendError::Full)));
    let mut body = first.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
    assert_eq!(target.under_way(), 1);
    drop(second);
    assert_eq!(target.under_way(), 0);
    drop(body);
    assert_eq!(target.under_way(), 0);
    assert_eq!(whole(&one).await, "ok");
}

#[tokio::test]
async fn a_body_dropped_half_way_closes_its_connection() {
    let backend = Backend::start(&[Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"), Act::Say(OK)]).await;
    let target = target(Protocol::Http1, &[backend.address], 9);
    let pools = pools(&target);
    let mut body = send(&pools).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
    drop(body);
    assert_eq!((pools.idle_count(), target.under_way()), (0, 0));
    until(|| backend.closed() == 1).await;
    assert_eq!(whole(&pools).await, "ok");
}

#[tokio::test]
async fn a_request_dropped_while_it_waits_closes_its_connection() {
    let backend = Backend::start(&[Act::Hang]).await;
    let target = target(Protocol::Http1, &[backend.address], 9);
    let pools = Arc::new(pools(&target));
    let theirs = Arc::clone(&pools);
    let waiting = tokio::spawn(async move { send(&theirs).await.is_ok() });
    until(|| backend.heads().len() == 1).await;
    assert_eq!(target.under_way(), 1);
    waiting.abort();
    assert!(waiting.await.is_err());
    assert_eq!((pools.idle_count(), target.under_way()), (0, 0));
    until(|| backend.closed() == 1).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    ] {
        let backend = Backend::start(&[Act::SayAndClose(answer)]).await;
        let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
        let mut body = send(&pools).await.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(matches!(body.frame().await, Some(Err(BodyError::Lost(_)))));
        assert!(body.frame().await.is_none());
        assert_eq!(pools.idle_count(), 0);
    }
}

#[tokio::test]
async fn trailers_are_left_out() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-a\r\n\r\n2\r\nok\r\n0\r\nx-a: 1\r\n\r\n";
    let backend = Backend::start(&[Act::Say(answer)]).await;
    let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
    let answer = send(&pools).await.unwrap();
    assert!(answer.headers().is_empty());
    let collected = answer.into_body().collect().await.unwrap();
    assert!(collected.trailers().is_none());
    assert_eq!(collected.to_bytes(), "ok");
    assert_eq!(pools.idle_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_an_answer_has_its_time() {
    let backend = Backend::start(&[Act::Hang]).await;
    let target = target(Protocol::Http1, &[backend.address], 9);
    let pools = pools(&target);
    let begun = tokio::time::Instant::now();
    assert!(matches!(send(&pools).await, Err(SendError::TimedOut { sent: true })));
    assert_eq!(begun.elapsed(), RESPONSE);
    assert_eq!((pools.idle_count(), target.under_way()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_given_up() {
    let backend = Backend::start(&[Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")]).await;
    let target = target(Protocol::Http1, &[backend.address], 9);
    let pools = pools(&target);
    let mut body = send(&pools).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let begun = tokio::time::Instant::now();
    assert!(matches!(body.frame().await, Some(Err(BodyError::TimedOut))));
    assert!((RESPONSE..=RESPONSE * 2).contains(&begun.elapsed()));
    assert!(body.frame().await.is_none());
    assert_eq!((pools.idle_count(), target.under_way()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_a_while() {
    let backend = Backend::start(&[Act::Say(OK)]).await;
    let pools = pools(&target(Protocol::Http1, &[backend.address], 9));
    assert_eq!(whole(&pools).await, "ok");
    advance(IDLE_STEP - Duration::from_millis(1)).await;
    settle().await;
    assert_eq!(pools.idle_count(), 1);
    sleep(IDLE_STEP * 2).await;
    settle().await;
    assert_eq!(pools.idle_count(), 0);
    until(|| backend.closed() == 1).await;
    assert_eq!(whole(&pools).await, "ok");
    assert_eq!(backend.connections(), 2);
}

/// A body that never ends, as of a client that stopped sending.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(9)
    }
}

#[tokio::test]
async fn a_connection_whose_request_is_still_going_out_is_not_used_for_another() {
    let backend = Backend::start(&[Act::Say(OK)]).await;
    let pools = pools::<Endless>(&target(Protocol::Http1, &[backend.address], 9));
    let id = UpstreamId::parse("bank").unwrap();
    for round in 1..=2 {
        let request = OutgoingRequest::new(Method::POST, PathAndQuery::from_static("/"), HeaderMap::new(), Endless);
        let answer = pools.send(&id, request).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
        assert_eq!(backend.connections(), round);
    }
}

async fn http2_backend() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let echo = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let told = format!("{} {:?}", request.uri(), request.version());
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(told))))
            });
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(serving.serve_connection(TokioIo::new(stream), echo));
        }
    });
    (address, connections)
}

#[tokio::test]
async fn requests_over_http2_share_one_connection() {
    let (address, connections) = http2_backend().await;
    let target = target(Protocol::Http2, &[address], 99);
    let pools = Arc::new(pools(&target));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let pools = Arc::clone(&pools);
            tokio::spawn(async move { whole(&pools).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), format!("http://{address}/a?b=c HTTP/2.0"));
    }
    assert_eq!((connections.load(Ordering::SeqCst), target.under_way()), (1, 0));
}

#[tokio::test]
async fn a_backend_that_does_not_speak_http2_gets_no_second_try() {
    let backend = Backend::start(&[Act::SayAndClose("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")]).await;
    let target = target(Protocol::Http2, &[backend.address], 9);
    let pools = pools(&target);
    assert!(matches!(send(&pools).await, Err(SendError::Lost(_) | SendError::NotSent(_))));
    assert_eq!(target.under_way(), 0);
}

/// The sending future stays small: it is part of every request's own.
#[tokio::test]
async fn sending_is_a_small_future() {
    let pools = pools(&target(Protocol::Http1, &[], 9));
    let sending = send(&pools);
    let bytes = size_of_val(&sending);
    assert!(bytes <= 2048, "{bytes} bytes");
    let _ = std::pin::pin!(sending).as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
}
