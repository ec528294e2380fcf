//! Providers report: whose word it is, how old, and that the first word is final.

use std::time::Duration;

use policies::callback::CALLBACK_WINDOW;
use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank;
use scenarios::actors::provider::{self, Callback};
use scenarios::world::{Answer, Kind, PATIENCE, World};
use serde_json::json;

const VERIFICATIONS: &str = "/v1/identity-verifications";

scenarios! {
    a_right_callback_decides,
    a_callback_with_a_wrong_signature_is_refused,
    a_callback_is_from_now,
    a_callback_of_an_unknown_provider_is_refused,
    a_callback_may_come_again,
    a_contradicting_callback_changes_nothing,
    a_callback_for_nothing_we_asked_is_refused,
    a_callback_that_breaks_the_contract_is_refused,
    a_callback_names_the_session_it_is_about,
}

/// Begins a verification whose provider never calls, so that the scenario may.
async fn begun(app: &Session<'_>) -> Answer {
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(6)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let started = app.post(VERIFICATIONS, &fresh("verification"), &body).await;
    started.succeeded(201);
    started
}

fn says(world: &World, started: &Answer, outcome: &str) -> Callback {
    Callback::of(world, &provider::session(started), &started.at("/id"), outcome)
}

async fn status(app: &Session<'_>, started: &Answer) -> String {
    app.get(&format!("{VERIFICATIONS}/{}", started.at("/id"))).await.succeeded(200).at("/status")
}

async fn a_right_callback_decides(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for (outcome, state) in
        [("match", "passed"), ("no_match", "failed"), ("spoof", "failed"), ("could_not_tell", "inconclusive")]
    {
        let started = begun(&app).await;
        assert_eq!(status(&app, &started).await, "capture_pending");
        world.send(says(&world, &started, outcome).sign(&world)).await.succeeded(204);
        assert_eq!(status(&app, &started).await, state);
    }
}

async fn a_callback_with_a_wrong_signature_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let started = begun(&app).await;
    let right = says(&world, &started, "match");
    let signed = right.sign(&world);
    let replaced = |name: &str, value: &str| signed.clone().without(name).with(name, value);
    let wrong = vec![
        ("another secret", right.sign_with(b"not the secret of any provider")),
        ("an empty secret", right.sign_with(b"")),
        ("another id", replaced("webhook-id", "msg-other")),
        ("another time", replaced("webhook-timestamp", &(right.timestamp + 1).to_string())),
        ("another body", signed.clone().body(right.body.to_string().replace("match", "spoof"))),
        ("a blank more", signed.clone().body(format!("{} ", right.body))),
        ("no signature", signed.clone().without("webhook-signature")),
        ("no id", signed.clone().without("webhook-id")),
        ("no time", signed.clone().without("webhook-timestamp")),
        ("another version", replaced("webhook-signature", "v2,AAAA")),
        ("no base64", replaced("webhook-signature", "v1,?")),
        ("empty", replaced("webhook-signature", "v1,")),
    ];
    for (what, ask) in wrong {
        let refused = world.send(ask).await;
        assert_eq!(refused.status, 401, "{what}: {}", refused.text());
        refused.refused(401, "signature_invalid");
    }
    assert_eq!(status(&app, &started).await, "capture_pending");
    // During a rotation there are several signatures, and one of them is right.
    let signature = signed.headers.iter().find(|(name, _)| name == "webhook-signature").unwrap().1.to_str().unwrap();
    world.send(replaced("webhook-signature", &format!("v1,AAAA {signature}"))).await.succeeded(204);
    assert_eq!(status(&app, &started).await, "passed");
}

async fn a_callback_is_from_now(kind: Kind) {
    let world = World::start(kind).await;
    let past = u64::try_from(world.now().millis() % 1000).unwrap();
    world.advance(Duration::from_millis(1000 - past));
    let app = Session::of(&world, "demo-app").await;
    let window = i64::try_from(CALLBACK_WINDOW.as_secs()).unwrap();
    for (shift, fine) in [(-window - 1, false), (window + 1, false), (-window, true), (window, true)] {
        let started = begun(&app).await;
        let mut callback = says(&world, &started, "match");
        callback.timestamp += shift;
        let answer = world.send(callback.sign(&world)).await;
        if fine {
            answer.succeeded(204)
        } else {
            answer.refused(401, "signature_invalid")
        };
        assert_eq!(status(&app, &started).await, if fine { "passed" } else { "capture_pending" });
    }
}

