//! Where one request ends and the next begins: never inside a body, whatever the body looks like.

use std::time::{Duration, Instant};

use scenarios::actors::Session;
use scenarios::world::socket::{PATIENCE, until_closed, until_said, write};
use scenarios::world::wire::{Wire, answer, authority};
use scenarios::world::{Ask, Kind, Setup, World};
use tokio::io::AsyncWriteExt as _;

use super::{accounts, pay, status};
use crate::http::{ACCOUNTS, PAYMENTS, STATUS, counting};

/// Short, so that a connection that stays open shows soon that nothing more is said on it.
const IDLE: &str = "connections: {idle: 150ms}\n";

async fn short() -> (scenarios::actors::backend::Backend, World) {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, Setup { configuration: IDLE.to_owned(), ..setup }).await;
    (backend, world)
}

/// Sends bytes and reads until the server closes: at once, or because nothing more comes.
async fn statuses(world: &World, bytes: &[u8]) -> Vec<u16> {
    let mut stream = world.raw().await;
    write(&mut stream, bytes).await;
    until_closed(&mut stream).await.statuses()
}

#[tokio::test]
async fn two_requests_at_once_get_two_answers_in_their_order() {
    let (backend, world) = short().await;
    let app = Session::of(&world, "demo-app").await;
    let both = [accounts(&app).bytes(), status(&world).asking("GET /nowhere HTTP/1.1").bytes(), status(&world).bytes()];
    assert_eq!(statuses(&world, &both.concat()).await, [200, 404, 200]);
    let bodies = [pay(&app).bytes(), pay(&app).chunked(50).bytes(), accounts(&app).bytes()];
    assert_eq!(statuses(&world, &bodies.concat()).await, [200, 200, 200]);
    assert_eq!(backend.received().len(), 4);
}

#[tokio::test]
async fn a_body_that_looks_like_a_request_is_never_one() {
    let (backend, world) = short().await;
    let app = Session::of(&world, "demo-app").await;
    let hidden = || accounts(&app).bytes();
    let measured = |wire: Wire, body: Vec<u8>| {
        let wire = wire.without("content-length");
        let wire = wire.field(&format!("content-length: {}", body.len()));
        Wire { body, ..wire }
    };
    let plain = |line: &str| status(&world).asking(&format!("{line} HTTP/1.1"));
    let large = [b" ".repeat(64 * 1024), hidden()].concat();
    let refused = [
        ("no such path", measured(plain("POST /nowhere"), hidden()), 404),
        ("no such method", measured(plain(&format!("POST {STATUS}")), hidden()), 405),
        ("no body taken", measured(plain(&format!("GET {STATUS}")), hidden()), 400),
        ("no token", measured(plain(&format!("POST {PAYMENTS}")), hidden()), 401),
        ("crooked path", measured(plain("POST /v1//accounts"), hidden()), 400),
        ("crooked header", measured(status(&world).field("x_user: 1"), hidden()), 400),
        ("no media type", measured(pay(&app).without("content-type"), hidden()), 415),
        ("encoded", measured(pay(&app).field("content-encoding: gzip"), hidden()), 415),
        ("no JSON", measured(pay(&app), hidden()), 400),
        ("too large", measured(pay(&app), large.clone()), 413),
        ("no token, too large", measured(plain(&format!("POST {PAYMENTS}")), large.clone()), 401),
        ("no such path, in chunks", Wire { body: hidden(), ..plain("POST /nowhere") }.chunked(40), 404),
        ("too large, in chunks", Wire { body: large, ..pay(&app) }.chunked(4000), 413),
        ("expecting to be told", measured(plain("POST /nowhere").field("expect: 100-continue"), hidden()), 404),
    ];
    for (name, wire, status) in refused {
        let seen = statuses(&world, &wire.bytes()).await;
        // The end of the connection may overtake the answer; nothing else may come.
        assert!(seen == [status] || seen.is_empty(), "{name}: {seen:?}");
        assert!(backend.received().is_empty(), "{name}: {:?}", backend.received());
    }
}

