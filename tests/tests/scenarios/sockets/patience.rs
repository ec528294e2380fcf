//! Peers that take their time: every wait of the server has an end.
//!
//! Each scenario shortens the one limit that it is about; the others stay so long that they cannot be the reason.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use scenarios::actors::Session;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank;
use scenarios::world::frames::{Frames, kind};
use scenarios::world::socket::{MODERN, PATIENCE, Said, secure, until_closed, write};
use scenarios::world::wire::{answer, authority};
use scenarios::world::{Ask, Kind, Setup, Tls, World};
use spine::stage::Door;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http2::connect;
use super::{accounts, pay, status};
use crate::http::{ACCOUNTS, STATUS};

/// What the shortened limit is set to.
const LIMIT: Duration = Duration::from_millis(500);

/// How often a scenario looks for what nobody tells it.
const LOOK: Duration = Duration::from_millis(20);

async fn limited(name: &str) -> World {
    World::with(Kind::Http1, Setup::configured(&format!("connections: {{{name}: 500ms}}\n"))).await
}

/// Checks that a wait ended, not before its time, and for this reason.
async fn ends<T>(world: &World, reason: &str, waiting: impl Future<Output = T>) -> T {
    let line = format!("qaqpa_connections_closed_total{{reason=\"{reason}\"}}");
    let (begun, before) = (Instant::now(), world.metric(&line));
    let ended = waiting.await;
    assert!(begun.elapsed() > LIMIT / 2, "it ended after {:?}", begun.elapsed());
    // The peer may see the end before it is counted.
    let mut look = tokio::time::interval(LOOK);
    let counted = async {
        while world.metric(&line) <= before {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("it did not end for the reason {reason}"));
    ended
}

/// Writes a byte again and again until the server closes, and gives what it said.
async fn drip(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), byte: &[u8]) -> Said {
    let mut said = Said { bytes: Vec::new() };
    let mut buffer = [0; 4096];
    let dripping = async {
        loop {
            if stream.write_all(byte).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            match tokio::time::timeout(Duration::from_millis(40), stream.read(&mut buffer)).await {
                Ok(Ok(count)) if count > 0 => said.bytes.extend_from_slice(buffer.get(..count).unwrap()),
                Ok(_) => return,
                Err(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.unwrap_or_else(|_| panic!("the server waits without end"));
    said
}

#[tokio::test]
async fn a_handshake_that_never_begins_is_not_waited_for() {
    let world = limited("handshake").await;
    let mut stream = TcpStream::connect(world.address(Door::Api)).await.unwrap();
    let said = ends(&world, "handshake-time", until_closed(&mut stream)).await;
    assert!(said.bytes.is_empty());
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_not_waited_for() {
    let world = limited("handshake").await;
    let mut stream = TcpStream::connect(world.address(Door::MtlsApi)).await.unwrap();
    // The first bytes of a client's hello, which announces 512 of them.
    write(&mut stream, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    ends(&world, "handshake-time", drip(&mut stream, b"\0")).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let world = limited("head").await;
    let mut stream = world.raw().await;
    let said = ends(&world, "head", until_closed(&mut stream)).await;
    assert!(said.bytes.is_empty());
    // Without TLS there is no handshake before it.
    let mut plain = TcpStream::connect(world.address(Door::Admin)).await.unwrap();
    ends(&world, "head", until_closed(&mut plain)).await;
}

#[tokio::test]
async fn what_a_handshake_takes_is_not_taken_from_the_head() {
    let world = World::with(Kind::Http1, Setup::configured("connections: {head: 1s}\n")).await;
    let pause = Duration::from_millis(700);
    let stream = TcpStream::connect(world.address(Door::Api)).await.unwrap();
    let early = tokio::time::timeout(pause, stream.readable()).await;
    assert!(early.is_err(), "the server speaks first");
    let tls = Tls { alpn: &[b"http/1.1"], versions: MODERN, certificate: None };
    let mut stream = secure(stream, Path::new(world.told("/ca_cert")), tls).await.unwrap();
    let early = tokio::time::timeout(pause, stream.read(&mut [0; 1])).await;
    assert!(early.is_err(), "{early:?}");
    write(&mut stream, &status(&world).bytes()).await;
    assert_eq!(answer(&mut stream).await.status, 200);
}

#[tokio::test]
async fn a_head_that_drips_is_not_waited_for() {
    let world = limited("head").await;
    let mut stream = world.raw().await;
    write(&mut stream, b"GET /v1/discovery/status HTTP/1.1\r\nx-slow: ").await;
    let said = ends(&world, "head", drip(&mut stream, b"a")).await;
    assert!(!said.statuses().contains(&200), "{}", said.text());
}

#[tokio::test]
async fn a_second_head_that_drips_is_not_waited_for() {
    let world = limited("head").await;
    let mut stream = world.raw().await;
    write(&mut stream, &status(&world).bytes()).await;
    assert_eq!(answer(&mut stream).await.status, 200);
    let said = ends(&world, "head", drip(&mut stream, b"G")).await;
    assert!(!said.statuses().contains(&200), "{}", said.text());
}

#[tokio::test]
async fn a_body_that_drips_is_not_waited_for() {
    let world = limited("bodyWindow").await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let wire = pay(&app);
    let mut stream = world.raw().await;
    let begun = Instant::now();
    write(&mut stream, &wire.head()).await;
    let said = drip(&mut stream, b"{").await;
    assert!(begun.elapsed() > LIMIT / 2);
    assert!(matches!(said.statuses().as_slice(), [408] | []), "{}", said.text());
    // A form comes before anybody is known.
    let form = Ask::post("/oauth/token").form(&[("grant_type", "client_credentials"), ("x", &"a".repeat(1000))]);
    let mut stream = world.raw().await;
    write(&mut stream, &scenarios::world::wire::Wire::of(&world, &form).head()).await;
    let said = drip(&mut stream, b"a").await;
    assert!(matches!(said.statuses().as_slice(), [408] | []), "{}", said.text());
    assert_eq!(bank::balance(&world, 1).await, before);
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let world = limited("bodyWindow").await;
    let app = Session::of(&world, "demo-app").await;
    for wire in [pay(&app), pay(&app).chunked(50)] {
        let mut stream = world.raw().await;
        write(&mut stream, &wire.head()).await;
        assert_eq!(answer(&mut stream).await.status, 408);
    }
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", authority(&world, &Ask::get(STATUS))),
        (":path", "/oauth/token"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut frames = Frames::begin(connect(&world).await, &[]).await;
    frames.fields(1, &fields, false).await;
    let outcome = frames.outcome(1).await;
    assert_eq!(outcome.status, Some(408), "{outcome:?}");
}

#[tokio::test]
async fn a_body_that_keeps_its_pace_is_waited_for() {
    let pace = "connections: {bodyWindow: 1s, bodyBytesMin: 100B}\n";
    let world = World::with(Kind::Http1, Setup::configured(pace)).await;
    let app = Session::of(&world, "demo-app").await;
    let wire = pay(&app);
    let (first, second) = wire.body.split_at(150);
    let mut stream = world.raw().await;
    write(&mut stream, &[wire.head(), first.to_vec()].concat()).await;
    // Into the second span, and before its end.
    let nothing = tokio::time::timeout(Duration::from_millis(1200), stream.read(&mut [0; 1])).await;
    assert!(nothing.is_err(), "{nothing:?}");
    write(&mut stream, second).await;
    assert_eq!(answer(&mut stream).await.status, 201);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let world = limited("idle").await;
    let mut stream = world.raw().await;
    write(&mut stream, &status(&world).bytes()).await;
    assert_eq!(answer(&mut stream).await.status, 200);
    let said = ends(&world, "idle", until_closed(&mut stream)).await;
    assert!(said.bytes.is_empty(), "{}", said.text());
}

fn status_fields(world: &World) -> [(&'static str, &str); 4] {
    let authority = authority(world, &Ask::get(STATUS));
    [(":method", "GET"), (":scheme", "https"), (":authority", authority), (":path", STATUS)]
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_though_it_answers_pings() {
    let world = limited("idle").await;
    let mut frames = Frames::begin(connect(&world).await, &[]).await;
    frames.fields(1, &status_fields(&world), true).await;
    assert_eq!(frames.outcome(1).await.status, Some(200));
    let outcome = ends(&world, "idle", frames.end()).await;
    assert_eq!(outcome.gone, Some(0), "{outcome:?}");
}

#[tokio::test]
async fn an_http2_connection_without_a_request_is_closed() {
    let world = limited("head").await;
    for settings in [true, false] {
        let mut stream = connect(&world).await;
        if settings {
            let mut frames = Frames::begin(stream, &[]).await;
            ends(&world, "head", frames.end()).await;
        } else {
            write(&mut stream, b"PRI * HTTP/2.0\r\n").await;
            ends(&world, "head", until_closed(&mut stream)).await;
        }
    }
    // A head without an end is none.
    let mut frames = Frames::begin(connect(&world).await, &[]).await;
    frames.send(kind::HEADERS, 1, 1, &[0x82]).await;
    ends(&world, "head", until_closed(&mut frames.into_stream())).await;
}

#[tokio::test]
async fn an_http2_peer_that_takes_no_answer_is_not_waited_for() {
    let world = limited("request").await;
    // It allows no byte of a body.
    let mut frames = Frames::begin(connect(&world).await, &[(4, 0)]).await;
    frames.fields(1, &status_fields(&world), true).await;
    let outcome = ends(&world, "request", frames.end()).await;
    assert_eq!(outcome.status, Some(200), "{outcome:?}");
    assert!(outcome.body.is_empty(), "{outcome:?}");
}

#[tokio::test]
async fn a_peer_that_reads_no_answer_is_not_waited_for() {
    // More than the buffers between take.
    let large = Backend::json(&format!("[\"{}\"]", "a".repeat(24 * 1024 * 1024)), "").await;
    let setup = Setup { backend: Some(large.address), ..Setup::configured("connections: {writeStall: 500ms}\n") };
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let mut stream = world.raw().await;
    let open = || world.metric("qaqpa_connections{listener=\"api\"}");
    write(&mut stream, &accounts(&app).bytes()).await;
    let mut look = tokio::time::interval(LOOK);
    let gone = async {
        while open() > 0.5 {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("the server waits without end"));
    let said = until_closed(&mut stream).await;
    assert!(said.bytes.len() < 24 * 1024 * 1024, "it was all sent: {}", said.bytes.len());
}

#[tokio::test]
async fn a_peer_gets_its_last_connection_and_not_one_more() {
    let world = World::with(Kind::Http1, Setup::configured("connections: {perPeer: 2}\n")).await;
    last_connection(&world).await;
}

#[tokio::test]
async fn all_peers_together_get_the_last_connection_and_not_one_more() {
    let world = World::with(Kind::Http1, Setup::configured("connections: {max: 2}\n")).await;
    last_connection(&world).await;
}

async fn last_connection(world: &World) {
    let (mut first, mut second) = (world.raw().await, world.raw().await);
    let tls = Tls { alpn: &[b"http/1.1"], versions: MODERN, certificate: None };
    assert!(world.connect(Door::Api, tls).await.is_err(), "a third is served");
    for stream in [&mut first, &mut second] {
        write(stream, &status(world).bytes()).await;
        assert_eq!(answer(stream).await.status, 200);
    }
    // The other doors count for themselves.
    assert_eq!(world.send(Ask::get("/livez").at(Door::Admin)).await.status, 200);
    drop(first);
    let mut look = tokio::time::interval(LOOK);
    let again = async {
        while world.connect(Door::Api, tls).await.is_err() {
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap_or_else(|_| panic!("a closed connection counts for ever"));
    assert!(world.metric("qaqpa_shed_total{reason=\"connections\"}") >= 1.0);
}

#[tokio::test]
async fn an_honest_peer_is_served_beside_many_slow_ones() {
    let world = limited("head").await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(world.address(Door::Api)).await.unwrap();
        write(&mut stream, b"\x16\x03\x01").await;
        slow.push(stream);
        let mut stream = world.raw().await;
        write(&mut stream, b"GET ").await;
        slow.push(stream.into_inner().0);
    }
    let app = Session::of(&world, "demo-app").await;
    app.get(ACCOUNTS).await.succeeded(200);
    drop(slow);
}
