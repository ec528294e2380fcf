//! Other authorization servers: whose tokens are taken here, and who gives the gateway tokens for its backends.

use std::time::Duration;

use adapters::oauth::{BELIEVED_FOR, RENEW_BEFORE, USABLE_FOR};
use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::payment;
use scenarios::actors::elsewhere::{Elsewhere, GATEWAY, ISSUER};
use scenarios::actors::{App, Key, Session};
use scenarios::world::{Answer, Kind, Setup, World};
use serde_json::{Value, json};

scenarios! {
    rs13_a_client_of_another_server_comes_with_its_tokens_and_not_with_ours,
    rs13_keys_and_names_of_one_issuer_are_nothing_to_another,
    c14_a_key_that_its_issuer_takes_back_dies_in_five_minutes,
    c14_without_the_keys_of_an_issuer_nobody_is_let_in_after_five_minutes,
    c14_a_client_authenticates_with_the_keys_that_it_publishes,
    rs12_an_opaque_token_is_worth_what_its_server_says_now,
    rs12_without_its_server_an_opaque_token_is_soon_worth_nothing_that_is_known,
    c3_a_backend_is_called_with_a_token_of_its_own_server,
    c3_without_a_token_a_backend_is_not_called,
    c3_a_key_that_is_replaced_is_used_from_the_next_reload_on,
    c3_a_gateway_does_not_start_without_the_key_that_it_needs,
}

const TICK: Duration = Duration::from_millis(1);

/// A client whose tokens come from the issuer `ext`, and the policies that say so.
fn setup(elsewhere: &Elsewhere, app: &App, how: &Value) -> Setup {
    let issuers =
        json!({"ext": how, "other": {"issuer": "https://other.example", "jwks": {"url": elsewhere.url("/none")}}});
    let trusting = format!("webhooks: {{privateAddresses: allow, trust: {}}} # ", json!(elsewhere.ca()));
    Setup::default()
        .policy("issuers.yaml", format!("qaqpa: v1\nissuers: {issuers}\n"))
        .policy("newcomer.yaml", app.policy("demo-fintech", &["accounts:read"], "issuer: ext"))
        .replacing("qaqpa.yaml", "webhooks: {privateAddresses: allow, trust: ", trusting)
}

fn by_keys(elsewhere: &Elsewhere) -> Value {
    json!({"issuer": ISSUER, "jwks": {"url": elsewhere.url("/jwks"), "algorithms": ["ES256"]}})
}

fn by_asking(elsewhere: &Elsewhere) -> Value {
    let key = format!("secret:file:{}", elsewhere.gateway_key().display());
    json!({"issuer": ISSUER, "introspection": {"url": elsewhere.url("/introspect"), "client": GATEWAY, "key": key}})
}

async fn accounts(world: &World, app: App, token: &str) -> (Answer, App) {
    let session = Session { world, token: token.to_owned(), app };
    let answer = session.get("/v1/accounts").await;
    (answer, session.app)
}

async fn rs13_a_client_of_another_server_comes_with_its_tokens_and_not_with_ours(kind: Kind) {
    let (elsewhere, key, app) = (Elsewhere::start().await, Key::es256(), App::newcomer("guest"));
    elsewhere.publish(&[("k1", &key)]);
    let world = World::with(kind, setup(&elsewhere, &app, &by_keys(&elsewhere))).await;
    // Ours it does not get at all, whatever it shows.
    let refused = world.send(app.token_ask(&world, None)).await;
    assert!((400..=401).contains(&refused.status), "{}", refused.text());
    // And if it had one, it would be worth nothing.
    let keyring = world.assembled().house.keyring.now();
    let ours = elsewhere.token(&world, &app, "").set("iss", world.issuer()).set("sub", app.id.as_str());
    let ours = ours.set_header("kid", keyring.signer().verifying_key().thumbprint().as_str());
    let (answer, app) = accounts(&world, app, &ours.sign(&Key::Gateway(keyring))).await;
    answer.refused(401, "token_invalid");
    let theirs = elsewhere.token(&world, &app, "k1").sign(&key);
    let (answer, app) = accounts(&world, app, &theirs).await;
    answer.succeeded(200);
    // It is bound all the same: who has found it has nothing.
    let thief = App { proof_key: Key::es256(), ..app };
    accounts(&world, thief, &theirs).await.0.refused(401, "token_binding_failed");
}

