//! Nonces of DPoP proofs: asked for where policy says so, and judged wherever one is named (RFC 9449, sections 8 and 9).

use policies::nonce::NONCE_SLOT;
use scenarios::actors::{App, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

const ACCOUNTS: &str = "/v1/accounts";
const TOKEN: &str = "/oauth/token";

scenarios! {
    as44_the_token_endpoint_asks_for_a_nonce,
    as44_the_endpoint_of_pushed_requests_asks_for_the_same_nonce,
    as44_a_nonce_ends_and_the_next_one_rides_on_the_answer,
    rs4_rs32_a_resource_asks_for_a_nonce_of_its_own,
    rs32_a_nonce_that_was_not_asked_for_is_judged_too,
    rs32_a_nonce_of_another_client_is_none,
    rs33_a_proof_without_its_nonce_burns_nothing,
}

/// A client whose policy says that its proofs need nonces, and one like it.
async fn nonced(kind: Kind) -> (World, App, App) {
    let (app, other) = (App::newcomer("nonce-app"), App::newcomer("other-app"));
    let policy = |app: &App| {
        let policy = app.policy("demo-fintech", &["accounts:read"], "");
        policy.replace("tokens: {bind: dpop}", "tokens: {bind: dpop, nonce: required}")
    };
    let setup = Setup::default().policy("nonce.yaml", policy(&app)).policy("other.yaml", policy(&other));
    (World::with(kind, setup).await, app, other)
}

/// Asks an OAuth endpoint for something with a proof that names this nonce.
async fn ask(world: &World, app: &App, endpoint: &str, nonce: Option<Value>) -> Answer {
    let assertion = app.assertion(world).sign(app.key());
    let mut ask = app.token_ask_with(&assertion, None);
    ask.target = endpoint.to_owned();
    let url = format!("{}{endpoint}", world.external(ask.door));
    let mut proof = app.proof(world, "POST", &url, None);
    if let Some(nonce) = nonce {
        proof = proof.set("nonce", nonce);
    }
    world.send(ask.with("dpop", proof.sign(&app.proof_key))).await
}

/// Reads something with a proof that names this nonce.
async fn get(session: &Session<'_>, nonce: Option<Value>) -> Answer {
    let mut proof = session.proof(&Ask::get(ACCOUNTS));
    if let Some(nonce) = nonce {
        proof = proof.set("nonce", nonce);
    }
    session.send(Ask::get(ACCOUNTS).with("dpop", proof.sign(&session.app.proof_key))).await
}

/// Returns the one nonce that an answer brings; what brings one may rest in no cache.
fn brought(answer: &Answer) -> String {
    let all: Vec<&str> = answer.headers.get_all("dpop-nonce").iter().map(|value| value.to_str().unwrap()).collect();
    let [nonce] = all.as_slice() else { panic!("{} brings {all:?}", answer.status) };
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (*nonce).to_owned()
}

async fn with_token<'w>(world: &'w World, app: App) -> Session<'w> {
    let nonce = brought(&ask(world, &app, TOKEN, None).await);
    let answer = ask(world, &app, TOKEN, Some(json!(nonce))).await;
    answer.succeeded(200);
    Session { world, token: answer.at("/access_token"), app }
}

async fn as44_the_token_endpoint_asks_for_a_nonce(kind: Kind) {
    let (world, app, _) = nonced(kind).await;
    let mut nonces = Vec::new();
    let nobodys = [json!("x"), json!(""), json!("A".repeat(43)), json!("A".repeat(600))];
    for nonce in [None].into_iter().chain(nobodys.map(Some)) {
        let refused = ask(&world, &app, TOKEN, nonce).await;
        refused.oauth_refused(400, "use_dpop_nonce");
        assert_eq!(refused.header("www-authenticate"), None);
        nonces.push(brought(&refused));
    }
    nonces.dedup();
    let [nonce] = nonces.as_slice() else { panic!("{nonces:?}") };
    assert!(nonce.len() >= 22, "{nonce}: fewer than 128 bits");
    for malformed in [json!(1), json!([nonce]), json!({"nonce": nonce})] {
        ask(&world, &app, TOKEN, Some(malformed)).await.oauth_refused(400, "invalid_dpop_proof");
    }
    let answer = ask(&world, &app, TOKEN, Some(json!(nonce))).await;
    answer.succeeded(200);
    assert_eq!(answer.header("dpop-nonce"), None, "it is good for a while");
    // Who needs none is asked for none.
    let free = App::of(&world, "demo-app");
    let answer = ask(&world, &free, TOKEN, None).await;
    answer.succeeded(200);
    assert_eq!(answer.header("dpop-nonce"), None);
}

