//! What a backend may tell a client, and what stays here.

use std::time::{Duration, Instant};

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::payment;
use scenarios::world::{Ask, Kind, Setup, World};

scenarios! {
    rs15_headers_that_would_speak_for_us_are_refused_or_dropped,
    rs61_headers_of_a_backend_stay_here,
    a_backend_that_redirects_is_broken,
    a_backend_that_answers_something_else_is_broken,
    a_broken_answer_to_a_payment_leaves_its_outcome_unknown,
    a_backend_that_stops_in_the_middle_leaves_the_outcome_unknown,
    a_backend_that_dribbles_leaves_the_outcome_unknown_in_time,
    a_payment_goes_to_another_address_only_if_nothing_was_sent,
    a_payment_reaches_the_backend_with_our_words_only,
}

async fn behind(kind: Kind, backend: &Backend) -> World {
    World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await
}

async fn rs15_headers_that_would_speak_for_us_are_refused_or_dropped(kind: Kind) {
    let backend = Backend::json(r#"{"accounts":[]}"#, "").await;
    let world = World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await;
    let app = Session::of(&world, "demo-app").await;
    let spoofed = [
        ("x-qaqpa-organisation", "demo-bank"),
        ("x-qaqpa-client", "demo-bank-app"),
        ("x-qaqpa-reference", "018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31"),
        ("x-qaqpa-payer", "810202200109"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "thief.example"),
        ("x-real-ip", "10.0.0.1"),
        ("x-original-url", "/admin/routes"),
        ("x-rewrite-url", "/admin/routes"),
        ("x-http-method-override", "DELETE"),
        ("x-forwarded-client-cert", "x"),
        ("forwarded", "for=10.0.0.1"),
        ("cookie", "session=canary"),
        ("proxy-authorization", "Basic canary"),
        ("x-user", "root"),
    ];
    let mut ask = Ask::get("/v1/accounts");
    for (name, value) in spoofed {
        ask = ask.with(name, value);
    }
    let answer = app.send(ask).await;
    assert!(answer.status == 200 || answer.status == 400, "{}", answer.text());
    for (name, value) in spoofed {
        let answer = app.send(Ask::get("/v1/accounts").with(name, value)).await;
        assert!(answer.status == 200 || answer.status == 400, "{name}: {}", answer.text());
    }
    let received = backend.received();
    assert!(!received.is_empty(), "nothing was passed on at all");
    for request in received {
        assert_eq!(request.header("x-qaqpa-organisation"), Some("demo-fintech"), "{}", request.head);
        assert_eq!(request.header("x-qaqpa-client"), Some("demo-app"));
        for name in ["x-qaqpa-reference", "x-qaqpa-payer"] {
            assert_eq!(request.header(name), None, "{}", request.head);
        }
        for (name, value) in spoofed.iter().filter(|(name, _)| !name.starts_with("x-qaqpa-")) {
            assert_eq!(request.header(name), None, "{name}: {value}: {}", request.head);
        }
        for name in ["authorization", "dpop"] {
            assert_eq!(request.header(name), None, "{}", request.head);
        }
        assert!(!request.head.contains(&app.token), "the token went on");
    }
}

async fn rs61_headers_of_a_backend_stay_here(kind: Kind) {
    let headers = "server: core/1.0\r\nx-powered-by: canary\r\nset-cookie: a=b\r\nx-qaqpa-organisation: demo-bank\r\n\
                   www-authenticate: Basic\r\nx-next-cursor: abc\r\netag: \"1\"\r\naccess-control-allow-origin: *\r\n\
                   x-fapi-interaction-id: 018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31\r\nvia: 1.1 core\r\n";
    let backend = Backend::json(r#"{"accounts":[]}"#, headers).await;
    let world = behind(kind, &backend).await;
    let answer = Session::of(&world, "demo-app").await.get("/v1/accounts").await;
    answer.succeeded(200);
    assert_ne!(answer.named(), "018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31");
    for name in [
        "server",
        "x-powered-by",
        "set-cookie",
        "x-qaqpa-organisation",
        "www-authenticate",
        "access-control-allow-origin",
        "via",
    ] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-next-cursor"), Some("abc"));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

async fn a_backend_that_redirects_is_broken(kind: Kind) {
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect"] {
        let backend = Backend::answering(&format!(
            "HTTP/1.1 {status}\r\nlocation: https://thief.example/\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
        let world = behind(kind, &backend).await;
        let answer = Session::of(&world, "demo-app").await.get("/v1/accounts").await;
        answer.refused(502, "backend_broken");
        assert_eq!(answer.header("location"), None);
    }
}

async fn a_backend_that_answers_something_else_is_broken(kind: Kind) {
    for bytes in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<h1>",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 500 Oops\r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\ncanary",
        "HTTP/1.1 2oo OK\r\n\r\n",
        "SSH-2.0-core\r\n\r\n",
        "",
    ] {
        let backend = Backend::answering(bytes).await;
        let world = behind(kind, &backend).await;
        let answer = Session::of(&world, "demo-app").await.get("/v1/accounts").await;
        assert_eq!(answer.status, 502, "{bytes}: {}", answer.text());
        answer.refused(502, "backend_broken");
        assert!(!answer.text().contains("canary"));
    }
}

async fn a_broken_answer_to_a_payment_leaves_its_outcome_unknown(kind: Kind) {
    let oversize = format!("HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n\r\n{}", " ".repeat(257 * 1024));
    let long_head = format!("HTTP/1.1 201 Created\r\nx-long: {}\r\n\r\n", "x".repeat(80 * 1024));
    for bytes in [
        "HTTP/1.1 2oo Created\r\n\r\n",
        "SSH-2.0-core\r\n\r\n",
        "HTTP/1.1 201 Created\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "HTTP/1.1 201 Cre",
        &oversize,
        &long_head,
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\n<h1>",
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"paymentId\":",
        "HTTP/1.1 302 Found\r\nlocation: https://thief.example/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Busy\r\ncontent-type: application/problem+json\r\ncontent-length: 2\r\n\r\n{}",
        "",
    ] {
        let backend = Backend::answering(bytes).await;
        let world = behind(kind, &backend).await;
        let app = Session::of(&world, "demo-app").await;
        let key = fresh("order");
        let answer = app.pay(&key, &payment("1.00")).await;
        assert_eq!(answer.status, 202, "{bytes}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let again = app.pay(&key, &payment("1.00")).await;
        assert_eq!(again.succeeded(202).body, answer.body);
        assert_eq!(backend.received().len(), 1, "{bytes}: a payment is not sent again");
    }
}

async fn a_backend_that_stops_in_the_middle_leaves_the_outcome_unknown(kind: Kind) {
    let head = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let backend = Backend::stalling(head).await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let world =
        World::with(kind, setup.replacing("policies/national/upstreams.yaml", "response: 3s", "response: 200ms")).await;
    let app = Session::of(&world, "demo-app").await;
    let answer = app.pay(&fresh("order"), &payment("1.00")).await;
    assert_eq!(answer.succeeded(202).at("/status"), "unknown");
}

async fn a_backend_that_dribbles_leaves_the_outcome_unknown_in_time(kind: Kind) {
    let head = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
    // Never silent for as long as an answer may be, and never done before the time of the operation is over.
    let backend = Backend::dribbling(&format!("{head}{}", " ".repeat(1000)), Duration::from_millis(20)).await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let setup = setup.replacing("policies/national/apis/payments.yaml", "timeout: 5s", "timeout: 4s");
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let begun = Instant::now();
    let answer = app.pay(&fresh("order"), &payment("1.00")).await;
    assert_eq!(answer.succeeded(202).at("/status"), "unknown");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

async fn a_payment_goes_to_another_address_only_if_nothing_was_sent(kind: Kind) {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let (sound, losing) = (Backend::answering(answer).await, Backend::answering("").await);
    for (first, second, status) in [(nobody, sound.address, 201), (losing.address, losing.address, 202)] {
        let both = |last: &str| format!("\"http://{first}\", \"http://{last}\"");
        let setup = Setup { backend: Some(second), ..Setup::default() };
        let one = format!("\"http://{second}\"");
        let world = World::with(kind, setup.replacing("qaqpa.yaml", &one, both(&second.to_string()))).await;
        let app = Session::of(&world, "demo-app").await;
        // The addresses take turns: each is the first once.
        for _ in 0..2 {
            app.pay(&fresh("order"), &payment("1.00")).await.succeeded(status);
        }
    }
    assert_eq!((sound.received().len(), losing.received().len()), (2, 2), "each was sent once");
}

async fn a_payment_reaches_the_backend_with_our_words_only(kind: Kind) {
    let backend = Backend::json(r#"{"paymentId":"x","status":"ACSC"}"#, "").await;
    let world = behind(kind, &backend).await;
    let app = Session::of(&world, "demo-app").await;
    let ask = Ask::post("/v1/domestic-payments?").with("x-idempotency-key", "key-canary").with("x-surprise", "1");
    let body = payment("1.00");
    app.send(ask.with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").json(&body))
        .await
        .succeeded(200);
    let received = backend.received();
    let request = received.first().unwrap();
    assert!(request.line().starts_with("POST /v1/domestic-payments"), "{}", request.line());
    assert_eq!(request.body, body.to_string());
    assert_eq!(request.header("x-qaqpa-organisation"), Some("demo-fintech"));
    assert_eq!(request.header("x-qaqpa-client"), Some("demo-app"));
    assert!(request.header("x-qaqpa-reference").is_some_and(|reference| reference.len() == 36));
    assert_eq!(request.header("x-qaqpa-payer"), None, "nobody was verified");
    assert!(request.header("traceparent").is_some());
    for name in ["authorization", "dpop", "x-surprise", "x-idempotency-key", "x-identity-result", "expect"] {
        assert_eq!(request.header(name), None, "{}", request.head);
    }
}
