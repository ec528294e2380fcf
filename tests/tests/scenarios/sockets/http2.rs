//! The same contradictions in HTTP/2, and peers that use up what it has to give.

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::payment;
use scenarios::world::frames::{Frames, Outcome, kind};
use scenarios::world::socket::MODERN;
use scenarios::world::wire::authority;
use scenarios::world::{Ask, Kind, Tls, World};
use spine::stage::Door;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::http::{ACCOUNTS, PAYMENTS, STATUS, counting};

/// GOAWAY and RST_STREAM codes (RFC 9113, section 7).
const ENHANCE_YOUR_CALM: u32 = 11;

pub async fn connect(world: &World) -> TlsStream<TcpStream> {
    let tls = Tls { alpn: &[b"h2"], versions: MODERN, certificate: None };
    world.connect(Door::Api, tls).await.unwrap()
}

type Fields = Vec<(String, String)>;

/// The fields of a request as a decent client would send them.
fn fields(world: &World, ask: &Ask) -> Fields {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut fields = vec![
        pair(":method", ask.method.as_str()),
        pair(":scheme", "https"),
        pair(":authority", authority(world, ask)),
        pair(":path", &ask.target),
    ];
    fields.extend(ask.headers.iter().map(|(name, value)| pair(name.as_str(), value.to_str().unwrap())));
    fields
}

fn with(mut fields: Fields, name: &str, value: &str) -> Fields {
    match fields.iter_mut().find(|(known, _)| known == name && name.starts_with(':')) {
        Some(found) => value.clone_into(&mut found.1),
        None => fields.push((name.to_owned(), value.to_owned())),
    }
    fields
}

fn without(mut fields: Fields, name: &str) -> Fields {
    fields.retain(|(known, _)| known != name);
    fields
}

/// Sends one request over a connection of its own.
async fn exchange(world: &World, fields: &Fields, body: Option<&[u8]>) -> Outcome {
    let mut frames = Frames::begin(connect(world).await, &[]).await;
    let borrowed: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    frames.fields(1, &borrowed, body.is_none()).await;
    if let Some(body) = body {
        frames.data(1, body, true).await;
    }
    frames.outcome(1).await
}

#[tokio::test]
async fn a_request_that_says_two_things_is_refused() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http2, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let right = || fields(&world, &app.dress(Ask::get(ACCOUNTS)));
    let own = authority(&world, &Ask::get(ACCOUNTS)).to_owned();
    let twice = |name: &str, value: &str| {
        let mut fields = right();
        fields.insert(1, (name.to_owned(), value.to_owned()));
        fields
    };
    let behind = {
        let mut fields = without(right(), ":path");
        fields.push((":path".to_owned(), ACCOUNTS.to_owned()));
        fields
    };
    let table = [
        ("another host", with(right(), "host", "other.example"), Some(400)),
        ("no authority", without(right(), ":authority"), Some(400)),
        ("another authority", with(right(), ":authority", "other.example"), Some(421)),
        ("an empty authority", with(right(), ":authority", ""), None),
        ("a user in the authority", with(right(), ":authority", &format!("user:secret@{own}")), Some(400)),
        ("two hosts", with(with(right(), "host", &own), "host", &own), Some(400)),
        ("another scheme", with(right(), ":scheme", "http"), Some(400)),
        ("no scheme", without(right(), ":scheme"), None),
        ("no path", without(right(), ":path"), None),
        ("an empty path", with(right(), ":path", ""), None),
        ("a relative path", with(right(), ":path", "v1/accounts"), None),
        ("a whole URL as path", with(right(), ":path", &format!("https://{own}{ACCOUNTS}")), None),
        ("an asterisk", with(right(), ":path", "*"), None),
        ("a line end in the path", with(right(), ":path", "/v1/accounts\r\nx: y"), None),
        ("two paths", twice(":path", "/v1/discovery/status"), None),
        ("two methods", twice(":method", "POST"), None),
        ("a pseudo-header behind others", behind, None),
        ("an unknown pseudo-header", twice(":protocol2", "x"), None),
        ("a status", twice(":status", "200"), None),
        ("no method", without(right(), ":method"), None),
        ("a name in capitals", with(right(), "X-User", "1"), None),
        ("an empty name", with(right(), "", "1"), None),
        ("a line end in a value", with(right(), "x-user", "1\r\nx-other: 2"), None),
        ("a zero byte in a value", with(right(), "x-user", "\0"), None),
        ("a connection header", with(right(), "connection", "dpop"), None),
        ("a coding", with(right(), "transfer-encoding", "chunked"), None),
        ("an upgrade", with(right(), "upgrade", "foo"), None),
        ("keep-alive", with(right(), "keep-alive", "1"), None),
        ("an odd te", with(right(), "te", "gzip"), None),
        ("an underscore", with(right(), "x_user", "1"), Some(400)),
        ("a dot", with(right(), "x.user", "1"), Some(400)),
        ("two tokens", with(right(), "authorization", "DPoP x"), Some(400)),
        ("a length of a body that is not there", with(right(), "content-length", "5"), None),
        ("a tunnel", with(right(), ":method", "CONNECT"), None),
        ("trace", with(right(), ":method", "TRACE"), Some(405)),
        ("a method in lower case", with(right(), ":method", "get"), Some(405)),
    ];
    for (name, fields, status) in table {
        let outcome = exchange(&world, &fields, None).await;
        assert!(outcome.is_refusal(), "{name}: {outcome:?}");
        assert!(status.is_none() || outcome.status == status, "{name}: {outcome:?}");
    }
    assert!(backend.received().is_empty(), "{:?}", backend.received());
    let same = with(right(), "host", &own);
    assert_eq!(exchange(&world, &same, None).await.status, Some(200));
}

