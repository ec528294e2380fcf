//! What policies allow: conditions that have to hold, before the body is read or with it.

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{payment, payment_with};
use scenarios::actors::log::Log;
use scenarios::world::{Ask, Kind, Setup, World};

use crate::fraud::{at_payments, newest};

scenarios! {
    a_call_that_a_condition_does_not_allow_is_refused,
    a_condition_without_the_body_is_judged_before_the_body_is_read,
    a_condition_that_cannot_be_judged_denies_and_is_told_to_administrators_alone,
    every_condition_has_to_hold,
}

async fn allowing(kind: Kind, condition: &str) -> World {
    World::with(kind, at_payments(Setup::default(), &format!("allow: {condition}"))).await
}

async fn a_call_that_a_condition_does_not_allow_is_refused(kind: Kind) {
    let world = allowing(kind, "\"body.knp == '119'\"").await;
    let app = Session::of(&world, "demo-app").await;
    let refused = app.pay(&fresh("order"), &payment("1.00")).await;
    refused.refused(403, "policy_denied");
    assert!(!refused.text().contains("knp") && !refused.text().contains("119"), "{}", refused.text());
    let record = newest(&world, "createDomesticPayment").await;
    assert_eq!(record["rule"]["kind"], "allow", "{record}");
    assert!(record["rule"]["origin"].as_str().unwrap().contains("payments.yaml:"), "{record}");
    let mut other = payment("1.00");
    other["knp"] = "119".into();
    app.pay(&fresh("order"), &other).await.succeeded(201);
}

async fn a_condition_without_the_body_is_judged_before_the_body_is_read(kind: Kind) {
    let world = allowing(kind, "\"client.id == 'nobody'\"").await;
    let app = Session::of(&world, "demo-app").await;
    let broken = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order"));
    let refused = app.send(broken.with("content-type", "application/json").body("{")).await;
    refused.refused(403, "policy_denied");
    let record = newest(&world, "createDomesticPayment").await;
    let last = record["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["stage"], &last["decision"]), (&"permit".into(), &"policy_denied".into()), "{record}");
}

async fn a_condition_that_cannot_be_judged_denies_and_is_told_to_administrators_alone(kind: Kind) {
    let log = Log::default();
    // In memory this thread is the whole gateway, so that its log is the whole log.
    let listening = log.listen("warn");
    let world = allowing(kind, "\"body.remittanceInformation != 'canary'\"").await;
    let app = Session::of(&world, "demo-app").await;
    let refused = app.pay(&fresh("order"), &payment("1.00")).await;
    refused.refused(403, "policy_not_judged");
    assert!(!refused.text().contains("remittance"), "{}", refused.text());
    app.pay(&fresh("order"), &payment_with("1.00", "canary")).await.refused(403, "policy_denied");
    app.pay(&fresh("order"), &payment_with("1.00", "rent")).await.succeeded(201);
    drop(listening);
    if kind == Kind::Memory {
        let text = log.text();
        assert!(text.contains("could not be judged") && text.contains("payments.yaml:"), "{text}");
        assert!(!text.contains("rent"), "{text}");
    }
}

async fn every_condition_has_to_hold(kind: Kind) {
    let world = allowing(kind, "[\"client.id == 'demo-app'\", \"body.knp == '119'\"]").await;
    let app = Session::of(&world, "demo-app").await;
    app.pay(&fresh("order"), &payment("1.00")).await.refused(403, "policy_denied");
    let other = Session::of(&world, "demo-mtls-app").await;
    let mut right = payment("1.00");
    right["knp"] = "119".into();
    assert_eq!(other.pay(&fresh("order"), &right).await.status, 403);
    app.pay(&fresh("order"), &right).await.succeeded(201);
}
