//! Calls that look wrong: rules that refuse, that ask for the payer to be verified, and that only report.

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::world::{Kind, Setup, World};
use serde_json::Value;

use crate::stepup::{challenged, verified, with_result};

scenarios! {
    a_call_above_the_amount_of_a_fraud_rule_is_refused_and_moves_nothing,
    a_refused_call_leaves_its_key_to_its_body,
    a_fraud_rule_refuses_when_its_condition_holds,
    a_rule_that_cannot_be_judged_refuses,
    a_rule_that_only_reports_lets_pass_and_is_counted,
    a_rule_that_is_off_is_not_judged,
    a_fraud_rule_may_have_the_payer_verified,
    of_several_rules_the_strictest_level_is_asked_for,
}

/// A world in which payments fall under these rules.
pub async fn with_rules(kind: Kind, rules: &str, named: &str) -> World {
    let setup = Setup::default().policy("rules.yaml", format!("qaqpa: v1\n{rules}"));
    World::with(kind, at_payments(setup, named)).await
}

/// Adds keys to the policy of payments.
pub fn at_payments(setup: Setup, keys: &str) -> Setup {
    let known = "        stepUp: large-payment\n";
    setup.replacing("policies/national/apis/payments.yaml", known, format!("{known}        {keys}\n"))
}

/// The newest record of an operation that tells an outcome.
pub async fn newest(world: &World, operation: &str) -> Value {
    let told = |record: &Value| record["operation"] == operation && record["kind"] == "outcome";
    world.audit().await.into_iter().rev().find(told).unwrap()
}

fn huge(more: &str) -> String {
    format!("fraud:\n  huge: {{above: 1000 KZT, amount: /instructedAmount, {more}}}\n")
}

async fn a_call_above_the_amount_of_a_fraud_rule_is_refused_and_moves_nothing(kind: Kind) {
    let world = with_rules(kind, &huge("then: deny"), "fraud: huge").await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let refused = app.pay(&fresh("order"), &payment("1000.01")).await;
    refused.refused(403, "fraud_refused");
    // Which rule it was is not the client's to know.
    assert!(!refused.text().contains("huge") && !refused.text().contains("1000"), "{}", refused.text());
    assert_eq!(bank::balance(&world, 1).await, before);
    let record = newest(&world, "createDomesticPayment").await;
    assert_eq!((&record["rule"]["kind"], &record["rule"]["name"]), (&"fraud".into(), &"huge".into()), "{record}");
    assert!(record["rule"]["origin"].as_str().unwrap().contains("rules.yaml:3"), "{record}");
    assert_eq!(record["steps"].as_array().unwrap().last().unwrap()["decision"], "fraud_refused");
    app.pay(&fresh("order"), &payment("1000.00")).await.succeeded(201);
    assert!(newest(&world, "createDomesticPayment").await.get("rule").is_none());
}

async fn a_refused_call_leaves_its_key_to_its_body(kind: Kind) {
    let world = with_rules(kind, &huge("then: deny"), "fraud: huge").await;
    let app = Session::of(&world, "demo-app").await;
    let key = fresh("order");
    app.pay(&key, &payment("1000.01")).await.refused(403, "fraud_refused");
    app.pay(&key, &payment("1000.01")).await.refused(403, "fraud_refused");
    app.pay(&key, &payment("1.00")).await.refused(422, "idempotency_mismatch");
    app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
}

async fn a_fraud_rule_refuses_when_its_condition_holds(kind: Kind) {
    let rules = "fraud:\n  bolat: {when: \"body.creditorName == 'Bolat Sandbaev'\", then: deny}\n";
    let world = with_rules(kind, rules, "fraud: bolat").await;
    let app = Session::of(&world, "demo-app").await;
    app.pay(&fresh("order"), &payment("1.00")).await.refused(403, "fraud_refused");
    let mut other = payment("1.00");
    other["creditorName"] = "Aigerim Sandbaeva".into();
    app.pay(&fresh("order"), &other).await.succeeded(201);
}

