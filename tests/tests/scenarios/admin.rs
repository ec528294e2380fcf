//! The administrators' listener: what is open, who may ask for the rest, and what is never told there.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use gateway::unready::AssemblyError;
use policies::admin::ADMIN_TOKEN_MIN;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{Administrator, Session, administrator};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};
use spine::stage::Door;

scenarios! {
    health_and_metrics_are_open,
    the_paths_of_administrators_do_not_exist_on_public_listeners,
    the_public_paths_do_not_exist_on_the_administrators_listener,
    without_a_token_nothing_else_is_told,
    whatever_is_wrong_with_a_token_the_refusal_is_the_same,
    with_a_token_routes_and_generation_are_told,
    the_audit_trail_is_for_auditors,
    a_page_of_another_origin_is_refused,
    another_host_is_refused,
    an_administrators_token_opens_no_public_listener,
    a_limit_of_records_holds_on_both_sides,
    the_newest_records_come_first,
    every_metric_has_its_name_from_the_first_scrape_on,
    what_is_counted_names_nobody,
}

const OPEN: [&str; 3] = ["/livez", "/readyz", "/metrics"];
const CLOSED: [&str; 3] = ["/admin/routes", "/admin/generation", "/admin/audit/records"];

async fn health_and_metrics_are_open(kind: Kind) {
    let world = World::start(kind).await;
    let ask = |path: &str| world.send(Ask::get(path).at(Door::Admin));
    assert_eq!(ask("/livez").await.succeeded(200).at("/status"), "live");
    let ready = ask("/readyz").await;
    assert_eq!(ready.succeeded(200).at("/status"), "ready");
    let metrics = ask("/metrics").await;
    let media = metrics.succeeded(200).header("content-type").unwrap();
    assert!(media.starts_with("application/openmetrics-text; version=1.0.0"), "{media}");
    assert!(metrics.text().ends_with("# EOF\n"), "{}", metrics.text());
}

async fn the_paths_of_administrators_do_not_exist_on_public_listeners(kind: Kind) {
    let world = World::start(kind).await;
    let auditor = Administrator::of(&world, "daniyar");
    for door in [Door::Api, Door::MtlsApi] {
        for path in OPEN.iter().chain(&CLOSED) {
            world.send(Ask::get(path).at(door)).await.refused(404, "unknown_path");
            world.send(auditor.dress(Ask::get(path)).at(door)).await.refused(404, "unknown_path");
        }
    }
}

async fn the_public_paths_do_not_exist_on_the_administrators_listener(kind: Kind) {
    let world = World::start(kind).await;
    let auditor = Administrator::of(&world, "daniyar");
    for path in ["/v1/discovery/status", "/v1/accounts", "/.well-known/oauth-authorization-server"] {
        auditor.get(&world, path).await.refused(404, "unknown_path");
    }
    let app = Session::of(&world, "demo-app").await;
    world.send(app.app.token_ask(&world, None).at(Door::Admin)).await.oauth_refused(404, "invalid_request");
}

async fn without_a_token_nothing_else_is_told(kind: Kind) {
    let world = World::start(kind).await;
    for path in CLOSED {
        let refused = world.send(Ask::get(path).at(Door::Admin)).await;
        refused.refused(401, "client_unauthenticated");
        assert_eq!(refused.challenge(), "Bearer realm=\"qaqpa administrators\"");
    }
}

async fn whatever_is_wrong_with_a_token_the_refusal_is_the_same(kind: Kind) {
    let world = World::start(kind).await;
    let auditor = Administrator::of(&world, "daniyar");
    let app = Session::of(&world, "demo-app").await;
    let same_but_one = format!("{}_", auditor.token.get(..auditor.token.len() - 1).unwrap());
    let missing = world.send(Ask::get("/admin/generation").at(Door::Admin)).await;
    let wrong = [
        format!("Bearer {}", "A".repeat(auditor.token.len())),
        format!("Bearer {same_but_one}"),
        format!("Bearer {}", auditor.token.get(1..).unwrap()),
        format!("Bearer {}A", auditor.token),
        format!("Bearer {}", "A".repeat(ADMIN_TOKEN_MIN - 1)),
        format!("Bearer {}", "A".repeat(600)),
        format!("Bearer {}", app.token),
        format!("DPoP {}", auditor.token),
        format!("Basic {}", auditor.token),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
    ];
    for value in wrong {
        let refused = world.send(Ask::get("/admin/generation").at(Door::Admin).with("authorization", &value)).await;
        refused.refused(401, "client_unauthenticated");
        assert_eq!(told(&refused), told(&missing), "{value}");
        assert_eq!(refused.challenge(), missing.challenge());
    }
    let in_the_query = format!("/admin/generation?access_token={}", auditor.token);
    world.send(Ask::get(&in_the_query).at(Door::Admin)).await.refused(401, "client_unauthenticated");
    world.send(auditor.dress(auditor.dress(Ask::get("/admin/generation")))).await.refused(400, "header_refused");
}

