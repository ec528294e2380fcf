//! What a restart keeps, what it forgets, and that nothing is paid twice over it.

use std::time::Duration;

use gateway::layer::once::LEASE_MARGIN;
use policies::proof::PROOF_AGE_MAX;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::provider::decided;
use scenarios::actors::{App, Session};
use scenarios::world::{Ask, Kind, Setup, World};
use serde_json::json;

use crate::payments::booked;

/// How long the shipped policies let a payment take.
const PAYMENT_TIME_MAX: Duration = Duration::from_secs(5);

store_scenarios! {
    an_answer_is_repeated_after_a_restart,
    a_payment_that_was_under_way_is_not_made_twice,
    a_verification_outlives_a_restart,
    a_token_outlives_a_restart,
    a_certificate_outlives_a_restart,
    limits_and_proofs_are_kept_where_there_is_redis,
}

async fn again(world: World) -> World {
    World::again(world.stop().await, Setup::default()).await.map_err(|(error, _)| error).unwrap()
}

/// What a client keeps while the gateway is away.
fn kept(session: Session<'_>) -> (App, String) {
    (session.app, session.token)
}

fn back((app, token): (App, String), world: &World) -> Session<'_> {
    Session { world, app, token }
}

async fn an_answer_is_repeated_after_a_restart(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (paid_key, lost_key) = (fresh("order"), fresh("order"));
    let paid = app.pay(&paid_key, &payment("7.00")).await;
    paid.succeeded(201);
    let lost = app.pay(&lost_key, &payment_with("5.00", "SBX:lost")).await;
    lost.succeeded(202);
    let app = kept(app);
    let world = again(world).await;
    let app = back(app, &world);
    // The books are the bank's, and they are still there as well.
    assert_eq!(bank::balance(&world, 1).await, before - 1200);
    let repeated = app.pay(&paid_key, &payment("7.00")).await;
    assert_eq!(repeated.succeeded(201).body, paid.body);
    assert_eq!(repeated.header("x-idempotency-replayed"), Some("true"));
    let repeated = app.pay(&lost_key, &payment_with("5.00", "SBX:lost")).await;
    assert_eq!(repeated.succeeded(202).body, lost.body);
    app.get(lost.header("location").unwrap()).await.succeeded(200);
    app.pay(&paid_key, &payment("8.00")).await.refused(422, "idempotency_mismatch");
    app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 1300);
}

async fn a_payment_that_was_under_way_is_not_made_twice(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, body) = (fresh("order"), payment_with("9.00", "SBX:delay=20000"));
    tokio::select! {
        answer = app.pay(&key, &body) => panic!("it is answered: {answer:?}"),
        () = booked(&world, before) => {}
    }
    let app = kept(app);
    // The bank takes its time again below, and nobody has to wait for it.
    let impatient = Setup::default().replacing("policies/national/upstreams.yaml", "response: 3s", "response: 300ms");
    let world = World::again(world.stop().await, impatient).await.map_err(|(error, _)| error).unwrap();
    let app = back(app, &world);
    app.pay(&key, &body).await.refused(409, "request_in_progress");
    app.pay(&key, &payment("1.00")).await.refused(422, "idempotency_mismatch");
    world.advance(PAYMENT_TIME_MAX + LEASE_MARGIN);
    // The bank gets it again under the reference it knows: it is late as before, but moves nothing.
    let answer = app.pay(&key, &body).await;
    assert!([201, 202].contains(&answer.status), "{}", answer.text());
    let place = format!("/v1/domestic-payments/{}", answer.at("/paymentId"));
    app.get(&place).await.succeeded(200);
    assert_eq!(bank::balance(&world, 1).await, before - 900);
}

async fn a_verification_outlives_a_restart(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, wanted) = (fresh("order"), payment("250001.00"));
    let challenge = app.pay(&key, &wanted).await;
    challenge.refused(401, "step_up_required");
    let offer = &challenge.json()["step_up"];
    let begin = |iin: &str| {
        json!({
            "subject": {"type": "iin", "value": iin}, "purpose": offer["purpose"], "level": "L2", "binding": offer["binding"],
        })
    };
    let started = app.post("/v1/identity-verifications", &fresh("verification"), &begin(bank::iin(1))).await;
    started.succeeded(201);
    decided(&world, &started).await;
    // A provider that never calls back: this one is pending over the restart.
    let pending = app.post("/v1/identity-verifications", &fresh("verification"), &begin(bank::iin(6))).await;
    pending.succeeded(201);
    let app = kept(app);
    let world = again(world).await;
    let app = back(app, &world);
    let place = |id: String| format!("/v1/identity-verifications/{id}");
    assert_eq!(app.get(&place(pending.at("/id"))).await.succeeded(200).at("/status"), "capture_pending");
    let read = app.get(&place(started.at("/id"))).await;
    assert_eq!(read.succeeded(200).at("/status"), "passed");
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key).json(&wanted);
    let ask = ask.with("x-identity-result", read.at("/result"));
    app.send(ask).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 25_000_100);
    // Spent is spent, also after the next one.
    let app = kept(app);
    let world = again(world).await;
    let app = back(app, &world);
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order")).json(&wanted);
    app.send(ask.with("x-identity-result", read.at("/result"))).await.refused(403, "verification_failed");
    assert_eq!(bank::balance(&world, 1).await, before - 25_000_100);
}

async fn a_token_outlives_a_restart(kind: Kind) {
    let world = World::start(kind).await;
    let keys = world.send(Ask::get("/oauth/jwks")).await;
    let app = kept(Session::of(&world, "demo-app").await);
    let world = again(world).await;
    back(app, &world).get("/v1/accounts").await.succeeded(200);
    assert_eq!(world.send(Ask::get("/oauth/jwks")).await.succeeded(200).json(), keys.succeeded(200).json());
}

async fn a_certificate_outlives_a_restart(kind: Kind) {
    let world = World::start(kind).await;
    let authority = std::fs::read(world.told("/ca_cert")).unwrap();
    let app = kept(Session::of(&world, "demo-mtls-app").await);
    let world = again(world).await;
    // With the certificate of before, by the authority of before.
    back(app, &world).get("/v1/accounts").await.succeeded(200);
    assert_eq!(std::fs::read(world.told("/ca_cert")).unwrap(), authority);
}

async fn limits_and_proofs_are_kept_where_there_is_redis(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "trial-app").await;
    let ask = Ask::get("/v1/accounts");
    let proof = app.proof(&ask).sign(&app.app.proof_key);
    let ask = ask.with("dpop", &proof);
    app.send(ask.clone()).await.succeeded(200);
    app.send(ask.clone()).await.refused(401, "replay_detected");
    while app.get("/v1/accounts").await.status == 200 {}
    app.get("/v1/accounts").await.refused(429, "rate_limited");
    let app = kept(app);
    let world = again(world).await;
    let app = back(app, &world);
    let after = app.get("/v1/accounts").await;
    if world.config().stores.redis.is_some() {
        after.refused(429, "rate_limited");
    } else {
        after.succeeded(200);
    }
    // A proof that was forgotten is refused by its own time.
    world.advance(PROOF_AGE_MAX + policies::token::LEEWAY + Duration::from_secs(1));
    app.send(ask).await.refused(401, "proof_invalid");
}
