//! Whole requests, while the Redis behind the gateway is not well.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adapters::clock::Clock;
use adapters::store::redis::BreakerState;
use gateway::assemble::{Assembled, assemble};
use gateway::config::{Config, ListenerConfig};
use http_body_util::BodyExt as _;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::{Session, Wire};
use scenarios::world::{Answer, Ask, Folder, Kind, PATIENCE, Setup, World, real};
use tower::Service as _;

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

/// Puts a second gateway of the same deployment beside a world's: the same keys, stores and names, its own folder.
fn beside(world: &World, folder: &Folder) -> Assembled {
    copy(&world.file("keys"), &folder.path().join("keys"));
    let anywhere = |listener: &ListenerConfig, door| ListenerConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        external: Some(world.external(door).to_owned()),
        ..listener.clone()
    };
    let config = world.config();
    let config = Config {
        state: folder.path().to_owned(),
        issuer: Some(world.issuer().to_owned()),
        api: anywhere(&config.api, spine::stage::Door::Api),
        mtls_api: config.mtls_api.as_ref().map(|listener| anywhere(listener, spine::stage::Door::MtlsApi)),
        admin: ListenerConfig { address: "127.0.0.1:0".parse().unwrap(), ..config.admin.clone() },
        ..config.clone()
    };
    assemble(&config, Clock::manual(world.now()), false).unwrap_or_else(|error| panic!("no second gateway: {error}"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[tokio::test]
async fn of_fifty_that_show_one_proof_to_two_gateways_one_passes() {
    let world = Arc::new(World::with(Kind::Real, Setup::default()).await);
    let folder = Folder::new();
    let twin = Arc::new(beside(&world, &folder));
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
                let mut stack = twin.stack.load().as_ref().clone();
                let reply = stack.call(world.arrived(&ask)).await.unwrap();
                let status = reply.status().as_u16();
                let _ = reply.into_body().collect().await;
                status
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
    let mut stack = twin.stack.load().as_ref().clone();
    assert_eq!(stack.call(world.arrived(&ask)).await.unwrap().status().as_u16(), 200);
    world.send(ask).await.refused(401, "replay_detected");
}
