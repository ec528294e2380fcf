//! Consents as resources: a client asks for them, reads how they stand, and ends them.

use std::time::Duration;

use policies::authorization::AuthorizationCode;
use scenarios::actors::app::fresh;
use scenarios::actors::asking::{CALLBACK, Fields, Pkce, grant_directly};
use scenarios::actors::bank::iban;
use scenarios::actors::citizen::Citizen;
use scenarios::actors::{App, Session};
use scenarios::world::{Kind, Setup, World};
use serde_json::{Value, json};

store_scenarios! {
    a_consent_is_made_once_per_key_and_read_by_its_client,
    a_consent_is_nobody_elses,
    a_consent_that_cannot_be_is_refused,
    a_consent_waits_for_an_hour,
    a_consent_is_over_when_its_time_is,
    a_consent_that_is_ended_ends_its_tokens_within_a_second,
    as13_a_citizens_token_makes_no_consents,
    a_consent_needs_scope_role_and_licence,
    of_twenty_who_end_a_consent_all_succeed_and_it_is_over,
    two_consents_of_one_request_end_together,
    a_consent_can_be_ended_when_its_grant_is_over_already,
}

const ACCOUNTS: &str = "/v1/account-access-consents";
const PAYMENTS: &str = "/v1/domestic-payment-consents";

fn access() -> Value {
    json!({"permissions": ["accounts", "balances"], "purpose": "Keeping your household accounts"})
}

fn order() -> Value {
    json!({
        "creditorAccount": {"iban": iban(2)}, "creditorName": "Bolat Sandbaev",
        "instructedAmount": {"amount": "1500.00", "currency": "KZT"}, "knp": "343", "remittanceInformation": "Invoice 17",
    })
}

async fn world(kind: Kind) -> (World, App, App) {
    let (app, policy) = App::for_citizens("citizen-app");
    let (other, others) = App::for_citizens("other-app");
    let setup = Setup::citizens().policy("citizen-app.yaml", policy).policy("other-app.yaml", others);
    (World::with(kind, setup).await, app, other)
}

async fn own(world: &World, app: App) -> Session<'_> {
    app.session(world, Some("consents:write")).await
}

async fn status(session: &Session<'_>, path: &str, id: &str) -> String {
    session.get(&format!("{path}/{id}")).await.succeeded(200).at("/status")
}

async fn a_consent_is_made_once_per_key_and_read_by_its_client(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let session = own(&world, app).await;
    for (path, body) in [(ACCOUNTS, access()), (PAYMENTS, order())] {
        let missing = session.send(scenarios::world::Ask::post(path).json(&body)).await;
        missing.refused(400, "idempotency_key_missing");
        let key = fresh("consent");
        let made = session.post(path, &key, &body).await;
        made.succeeded(201);
        assert_eq!(made.header("cache-control"), Some("no-store"));
        let id = made.at("/consentId");
        assert_eq!(session.post(path, &key, &body).await.succeeded(201).at("/consentId"), id);
        let mut other = body.clone();
        other["expiresAt"] = json!(in_days(&world, 1));
        session.post(path, &key, &other).await.refused(422, "idempotency_mismatch");
        let read = session.get(&format!("{path}/{id}")).await.succeeded(200).json();
        assert_eq!(read["status"], "awaiting_authorisation");
        for (member, value) in body.as_object().unwrap() {
            assert_eq!(&read[member], value, "{member}");
        }
        assert_eq!(made.json(), read);
        // A consent of one kind is none of the other.
        let elsewhere = if path == ACCOUNTS { PAYMENTS } else { ACCOUNTS };
        session.get(&format!("{elsewhere}/{id}")).await.refused(404, "not_found");
        session.delete(&format!("{elsewhere}/{id}")).await.refused(404, "not_found");
    }
}

fn in_days(world: &World, days: u64) -> String {
    (world.now() + Duration::from_secs(days * 86_400)).to_string()
}

async fn a_consent_is_nobody_elses(kind: Kind) {
    let (world, app, other) = world(kind).await;
    let session = own(&world, app).await;
    let other = own(&world, other).await;
    let id = session.consent(ACCOUNTS, &access()).await;
    let unknown = other.get(&format!("{ACCOUNTS}/018f3c1e-5a11-7d01-8c3f-2b9d7e6f1a20")).await;
    let theirs = other.get(&format!("{ACCOUNTS}/{id}")).await;
    unknown.refused(404, "not_found");
    theirs.refused(404, "not_found");
    assert_eq!(unknown.json()["detail"], theirs.json()["detail"]);
    other.delete(&format!("{ACCOUNTS}/{id}")).await.refused(404, "not_found");
    other.get(&format!("{ACCOUNTS}/no-uuid")).await.refused(400, "schema_violation");
    assert_eq!(status(&session, ACCOUNTS, &id).await, "awaiting_authorisation");
}

