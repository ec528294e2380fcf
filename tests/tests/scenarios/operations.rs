//! What operators do: start again, reload, check, run and stop; and what a busy neighbour may do to others.

mod check;
mod process;
mod rehearse;
mod reload;
mod restart;
mod trials;
mod verbs;

use scenarios::actors::{App, Session};
use scenarios::world::{Ask, Kind, Setup, World};
use spine::stage::Door;

scenarios! {
    who_is_refused_by_a_limit_of_its_own_takes_nothing_from_others,
    other_operations_have_room_when_one_has_none,
    tokens_are_metered_too,
    the_administrators_listener_answers_while_the_public_ones_are_full,
}

async fn who_is_refused_by_a_limit_of_its_own_takes_nothing_from_others(kind: Kind) {
    let plan = "qaqpa: v1\nplans:\n  shared:\n    limits:\n      - {per: client, rate: 1/min, burst: 3}\n      \
                - {per: organisation, rate: 1/min, burst: 8}\n";
    let (one, two) = (App::newcomer("one-app"), App::newcomer("two-app"));
    let policy =
        |app: &App| app.policy("demo-fintech", &["accounts:read"], "").replace("plan: standard", "plan: shared");
    let setup =
        Setup::default().policy("plan.yaml", plan).policy("one.yaml", policy(&one)).policy("two.yaml", policy(&two));
    let world = World::with(kind, setup).await;
    let noisy = one.session(&world, None).await;
    for _ in 0..2 {
        noisy.get("/v1/accounts").await.succeeded(200);
    }
    for _ in 0..10 {
        let refused = noisy.get("/v1/accounts").await;
        assert_eq!(refused.refused(429, "rate_limited").json()["violated-policies"][0], "shared:client:1/min");
    }
    // Three of eight are gone, not thirteen.
    let quiet = two.session(&world, None).await;
    for _ in 0..2 {
        quiet.get("/v1/accounts").await.succeeded(200);
    }
}

async fn other_operations_have_room_when_one_has_none(kind: Kind) {
    let plan = "qaqpa: v1\nplans:\n  narrow:\n    limits: [{per: [client, operation], rate: 1/min, burst: 1}]\n";
    let app = App::newcomer("new-app");
    let policy = app.policy("demo-fintech", &["accounts:read", "balances:read"], "");
    let policy = policy.replace("plan: standard", "plan: narrow");
    let world = World::with(kind, Setup::default().policy("plan.yaml", plan).policy("new.yaml", policy)).await;
    let app = app.session(&world, None).await;
    app.get("/v1/accounts").await.succeeded(200);
    let refused = app.get("/v1/accounts").await;
    assert_eq!(refused.refused(429, "rate_limited").header("retry-after"), Some("60"));
    app.get(&format!("/v1/accounts/{}/balances", scenarios::actors::bank::account(1))).await.succeeded(200);
}

async fn tokens_are_metered_too(kind: Kind) {
    let world = World::start(kind).await;
    // Plan `trial` has room for five.
    for _ in 0..5 {
        world.send(App::of(&world, "trial-app").token_ask(&world, None)).await.succeeded(200);
    }
    let refused = world.send(App::of(&world, "trial-app").token_ask(&world, None)).await;
    refused.oauth_refused(429, "temporarily_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
}

async fn the_administrators_listener_answers_while_the_public_ones_are_full(kind: Kind) {
    let world = World::with(kind, Setup::configured("limits: {perPeer: {rate: 1/day, burst: 1}}")).await;
    world.send(Ask::get("/v1/discovery/status")).await.succeeded(200);
    for door in [Door::Api, Door::MtlsApi] {
        world.send(Ask::get("/v1/discovery/status").at(door)).await.refused(429, "rate_limited");
    }
    for _ in 0..5 {
        world.send(Ask::get("/readyz").at(Door::Admin)).await.succeeded(200);
    }
    if kind == Kind::Memory {
        // Another address is another peer; over loopback all of us have the same.
        let mut arrived = world.arrived(&Ask::get("/v1/discovery/status"));
        arrived.peer.address = std::net::IpAddr::from([192, 0, 2, 7]);
        world.call(arrived).await.succeeded(200);
    }
}
