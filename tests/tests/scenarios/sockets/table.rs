//! Requests that say two things at once, in HTTP/1.1: each is refused or ends its connection, and no backend sees it.

use scenarios::actors::Session;
use scenarios::world::wire::{Wire, authority};
use scenarios::world::{Ask, Kind, World};

use super::{accounts, exchange, pay};
use crate::http::{ACCOUNTS, PAYMENTS, STATUS, counting};

/// What is expected.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// This problem.
    Problem(u16, &'static str),
    /// Any 4xx, or the end of the connection.
    Refusal,
}

use Expected::{Problem, Refusal};

const HEADER: Expected = Problem(400, "header_refused");
const PATH: Expected = Problem(400, "path_not_canonical");
const METHOD: Expected = Problem(405, "method_not_allowed");

/// Sends every request of a table, each over a connection of its own.
async fn hold(world: &World, table: Vec<(&str, Vec<u8>, Expected)>) {
    for (name, bytes, expected) in table {
        let heard = exchange(world, &bytes).await;
        match expected {
            Problem(status, problem) => {
                assert_eq!((name, heard.status), (name, status), "{}", heard.text);
                assert!(heard.is_problem(problem), "{name}: {}", heard.text);
                assert!(heard.text.contains("x-fapi-interaction-id: "), "{name}: {}", heard.text);
            }
            Refusal => assert!(heard.is_refusal(), "{name}: {}", heard.text),
        }
    }
}

#[tokio::test]
async fn a_target_and_a_host_that_do_not_name_one_place_are_refused() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let own = authority(&world, &Ask::get(ACCOUNTS)).to_owned();
    let wire = || accounts(&app);
    let at = |target: &str| wire().asking(&format!("GET {target} HTTP/1.1"));
    let host = |host: &str| format!("host: {host}");
    let user = format!("user:secret@{own}");
    let table = vec![
        ("no host", wire().without("host").bytes(), HEADER),
        ("an empty host", wire().without("host").field("host:").bytes(), HEADER),
        ("two hosts", wire().field(&host("other.example")).bytes(), HEADER),
        ("the same host twice", wire().field(&host(&own)).bytes(), HEADER),
        ("another host", wire().without("host").field(&host("other.example")).bytes(), Problem(421, "host_refused")),
        ("a list of hosts", wire().without("host").field(&host(&format!("{own}, other.example"))).bytes(), Refusal),
        ("another target", at("https://other.example/v1/accounts").bytes(), HEADER),
        (
            "another target and host",
            at("https://other.example/v1/accounts").without("host").field(&host("other.example")).bytes(),
            Problem(421, "host_refused"),
        ),
        ("another scheme", at(&format!("http://{own}{ACCOUNTS}")).bytes(), HEADER),
        ("a scheme that nobody knows", at(&format!("gopher://{own}{ACCOUNTS}")).bytes(), HEADER),
        ("a target and no host", at(&format!("https://{own}{ACCOUNTS}")).without("host").bytes(), HEADER),
        ("a user in the target", at(&format!("https://{user}{ACCOUNTS}")).bytes(), HEADER),
        (
            "a user in both",
            at(&format!("https://{user}{ACCOUNTS}")).without("host").field(&host(&user)).bytes(),
            HEADER,
        ),
        ("a user in the host", wire().without("host").field(&host(&user)).bytes(), HEADER),
        ("an asterisk", wire().asking("OPTIONS * HTTP/1.1").bytes(), PATH),
        ("a host as target", wire().asking(&format!("GET {own} HTTP/1.1")).bytes(), Refusal),
        ("a tunnel", wire().asking(&format!("CONNECT {own} HTTP/1.1")).bytes(), METHOD),
        ("a tunnel elsewhere", wire().asking("CONNECT 127.0.0.1:22 HTTP/1.1").bytes(), METHOD),
        ("a tunnel with a path", wire().asking(&format!("CONNECT {ACCOUNTS} HTTP/1.1")).bytes(), Refusal),
    ];
    hold(&world, table).await;
    assert!(backend.received().is_empty(), "{:?}", backend.received());
    // The same place said twice is no contradiction.
    let same = at(&format!("https://{own}{ACCOUNTS}"));
    assert_eq!(exchange(&world, &same.bytes()).await.status, 200);
    assert_eq!(
        backend.received().first().map(|received| received.line().to_owned()).unwrap(),
        "GET /v1/accounts HTTP/1.1"
    );
}