async fn a_consent_that_cannot_be_is_refused(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let session = own(&world, app).await;
    let with = |body: &Value, name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    let past = (world.now() - Duration::from_secs(1)).to_string();
    for (path, body, status, name) in [
        (ACCOUNTS, json!({}), 400, "schema_violation"),
        (ACCOUNTS, json!({"permissions": []}), 400, "schema_violation"),
        (ACCOUNTS, json!({"permissions": ["all"]}), 400, "schema_violation"),
        (ACCOUNTS, json!({"permissions": ["accounts", "accounts"]}), 400, "schema_violation"),
        (ACCOUNTS, json!({"permissions": ["balances"]}), 422, "consent_invalid"),
        (ACCOUNTS, with(&access(), "purpose", json!("")), 400, "schema_violation"),
        (ACCOUNTS, with(&access(), "purpose", json!("x".repeat(141))), 400, "schema_violation"),
        (ACCOUNTS, with(&access(), "extra", json!(1)), 400, "schema_violation"),
        (ACCOUNTS, with(&access(), "accounts", json!([{"iban": "KZ00901SBX0000000101"}])), 422, "consent_invalid"),
        (ACCOUNTS, with(&access(), "expiresAt", json!(past)), 422, "consent_invalid"),
        (ACCOUNTS, with(&access(), "expiresAt", json!(in_days(&world, 3650))), 422, "consent_invalid"),
        (ACCOUNTS, with(&access(), "expiresAt", json!("tomorrow")), 400, "schema_violation"),
        (PAYMENTS, with(&order(), "creditorAccount", json!({"iban": "KZ00901SBX0000000101"})), 422, "consent_invalid"),
        (PAYMENTS, with(&order(), "debtorAccount", json!({"iban": iban(2)})), 422, "consent_invalid"),
        (
            PAYMENTS,
            with(&order(), "instructedAmount", json!({"amount": "0.00", "currency": "KZT"})),
            422,
            "consent_invalid",
        ),
        (
            PAYMENTS,
            with(&order(), "instructedAmount", json!({"amount": "1", "currency": "KZT"})),
            400,
            "schema_violation",
        ),
        (PAYMENTS, with(&order(), "knp", json!("abc")), 400, "schema_violation"),
        (PAYMENTS, with(&order(), "creditorName", json!("")), 400, "schema_violation"),
        (PAYMENTS, with(&order(), "expiresAt", json!(in_days(&world, 30))), 422, "consent_invalid"),
    ] {
        let refused = session.post(path, &fresh("consent"), &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text());
        refused.refused(status, name);
    }
}

async fn a_consent_waits_for_an_hour(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let session = own(&world, app.copy()).await;
    let id = session.consent(ACCOUNTS, &access()).await;
    world.advance(Duration::from_secs(3599));
    let session = own(&world, app.copy()).await;
    assert_eq!(status(&session, ACCOUNTS, &id).await, "awaiting_authorisation");
    world.advance(Duration::from_secs(1));
    assert_eq!(status(&session, ACCOUNTS, &id).await, "rejected");
    // Nobody can end what is over, and saying so twice is no fault.
    session.delete(&format!("{ACCOUNTS}/{id}")).await.status_is(204);
    assert_eq!(status(&session, ACCOUNTS, &id).await, "rejected");
}

async fn a_consent_is_over_when_its_time_is(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let session = own(&world, app.copy()).await;
    let mut body = access();
    body["expiresAt"] = json!(in_days(&world, 2));
    let id = session.consent(ACCOUNTS, &body).await;
    let granted = grant_directly(&world, "citizen-app", &id, "accounts:read balances:read").await;
    assert_eq!(status(&session, ACCOUNTS, &id).await, "authorised");
    let read = session.get(&format!("{ACCOUNTS}/{id}")).await.json();
    assert_eq!(read["accounts"].as_array().unwrap().len(), 1);
    assert!(read["decidedAt"].is_string() && read.get("awaitsUntil").is_none());
    let refresh = app.redeem(&world, &granted.code, &granted.pkce).await.succeeded(200).at("/refresh_token");
    world.advance(Duration::from_secs(2 * 86_400 - 1));
    let token = app.refresh(&world, &refresh).await.succeeded(200).json();
    // A token outlives no consent.
    assert_eq!(token["expires_in"], 1);
    world.advance(Duration::from_secs(1));
    let session = own(&world, app.copy()).await;
    assert_eq!(status(&session, ACCOUNTS, &id).await, "expired");
    app.refresh(&world, &refresh).await.oauth_refused(400, "invalid_grant");
}

