//! What is left of limits, for those who ask: whatever counts can be found, and what is not found says why.

use scenarios::actors::{Administrator, Session, bank};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

scenarios! {
    what_is_unknown_is_told_and_where_names_are_listed,
    clients_learn_what_is_unknown_of_what_they_may_call,
    what_strangers_have_used_is_shown_and_reset,
    every_limit_is_listed_with_what_it_needs,
    an_untouched_counter_is_told_from_a_used_one,
    a_peer_that_is_no_address_is_refused,
}

const ACCOUNTS: &str = "policies/national/apis/accounts.yaml";
const DISCOVERY: &str = "policies/national/apis/discovery.yaml";
const PER_OPERATION: &str = "standard:client+operation:30/s";
const STRANGERS: &str = "strangers:peer:2/day";

/// Gives a public operation a limit, and the balances of accounts two.
fn limited() -> Setup {
    let limits = "qaqpa: v1\nlimits:\n  strangers: {per: peer, quota: 2/day}\n  \
                  lookups: {per: [client, subject], subject: x-payer-id, quota: 5/day}\n  \
                  looks: {per: [client, resource], polls: {most: 3, gap: 1m, within: 2h}}\n";
    Setup::default()
        .policy("lookups.yaml", limits)
        .replacing(DISCOVERY, "getStatus: {}", "getStatus: {limits: strangers}".to_owned())
        .replacing(
            ACCOUNTS,
            "      getAccountBalances:\n",
            "      getAccountBalances:\n        limits: [lookups, looks]\n".to_owned(),
        )
}

async fn show(world: &World, query: &str) -> Answer {
    Administrator::of(world, "daniyar").get(world, &format!("/admin/limits{query}")).await
}

async fn reset(world: &World, body: &Value) -> Answer {
    let ask = Ask::post("/admin/limits/resets").json(body);
    world.send(Administrator::of(world, "aigerim").dress(ask)).await
}

