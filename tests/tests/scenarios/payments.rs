//! The main job: a fintech reads accounts and pays, and money moves once.

use std::time::Duration;

use gateway::layer::once::KEEP;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{App, Session};
use scenarios::world::{Ask, Kind, PATIENCE, Setup, World};
use serde_json::json;

const MILLISECOND: Duration = Duration::from_millis(1);

store_scenarios! {
    a_client_reads_the_accounts_it_was_given,
    a_small_payment_is_made_and_its_repetition_moves_nothing,
    a_payment_can_be_read_by_who_asked_for_it,
    two_spellings_of_one_body_are_one_request,
    a_key_with_another_body_is_refused,
    a_key_whose_request_is_under_way_is_refused,
    a_key_of_another_client_is_another_key,
    a_key_is_forgotten_when_its_time_is_over,
    a_payment_without_a_key_is_refused,
    a_key_may_have_forty_characters_and_not_one_more,
    a_lost_answer_is_told_as_unknown_and_never_pays_twice,
    a_failing_bank_leaves_the_outcome_unknown,
    a_late_bank_leaves_the_outcome_unknown,
    a_request_whose_own_time_is_over_leaves_the_outcome_unknown,
    a_refusal_of_the_bank_reaches_the_client,
    a_bank_that_cannot_be_reached_leaves_the_key_to_its_body,
}

async fn a_client_reads_the_accounts_it_was_given(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let answer = app.get("/v1/accounts?limit=2").await;
    answer.succeeded(200);
    assert_eq!(answer.at("/accounts/0/iban"), bank::iban(1));
    let reader = App::of(&world, "demo-mtls-app").session(&world, None).await;
    reader.get(&format!("/v1/accounts/{}/balances", bank::account(1))).await.succeeded(200);
    reader.get(&format!("/v1/accounts/{}/transactions?limit=3", bank::account(1))).await.succeeded(200);
}

async fn a_small_payment_is_made_and_its_repetition_moves_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    let first = app.pay(&key, &payment("1500.00")).await;
    first.succeeded(201);
    let again = app.pay(&key, &payment("1500.00")).await;
    again.succeeded(201);
    assert_eq!(again.body, first.body);
    assert_eq!(first.header("x-idempotency-replayed"), None);
    assert_eq!(again.header("x-idempotency-replayed"), Some("true"));
    assert_ne!(again.named(), first.named(), "an interaction is not repeated, only its answer");
    assert_eq!(bank::balance(&world, 1).await, before - 150_000);
}

async fn a_payment_can_be_read_by_who_asked_for_it(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let paid = app.pay(&fresh("order"), &payment("10.00")).await;
    let place = paid.header("location").unwrap();
    let read = app.get(place).await;
    read.succeeded(200);
    assert_eq!(read.at("/paymentId"), paid.at("/paymentId"));
    assert_eq!(read.at("/status"), "ACSC");
}

async fn two_spellings_of_one_body_are_one_request(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = fresh("order");
    let first = app.pay(&key, &payment("1.00")).await;
    let other = serde_json::to_vec_pretty(&payment("1.00")).unwrap();
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key);
    let again = app.send(ask.with("content-type", "application/json; charset=utf-8").body(other)).await;
    again.succeeded(201);
    assert_eq!(again.body, first.body);
}

async fn a_key_with_another_body_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = fresh("order");
    app.pay(&key, &payment("1.00")).await.succeeded(201);
    let before = bank::balance(&world, 1).await;
    app.pay(&key, &payment("2.00")).await.refused(422, "idempotency_mismatch");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn a_key_whose_request_is_under_way_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    let slow = payment_with("1.00", "SBX:delay=1000");
    let meanwhile = async {
        booked(&world, before).await;
        let second = app.pay(&key, &slow).await;
        let wait = second.refused(409, "request_in_progress").header("retry-after").unwrap();
        assert!(wait.parse::<u64>().unwrap() > 0);
        // A mismatch is told before anything about the first request's fate.
        app.pay(&key, &payment("2.00")).await.refused(422, "idempotency_mismatch");
    };
    let (first, ()) = tokio::join!(app.pay(&key, &slow), meanwhile);
    first.succeeded(201);
    app.pay(&key, &slow).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 100);
}

/// Waits until money has left customer 1's account.
pub async fn booked(world: &World, before: i64) {
    let moved = async { while bank::balance(world, 1).await == before {} };
    tokio::time::timeout(PATIENCE, moved).await.unwrap();
}

async fn a_key_of_another_client_is_another_key(kind: Kind) {
    let other = App::newcomer("other-app");
    let policy = other.policy("demo-fintech", &["payments:write", "payments:read"], "");
    let world = World::with(kind, Setup::default().policy("other.yaml", policy)).await;
    let (app, other) = (Session::of(&world, "demo-app").await, other.session(&world, None).await);
    let key = fresh("order");
    let before = bank::balance(&world, 1).await;
    let first = app.pay(&key, &payment("1.00")).await;
    let second = other.pay(&key, &payment("1.00")).await;
    assert_ne!(first.succeeded(201).at("/paymentId"), second.succeeded(201).at("/paymentId"));
    other.pay(&key, &payment("3.00")).await.refused(422, "idempotency_mismatch");
    assert_eq!(bank::balance(&world, 1).await, before - 200);
}