#[tokio::test]
async fn a_request_line_of_another_form_is_refused() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let line = |line: &str| accounts(&app).asking(line).bytes();
    let table = vec![
        ("a method in lower case", line("get /v1/accounts HTTP/1.1"), METHOD),
        ("trace", line("TRACE /v1/accounts HTTP/1.1"), METHOD),
        ("two spaces", line("GET  /v1/accounts HTTP/1.1"), Refusal),
        ("a space in the path", line("GET /v1/acc ounts HTTP/1.1"), Refusal),
        ("a tab", line("GET\t/v1/accounts\tHTTP/1.1"), Refusal),
        ("no version", line("GET /v1/accounts"), Refusal),
        ("an odd version", line("GET /v1/accounts HTTP/1.2"), Refusal),
        ("a version in lower case", line("GET /v1/accounts http/1.1"), Refusal),
        ("version 2", line("GET /v1/accounts HTTP/2.0"), Refusal),
        ("the other protocol's beginning", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Refusal),
        ("no path", line("GET HTTP/1.1"), Refusal),
        ("a relative path", line("GET v1/accounts HTTP/1.1"), Refusal),
        ("a backslash", line("GET /v1\\accounts HTTP/1.1"), PATH),
        ("raw bytes", line("GET /v1/accounts/\u{430} HTTP/1.1"), PATH),
        ("raw bytes that are no text", b"GET /v1/\xff HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), Refusal),
        ("a zero byte", line("GET /v1/acc\0ounts HTTP/1.1"), Refusal),
        (
            "version 1.0 without a host",
            accounts(&app).asking("GET /v1/accounts HTTP/1.0").without("host").bytes(),
            HEADER,
        ),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Refusal),
    ];
    hold(&world, table).await;
    assert!(backend.received().is_empty(), "{:?}", backend.received());
}

#[tokio::test]
async fn a_header_line_of_another_form_is_refused() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let line = |line: &str| accounts(&app).field(line).bytes();
    let table = vec![
        ("an underscore", line("x_user: 1"), HEADER),
        ("a dot", line("x.user: 1"), HEADER),
        ("an underscore in ours", line("X_Qaqpa_Client: 1"), HEADER),
        ("a space before the colon", line("x-user : 1"), Refusal),
        ("a space before the name", line(" x-user: 1"), Refusal),
        ("a folded line", line("x-user: 1\r\n two"), Refusal),
        ("no colon", line("x-user"), Refusal),
        ("no name", line(": 1"), Refusal),
        ("a bare return", line("x-user: 1\rx-other: 2"), Refusal),
        ("a zero byte", line("x-user: \0"), Refusal),
        ("a control byte in a name", line("x-\x01user: 1"), Refusal),
        ("a byte beyond ASCII in a name", line("x-us\u{e9}r: 1"), Refusal),
        ("two tokens", line("authorization: DPoP x"), HEADER),
        ("a nominated header", line("connection: dpop"), HEADER),
        ("a nominated length", line("Connection: close, Content-Length"), HEADER),
        ("an unknown expectation", line("expect: miracles"), HEADER),
    ];
    hold(&world, table).await;
    let many: String = (0..200).map(|number| format!("x-many-{number}: 1\r\n")).collect();
    assert_eq!(exchange(&world, &line(many.trim_end())).await.status, 431);
    let long = exchange(&world, &line(&format!("x-long: {}", "a".repeat(80 * 1024)))).await;
    assert!(long.is_refusal(), "{}", long.text);
    assert!(backend.received().is_empty(), "{:?}", backend.received());
}

