//! Header fields: one name, one value, one meaning.

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::payment;
use scenarios::world::{Ask, Kind, Setup, World};
use spine::stage::Door;

use super::{ACCOUNTS, PAYMENTS, STATUS, counting, with_many};

scenarios! {
    rs15_a_header_name_that_others_may_read_as_another_is_refused,
    a_header_that_decides_may_come_once,
    rs61_a_header_nominated_in_connection_is_refused,
    sixty_four_headers_pass_and_one_more_is_refused,
    headers_as_long_as_allowed_pass_and_one_byte_more_is_refused,
    a_host_that_is_not_served_is_refused,
    a_token_in_the_query_is_refused,
    an_expectation_that_nobody_knows_is_refused,
    rs15_rs62_as54_what_others_say_of_the_client_changes_nothing,
    rs61_hop_by_hop_fields_pass_in_neither_direction,
    rs61_te_asks_for_trailers_at_most,
    c16_who_is_said_to_be_present_decides_nothing,
}

/// The most header fields.
const HEADERS: usize = 64;

/// The most bytes of their names and values together.
const HEADER_BYTES: usize = 16 * 1024;

async fn rs15_a_header_name_that_others_may_read_as_another_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let names = ["x_user", "x.user", "x_qaqpa_client", "x.qaqpa.payer", "content_length", "x~user", "x!user", "x|user"];
    for name in names {
        app.send(Ask::get(ACCOUNTS).with(name, "1")).await.refused(400, "header_refused");
    }
    assert!(backend.received().is_empty());
    app.send(Ask::get(ACCOUNTS).with("x-user", "1").with("x2-user", "1")).await.succeeded(200);
}

async fn a_header_that_decides_may_come_once(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let names = [
        "authorization",
        "content-encoding",
        "content-type",
        "dpop",
        "expect",
        "origin",
        "traceparent",
        "x-fapi-interaction-id",
        "x-idempotency-key",
        "x-identity-result",
        "webhook-id",
        "webhook-signature",
    ];
    let ask = Ask::post(PAYMENTS).with("x-idempotency-key", fresh("order")).json(&payment("1.00"));
    for name in names {
        let dressed = app.dress(ask.clone());
        let value = dressed.headers.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value.clone());
        let value = value.map_or(b"1".to_vec(), |value| value.as_bytes().to_vec());
        // The same value twice is no excuse.
        let twice = dressed.without(name).with(name, &value).with(name, &value);
        let refused = world.send(twice).await;
        assert_eq!((refused.status, name), (400, name), "{}", refused.text());
        refused.refused(400, "header_refused");
    }
    assert!(backend.received().is_empty());
}

async fn rs61_a_header_nominated_in_connection_is_refused(kind: Kind) {
    // HTTP/2 has no such header: `sockets` sends it all the same.
    if kind == Kind::Http2 {
        return;
    }
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let nominated = [
        "authorization",
        "dpop",
        "x-forwarded-for",
        "x-forwarded-host",
        "content-length",
        "close, x-qaqpa-client",
        "x-qaqpa-organisation",
        "x-idempotency-key",
        "x-identity-result",
        "Host",
        "close,\tDPoP",
        ",authorization",
        "traceparent",
    ];
    for names in nominated {
        app.send(Ask::get(ACCOUNTS).with("connection", names)).await.refused(400, "header_refused");
    }
    let twice = Ask::get(ACCOUNTS).with("connection", "close").with("connection", "dpop");
    app.send(twice).await.refused(400, "header_refused");
    assert!(backend.received().is_empty());
    for harmless in ["close", "Keep-Alive", "close, te", ""] {
        app.send(Ask::get(ACCOUNTS).with("connection", harmless)).await.succeeded(200);
    }
}