async fn a_consent_that_is_ended_ends_its_tokens_within_a_second(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let session = own(&world, app.copy()).await;
    let id = session.consent(ACCOUNTS, &access()).await;
    let granted = grant_directly(&world, "citizen-app", &id, "accounts:read balances:read").await;
    let first = app.redeem(&world, &granted.code, &granted.pkce).await.succeeded(200).json();
    let citizen = app.copy().with_token(&world, first["access_token"].as_str().unwrap());
    citizen.get("/v1/accounts").await.succeeded(200);
    session.delete(&format!("{ACCOUNTS}/{id}")).await.status_is(204);
    citizen.get("/v1/accounts").await.refused(401, "token_invalid");
    assert_eq!(status(&session, ACCOUNTS, &id).await, "revoked");
    app.refresh(&world, first["refresh_token"].as_str().unwrap()).await.oauth_refused(400, "invalid_grant");
    session.delete(&format!("{ACCOUNTS}/{id}")).await.status_is(204);
    // One that nobody has decided on cannot be authorised afterwards; its code was never made.
    let awaiting = session.consent(ACCOUNTS, &access()).await;
    session.delete(&format!("{ACCOUNTS}/{awaiting}")).await.status_is(204);
    assert_eq!(status(&session, ACCOUNTS, &awaiting).await, "revoked");
    // A code that was not redeemed yet is worth nothing either.
    let third = session.consent(ACCOUNTS, &access()).await;
    let granted = grant_directly(&world, "citizen-app", &third, "accounts:read").await;
    session.delete(&format!("{ACCOUNTS}/{third}")).await.status_is(204);
    app.redeem(&world, &granted.code, &granted.pkce).await.oauth_refused(400, "invalid_grant");
    let house = &world.assembled().house;
    let key = policies::jose::sha256(granted.code.as_bytes());
    let code = adapters::authorizations::find::<AuthorizationCode>(&*house.authorizations, &key).await;
    assert!(!code.unwrap().unwrap().value.redeemed);
}

async fn as13_a_citizens_token_makes_no_consents(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let session = own(&world, app.copy()).await;
    let id = session.consent(ACCOUNTS, &access()).await;
    let granted = grant_directly(&world, "citizen-app", &id, "accounts:read balances:read").await;
    let first = app.redeem(&world, &granted.code, &granted.pkce).await.succeeded(200).json();
    let claims = crate::tokens::reread(first["access_token"].as_str().unwrap()).claims;
    // No client can be called like a citizen.
    assert!(claims["sub"].as_str().unwrap().starts_with("citizen:"));
    assert_eq!(claims["client_id"], "citizen-app");
    let citizen = app.copy().with_token(&world, first["access_token"].as_str().unwrap());
    citizen.post(ACCOUNTS, &fresh("consent"), &access()).await.refused(403, "insufficient_scope");
    // Even one that had the scope speaks for the wrong party.
    let forged = wide(&world, &app).await;
    for refused in [
        forged.post(ACCOUNTS, &fresh("consent"), &access()).await,
        forged.get(&format!("{ACCOUNTS}/{id}")).await,
        forged.delete(&format!("{ACCOUNTS}/{id}")).await,
    ] {
        refused.refused(403, "wrong_flow_type");
    }
    assert_eq!(status(&session, ACCOUNTS, &id).await, "authorised");
}

/// A citizen's token with a scope that no page grants.
async fn wide<'w>(world: &'w World, app: &App) -> Session<'w> {
    use policies::consent::Permission;
    use policies::details::Detail;
    use policies::id::ConsentId;
    use policies::jose;
    use policies::token::{AccessGrant, Citizen, Confirmation};
    let (house, now) = (&world.assembled().house, world.now());
    let claims = policies::token::claims(&AccessGrant {
        issuer: house.issuer.clone(),
        audience: house.issuer.clone(),
        client: policies::id::ClientId::parse("citizen-app").unwrap(),
        subject: "citizen:in-a-test".to_owned(),
        scopes: policies::party::ScopeSet::parse("consents:write").unwrap(),
        confirmation: Confirmation::Jkt(jose::Thumbprint::parse(&app.proof_key.thumbprint()).unwrap()),
        jti: fresh("jti"),
        issued: now,
        expires: now + Duration::from_secs(60),
        citizen: Some(Citizen {
            grant: policies::id::GrantId::parse("g-1").unwrap(),
            details: vec![Detail::AccountInformation {
                consent: ConsentId::parse("c-1").unwrap(),
                permissions: [Permission::Accounts].into(),
                accounts: ["a-1".to_owned()].into(),
            }],
            acr: "urn:qaqpa:acr:L2".to_owned(),
            authenticated: now,
        }),
    });
    let keyring = house.keyring.now();
    let token = jose::encode("at+jwt", &claims, None, keyring.signer()).unwrap();
    app.copy().with_token(world, token)
}

