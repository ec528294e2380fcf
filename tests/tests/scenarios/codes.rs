//! Codes, refresh tokens and what they become: access tokens that speak for a citizen.

use std::time::Duration;

use policies::token::ACCESS_TOKEN_TTL;
use scenarios::actors::app::fresh;
use scenarios::actors::asking::{CALLBACK, Fields, Granted, Pkce, detail, grant_directly};
use scenarios::actors::{App, Key};
use scenarios::world::{Ask, Kind, Setup, World};
use serde_json::{Value, json};

use crate::races::together;

store_scenarios! {
    as10_a_code_is_redeemed_once,
    as10_a_code_is_for_its_client_place_and_verifier,
    as10_a_code_is_for_a_minute,
    as10_a_second_use_ends_everything,
    as10_of_fifty_at_once_one_redeems,
    as8_a_refresh_token_stays_as_it_is,
    as9_a_refresh_token_is_its_clients_own,
    as9_what_another_client_shows_is_recorded,
    as9_a_refresh_token_needs_a_key_which_may_be_another,
    as15_who_may_not_act_redeems_nothing,
    as71_what_was_granted_is_told_and_may_only_be_narrowed,
    as12_a_token_says_no_more_than_was_granted,
    as2_other_grants_are_refused,
    as65_a_refresh_token_that_is_given_back_ends_its_tokens,
    as65_an_access_token_that_is_given_back_is_worth_nothing,
    as65_what_is_not_ones_own_is_passed_over,
}

/// Longer than any consent of the shipped policies.
const LONGEST: Duration = Duration::from_secs(200 * 86_400);

const SCOPE: &str = "accounts:read balances:read";

struct Play {
    world: World,
    app: App,
    consent: String,
    granted: Granted,
}

async fn play(kind: Kind) -> Play {
    let (app, policy) = App::for_citizens("citizen-app");
    let (_, other) = App::for_citizens("other-app");
    let setup = Setup::citizens().policy("citizen-app.yaml", policy).policy("other-app.yaml", other);
    let world = World::with(kind, setup).await;
    let session = app.copy().session(&world, Some("consents:write")).await;
    let consent =
        session.consent("/v1/account-access-consents", &json!({"permissions": ["accounts", "balances"]})).await;
    let granted = grant_directly(&world, "citizen-app", &consent, SCOPE).await;
    Play { world, app, consent, granted }
}

impl Play {
    fn right(&self) -> Fields {
        Fields::redemption(CALLBACK, &self.granted.code, &self.granted.pkce.verifier)
    }

    async fn redeemed(&self) -> Value {
        let answer = self.app.ask_token(&self.world, &self.right()).await;
        answer.succeeded(200).json()
    }