async fn rs13_keys_and_names_of_one_issuer_are_nothing_to_another(kind: Kind) {
    let (elsewhere, key, app) = (Elsewhere::start().await, Key::es256(), App::newcomer("guest"));
    elsewhere.publish(&[("k1", &key)]);
    let world = World::with(kind, setup(&elsewhere, &app, &by_keys(&elsewhere))).await;
    let right = elsewhere.token(&world, &app, "k1");
    let strangers = Key::es256();
    let mut app = app;
    for (what, token) in [
        ("another key", right.sign(&strangers)),
        ("our name", right.clone().set("iss", world.issuer()).sign(&key)),
        ("an unknown name", right.clone().set("iss", "https://evil.example").sign(&key)),
        ("a name that is a place", right.clone().set("iss", elsewhere.url("/jwks")).sign(&key)),
        ("the name of another issuer", right.clone().set("iss", "https://as.elsewhere.example/").sign(&key)),
        ("another audience", right.clone().set("aud", "https://elsewhere.example").sign(&key)),
        ("no audience", right.clone().without("aud").sign(&key)),
        ("an unknown key id", right.clone().set_header("kid", "../../etc/passwd").sign(&key)),
        ("a place for keys", right.clone().set_header("jku", elsewhere.url("/jwks")).sign(&key)),
        ("another type", right.clone().set_header("typ", "JWT").sign(&key)),
        ("a client of ours", right.clone().set("client_id", "demo-app").sign(&key)),
        ("nobody's client", right.clone().set("client_id", "nobody").sign(&key)),
        ("no binding", right.clone().without("cnf").sign(&key)),
        ("a user of theirs", right.clone().set("sub", "somebody there").sign(&key)),
        ("a citizen of ours", right.clone().set("sub", "citizen:abc").set("grant_id", fresh("grant")).sign(&key)),
        ("more than an hour", right.clone().set("exp", world.seconds() + 3601).sign(&key)),
    ] {
        let (answer, back) = accounts(&world, app, &token).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        app = back;
    }
    // What it tells of a citizen is about a grant that is not ours.
    let citizen = right.set("grant_id", fresh("grant")).set("acr", "urn:qaqpa:acr:L3");
    accounts(&world, app, &citizen.sign(&key)).await.0.succeeded(200);
    assert!(elsewhere.count("/jwks") <= 2, "a made-up key id has keys fetched each time");
}

async fn c14_a_key_that_its_issuer_takes_back_dies_in_five_minutes(kind: Kind) {
    let (elsewhere, old, new) = (Elsewhere::start().await, Key::es256(), Key::es256());
    let app = App::newcomer("guest");
    elsewhere.publish(&[("old", &old)]);
    let world = World::with(kind, setup(&elsewhere, &app, &by_keys(&elsewhere))).await;
    let (first, second) =
        (elsewhere.token(&world, &app, "old").sign(&old), elsewhere.token(&world, &app, "new").sign(&new));
    let (answer, app) = accounts(&world, app, &first).await;
    answer.succeeded(200);
    elsewhere.publish(&[("old", &old), ("new", &new)]);
    world.advance(adapters::oauth::ASK_AGAIN_AFTER);
    let (answer, app) = accounts(&world, app, &second).await;
    answer.succeeded(200);
    let (answer, app) = accounts(&world, app, &first).await;
    answer.succeeded(200);
    elsewhere.publish(&[("new", &new)]);
    world.advance(USABLE_FOR);
    let (answer, app) = accounts(&world, app, &first).await;
    answer.refused(401, "token_invalid");
    accounts(&world, app, &second).await.0.succeeded(200);
}

async fn c14_without_the_keys_of_an_issuer_nobody_is_let_in_after_five_minutes(kind: Kind) {
    let (mut elsewhere, key, app) = (Elsewhere::start().await, Key::es256(), App::newcomer("guest"));
    elsewhere.publish(&[("k1", &key)]);
    let world = World::with(kind, setup(&elsewhere, &app, &by_keys(&elsewhere))).await;
    let token = elsewhere.token(&world, &app, "k1").sign(&key);
    // The chore has them before anybody asks.
    world.round().await.unwrap();
    assert_eq!(elsewhere.count("/jwks"), 1);
    let (answer, app) = accounts(&world, app, &token).await;
    answer.succeeded(200);
    assert_eq!(elsewhere.count("/jwks"), 1);
    elsewhere.stop().await;
    world.advance(USABLE_FOR - TICK);
    let (answer, app) = accounts(&world, app, &token).await;
    answer.succeeded(200);
    world.advance(TICK);
    let (answer, _) = accounts(&world, app, &token).await;
    answer.refused(503, "dependency_down");
    // Those whose tokens are ours notice nothing.
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
}