async fn a_callback_of_an_unknown_provider_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let started = begun(&app).await;
    let mut callback = says(&world, &started, "match");
    let right = world.send(callback.sign_with(b"not the secret of any provider")).await;
    callback.path = "/v1/identity-callbacks/other-face".to_owned();
    let refused = world.send(callback.sign(&world)).await;
    refused.refused(401, "signature_invalid");
    // Whether a provider exists is not told.
    assert_eq!(refused.at("/detail"), right.at("/detail"));
    assert_eq!(status(&app, &started).await, "capture_pending");
}

async fn a_callback_may_come_again(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let started = begun(&app).await;
    let callback = says(&world, &started, "match").sign(&world);
    world.send(callback.clone()).await.succeeded(204);
    let read = app.get(&format!("{VERIFICATIONS}/{}", started.at("/id"))).await;
    world.advance(Duration::from_secs(5));
    world.send(callback).await.succeeded(204);
    let again = app.get(&format!("{VERIFICATIONS}/{}", started.at("/id"))).await;
    assert_eq!(crate::tokens::reread(&again.at("/result")).claims, crate::tokens::reread(&read.at("/result")).claims);
}

async fn a_contradicting_callback_changes_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for (first, second, state) in
        [("match", "no_match", "passed"), ("no_match", "match", "failed"), ("spoof", "match", "failed")]
    {
        let started = begun(&app).await;
        world.send(says(&world, &started, first).sign(&world)).await.succeeded(204);
        world.send(says(&world, &started, second).sign(&world)).await.succeeded(204);
        assert_eq!(status(&app, &started).await, state);
    }
}

async fn a_callback_for_nothing_we_asked_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    for reference in ["018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31", "x", "../../etc/passwd"] {
        let callback = Callback::of(&world, "s-1", reference, "match");
        world.send(callback.sign(&world)).await.refused(404, "not_found");
    }
}

async fn a_callback_that_breaks_the_contract_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let started = begun(&app).await;
    let right = says(&world, &started, "match");
    for (name, value) in
        [("outcome", json!("perhaps")), ("outcome", json!(true)), ("surprise", json!(1)), ("session", json!(""))]
    {
        let mut callback = right.clone();
        callback.body[name] = value;
        let refused = world.send(callback.sign(&world)).await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
    }
    let as_text = right.sign(&world).without("content-type").with("content-type", "text/plain");
    world.send(as_text).await.refused(415, "unsupported_media");
    assert_eq!(status(&app, &started).await, "capture_pending");
}

/// The sandbox's own provider with its own forged signature: only where it can call at all.
#[tokio::test]
async fn a_forged_callback_of_the_sandbox_is_refused() {
    let world = World::start(Kind::Http1).await;
    let app = Session::of(&world, "demo-app").await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(8)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let started = app.post(VERIFICATIONS, &fresh("verification"), &body).await;
    let refused = async {
        while world.metric("qaqpa_refusals_total{reason=\"signature_invalid\"}") < 0.5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(status(&app, &started).await, "capture_pending");
}

/// The sandbox's own provider, which tells some outcomes twice.
#[tokio::test]
async fn a_doubled_callback_of_the_sandbox_counts_once() {
    let world = World::start(Kind::Http1).await;
    let app = Session::of(&world, "demo-app").await;
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(7)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let started = app.post(VERIFICATIONS, &fresh("verification"), &body).await;
    let twice = async {
        while world.metric("qaqpa_requests_total{listener=\"api\",status=\"204\"}") < 1.5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, twice).await.unwrap();
    assert_eq!(status(&app, &started).await, "passed");
}

async fn a_callback_names_the_session_it_is_about(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (started, other) = (begun(&app).await, begun(&app).await);
    let foreign = Callback::of(&world, &provider::session(&other), &started.at("/id"), "match");
    world.send(foreign.sign(&world)).await.refused(404, "not_found");
    assert_eq!(status(&app, &started).await, "capture_pending");
    world.send(says(&world, &started, "match").sign(&world)).await.succeeded(204);
    assert_eq!(status(&app, &started).await, "passed");
}
