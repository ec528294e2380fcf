//! Where a request may go: one spelling per path, nothing that no policy exposes, each door its own operations.

use scenarios::actors::app::fresh;
use scenarios::actors::bank;
use scenarios::actors::{App, Session};
use scenarios::world::{Ask, Kind, Setup, World};
use spine::stage::Door;

scenarios! {
    an_unknown_path_is_not_found,
    a_path_without_a_policy_is_not_found,
    a_method_that_is_not_there_is_told_with_those_that_are,
    a_path_has_one_spelling,
    admin_operations_are_not_found_at_public_doors,
    public_operations_are_not_found_at_the_admin_door,
    the_host_of_another_is_refused,
    an_interaction_id_is_echoed_if_it_is_a_uuid,
    an_interaction_id_of_another_form_is_not_reflected,
    headers_that_would_speak_for_us_are_refused_or_dropped,
    a_header_that_decides_comes_once,
    a_request_has_a_bounded_number_of_headers,
}

async fn an_unknown_path_is_not_found(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for path in ["/", "/v1", "/v1/account", "/v2/accounts", "/v1/accounts/x/y/z", "/V1/accounts", "/favicon.ico", "/v1/accounts.json"] {
        world.send(Ask::get(path)).await.refused(404, "unknown_path");
        app.get(path).await.refused(404, "unknown_path");
    }
}

async fn a_path_without_a_policy_is_not_found(kind: Kind) {
    // The contract has it, no policy exposes it: that is as if it were not there.
    let setup = Setup::default().replacing("policies/national/apis/accounts.yaml", "      getAccountBalances: {}\n", "");
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    app.get(&format!("/v1/accounts/{}/balances", bank::account(1))).await.refused(404, "unknown_path");
}

async fn a_method_that_is_not_there_is_told_with_those_that_are(kind: Kind) {
    let world = World::start(kind).await;
    let cases = [
        ("DELETE", "/v1/accounts", "GET"),
        ("PUT", "/v1/domestic-payments", "POST"),
        ("PATCH", "/v1/identity-verifications", "POST"),
        ("POST", "/v1/discovery/status", "GET"),
        ("GET", "/oauth/token", "POST"),
        ("OPTIONS", "/v1/accounts", "GET"),
        ("PROPFIND", "/v1/accounts", "GET"),
    ];
    for (method, path, allowed) in cases {
        let refused = world.send(Ask::new(method, path)).await;
        assert_eq!(refused.status, 405, "{method} {path}: {}", refused.text());
        let allow = refused.header("allow").unwrap();
        assert!(allow.split(", ").any(|one| one == allowed), "{method} {path}: {allow}");
    }
    world.send(Ask::new("TRACE", "/v1/accounts")).await.refused(405, "method_not_allowed");
    for method in ["get", "Get", "post"] {
        let refused = world.send(Ask::new(method, "/v1/accounts")).await;
        assert!(refused.status == 405 || refused.status == 400, "{method}: {}", refused.text());
    }
}

async fn a_path_has_one_spelling(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let others = [
        "//v1/accounts",
        "/v1//accounts",
        "/v1/accounts/",
        "/v1/./accounts",
        "/v1/x/../accounts",
        "/../v1/accounts",
        "/v1/%2e/accounts",
        "/v1/%2E%2E/v1/accounts",
        "/v1/.%2e/accounts",
        "/v1%2faccounts",
        "/v1%2Faccounts",
        "/v1%5caccounts",
        "/v1%5Caccounts",
        "/v1/accounts;x=y",
        "/v1;/accounts",
        "/v1/accounts%3b",
        "/v1/%61ccounts",
        "/v1/accounts%00",
        "/v1/accounts%0a",
        "/v1/accounts%20",
        "/v1/accounts%2",
        "/v1/accounts%zz",
        "/v1/accounts%25",
        "/v1/accounts%c3%a9",
        "/v1/accounts/%C0%AF",
        "/v1/accounts%3F",
        "/v1/accounts%23",
    ];
    for path in others {
        let refused = app.get(path).await;
        // An escape that is written in the right way and simply names nothing is an unknown path.
        let fine = (refused.status, path) == (404, "/v1/accounts%20");
        assert!(refused.status == 400 || fine, "{path}: {}", refused.text());
        if refused.status == 400 {
            refused.refused(400, "path_not_canonical");
        }
    }
    let long = format!("/v1/{}", "a".repeat(openapi::PATH_BYTES_MAX - 4));
    app.get(&long).await.refused(404, "unknown_path");
    app.get(&format!("{long}a")).await.refused(400, "path_not_canonical");
}