async fn as44_the_endpoint_of_pushed_requests_asks_for_the_same_nonce(kind: Kind) {
    let (world, app, _) = nonced(kind).await;
    let refused = ask(&world, &app, "/oauth/par", None).await;
    refused.oauth_refused(400, "use_dpop_nonce");
    let nonce = brought(&refused);
    assert_eq!(nonce, brought(&ask(&world, &app, TOKEN, None).await));
    // With it the request is judged for what it asks, which here is nothing that can be pushed.
    let judged = ask(&world, &app, "/oauth/par", Some(json!(nonce))).await;
    assert_ne!(judged.json()["error"], "use_dpop_nonce", "{}", judged.text());
}

async fn as44_a_nonce_ends_and_the_next_one_rides_on_the_answer(kind: Kind) {
    let (world, app, _) = nonced(kind).await;
    let first = brought(&ask(&world, &app, TOKEN, None).await);
    world.advance(NONCE_SLOT);
    let answer = ask(&world, &app, TOKEN, Some(json!(first))).await;
    answer.succeeded(200);
    let second = brought(&answer);
    assert_ne!(first, second);
    assert_eq!(ask(&world, &app, TOKEN, Some(json!(second))).await.succeeded(200).header("dpop-nonce"), None);
    world.advance(NONCE_SLOT);
    ask(&world, &app, TOKEN, Some(json!(first))).await.oauth_refused(400, "use_dpop_nonce");
    assert_ne!(brought(&ask(&world, &app, TOKEN, Some(json!(second))).await), second);
}

async fn rs4_rs32_a_resource_asks_for_a_nonce_of_its_own(kind: Kind) {
    let (world, app, _) = nonced(kind).await;
    let theirs = brought(&ask(&world, &app, TOKEN, None).await);
    let session = with_token(&world, app).await;
    let refused = get(&session, None).await;
    refused.refused(401, "proof_nonce_needed");
    assert!(refused.challenge().starts_with("DPoP algs="), "{}", refused.challenge());
    assert!(refused.challenge().contains("error=\"use_dpop_nonce\""), "{}", refused.challenge());
    let nonce = brought(&refused);
    // A nonce of the authorization server is none here, nor the other way round.
    assert_ne!(nonce, theirs);
    assert_eq!(brought(&get(&session, Some(json!(theirs))).await), nonce);
    assert_eq!(brought(&ask(&world, &session.app, TOKEN, Some(json!(nonce))).await), theirs);
    assert_eq!(get(&session, Some(json!(nonce))).await.succeeded(200).header("dpop-nonce"), None);
    for malformed in [json!(1), json!([nonce])] {
        get(&session, Some(malformed)).await.refused(401, "proof_invalid");
    }
    world.advance(NONCE_SLOT);
    // The token is over by then; another one comes with the next nonce of the authorization server.
    let session = with_token(&world, session.app).await;
    let next = brought(get(&session, Some(json!(nonce))).await.succeeded(200));
    assert_eq!(get(&session, Some(json!(next))).await.succeeded(200).header("dpop-nonce"), None);
    world.advance(NONCE_SLOT);
    let session = with_token(&world, session.app).await;
    get(&session, Some(json!(nonce))).await.refused(401, "proof_nonce_needed");
}

async fn rs32_a_nonce_that_was_not_asked_for_is_judged_too(kind: Kind) {
    let world = World::start(kind).await;
    let session = Session::of(&world, "demo-app").await;
    get(&session, None).await.succeeded(200);
    let refused = get(&session, Some(json!("x"))).await;
    refused.refused(401, "proof_nonce_needed");
    get(&session, Some(json!(brought(&refused)))).await.succeeded(200);
}

async fn rs32_a_nonce_of_another_client_is_none(kind: Kind) {
    let (world, app, other) = nonced(kind).await;
    let theirs = brought(&ask(&world, &other, TOKEN, None).await);
    ask(&world, &app, TOKEN, Some(json!(theirs))).await.oauth_refused(400, "use_dpop_nonce");
    let (session, other) = (with_token(&world, app).await, with_token(&world, other).await);
    let theirs = brought(&get(&other, None).await);
    get(&session, Some(json!(theirs))).await.refused(401, "proof_nonce_needed");
    get(&other, Some(json!(theirs))).await.succeeded(200);
}

async fn rs33_a_proof_without_its_nonce_burns_nothing(kind: Kind) {
    let (world, app, _) = nonced(kind).await;
    let session = with_token(&world, app).await;
    let nonce = brought(&get(&session, None).await);
    let proof = |nonce: Option<&str>| {
        let proof = session.proof(&Ask::get(ACCOUNTS)).set("jti", "the-same-each-time");
        nonce.map_or_else(|| proof.clone(), |nonce| proof.clone().set("nonce", nonce)).sign(&session.app.proof_key)
    };
    let send = |proof: String| session.send(Ask::get(ACCOUNTS).with("dpop", proof));
    send(proof(None)).await.refused(401, "proof_nonce_needed");
    send(proof(Some("x"))).await.refused(401, "proof_nonce_needed");
    send(proof(Some(&nonce))).await.succeeded(200);
    send(proof(Some(&nonce))).await.refused(401, "replay_detected");
}
