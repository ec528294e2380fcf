//! Counters themselves run out: who makes up names is refused for want of one, and the operator sees of which limit.

use std::num::NonZeroU32;
use std::time::Duration;

use adapters::limit::limits::{Asked, Counted, Untaken};
use policies::limit::{Dimension, Limit, Rate, Values};
use scenarios::actors::Session;
use scenarios::world::{Ask, Kind, Setup, World};

use crate::fraud::newest;

scenarios! {
    a_call_without_a_place_for_its_counter_is_refused_and_the_limit_is_named,
}

const PEOPLE: &str = "people:client+subject:5/day";

/// Has a client use up all of its places.
fn fill(world: &World, owner: &str) {
    let house = &world.assembled().house;
    let rate = Rate { count: NonZeroU32::MIN, per: Duration::from_secs(86_400) };
    let limit = Limit::bucket("made-up", &[Dimension::Resource], rate, NonZeroU32::MIN);
    for number in 0.. {
        let name = format!("{number}");
        let limits =
            [Counted { limit: &limit, values: Values { resource: Some(&name), ..Values::default() }, thing: None }];
        let asked = Asked { limits: &limits, owner, call: "", now: house.clock.now() };
        match house.limiter.take_here(&asked).unwrap() {
            Ok(_) => {}
            Err(Untaken::KeysExhausted { .. }) => return,
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn a_call_without_a_place_for_its_counter_is_refused_and_the_limit_is_named(kind: Kind) {
    let of = "      listAccounts:\n";
    let setup = Setup::default()
        .policy(
            "people.yaml",
            "qaqpa: v1\nlimits:\n  people: {per: [client, subject], subject: x-payer-id, quota: 5/day}\n",
        )
        .replacing("policies/national/apis/accounts.yaml", of, format!("{of}        limits: people\n"));
    let world = World::with(kind, setup).await;
    if world.assembled().house.limiter.shared().is_some() {
        // In Redis a client has a million places: those who keep count of them fill them, in `adapters`.
        return;
    }
    let app = Session::of(&world, "demo-app").await;
    let about = async |payer: &str| app.send(app.dress(Ask::get("/v1/accounts").with("x-payer-id", payer))).await;
    about("1").await.succeeded(200);
    fill(&world, "demo-app");
    let refused = about("2").await;
    refused.refused(503, "capacity");
    assert!(!refused.text().contains("people"), "{}", refused.text());
    let record = newest(&world, "listAccounts").await;
    assert_eq!((&record["rule"]["kind"], &record["rule"]["name"]), (&"limit".into(), &PEOPLE.into()), "{record}");
    let count = world.metric(&format!("qaqpa_limit_crowded_total{{limit=\"{PEOPLE}\"}}"));
    assert!((count - 1.0).abs() < 0.5, "{count}");
    // What is counted already goes on, and others have places of their own.
    about("1").await.succeeded(200);
    let other = Session::of(&world, "demo-mtls-app").await;
    other.send(other.dress(Ask::get("/v1/accounts").with("x-payer-id", "2"))).await.succeeded(200);
}
