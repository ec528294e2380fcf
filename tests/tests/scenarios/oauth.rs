//! The token endpoint: who the client is, and what it may have.

use std::time::Duration;

use gateway::layer::authenticate::FORM_BYTES_MAX;
use policies::grant::ASSERTION_TTL_MAX;
use policies::token::LEEWAY;
use scenarios::actors::app::ASSERTION_TYPE;
use scenarios::actors::certificate::Certificate;
use scenarios::actors::{App, Jws, Key, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::json;
use spine::stage::Door;

const TOKEN: &str = "/oauth/token";

scenarios! {
    as41_a_client_gets_a_token_bound_to_its_key,
    as53_a_client_gets_a_token_bound_to_its_certificate,
    as6_a_wrong_assertion_is_refused,
    as6_an_assertion_has_a_short_life,
    as6_an_assertion_is_used_once,
    as11_an_unknown_client_and_a_wrong_key_read_the_same,
    as7_two_ways_of_authentication_are_refused,
    shared_secrets_are_refused,
    as50_a_certificate_of_nobody_is_refused,
    as50_a_certificate_with_another_name_is_refused,
    as54_a_certificate_cannot_be_shown_at_the_door_that_does_not_ask,
    an_unknown_grant_type_is_refused,
    a_scope_that_is_not_the_clients_is_refused,
    a_scope_can_be_asked_for_in_part,
    as45_a_token_without_a_proof_is_not_granted,
    as40_a_proof_for_another_endpoint_is_refused,
    a_parameter_that_comes_twice_is_refused,
    a_form_has_a_bounded_size,
    a_body_of_another_kind_is_refused,
    metadata_tells_what_is_enabled,
}

async fn ask(world: &World, app: &App, assertion: &str) -> Answer {
    let url = format!("{}{TOKEN}", world.external(Door::Api));
    let proof = app.proof(world, "POST", &url, None).sign(&app.proof_key);
    world.send(app.token_ask_with(assertion, None).with("dpop", proof)).await
}

async fn as41_a_client_gets_a_token_bound_to_its_key(kind: Kind) {
    let world = World::start(kind).await;
    for client in ["demo-app", "demo-bank-app"] {
        let app = App::of(&world, client);
        let answer = world.send(app.token_ask(&world, None)).await;
        answer.succeeded(200);
        assert_eq!(answer.at("/token_type"), "DPoP");
        assert_eq!(answer.json()["expires_in"], 300);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let claims = crate::tokens::reread(&answer.at("/access_token")).claims;
        assert_eq!(claims["cnf"], json!({"jkt": app.proof_key.thumbprint()}));
        assert_eq!(claims["aud"], world.issuer());
    }
}

async fn as53_a_client_gets_a_token_bound_to_its_certificate(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-mtls-app");
    let answer = world.send(app.token_ask(&world, None)).await;
    answer.succeeded(200);
    assert_eq!(answer.at("/token_type"), "Bearer");
    let claims = crate::tokens::reread(&answer.at("/access_token")).claims;
    assert_eq!(claims["cnf"], json!({"x5t#S256": app.certificate.as_ref().unwrap().thumbprint()}));
}

async fn as6_a_wrong_assertion_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    let right = || app.assertion(&world);
    let endpoint = format!("{}{TOKEN}", world.issuer());
    let wrong: Vec<(&str, Jws)> = vec![
        ("aud of the token endpoint", right().set("aud", endpoint)),
        ("aud in a list", right().set("aud", json!([world.issuer()]))),
        ("aud with a slash", right().set("aud", format!("{}/", world.issuer()))),
        ("aud of another", right().set("aud", "https://other.example")),
        ("no aud", right().without("aud")),
        ("iss of another", right().set("iss", "demo-bank-app")),
        ("sub of another", right().set("sub", "demo-bank-app")),
        ("no iss", right().without("iss")),
        ("no sub", right().without("sub")),
        ("no jti", right().without("jti")),
        ("no exp", right().without("exp")),
        ("exp as text", right().set("exp", "9999999999")),
        ("jti as number", right().set("jti", 1)),
        ("typ of a token", right().set_header("typ", "at+jwt")),
        ("typ of a proof", right().set_header("typ", "dpop+jwt")),
        ("alg none", right().set_header("alg", "none")),
        ("alg HS256", right().set_header("alg", "HS256")),
        ("alg RS256", right().set_header("alg", "RS256")),
        ("unknown kid", right().set_header("kid", "other")),
        ("jku", right().set_header("jku", "https://thief.example")),
        ("crit", right().set_header("crit", json!(["x"]))),
        ("iat ahead", right().set("iat", world.seconds() + 3600)),
        ("nbf ahead", right().set("nbf", world.seconds() + 3600)),
    ];
    for (what, jws) in wrong {
        let refused = ask(&world, &app, &jws.sign(app.key())).await;
        assert_eq!(refused.status, 401, "{what}: {}", refused.text());
        refused.oauth_refused(401, "invalid_client");
    }
    for (what, text) in [("nothing", String::new()), ("junk", "a.b.c".to_owned()), ("no JWS", "x".to_owned())] {
        let refused = ask(&world, &app, &text).await;
        assert!(refused.status == 401 || refused.status == 400, "{what}: {}", refused.text());
    }
    for typ in ["JWT", "client-authentication+jwt"] {
        ask(&world, &app, &right().set_header("typ", typ).sign(app.key())).await.succeeded(200);
    }
    ask(&world, &app, &right().without_header("typ").sign(app.key())).await.succeeded(200);
}