/// Bodies whose end can be seen at two places.
#[tokio::test]
async fn a_body_that_ends_at_two_places_is_refused() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let length = pay(&app).body.len();
    let chunked = || pay(&app).chunked(50);
    let framed = |line: &str| chunked().without("transfer-encoding").field(line).bytes();
    let measured = |line: &str| pay(&app).without("content-length").field(line).bytes();
    let spoilt = |old: &str, new: &str| {
        let wire = chunked();
        let body = String::from_utf8(wire.body.clone()).unwrap();
        assert!(body.contains(old));
        Wire { body: body.replacen(old, new, 1).into_bytes(), ..wire }.bytes()
    };
    let table = vec![
        ("gzip, chunked", framed("transfer-encoding: gzip, chunked"), HEADER),
        ("chunked twice", chunked().field("transfer-encoding: chunked").bytes(), HEADER),
        ("chunked twice in a line", framed("transfer-encoding: chunked, chunked"), Refusal),
        ("chunked, identity", framed("transfer-encoding: chunked, identity"), Refusal),
        ("identity", framed("transfer-encoding: identity"), Refusal),
        ("xchunked", framed("transfer-encoding: xchunked"), Refusal),
        ("chunked behind a tab", framed("transfer-encoding: \x0bchunked"), Refusal),
        ("chunked with a parameter", framed("transfer-encoding: chunked;q=1"), Refusal),
        ("chunked before a coding", framed("transfer-encoding: chunked, gzip"), Refusal),
        ("an empty coding", framed("transfer-encoding:"), Refusal),
        ("a folded coding", framed("transfer-encoding:\r\n chunked"), Refusal),
        ("codings in version 1.0", chunked().asking(&format!("POST {PAYMENTS} HTTP/1.0")).bytes(), Refusal),
        ("two lengths", pay(&app).field("content-length: 5").bytes(), Refusal),
        ("a list of lengths", measured(&format!("content-length: {length}, {length}")), Refusal),
        ("a list of different lengths", measured(&format!("content-length: {length}, 5")), Refusal),
        ("a signed length", measured(&format!("content-length: +{length}")), Refusal),
        ("a negative length", measured("content-length: -1"), Refusal),
        ("a hexadecimal length", measured(&format!("content-length: {length:#x}")), Refusal),
        ("an empty length", measured("content-length:"), Refusal),
        ("a huge length", measured("content-length: 99999999999999999999999"), Refusal),
        ("a hexadecimal chunk size", spoilt("32\r\n", "0x32\r\n"), Refusal),
        ("a signed chunk size", spoilt("32\r\n", "+32\r\n"), Refusal),
        ("a chunk size of nothing", spoilt("32\r\n", "\r\n"), Refusal),
        ("a huge chunk size", spoilt("32\r\n", "fffffffffffffffff32\r\n"), Refusal),
        ("a bare feed behind a size", spoilt("32\r\n", "32\n"), Refusal),
        ("a chunk that is longer than it says", spoilt("32\r\n", "30\r\n"), Refusal),
        ("a bare return behind a size", spoilt("32\r\n", "32\rX\n"), Refusal),
        ("credentials behind the body", spoilt("0\r\n\r\n", "0\r\nauthorization: DPoP x\r\n\r\n"), Refusal),
        ("a proof behind the body", spoilt("0\r\n\r\n", "0\r\nDPoP: x\r\n\r\n"), Refusal),
        ("a key behind the body", spoilt("0\r\n\r\n", "0\r\nx-idempotency-key: x\r\n\r\n"), Refusal),
        ("our word behind the body", spoilt("0\r\n\r\n", "0\r\nx-qaqpa-payer: x\r\n\r\n"), Refusal),
        ("a length behind the body", spoilt("0\r\n\r\n", "0\r\ncontent-length: 5\r\n\r\n"), Refusal),
    ];
    hold(&world, table).await;
    assert!(backend.received().is_empty(), "{:?}", backend.received());
    assert_eq!(exchange(&world, &chunked().bytes()).await.status, 200);
}

/// What RFC 9112 lets a server be lenient in. It may pass, but then the backend sees one request, in our own framing.
#[tokio::test]
async fn what_is_read_leniently_goes_on_in_our_own_framing() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let chunks = |old: &str, new: &str| {
        let wire = pay(&app).chunked(50);
        let body = String::from_utf8(wire.body.clone()).unwrap().replacen(old, new, 1);
        Wire { body: body.into_bytes(), ..wire }.bytes()
    };
    let feeds = String::from_utf8(pay(&app).head()).unwrap().replace("\r\n", "\n");
    let lenient = [
        ("a chunk extension", chunks("32\r\n", "32;name=\"value\"\r\n")),
        ("a space behind a chunk size", chunks("32\r\n", "32 \r\n")),
        ("zeros before a chunk size", chunks("32\r\n", "0032\r\n")),
        ("a harmless trailer", chunks("0\r\n\r\n", "0\r\nx-checksum: 1\r\n\r\n")),
        ("the same length twice", pay(&app).field(&format!("content-length: {}", pay(&app).body.len())).bytes()),
        ("bare feeds", [feeds.into_bytes(), pay(&app).body].concat()),
        ("empty lines before", [b"\r\n\r\n".to_vec(), pay(&app).bytes()].concat()),
        ("a wish to upgrade", pay(&app).field("connection: upgrade").field("upgrade: h2c").bytes()),
        (
            "a coding in capitals",
            pay(&app).chunked(50).without("transfer-encoding").field("Transfer-Encoding: CHUNKED").bytes(),
        ),
    ];
    let sent = String::from_utf8(pay(&app).body).unwrap();
    let mut seen = 0;
    for (name, bytes) in lenient {
        let heard = exchange(&world, &bytes).await;
        assert!(heard.status == 200 || heard.is_refusal(), "{name}: {}", heard.text);
        seen += usize::from(heard.status == 200);
        let received = backend.received();
        assert_eq!(received.len(), seen, "{name}: {received:?}");
        if heard.status != 200 {
            continue;
        }
        let last = received.last().unwrap();
        assert_eq!(last.body, sent, "{name}");
        assert_eq!(last.header("content-length"), Some(sent.len().to_string().as_str()), "{name}");
        for header in ["transfer-encoding", "trailer", "upgrade", "x-checksum", "expect"] {
            assert_eq!(last.header(header), None, "{name}: {}", last.head);
        }
    }
}

