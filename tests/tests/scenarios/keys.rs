//! The keys that the gateway signs with: who may rotate them, when, and what is good before and after.

use std::time::Duration;

use policies::rotation::{PUBLISHED_AFTER_USE, PUBLISHED_BEFORE_USE, ROTATE_EVERY};
use policies::token::{ACCESS_TOKEN_TTL, LEEWAY};
use scenarios::actors::app::fresh;
use scenarios::actors::asking::{CALLBACK, Fields, Pkce};
use scenarios::actors::bank::{self, payment};
use scenarios::actors::{Administrator, App, Citizen, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

use crate::http::ACCOUNTS;
use crate::stepup::{challenged, verified, with_result};

scenarios! {
    keys_are_rotated_by_an_editor_alone,
    c13_keys_are_not_rotated_before_everybody_could_know_the_next_one,
    c13_a_token_is_good_for_its_whole_life_though_its_key_was_rotated,
    c13_what_is_published_is_public_and_may_be_kept_for_a_minute,
    keys_are_rotated_by_schedule,
    nobody_rotates_where_the_schedule_says_never,
    a_rotation_is_in_the_trail_and_the_trail_still_proves_itself,
    an_identity_result_is_good_after_a_rotation,
    keys_outlast_a_restart_and_rest_sealed,
    c12_what_lets_somebody_in_is_random_and_rests_hashed,
}

const TICK: Duration = Duration::from_secs(1);

async fn rotate(world: &World, by: &str) -> Answer {
    world.send(Administrator::of(world, by).dress(Ask::post("/admin/keys/rotations"))).await
}

/// The names of the keys in one state, as an administrator reads them.
async fn keys(world: &World, state: &str) -> Vec<String> {
    let told = Administrator::of(world, "aigerim").get(world, "/admin/keys").await.succeeded(200).json();
    let listed = told["keys"].as_array().unwrap().iter().filter(|key| key["state"] == state);
    listed.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn published(world: &World) -> Vec<Value> {
    let answer = world.send(Ask::get("/oauth/jwks")).await;
    answer.succeeded(200).json()["keys"].as_array().unwrap().clone()
}

async fn names(world: &World) -> Vec<String> {
    published(world).await.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn signed_by(token: &str) -> String {
    use base64::Engine as _;
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&head).unwrap()["kid"].as_str().unwrap().to_owned()
}

async fn keys_are_rotated_by_an_editor_alone(kind: Kind) {
    let world = World::start(kind).await;
    world.advance(PUBLISHED_BEFORE_USE);
    let before = names(&world).await;
    for other in ["daniyar", "saule", "nurlan"] {
        rotate(&world, other).await.refused(403, "administrator_refused");
    }
    world
        .send(Ask::post("/admin/keys/rotations").at(spine::stage::Door::Admin))
        .await
        .refused(401, "client_unauthenticated");
    Administrator::of(&world, "saule").get(&world, "/admin/keys").await.refused(403, "administrator_refused");
    // Nor at a door of the public.
    let administrator = Administrator::of(&world, "aigerim");
    let outside = administrator.dress(Ask::post("/admin/keys/rotations")).at(spine::stage::Door::Api);
    assert_eq!(world.send(outside).await.status, 404);
    assert_eq!(names(&world).await, before);
    let told = rotate(&world, "aigerim").await.succeeded(200).json();
    assert_eq!(told["keys"][0]["kid"], before[1].as_str());
    assert_eq!(told["keys"][2]["kid"], before[0].as_str());
}

async fn c13_keys_are_not_rotated_before_everybody_could_know_the_next_one(kind: Kind) {
    let world = World::start(kind).await;
    let before = names(&world).await;
    let from = world.now() + PUBLISHED_BEFORE_USE;
    world.advance(PUBLISHED_BEFORE_USE - TICK);
    let refused = rotate(&world, "aigerim").await;
    refused.refused(409, "change_refused");
    // The start was a moment before the scenario looked at the clock, never after.
    let told = policies::time::Timestamp::parse(&refused.at("/rotatableFrom")).unwrap();
    assert!(told <= from && told + TICK > from, "{told} {from}");
    assert!(refused.at("/detail").contains(&told.to_string()), "{}", refused.text());
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 1);
    assert_eq!(names(&world).await, before);
    world.advance(TICK);
    rotate(&world, "aigerim").await.succeeded(200);
    // The one that was just made has to wait as long.
    rotate(&world, "aigerim").await.refused(409, "change_refused");
}

async fn c13_a_token_is_good_for_its_whole_life_though_its_key_was_rotated(kind: Kind) {
    let world = World::start(kind).await;
    world.advance(PUBLISHED_BEFORE_USE);
    let early = Session::of(&world, "demo-app").await;
    let [current, next] = names(&world).await.try_into().unwrap();
    assert_eq!(signed_by(&early.token), current);
    rotate(&world, "aigerim").await.succeeded(200);
    let late = Session::of(&world, "demo-app").await;
    assert_eq!(signed_by(&late.token), next, "the next key signs");
    for session in [&early, &late] {
        session.get(ACCOUNTS).await.succeeded(200);
    }
    // Up to its end, and rotated once more in between.
    world.advance(ACCESS_TOKEN_TTL);
    rotate(&world, "aigerim").await.succeeded(200);
    early.get(ACCOUNTS).await.succeeded(200);
    world.advance(LEEWAY + TICK);
    early.get(ACCOUNTS).await.refused(401, "token_expired");
    world.advance(PUBLISHED_AFTER_USE);
    world.round().await.unwrap();
    assert!(!names(&world).await.contains(&current), "it is published without end");
    assert_eq!(keys(&world, "retired").await.last(), Some(&current));
    // What is not published any more verifies nothing: not that it is over, but that nobody knows who signed it.
    early.get(ACCOUNTS).await.refused(401, "token_invalid");
}

async fn c13_what_is_published_is_public_and_may_be_kept_for_a_minute(kind: Kind) {
    let world = World::start(kind).await;
    world.advance(PUBLISHED_BEFORE_USE);
    rotate(&world, "aigerim").await.succeeded(200);
    let answer = world.send(Ask::get("/oauth/jwks")).await;
    let kept = policies::rotation::KEYS_CACHE.as_secs();
    assert_eq!(answer.header("cache-control"), Some(format!("public, max-age={kept}").as_str()));
    let listed = published(&world).await;
    assert_eq!(listed.len(), 3);
    for key in &listed {
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert!(key.get(private).is_none(), "{private} is published");
        }
        assert_eq!(key["use"], "sig");
    }
    let mut kids = names(&world).await;
    kids.sort();
    kids.dedup();
    assert_eq!(kids.len(), listed.len(), "a kid stands twice");
}