async fn as6_an_assertion_has_a_short_life(kind: Kind) {
    let world = World::start(kind).await;
    let past = u64::try_from(world.now().millis() % 1000).unwrap();
    world.advance(Duration::from_millis(1000 - past));
    let app = App::of(&world, "demo-app");
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap();
    let longest = seconds(ASSERTION_TTL_MAX + LEEWAY);
    let oldest = -seconds(LEEWAY);
    for (ahead, fine) in [(longest, true), (longest + 1, false), (oldest + 1, true), (oldest, false)] {
        let assertion = app.assertion(&world).set("exp", world.seconds() + ahead).sign(app.key());
        let answer = ask(&world, &app, &assertion).await;
        if fine {
            answer.succeeded(200)
        } else {
            answer.oauth_refused(401, "invalid_client")
        };
    }
}

async fn as6_an_assertion_is_used_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    let assertion = app.assertion(&world).sign(app.key());
    ask(&world, &app, &assertion).await.succeeded(200);
    ask(&world, &app, &assertion).await.oauth_refused(401, "invalid_client");
}

async fn as11_an_unknown_client_and_a_wrong_key_read_the_same(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    let wrong_key = ask(&world, &app, &app.assertion(&world).sign(&Key::es256())).await;
    let stranger = app.assertion(&world).set("iss", "no-such-app").set("sub", "no-such-app").sign(app.key());
    let unknown = ask(&world, &app, &stranger).await;
    let by_certificate = ask(&world, &app, &app.assertion(&world).set("iss", "demo-mtls-app").sign(app.key())).await;
    wrong_key.oauth_refused(401, "invalid_client");
    for other in [unknown, by_certificate] {
        other.oauth_refused(401, "invalid_client");
        assert_eq!(other.body, wrong_key.body);
        assert_eq!(other.header("www-authenticate"), wrong_key.header("www-authenticate"));
    }
}

async fn as7_two_ways_of_authentication_are_refused(kind: Kind) {
    let world = World::start(kind).await;
    let (app, mtls) = (App::of(&world, "demo-app"), App::of(&world, "demo-mtls-app"));
    let assertion = app.assertion(&world).sign(app.key());
    let basic = app.token_ask(&world, None).with("authorization", "Basic ZGVtby1hcHA6eA==");
    world.send(basic).await.oauth_refused(401, "invalid_client");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "demo-mtls-app"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let both = Ask::post(TOKEN).at(Door::MtlsApi).showing(mtls.certificate.as_ref().unwrap()).form(&form);
    let refused = world.send(both).await;
    assert!(refused.status == 400 || refused.status == 401, "{}", refused.text());
}