async fn sixty_four_headers_pass_and_one_more_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    // `host` is one of them, except on HTTP/2, where it is a part of the target.
    let room = if kind == Kind::Http2 { HEADERS } else { HEADERS - 1 };
    world.send(with_many(Ask::get(STATUS), room)).await.succeeded(200);
    world.send(with_many(Ask::get(STATUS), room + 1)).await.refused(400, "header_refused");
    // Many of one name are many too.
    let mut same = Ask::get(STATUS);
    for _ in 0..=room {
        same = same.with("accept", "*/*");
    }
    world.send(same).await.refused(400, "header_refused");
}

async fn headers_as_long_as_allowed_pass_and_one_byte_more_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let own = world.external(Door::Api).split_once("://").unwrap().1.len() + "host".len();
    let long = |length: usize| Ask::get(STATUS).with("x-long", "a".repeat(length - "x-long".len()));
    if kind == Kind::Http2 {
        // There each field counts 32 bytes more, those of the target too, and the protocol has an answer of its own.
        world.send(long(HEADER_BYTES - 1024)).await.succeeded(200);
        assert_eq!(world.send(long(HEADER_BYTES)).await.status, 431);
        return;
    }
    world.send(long(HEADER_BYTES - own)).await.succeeded(200);
    world.send(long(HEADER_BYTES - own + 1)).await.refused(400, "header_refused");
}

async fn a_host_that_is_not_served_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let own = world.external(Door::Api).split_once("://").unwrap().1.to_owned();
    let port = own.rsplit_once(':').unwrap().1.to_owned();
    let foreign = ["other.example".to_owned(), "127.0.0.1".to_owned(), format!("127.0.0.2:{port}"), format!("{own}0")];
    for host in foreign {
        let refused = world.send(Ask::get(STATUS).with("host", &host)).await;
        if kind == Kind::Http2 {
            // The target names the right host already: these two differ.
            refused.refused(400, "header_refused");
        } else {
            refused.refused(421, "host_refused");
        }
    }
    for host in [String::new(), format!("user@{own}"), format!("user:secret@{own}")] {
        world.send(Ask::get(STATUS).with("host", &host)).await.refused(400, "header_refused");
    }
    world.send(Ask::get(STATUS).with("host", &own)).await.succeeded(200);
}

async fn a_token_in_the_query_is_refused(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let target = format!("{ACCOUNTS}?access_token={}", app.token);
    let refused = world.send(Ask::get(&target)).await;
    refused.refused(400, "token_malformed");
    assert!(!refused.text().contains(&app.token));
    // Neither beside a right one in its place.
    app.get(&target).await.refused(400, "token_malformed");
    app.get(&format!("{ACCOUNTS}?limit=1&access_token=")).await.refused(400, "token_malformed");
    // The name may be written otherwise, then it is a parameter that nobody knows.
    app.get(&format!("{ACCOUNTS}?access%5Ftoken={}", app.token)).await.refused(400, "schema_violation");
    assert!(backend.received().is_empty());
}

async fn an_expectation_that_nobody_knows_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    for expectation in ["100-continue, x", "x", "200-ok"] {
        world.send(Ask::get(STATUS).with("expect", expectation)).await.refused(400, "header_refused");
    }
}

async fn rs15_rs62_as54_what_others_say_of_the_client_changes_nothing(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let lies = [
        ("x-qaqpa-client", "demo-bank-app"),
        ("x-qaqpa-organisation", "demo-bank"),
        ("x-qaqpa-payer", "810202200109"),
        ("x-qaqpa-reference", "00000000-0000-0000-0000-000000000000"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "other.example"),
        ("x-forwarded-uri", "/v1/discovery/status"),
        ("x-original-url", "/admin/routes"),
        ("x-rewrite-url", "/v1/discovery/status"),
        ("x-envoy-original-path", "/v1/discovery/status"),
        ("x-http-method-override", "POST"),
        ("forwarded", "for=10.0.0.1;host=other.example"),
        ("client-cert", ":MIIB:"),
        ("x-ssl-client-cert", "MIIB"),
        ("x-forwarded-client-cert", "Subject=\"CN=demo-mtls-app\""),
    ];
    let mut told = Ask::get(ACCOUNTS);
    for (name, value) in lies {
        told = told.with(name, value);
        // They make nobody somebody.
        world.send(Ask::get(ACCOUNTS).with(name, value)).await.refused(401, "token_missing");
    }
    app.send(told).await.succeeded(200);
    let received = backend.received();
    let [received] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!(received.header("x-qaqpa-client"), Some("demo-app"));
    assert_eq!(received.header("x-qaqpa-organisation"), Some("demo-fintech"));
    for name in
        lies.iter().map(|(name, _)| *name).filter(|name| !name.ends_with("client") && !name.ends_with("organisation"))
    {
        assert_eq!(received.header(name), None, "{name} went on: {}", received.head);
    }
    for secret in ["authorization", "dpop"] {
        assert_eq!(received.header(secret), None);
    }
}