/// Returns the detail of an answer that nothing was found, which says what to do next.
fn unfound(answer: &Answer) -> String {
    let problem = answer.refused(404, "not_found").json();
    assert!(problem["next"].as_str().is_some_and(|next| !next.is_empty()), "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

async fn what_is_unknown_is_told_and_where_names_are_listed(kind: Kind) {
    let world = World::with(kind, limited()).await;
    for (query, told) in [
        ("?client=demo-app&operation=nosuch", "No operation has this id."),
        ("?operation=nosuch", "No operation has this id."),
        ("?client=demo-app&policy=nosuch", "No limit has this name, or it is off."),
        ("?client=demo-app&policy=trial", "No limit of this name counts calls of this client."),
        (
            "?organisation=demo-fintech&policy=looks",
            "No limit of this name counts calls of all clients of this organisation together.",
        ),
        (
            "?client=demo-app&policy=looks&operation=listAccounts",
            "No limit of this name counts calls of this operation.",
        ),
        ("?client=demo-app&operation=getStatus", "Nobody who calls this operation is known as a client."),
    ] {
        let answer = show(&world, query).await;
        assert_eq!(unfound(&answer), told, "{query}");
    }
    let next = show(&world, "?policy=nosuch").await.json()["next"].clone();
    assert!(next.as_str().unwrap().contains("qaqpa limits show --all"), "{next}");
    let refused = reset(&world, &json!({"client": "demo-app", "policy": "nosuch", "ticket": "OPS-1"})).await;
    assert_eq!(unfound(&refused), "No limit has this name, or it is off.");
    show(&world, "?client=demo-app&organisation=demo-fintech").await.refused(400, "schema_violation");
}

async fn clients_learn_what_is_unknown_of_what_they_may_call(kind: Kind) {
    let world = World::with(kind, limited()).await;
    let app = Session::of(&world, "demo-app").await;
    for (target, told) in [
        ("/v1/limits?operation=nosuch", "Your client can call no operation of this id."),
        ("/v1/limits?operation=listAuditRecords", "Your client can call no operation of this id."),
        ("/v1/limits/nosuch", "No limit of this name counts calls of your client."),
        ("/v1/limits/trial", "No limit of this name counts calls of your client."),
        ("/v1/limits/looks?operation=listAccounts", "No limit of this name counts calls of this operation."),
    ] {
        assert_eq!(unfound(&app.get(target).await), told, "{target}");
    }
}

async fn what_strangers_have_used_is_shown_and_reset(kind: Kind) {
    let world = World::with(kind, limited()).await;
    let status = || world.send(Ask::get("/v1/discovery/status"));
    status().await.succeeded(200);
    status().await.succeeded(200);
    status().await.refused(429, "rate_limited");
    let asked = show(&world, "?operation=getStatus").await;
    let counter = asked.succeeded(200).json()["limits"][0].clone();
    assert_eq!((&counter["name"], &counter["needs"]), (&json!(STRANGERS), &json!(["peer"])), "{counter}");
    for query in ["?operation=getStatus&peer=127.0.0.1", "?policy=strangers&peer=::ffff:127.0.0.1"] {
        let shown = show(&world, query).await;
        let counter = shown.succeeded(200).json()["limits"][0].clone();
        assert_eq!((&counter["remaining"], &counter["capacity"]), (&json!(0), &json!(2)), "{query} {counter}");
        assert_eq!(counter["of"], json!({"peer": "127.0.0.1"}));
    }
    let unsaid = reset(&world, &json!({"policy": "strangers", "ticket": "OPS-814"})).await;
    assert_eq!(unsaid.refused(400, "schema_violation").json()["errors"][0]["pointer"], "/peer");
    status().await.refused(429, "rate_limited");
    let done = reset(&world, &json!({"policy": "strangers", "peer": "127.0.0.1", "ticket": "OPS-814"})).await;
    assert_eq!(done.succeeded(200).json()["counters"], 1, "{}", done.text());
    status().await.succeeded(200);
    let records = world.audit().await;
    let intent = records.iter().find(|record| record["operation"] == "resetLimits" && record["kind"] == "intent");
    let reference = intent.unwrap()["reference"].as_str().unwrap();
    assert!(reference.starts_with(&format!("limit={STRANGERS} peer=keyed:")), "{reference}");
    assert!(reference.ends_with(" ticket=OPS-814") && !reference.contains("127.0.0.1"), "{reference}");
}

async fn every_limit_is_listed_with_what_it_needs(kind: Kind) {
    let world = World::with(kind, limited()).await;
    let shown = show(&world, "").await;
    let all = shown.succeeded(200).json()["limits"].as_array().unwrap().clone();
    let needs = |name: &str| all.iter().find(|limit| limit["name"] == name).map(|limit| limit["needs"].clone());
    assert_eq!(needs(STRANGERS), Some(json!(["peer"])));
    assert_eq!(needs("standard:client:50/s"), Some(json!(["client"])), "{all:?}");
    assert_eq!(needs("trial:organisation:10/s"), Some(json!(["organisation"])), "{all:?}");
    // One line for all operations, until one is named.
    let of_operations = |all: &[Value]| all.iter().filter(|limit| limit["name"] == PER_OPERATION).count();
    assert_eq!((of_operations(&all), needs(PER_OPERATION)), (1, Some(json!(["client", "operation"]))));
    let shown = show(&world, "?operation=listAccounts").await.json();
    let told = shown["limits"].as_array().unwrap().iter().find(|limit| limit["name"] == PER_OPERATION).unwrap().clone();
    assert_eq!((&told["needs"], &told["of"]), (&json!(["client"]), &json!({"operation": "listAccounts"})));
    let lookups = all.iter().find(|limit| limit["name"] == "lookups:client+subject:5/day").unwrap();
    assert_eq!((&lookups["needs"], &lookups["header"]), (&json!(["client", "subject"]), &json!("x-payer-id")));
    // Whoever forgets to say whose resets nothing.
    let unsaid = reset(&world, &json!({"policy": "standard:client:50/s", "ticket": "OPS-1"})).await;
    assert_eq!(unsaid.refused(400, "schema_violation").json()["errors"][0]["pointer"], "/client");
}

async fn an_untouched_counter_is_told_from_a_used_one(kind: Kind) {
    let world = World::with(kind, limited()).await;
    let app = Session::of(&world, "demo-app").await;
    let (asked, other) = (bank::account(1), "00000000-0000-4000-8000-000000000000");
    app.get(&format!("/v1/accounts/{asked}/balances")).await.succeeded(200);
    for (resource, remaining, untouched) in [(&*asked, 0, None), (other, 1, Some(&json!(true)))] {
        let shown = show(&world, &format!("?client=demo-app&policy=looks&resource={resource}")).await;
        let counter = shown.succeeded(200).json()["limits"][0].clone();
        assert_eq!(
            (counter["remaining"].as_u64(), counter.get("untouched")),
            (Some(remaining), untouched),
            "{counter}"
        );
    }
}

async fn a_peer_that_is_no_address_is_refused(kind: Kind) {
    let world = World::with(kind, limited()).await;
    for peer in ["nonsense", "192.0.2", "192.0.2.0/24"] {
        let shown = show(&world, &format!("?policy=strangers&peer={peer}")).await;
        assert_eq!(shown.refused(400, "schema_violation").json()["errors"][0]["pointer"], "query:peer", "{peer}");
        let refused = reset(&world, &json!({"policy": "strangers", "peer": peer, "ticket": "OPS-1"})).await;
        assert_eq!(refused.refused(400, "schema_violation").json()["errors"][0]["pointer"], "/peer", "{peer}");
    }
    for peer in ["192.0.2.7", "2001:db8::1", "2001:db8::/64"] {
        show(&world, &format!("?policy=strangers&peer={peer}")).await.succeeded(200);
    }
}
