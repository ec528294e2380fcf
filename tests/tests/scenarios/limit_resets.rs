//! Resets of limits: what the trail says of them, and whom they may let through.

use scenarios::actors::{Administrator, Session, bank};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

scenarios! {
    whom_a_reset_is_for_and_why_is_in_the_trail_before_it_is_done,
    a_ticket_names_nobody,
    what_is_refused_is_not_announced,
    what_everybody_fills_is_reset_by_its_whole_name_alone,
}

const ACCOUNTS: &str = "policies/national/apis/accounts.yaml";
const EVERYBODYS: &str = "all:operation:1/day";

fn limited(limit: &str, operation: &str) -> Setup {
    let of = format!("      {operation}:\n");
    Setup::default().policy("resets.yaml", format!("qaqpa: v1\nlimits:\n  {limit}\n")).replacing(
        ACCOUNTS,
        &of,
        format!("{of}        limits: {}\n", limit.split(':').next().unwrap()),
    )
}

async fn reset(world: &World, administrator: &str, body: &Value) -> Answer {
    let ask = Ask::post("/admin/limits/resets").json(body);
    world.send(Administrator::of(world, administrator).dress(ask)).await
}

/// Returns the references of the resets that were announced, and how each was answered.
async fn recorded(world: &World) -> (Vec<String>, Vec<u64>) {
    let records = world.audit().await;
    let of = |kind: &'static str| {
        records.iter().filter(move |record| record["operation"] == "resetLimits" && record["kind"] == kind)
    };
    let references = of("intent").map(|intent| intent["reference"].as_str().unwrap_or_default().to_owned());
    (references.collect(), of("outcome").map(|outcome| outcome["status"].as_u64().unwrap()).collect())
}

async fn whom_a_reset_is_for_and_why_is_in_the_trail_before_it_is_done(kind: Kind) {
    let world =
        World::with(kind, limited("looks: {per: [client, resource], quota: 1/day}", "getAccountBalances")).await;
    let app = Session::of(&world, "demo-app").await;
    let account = bank::account(1);
    let balances = format!("/v1/accounts/{account}/balances");
    app.get(&balances).await.succeeded(200);
    app.get(&balances).await.refused(429, "rate_limited");
    let body = json!({"client": "demo-app", "policy": "looks", "resource": account, "ticket": "OPS-812"});
    let done = reset(&world, "aigerim", &body).await;
    assert_eq!(done.succeeded(200).json()["counters"], 1, "{}", done.text());
    assert_eq!(done.json().get("everybodys"), None);
    app.get(&balances).await.succeeded(200);
    let (references, statuses) = recorded(&world).await;
    assert_eq!((references.len(), statuses), (1, vec![200]));
    let reference = references.first().unwrap();
    let before = "client=demo-app limit=looks:client+resource:1/day resource=keyed:";
    assert!(reference.starts_with(before) && reference.ends_with(" ticket=OPS-812"), "{reference}");
    assert!(!reference.contains(&account), "{reference}");
}

async fn a_ticket_names_nobody(kind: Kind) {
    let world = World::start(kind).await;
    let iin = bank::iin(1);
    for ticket in [iin.to_owned(), format!("OPS-{iin}"), "loop of Aigerim".to_owned(), "a".repeat(65), String::new()] {
        let body = json!({"client": "demo-app", "policy": "standard", "ticket": ticket});
        reset(&world, "aigerim", &body).await.refused(400, "schema_violation");
    }
    let (references, _) = recorded(&world).await;
    assert!(references.is_empty(), "{references:?}");
    assert!(!serde_json::to_string(&world.audit().await).unwrap().contains(iin));
    let body = json!({"client": "demo-app", "policy": "standard:client:50/s", "ticket": "a".repeat(64)});
    reset(&world, "aigerim", &body).await.succeeded(200);
}

async fn what_is_refused_is_not_announced(kind: Kind) {
    let world =
        World::with(kind, limited("looks: {per: [client, resource], quota: 1/day}", "getAccountBalances")).await;
    let body = |client: &str, policy: &str| json!({"client": client, "policy": policy, "ticket": "OPS-812"});
    reset(&world, "daniyar", &body("demo-app", "standard")).await.refused(403, "administrator_refused");
    reset(&world, "aigerim", &body("nobody", "standard")).await.refused(404, "not_found");
    reset(&world, "aigerim", &body("demo-app", "nothing")).await.refused(404, "not_found");
    let unsaid = reset(&world, "aigerim", &body("demo-app", "looks")).await;
    assert_eq!(unsaid.refused(400, "schema_violation").json()["errors"][0]["pointer"], "/resource");
    let (references, statuses) = recorded(&world).await;
    assert!(references.is_empty(), "{references:?}");
    assert_eq!(statuses, [403, 404, 404, 400]);
}

async fn what_everybody_fills_is_reset_by_its_whole_name_alone(kind: Kind) {
    let world = World::with(kind, limited("all: {per: operation, quota: 1/day}", "listAccounts")).await;
    let (app, other) = (Session::of(&world, "demo-app").await, Session::of(&world, "demo-mtls-app").await);
    app.get("/v1/accounts").await.succeeded(200);
    other.get("/v1/accounts").await.refused(429, "rate_limited");
    let shown = Administrator::of(&world, "aigerim").get(&world, "/admin/limits?client=demo-app&policy=all").await;
    assert_eq!(shown.succeeded(200).json()["limits"][0]["everybodys"], true, "{}", shown.text());
    let body = |policy: &str| json!({"client": "demo-app", "policy": policy, "ticket": "OPS-812"});
    let refused = reset(&world, "aigerim", &body("all")).await;
    let fault = refused.refused(400, "schema_violation").json()["errors"][0].clone();
    assert_eq!(fault["pointer"], "/policy");
    assert!(fault["message"].as_str().unwrap().contains(EVERYBODYS), "{fault}");
    app.get("/v1/accounts").await.refused(429, "rate_limited");
    let done = reset(&world, "aigerim", &body(EVERYBODYS)).await;
    assert_eq!(done.succeeded(200).json()["everybodys"], json!([EVERYBODYS]));
    other.get("/v1/accounts").await.succeeded(200);
    let (references, _) = recorded(&world).await;
    assert_eq!(references, [format!("client=demo-app limit={EVERYBODYS} operation=listAccounts ticket=OPS-812")]);
}