async fn a_key_is_forgotten_when_its_time_is_over(kind: Kind) {
    let world = World::start(kind).await;
    let key = fresh("order");
    let first = Session::of(&world, "demo-app").await.pay(&key, &payment("1.00")).await;
    world.advance(KEEP - MILLISECOND);
    let still = Session::of(&world, "demo-app").await.pay(&key, &payment("1.00")).await;
    assert_eq!(still.succeeded(201).at("/paymentId"), first.at("/paymentId"));
    world.advance(MILLISECOND);
    let anew = Session::of(&world, "demo-app").await.pay(&key, &payment("1.00")).await;
    assert_ne!(anew.succeeded(201).at("/paymentId"), first.at("/paymentId"));
}

async fn a_payment_without_a_key_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let ask = Ask::post("/v1/domestic-payments").json(&payment("1.00"));
    app.send(ask).await.refused(400, "idempotency_key_missing");
}

async fn a_key_may_have_forty_characters_and_not_one_more(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    app.pay(&"k".repeat(40), &payment("1.00")).await.succeeded(201);
    let refused = app.pay(&"k".repeat(41), &payment("1.00")).await;
    refused.refused(400, "schema_violation");
    assert_eq!(refused.at("/errors/0/pointer"), "header:x-idempotency-key");
    for key in ["", "a b", "a/b", "a|b", "ключ"] {
        let refused = app.pay(key, &payment("1.00")).await;
        assert_eq!(refused.status, 400, "{key}: {}", refused.text());
    }
}

async fn a_lost_answer_is_told_as_unknown_and_never_pays_twice(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    let body = payment_with("7.00", "SBX:lost");
    let lost = app.pay(&key, &body).await;
    lost.succeeded(202);
    assert_eq!(lost.at("/status"), "unknown");
    let place = lost.header("location").unwrap();
    assert_eq!(place, format!("/v1/domestic-payments/{}", lost.at("/paymentId")));
    let again = app.pay(&key, &body).await;
    assert_eq!(again.succeeded(202).body, lost.body);
    let truth = app.get(place).await;
    assert_eq!(truth.succeeded(200).at("/status"), "ACSC");
    assert_eq!(bank::balance(&world, 1).await, before - 700);
}

async fn a_failing_bank_leaves_the_outcome_unknown(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let answer = app.pay(&fresh("order"), &payment_with("7.00", "SBX:status=500")).await;
    answer.succeeded(202);
    // It did nothing, and may yet: until it is sure, nobody says that there is no such payment.
    let read = app.get(answer.header("location").unwrap()).await;
    assert_eq!(read.succeeded(200).at("/status"), "unknown");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn a_late_bank_leaves_the_outcome_unknown(kind: Kind) {
    let shortened = Setup::default().replacing("policies/national/upstreams.yaml", "response: 3s", "response: 300ms");
    let world = World::with(kind, shortened).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let answer = app.pay(&fresh("order"), &payment_with("7.00", "SBX:delay=5000")).await;
    answer.succeeded(202);
    let truth = app.get(answer.header("location").unwrap()).await;
    assert_eq!(truth.succeeded(200).at("/status"), "ACSC");
    assert_eq!(bank::balance(&world, 1).await, before - 700);
}

async fn a_request_whose_own_time_is_over_leaves_the_outcome_unknown(kind: Kind) {
    // Shorter than what the bank may take: the time of the operation ends first.
    let shortened =
        Setup::default().replacing("policies/national/apis/payments.yaml", "timeout: 5s", "timeout: 1500ms");
    let world = World::with(kind, shortened).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, body) = (fresh("order"), payment_with("7.00", "SBX:delay=2500"));
    let answer = app.pay(&key, &body).await;
    assert_eq!(answer.succeeded(202).at("/status"), "unknown");
    world.round().await.unwrap();
    assert_eq!(app.pay(&key, &body).await.succeeded(201).at("/paymentId"), answer.at("/paymentId"));
    assert_eq!(bank::balance(&world, 1).await, before - 700);
}

async fn a_refusal_of_the_bank_reaches_the_client(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let mut poor = payment("250000.00");
    poor["debtorAccount"] = json!({"iban": bank::iban(1)});
    app.pay(&fresh("order"), &poor).await.succeeded(201);
    let refused = app.pay(&fresh("order"), &poor).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.at("/type"), "urn:qaqpa:problem:insufficient_funds");
    refused.named();
}

async fn a_bank_that_cannot_be_reached_leaves_the_key_to_its_body(kind: Kind) {
    // Bound and closed again: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::with(kind, Setup { backend: Some(nobody), ..Setup::default() }).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.refused(503, "backend_unavailable");
    let key = fresh("order");
    app.pay(&key, &payment("1.00")).await.refused(503, "backend_unavailable");
    // Nothing is under way: the same request may be tried again at once. Another one needs a key of its own.
    app.pay(&key, &payment("1.00")).await.refused(503, "backend_unavailable");
    app.pay(&key, &payment("2.00")).await.refused(422, "idempotency_mismatch");
}