async fn a_rule_that_cannot_be_judged_refuses(kind: Kind) {
    let rules = "fraud:\n  words: {when: \"body.remittanceInformation == 'invoice'\", then: deny}\n";
    let world = with_rules(kind, rules, "fraud: words").await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    app.pay(&fresh("order"), &payment("1.00")).await.refused(403, "policy_not_judged");
    assert_eq!(newest(&world, "createDomesticPayment").await["rule"]["name"], "words");
    app.pay(&fresh("order"), &payment_with("1.00", "invoice")).await.refused(403, "fraud_refused");
    assert_eq!(bank::balance(&world, 1).await, before);
    app.pay(&fresh("order"), &payment_with("1.00", "gift")).await.succeeded(201);
}

async fn a_rule_that_only_reports_lets_pass_and_is_counted(kind: Kind) {
    let world = with_rules(kind, &huge("then: deny, mode: report"), "fraud: huge").await;
    let app = Session::of(&world, "demo-app").await;
    app.pay(&fresh("order"), &payment("1000.00")).await.succeeded(201);
    assert!(newest(&world, "createDomesticPayment").await.get("reports").is_none());
    assert!(world.metric("qaqpa_rule_reports_total{kind=\"fraud\"}").abs() < 0.5);
    app.pay(&fresh("order"), &payment("1000.01")).await.succeeded(201);
    let record = newest(&world, "createDomesticPayment").await;
    assert_eq!(record["reports"][0]["name"], "huge", "{record}");
    assert!(record.get("rule").is_none(), "{record}");
    assert!((world.metric("qaqpa_rule_reports_total{kind=\"fraud\"}") - 1.0).abs() < 0.5);
}

async fn a_rule_that_is_off_is_not_judged(kind: Kind) {
    let world = with_rules(kind, &huge("then: deny, mode: off"), "fraud: huge").await;
    let app = Session::of(&world, "demo-app").await;
    app.pay(&fresh("order"), &payment("1000.01")).await.succeeded(201);
    assert!(newest(&world, "createDomesticPayment").await.get("reports").is_none());
    assert!(world.metric("qaqpa_rule_reports_total{kind=\"fraud\"}").abs() < 0.5);
}

async fn a_fraud_rule_may_have_the_payer_verified(kind: Kind) {
    let rules = huge("then: {stepUp: large-payment}");
    let world = with_rules(kind, &rules, "fraud: huge").await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, wanted) = (fresh("order"), payment("1000.01"));
    let challenge = challenged(&app, &key, &wanted).await;
    assert_eq!(newest(&world, "createDomesticPayment").await["rule"]["name"], "huge");
    let result = verified(&app, &challenge, bank::iin(1)).await;
    with_result(&app, &key, &wanted, &result).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 100_001);
    // Spent once, also where a fraud rule asked for it.
    with_result(&app, &fresh("order"), &wanted, &result).await.refused(403, "verification_failed");
}

async fn of_several_rules_the_strictest_level_is_asked_for(kind: Kind) {
    let rules = "stepUp:\n  any-payment: {above: 0 KZT, amount: /instructedAmount, level: L1}\n";
    let setup = Setup::default().policy("rules.yaml", format!("qaqpa: v1\n{rules}"));
    let setup = setup.replacing(
        "policies/national/apis/payments.yaml",
        "stepUp: large-payment",
        "stepUp: [any-payment, large-payment]",
    );
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let small = challenged(&app, &fresh("order"), &payment("250000.00")).await;
    assert!(small.challenge().contains(r#"acr_values="urn:qaqpa:acr:L1""#), "{}", small.challenge());
    let (key, wanted) = (fresh("order"), payment("250000.01"));
    let large = challenged(&app, &key, &wanted).await;
    assert!(large.challenge().contains(r#"acr_values="urn:qaqpa:acr:L2""#), "{}", large.challenge());
    let result = verified(&app, &large, bank::iin(1)).await;
    with_result(&app, &key, &wanted, &result).await.succeeded(201);
}
