//! What was taken back: here at once, elsewhere within a second, and nothing is believed without the store.

use std::time::Duration;

use adapters::authorizations::Batch;
use gateway::revocations::REVOCATION_LAG_MAX;
use policies::jose::base64url_decode_strict;
use policies::revocation::{self, Revoked};
use policies::token::ACCESS_TOKEN_TTL;
use scenarios::actors::app::fresh;
use scenarios::actors::asking::{Fields, grant_directly};
use scenarios::actors::bank::payment;
use scenarios::actors::{App, Session, Wire};
use scenarios::world::{self, Ask, Kind, Setup, Twin, World};
use serde_json::{Value, json};

store_scenarios! {
    a_token_that_was_taken_back_elsewhere_ends_within_a_second,
    a_token_that_was_taken_back_elsewhere_ends_with_the_next_round,
    a_grant_that_was_ended_elsewhere_ends_all_its_tokens,
    what_is_taken_back_here_ends_at_once,
    what_was_taken_back_before_the_start_stays_so,
}

const TICK: Duration = Duration::from_millis(1);
const ACCOUNTS: &str = "/v1/accounts";

/// Takes something back as another gateway on the same store would.
async fn elsewhere(world: &World, name: [u8; 32]) {
    let revoked = Revoked { name, until: world.now() + ACCESS_TOKEN_TTL + ACCESS_TOKEN_TTL };
    let store = &*world.assembled().house.durable;
    assert!(Batch::new().revoke(revoked).commit(store, world.now()).await.unwrap());
}