/// The parser below us drops a fragment before anybody reads the target: then it must be as if it had never been there.
#[tokio::test]
async fn a_fragment_never_makes_a_second_path() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let to = |target: &str| accounts(&app).asking(&format!("GET {target} HTTP/1.1")).bytes();
    assert_eq!(exchange(&world, &to("/v1/accounts#/../../admin/routes")).await.status, 200);
    assert_eq!(exchange(&world, &to("/v1/accounts?limit=1#/v1/discovery/status")).await.status, 200);
    hold(
        &world,
        vec![("nothing before it", to("/v1/#/accounts"), PATH), ("nothing but it", to("#/v1/accounts"), Refusal)],
    )
    .await;
    let unknown = Wire::of(&world, &Ask::get("/x")).asking("GET /nowhere#/v1/discovery/status HTTP/1.1");
    assert_eq!(exchange(&world, &unknown.bytes()).await.status, 404);
    let public = Wire::of(&world, &Ask::get("/x")).asking(&format!("GET {ACCOUNTS}#{STATUS} HTTP/1.1"));
    assert_eq!(exchange(&world, &public.bytes()).await.status, 401);
    let lines: Vec<String> = backend.received().iter().map(|received| received.line().to_owned()).collect();
    assert_eq!(lines, ["GET /v1/accounts HTTP/1.1", "GET /v1/accounts?limit=1 HTTP/1.1"]);
}

#[tokio::test]
async fn both_protocols_decide_alike() {
    let (backend, setup) = counting().await;
    let world = World::with(Kind::Http1, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let many = crate::http::with_many(Ask::get(STATUS), 70);
    let mut asks: Vec<Ask> = crate::http::CROOKED.iter().map(|target| Ask::get(target)).collect();
    asks.extend([
        Ask::get("/nowhere"),
        Ask::new("DELETE", ACCOUNTS),
        Ask::new("TRACE", ACCOUNTS),
        Ask::new("get", ACCOUNTS),
        Ask::get(ACCOUNTS),
        Ask::get(ACCOUNTS).with("authorization", "DPoP x"),
        Ask::get(STATUS).with("x_user", "1"),
        Ask::get(STATUS).with("dpop", "1").with("dpop", "1"),
        Ask::get(STATUS).with("expect", "x"),
        Ask::get(STATUS).body("x"),
        Ask::get(&format!("{STATUS}?x=1")),
        Ask::post(PAYMENTS).body("{}"),
        many,
        Ask::get("/metrics"),
    ]);
    for ask in asks {
        let (one, two) =
            (world.send_over(Kind::Http1, ask.clone()).await, world.send_over(Kind::Http2, ask.clone()).await);
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!((one.status, one.json()["type"].clone()), (two.status, two.json()["type"].clone()), "{ask:?}");
        assert!((400..500).contains(&one.status), "{ask:?}");
    }
    for ask in [Ask::get(ACCOUNTS), Ask::get("/v1//accounts"), Ask::get("/v1/accounts?limit=0")] {
        let one = world.send_over(Kind::Http1, app.dress(ask.clone())).await.unwrap();
        let two = world.send_over(Kind::Http2, app.dress(ask.clone())).await.unwrap();
        assert_eq!((one.status, one.json()["type"].clone()), (two.status, two.json()["type"].clone()), "{ask:?}");
    }
    assert_eq!(backend.received().len(), 2);
}