async fn a_consent_needs_scope_role_and_licence(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let narrow = app.copy().session(&world, Some("accounts:read")).await;
    narrow.post(ACCOUNTS, &fresh("consent"), &access()).await.refused(403, "insufficient_scope");
    // Who is licensed for neither kind may not even have the scope.
    let bank = App::newcomer("bank-app");
    world.write_policy("bank-app.yaml", &bank.policy("demo-bank", &["consents:write"], ""));
    assert!(world.reload().unwrap_err().contains("P0315"));
    world.write_policy("bank-app.yaml", "qaqpa: v1\n");
    let payer = App::newcomer("payer-app");
    world.write_policy("payer-app.yaml", &payer.policy("demo-payments", &["consents:write"], ""));
    world.reload().unwrap();
    let payer = own(&world, payer).await;
    payer.post(ACCOUNTS, &fresh("consent"), &access()).await.refused(403, "role_missing");
    payer.post(PAYMENTS, &fresh("consent"), &order()).await.succeeded(201);
}

async fn of_twenty_who_end_a_consent_all_succeed_and_it_is_over(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let session = own(&world, app.copy()).await;
    let id = session.consent(ACCOUNTS, &access()).await;
    let granted = grant_directly(&world, "citizen-app", &id, "accounts:read balances:read").await;
    app.redeem(&world, &granted.code, &granted.pkce).await.succeeded(200);
    let path = format!("{ACCOUNTS}/{id}");
    let answers = crate::races::together((0..20).map(|_| Box::pin(session.delete(&path)) as _)).await;
    for answer in &answers {
        answer.status_is(204);
    }
    assert_eq!(status(&session, ACCOUNTS, &id).await, "revoked");
}

/// Asks a citizen for both kinds at once; gives the ids and the refresh token.
async fn both(world: &World, app: &App) -> (String, String, String) {
    let session = own(world, app.copy()).await;
    let (accounts, payment) = (session.consent(ACCOUNTS, &access()).await, session.consent(PAYMENTS, &order()).await);
    let details = json!([
        {"type": "account_information", "consentId": accounts},
        {"type": "payment_initiation", "consentId": payment},
    ]);
    let pkce = Pkce::fresh();
    let fields = Fields::pushed(CALLBACK, "accounts:read balances:read payments:write", &pkce, &details);
    let pushed = app.push(world, &fields).await;
    pushed.succeeded(201);
    let sent = Citizen(1).approve(world, "citizen-app", &pushed).await;
    let refresh = app.redeem(world, &sent.code(), &pkce).await.succeeded(200).at("/refresh_token");
    (accounts, payment, refresh)
}

async fn two_consents_of_one_request_end_together(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let (accounts, payment, refresh) = both(&world, &app).await;
    let token = app.refresh(&world, &refresh).await.succeeded(200).at("/access_token");
    let session = own(&world, app.copy()).await;
    session.delete(&format!("{PAYMENTS}/{payment}")).await.status_is(204);
    assert_eq!(status(&session, PAYMENTS, &payment).await, "revoked");
    assert_eq!(status(&session, ACCOUNTS, &accounts).await, "revoked");
    app.refresh(&world, &refresh).await.oauth_refused(400, "invalid_grant");
    app.copy().with_token(&world, token).get("/v1/accounts").await.refused(401, "token_invalid");
}

async fn a_consent_can_be_ended_when_its_grant_is_over_already(kind: Kind) {
    let (world, app, _) = world(kind).await;
    let (accounts, payment, refresh) = both(&world, &app).await;
    // A grant ends with the first of its consents.
    world.advance(Duration::from_secs(2 * 86_400));
    app.refresh(&world, &refresh).await.oauth_refused(400, "invalid_grant");
    let session = own(&world, app.copy()).await;
    assert_eq!(status(&session, PAYMENTS, &payment).await, "expired");
    assert_eq!(status(&session, ACCOUNTS, &accounts).await, "authorised");
    session.delete(&format!("{ACCOUNTS}/{accounts}")).await.status_is(204);
    assert_eq!(status(&session, ACCOUNTS, &accounts).await, "revoked");
    session.delete(&format!("{PAYMENTS}/{payment}")).await.status_is(204);
    assert_eq!(status(&session, PAYMENTS, &payment).await, "expired");
}
