//! Places that the trail is sent on to: each gets all of it, by itself, and one that is down holds up nobody.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use scenarios::actors::App;
use scenarios::world::{Kind, Setup, World};
use serde_json::Value;

scenarios! {
    a_place_gets_the_whole_trail_in_order_over_restarts,
    a_place_that_is_down_holds_up_no_other_and_catches_up,
}

/// Sends on what is in the trail now, which is less than a batch; an outage is one of a place that is away.
async fn send_all(world: &World) -> Result<(), String> {
    world.assembled().house.audit.flush().await.unwrap();
    world.round().await.map(drop).map_err(|outage| outage.to_string())
}

async fn use_it(world: &World) {
    let app = App::of(world, "demo-app").session(world, None).await;
    for _ in 0..3 {
        app.get("/v1/accounts").await.succeeded(200);
    }
}

fn sequences(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap();
    text.lines().map(line).collect()
}

fn lag(world: &World, place: &str) -> f64 {
    world.metric(&format!("qaqpa_audit_ship_lag{{place=\"{place}\"}}"))
}

async fn a_place_gets_the_whole_trail_in_order_over_restarts(kind: Kind) {
    let setup = Setup::configured("audit:\n  ship:\n    archive: {file: archive.jsonl}\n");
    let mut world = World::with(kind, setup.clone()).await;
    for _ in 0..2 {
        use_it(&world).await;
        send_all(&world).await.unwrap();
        let records = world.audit().await.len() as u64;
        assert_eq!(sequences(&world.file("archive.jsonl")), (1..=records).collect::<Vec<_>>());
        assert_eq!(lag(&world, "archive"), 0.0);
        let text = world.assembled().house.metrics.render(1, 0, None);
        assert!(text.contains("qaqpa_audit_ship_lag_bytes{place=\"archive\"} 0"), "{text}");
        world = World::again(world.stop().await, setup.clone()).await.map_err(|(error, _)| error).unwrap();
    }
}

async fn a_place_that_is_down_holds_up_no_other_and_catches_up(kind: Kind) {
    let setup = Setup::configured("audit:\n  ship:\n    far: {file: gone/far.jsonl}\n    near: {file: near.jsonl}\n");
    let world = World::with(kind, setup).await;
    use_it(&world).await;
    let told = send_all(&world).await.unwrap_err();
    assert!(told.contains("place far") && told.contains("far.jsonl"), "{told}");
    let records = world.audit().await.len();
    assert_eq!(sequences(&world.file("near.jsonl")).len(), records);
    assert_eq!((lag(&world, "far"), lag(&world, "near")), (records as f64, 0.0));
    use_it(&world).await;
    std::fs::create_dir(world.file("gone")).unwrap();
    send_all(&world).await.unwrap();
    let records = world.audit().await.len() as u64;
    for file in ["gone/far.jsonl", "near.jsonl"] {
        assert_eq!(sequences(&world.file(file)), (1..=records).collect::<Vec<_>>(), "{file}");
    }
    assert_eq!(lag(&world, "far"), 0.0);
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Returns where a server of the tests is.
fn service(name: &str) -> String {
    let missing = "is not set: start the test services: eval \"$(tests/services start /tmp/qaqpa-services)\"";
    std::env::var(name).unwrap_or_else(|_| panic!("{name} {missing}"))
}

#[tokio::test]
async fn databases_and_streams_are_places_too() {
    let stream = format!("SCENARIO-{}", adapters::entropy::token_128bit());
    let nats = service("QAQPA_TEST_NATS");
    let ca = service("QAQPA_TEST_POSTGRES_CA");
    let lines = format!(
        "audit:\n  ship:\n    database: {{postgres: {{url: \"secret:file:{{state}}/database-url\", trust: \"{ca}\"}}}}\n    \
         stream: {{nats: {{url: \"{nats}\", stream: \"{stream}\", subject: \"{stream}.audit\"}}}}\n"
    );
    let before = |state: &Path| {
        private(&state.join("database-url"), &service("QAQPA_TEST_POSTGRES"));
        // The state folder is known only now.
        let place = state.join("qaqpa.yaml");
        let text = std::fs::read_to_string(&place).unwrap();
        std::fs::write(&place, text.replace("{state}", state.to_str().unwrap())).unwrap();
    };
    let world = World::with(Kind::Memory, Setup { before: Some(before), ..Setup::configured(&lines) }).await;
    use_it(&world).await;
    send_all(&world).await.unwrap();
    assert_eq!((lag(&world, "database"), lag(&world, "stream")), (0.0, 0.0));
    let records = world.audit().await.len();
    for place in ["database", "stream"] {
        let cursor = std::fs::read(world.file(&format!("audit/ship-{place}.cursor"))).unwrap();
        let cursor: Value = serde_json::from_slice(&cursor).unwrap();
        assert_eq!(cursor["sequence"], records);
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_right_is_told_at_the_start() {
    for (place, why) in [
        ("{nats: {url: \"nats://10.0.0.6:4222\"}}", "clear text stays on this machine"),
        ("{nats: {url: \"tls://nats.example:4222\", trust: nowhere.pem}}", "nowhere.pem"),
        ("{nats: {url: \"tls://nats.example:4222\", credentials: \"secret:env:QAQPA_NOT_THERE\"}}", "QAQPA_NOT_THERE"),
        ("{postgres: {url: \"secret:env:QAQPA_NOT_THERE\"}}", "QAQPA_NOT_THERE"),
        ("{file: a.jsonl, nats: {url: \"nats://127.0.0.1:4222\"}}", "one of `file`, `postgres` or `nats`"),
    ] {
        let setup = Setup::configured(&format!("audit:\n  ship:\n    archive: {place}\n"));
        let error = World::attempt(Kind::Memory, setup).await.unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("archive") || error.contains("nowhere"), "{place}: {error}");
    }
}
