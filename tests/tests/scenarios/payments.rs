//! The main job: a fintech reads accounts and pays; a repeated request moves nothing.

use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::{App, Session};
use scenarios::world::{Kind, World};

scenarios! {
    a_client_reads_the_accounts_it_was_given,
    a_small_payment_is_made_and_its_repetition_moves_nothing,
}

async fn a_client_reads_the_accounts_it_was_given(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let answer = app.get("/v1/accounts?limit=2").await;
    answer.succeeded(200);
    assert_eq!(answer.at("/accounts/0/iban"), bank::iban(1));
    let reader = App::of(&world, "demo-mtls-app").session(&world, None).await;
    reader.get(&format!("/v1/accounts/{}/balances", bank::account(1))).await.succeeded(200);
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
    assert_eq!(bank::balance(&world, 1).await, before - 150_000);
}