async fn c14_a_client_authenticates_with_the_keys_that_it_publishes(kind: Kind) {
    let (mut elsewhere, app) = (Elsewhere::start().await, App::newcomer("publisher"));
    let given = app.policy("demo-fintech", &["accounts:read"], "");
    let (before, after) = given.split_once("keys: [").unwrap();
    let after = after.split_once("]\n").unwrap().1;
    let policy = format!("{before}keys: {{url: {}}}\n{after}", json!(elsewhere.url("/jwks")));
    let trusting = format!("webhooks: {{privateAddresses: allow, trust: {}}} # ", json!(elsewhere.ca()));
    let setup = Setup::default().policy("publisher.yaml", policy).replacing(
        "qaqpa.yaml",
        "webhooks: {privateAddresses: allow, trust: ",
        trusting,
    );
    let world = World::with(kind, setup).await;
    world.send(app.token_ask(&world, None)).await.oauth_refused(401, "invalid_client");
    elsewhere.publish(&[(&app.kid, app.key())]);
    world.advance(USABLE_FOR);
    world.send(app.token_ask(&world, None)).await.succeeded(200);
    elsewhere.publish(&[]);
    world.advance(USABLE_FOR);
    world.send(app.token_ask(&world, None)).await.oauth_refused(401, "invalid_client");
    elsewhere.stop().await;
    world.advance(USABLE_FOR);
    // While its server is away it reads like a client that nobody knows (AS11).
    let away = world.send(app.token_ask(&world, None)).await;
    away.oauth_refused(401, "invalid_client");
    let nobody = world.send(App::newcomer("nobody").token_ask(&world, None)).await;
    nobody.oauth_refused(401, "invalid_client");
    assert_eq!(away.json(), nobody.json());
}

async fn rs12_an_opaque_token_is_worth_what_its_server_says_now(kind: Kind) {
    let (elsewhere, app) = (Elsewhere::start().await, App::newcomer("guest"));
    let world = World::with(kind, setup(&elsewhere, &app, &by_asking(&elsewhere))).await;
    let (answer, app) = accounts(&world, app, "unknown-there").await;
    answer.refused(401, "token_invalid");
    elsewhere.knows("opaque", elsewhere.worth(&world, &app));
    let mut other = elsewhere.worth(&world, &app);
    other["aud"] = json!("https://elsewhere.example");
    elsewhere.knows("for-another", other);
    let mut user = elsewhere.worth(&world, &app);
    user["sub"] = json!("somebody there");
    elsewhere.knows("of-a-user", user);
    let (answer, app) = accounts(&world, app, "for-another").await;
    answer.refused(401, "token_invalid");
    let (answer, app) = accounts(&world, app, "of-a-user").await;
    answer.refused(401, "token_invalid");
    for _ in 0..3 {
        let session = Session { world: &world, token: "opaque".to_owned(), app: App::newcomer("guest") };
        session.get("/v1/accounts").await.refused(401, "token_binding_failed");
    }
    let (answer, app) = accounts(&world, app, "opaque").await;
    answer.succeeded(200);
    assert_eq!(elsewhere.count("/introspect"), 4, "one question for each token");
    elsewhere.knows("opaque", json!({"active": false}));
    world.advance(BELIEVED_FOR);
    accounts(&world, app, "opaque").await.0.refused(401, "token_invalid");
}

async fn rs12_without_its_server_an_opaque_token_is_soon_worth_nothing_that_is_known(kind: Kind) {
    let (mut elsewhere, app) = (Elsewhere::start().await, App::newcomer("guest"));
    let world = World::with(kind, setup(&elsewhere, &app, &by_asking(&elsewhere))).await;
    elsewhere.knows("opaque", elsewhere.worth(&world, &app));
    let (answer, app) = accounts(&world, app, "opaque").await;
    answer.succeeded(200);
    elsewhere.stop().await;
    world.advance(BELIEVED_FOR - TICK);
    let (answer, app) = accounts(&world, app, "opaque").await;
    answer.succeeded(200);
    world.advance(TICK);
    accounts(&world, app, "opaque").await.0.refused(503, "dependency_down");
}

