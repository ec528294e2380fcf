//! Whole requests, while the Redis behind the gateway is not well.

use std::sync::Arc;
use std::time::Instant;

use adapters::store::redis::BreakerState;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::{Session, Wire};
use scenarios::world::{Answer, Ask, Kind, PATIENCE, Setup, Twin, World, real};

use super::server::{Server, until};

const ACCOUNTS: &str = "/v1/accounts";

/// How many show one proof at once.
const CROWD: usize = 50;

/// A world whose calls of Redis may take a second: a slow answer is surely beyond that, and a quick one within.
async fn behind(wire: &Wire) -> World {
    let setup = Setup { redis: Some(wire.address()), redis_hard: Some("1s"), ..Setup::default() };
    World::with(Kind::Real, setup).await
}

fn breaker(world: &World) -> BreakerState {
    world.assembled().house.remembrance.readings().unwrap().breaker
}

/// Checks that the answer is a refusal that may be tried again, and came in seconds.
fn refused_for_now(answer: &Answer, begun: Instant) {
    answer.refused(503, "dependency_down");
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&after), "{after}");
    assert!(begun.elapsed() < PATIENCE / 3, "{:?}", begun.elapsed());
}

/// Breaks the wire by `breaking` and checks that no proof passes, all else does, and everything is well after `mend`.
async fn no_proof_passes_while(breaking: impl Fn(&Wire)) {
    let wire = Wire::before(real::redis());
    let world = behind(&wire).await;
    let app = Session::of(&world, "demo-app").await;
    let reader = Session::of(&world, "demo-mtls-app").await;
    let shown = app.dress(Ask::get(ACCOUNTS));
    world.send(shown.clone()).await.succeeded(200);
    let before = bank::balance(&world, 1).await;

    breaking(&wire);
    let kept = app.dress(Ask::get(ACCOUNTS));
    for number in 0..10 {
        let ask = match number {
            0 => kept.clone(),
            1 => shown.clone(),
            _ => app.dress(Ask::get(ACCOUNTS)),
        };
        let begun = Instant::now();
        refused_for_now(&world.send(ask).await, begun);
        // Who is known by a certificate shows no proof.
        reader.get(ACCOUNTS).await.succeeded(200);
    }
    let begun = Instant::now();
    refused_for_now(&app.pay(&fresh("order"), &payment("1.00")).await, begun);
    assert_eq!(bank::balance(&world, 1).await, before);
    world.send(app.app.token_ask(&world, None)).await.oauth_refused(503, "temporarily_unavailable");
    assert_ne!(breaker(&world), BreakerState::Closed);

    wire.mend();
    until("proofs are accepted again", async || app.get(ACCOUNTS).await.status == 200).await;
    world.send(shown).await.refused(401, "replay_detected");
    app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
}

#[tokio::test]
async fn without_redis_no_proof_passes_and_what_needs_none_goes_on() {
    no_proof_passes_while(Wire::cut).await;
}

#[tokio::test]
async fn before_a_slow_redis_nobody_waits_long_and_no_proof_passes() {
    no_proof_passes_while(|wire| wire.delay(std::time::Duration::from_secs(3))).await;
}

#[tokio::test]
async fn before_a_silent_redis_nobody_waits_long_and_no_proof_passes() {
    no_proof_passes_while(Wire::half_open).await;
}

#[tokio::test]
async fn a_gateway_starts_without_redis_and_accepts_proofs_once_it_is_there() {
    let mut server = Server::planned(&[]);
    let setup = Setup { redis: Some(server.address), redis_hard: Some("1s"), ..Setup::default() };
    let world = World::with(Kind::Real, setup).await;
    let reader = Session::of(&world, "demo-mtls-app").await;
    reader.get(ACCOUNTS).await.succeeded(200);
    let app = scenarios::actors::App::of(&world, "demo-app");
    world.send(app.token_ask(&world, None)).await.oauth_refused(503, "temporarily_unavailable");
    server.again();
    until("tokens are given", async || world.send(app.token_ask(&world, None)).await.status == 200).await;
}

#[tokio::test]
async fn a_redis_that_is_replica_or_full_lets_no_proof_pass() {
    let server = Server::start(&[]);
    let setup = Setup { redis: Some(server.address), ..Setup::default() };
    let world = World::with(Kind::Real, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let refusing =
        [("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"), ("CONFIG SET maxmemory 1mb", "CONFIG SET maxmemory 0")];
    for (broken, mended) in refusing {
        until("proofs are accepted", async || app.get(ACCOUNTS).await.status == 200).await;
        server.tell(broken);
        let begun = Instant::now();
        refused_for_now(&app.get(ACCOUNTS).await, begun);
        server.tell(mended);
    }
    until("proofs are accepted", async || app.get(ACCOUNTS).await.status == 200).await;
}

#[tokio::test]
async fn of_fifty_that_show_one_proof_to_two_gateways_one_passes() {
    let world = Arc::new(World::with(Kind::Real, Setup::default()).await);
    let twin = Arc::new(Twin::beside(&world));
    let app = Session::of(&world, "demo-app").await;
    for _ in 0..3 {
        let ask = app.dress(Ask::get(ACCOUNTS));
        let crowd = tokio::task::LocalSet::new();
        let answers = (0..CROWD).map(|number| {
            let (world, twin, ask) = (Arc::clone(&world), Arc::clone(&twin), ask.clone());
            crowd.spawn_local(async move {
                if number % 2 == 0 {
                    return world.send(ask).await.status;
                }
                twin.send(&world, &ask).await.status
            })
        });
        let answers: Vec<_> = answers.collect();
        crowd.await;
        let mut statuses = Vec::new();
        for answer in answers {
            statuses.push(answer.await.unwrap());
        }
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!((count(200), count(401)), (1, CROWD - 1), "{statuses:?}");
    }
    // What one of them has accepted, the other refuses ever after.
    let ask = app.dress(Ask::get(ACCOUNTS));
    assert_eq!(twin.send(&world, &ask).await.status, 200);
    world.send(ask).await.refused(401, "replay_detected");
}