    async fn works(&self, token: &str) -> bool {
        let session = self.app.copy().with_token(&self.world, token);
        let answer = session.get("/v1/accounts").await;
        if answer.status == 401 {
            answer.refused(401, "token_invalid");
            return false;
        }
        answer.succeeded(200);
        true
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

async fn as10_a_code_is_redeemed_once(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let answer = app.ask_token(world, &play.right()).await;
    answer.succeeded(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.at("/token_type"), "DPoP");
    assert_eq!(answer.json()["expires_in"], ACCESS_TOKEN_TTL.as_secs());
    assert_eq!(answer.at("/refresh_token").len(), 43);
    assert!(play.works(&answer.at("/access_token")).await);
    app.ask_token(world, &play.right()).await.oauth_refused(400, "invalid_grant");
}

async fn as10_a_code_is_for_its_client_place_and_verifier(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    for (field, value, error) in [
        ("code", "no-such-code", "invalid_grant"),
        ("redirect_uri", "https://app.example/other", "invalid_grant"),
        ("redirect_uri", "https://app.example/callback/", "invalid_grant"),
        ("code_verifier", Pkce::fresh().verifier.as_str(), "invalid_grant"),
        ("code_verifier", play.granted.pkce.challenge.as_str(), "invalid_grant"),
        ("code_verifier", "short", "invalid_grant"),
    ] {
        let refused = app.ask_token(world, &play.right().set(field, value)).await;
        refused.oauth_refused(400, error);
    }
    for (field, error) in
        [("code", "invalid_request"), ("redirect_uri", "invalid_request"), ("code_verifier", "invalid_grant")]
    {
        app.ask_token(world, &play.right().without(field)).await.oauth_refused(400, error);
    }
    // Another client that has got hold of all of it.
    let other = App { id: "other-app".to_owned(), ..app.copy() };
    other.ask_token(world, &play.right()).await.oauth_refused(401, "invalid_client");
    let demo = App::of(world, "demo-app");
    demo.ask_token(world, &play.right()).await.oauth_refused(400, "invalid_grant");
    // None of that has used the code up.
    play.redeemed().await;
}

async fn as10_a_code_is_for_a_minute(kind: Kind) {
    let play = play(kind).await;
    play.world.advance(Duration::from_secs(60));
    play.app.ask_token(&play.world, &play.right()).await.oauth_refused(400, "invalid_grant");
    let play = self::play(kind).await;
    play.world.advance(Duration::from_secs(59));
    play.redeemed().await;
}

async fn as10_a_second_use_ends_everything(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let first = play.redeemed().await;
    let (access, refresh) = (text(&first, "access_token"), text(&first, "refresh_token"));
    assert!(play.works(&access).await);
    let later = app.refresh(world, &refresh).await.succeeded(200).at("/access_token");
    app.ask_token(world, &play.right()).await.oauth_refused(400, "invalid_grant");
    assert!(!play.works(&access).await);
    assert!(!play.works(&later).await);
    app.refresh(world, &refresh).await.oauth_refused(400, "invalid_grant");
    let session = app.copy().session(world, Some("consents:write")).await;
    let read = session.get(&format!("/v1/account-access-consents/{}", play.consent)).await;
    assert_eq!(read.succeeded(200).at("/status"), "revoked");
}

async fn as10_of_fifty_at_once_one_redeems(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let asks: Vec<Ask> =
        (0..50).map(|_| app.with_proof(world, app.form_ask(world, "/oauth/token", &play.right()))).collect();
    let answers = together(asks.into_iter().map(|ask| Box::pin(world.send(ask)) as _)).await;
    let redeemed: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(redeemed.len(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused.oauth_refused(400, "invalid_grant");
    }
    // Forty-nine have shown it a second time.
    assert!(!play.works(&redeemed[0].at("/access_token")).await);
}

async fn as8_a_refresh_token_stays_as_it_is(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let refresh = text(&play.redeemed().await, "refresh_token");
    app.refresh(world, "no-such-token").await.oauth_refused(400, "invalid_grant");
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..3 {
        let answer = app.refresh(world, &refresh).await;
        answer.succeeded(200);
        assert_eq!(answer.json().get("refresh_token"), None);
        assert_eq!(answer.at("/token_type"), "DPoP");
        assert!(play.works(&answer.at("/access_token")).await);
        assert!(tokens.insert(answer.at("/access_token")));
        world.advance(ACCESS_TOKEN_TTL * 2);
    }
    // As long as the consent, not longer.
    world.advance(LONGEST);
    app.refresh(world, &refresh).await.oauth_refused(400, "invalid_grant");
}

async fn as9_a_refresh_token_is_its_clients_own(kind: Kind) {
    let play = play(kind).await;
    let refresh = text(&play.redeemed().await, "refresh_token");
    let other = App::of(&play.world, "demo-app");
    other.refresh(&play.world, &refresh).await.oauth_refused(400, "invalid_grant");
    let unauthenticated = [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("client_id", "citizen-app")];
    let refused = play.world.send(Ask::post("/oauth/token").form(&unauthenticated)).await;
    refused.oauth_refused(401, "invalid_client");
    play.app.refresh(&play.world, &refresh).await.succeeded(200);
}

async fn as9_what_another_client_shows_is_recorded(kind: Kind) {
    let play = play(kind).await;
    let (world, grant) = (&play.world, play.granted.grant.as_str());
    let refresh = text(&play.redeemed().await, "refresh_token");
    App::of(world, "demo-app").refresh(world, &refresh).await.oauth_refused(400, "invalid_grant");
    play.app.ask_token(world, &play.right()).await.oauth_refused(400, "invalid_grant");
    let records = world.audit().await;
    let noted = |client: &str, decision: &str| {
        records.iter().any(|record| {
            let steps = record["steps"].as_array().into_iter().flatten();
            record["client"] == client
                && record["reference"] == grant
                && steps.into_iter().any(|step| step["stage"] == "grant" && step["decision"] == decision)
        })
    };
    assert!(noted("demo-app", "not_theirs"), "{records:?}");
    assert!(noted("citizen-app", "used_before"), "{records:?}");
    let told = format!("{records:?}");
    assert!(!told.contains(&refresh) && !told.contains(&play.granted.code));
}

async fn as9_a_refresh_token_needs_a_key_which_may_be_another(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let refresh = text(&play.redeemed().await, "refresh_token");
    let fields = Fields(Vec::new()).set("grant_type", "refresh_token").set("refresh_token", &refresh);
    let bare = world.send(app.form_ask(world, "/oauth/token", &fields)).await;
    bare.oauth_refused(400, "invalid_dpop_proof");
    // RFC 9449, section 5: a confidential client may go on with another key.
    let moved = App { proof_key: Key::es256(), ..app.copy() };
    let answer = moved.ask_token(world, &fields).await;
    let token = answer.succeeded(200).at("/access_token");
    assert_eq!(crate::tokens::reread(&token).claims["cnf"], json!({"jkt": moved.proof_key.thumbprint()}));
    assert!(!play.works_with(&token, app).await);
    assert!(play.works_with(&token, &moved).await);
}

impl Play {
    async fn works_with(&self, token: &str, app: &App) -> bool {
        app.copy().with_token(&self.world, token).get("/v1/accounts").await.status == 200
    }
}

async fn as15_who_may_not_act_redeems_nothing(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let refresh = text(&play.redeemed().await, "refresh_token");
    let access = app.refresh(world, &refresh).await.succeeded(200).at("/access_token");
    let session = app.copy().session(world, Some("consents:write")).await;
    let consent =
        session.consent("/v1/account-access-consents", &json!({"permissions": ["accounts", "balances"]})).await;
    let granted = grant_directly(world, "citizen-app", &consent, SCOPE).await;
    let scopes = ["accounts:read", "balances:read", "consents:write"];
    let policy = app.policy("demo-fintech", &scopes, &format!("redirectUris: [\"{CALLBACK}\"]"));
    world.write_policy("citizen-app.yaml", &format!("{policy}    suspended: true\n"));
    world.reload().unwrap();
    app.redeem(world, &granted.code, &granted.pkce).await.oauth_refused(400, "unauthorized_client");
    app.refresh(world, &refresh).await.oauth_refused(400, "unauthorized_client");
    app.introspect(world, &access).await.oauth_refused(400, "unauthorized_client");
    let call = app.copy().with_token(world, &access).get("/v1/accounts").await;
    call.refused(403, "client_suspended");
    app.revoke(world, &refresh).await.oauth_refused(400, "unauthorized_client");
    world.write_policy("citizen-app.yaml", &policy);
    world.reload().unwrap();
    // Nothing of that has changed what was granted.
    app.refresh(world, &refresh).await.succeeded(200);
    app.redeem(world, &granted.code, &granted.pkce).await.succeeded(200);
}

async fn as71_what_was_granted_is_told_and_may_only_be_narrowed(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    for (name, value, error) in [
        (
            "authorization_details",
            detail("payment_initiation", &play.consent).to_string(),
            "invalid_authorization_details",
        ),
        (
            "authorization_details",
            detail("account_information", &fresh("c")).to_string(),
            "invalid_authorization_details",
        ),
        ("authorization_details", "[]".to_owned(), "invalid_authorization_details"),
        (
            "authorization_details",
            r#"[{"type":"account_information","permissions":["transactions"]}]"#.to_owned(),
            "invalid_authorization_details",
        ),
    ] {
        let refused = app.ask_token(world, &play.right().set(name, value.as_str())).await;
        assert_eq!(refused.status, 400, "{value}: {}", refused.text());
        assert_eq!(refused.at("/error"), error, "{value}");
    }
    let first = play.redeemed().await;
    let told = &first["authorization_details"][0];
    assert_eq!(told["type"], "account_information");
    assert_eq!(told["consentId"], play.consent);
    assert_eq!(told["permissions"], json!(["accounts", "balances"]));
    assert_eq!(told["accounts"].as_array().unwrap().len(), 1);
    let claims = crate::tokens::reread(&text(&first, "access_token")).claims;
    assert_eq!(claims["authorization_details"], first["authorization_details"]);
    let refresh = text(&first, "refresh_token");
    let asking = |scope: &str| {
        Fields(Vec::new()).set("grant_type", "refresh_token").set("refresh_token", &refresh).set("scope", scope)
    };
    for wider in ["accounts:read transactions:read", "payments:write", "no:such"] {
        app.ask_token(world, &asking(wider)).await.oauth_refused(400, "invalid_scope");
    }
    let narrowed = app.ask_token(world, &asking("balances:read")).await;
    assert_eq!(narrowed.succeeded(200).at("/scope"), "balances:read");
    // Narrowing is for one token: the grant is as wide as it was.
    assert_eq!(app.refresh(world, &refresh).await.succeeded(200).at("/scope"), SCOPE);
}

async fn as12_a_token_says_no_more_than_was_granted(kind: Kind) {
    let play = play(kind).await;
    let first = play.redeemed().await;
    let claims = crate::tokens::reread(&text(&first, "access_token")).claims;
    assert_eq!(claims["aud"], play.world.issuer());
    assert_eq!(text(&first, "scope"), SCOPE);
    let session = play.app.copy().with_token(&play.world, text(&first, "access_token"));
    session.get("/v1/accounts/acc/transactions").await.refused(403, "insufficient_scope");
    let body = json!({"permissions": ["accounts"]});
    session.post("/v1/account-access-consents", &fresh("c"), &body).await.refused(403, "insufficient_scope");
}

async fn as2_other_grants_are_refused(kind: Kind) {
    let play = play(kind).await;
    for grant_type in
        ["password", "implicit", "urn:ietf:params:oauth:grant-type:token-exchange", "", "Authorization_Code"]
    {
        let refused = play.app.ask_token(&play.world, &play.right().set("grant_type", grant_type)).await;
        let error = if grant_type.is_empty() { "invalid_request" } else { "unsupported_grant_type" };
        refused.oauth_refused(400, error);
    }
    play.redeemed().await;
}

async fn as65_a_refresh_token_that_is_given_back_ends_its_tokens(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let first = play.redeemed().await;
    let (access, refresh) = (text(&first, "access_token"), text(&first, "refresh_token"));
    let answer = app.revoke(world, &refresh).await;
    answer.status_is(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(!play.works(&access).await);
    app.refresh(world, &refresh).await.oauth_refused(400, "invalid_grant");
    app.revoke(world, &refresh).await.status_is(200);
}

async fn as65_an_access_token_that_is_given_back_is_worth_nothing(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let first = play.redeemed().await;
    let (access, refresh) = (text(&first, "access_token"), text(&first, "refresh_token"));
    app.revoke(world, &access).await.status_is(200);
    assert!(!play.works(&access).await);
    // Only that token: the grant goes on.
    let next = app.refresh(world, &refresh).await.succeeded(200).at("/access_token");
    assert!(play.works(&next).await);
}

async fn as65_what_is_not_ones_own_is_passed_over(kind: Kind) {
    let play = play(kind).await;
    let (world, app) = (&play.world, &play.app);
    let first = play.redeemed().await;
    let (access, refresh) = (text(&first, "access_token"), text(&first, "refresh_token"));
    let other = App::of(world, "demo-app");
    for token in ["no-such-token", &access, &refresh, "a.b.c", &"x".repeat(8000)] {
        let answer = other.revoke(world, token).await;
        answer.status_is(200);
        assert!(answer.body.is_empty());
    }
    let hinted = Fields(Vec::new()).set("token", &access).set("token_type_hint", "no_such_type");
    world.send(other.form_ask(world, "/oauth/revoke", &hinted)).await.status_is(200);
    let nothing = Fields(Vec::new());
    world.send(app.form_ask(world, "/oauth/revoke", &nothing)).await.oauth_refused(400, "invalid_request");
    world.send(Ask::get("/oauth/revoke")).await.oauth_refused(405, "invalid_request");
    assert!(play.works(&access).await);
    app.refresh(world, &refresh).await.succeeded(200);
}