// A problem without what is different in each.
fn told(answer: &Answer) -> Value {
    let mut problem = answer.json();
    problem.as_object_mut().unwrap().remove("instance").unwrap();
    problem
}

async fn with_a_token_routes_and_generation_are_told(kind: Kind) {
    let world = World::start(kind).await;
    for id in ["aigerim", "daniyar"] {
        let administrator = Administrator::of(&world, id);
        let routes = administrator.get(&world, "/admin/routes").await;
        let routes = routes.succeeded(200).json();
        let routes = routes["routes"].as_array().unwrap();
        let payment = routes.iter().find(|route| route["operation"] == "createDomesticPayment").unwrap();
        assert_eq!((&payment["method"], &payment["path"]), (&json!("POST"), &json!("/v1/domestic-payments")));
        assert_eq!((&payment["scopes"], &payment["roles"]), (&json!(["payments:write"]), &json!(["PISP"])));
        let place = payment["policy"].as_str().unwrap();
        assert!(place.contains("payments.yaml:"), "{place}");
        let generation = administrator.get(&world, "/admin/generation").await;
        assert_eq!(generation.succeeded(200).json()["generation"], 1);
    }
}

async fn the_audit_trail_is_for_auditors(kind: Kind) {
    let world = World::start(kind).await;
    let viewer = Administrator::of(&world, "aigerim");
    viewer.get(&world, "/admin/audit/records").await.refused(403, "administrator_refused");
    let auditor = Administrator::of(&world, "daniyar");
    auditor.get(&world, "/admin/audit/records").await.succeeded(200);
}

async fn a_page_of_another_origin_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let auditor = Administrator::of(&world, "daniyar");
    let ask = |origin: &str| world.send(auditor.dress(Ask::get("/admin/generation")).with("origin", origin));
    let own = world.external(Door::Admin);
    let other_scheme = own.replace("http:", "https:");
    for origin in ["https://pages.example", "null", "", world.external(Door::Api), &other_scheme, &format!("{own}0")] {
        ask(origin).await.refused(421, "host_refused");
    }
    ask(own).await.succeeded(200);
    // The origin is looked at first: a foreign page does not learn whether a token is right.
    let wrong = Ask::get("/admin/generation").at(Door::Admin).with("origin", "https://pages.example");
    world.send(wrong.with("authorization", "Bearer nothing")).await.refused(421, "host_refused");
}

async fn another_host_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let auditor = Administrator::of(&world, "daniyar");
    let port = world.address(Door::Admin).port();
    let foreign = [
        "pages.example".to_owned(),
        format!("pages.example:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1.pages.example:{port}"),
        world.address(Door::Api).to_string(),
    ];
    for host in &foreign {
        for path in OPEN.iter().chain(&CLOSED) {
            world.send(auditor.dress(Ask::get(path)).with("host", host)).await.refused(421, "host_refused");
        }
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("LocalHost:{port}")] {
        world.send(auditor.dress(Ask::get("/admin/generation")).with("host", host)).await.succeeded(200);
    }
}

