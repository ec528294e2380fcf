//! A large payment: challenge, verification of the payer, a result that is good for this payment once.

use std::time::Duration;

use broker::{CAPTURE_TIME, RESULT_TTL};
use policies::token::LEEWAY;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::provider::{self, Callback, decided};
use scenarios::actors::{App, Key, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

use crate::tokens::issuer_key;

const SECOND: Duration = Duration::from_secs(1);
const VERIFICATIONS: &str = "/v1/identity-verifications";

scenarios! {
    a_large_payment_is_made_after_the_payer_was_verified,
    the_amount_of_the_rule_passes_and_one_tiyn_more_does_not,
    a_result_is_spent_once,
    a_result_for_another_payment_is_refused,
    a_result_of_another_client_is_refused,
    a_result_without_a_binding_is_refused,
    a_result_that_is_over_is_refused,
    a_result_that_we_did_not_sign_is_refused,
    a_payer_who_is_not_the_owner_is_refused_by_the_bank,
    a_subject_who_does_not_match_gets_no_result,
    a_provider_that_is_down_is_told,
    a_provider_that_cannot_be_reached_is_told,
    a_number_that_is_no_iin_is_refused,
    a_level_that_nobody_offers_is_refused,
    a_capture_that_nobody_comes_to_expires,
    a_verification_is_nobody_elses_business,
    a_verification_is_begun_once_per_key,
}

/// Asks for a payment that is too large, and gives the challenge.
pub async fn challenged(app: &Session<'_>, key: &str, wanted: &Value) -> Answer {
    let answer = app.pay(key, wanted).await;
    answer.refused(401, "step_up_required");
    answer
}

/// Begins the verification of a person as a challenge says.
async fn begun(app: &Session<'_>, challenge: &Answer, iin: &str) -> Answer {
    let offer = &challenge.json()["step_up"];
    let body = json!({
        "subject": {"type": "iin", "value": iin}, "purpose": offer["purpose"], "level": "L2", "binding": offer["binding"],
    });
    let started = app.post(VERIFICATIONS, &fresh("verification"), &body).await;
    started.succeeded(201);
    started
}

/// Has a person verified as a challenge says, and gives the result.
pub async fn verified(app: &Session<'_>, challenge: &Answer, iin: &str) -> String {
    let started = begun(app, challenge, iin).await;
    decided(app.world, &started).await;
    let read = app.get(&format!("{VERIFICATIONS}/{}", started.at("/id"))).await;
    assert_eq!(read.succeeded(200).at("/status"), "passed");
    read.at("/result")
}

/// Repeats a payment with a result.
pub async fn with_result(app: &Session<'_>, key: &str, wanted: &Value, result: &str) -> Answer {
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", key).with("x-identity-result", result);
    app.send(ask.json(wanted)).await
}

async fn a_large_payment_is_made_after_the_payer_was_verified(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, wanted) = (fresh("order"), payment("300000.00"));
    let challenge = challenged(&app, &key, &wanted).await;
    let header = challenge.challenge();
    assert!(header.contains(r#"error="insufficient_user_authentication""#), "{header}");
    assert!(header.contains(r#"acr_values="urn:qaqpa:acr:L2""#), "{header}");
    let offer = challenge.json()["step_up"].clone();
    assert_eq!(offer["verification"], VERIFICATIONS);
    assert_eq!(offer["binding"]["operation"], "createDomesticPayment");
    assert_eq!(bank::balance(&world, 1).await, before);
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let paid = with_result(&app, &key, &wanted, &result).await;
    paid.succeeded(201);
    let again = with_result(&app, &key, &wanted, &result).await;
    assert_eq!(again.succeeded(201).body, paid.body);
    assert_eq!(bank::balance(&world, 1).await, before - 30_000_000);
}

async fn the_amount_of_the_rule_passes_and_one_tiyn_more_does_not(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    app.pay(&fresh("order"), &payment("250000.01")).await.refused(401, "step_up_required");
    app.pay(&fresh("order"), &payment("250000.00")).await.succeeded(201);
}

async fn a_result_is_spent_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, wanted) = (fresh("order"), payment("250001.00"));
    let challenge = challenged(&app, &key, &wanted).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    with_result(&app, &key, &wanted, &result).await.succeeded(201);
    let second = with_result(&app, &fresh("order"), &wanted, &result).await;
    second.refused(403, "verification_failed");
    assert_eq!(bank::balance(&world, 1).await, before - 25_000_100);
}

async fn a_result_for_another_payment_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    let challenge = challenged(&app, &key, &payment("250001.00")).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let other = payment("300000.00");
    with_result(&app, &fresh("order"), &other, &result).await.refused(403, "verification_failed");
    with_result(&app, &key, &other, &result).await.refused(422, "idempotency_mismatch");
    let mut elsewhere = payment("250001.00");
    elsewhere["creditorAccount"] = json!({"iban": bank::iban(3)});
    with_result(&app, &fresh("order"), &elsewhere, &result).await.refused(403, "verification_failed");
    assert_eq!(bank::balance(&world, 1).await, before);
    // A refusal spends nothing: for its own payment the result is still good.
    with_result(&app, &key, &payment("250001.00"), &result).await.succeeded(201);
}

async fn a_result_of_another_client_is_refused(kind: Kind) {
    let other = App::newcomer("other-app");
    let policy = other.policy("demo-fintech", &["payments:write", "identity:verify"], "");
    let world = World::with(kind, Setup::default().policy("other.yaml", policy)).await;
    let (app, other) = (Session::of(&world, "demo-app").await, other.session(&world, None).await);
    let wanted = payment("250001.00");
    let challenge = challenged(&app, &fresh("order"), &wanted).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    with_result(&other, &fresh("order"), &wanted, &result).await.refused(403, "verification_failed");
    // Not even if the other client had it made for the first one's payment.
    let theirs = verified(&other, &challenge, bank::iin(1)).await;
    with_result(&other, &fresh("order"), &wanted, &theirs).await.refused(403, "verification_failed");
}

async fn a_result_without_a_binding_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let started = app.post(VERIFICATIONS, &fresh("verification"), &body).await;
    started.succeeded(201);
    decided(&world, &started).await;
    let result = app.get(&format!("{VERIFICATIONS}/{}", started.at("/id"))).await.at("/result");
    with_result(&app, &fresh("order"), &payment("250001.00"), &result).await.refused(403, "verification_failed");
    let half = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2", "binding": {"kind": "payment"},
    });
    app.post(VERIFICATIONS, &fresh("verification"), &half).await.refused(400, "schema_violation");
}

