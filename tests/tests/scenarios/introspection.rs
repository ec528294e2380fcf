//! Introspection (RFC 7662): what a resource server is told of tokens, and what it is not.

use std::time::Duration;

use policies::token::ACCESS_TOKEN_TTL;
use scenarios::actors::asking::{Fields, grant_directly};
use scenarios::actors::{App, Key};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::json;

store_scenarios! {
    as63_only_resource_servers_may_ask,
    as63_a_live_token_is_told_of,
    as63_a_citizens_token_is_told_of_as_far_as_it_concerns_who_asks,
    as63_a_token_that_is_worth_nothing_is_told_of_by_one_word,
    as63_what_was_taken_back_is_inactive_at_once,
}

async fn world(kind: Kind) -> (World, App, App) {
    let (app, policy) = App::for_citizens("citizen-app");
    let server = App::newcomer("resource-app");
    let scopes = ["accounts:read", "balances:read"];
    let server_policy = server.policy("demo-bank", &scopes, "introspects: true");
    let setup = Setup::citizens().policy("citizen-app.yaml", policy).policy("resource-app.yaml", server_policy);
    (World::with(kind, setup).await, app, server)
}

fn inactive(answer: &Answer) {
    answer.succeeded(200);
    assert_eq!(answer.text(), r#"{"active":false}"#);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

async fn as63_only_resource_servers_may_ask(kind: Kind) {
    let (world, app, server) = world(kind).await;
    let token = app.copy().session(&world, Some("accounts:read")).await.token;
    // Also not of its own token.
    app.introspect(&world, &token).await.oauth_refused(400, "unauthorized_client");
    App::of(&world, "demo-app").introspect(&world, &token).await.oauth_refused(400, "unauthorized_client");
    let thief = App { key: Some(Key::es256()), ..server.copy() };
    thief.introspect(&world, &token).await.oauth_refused(401, "invalid_client");
    world.send(Ask::get("/oauth/introspect")).await.oauth_refused(405, "invalid_request");
    let bare = [("token", token.as_str()), ("client_id", "resource-app")];
    world.send(Ask::post("/oauth/introspect").form(&bare)).await.oauth_refused(401, "invalid_client");
    let nothing = server.form_ask(&world, "/oauth/introspect", &Fields(Vec::new()));
    world.send(nothing).await.oauth_refused(400, "invalid_request");
    server.introspect(&world, &token).await.succeeded(200);
}

async fn as63_a_live_token_is_told_of(kind: Kind) {
    let (world, app, server) = world(kind).await;
    let session = app.copy().session(&world, Some("accounts:read")).await;
    let answer = server.introspect(&world, &session.token).await;
    let told = answer.succeeded(200).json();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(told["active"], true);
    assert_eq!(told["iss"], world.issuer());
    assert_eq!(told["client_id"], "citizen-app");
    assert_eq!(told["scope"], "accounts:read");
    assert_eq!(told["token_type"], "DPoP");
    assert_eq!(told["cnf"], json!({"jkt": session.app.proof_key.thumbprint()}));
    let claims = crate::tokens::reread(&session.token).claims;
    for name in ["aud", "sub", "exp", "jti"] {
        assert_eq!(told[name], claims[name], "{name}");
    }
    assert_eq!(told.get("authorization_details"), None);
    let by_certificate = App::of(&world, "demo-mtls-app").session(&world, Some("accounts:read")).await;
    let told = server.introspect(&world, &by_certificate.token).await.succeeded(200).json();
    assert_eq!(told["token_type"], "Bearer");
    assert!(told["cnf"]["x5t#S256"].is_string());
}

async fn as63_a_citizens_token_is_told_of_as_far_as_it_concerns_who_asks(kind: Kind) {
    let (world, app, server) = world(kind).await;
    let session = app.copy().session(&world, Some("consents:write")).await;
    let body = json!({"permissions": ["accounts", "balances", "transactions"]});
    let consent = session.consent("/v1/account-access-consents", &body).await;
    let scope = "accounts:read balances:read transactions:read";
    let granted = grant_directly(&world, "citizen-app", &consent, scope).await;
    let first = app.redeem(&world, &granted.code, &granted.pkce).await.succeeded(200).json();
    let told = server.introspect(&world, first["access_token"].as_str().unwrap()).await.succeeded(200).json();
    assert_eq!(told["scope"], "accounts:read balances:read");
    assert_eq!(told["authorization_details"][0]["consentId"], consent);
    assert_eq!(told["acr"], "urn:qaqpa:acr:L2");
    assert!(told["sub"].as_str().unwrap().starts_with("citizen:"));
    // A refresh token is no business of resource servers.
    inactive(&server.introspect(&world, first["refresh_token"].as_str().unwrap()).await);
}

async fn as63_a_token_that_is_worth_nothing_is_told_of_by_one_word(kind: Kind) {
    let (world, app, server) = world(kind).await;
    let token = app.copy().session(&world, Some("accounts:read")).await.token;
    let cut = token.split_at(token.len() - 4).0;
    for text in ["x", "a.b.c", cut, &format!("{cut}AAAA"), &"x".repeat(8000)] {
        inactive(&server.introspect(&world, text).await);
    }
    let assertion = app.assertion(&world).sign(app.key());
    inactive(&server.introspect(&world, &assertion).await);
    // For somebody else: none of its scopes is one that this server serves.
    let foreign = app.copy().session(&world, Some("payments:write consents:write")).await.token;
    inactive(&server.introspect(&world, &foreign).await);
    world.advance(ACCESS_TOKEN_TTL - Duration::from_secs(1));
    assert_eq!(server.introspect(&world, &token).await.json()["active"], true);
    world.advance(Duration::from_secs(1));
    inactive(&server.introspect(&world, &token).await);
}

async fn as63_what_was_taken_back_is_inactive_at_once(kind: Kind) {
    let (world, app, server) = world(kind).await;
    let own = app.copy().session(&world, Some("accounts:read")).await.token;
    assert_eq!(server.introspect(&world, &own).await.json()["active"], true);
    app.revoke(&world, &own).await.status_is(200);
    inactive(&server.introspect(&world, &own).await);
    let session = app.copy().session(&world, Some("consents:write")).await;
    let consent =
        session.consent("/v1/account-access-consents", &json!({"permissions": ["accounts", "balances"]})).await;
    let granted = grant_directly(&world, "citizen-app", &consent, "accounts:read balances:read").await;
    let first = app.redeem(&world, &granted.code, &granted.pkce).await.succeeded(200).json();
    let token = first["access_token"].as_str().unwrap();
    assert_eq!(server.introspect(&world, token).await.json()["active"], true);
    session.delete(&format!("/v1/account-access-consents/{consent}")).await.status_is(204);
    inactive(&server.introspect(&world, token).await);
    // So is a token of a client that may not act any more.
    let live = app.copy().session(&world, Some("accounts:read")).await.token;
    world.write_policy("citizen-app.yaml", "qaqpa: v1\n");
    world.reload().unwrap();
    inactive(&server.introspect(&world, &live).await);
}
