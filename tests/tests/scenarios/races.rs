//! What may happen once, asked for many times at once; and clients who go away in the middle.

use std::time::Duration;

use gateway::layer::once::LEASE_MARGIN;
use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::world::{Answer, Ask, Kind, World};

use crate::payments::booked;
use crate::stepup::{challenged, verified, with_result};

/// How many come at once.
const CROWD: usize = 8;

/// The timeout of a payment in the shipped policies.
pub const PAYMENT_TIMEOUT: Duration = Duration::from_secs(5);

store_scenarios! {
    one_payment_asked_for_at_once_moves_money_once,
    two_bodies_under_one_key_at_once_pay_one_of_them,
    one_proof_shown_at_once_is_accepted_once,
    one_result_for_two_payments_at_once_pays_one,
    a_client_that_goes_away_has_paid_once_when_it_comes_back,
    a_claim_that_was_left_is_not_taken_over_by_another_body,
}

/// Runs requests side by side.
pub async fn together<'a>(
    requests: impl IntoIterator<Item = std::pin::Pin<Box<dyn Future<Output = Answer> + 'a>>>,
) -> Vec<Answer> {
    let mut waiting: Vec<_> = requests.into_iter().map(|request| (request, None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (request, answer) in &mut waiting {
            if answer.is_none() {
                match request.as_mut().poll(cx) {
                    std::task::Poll::Ready(ready) => *answer = Some(ready),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, answer)| answer).collect()
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

async fn one_payment_asked_for_at_once_moves_money_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, wanted) = (fresh("order"), payment("3.00"));
    let answers = together((0..CROWD).map(|_| Box::pin(app.pay(&key, &wanted)) as _)).await;
    // Whoever comes later gets the answer or is asked to wait.
    assert!(count(&answers, 201) >= 1);
    assert_eq!(count(&answers, 201) + count(&answers, 409), CROWD, "{answers:?}");
    assert_eq!(bank::balance(&world, 1).await, before - 300);
}

async fn two_bodies_under_one_key_at_once_pay_one_of_them(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, one, two) = (fresh("order"), payment("3.00"), payment("5.00"));
    let answers = together((0..CROWD).map(|number| {
        let body = if number % 2 == 0 { &one } else { &two };
        Box::pin(app.pay(&key, body)) as _
    }))
    .await;
    assert_eq!(count(&answers, 422), CROWD / 2, "{answers:?}");
    let paid = before - bank::balance(&world, 1).await;
    assert!(paid == 300 || paid == 500, "{paid}");
}

async fn one_proof_shown_at_once_is_accepted_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let ask = Ask::get("/v1/accounts");
    let proof = app.proof(&ask).sign(&app.app.proof_key);
    let answers = together((0..CROWD).map(|_| Box::pin(app.send(ask.clone().with("dpop", &proof))) as _)).await;
    assert_eq!(count(&answers, 200), 1, "{answers:?}");
    assert_eq!(count(&answers, 401), CROWD - 1);
}

async fn one_result_for_two_payments_at_once_pays_one(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let wanted = payment("250001.00");
    let challenge = challenged(&app, &fresh("order"), &wanted).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let before = bank::balance(&world, 1).await;
    let keys: Vec<String> = (0..CROWD).map(|_| fresh("order")).collect();
    let answers = together(keys.iter().map(|key| Box::pin(with_result(&app, key, &wanted, &result)) as _)).await;
    assert_eq!(count(&answers, 201), 1, "{answers:?}");
    assert_eq!(count(&answers, 403), CROWD - 1);
    assert_eq!(bank::balance(&world, 1).await, before - 25_000_100);
}

/// Asks for a payment and goes away once the bank has booked it.
pub async fn left(app: &Session<'_>, key: &str, amount: &str) -> serde_json::Value {
    let before = bank::balance(app.world, 1).await;
    let slow = payment_with(amount, "SBX:delay=20000");
    tokio::select! {
        answer = app.pay(key, &slow) => panic!("too quick: {answer:?}"),
        () = booked(app.world, before) => {}
    }
    slow
}

/// Waits until the gateway has noticed that a client went away.
pub async fn abandoned(world: &World) {
    let noticed = async { while !world.audit().await.iter().any(|record| record["ending"] == "abandoned") {} };
    tokio::time::timeout(scenarios::world::PATIENCE, noticed).await.unwrap();
}

async fn a_client_that_goes_away_has_paid_once_when_it_comes_back(kind: Kind) {
    let world = World::start(kind).await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    let app = Session::of(&world, "demo-app").await;
    let wanted = left(&app, &key, "9.00").await;
    abandoned(&world).await;
    let lease = PAYMENT_TIMEOUT + LEASE_MARGIN;
    world.advance(lease - Duration::from_millis(1));
    let waiting = app.pay(&key, &wanted).await;
    assert_eq!(waiting.refused(409, "request_in_progress").header("retry-after"), Some("1"));
    world.advance(Duration::from_millis(1));
    // The bank is asked under the same reference, and did it before.
    let paid = app.pay(&key, &wanted).await;
    assert_eq!(paid.succeeded(201).at("/status"), "ACSC");
    assert_eq!(bank::balance(&world, 1).await, before - 900);
}

async fn a_claim_that_was_left_is_not_taken_over_by_another_body(kind: Kind) {
    let world = World::start(kind).await;
    let key = fresh("order");
    let app = Session::of(&world, "demo-app").await;
    left(&app, &key, "9.00").await;
    abandoned(&world).await;
    let before = bank::balance(&world, 1).await;
    world.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
    app.pay(&key, &payment("1.00")).await.refused(422, "idempotency_mismatch");
    assert_eq!(bank::balance(&world, 1).await, before);
}