async fn a_result_that_is_over_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let (key, wanted) = (fresh("order"), payment("250001.00"));
    let app = Session::of(&world, "demo-app").await;
    let challenge = challenged(&app, &key, &wanted).await;
    let started = begun(&app, &challenge, bank::iin(1)).await;
    decided(&world, &started).await;
    let place = format!("{VERIFICATIONS}/{}", started.at("/id"));
    let result = app.get(&place).await.at("/result");
    // Its times are whole seconds: the second it was issued in counts to it.
    world.advance(RESULT_TTL + LEEWAY - SECOND);
    let app = Session::of(&world, "demo-app").await;
    world.advance(SECOND);
    with_result(&app, &key, &wanted, &result).await.refused(403, "verification_failed");
    let read = app.get(&place).await;
    assert_eq!(read.succeeded(200).json().get("result"), None, "an old verification gives no new result");
}

async fn a_result_that_we_did_not_sign_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, wanted) = (fresh("order"), payment("250001.00"));
    let challenge = challenged(&app, &key, &wanted).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let (ours, thief) = (issuer_key(&world), Key::es256());
    let forged = crate::tokens::reread(&result).sign(&thief);
    with_result(&app, &key, &wanted, &forged).await.refused(403, "verification_failed");
    // Neither is anything else that we sign a result.
    let mistaken = crate::tokens::reread(&result).set_header("typ", "at+jwt").sign(&ours);
    with_result(&app, &key, &wanted, &mistaken).await.refused(403, "verification_failed");
    with_result(&app, &key, &wanted, &app.token).await.refused(403, "verification_failed");
    for junk in ["x", "a.b", "a.b.c", "..", "e30.e30.e30"] {
        let refused = with_result(&app, &key, &wanted, junk).await;
        assert!(refused.status == 403 || refused.status == 400, "{junk}: {}", refused.text());
    }
}

async fn a_payer_who_is_not_the_owner_is_refused_by_the_bank(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, wanted) = (fresh("order"), payment("250001.00"));
    let challenge = challenged(&app, &key, &wanted).await;
    let result = verified(&app, &challenge, bank::iin(2)).await;
    let refused = with_result(&app, &key, &wanted, &result).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.at("/type"), "urn:qaqpa:problem:payer_mismatch");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn a_subject_who_does_not_match_gets_no_result(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let challenge = challenged(&app, &fresh("order"), &payment("250001.00")).await;
    // no_match, spoof, could_not_tell
    for (person, state) in [(3, "failed"), (4, "failed"), (5, "inconclusive")] {
        let started = begun(&app, &challenge, bank::iin(person)).await;
        decided(&world, &started).await;
        let read = app.get(&format!("{VERIFICATIONS}/{}", started.at("/id"))).await;
        assert_eq!(read.succeeded(200).at("/status"), state);
        assert_eq!(read.json().get("result"), None);
        assert_eq!(read.json().get("acr"), None);
    }
}

