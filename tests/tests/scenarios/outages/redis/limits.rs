//! Limits while the store that all gateways share is away: each does what its policy says, and counts together again after.

use scenarios::actors::{Session, Wire};
use scenarios::world::{Answer, Kind, Setup, Twin, World, real};

use super::server::until;
use crate::fraud::newest;

const ACCOUNTS: &str = "/v1/accounts";

/// A world behind a wire, whose accounts have this limit.
async fn behind(wire: &Wire, limit: &str) -> World {
    let setup = Setup { redis: Some(wire.address()), redis_hard: Some("1s"), ..Setup::default() };
    let setup = setup.policy("away.yaml", format!("qaqpa: v1\nlimits:\n  away: {limit}\n")).replacing(
        "policies/national/apis/accounts.yaml",
        "      listAccounts:\n",
        "      listAccounts:\n        limits: away\n",
    );
    World::with(Kind::Real, setup).await
}

/// Somebody who shows a certificate instead of proofs, which Redis would be needed for.
async fn reader(world: &World) -> Session<'_> {
    Session::of(world, "demo-mtls-app").await
}

fn is_full(answer: &Answer, name: &str) {
    answer.refused(429, "rate_limited");
    assert_eq!(answer.json()["violated-policies"], serde_json::json!([name]));
}

#[tokio::test]
async fn a_limit_that_denies_lets_nothing_pass_and_is_named() {
    const NAME: &str = "away:client:3/month";
    let wire = Wire::before(real::redis());
    let world = behind(&wire, "{per: client, quota: 3/month, withoutStore: deny}").await;
    let app = reader(&world).await;
    app.get(ACCOUNTS).await.succeeded(200);
    wire.cut();
    for _ in 0..8 {
        let refused = app.get(ACCOUNTS).await;
        refused.refused(503, "dependency_down");
        assert!(refused.header("retry-after").is_some());
    }
    let record = newest(&world, "listAccounts").await;
    assert_eq!((&record["rule"]["kind"], &record["rule"]["name"]), (&"limit".into(), &NAME.into()), "{record}");
    let denied = world.metric(&format!("qaqpa_limit_denied_total{{limit=\"{NAME}\"}}"));
    assert!((denied - 8.0).abs() < 0.5, "{denied}");

    wire.mend();
    // What was counted before counts still, and what was refused does not.
    until("the servers are asked again", async || app.get(ACCOUNTS).await.status == 200).await;
    app.get(ACCOUNTS).await.succeeded(200);
    is_full(&app.get(ACCOUNTS).await, NAME);
}

#[tokio::test]
async fn a_limit_that_allows_lets_everything_pass_until_it_counts_again() {
    const NAME: &str = "away:client:2/month";
    let wire = Wire::before(real::redis());
    let world = behind(&wire, "{per: client, quota: 2/month, withoutStore: allow}").await;
    let app = reader(&world).await;
    app.get(ACCOUNTS).await.succeeded(200);
    wire.cut();
    for _ in 0..8 {
        app.get(ACCOUNTS).await.succeeded(200);
    }
    wire.mend();
    let full = async || app.get(ACCOUNTS).await.status == 429;
    until("the servers are asked again", full).await;
    is_full(&app.get(ACCOUNTS).await, NAME);
    // Who is known to be over is so without anybody being asked.
    wire.cut();
    is_full(&app.get(ACCOUNTS).await, NAME);
}

#[tokio::test]
async fn a_limit_counts_its_share_alone_and_together_again_after() {
    const NAME: &str = "away:client:4/month";
    let wire = Wire::before(real::redis());
    let world = behind(&wire, "{per: client, quota: 4/month, withoutStore: local-share}").await;
    let twin = Twin::beside(&world);
    for assembled in [&twin.assembled, world.assembled()] {
        assembled.house.limiter.shared().unwrap().beat().await.unwrap();
    }
    let app = reader(&world).await;
    app.get(ACCOUNTS).await.succeeded(200);
    wire.cut();
    // Two gateways were alive: half of it is for each, whatever was counted before.
    app.get(ACCOUNTS).await.succeeded(200);
    app.get(ACCOUNTS).await.succeeded(200);
    for _ in 0..8 {
        is_full(&app.get(ACCOUNTS).await, NAME);
    }
    wire.mend();
    until("the servers are asked again", async || app.get(ACCOUNTS).await.status == 200).await;
    app.get(ACCOUNTS).await.succeeded(200);
    app.get(ACCOUNTS).await.succeeded(200);
    is_full(&app.get(ACCOUNTS).await, NAME);
}