async fn shared_secrets_are_refused(kind: Kind) {
    let world = World::start(kind).await;
    let form = [("grant_type", "client_credentials"), ("client_id", "demo-app"), ("client_secret", "hunter2")];
    world.send(Ask::post(TOKEN).form(&form)).await.oauth_refused(401, "invalid_client");
    let bare = [("grant_type", "client_credentials"), ("client_id", "demo-app")];
    world.send(Ask::post(TOKEN).form(&bare)).await.oauth_refused(401, "invalid_client");
    let nobody = [("grant_type", "client_credentials")];
    let refused = world.send(Ask::post(TOKEN).form(&nobody)).await;
    assert!(refused.status == 400 || refused.status == 401, "{}", refused.text());
}

async fn certified(world: &World, certificate: Option<&std::sync::Arc<Certificate>>) -> Answer {
    let form = [("grant_type", "client_credentials"), ("client_id", "demo-mtls-app")];
    let ask = Ask::post(TOKEN).at(Door::MtlsApi).form(&form);
    world.send(certificate.map_or(ask.clone(), |certificate| ask.showing(certificate))).await
}

async fn as50_a_certificate_of_nobody_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    certified(&world, None).await.oauth_refused(401, "invalid_client");
    let right_name = Certificate::self_signed("demo-mtls-app.sandbox.qaqpa");
    certified(&world, Some(&right_name)).await.oauth_refused(401, "invalid_client");
    certified(&world, App::of(&world, "demo-mtls-app").certificate.as_ref()).await.succeeded(200);
}

async fn as50_a_certificate_with_another_name_is_refused(kind: Kind) {
    let policy = "qaqpa: v1\nclients:\n  twin-app:\n    organisation: demo-fintech\n    plan: standard\n    \
                  authentication: tls_client_auth\n    certificate: {sanDns: twin-app.sandbox.qaqpa}\n    \
                  tokens: {bind: mtls}\n    scopes: [\"accounts:read\"]\n";
    let world = World::with(kind, Setup::default().policy("twin.yaml", policy)).await;
    let certificate = App::of(&world, "demo-mtls-app").certificate.unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", "twin-app")];
    let ask = Ask::post(TOKEN).at(Door::MtlsApi).form(&form).showing(&certificate);
    world.send(ask).await.oauth_refused(401, "invalid_client");
}

async fn as54_a_certificate_cannot_be_shown_at_the_door_that_does_not_ask(kind: Kind) {
    let world = World::start(kind).await;
    let certificate = App::of(&world, "demo-mtls-app").certificate.unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", "demo-mtls-app")];
    world.send(Ask::post(TOKEN).form(&form).showing(&certificate)).await.oauth_refused(401, "invalid_client");
}

async fn an_unknown_grant_type_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    for grant in ["password", "implicit", "urn:openid:params:grant-type:ciba", "Client_Credentials"] {
        let assertion = app.assertion(&world).sign(app.key());
        let form = [
            ("grant_type", grant),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion.as_str()),
        ];
        world.send(Ask::post(TOKEN).form(&form)).await.oauth_refused(400, "unsupported_grant_type");
    }
}

async fn a_scope_that_is_not_the_clients_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-bank-app");
    for scope in
        ["payments:read", "identity:verify payments:read", "no:such", "identity:verify  x\"y", "Identity:verify"]
    {
        world.send(app.token_ask(&world, Some(scope))).await.oauth_refused(400, "invalid_scope");
    }
}

async fn a_scope_can_be_asked_for_in_part(kind: Kind) {
    let world = World::start(kind).await;
    let answer = world.send(App::of(&world, "demo-app").token_ask(&world, Some("accounts:read"))).await;
    assert_eq!(answer.succeeded(200).at("/scope"), "accounts:read");
    let all = world.send(App::of(&world, "demo-app").token_ask(&world, None)).await;
    assert_eq!(all.succeeded(200).at("/scope").split(' ').count(), 10);
}

