//! Limits that count some calls only: with the customer there or not, and at some hours of the day in Kazakhstan.

use std::time::Duration;

use scenarios::actors::Session;
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::json;

use crate::fraud::newest;

scenarios! {
    calls_with_the_customer_there_are_counted_apart,
    nights_begin_and_end_by_the_clock_of_kazakhstan,
}

/// How far the clocks of Kazakhstan are ahead of UTC, in seconds.
const AHEAD: i64 = 5 * 3600;
const DAY: i64 = 86_400;
const THERE: &str = "there:client:1/day:attended";
const AWAY: &str = "away:client:1/day:unattended";
const NIGHTLY: &str = "nightly:client:1/day:unattended+00:00-06:00+22:00-24:00";

fn limited(limits: &str, names: &str) -> Setup {
    let known = "      listAccounts:\n";
    Setup::default().policy("when.yaml", format!("qaqpa: v1\nlimits:\n{limits}")).replacing(
        "policies/national/apis/accounts.yaml",
        known,
        format!("{known}        limits: {names}\n"),
    )
}

async fn alone(app: &Session<'_>) -> Answer {
    app.get("/v1/accounts").await
}

/// Calls as an app does whose customer is at this address.
async fn beside(app: &Session<'_>, customer: &str) -> Answer {
    app.send(app.dress(Ask::get("/v1/accounts").with("x-fapi-customer-ip-address", customer))).await
}

fn is_full(answer: &Answer, name: &str) {
    answer.refused(429, "rate_limited");
    assert_eq!(answer.json()["violated-policies"], json!([name]));
}

async fn calls_with_the_customer_there_are_counted_apart(kind: Kind) {
    let limits = "  there: {per: client, rate: 1/day, burst: 3, when: {attended: true}}\n  \
                  away: {per: client, rate: 1/day, burst: 1, when: {attended: false}}\n";
    let world = World::with(kind, limited(limits, "[there, away]")).await;
    let app = Session::of(&world, "demo-app").await;
    alone(&app).await.succeeded(200);
    is_full(&alone(&app).await, AWAY);
    for customer in ["198.51.100.7", "2001:db8::7", "198.51.100.8"] {
        beside(&app, customer).await.succeeded(200);
    }
    is_full(&beside(&app, "198.51.100.7").await, THERE);
    assert_eq!(newest(&world, "listAccounts").await["exhausted"], THERE);
    // No address, or nobody's: nobody is there.
    for nobody in ["", "somebody", "127.0.0.1", "0.0.0.0", "198.51.100.7, 198.51.100.8"] {
        is_full(&beside(&app, nobody).await, AWAY);
    }
    let twice = Ask::get("/v1/accounts").with("x-fapi-customer-ip-address", "198.51.100.7");
    is_full(&app.send(app.dress(twice.with("x-fapi-customer-ip-address", "198.51.100.7"))).await, AWAY);
    // Each client has counters of its own.
    Session::of(&world, "demo-mtls-app").await.get("/v1/accounts").await.succeeded(200);
}

/// Waits until it is so late in Kazakhstan next; tokens are over then.
async fn at<'w>(world: &'w World, hour: i64, minute: i64) -> Session<'w> {
    let late = (world.seconds() + AHEAD).rem_euclid(DAY);
    let wait = (hour * 3600 + minute * 60 - late).rem_euclid(DAY);
    world.advance(Duration::from_secs(u64::try_from(wait).unwrap()));
    Session::of(world, "demo-app").await
}

async fn nights_begin_and_end_by_the_clock_of_kazakhstan(kind: Kind) {
    let limits = "  nightly: {per: client, rate: 1/day, burst: 1, when: {attended: false, hours: \"22:00-06:00\"}}\n";
    let world = World::with(kind, limited(limits, "nightly")).await;
    let app = at(&world, 21, 50).await;
    for _ in 0..3 {
        alone(&app).await.succeeded(200);
    }
    let app = at(&world, 22, 0).await;
    alone(&app).await.succeeded(200);
    is_full(&alone(&app).await, NIGHTLY);
    beside(&app, "198.51.100.7").await.succeeded(200);
    // Midnight is in the middle of it.
    for (hour, minute) in [(0, 0), (5, 50)] {
        let app = at(&world, hour, minute).await;
        is_full(&alone(&app).await, NIGHTLY);
        beside(&app, "198.51.100.7").await.succeeded(200);
    }
    let app = at(&world, 6, 0).await;
    for _ in 0..3 {
        alone(&app).await.succeeded(200);
    }
    // What was taken a day ago has come back.
    let app = at(&world, 22, 0).await;
    alone(&app).await.succeeded(200);
    is_full(&alone(&app).await, NIGHTLY);
}