fn behind(elsewhere: &Elsewhere, backend: &Backend) -> Setup {
    let key = format!("secret:file:{}", elsewhere.gateway_key().display());
    let oauth = json!({
        "tokenUrl": elsewhere.url("/token"), "issuer": ISSUER, "clientId": GATEWAY, "privateKeyJwt": {"key": key},
    });
    let trusting = format!("trust: {}\n", json!(elsewhere.ca()));
    Setup { backend: Some(backend.address), configuration: trusting, ..Setup::default() }.replacing(
        "qaqpa.yaml",
        "core-bank: {",
        format!("core-bank: {{oauth: {oauth}, "),
    )
}

async fn c3_a_backend_is_called_with_a_token_of_its_own_server(kind: Kind) {
    let (elsewhere, backend) = (Elsewhere::start().await, Backend::json(r#"{"accounts":[]}"#, "").await);
    let world = World::with(kind, behind(&elsewhere, &backend)).await;
    let app = Session::of(&world, "demo-app").await;
    for _ in 0..3 {
        app.get("/v1/accounts").await.succeeded(200);
    }
    assert_eq!(elsewhere.count("/token"), 1);
    for request in backend.received() {
        assert_eq!(request.header("authorization"), Some("Bearer canary-of-the-token-1"));
        assert_eq!(request.header("dpop"), None);
    }
    world.advance(Duration::from_secs(300));
    app.world.send(app.app.token_ask(&world, None)).await.succeeded(200);
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    assert_eq!(elsewhere.count("/token"), 2);
    let last = backend.received().pop().unwrap();
    assert_eq!(last.header("authorization"), Some("Bearer canary-of-the-token-2"));
    assert!(RENEW_BEFORE < Duration::from_secs(300));
    let told = serde_json::to_string(&world.audit().await).unwrap();
    assert!(!told.contains("canary-of-the-token"), "the token is in the trail");
}

async fn c3_without_a_token_a_backend_is_not_called(kind: Kind) {
    let (mut elsewhere, backend) = (Elsewhere::start().await, Backend::json("{}", "").await);
    elsewhere.stop().await;
    let world = World::with(kind, behind(&elsewhere, &backend)).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.refused(503, "backend_unavailable");
    app.pay(&fresh("payment"), &payment("1000.00")).await.refused(503, "backend_unavailable");
    assert!(backend.received().is_empty());
}

async fn c3_a_key_that_is_replaced_is_used_from_the_next_reload_on(kind: Kind) {
    let (elsewhere, backend) = (Elsewhere::start().await, Backend::json(r#"{"accounts":[]}"#, "").await);
    let world = World::with(kind, behind(&elsewhere, &backend)).await;
    let app = Session::of(&world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    let good = std::fs::read(elsewhere.gateway_key()).unwrap();
    std::fs::write(elsewhere.gateway_key(), "{}").unwrap();
    let told = world.reload().unwrap_err();
    assert!(told.contains("upstream core-bank") && told.contains("private JWK"), "{told}");
    app.get("/v1/accounts").await.succeeded(200);
    assert_eq!(elsewhere.count("/token"), 1);
    std::fs::write(elsewhere.gateway_key(), good).unwrap();
    elsewhere.replace_gateway_key();
    world.reload().unwrap();
    app.get("/v1/accounts").await.succeeded(200);
    assert_eq!(elsewhere.count("/token"), 2);
    let last = backend.received().pop().unwrap();
    assert_eq!(last.header("authorization"), Some("Bearer canary-of-the-token-2"));
}

async fn c3_a_gateway_does_not_start_without_the_key_that_it_needs(kind: Kind) {
    let (elsewhere, backend) = (Elsewhere::start().await, Backend::json("{}", "").await);
    for content in ["", "{}", r#"{"kty":"oct","k":"c2VjcmV0"}"#, "hidden"] {
        std::fs::write(elsewhere.gateway_key(), content).unwrap();
        let told = World::attempt(kind, behind(&elsewhere, &backend)).await.unwrap_err().to_string();
        assert!(told.contains("upstream core-bank") && !told.contains("hidden"), "{told}");
    }
}
