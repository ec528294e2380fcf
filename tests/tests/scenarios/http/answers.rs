//! Every answer has a name, and every refusal says the same in status, type and words.

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use spine::stage::Door;

use super::{ACCOUNTS, PAYMENTS, STATUS, counting, decent};

scenarios! {
    an_unknown_path_does_not_exist,
    a_method_that_a_path_does_not_have_is_refused_with_those_it_has,
    trace_and_connect_are_not_served,
    an_operation_of_administrators_does_not_exist_outside,
    an_operation_of_clients_does_not_exist_for_administrators,
    c15_the_name_of_an_interaction_is_given_back,
    c15_what_is_no_uuid_is_never_given_back,
    c15_the_name_reaches_the_backend_and_the_trail,
    rs5_every_refusal_is_named_and_whole,
    too_much_of_one_peer_is_refused_with_a_name,
    a_success_is_named_and_tells_nothing_of_us,
}

async fn an_unknown_path_does_not_exist(kind: Kind) {
    let world = World::start(kind).await;
    for target in
        ["/", "/v1", "/v2/accounts", "/v1/account", "/v1/accounts/x", "/.well-known/security.txt", "/v1/accountsx"]
    {
        for method in ["GET", "POST", "OPTIONS", "BREW"] {
            let refused = world.send(Ask::new(method, target)).await;
            refused.refused(404, "unknown_path");
            assert_eq!(refused.header("allow"), None);
        }
    }
}

async fn a_method_that_a_path_does_not_have_is_refused_with_those_it_has(kind: Kind) {
    let world = World::start(kind).await;
    let payment = format!("{PAYMENTS}/018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20");
    let cases = [
        ("DELETE", PAYMENTS, "POST"),
        ("GET", PAYMENTS, "POST"),
        ("OPTIONS", PAYMENTS, "POST"),
        ("post", PAYMENTS, "POST"),
        ("POST", ACCOUNTS, "GET"),
        ("Get", ACCOUNTS, "GET"),
        ("PATCH", STATUS, "GET"),
        ("PUT", payment.as_str(), "GET"),
        ("PROPFIND", STATUS, "GET"),
    ];
    for (method, target, allow) in cases {
        let refused = world.send(Ask::new(method, target)).await;
        refused.refused(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some(allow), "{method} {target}");
    }
    // On OAuth's own endpoints in OAuth's own words.
    let refused = world.send(Ask::get("/oauth/token")).await;
    refused.oauth_refused(405, "invalid_request");
    assert_eq!(refused.header("allow"), Some("POST"));
}

async fn trace_and_connect_are_not_served(kind: Kind) {
    let world = World::start(kind).await;
    for target in [STATUS, ACCOUNTS, "/", "/nowhere"] {
        let refused = world.send(Ask::new("TRACE", target).with("x-secret", "CANARY")).await;
        refused.refused(405, "method_not_allowed");
        assert!(!refused.text().contains("CANARY"));
    }
    // On a wire CONNECT has another form: `sockets` sends it.
    if kind == Kind::Memory {
        world.send(Ask::new("CONNECT", STATUS)).await.refused(405, "method_not_allowed");
    }
}

/// What administrators ask.
const INSIDE: [&str; 6] =
    ["/livez", "/readyz", "/metrics", "/admin/routes", "/admin/generation", "/admin/audit/records"];

