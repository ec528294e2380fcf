//! What an attacker has tried and once got through with.

use gateway::layer::once::LEASE_MARGIN;
use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::{self, payment};
use scenarios::world::{Ask, Kind, Setup, World};
use serde_json::json;

use crate::races::{PAYMENT_TIMEOUT, abandoned, left};
use crate::stepup::challenged;

scenarios! {
    a_refusal_after_a_lost_payment_does_not_forget_its_reference,
    a_payment_cannot_be_approved_by_a_verification_for_something_else,
    a_backend_that_puts_us_off_has_answered_nothing_to_keep,
    a_backend_that_refuses_the_gateway_does_not_speak_to_the_client,
    a_header_section_has_at_most_sixteen_kibibytes,
}

async fn a_refusal_after_a_lost_payment_does_not_forget_its_reference(kind: Kind) {
    let world = World::start(kind).await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    let app = Session::of(&world, "demo-app").await;
    let wanted = left(&app, &key, "9.00").await;
    abandoned(&world).await;
    world.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
    // Taken over, and not let through: nobody knows yet what the first has done, so it is no refusal of the payment, and
    // whatever comes next must still be the first payment to the bank.
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key).with("x-identity-result", "nonsense");
    assert_eq!(app.send(ask.json(&wanted)).await.succeeded(202).at("/status"), "unknown");
    world.round().await.unwrap();
    app.pay(&key, &wanted).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 900);
    app.pay(&key, &payment("1.00")).await.refused(422, "idempotency_mismatch");
}

async fn a_payment_cannot_be_approved_by_a_verification_for_something_else(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let challenge = challenged(&app, &fresh("order"), &payment("300000.00")).await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": "loan", "level": "L2",
        "binding": challenge.json()["step_up"]["binding"],
    });
    let answer = app.post("/v1/identity-verifications", &fresh("verification"), &body).await;
    assert_eq!(answer.refused(400, "schema_violation").at("/errors/0/pointer"), "/purpose");
}

async fn behind(kind: Kind, backend: &Backend) -> World {
    World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await
}

async fn a_backend_that_puts_us_off_has_answered_nothing_to_keep(kind: Kind) {
    let busy = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}";
    let backend = Backend::answering(busy).await;
    let world = behind(kind, &backend).await;
    let app = Session::of(&world, "demo-app").await;
    let key = fresh("order");
    for sent in 1..=2 {
        let answer = app.pay(&key, &payment("1.00")).await;
        answer.refused(503, "backend_unavailable");
        assert_eq!((answer.header("retry-after"), answer.header("x-idempotency-replayed")), (Some("7"), None));
        assert_eq!(backend.received().len(), sent);
    }
    let references: Vec<_> =
        backend.received().iter().map(|sent| sent.header("x-qaqpa-reference").map(str::to_owned)).collect();
    assert!(references.first().is_some_and(Option::is_some));
    assert_eq!(references.first(), references.last(), "another try is another payment to the backend");
}

async fn a_backend_that_refuses_the_gateway_does_not_speak_to_the_client(kind: Kind) {
    let refusal = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let backend = Backend::answering(refusal).await;
    let world = behind(kind, &backend).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.refused(502, "backend_broken");
}

async fn a_header_section_has_at_most_sixteen_kibibytes(kind: Kind) {
    let world = World::start(kind).await;
    let ask = |bytes: usize| Ask::get("/v1/discovery/status").with("x-much", "m".repeat(bytes));
    world.send(ask(14 * 1024)).await.succeeded(200);
    let answer = world.send(ask(17 * 1024)).await;
    assert!(matches!(answer.status, 400 | 431), "{}", answer.status);
}
