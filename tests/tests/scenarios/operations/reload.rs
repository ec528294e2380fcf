//! Policies that change while requests are under way. What they decide is in `permits`; this is about the change itself.

use std::sync::Arc;
use std::time::Duration;

use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{Session, administrator};
use scenarios::world::{Kind, Setup, World};

use crate::payments::booked;

scenarios! {
    a_request_under_way_ends_on_the_generation_it_began_with,
    many_reloads_pass_by_requests_under_way,
    a_generation_is_counted_told_and_recorded,
    a_new_time_out_of_a_backend_is_kept_at_once,
    connections_stay_when_nothing_about_backends_changed,
    a_backend_without_an_address_is_refused,
    a_limit_that_was_changed_holds_at_once,
    what_was_counted_stays_counted,
}

/// Changes a text in a file of the state folder.
fn edit(world: &World, file: &str, old: &str, new: &str) {
    let path = world.file(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{file} has no {old}: {text}");
    std::fs::write(path, text.replacen(old, new, 1)).unwrap();
}

fn suspend(world: &World) {
    edit(world, "policies/sandbox.yaml", "  demo-app:\n", "  demo-app:\n    suspended: true\n");
}

async fn a_request_under_way_ends_on_the_generation_it_began_with(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let slow = payment_with("1.00", "SBX:delay=700");
    let meanwhile = async {
        booked(&world, before).await;
        suspend(&world);
        assert_eq!(world.reload(), Ok(2));
        app.get("/v1/accounts").await
    };
    let key = fresh("order");
    let (paid, refused) = tokio::join!(app.pay(&key, &slow), meanwhile);
    paid.succeeded(201);
    refused.refused(403, "client_suspended");
    // Now nothing is told any more, not even what was done.
    app.pay(&key, &slow).await.refused(403, "client_suspended");
    let of = |records: &[serde_json::Value], interaction: &str| {
        let own = records.iter().filter(|record| record["interaction"] == interaction);
        own.map(|record| record["generation"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let records = world.audit().await;
    assert_eq!((of(&records, paid.named()), of(&records, refused.named())), (vec![1, 1], vec![2]));
}

async fn many_reloads_pass_by_requests_under_way(kind: Kind) {
    const RELOADS: u64 = 10;
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for round in 0..2 {
        let began = 1 + round * RELOADS;
        let before = bank::balance(&world, 1).await;
        let generation = Arc::downgrade(world.assembled().stack.load().generation());
        let slow = payment_with("1.00", "SBX:delay=700");
        let keys = [fresh("order"), fresh("order"), fresh("order")];
        let pay = async |key: &str| app.pay(key, &slow).await.succeeded(201).named().to_owned();
        let meanwhile = async {
            booked(&world, before).await;
            for number in 1..=RELOADS {
                let plan = format!("plan-{round}-{number}: {{limits: [{{per: client, rate: 1/s, burst: 1}}]}}");
                world.write_policy("more.yaml", &format!("qaqpa: v1\nplans:\n  {plan}\n"));
                assert_eq!(world.reload(), Ok(began + number));
                app.get("/v1/accounts").await.succeeded(200);
            }
        };
        let [one, two, three] = &keys;
        let (one, two, three, ()) = tokio::join!(pay(one), pay(two), pay(three), meanwhile);
        let records = world.audit().await;
        for name in [one, two, three] {
            let own = records.iter().filter(|record| record["interaction"] == *name);
            assert!(own.into_iter().all(|record| record["generation"] == began), "{name}");
        }
        // Nobody is on it any more: the next look gives its memory back.
        world.look();
        assert!(generation.upgrade().is_none());
    }
}

async fn a_generation_is_counted_told_and_recorded(kind: Kind) {
    let world = World::start(kind).await;
    for number in 2..=4 {
        let plan = format!("plan-{number}: {{limits: [{{per: client, rate: 1/s, burst: 1}}]}}");
        world.write_policy("more.yaml", &format!("qaqpa: v1\nplans:\n  {plan}\n"));
        assert_eq!(world.reload(), Ok(number));
        assert_eq!(administrator::generation(&world).await, number);
        let metrics = administrator::metrics(&world).await;
        assert!(metrics.contains(&format!("\nqaqpa_config_generation {number}\n")), "{metrics}");
    }
    // What is refused takes no number.
    world.write_policy("broken.yaml", "qaqpa: v1\napis: {accounts: {operations: {listAcounts: {}}}}\n");
    let told = world.reload().unwrap_err();
    assert!(told.contains("broken.yaml:2:32") && told.contains("did you mean `listAccounts`?"), "{told}");
    assert_eq!(administrator::generation(&world).await, 4);
    let metrics = administrator::metrics(&world).await;
    assert!(metrics.contains("\nqaqpa_config_generation 4\n"), "{metrics}");
    assert!(metrics.contains("\nqaqpa_config_rejected_total 1\n"), "{metrics}");
    std::fs::remove_file(world.file("policies/broken.yaml")).unwrap();
    assert_eq!(world.reload(), Ok(4), "the same texts are the same generation");
    world.write_policy("more.yaml", "qaqpa: v1\n");
    assert_eq!(world.reload(), Ok(5));
}

async fn a_new_time_out_of_a_backend_is_kept_at_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    app.pay(&fresh("order"), &payment_with("1.00", "SBX:delay=400")).await.succeeded(201);
    edit(&world, "policies/national/upstreams.yaml", "response: 3s", "response: 200ms");
    assert_eq!(world.reload(), Ok(2));
    app.pay(&fresh("order"), &payment_with("1.00", "SBX:delay=400")).await.succeeded(202);
    app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
}

async fn connections_stay_when_nothing_about_backends_changed(kind: Kind) {
    let world = World::start(kind).await;
    let reach = || Arc::clone(world.assembled().stack.load().reach());
    let first = reach();
    suspend(&world);
    world.reload().unwrap();
    assert!(Arc::ptr_eq(&first, &reach()));
    edit(&world, "policies/national/upstreams.yaml", "maxRequests: 512", "maxRequests: 511");
    world.reload().unwrap();
    let second = reach();
    assert!(!Arc::ptr_eq(&first, &second));
    edit(&world, "policies/national/identity/providers.yaml", "timeout: 3s", "timeout: 2s");
    world.reload().unwrap();
    assert!(!Arc::ptr_eq(&second, &reach()));
}

const OTHER_BANK: &str =
    "upstreams:\n  other-bank: {protocol: http1, timeouts: {connect: 1s, response: 1s}, maxRequests: 1}\n";

async fn a_backend_without_an_address_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    edit(&world, "policies/national/upstreams.yaml", "upstreams:\n", OTHER_BANK);
    let told = world.reload().unwrap_err();
    assert!(told.contains("no address for the backend `other-bank`") && told.contains("qaqpa.yaml"), "{told}");
    app.get("/v1/accounts").await.succeeded(200);
    assert_eq!(administrator::generation(&world).await, 1);
}

const TRIAL: &str = "{per: client, rate: 2/s, burst: 5}";

async fn a_limit_that_was_changed_holds_at_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "trial-app").await;
    for _ in 0..4 {
        app.get("/v1/accounts").await.succeeded(200);
    }
    app.get("/v1/accounts").await.refused(429, "rate_limited");
    // More at once, at the same rate: who is waiting has room now.
    edit(&world, "policies/national/plans/standard.yaml", TRIAL, "{per: client, rate: 2/s, burst: 6}");
    world.reload().unwrap();
    app.get("/v1/accounts").await.succeeded(200);
    world.advance(Duration::from_secs(60));
    edit(&world, "policies/national/plans/standard.yaml", "rate: 2/s, burst: 6", "rate: 2/s, burst: 1");
    world.reload().unwrap();
    app.get("/v1/accounts").await.succeeded(200);
    app.get("/v1/accounts").await.refused(429, "rate_limited");
    edit(&world, "policies/national/plans/standard.yaml", "rate: 2/s, burst: 1", "rate: 1/min, burst: 1");
    world.reload().unwrap();
    app.get("/v1/accounts").await.succeeded(200);
    let refused = app.get("/v1/accounts").await;
    assert_eq!(refused.refused(429, "rate_limited").header("retry-after"), Some("60"));
}

async fn what_was_counted_stays_counted(kind: Kind) {
    let world = World::with(kind, Setup::default()).await;
    let app = Session::of(&world, "trial-app").await;
    while app.get("/v1/accounts").await.status == 200 {}
    world.reload().unwrap();
    // A reload that leaves a limit alone gives nobody new room.
    app.get("/v1/accounts").await.refused(429, "rate_limited");
}