async fn an_operation_of_administrators_does_not_exist_outside(kind: Kind) {
    let world = World::start(kind).await;
    let token = std::fs::read_to_string(world.told("/admins/0/token_file")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let app = Session::of(&world, "demo-app").await;
    for target in INSIDE {
        for door in [Door::Api, Door::MtlsApi] {
            world.send(Ask::get(target).at(door)).await.refused(404, "unknown_path");
            let known = Ask::get(target).at(door).with("authorization", &bearer);
            world.send(known).await.refused(404, "unknown_path");
        }
        app.get(target).await.refused(404, "unknown_path");
    }
}

async fn an_operation_of_clients_does_not_exist_for_administrators(kind: Kind) {
    let world = World::start(kind).await;
    for target in [STATUS, ACCOUNTS, "/.well-known/oauth-authorization-server"] {
        world.send(Ask::get(target).at(Door::Admin)).await.refused(404, "unknown_path");
    }
    world.send(Ask::post(PAYMENTS).at(Door::Admin).json(&payment("1.00"))).await.refused(404, "unknown_path");
    let app = scenarios::actors::App::of(&world, "demo-app");
    let answer = world.send(app.token_ask(&world, None).at(Door::Admin)).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}

async fn c15_the_name_of_an_interaction_is_given_back(kind: Kind) {
    let world = World::start(kind).await;
    let name = "018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20";
    let with = |id: &str| Ask::get(STATUS).with("x-fapi-interaction-id", id);
    assert_eq!(world.send(with(name)).await.succeeded(200).named(), name);
    assert_eq!(world.send(with(&name.to_uppercase())).await.succeeded(200).named(), name);
    let refused = world.send(Ask::get("/nowhere").with("x-fapi-interaction-id", name)).await;
    assert_eq!(refused.refused(404, "unknown_path").named(), name);
}

async fn c15_what_is_no_uuid_is_never_given_back(kind: Kind) {
    let world = World::start(kind).await;
    let malformed = [
        "",
        "x",
        "018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f2",
        "018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f200",
        "018f3c1e8c737d3e9f204b6c8d0e1f20",
        "{018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20}",
        "urn:uuid:018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20",
        "018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f2g",
        "018f3c1e-8c73-7d3e-9f20_4b6c8d0e1f20",
        "\"><script>alert(1)</script>0000000000",
        "\u{430}18f3c1e-8c73-7d3e-9f20-4b6c8d0e1f2",
    ];
    let mut seen = std::collections::HashSet::new();
    for id in malformed.map(str::to_owned).into_iter().chain(["f".repeat(5000)]) {
        let answer = world.send(Ask::get(STATUS).with("x-fapi-interaction-id", &id)).await;
        answer.succeeded(200);
        assert_ne!(answer.named(), id);
        assert!(seen.insert(answer.named().to_owned()), "a name was given twice");
        assert!(id.len() < 20 || !format!("{answer:?}").contains(&id), "{answer:?}");
    }
}

async fn c15_the_name_reaches_the_backend_and_the_trail(kind: Kind) {
    let (backend, setup) = counting().await;
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let name = "018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20";
    app.send(Ask::get(ACCOUNTS).with("x-fapi-interaction-id", name)).await.succeeded(200);
    let made = app.send(Ask::get(ACCOUNTS).with("x-fapi-interaction-id", "canary")).await;
    let names = [name, made.succeeded(200).named()];
    let received = backend.received();
    let told: Vec<_> = received.iter().filter_map(|request| request.header("x-fapi-interaction-id")).collect();
    assert_eq!(told, names);
    assert!(received.iter().all(|request| !request.head.contains("canary")));
    let records = world.audit().await;
    for name in names {
        assert!(records.iter().any(|record| record["interaction"] == name), "{name} is not in the trail");
    }
}

async fn rs5_every_refusal_is_named_and_whole(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let pay = |body: &[u8]| Ask::post(PAYMENTS).with("x-idempotency-key", fresh("order")).body(body.to_vec());
    let reader =
        Session { world: &world, app: scenarios::actors::App::of(&world, "demo-app"), token: app.token.clone() };
    let elsewhere = reader.get(ACCOUNTS).await;
    let mut refusals: Vec<(Answer, u16, &str)> = vec![
        (world.send(Ask::get("/nowhere")).await, 404, "unknown_path"),
        (world.send(Ask::post(STATUS)).await, 405, "method_not_allowed"),
        (world.send(Ask::get("//")).await, 400, "path_not_canonical"),
        (world.send(Ask::get(STATUS).with("x_user", "1")).await, 400, "header_refused"),
        (world.send(Ask::get(ACCOUNTS)).await, 401, "token_missing"),
        (elsewhere, 401, "token_binding_failed"),
        (app.send(pay(b"{}")).await, 415, "unsupported_media"),
        (app.send(pay(b"{}").with("content-type", "application/json")).await, 400, "schema_violation"),
        (app.send(pay(b"{").with("content-type", "application/json")).await, 400, "body_malformed"),
        (app.send(pay(&[b' '; 20_000]).with("content-type", "application/json")).await, 413, "payload_too_large"),
        (app.pay(&fresh("order"), &payment("300000.00")).await, 401, "step_up_required"),
        (app.get("/v1/identity-verifications/018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31").await, 404, "not_found"),
    ];
    if kind != Kind::Http2 {
        refusals.push((world.send(Ask::get(STATUS).with("host", "x")).await, 421, "host_refused"));
    }
    for (refused, status, name) in &refusals {
        refused.refused(*status, name);
        decent(refused);
        let problem = refused.json();
        assert_eq!(problem["origin"], "client", "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    }
    let names: std::collections::HashSet<&str> = refusals.iter().map(|(refused, ..)| refused.named()).collect();
    assert_eq!(names.len(), refusals.len(), "two interactions have one name");
    let oauth = world.send(Ask::post("/oauth/token").form(&[("grant_type", "password")])).await;
    oauth.oauth_refused(400, "invalid_request");
    decent(&oauth);
}

async fn too_much_of_one_peer_is_refused_with_a_name(kind: Kind) {
    let limits = "limits: {perPeer: {rate: 1/s, burst: 2}}\n";
    let world = World::with(kind, Setup::configured(limits)).await;
    world.send(Ask::get(STATUS)).await.succeeded(200);
    // What is refused later counts too.
    world.send(Ask::get("/nowhere")).await.refused(404, "unknown_path");
    let name = "018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20";
    let refused = world.send(Ask::get(STATUS).with("x-fapi-interaction-id", name)).await;
    assert_eq!(refused.refused(429, "rate_limited").named(), name);
    decent(&refused);
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Administrators are not shut out by it.
    world.send(Ask::get("/livez").at(Door::Admin)).await.status_is(200);
}

async fn a_success_is_named_and_tells_nothing_of_us(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let mut names = std::collections::HashSet::new();
    for answer in [
        world.send(Ask::get(STATUS)).await,
        app.get(ACCOUNTS).await,
        app.get(&format!("{ACCOUNTS}/{}/balances", bank::account(1))).await,
        app.pay(&fresh("order"), &payment("1.00")).await,
    ] {
        assert!(answer.status == 200 || answer.status == 201, "{}", answer.text());
        decent(&answer);
        assert!(names.insert(answer.named().to_owned()));
    }
}
