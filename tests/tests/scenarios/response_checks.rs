//! Answers of backends that break the contract: reported, kept back, or not looked at.

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::payment;
use scenarios::world::{Kind, LIST_ACCOUNTS, Setup, World};
use serde_json::Value;

use crate::fraud::{at_payments, newest};

scenarios! {
    an_answer_that_breaks_the_contract_is_reported_and_passes,
    an_answer_that_keeps_the_contract_is_not_reported,
    an_answer_that_breaks_the_contract_is_kept_back_where_that_is_enforced,
    a_payment_whose_answer_breaks_the_contract_is_unknown,
    an_operation_whose_answers_are_not_judged_says_nothing,
    an_answer_is_looked_into_up_to_a_length,
    the_shipped_bank_keeps_its_contract,
}

/// The longest answer that is looked into.
const LONGEST: usize = 1024 * 1024;

async fn judged(kind: Kind, body: &str, how: &str) -> World {
    let backend = Backend::json(body, "").await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let setup = setup.replacing(
        "policies/national/apis/accounts.yaml",
        LIST_ACCOUNTS,
        format!("{LIST_ACCOUNTS}        validate: {{response: {how}}}\n"),
    );
    World::with(kind, setup).await
}

fn counted(world: &World, keyword: &str) -> f64 {
    world.metric(&format!("qaqpa_response_faults_total{{operation=\"listAccounts\",keyword=\"{keyword}\"}}"))
}

async fn an_answer_that_breaks_the_contract_is_reported_and_passes(kind: Kind) {
    let body = r#"{"accounts":"canary"}"#;
    let world = judged(kind, body, "report").await;
    let app = Session::of(&world, "demo-app").await;
    let read = app.get("/v1/accounts").await;
    assert_eq!(read.succeeded(200).text(), body);
    assert!((counted(&world, "type") - 1.0).abs() < 0.5);
    let record = newest(&world, "listAccounts").await;
    assert_eq!(record["answer"]["first"], "type", "{record}");
    assert!(record["answer"]["faults"].as_u64().unwrap() >= 1 && !record.to_string().contains("canary"), "{record}");
}

async fn an_answer_that_keeps_the_contract_is_not_reported(kind: Kind) {
    let world = judged(kind, r#"{"accounts":[]}"#, "report").await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    assert!(newest(&world, "listAccounts").await.get("answer").is_none());
}

async fn an_answer_that_breaks_the_contract_is_kept_back_where_that_is_enforced(kind: Kind) {
    let world = judged(kind, r#"{"accounts":"canary"}"#, "enforce").await;
    let app = Session::of(&world, "demo-app").await;
    let refused = app.get("/v1/accounts").await;
    refused.refused(502, "backend_broken");
    assert!(!refused.text().contains("canary"), "{}", refused.text());
    assert!((counted(&world, "type") - 1.0).abs() < 0.5);
    assert_eq!(newest(&world, "listAccounts").await["answer"]["first"], "type");
    let world = judged(kind, r#"{"accounts":[]}"#, "enforce").await;
    let app = Session::of(&world, "demo-app").await;
    assert_eq!(app.get("/v1/accounts").await.succeeded(200).text(), r#"{"accounts":[]}"#);
}

async fn a_payment_whose_answer_breaks_the_contract_is_unknown(kind: Kind) {
    let body = r#"{"paymentId":7,"canary":true}"#;
    let head = format!("HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    let backend = Backend::answering(&format!("{head}\r\n{body}")).await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let world = World::with(kind, at_payments(setup, "validate: {response: enforce}")).await;
    let app = Session::of(&world, "demo-app").await;
    let unknown = app.pay(&fresh("order"), &payment("1.00")).await;
    assert_eq!(unknown.succeeded(202).at("/status"), "unknown");
    assert!(!unknown.text().contains("canary"), "{}", unknown.text());
}

async fn an_operation_whose_answers_are_not_judged_says_nothing(kind: Kind) {
    // Only an override may say less than the defaults.
    let backend = Backend::json(r#"{"accounts":"canary"}"#, "").await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let setup = setup.replacing(
        "policies/national/apis/accounts.yaml",
        LIST_ACCOUNTS,
        format!(
            "{LIST_ACCOUNTS}        validate: {{response: off}}\n        \
             override: {{reason: the bank moves, approvedBy: Aigerim, expires: 2099-12-31}}\n"
        ),
    );
    let strict = "      timeout: 4s\n      validate: {response: report}\n";
    let setup = setup.replacing("policies/national/apis/accounts.yaml", "      timeout: 4s\n", strict);
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    let record = newest(&world, "listAccounts").await;
    assert_eq!((record.get("answer"), counted(&world, "type") < 0.5), (None, true));
    assert_eq!(record["loosened"]["approvedBy"], "Aigerim", "{record}");
}

async fn an_answer_is_looked_into_up_to_a_length(kind: Kind) {
    let body = |length: usize| {
        let empty = r#"{"accounts":[],"x":""}"#;
        format!(r#"{{"accounts":[],"x":"{}"}}"#, "x".repeat(length - empty.len()))
    };
    let world = judged(kind, &body(LONGEST + 1), "report").await;
    let app = Session::of(&world, "demo-app").await;
    assert_eq!(app.get("/v1/accounts").await.succeeded(200).body.len(), LONGEST + 1);
    assert!((counted(&world, "tooLarge") - 1.0).abs() < 0.5);
    let world = judged(kind, &body(LONGEST + 1), "enforce").await;
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.refused(502, "backend_broken");
    assert!((counted(&world, "tooLarge") - 1.0).abs() < 0.5);
    let world = judged(kind, &body(LONGEST), "report").await;
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
    assert!(counted(&world, "tooLarge").abs() < 0.5);
}

async fn the_shipped_bank_keeps_its_contract(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts?limit=2").await.succeeded(200);
    let paid = app.pay(&fresh("order"), &payment("1.00")).await;
    app.get(paid.succeeded(201).header("location").unwrap()).await.succeeded(200);
    app.get("/v1/domestic-payments/019b76da-a800-7000-8000-000000000000").await.status_is(404);
    let faulty: Vec<Value> = world.audit().await.into_iter().filter(|record| record.get("answer").is_some()).collect();
    assert!(faulty.is_empty(), "{faulty:?}");
}