/// RFC 9112, 6.3: the coding counts, and the connection ends behind the answer. The parser below us does this before
/// anybody could refuse it.
#[tokio::test]
async fn a_length_beside_a_coding_counts_for_nothing_and_ends_the_connection() {
    let (backend, world) = short().await;
    let app = Session::of(&world, "demo-app").await;
    let sent = String::from_utf8(pay(&app).body).unwrap();
    for (length, first) in [(5, true), (5, false), (100_000, true), (100_000, false), (sent.len(), true)] {
        let mut wire = pay(&app).chunked(50);
        let at = if first { 0 } else { wire.fields.len() };
        wire.fields.insert(at, format!("content-length: {length}").into_bytes());
        let before = backend.received().len();
        let mut stream = world.raw().await;
        write(&mut stream, &[wire.bytes(), accounts(&app).bytes()].concat()).await;
        let begun = Instant::now();
        let seen = until_closed(&mut stream).await.statuses();
        assert!(begun.elapsed() < PATIENCE / 2 && seen == [200], "{length} {first}: {seen:?}");
        let received = backend.received();
        let [one] = received.get(before..).unwrap() else { panic!("{received:?}") };
        assert_eq!((one.line(), one.body.as_str()), ("POST /v1/domestic-payments HTTP/1.1", sent.as_str()));
        assert_eq!(one.header("content-length"), Some(sent.len().to_string().as_str()));
        assert_eq!(one.header("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn a_request_that_stops_within_its_body_is_no_request() {
    let (backend, world) = short().await;
    let app = Session::of(&world, "demo-app").await;
    for wire in [pay(&app), pay(&app).chunked(50)] {
        let mut stream = world.raw().await;
        let bytes = wire.bytes();
        write(&mut stream, bytes.get(..bytes.len() - 3).unwrap()).await;
        stream.shutdown().await.unwrap();
        let seen = until_closed(&mut stream).await.statuses();
        assert!(seen.is_empty() || seen == [400], "{seen:?}");
    }
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn bytes_behind_a_wish_to_upgrade_are_a_request_of_their_own() {
    let (backend, world) = short().await;
    let app = Session::of(&world, "demo-app").await;
    for protocol in ["websocket", "h2c", "foo", "TLS/1.0"] {
        let wish = status(&world).field("connection: Upgrade").field(&format!("upgrade: {protocol}"));
        let mut stream = world.raw().await;
        write(&mut stream, &[wish.bytes(), status(&world).asking("GET /nowhere HTTP/1.1").bytes()].concat()).await;
        let said = until_closed(&mut stream).await;
        assert_eq!(said.statuses(), [200, 404], "{}", said.text());
        assert!(!said.text().to_ascii_lowercase().contains("upgrade"), "{}", said.text());
    }
    let own = authority(&world, &Ask::get(ACCOUNTS)).to_owned();
    let tunnel = status(&world).asking(&format!("CONNECT {own} HTTP/1.1"));
    let seen = statuses(&world, &[tunnel.bytes(), accounts(&app).bytes()].concat()).await;
    assert_eq!(seen.first(), Some(&405));
    // What follows is a request of the same peer, with its own token, or nothing.
    assert!(seen.len() <= 2 && backend.received().len() < seen.len(), "{seen:?}");
}

#[tokio::test]
async fn a_body_is_asked_for_only_if_it_is_wanted() {
    let (backend, world) = short().await;
    let app = Session::of(&world, "demo-app").await;
    let wire = pay(&app).field("expect: 100-continue");
    let mut stream = world.raw().await;
    write(&mut stream, &wire.head()).await;
    until_said(&mut stream, "100 Continue\r\n\r\n").await;
    write(&mut stream, &wire.body).await;
    assert_eq!(answer(&mut stream).await.status, 200);
    for refused in [pay(&app).without("authorization"), pay(&app).field("x_user: 1")] {
        let mut stream = world.raw().await;
        write(&mut stream, &refused.field("expect: 100-continue").head()).await;
        let said = until_closed(&mut stream).await;
        assert!(matches!(said.statuses().as_slice(), [400 | 401]), "{}", said.text());
    }
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_refusal_reaches_who_is_still_sending() {
    let (backend, world) = short().await;
    let app = Session::of(&world, "demo-app").await;
    let large = vec![b' '; 1024 * 1024];
    for _ in 0..10 {
        let announced = pay(&app).carrying(large.clone()).field(&format!("content-length: {}", large.len()));
        let unannounced = Wire { body: large.clone(), ..pay(&app) }.chunked(16 * 1024);
        for wire in [announced, unannounced] {
            let (mut read, mut half) = tokio::io::split(world.raw().await);
            let bytes = wire.bytes();
            let sending = tokio::spawn(async move {
                let _ = tokio::time::timeout(Duration::from_secs(5), half.write_all(&bytes)).await;
            });
            let heard = answer(&mut read).await;
            sending.abort();
            assert_eq!(heard.status, 413, "{}", heard.text);
        }
    }
    assert!(backend.received().is_empty());
}