async fn admin_operations_are_not_found_at_public_doors(kind: Kind) {
    let world = World::start(kind).await;
    let token = std::fs::read_to_string(world.told("/admins/1/token_file")).unwrap();
    for path in ["/livez", "/readyz", "/metrics", "/admin/routes", "/admin/generation", "/admin/audit/records"] {
        for door in [Door::Api, Door::MtlsApi] {
            let ask = Ask::get(path).at(door).with("authorization", format!("Bearer {}", token.trim()));
            world.send(ask).await.refused(404, "unknown_path");
        }
    }
}

async fn public_operations_are_not_found_at_the_admin_door(kind: Kind) {
    let world = World::start(kind).await;
    for path in ["/v1/discovery/status", "/v1/accounts", "/oauth/jwks", "/.well-known/openid-configuration"] {
        world.send(Ask::get(path).at(Door::Admin)).await.status_is(404);
    }
    let app = App::of(&world, "demo-app");
    let refused = world.send(app.token_ask(&world, None).at(Door::Admin)).await;
    assert_eq!(refused.status, 404, "{}", refused.text());
}

async fn the_host_of_another_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let port = world.address(Door::Api).port();
    if kind == Kind::Http2 {
        // `host` beside another `:authority` is refused in `sockets`.
        return;
    }
    for host in ["thief.example", "127.0.0.1", "localhost:1", ""] {
        let refused = world.send(Ask::get("/v1/discovery/status").with("host", host)).await;
        assert!(refused.status == 421 || refused.status == 400, "{host}: {}", refused.text());
    }
    for host in [format!("user@127.0.0.1:{port}"), format!("127.0.0.1:{port}, thief.example")] {
        let refused = world.send(Ask::get("/v1/discovery/status").with("host", &host)).await;
        assert!(refused.status == 421 || refused.status == 400, "{host}: {}", refused.text());
    }
    for host in [format!("localhost:{port}"), format!("LOCALHOST:{port}"), format!("127.0.0.1:{port}")] {
        world.send(Ask::get("/v1/discovery/status").with("host", &host)).await.succeeded(200);
    }
}

async fn an_interaction_id_is_echoed_if_it_is_a_uuid(kind: Kind) {
    let world = World::start(kind).await;
    let id = "018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31";
    let fine = world.send(Ask::get("/v1/discovery/status").with("x-fapi-interaction-id", id)).await;
    assert_eq!(fine.succeeded(200).named(), id);
    let refused = world.send(Ask::get("/v1/accounts").with("x-fapi-interaction-id", id)).await;
    assert_eq!(refused.refused(401, "token_missing").named(), id);
    let app = Session::of(&world, "demo-app").await;
    let proxied = app.send(Ask::get("/v1/accounts").with("x-fapi-interaction-id", id)).await;
    assert_eq!(proxied.succeeded(200).named(), id);
    let first = world.send(Ask::get("/v1/discovery/status")).await;
    let second = world.send(Ask::get("/v1/discovery/status")).await;
    assert_ne!(first.named(), second.named());
}

async fn an_interaction_id_of_another_form_is_not_reflected(kind: Kind) {
    let world = World::start(kind).await;
    for id in ["", "x", "018f3c1e9d847e4f8a315c7d9e0f2a31", "{018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a3}", "<script>alert(1)</script>............"] {
        let answer = world.send(Ask::get("/v1/discovery/status").with("x-fapi-interaction-id", id)).await;
        assert_ne!(answer.succeeded(200).named(), id);
    }
    let twice = Ask::get("/v1/discovery/status")
        .with("x-fapi-interaction-id", "018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31")
        .with("x-fapi-interaction-id", "018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a32");
    world.send(twice).await.refused(400, "header_refused");
}

async fn headers_that_would_speak_for_us_are_refused_or_dropped(kind: Kind) {
    let backend = scenarios::actors::backend::Backend::json(r#"{"accounts":[]}"#, "").await;
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

async fn a_header_that_decides_comes_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for name in ["x-idempotency-key", "x-identity-result", "content-type", "content-encoding", "origin", "traceparent"] {
        let ask = Ask::post("/v1/domestic-payments").with(name, "a").with(name, "a");
        app.send(ask.json(&bank::payment("1.00"))).await.refused(400, "header_refused");
    }
    let key = fresh("order");
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key);
    app.send(ask.json(&bank::payment("1.00"))).await.succeeded(201);
}

async fn a_request_has_a_bounded_number_of_headers(kind: Kind) {
    let world = World::start(kind).await;
    let with = |count: usize| (0..count).fold(Ask::get("/v1/discovery/status"), |ask, index| ask.with(&format!("x-more-{index}"), "x"));
    // One is `host`; on HTTP/2 it is a pseudo-header.
    let most = if kind == Kind::Http2 { 64 } else { 63 };
    world.send(with(most)).await.succeeded(200);
    world.send(with(most + 1)).await.refused(400, "header_refused");
}