fn name_of(world: &World, token: &str) -> [u8; 32] {
    let claims: Value =
        serde_json::from_slice(&base64url_decode_strict(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    revocation::token(world.issuer(), claims["jti"].as_str().unwrap())
}

async fn give_back(world: &World, app: &App, token: &str) {
    app.revoke(world, token).await.status_is(200);
}

async fn a_token_that_was_taken_back_elsewhere_ends_within_a_second(kind: Kind) {
    let world = World::start(kind).await;
    let (app, other) = (Session::of(&world, "demo-app").await, Session::of(&world, "demo-app").await);
    app.get(ACCOUNTS).await.succeeded(200);
    elsewhere(&world, name_of(&world, &app.token)).await;
    world.advance(REVOCATION_LAG_MAX + TICK);
    app.get(ACCOUNTS).await.refused(401, "token_invalid");
    app.pay(&fresh("order"), &payment("1.00")).await.refused(401, "token_invalid");
    // Another token of the same client goes on.
    other.get(ACCOUNTS).await.succeeded(200);
}

async fn a_token_that_was_taken_back_elsewhere_ends_with_the_next_round(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    app.get(ACCOUNTS).await.succeeded(200);
    elsewhere(&world, name_of(&world, &app.token)).await;
    world.round().await.unwrap();
    app.get(ACCOUNTS).await.refused(401, "token_invalid");
}

/// A world with a citizen's grant, and the answer of the token endpoint for its code.
async fn granted(kind: Kind) -> (World, App, policies::id::GrantId, Value) {
    let (app, policy) = App::for_citizens("citizen-app");
    let world = World::with(kind, Setup::citizens().policy("citizen-app.yaml", policy)).await;
    let session = app.copy().session(&world, Some("consents:write")).await;
    let wanted = json!({"permissions": ["accounts", "balances"]});
    let consent = session.consent("/v1/account-access-consents", &wanted).await;
    let granted = grant_directly(&world, "citizen-app", &consent, "accounts:read balances:read").await;
    let answer = app.redeem(&world, &granted.code, &granted.pkce).await;
    let told = answer.succeeded(200).json();
    (world, app, granted.grant, told)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

async fn a_grant_that_was_ended_elsewhere_ends_all_its_tokens(kind: Kind) {
    let (world, app, grant, told) = granted(kind).await;
    let refreshed = app.refresh(&world, text(&told, "refresh_token")).await.succeeded(200).json();
    let sessions = [&told, &refreshed].map(|told| app.copy().with_token(&world, text(told, "access_token")));
    for session in &sessions {
        session.get(ACCOUNTS).await.succeeded(200);
    }
    elsewhere(&world, revocation::grant(&grant)).await;
    world.advance(REVOCATION_LAG_MAX + TICK);
    for session in &sessions {
        session.get(ACCOUNTS).await.refused(401, "token_invalid");
    }
    // The client's own tokens have nothing to do with it.
    let own = app.copy().session(&world, Some("consents:write")).await;
    own.get("/v1/account-access-consents/018f3c1e-9d84-7e4f-8a31-5c7d9e0f2a31").await.refused(404, "not_found");
}

async fn what_is_taken_back_here_ends_at_once(kind: Kind) {
    let (world, app, _, told) = granted(kind).await;
    let token = text(&told, "access_token").to_owned();
    let session = app.copy().with_token(&world, &token);
    session.get(ACCOUNTS).await.succeeded(200);
    give_back(&world, &app, &token).await;
    session.get(ACCOUNTS).await.refused(401, "token_invalid");
    let refreshed = app.refresh(&world, text(&told, "refresh_token")).await.succeeded(200).json();
    let session = app.copy().with_token(&world, text(&refreshed, "access_token"));
    session.get(ACCOUNTS).await.succeeded(200);
    give_back(&world, &app, text(&told, "refresh_token")).await;
    session.get(ACCOUNTS).await.refused(401, "token_invalid");
    let again =
        Fields(Vec::new()).set("grant_type", "refresh_token").set("refresh_token", text(&told, "refresh_token"));
    app.ask_token(&world, &again).await.oauth_refused(400, "invalid_grant");
}

async fn what_was_taken_back_before_the_start_stays_so(kind: Kind) {
    let world = World::start(kind).await;
    let held = async || {
        let session = Session::of(&world, "demo-app").await;
        (session.app, session.token)
    };
    let ((given_by, given), (kept_by, kept)) = (held().await, held().await);
    give_back(&world, &given_by, &given).await;
    let world = World::again(world.stop().await, Setup::default()).await.map_err(|(error, _)| error).unwrap();
    given_by.with_token(&world, given).get(ACCOUNTS).await.refused(401, "token_invalid");
    kept_by.with_token(&world, kept).get(ACCOUNTS).await.succeeded(200);
}

#[tokio::test]
async fn of_two_gateways_on_one_store_each_ends_what_the_other_took_back() {
    let world = World::with(Kind::Real, Setup::default()).await;
    let twin = Twin::beside(&world);
    let app = App::of(&world, "demo-app");
    let session = Session::of(&world, "demo-app").await;
    assert_eq!(twin.send(&world, &session.dress(Ask::get(ACCOUNTS))).await.status, 200);
    give_back(&world, &app, &session.token).await;
    session.get(ACCOUNTS).await.refused(401, "token_invalid");
    // As long as the list there is fresh it may not know yet, and not a moment longer.
    twin.advance(REVOCATION_LAG_MAX + TICK);
    twin.send(&world, &session.dress(Ask::get(ACCOUNTS))).await.refused(401, "token_invalid");
    // And the other way round.
    let session = Session::of(&world, "demo-app").await;
    session.get(ACCOUNTS).await.succeeded(200);
    let ask = app.form_ask(&world, "/oauth/revoke", &Fields(Vec::new()).set("token", &session.token));
    assert_eq!(twin.send(&world, &ask).await.status, 200);
    assert_eq!(twin.send(&world, &session.dress(Ask::get(ACCOUNTS))).await.status, 401);
    world.advance(REVOCATION_LAG_MAX + TICK);
    session.get(ACCOUNTS).await.refused(401, "token_invalid");
}

#[tokio::test]
async fn of_two_gateways_on_one_store_chores_alone_bring_it_over() {
    let world = World::with(Kind::Real, Setup::default()).await;
    let twin = Twin::beside(&world);
    let session = Session::of(&world, "demo-app").await;
    assert_eq!(twin.send(&world, &session.dress(Ask::get(ACCOUNTS))).await.status, 200);
    give_back(&world, &App::of(&world, "demo-app"), &session.token).await;
    for mut chore in twin.assembled.chores.make() {
        if chore.name() == "follow revocations" {
            chore.round().await.unwrap();
        }
    }
    twin.send(&world, &session.dress(Ask::get(ACCOUNTS))).await.refused(401, "token_invalid");
}

/// Breaks the way to the store by `breaking`, and checks that tokens are believed for a second and no longer.
async fn nothing_is_believed_while(breaking: impl Fn(&Wire)) {
    let wire = Wire::before(world::real::postgres());
    let setup = Setup { postgres: Some(wire.address()), statement: Some("1s"), ..Setup::default() };
    let world = World::with(Kind::Real, setup).await;
    let app = Session::of(&world, "demo-app").await;
    app.get(ACCOUNTS).await.succeeded(200);
    breaking(&wire);
    world.advance(REVOCATION_LAG_MAX);
    app.get(ACCOUNTS).await.succeeded(200);
    world.advance(TICK);
    let refused = app.get(ACCOUNTS).await;
    refused.refused(503, "dependency_down");
    assert!(refused.header("retry-after").is_some());
    // Who needs no token is answered on.
    world.send(Ask::get("/v1/discovery/status")).await.succeeded(200);
    wire.mend();
    // The store tries by itself to reach its database again.
    let well = async { while app.get(ACCOUNTS).await.status != 200 {} };
    tokio::time::timeout(world::PATIENCE, well).await.unwrap();
}

#[tokio::test]
async fn without_the_store_no_token_is_believed_for_longer_than_a_second() {
    nothing_is_believed_while(Wire::cut).await;
}

#[tokio::test]
async fn before_a_silent_store_no_token_is_believed_for_longer_than_a_second() {
    nothing_is_believed_while(Wire::half_open).await;
}