async fn rs61_hop_by_hop_fields_pass_in_neither_direction(kind: Kind) {
    let hops = "connection: close, x-next-cursor, etag\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\n\
                proxy-connection: close\r\ntrailer: x-after\r\nupgrade: h2c\r\nx-next-cursor: abc\r\netag: \"1\"\r\n";
    let backend = Backend::json("{\"accounts\":[]}", hops).await;
    let world = World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await;
    let app = Session::of(&world, "demo-app").await;
    let mut ask = Ask::get(ACCOUNTS).with("proxy-authorization", "Basic canary").with("trailer", "x-after");
    // HTTP/2 has no such fields, and the client here sends none.
    if kind != Kind::Http2 {
        ask = ask.with("connection", "keep-alive, te, upgrade").with("keep-alive", "timeout=5").with("upgrade", "h2c");
        ask = ask.with("te", "trailers").with("proxy-connection", "keep-alive");
    }
    let answer = app.send(ask).await;
    answer.succeeded(200);
    let received = backend.received();
    let [received] = received.as_slice() else { panic!("{received:?}") };
    let known =
        ["keep-alive", "proxy-authorization", "proxy-authenticate", "proxy-connection", "te", "trailer", "upgrade"];
    for name in known {
        assert_eq!(received.header(name), None, "{name} went on: {}", received.head);
        assert_eq!(answer.header(name), None, "{name} came back: {answer:?}");
    }
    // What a backend nominates is for its own connection with us.
    for name in ["x-next-cursor", "etag"] {
        assert_eq!(answer.header(name), None, "{name} came back: {answer:?}");
    }
}

async fn rs61_te_asks_for_trailers_at_most(kind: Kind) {
    let world = World::start(kind).await;
    world.send(Ask::get(STATUS).with("te", "trailers")).await.succeeded(200);
    // On HTTP/2 the client here refuses to send anything else.
    if kind != Kind::Http2 {
        for codings in ["gzip", "trailers, gzip", "trailers;q=0.5", "deflate;q=0"] {
            let answer = world.send(Ask::get(STATUS).with("te", codings)).await;
            answer.succeeded(200);
            assert_eq!(answer.header("transfer-encoding").filter(|coding| *coding != "chunked"), None, "{codings}");
        }
    }
}

async fn c16_who_is_said_to_be_present_decides_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let dear = |key: &str| Ask::post(PAYMENTS).with("x-idempotency-key", key).json(&payment("300000.00"));
    app.send(Ask::get(ACCOUNTS)).await.succeeded(200);
    app.send(dear(&fresh("order"))).await.refused(401, "step_up_required");
    for said in ["true", "false", "", "TRUE", "1", "yes; canary"] {
        let said = |ask: Ask| ask.with("x-fapi-end-user-present", said).with("x-fapi-customer-ip-address", "10.0.0.1");
        let answer = app.send(said(Ask::get(ACCOUNTS))).await;
        answer.succeeded(200);
        assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
        app.send(said(dear(&fresh("order")))).await.refused(401, "step_up_required");
        world.send(said(Ask::get(ACCOUNTS))).await.refused(401, "token_missing");
    }
}