async fn a_provider_that_is_down_is_told(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let challenge = challenged(&app, &fresh("order"), &payment("250001.00")).await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(9)}, "purpose": "payment_stepup", "level": "L2",
        "binding": challenge.json()["step_up"]["binding"],
    });
    let key = fresh("verification");
    app.post(VERIFICATIONS, &key, &body).await.refused(503, "provider_unavailable");
    // Nobody was announced: the same request may be tried again at once, another person is another request.
    app.post(VERIFICATIONS, &key, &body).await.refused(503, "provider_unavailable");
    let mut other = body.clone();
    other["subject"]["value"] = json!(bank::iin(1));
    app.post(VERIFICATIONS, &key, &other).await.refused(422, "idempotency_mismatch");
    app.post(VERIFICATIONS, &fresh("verification"), &other).await.succeeded(201);
}

async fn a_provider_that_cannot_be_reached_is_told(kind: Kind) {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::with(kind, Setup { provider: Some(nobody), ..Setup::default() }).await;
    let app = Session::of(&world, "demo-app").await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    app.post(VERIFICATIONS, &fresh("verification"), &body).await.refused(503, "provider_unavailable");
}

async fn a_number_that_is_no_iin_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let body = json!({
        "subject": {"type": "iin", "value": "810202200108"}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let refused = app.post(VERIFICATIONS, &fresh("verification"), &body).await;
    refused.refused(422, "identifier_invalid");
    assert_eq!(refused.at("/errors/0/pointer"), "/subject/value");
    assert!(!refused.text().contains("810202200108"), "{}", refused.text());
}

async fn a_level_that_nobody_offers_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L3", "binding": {"kind": "none"},
    });
    app.post(VERIFICATIONS, &fresh("verification"), &body).await.refused(503, "provider_unavailable");
}

async fn a_capture_that_nobody_comes_to_expires(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let challenge = challenged(&app, &fresh("order"), &payment("250001.00")).await;
    // `late`: the provider never calls.
    let started = begun(&app, &challenge, bank::iin(6)).await;
    let place = format!("{VERIFICATIONS}/{}", started.at("/id"));
    world.advance(CAPTURE_TIME - Duration::from_millis(1));
    let app = Session::of(&world, "demo-app").await;
    assert_eq!(app.get(&place).await.succeeded(200).at("/status"), "capture_pending");
    world.advance(Duration::from_millis(1));
    assert_eq!(app.get(&place).await.succeeded(200).at("/status"), "expired");
    // The provider's word comes too late then.
    let late = Callback::of(&world, &provider::session(&started), &started.at("/id"), "match");
    world.send(late.sign(&world)).await.succeeded(204);
    assert_eq!(app.get(&place).await.succeeded(200).at("/status"), "expired");
}

async fn a_verification_is_nobody_elses_business(kind: Kind) {
    let world = World::start(kind).await;
    let (app, bank_app) = (Session::of(&world, "demo-app").await, Session::of(&world, "demo-bank-app").await);
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let started = bank_app.post(VERIFICATIONS, &fresh("verification"), &body).await;
    let place = format!("{VERIFICATIONS}/{}", started.succeeded(201).at("/id"));
    decided(&world, &started).await;
    bank_app.get(&place).await.succeeded(200);
    app.get(&place).await.refused(404, "not_found");
    app.get(&format!("{VERIFICATIONS}/018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31")).await.refused(404, "not_found");
}

async fn a_verification_is_begun_once_per_key(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-bank-app").await;
    let body = |iin: &str| json!({"subject": {"type": "iin", "value": iin}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"}});
    let key = fresh("verification");
    let first = app.post(VERIFICATIONS, &key, &body(bank::iin(1))).await;
    let again = app.post(VERIFICATIONS, &key, &body(bank::iin(1))).await;
    assert_eq!(again.succeeded(201).body, first.succeeded(201).body);
    app.post(VERIFICATIONS, &key, &body(bank::iin(2))).await.refused(422, "idempotency_mismatch");
}