/// As in HTTP/1.1.
#[tokio::test]
async fn a_fragment_never_makes_a_second_path() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http2, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let to = |target: &str| with(fields(&world, &app.dress(Ask::get(ACCOUNTS))), ":path", target);
    assert_eq!(exchange(&world, &to("/v1/accounts#/../../admin/routes"), None).await.status, Some(200));
    assert_eq!(exchange(&world, &to("/v1/#/accounts"), None).await.status, Some(400));
    let lines: Vec<String> = backend.received().iter().map(|received| received.line().to_owned()).collect();
    assert_eq!(lines, ["GET /v1/accounts HTTP/1.1"]);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_refused() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http2, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let body = payment("1.00").to_string();
    let ask = || Ask::post(PAYMENTS).with("x-idempotency-key", fresh("order")).with("content-type", "application/json");
    let announced = |length: usize| with(fields(&world, &app.dress(ask())), "content-length", &length.to_string());
    for length in [0, 5, body.len() - 1, body.len() + 1] {
        let outcome = exchange(&world, &announced(length), Some(body.as_bytes())).await;
        assert!(outcome.is_refusal(), "{length}: {outcome:?}");
    }
    let twice = with(announced(body.len()), "content-length", "5");
    assert!(exchange(&world, &twice, Some(body.as_bytes())).await.is_refusal());
    assert!(backend.received().is_empty(), "{:?}", backend.received());
    assert_eq!(exchange(&world, &announced(body.len()), Some(body.as_bytes())).await.status, Some(200));
}

#[tokio::test]
async fn credentials_behind_a_body_are_refused() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http2, setup).await;
    let app = Session::of(&world, "demo-app").await;
    for (name, value) in [("authorization", "DPoP x"), ("dpop", "x"), ("x-qaqpa-payer", "x"), ("host", "other.example")]
    {
        let ask =
            Ask::post(PAYMENTS).with("x-idempotency-key", fresh("order")).with("content-type", "application/json");
        let mut frames = Frames::begin(connect(&world).await, &[]).await;
        let fields = fields(&world, &app.dress(ask));
        let borrowed: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        frames.fields(1, &borrowed, false).await;
        frames.data(1, payment("1.00").to_string().as_bytes(), false).await;
        frames.fields(1, &[(name, value)], true).await;
        let outcome = frames.outcome(1).await;
        assert!(outcome.is_refusal(), "{name}: {outcome:?}");
    }
    assert!(backend.received().is_empty(), "{:?}", backend.received());
}

