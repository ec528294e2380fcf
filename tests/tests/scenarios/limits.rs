//! Too much: plans, peers, capacity, and time.

use std::time::Duration;

use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{App, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use spine::stage::Door;

use crate::payments::booked;

const MILLISECOND: Duration = Duration::from_millis(1);

scenarios! {
    rs60_too_many_calls_of_a_client_are_refused_until_there_is_room,
    rs60_every_answer_tells_how_much_room_is_left,
    rs60_the_limit_with_the_least_room_is_told,
    who_waits_as_told_finds_room,
    a_limit_of_an_organisation_counts_all_its_clients,
    a_peer_that_sends_too_much_is_shed_before_anything_is_looked_at,
    more_requests_than_there_is_room_for_are_shed,
    how_full_counters_are_is_told_before_anybody_is_refused,
    a_backend_with_too_many_requests_under_way_gets_no_more,
    a_backend_that_never_answers_is_a_timeout,
}

/// Returns the fields `RateLimit-Policy` and `RateLimit`.
fn told(answer: &Answer) -> [Option<&str>; 2] {
    [answer.header("ratelimit-policy"), answer.header("ratelimit")]
}

async fn rs60_every_answer_tells_how_much_room_is_left(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "trial-app").await;
    let policy = Some(r#""trial:client:2/s";q=5;w=3, "trial:organisation:10/s";q=20;w=2"#);
    assert_eq!(told(app.get("/v1/accounts").await.succeeded(200)), [policy, Some(r#""trial:client:2/s";r=3;t=1"#)]);
    // Also one that refuses for another reason.
    let refused = app.get("/v1/accounts?nobody=knows").await;
    assert_eq!(told(refused.refused(400, "schema_violation")), [policy, Some(r#""trial:client:2/s";r=2;t=1"#)]);
    app.get("/v1/accounts").await.succeeded(200);
    app.get("/v1/accounts").await.succeeded(200);
    let refused = app.get("/v1/accounts").await;
    refused.refused(429, "rate_limited");
    assert_eq!(told(&refused), [policy, Some(r#""trial:client:2/s";r=0;t=1"#)]);
    assert_eq!(refused.header("retry-after"), Some("1"), "not earlier than `t`");
    assert_eq!(refused.json()["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(refused.json()["violated-policies"], serde_json::json!(["trial:client:2/s"]));
    // Whose bucket it is, is nobody's business, and who has none of their own is told of none.
    assert!(!format!("{:?}", told(&refused)).contains("trial-app"));
    assert_eq!(told(&world.send(Ask::get("/v1/discovery/status")).await), [None, None]);
    assert_eq!(told(&world.send(Ask::get("/v1/accounts")).await), [None, None]);
}

async fn rs60_the_limit_with_the_least_room_is_told(kind: Kind) {
    let plan = "qaqpa: v1\nplans:\n  twofold:\n    limits: [{per: client, rate: 100/s, burst: 100}, \
                {per: organisation, rate: 1/min, burst: 4}, {per: client, rate: 1/h, burst: 1, mode: report}]\n";
    let app = App::newcomer("one-app");
    let policy = app.policy("demo-fintech", &["accounts:read"], "").replace("plan: standard", "plan: twofold");
    let world = World::with(kind, Setup::default().policy("plan.yaml", plan).policy("one.yaml", policy)).await;
    let app = app.session(&world, None).await;
    let answer = app.get("/v1/accounts").await;
    let told = told(answer.succeeded(200));
    let policies = r#""twofold:client:100/s";q=100;w=1, "twofold:organisation:1/min";q=4;w=240"#;
    assert_eq!(told[0], Some(policies));
    assert_eq!(told[1], Some(r#""twofold:organisation:1/min";r=2;t=60"#));
}

async fn rs60_too_many_calls_of_a_client_are_refused_until_there_is_room(kind: Kind) {
    let world = World::start(kind).await;
    // Plan `trial`: 2/s, burst 5; the token is the first of the five.
    let app = Session::of(&world, "trial-app").await;
    for _ in 0..4 {
        app.get("/v1/accounts").await.succeeded(200);
    }
    let refused = app.get("/v1/accounts").await;
    refused.refused(429, "rate_limited");
    assert_eq!(refused.json()["retryable"], true);
    let violated = refused.json()["violated-policies"].clone();
    assert!(violated[0].as_str().is_some_and(|name| name.contains("trial")), "{violated}");
    // Others have room of their own.
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
    world.advance(Duration::from_millis(500) - MILLISECOND);
    app.get("/v1/accounts").await.refused(429, "rate_limited");
    world.advance(MILLISECOND);
    app.get("/v1/accounts").await.succeeded(200);
    app.get("/v1/accounts").await.refused(429, "rate_limited");
}

async fn who_waits_as_told_finds_room(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "trial-app").await;
    let refused = loop {
        let answer = app.get("/v1/accounts").await;
        if answer.status == 429 {
            break answer;
        }
    };
    let wait = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    world.advance(Duration::from_secs(wait));
    app.get("/v1/accounts").await.succeeded(200);
}

async fn a_limit_of_an_organisation_counts_all_its_clients(kind: Kind) {
    let plan = "qaqpa: v1\nplans:\n  shared:\n    limits: [{per: organisation, rate: 1/min, burst: 4}]\n";
    let (one, two) = (App::newcomer("one-app"), App::newcomer("two-app"));
    let policy =
        |app: &App| app.policy("demo-fintech", &["accounts:read"], "").replace("plan: standard", "plan: shared");
    let setup =
        Setup::default().policy("plan.yaml", plan).policy("one.yaml", policy(&one)).policy("two.yaml", policy(&two));
    let world = World::with(kind, setup).await;
    let (one, two) = (one.session(&world, None).await, two.session(&world, None).await);
    one.get("/v1/accounts").await.succeeded(200);
    two.get("/v1/accounts").await.succeeded(200);
    one.get("/v1/accounts").await.refused(429, "rate_limited");
    two.get("/v1/accounts").await.refused(429, "rate_limited");
}

async fn a_peer_that_sends_too_much_is_shed_before_anything_is_looked_at(kind: Kind) {
    let setup = Setup::configured("limits: {perPeer: {rate: 1/s, burst: 3}}\n");
    let world = World::with(kind, setup).await;
    for _ in 0..3 {
        world.send(Ask::get("/v1/discovery/status")).await.succeeded(200);
    }
    let records = world.audit().await.len();
    // Neither path nor token is looked at any more.
    for ask in
        [Ask::get("/v1/discovery/status"), Ask::get("//"), Ask::get("/v1/accounts").with("authorization", "DPoP x")]
    {
        let refused = world.send(ask).await;
        refused.refused(429, "rate_limited");
        assert_eq!(refused.json()["violated-policies"][0], "peer");
        assert_eq!(told(&refused), [None, Some(r#""peer";r=0;t=1"#)]);
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert_eq!(world.audit().await.len(), records, "what is shed is counted, not recorded");
    assert!((world.metric("qaqpa_shed_total{reason=\"peer\"}") - 3.0).abs() < 0.5);
    world.send(Ask::get("/livez").at(Door::Admin)).await.succeeded(200);
    world.advance(Duration::from_secs(1) - MILLISECOND);
    world.send(Ask::get("/v1/discovery/status")).await.refused(429, "rate_limited");
    world.advance(MILLISECOND);
    world.send(Ask::get("/v1/discovery/status")).await.succeeded(200);
}

async fn how_full_counters_are_is_told_before_anybody_is_refused(kind: Kind) {
    let world = World::with(kind, Setup::configured("limits: {counters: 10000}\n")).await;
    let metrics = async || {
        let told = world.send(Ask::get("/metrics").at(Door::Admin)).await.succeeded(200).text();
        ["keys", "keys_max", "owner_keys", "owner_keys_max", "store_counters"].map(|name| {
            let line = told.lines().find_map(|line| line.strip_prefix(&format!("qaqpa_limit_{name} ")));
            line.unwrap().parse::<u64>().unwrap()
        })
    };
    let before = metrics().await;
    assert_eq!((before[1], before[3]), (10_000, 2_500));
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    let after = metrics().await;
    // Where gateways count together they make their counters there, and none here.
    if world.config().stores.redis.is_some() {
        assert!(after[4] > before[4], "{before:?} {after:?}");
    } else {
        assert!(after[0] > before[0] && after[2] > before[2] && after[2] <= after[0], "{before:?} {after:?}");
    }
}

async fn more_requests_than_there_is_room_for_are_shed(kind: Kind) {
    let world = World::with(kind, Setup::configured("limits: {requestsInFlight: 1}\n")).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let meanwhile = async {
        booked(&world, before).await;
        let refused = world.send(Ask::get("/v1/discovery/status")).await;
        refused.refused(503, "capacity");
        let reduced = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
        assert_eq!(refused.json()["type"], reduced);
        assert_eq!(refused.header("retry-after"), Some("1"));
        // Administrators keep their own way in.
        world.send(Ask::get("/livez").at(Door::Admin)).await.succeeded(200);
    };
    let key = fresh("order");
    let slow = payment_with("1.00", "SBX:delay=700");
    let (paid, ()) = tokio::join!(app.pay(&key, &slow), meanwhile);
    paid.succeeded(201);
    assert!((world.metric("qaqpa_shed_total{reason=\"concurrency\"}") - 1.0).abs() < 0.5);
    // The place is given back with the last byte.
    world.send(Ask::get("/v1/discovery/status")).await.succeeded(200);
}

async fn a_backend_with_too_many_requests_under_way_gets_no_more(kind: Kind) {
    let setup = Setup::configured("workers: 1\n").replacing(
        "policies/national/upstreams.yaml",
        "maxRequests: 512",
        "maxRequests: 1",
    );
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let meanwhile = async {
        booked(&world, before).await;
        app.get("/v1/accounts").await.refused(503, "capacity");
        let key = fresh("order");
        app.pay(&key, &payment("2.00")).await.refused(503, "capacity");
        key
    };
    let first = fresh("order");
    let slow = payment_with("1.00", "SBX:delay=700");
    let (paid, key) = tokio::join!(app.pay(&first, &slow), meanwhile);
    paid.succeeded(201);
    // Nothing was sent then, so the same request may come again at once.
    app.pay(&key, &payment("2.00")).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 300);
}

async fn a_backend_that_never_answers_is_a_timeout(kind: Kind) {
    let backend = Backend::silent().await;
    let setup = Setup { backend: Some(backend.address), ..Setup::default() };
    let setup = setup.replacing("policies/national/upstreams.yaml", "response: 3s", "response: 200ms");
    let world = World::with(kind, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.refused(504, "backend_timeout");
}

/// A body whose reading is a defect.
struct Defect;

impl http_body::Body for Defect {
    type Data = bytes::Bytes;
    type Error = spine::body::BodyFailure;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, spine::body::BodyFailure>>> {
        panic!("canary of a defect");
    }
}

/// Only in memory can a scenario put a defect into the stack.
#[tokio::test]
async fn a_defect_ends_one_request_and_tells_nothing() {
    let world = World::start(Kind::Memory).await;
    let app = Session::of(&world, "demo-app").await;
    let key = fresh("order");
    let ask = app.dress(Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key).json(&payment("1.00")));
    let mut arrived = world.arrived(&ask);
    *arrived.request.body_mut() = spine::body::Body::stream(Box::pin(Defect));
    let refused = world.call(arrived).await;
    refused.refused(500, "internal");
    assert!(!refused.text().contains("canary"), "{}", refused.text());
    assert!((world.metric("qaqpa_panics_total") - 1.0).abs() < 0.5);
    // The next one is served, also under the same key.
    app.pay(&key, &payment("1.00")).await.succeeded(201);
    let outcome =
        world.audit().await.into_iter().find(|record| record["status"].is_null() && record["kind"] == "outcome");
    assert_eq!(outcome.unwrap()["ending"], "abandoned");
}