async fn keys_are_rotated_by_schedule(kind: Kind) {
    let world = World::start(kind).await;
    let [current, next] = names(&world).await.try_into().unwrap();
    world.advance(ROTATE_EVERY - TICK);
    world.round().await.unwrap();
    assert_eq!(names(&world).await, [current.clone(), next.clone()]);
    world.advance(TICK + TICK);
    world.round().await.unwrap();
    assert_eq!(keys(&world, "current").await, std::slice::from_ref(&next));
    assert_eq!(keys(&world, "previous").await, [current]);
    assert_eq!(signed_by(&Session::of(&world, "demo-app").await.token), next);
    // Once, and not with every round.
    world.advance(PUBLISHED_AFTER_USE);
    world.round().await.unwrap();
    assert_eq!(keys(&world, "current").await, [next]);
}

async fn nobody_rotates_where_the_schedule_says_never(kind: Kind) {
    let setup = Setup::default().replacing("qaqpa.yaml", "webhooks:", "keys: {rotateEvery: never}\nwebhooks:");
    let world = World::with(kind, setup).await;
    let before = names(&world).await;
    world.advance(ROTATE_EVERY * 3);
    world.round().await.unwrap();
    assert_eq!(names(&world).await, before);
    let told = Administrator::of(&world, "daniyar").get(&world, "/admin/keys").await.succeeded(200).json();
    assert!(told.get("rotatesAt").is_none() && told.get("rotateEvery").is_none(), "{told}");
    rotate(&world, "aigerim").await.succeeded(200);
}