#[tokio::test]
async fn a_list_of_headers_that_is_too_long_is_refused() {
    let (_, setup) = counting().await;
    let world = World::with(Kind::Http2, setup).await;
    // Each field counts its name, its value and 32 bytes (RFC 9113, 6.5.2).
    let long = |length: usize| with(fields(&world, &Ask::get(STATUS)), "x-long", &"a".repeat(length));
    assert_eq!(exchange(&world, &long(15 * 1024), None).await.status, Some(200));
    let refused = exchange(&world, &long(16 * 1024), None).await;
    assert!(refused.is_refusal(), "{refused:?}");
    assert!(refused.status.is_none_or(|status| status == 431), "{refused:?}");
    let flood = exchange(&world, &long(1024 * 1024), None).await;
    assert!(flood.is_refusal(), "{flood:?}");
    // Others are served all the while.
    assert_eq!(exchange(&world, &long(1), None).await.status, Some(200));
}

#[tokio::test]
async fn who_opens_and_resets_without_end_is_sent_away() {
    let world = World::start(Kind::Http2).await;
    let mut frames = Frames::begin(connect(&world).await, &[]).await;
    let fields = fields(&world, &Ask::get(STATUS));
    let borrowed: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for number in 0..2_000 {
        frames.fields(2 * number + 1, &borrowed, true).await;
        frames.send(kind::RST_STREAM, 0, 2 * number + 1, &8_u32.to_be_bytes()).await;
    }
    let outcome = frames.end().await;
    assert!(outcome.closed && outcome.gone.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{outcome:?}");
    assert_eq!(exchange(&world, &fields, None).await.status, Some(200));
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_one_by_one() {
    // The backend never answers, so that streams stay open.
    let backend = scenarios::actors::backend::Backend::silent().await;
    let setup = scenarios::world::Setup { backend: Some(backend.address), ..Default::default() };
    let world = World::with(Kind::Http2, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let mut frames = Frames::begin(connect(&world).await, &[]).await;
    for number in 0..101 {
        let fields = fields(&world, &app.dress(Ask::get(ACCOUNTS)));
        let borrowed: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        frames.fields(2 * number + 1, &borrowed, true).await;
    }
    // The hundred and first, and only it, is sent back at once.
    let outcome = frames.outcome(201).await;
    assert_eq!(outcome.reset, Some(7), "{outcome:?}");
    assert_eq!(outcome.status, None, "{outcome:?}");
}

#[tokio::test]
async fn frames_of_another_form_end_the_connection_and_nothing_else() {
    let world = World::start(Kind::Http2).await;
    let spoilt: [(&str, u8, u8, u32, Vec<u8>); 9] = [
        ("a window update of nothing", kind::WINDOW_UPDATE, 0, 0, vec![0; 4]),
        ("data on a stream that is not open", kind::DATA, 1, 1, b"x".to_vec()),
        ("data on no stream", kind::DATA, 1, 0, b"x".to_vec()),
        ("headers on no stream", kind::HEADERS, 5, 0, vec![0x82]),
        ("headers on an even stream", kind::HEADERS, 5, 2, vec![0x82]),
        ("a continuation of nothing", kind::CONTINUATION, 4, 1, vec![0x82]),
        ("an index that is in no table", kind::HEADERS, 5, 1, vec![0xff, 0xff, 0x7f]),
        ("a ping of another length", kind::PING, 0, 0, vec![0; 7]),
        ("settings of another length", kind::SETTINGS, 0, 0, vec![0; 5]),
    ];
    for (name, frame, flags, stream, payload) in spoilt {
        let mut frames = Frames::begin(connect(&world).await, &[]).await;
        frames.send(frame, flags, stream, &payload).await;
        let outcome = frames.end().await;
        assert!(outcome.closed && outcome.status.is_none(), "{name}: {outcome:?}");
    }
    let mut frames = Frames::begin(connect(&world).await, &[]).await;
    frames.write(&[0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1]).await;
    assert!(frames.end().await.closed, "a frame of 16 MiB is waited for");
    assert_eq!(exchange(&world, &fields(&world, &Ask::get(STATUS)), None).await.status, Some(200));
}