async fn an_administrators_token_opens_no_public_listener(kind: Kind) {
    let world = World::start(kind).await;
    let before = bank::balance(&world, 1).await;
    for id in ["aigerim", "daniyar"] {
        let administrator = Administrator::of(&world, id);
        for door in [Door::Api, Door::MtlsApi] {
            let answer = world.send(administrator.dress(Ask::get("/v1/accounts")).at(door)).await;
            assert!([400, 401].contains(&answer.status), "{}", answer.text());
            let order =
                Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order")).json(&payment("1.00"));
            let answer = world.send(administrator.dress(order).at(door)).await;
            assert!([400, 401].contains(&answer.status), "{}", answer.text());
        }
    }
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn a_limit_of_records_holds_on_both_sides(kind: Kind) {
    let world = World::start(kind).await;
    let auditor = Administrator::of(&world, "daniyar");
    for wrong in ["0", "1001", "-1", "all", "1.5", ""] {
        let refused = auditor.get(&world, &format!("/admin/audit/records?limit={wrong}")).await;
        refused.refused(400, "schema_violation");
        assert_eq!(refused.at("/errors/0/pointer"), "query:limit");
    }
    auditor.get(&world, "/admin/audit/records?other=1").await.refused(400, "schema_violation");
    world.audit().await;
    let count = |answer: &Answer| answer.succeeded(200).json()["records"].as_array().unwrap().len();
    assert_eq!(count(&auditor.get(&world, "/admin/audit/records?limit=1").await), 1);
    let all = count(&auditor.get(&world, "/admin/audit/records?limit=1000").await);
    assert!(all >= 6, "{all}");
    // More than one answer holds when nothing is said.
    while world.audit().await.len() <= 50 {
        world.send(Ask::get("/livez").at(Door::Admin)).await.succeeded(200);
    }
    assert_eq!(count(&auditor.get(&world, "/admin/audit/records").await), 50);
    assert_eq!(count(&auditor.get(&world, "/admin/audit/records?limit=51").await), 51);
}

async fn the_newest_records_come_first(kind: Kind) {
    let world = World::start(kind).await;
    let auditor = Administrator::of(&world, "daniyar");
    for _ in 0..3 {
        world.send(Ask::get("/livez").at(Door::Admin)).await.succeeded(200);
    }
    world.audit().await;
    let answer = auditor.get(&world, "/admin/audit/records?limit=3").await;
    let answer = answer.succeeded(200).json();
    let numbers: Vec<_> =
        answer["records"].as_array().unwrap().iter().map(|r| r["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), 3);
    assert!(numbers.is_sorted_by(|one, next| one == &(next + 1)), "{numbers:?}");
}

async fn every_metric_has_its_name_from_the_first_scrape_on(kind: Kind) {
    let world = World::start(kind).await;
    let first = administrator::metrics(&world).await;
    let counters = ["requests", "refusals", "shed", "connections_closed", "panics", "audit_lost", "config_rejected"];
    for name in counters {
        assert!(first.contains(&format!("# TYPE qaqpa_{name} counter\n")), "{name}: {first}");
    }
    assert!(first.contains("# TYPE qaqpa_connections gauge\n"), "{first}");
    assert!(first.contains("# TYPE qaqpa_request_duration_seconds histogram\n"), "{first}");
    for line in [
        "qaqpa_config_generation 1",
        "qaqpa_panics_total 0",
        "qaqpa_audit_lost_total 0",
        "qaqpa_config_rejected_total 0",
    ] {
        assert!(first.lines().any(|known| known == line), "{line}: {first}");
    }
    for reason in ["peer", "concurrency", "connections", "limit-keys"] {
        assert!(first.contains(&format!("qaqpa_shed_total{{reason=\"{reason}\"}} 0\n")), "{reason}: {first}");
    }
    world.send(Ask::get("/v1/discovery/status")).await.succeeded(200);
    world.send(Ask::get("/v1/accounts")).await.refused(401, "token_missing");
    let second = administrator::metrics(&world).await;
    for line in [
        "qaqpa_requests_total{listener=\"api\",status=\"200\"} 1",
        "qaqpa_requests_total{listener=\"api\",status=\"401\"} 1",
        "qaqpa_requests_total{listener=\"admin\",status=\"200\"} 1",
        "qaqpa_refusals_total{reason=\"token_missing\"} 1",
    ] {
        assert!(second.lines().any(|known| known == line), "{line}: {second}");
    }
}

async fn what_is_counted_names_nobody(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, text) = (fresh("order"), "rent of a flat");
    app.pay(&key, &payment_with("1.00", text)).await.succeeded(201);
    let account = bank::account(1);
    app.get(&format!("/v1/accounts/{account}/balances")).await.succeeded(200);
    let verification = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    app.post("/v1/identity-verifications", &fresh("verification"), &verification).await.succeeded(201);
    app.get("/v1/nowhere/of/mine").await.refused(404, "unknown_path");
    let auditor = Administrator::of(&world, "daniyar");
    auditor.get(&world, "/admin/generation").await.succeeded(200);
    let metrics = administrator::metrics(&world).await;
    let names = [
        "demo-app",
        "demo-fintech",
        "daniyar",
        "nowhere",
        "createDomesticPayment",
        "sandbox-face",
        "eyJ",
        text,
        &key,
        &account,
        &app.token,
        &auditor.token,
        bank::iin(1),
        bank::iban(1),
        bank::iban(2),
    ];
    for name in names {
        assert!(!metrics.contains(name), "{name} is told: {metrics}");
    }
}

// What follows is refused before anything listens, so one kind of world shows it.

fn refused_to_start(result: Result<World, AssemblyError>) -> String {
    match result {
        Err(AssemblyError::Configuration(text)) => text,
        Err(other) => panic!("not a fault of the configuration: {other}"),
        Ok(_) => panic!("it starts"),
    }
}

/// Opens the administrators' listener to other machines, with more said of it.
fn open_to_others(more: &str) -> Setup {
    Setup::default()
        .replacing("qaqpa.yaml", "  admin: {address: \"127.0.0.1:", "  admin: {address: \"0.0.0.0:")
        .replacing("qaqpa.yaml", "\"}\npolicies:", format!("\"{more}}}\npolicies:"))
}

#[tokio::test]
async fn c1_administrators_off_loopback_need_tls() {
    let plain = World::attempt(Kind::Memory, open_to_others("")).await;
    assert!(refused_to_start(plain).contains("clear text"));
    // What an operator may decide for the public listeners, nobody may for this one.
    let trusted = World::attempt(Kind::Memory, open_to_others(", plaintext: trusted")).await;
    assert!(refused_to_start(trusted).contains("administrators' listener"));
    let tls = ", tls: {certificate: ca/server.pem, key: ca/server.key}";
    let with_tls = World::attempt(Kind::Memory, open_to_others(tls)).await.unwrap();
    assert!(with_tls.external(Door::Admin).starts_with("https://"));
}

/// Changes the token file of an administrator between two starts, and tries the second.
async fn with_token_file(change: impl FnOnce(&Path)) -> Result<World, AssemblyError> {
    let rest = World::start(Kind::Memory).await.stop().await;
    change(&rest.state().join("admins/daniyar.token"));
    World::again(rest, Setup::default()).await.map_err(|(error, _)| error)
}

fn mode(bits: u32) -> impl FnOnce(&Path) {
    move |path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap()
}

#[tokio::test]
async fn a_token_file_that_others_can_read_stops_the_start() {
    for bits in [0o644, 0o640, 0o604, 0o620] {
        let text = refused_to_start(with_token_file(mode(bits)).await);
        assert!(text.contains("administrator daniyar") && text.contains("chmod 600"), "{text}");
    }
    with_token_file(mode(0o400)).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_too_short_stops_the_start() {
    let short = |path: &Path| std::fs::write(path, "s".repeat(ADMIN_TOKEN_MIN - 1)).unwrap();
    let text = refused_to_start(with_token_file(short).await);
    assert!(text.contains("administrator daniyar") && !text.contains("sss"), "{text}");
    let enough = |path: &Path| std::fs::write(path, format!("{}\n", "s".repeat(ADMIN_TOKEN_MIN))).unwrap();
    let world = with_token_file(enough).await.unwrap();
    let auditor = Administrator::of(&world, "daniyar");
    auditor.get(&world, "/admin/audit/records").await.succeeded(200);
}

#[tokio::test]
async fn a_token_file_that_is_missing_stops_the_start() {
    let elsewhere = Setup::default().replacing("qaqpa.yaml", "admins/daniyar.token", "admins/nobody.token");
    let text = refused_to_start(World::attempt(Kind::Memory, elsewhere).await);
    assert!(text.contains("administrator daniyar") && text.contains("nobody.token"), "{text}");
}

#[tokio::test]
async fn a_token_that_two_have_is_nobodys() {
    let rest = World::start(Kind::Memory).await.stop().await;
    let file = |id: &str| rest.state().join(format!("admins/{id}.token"));
    std::fs::copy(file("daniyar"), file("aigerim")).unwrap();
    let world = World::again(rest, Setup::default()).await.map_err(|(error, _)| error).unwrap();
    for id in ["aigerim", "daniyar"] {
        let administrator = Administrator::of(&world, id);
        administrator.get(&world, "/admin/generation").await.refused(401, "client_unauthenticated");
    }
}