async fn as45_a_token_without_a_proof_is_not_granted(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    let assertion = app.assertion(&world).sign(app.key());
    world.send(app.token_ask_with(&assertion, None)).await.oauth_refused(400, "invalid_dpop_proof");
}

async fn as40_a_proof_for_another_endpoint_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    let base = world.external(Door::Api).to_owned();
    for (method, url) in [("POST", format!("{base}/v1/accounts")), ("GET", format!("{base}{TOKEN}"))] {
        let assertion = app.assertion(&world).sign(app.key());
        let proof = app.proof(&world, method, &url, None).sign(&app.proof_key);
        let refused = world.send(app.token_ask_with(&assertion, None).with("dpop", proof)).await;
        refused.oauth_refused(400, "invalid_dpop_proof");
    }
    let assertion = app.assertion(&world).sign(app.key());
    let proof = app.proof(&world, "POST", &format!("{base}{TOKEN}"), None).sign(&app.proof_key);
    world.send(app.token_ask_with(&assertion, None).with("dpop", &proof)).await.succeeded(200);
    let again = app.assertion(&world).sign(app.key());
    world.send(app.token_ask_with(&again, None).with("dpop", &proof)).await.oauth_refused(400, "invalid_dpop_proof");
}

async fn a_parameter_that_comes_twice_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    for extra in ["grant_type=client_credentials", "scope=accounts%3Aread&scope=accounts%3Aread", "x=1&x=2"] {
        let ask = app.token_ask(&world, None);
        let body = format!("{}&{extra}", String::from_utf8_lossy(&ask.body));
        world.send(ask.body(body)).await.oauth_refused(400, "invalid_request");
    }
    let broken = app.token_ask(&world, None);
    let body = format!("{}&x=%zz", String::from_utf8_lossy(&broken.body));
    world.send(broken.body(body)).await.oauth_refused(400, "invalid_request");
}

async fn a_form_has_a_bounded_size(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    let sized = |bytes: usize| {
        let ask = app.token_ask(&world, None);
        let start = format!("{}&pad=", String::from_utf8_lossy(&ask.body));
        let body = format!("{start}{}", "x".repeat(bytes - start.len()));
        ask.body(body)
    };
    world.send(sized(FORM_BYTES_MAX)).await.succeeded(200);
    world.send(sized(FORM_BYTES_MAX + 1)).await.oauth_refused(413, "invalid_request");
}

async fn a_body_of_another_kind_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = App::of(&world, "demo-app");
    let ask = || app.token_ask(&world, None).without("content-type");
    for media in
        ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencodedx"]
    {
        world.send(ask().with("content-type", media)).await.oauth_refused(415, "invalid_request");
    }
    world.send(ask()).await.oauth_refused(415, "invalid_request");
}

async fn metadata_tells_what_is_enabled(kind: Kind) {
    let world = World::start(kind).await;
    let server = world.send(Ask::get("/.well-known/oauth-authorization-server")).await;
    let openid = world.send(Ask::get("/.well-known/openid-configuration")).await;
    assert_eq!(server.succeeded(200).body, openid.succeeded(200).body);
    assert_eq!(server.at("/issuer"), world.issuer());
    assert_eq!(server.at("/token_endpoint"), format!("{}{TOKEN}", world.issuer()));
    let mtls = format!("{}{TOKEN}", world.external(Door::MtlsApi));
    assert_eq!(server.at("/mtls_endpoint_aliases/token_endpoint"), mtls);
    let resource = world.send(Ask::get("/.well-known/oauth-protected-resource")).await;
    assert_eq!(resource.succeeded(200).at("/resource"), world.issuer());
    // What is told works: a token from the endpoint that is named is accepted by the resource that is named.
    Session::of(&world, "demo-app").await.get("/v1/accounts").await.succeeded(200);
}