async fn a_rotation_is_in_the_trail_and_the_trail_still_proves_itself(kind: Kind) {
    let world = World::start(kind).await;
    world.advance(PUBLISHED_BEFORE_USE);
    let _app = Session::of(&world, "demo-app").await;
    world.audit().await;
    world.assembled().house.audit.sign().await.unwrap();
    let [first, second] = names(&world).await.try_into().unwrap();
    rotate(&world, "aigerim").await.succeeded(200);
    let record = world.audit().await.into_iter().rfind(|record| record["operation"] == "rotateSigningKeys").unwrap();
    assert_eq!(record["administrator"], "aigerim", "{record}");
    assert_eq!(record["reference"], second.as_str(), "{record}");
    world.assembled().house.audit.sign().await.unwrap();
    world.advance(PUBLISHED_AFTER_USE + TICK);
    world.round().await.unwrap();
    let rest = world.stop().await;
    let known = adapters::keys::known_public(&rest.state().join("keys"));
    let kids: Vec<_> = known.iter().filter_map(|key| key.kid()).collect();
    assert!(kids.contains(&first.as_str()) && kids.contains(&second.as_str()));
    let heads = std::fs::read_to_string(rest.state().join("audit/heads.jsonl")).unwrap();
    let signers: Vec<String> = heads.lines().map(|line| signed_by(line.trim_start_matches("{\"head\":\""))).collect();
    assert!(signers.contains(&first) && signers.contains(&second), "{signers:?}");
    let report =
        adapters::audit::inspect(&rest.state().join("audit"), &adapters::audit::Trust { keys: known, heads: vec![] });
    assert_eq!(report.faults, vec![]);
    // The trail is gone on with by the new key.
    let world = World::again(rest, Setup::default()).await.map_err(|(error, _)| error).unwrap();
    assert_eq!(names(&world).await.first(), Some(&second));
}

async fn an_identity_result_is_good_after_a_rotation(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, body) = (fresh("order"), payment("300000.00"));
    let challenge = challenged(&app, &key, &body).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let before = signed_by(&result);
    world.advance(PUBLISHED_BEFORE_USE);
    rotate(&world, "aigerim").await.succeeded(200);
    assert_ne!(keys(&world, "current").await, [before]);
    // The token is as old as the result, for which clocks are allowed to differ a little.
    let app = Session::of(&world, "demo-app").await;
    with_result(&app, &key, &body, &result).await.succeeded(201);
}

async fn keys_outlast_a_restart_and_rest_sealed(kind: Kind) {
    let world = World::start(kind).await;
    world.advance(PUBLISHED_BEFORE_USE);
    let early = Session::of(&world, "demo-app").await;
    rotate(&world, "aigerim").await.succeeded(200);
    let before = names(&world).await;
    let (app, token) = (early.app, early.token);
    let rest = world.stop().await;
    for entry in std::fs::read_dir(rest.state().join("keys")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains("PRIVATE KEY"), "{}", path.display());
    }
    let world = World::again(rest, Setup::default()).await.map_err(|(error, _)| error).unwrap();
    assert_eq!(names(&world).await, before);
    let early = Session { world: &world, app, token };
    early.get(ACCOUNTS).await.succeeded(200);
}

/// Gives every text that somebody could be let in by, of one citizen's way through.
async fn secrets(world: &World, app: &App) -> [String; 3] {
    let own = app.copy().session(world, Some("consents:write")).await;
    let consent = own.consent("/v1/account-access-consents", &json!({"permissions": ["accounts"]})).await;
    let (pkce, details) = (Pkce::fresh(), json!([{"type": "account_information", "consentId": consent}]));
    let pushed = app.push(world, &Fields::pushed(CALLBACK, "accounts:read", &pkce, &details)).await;
    let code = Citizen(1).approve(world, "citizen-app", &pushed).await.code();
    let granted = app.redeem(world, &code, &pkce).await;
    let request = pushed.at("/request_uri").rsplit(':').next().unwrap().to_owned();
    [request, code, granted.succeeded(200).at("/refresh_token")]
}

async fn c12_what_lets_somebody_in_is_random_and_rests_hashed(kind: Kind) {
    let (app, policy) = App::for_citizens("citizen-app");
    let world = World::with(kind, Setup::citizens().policy("citizen-app.yaml", policy)).await;
    let mut all = [secrets(&world, &app).await, secrets(&world, &app).await].concat();
    // 128 bits are 22 letters of base64url.
    assert!(all.iter().all(|secret| secret.len() >= 22), "{all:?}");
    let rest = world.stop().await;
    let mut files = vec![rest.state().to_owned()];
    let mut looked = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        looked += 1;
        let text = std::fs::read(&path).unwrap();
        for secret in &all {
            let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    assert!(looked > 10, "{looked}");
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6, "a secret came twice");
}
