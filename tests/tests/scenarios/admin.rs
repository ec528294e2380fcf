//! The administrators' listener: who may ask what, and from where.

use scenarios::actors::Session;
use scenarios::world::{Answer, Ask, Kind, World};
use spine::stage::Door;

const GUARDED: [&str; 3] = ["/admin/routes", "/admin/generation", "/admin/audit/records"];

scenarios! {
    health_and_metrics_are_open,
    an_administrator_needs_a_token,
    an_administrator_needs_the_role,
    a_foreign_origin_is_refused,
    a_wrong_host_is_refused,
    an_access_token_is_no_administrators_token,
    answers_keep_to_the_contract,
}

fn token(world: &World, index: usize) -> String {
    let text = std::fs::read_to_string(world.told(&format!("/admins/{index}/token_file"))).unwrap();
    text.trim().to_owned()
}

async fn ask(world: &World, path: &str, token: &str) -> Answer {
    world.send(Ask::get(path).at(Door::Admin).with("authorization", format!("Bearer {token}"))).await
}

async fn health_and_metrics_are_open(kind: Kind) {
    let world = World::start(kind).await;
    for path in ["/livez", "/readyz"] {
        world.send(Ask::get(path).at(Door::Admin)).await.succeeded(200);
    }
    let metrics = world.send(Ask::get("/metrics").at(Door::Admin)).await;
    metrics.succeeded(200);
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for name in ["qaqpa_requests", "qaqpa_refusals", "qaqpa_shed", "qaqpa_connections", "qaqpa_panics_total", "qaqpa_config_generation 1", "qaqpa_config_rejected_total 0"] {
        assert!(metrics.text().contains(name), "{name} is missing");
    }
    assert!(metrics.text().ends_with("# EOF\n"));
}

async fn an_administrator_needs_a_token(kind: Kind) {
    let world = World::start(kind).await;
    let right = token(&world, 1);
    for path in GUARDED {
        let refused = world.send(Ask::get(path).at(Door::Admin)).await;
        refused.refused(401, "client_unauthenticated");
        assert!(refused.challenge().starts_with("Bearer"), "{}", refused.challenge());
        let almost = format!("{}x", right.get(..right.len() - 1).unwrap());
        for wrong in [almost.as_str(), "x", &right.repeat(2), &right.to_uppercase(), "a".repeat(513).as_str()] {
            ask(&world, path, wrong).await.refused(401, "client_unauthenticated");
        }
        let other_scheme = Ask::get(path).at(Door::Admin).with("authorization", format!("DPoP {right}"));
        world.send(other_scheme).await.refused(401, "client_unauthenticated");
        let basic = Ask::get(path).at(Door::Admin).with("authorization", format!("Basic {right}"));
        world.send(basic).await.refused(401, "client_unauthenticated");
        let query = Ask::get(&format!("{path}?access_token={right}")).at(Door::Admin);
        assert!(matches!(world.send(query).await.status, 400 | 401));
    }
}

async fn an_administrator_needs_the_role(kind: Kind) {
    let world = World::start(kind).await;
    // aigerim: viewer, editor, approver; daniyar: viewer, auditor.
    let (editor, auditor) = (token(&world, 0), token(&world, 1));
    ask(&world, "/admin/audit/records", &editor).await.refused(403, "administrator_refused");
    ask(&world, "/admin/audit/records", &auditor).await.succeeded(200);
    for path in ["/admin/routes", "/admin/generation"] {
        ask(&world, path, &editor).await.succeeded(200);
        ask(&world, path, &auditor).await.succeeded(200);
    }
}

async fn a_foreign_origin_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let right = token(&world, 1);
    let from = |origin: &str| {
        let ask = Ask::get("/admin/generation").at(Door::Admin).with("authorization", format!("Bearer {right}"));
        ask.with("origin", origin)
    };
    for origin in ["https://thief.example", "null", "http://127.0.0.1", ""] {
        world.send(from(origin)).await.refused(421, "host_refused");
    }
    world.send(from(world.external(Door::Admin))).await.succeeded(200);
}

async fn a_wrong_host_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let right = token(&world, 1);
    let api = world.external(Door::Api).strip_prefix("https://").unwrap().to_owned();
    for host in ["thief.example", "127.0.0.1", api.as_str()] {
        for path in ["/livez", "/metrics", "/admin/generation"] {
            let ask = Ask::get(path).at(Door::Admin).with("host", host).with("authorization", format!("Bearer {right}"));
            world.send(ask).await.refused(421, "host_refused");
        }
    }
}

async fn an_access_token_is_no_administrators_token(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    ask(&world, "/admin/generation", &app.token).await.refused(401, "client_unauthenticated");
    let right = token(&world, 0);
    let ask = Ask::get("/v1/accounts").with("authorization", format!("Bearer {right}"));
    assert_eq!(world.send(ask).await.status, 401);
}

async fn answers_keep_to_the_contract(kind: Kind) {
    let world = World::start(kind).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(world.send(Ask::get(path).at(Door::Admin)).await.at("/status"), "ok");
    }
    let auditor = token(&world, 1);
    assert_eq!(ask(&world, "/admin/generation", &auditor).await.json()["generation"], 1);
    let routes = ask(&world, "/admin/routes", &auditor).await;
    let routes = routes.json()["routes"].as_array().unwrap().clone();
    let found = routes.iter().find(|route| route["operation"] == "listAccounts").unwrap();
    assert_eq!(found["method"], "GET");
    assert_eq!(found["template"], "/v1/accounts");
    assert!(found["origin"].as_str().is_some_and(|origin| origin.contains("accounts.yaml:")), "{found}");
    world.audit().await;
    let records = ask(&world, "/admin/audit/records?limit=2", &auditor).await;
    let records = records.json()["records"].as_array().unwrap().clone();
    assert_eq!(records.len(), 2);
    let sequence = |index: usize| records[index]["sequence"].as_u64().unwrap();
    assert!(sequence(0) > sequence(1), "the newest is to come first");
    for wrong in ["limit=0", "limit=1001", "limit=x", "other=1"] {
        ask(&world, &format!("/admin/audit/records?{wrong}"), &auditor).await.refused(400, "schema_violation");
    }
}
