//! Access tokens: where they may stand, whose they are, and for how long.

use std::time::Duration;

use gateway::revocations::REVOCATION_LAG_MAX;
use policies::id::GrantId;
use policies::revocation::{self, Revoked};
use policies::token::{ACCESS_TOKEN_TTL, LEEWAY, TOKEN_BYTES_MAX};
use scenarios::actors::app::fresh;
use scenarios::actors::certificate::Certificate;
use scenarios::actors::key::base64url;
use scenarios::actors::{App, Jws, Key, Session};
use scenarios::world::{Ask, Kind, World};
use serde_json::{Value, json};
use spine::stage::Door;

const ACCOUNTS: &str = "/v1/accounts";

scenarios! {
    rs1_a_token_stands_in_the_authorization_header_only,
    rs1_two_authorization_headers_are_refused,
    rs2_a_token_bound_to_a_key_is_refused_under_bearer,
    rs2_the_scheme_has_no_letter_case,
    rs3_without_a_token_the_challenge_names_the_scheme_and_no_error,
    rs4_a_malformed_token_is_a_bad_request,
    rs6_a_challenge_tells_nothing_beyond_its_error,
    rs10_only_an_access_token_of_ours_for_us_is_accepted,
    rs10_a_token_expires_after_its_time_and_the_leeway,
    rs10_a_token_from_the_future_is_refused,
    rs11_a_token_that_was_taken_back_counts_nowhere,
    rs11_everything_under_a_grant_is_taken_back_at_once,
    rs13_a_token_of_another_issuer_is_refused,
    rs30_a_token_that_is_bound_to_nothing_is_refused,
    rs40_a_token_bound_to_a_certificate_needs_that_certificate,
    rs40_a_certificate_is_not_seen_at_the_door_that_does_not_ask,
    as43_proofs_are_signed_by_what_metadata_list,
    another_library_accepts_our_tokens,
}

/// Returns the key that the gateway signs with.
pub fn issuer_key(world: &World) -> Key {
    Key::Gateway(world.assembled().house.keyring.now())
}

/// Reads a signed object, to sign it anew.
pub fn reread(signed: &str) -> Jws {
    use base64::Engine as _;
    let part = |index: usize| {
        let text = signed.split('.').nth(index).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    Jws::new(part(0), part(1))
}

async fn rs1_a_token_stands_in_the_authorization_header_only(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let query = Ask::get(&format!("{ACCOUNTS}?access_token={}", app.token));
    let proof = app.proof(&query).sign(&app.app.proof_key);
    world.send(query.clone().with("dpop", proof)).await.refused(400, "token_malformed");
    // Not even beside the same token in the header, and in no spelling.
    app.send(query).await.refused(400, "token_malformed");
    for name in ["access%5Ftoken", "%61ccess_token", "limit=2&access_token"] {
        let refused = app.send(Ask::get(&format!("{ACCOUNTS}?{name}={}", app.token))).await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
    }
    let form = Ask::post("/v1/domestic-payments").with("x-idempotency-key", "k").form(&[("access_token", &app.token)]);
    let proof = app.proof(&form).sign(&app.app.proof_key);
    world.send(form.with("dpop", proof)).await.refused(401, "token_missing");
}

async fn rs1_two_authorization_headers_are_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let twice = app.dress(Ask::get(ACCOUNTS)).with("authorization", format!("DPoP {}", app.token));
    world.send(twice).await.refused(400, "header_refused");
    let two_kinds = app.dress(Ask::get(ACCOUNTS)).with("authorization", "Basic YTpi");
    world.send(two_kinds).await.refused(400, "header_refused");
}

async fn rs2_a_token_bound_to_a_key_is_refused_under_bearer(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let bare = Ask::get(ACCOUNTS).with("authorization", format!("Bearer {}", app.token));
    world.send(bare.clone()).await.refused(401, "token_binding_failed");
    // A right proof beside it changes nothing.
    app.send(bare).await.refused(401, "token_binding_failed");
}

async fn rs2_the_scheme_has_no_letter_case(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for scheme in ["dpop", "DPOP", "dPoP"] {
        app.send(Ask::get(ACCOUNTS).with("authorization", format!("{scheme} {}", app.token))).await.succeeded(200);
    }
}

async fn rs3_without_a_token_the_challenge_names_the_scheme_and_no_error(kind: Kind) {
    let world = World::start(kind).await;
    let answer = world.send(Ask::get(ACCOUNTS)).await;
    answer.refused(401, "token_missing");
    let challenge = answer.challenge();
    assert!(challenge.starts_with("DPoP algs=\"ES256"), "{challenge}");
    assert!(!challenge.contains("error"), "{challenge}");
    let metadata = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource\"", world.external(Door::Api));
    assert!(challenge.contains(&metadata), "{challenge}");
    world.send(Ask::get("/.well-known/oauth-protected-resource")).await.succeeded(200);
    // A scheme that carries no token here is as good as none.
    let other = world.send(Ask::get(ACCOUNTS).with("authorization", "Basic YTpi")).await;
    other.refused(401, "token_missing");
    assert!(!other.challenge().contains("error"));
}

async fn rs4_a_malformed_token_is_a_bad_request(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for text in ["DPoP", "DPoP ", "DPoP a b", "DPoP a,b", "DPoP \"a\"", "DPoP ===", "DPoP  a"] {
        let refused = app.send(Ask::get(ACCOUNTS).with("authorization", text)).await;
        assert_eq!(refused.status, 400, "{text}: {}", refused.text());
        assert!(refused.challenge().contains("error=\"invalid_request\""), "{text}");
    }
    let sized = |bytes: usize| Ask::get(ACCOUNTS).with("authorization", format!("DPoP {}", "a".repeat(bytes)));
    app.send(sized(TOKEN_BYTES_MAX)).await.refused(401, "token_invalid");
    app.send(sized(TOKEN_BYTES_MAX + 1)).await.refused(400, "token_malformed");
}

async fn rs6_a_challenge_tells_nothing_beyond_its_error(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (ours, right) = (issuer_key(&world), reread(&app.token));
    let house = &world.assembled().house;
    let taken_back = right.clone().set("jti", "taken-back");
    let name = revocation::token(world.issuer(), "taken-back");
    house.revocations.take_in(&[Revoked { name, until: world.now() + ACCESS_TOKEN_TTL }]);
    let tokens = [
        ("expired", right.clone().set("exp", world.seconds() - 60).sign(&ours)),
        ("taken back", taken_back.sign(&ours)),
        ("signed by somebody", right.clone().sign(&Key::es256())),
        ("for another", right.clone().set("aud", "https://other.example").sign(&ours)),
        ("of a client that is gone", right.clone().set("client_id", "gone-app").set("sub", "gone-app").sign(&ours)),
        ("of another client's key", right.set("cnf", json!({"jkt": Key::es256().thumbprint()})).sign(&ours)),
        ("no token at all", "a.b.c".to_owned()),
    ];
    let mut told = Vec::new();
    for (what, token) in tokens {
        let answer = Session { world: &world, app: twin(&app), token }.get(ACCOUNTS).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(answer.challenges().len(), 1, "{what}");
        told.push(answer.challenge().to_owned());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    // Nor does what the client says come back.
    let canary = "canary\\\" x";
    for header in ["authorization", "dpop", "x-fapi-interaction-id", "origin"] {
        let answer = world.send(Ask::get(ACCOUNTS).with(header, format!("DPoP {canary}"))).await;
        assert!(answer.challenges().iter().all(|challenge| !challenge.contains("canary")), "{header}");
        assert!(!answer.text().contains("canary"), "{header}: {}", answer.text());
    }
}

async fn rs10_only_an_access_token_of_ours_for_us_is_accepted(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (ours, right) = (issuer_key(&world), reread(&app.token));
    // The forger holds our very key and still has to say the right thing.
    let wrong: Vec<(&str, Jws)> = vec![
        ("typ of an ID token", right.clone().set_header("typ", "JWT")),
        ("no typ", right.clone().without_header("typ")),
        ("typ of a proof", right.clone().set_header("typ", "dpop+jwt")),
        ("typ of a result", right.clone().set_header("typ", "identity-result+jwt")),
        ("alg none", right.clone().set_header("alg", "none")),
        ("alg of a shared secret", right.clone().set_header("alg", "HS256")),
        ("alg of another family", right.clone().set_header("alg", "PS256")),
        ("another kid", right.clone().set_header("kid", "other")),
        ("critical extension", right.clone().set_header("crit", json!(["x"])).set_header("x", 1)),
        ("b64", right.clone().set_header("b64", false)),
        ("jku", right.clone().set_header("jku", "https://thief.example/jwks")),
        ("another audience", right.clone().set("aud", "https://other.example")),
        ("audience of another form", right.clone().set("aud", 1)),
        ("no audience", right.clone().without("aud")),
        ("another issuer", right.clone().set("iss", "https://other.example")),
        ("issuer with a slash", right.clone().set("iss", format!("{}/", world.issuer()))),
        ("a list of issuers", right.clone().set("iss", json!([world.issuer()]))),
        ("no issuer", right.clone().without("iss")),
        ("no expiry", right.clone().without("exp")),
        ("expiry as text", right.clone().set("exp", (world.seconds() + 60).to_string())),
        ("expiry as fraction", right.clone().set("exp", 4_000_000_000.5)),
        ("no issue time", right.clone().without("iat")),
        ("no client", right.clone().without("client_id")),
        ("client that is gone", right.clone().set("client_id", "gone-app")),
        ("client as number", right.clone().set("client_id", 7)),
        ("no subject", right.clone().without("sub")),
        ("subject as list", right.clone().set("sub", json!(["demo-app"]))),
        ("no id", right.clone().without("jti")),
        ("scope as list", right.clone().set("scope", json!(["accounts:read"]))),
    ];
    // The forger holds our very key: what is only signed anew is accepted, so each refusal below has its own reason.
    Session { world: &world, app: twin(&app), token: right.sign(&ours) }.get(ACCOUNTS).await.succeeded(200);
    for (what, jws) in wrong {
        let session = Session { world: &world, app: twin(&app), token: jws.sign(&ours) };
        let refused = session.get(ACCOUNTS).await;
        refused.refused(401, "token_invalid");
        assert!(refused.challenge().contains("error=\"invalid_token\""), "{what}");
    }
    let list = right.set("aud", json!(["https://other.example", world.issuer()])).sign(&ours);
    let session = Session { world: &world, app: twin(&app), token: list };
    session.get(ACCOUNTS).await.succeeded(200);
}

/// The same client with the same proof key, for another session.
fn twin(session: &Session<'_>) -> App {
    let mut twin = App::of(session.world, &session.app.id);
    twin.proof_key = session.app.proof_key.copy();
    twin
}

async fn rs10_a_token_expires_after_its_time_and_the_leeway(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let expires = reread(&app.token).claims["exp"].as_i64().unwrap();
    assert_eq!(expires, world.seconds() + i64::try_from(ACCESS_TOKEN_TTL.as_secs()).unwrap());
    let end = expires * 1000 + i64::try_from(LEEWAY.as_millis()).unwrap();
    let left = u64::try_from(end - world.now().millis()).unwrap();
    world.advance(Duration::from_millis(left - 1));
    app.get(ACCOUNTS).await.succeeded(200);
    world.advance(Duration::from_millis(1));
    let refused = app.get(ACCOUNTS).await;
    refused.refused(401, "token_expired");
    assert!(refused.challenge().contains("error=\"invalid_token\""));
}

async fn rs10_a_token_from_the_future_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let ours = issuer_key(&world);
    let leeway = i64::try_from(LEEWAY.as_secs()).unwrap();
    for claim in ["iat", "nbf"] {
        for (ahead, fine) in [(leeway, true), (leeway + 1, false)] {
            let token = reread(&app.token).set(claim, world.seconds() + ahead).sign(&ours);
            let answer = Session { world: &world, app: twin(&app), token }.get(ACCOUNTS).await;
            if fine {
                answer.succeeded(200)
            } else {
                answer.refused(401, "token_invalid")
            };
        }
    }
}

/// Has the store remember that something was taken back, as another replica would.
async fn taken_back(world: &World, name: [u8; 32]) {
    let revoked = [Revoked { name, until: world.now() + ACCESS_TOKEN_TTL + LEEWAY }];
    let house = &world.assembled().house;
    assert!(house.authorizations.change_items(&[], &revoked, world.now()).await.unwrap());
}

async fn rs11_a_token_that_was_taken_back_counts_nowhere(kind: Kind) {
    let world = World::start(kind).await;
    let (app, other) = (Session::of(&world, "demo-app").await, Session::of(&world, "demo-app").await);
    app.get(ACCOUNTS).await.succeeded(200);
    let jti = reread(&app.token).claims["jti"].as_str().unwrap().to_owned();
    taken_back(&world, revocation::token(world.issuer(), &jti)).await;
    // Within the bound it may still count, and not a moment longer, though its signature is known to be right.
    world.advance(REVOCATION_LAG_MAX + Duration::from_millis(1));
    let refused = app.get(ACCOUNTS).await;
    refused.refused(401, "token_invalid");
    assert!(refused.challenge().contains("error=\"invalid_token\""));
    other.get(ACCOUNTS).await.succeeded(200);
    // The same name of another issuer's token is another token.
    let jti = reread(&other.token).claims["jti"].as_str().unwrap().to_owned();
    taken_back(&world, revocation::token("https://other.example", &jti)).await;
    world.advance(REVOCATION_LAG_MAX + Duration::from_millis(1));
    other.get(ACCOUNTS).await.succeeded(200);
}

async fn rs11_everything_under_a_grant_is_taken_back_at_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let of_grant = |grant: &str| {
        let detail =
            json!({"type": "account_information", "consentId": "c", "permissions": ["accounts"], "accounts": ["a"]});
        let jws =
            reread(&app.token).set("sub", "citizen:somebody").set("grant_id", grant).set("acr", "urn:qaqpa:acr:L2");
        let jws = jws.set("authorization_details", json!([detail])).set("auth_time", world.seconds());
        let token = jws.set("jti", fresh("token")).sign(&issuer_key(&world));
        Session { world: &world, app: twin(&app), token }
    };
    let (first, second, other) = (of_grant("one"), of_grant("one"), of_grant("other"));
    for session in [&first, &second, &other] {
        session.get(ACCOUNTS).await.succeeded(200);
    }
    taken_back(&world, revocation::grant(&GrantId::parse("one").unwrap())).await;
    world.advance(REVOCATION_LAG_MAX + Duration::from_millis(1));
    for session in [&first, &second, &of_grant("one")] {
        session.get(ACCOUNTS).await.refused(401, "token_invalid");
    }
    other.get(ACCOUNTS).await.succeeded(200);
}

async fn rs13_a_token_of_another_issuer_is_refused(kind: Kind) {
    let (world, elsewhere) = (World::start(kind).await, World::start(kind).await);
    let app = Session::of(&world, "demo-app").await;
    let foreign = reread(&app.token).sign(&issuer_key(&elsewhere));
    Session { world: &world, app: twin(&app), token: foreign }.get(ACCOUNTS).await.refused(401, "token_invalid");
    let theirs = Session::of(&elsewhere, "demo-app").await.token;
    Session { world: &world, app: twin(&app), token: theirs }.get(ACCOUNTS).await.refused(401, "token_invalid");
    // A key that the token brings along is nobody's key.
    let thief = Key::es256();
    let own = reread(&app.token).set_header("jwk", thief.public_jwk()).without_header("kid").sign(&thief);
    Session { world: &world, app: twin(&app), token: own }.get(ACCOUNTS).await.refused(401, "token_invalid");
}

async fn rs30_a_token_that_is_bound_to_nothing_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let ours = issuer_key(&world);
    let key = app.app.proof_key.thumbprint();
    let wrong = [
        None,
        Some(json!({})),
        Some(json!({"jkt": 1})),
        Some(json!({"kid": key})),
        Some(json!({"jkt": key, "x5t#S256": base64url(&[0; 32])})),
        Some(json!("jkt")),
    ];
    for cnf in wrong {
        let jws = reread(&app.token);
        let jws = cnf.map_or_else(|| jws.clone().without("cnf"), |cnf| jws.clone().set("cnf", cnf));
        let token = jws.sign(&ours);
        Session { world: &world, app: twin(&app), token: token.clone() }
            .get(ACCOUNTS)
            .await
            .refused(401, "token_invalid");
        let bearer = Ask::get(ACCOUNTS).with("authorization", format!("Bearer {token}"));
        world.send(bearer).await.refused(401, "token_invalid");
    }
}

async fn rs40_a_token_bound_to_a_certificate_needs_that_certificate(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-mtls-app").await;
    app.get(ACCOUNTS).await.succeeded(200);
    let bare = Ask::get(ACCOUNTS).at(Door::MtlsApi).with("authorization", format!("Bearer {}", app.token));
    world.send(bare.clone()).await.refused(401, "token_binding_failed");
    let same_name = Certificate::self_signed("demo-mtls-app.sandbox.qaqpa");
    world.send(bare.showing(&same_name)).await.refused(401, "token_binding_failed");
    let other = Session::of(&world, "demo-app").await;
    let stolen = Session { world: &world, app: twin(&other), token: app.token.clone() };
    stolen.get(ACCOUNTS).await.refused(401, "token_binding_failed");
}

async fn rs40_a_certificate_is_not_seen_at_the_door_that_does_not_ask(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-mtls-app").await;
    let certificate = app.app.certificate.as_ref().unwrap();
    let ask = Ask::get(ACCOUNTS).with("authorization", format!("Bearer {}", app.token)).showing(certificate);
    world.send(ask).await.refused(401, "token_binding_failed");
}

async fn as43_proofs_are_signed_by_what_metadata_list(kind: Kind) {
    let world = World::start(kind).await;
    let allowed = ["PS256", "ES256", "EdDSA", "Ed25519"];
    let member = "dpop_signing_alg_values_supported";
    let mut told = Vec::new();
    for place in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"] {
        let answer = world.send(Ask::get(place)).await;
        let listed = answer.succeeded(200).json()[member].clone();
        let listed: Vec<String> = serde_json::from_value(listed).unwrap();
        assert!(
            !listed.is_empty() && listed.iter().all(|name| allowed.contains(&name.as_str())),
            "{place}: {listed:?}"
        );
        told.push(listed);
    }
    let answer = world.send(Ask::get(ACCOUNTS)).await;
    let (_, rest) = answer.challenge().split_once("algs=\"").unwrap();
    told.push(rest.split_once('"').unwrap().0.split(' ').map(str::to_owned).collect());
    told.iter_mut().for_each(|list| list.sort());
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
}

async fn another_library_accepts_our_tokens(kind: Kind) {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let published = world.send(Ask::get("/oauth/jwks")).await;
    let keys: JwkSet = serde_json::from_value(published.succeeded(200).json()).unwrap();
    let header = decode_header(&app.token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut rules = Validation::new(Algorithm::ES256);
    rules.algorithms = vec![header.alg];
    rules.set_audience(&[world.issuer()]);
    rules.set_issuer(&[world.issuer()]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let claims = decode::<Value>(&app.token, &key, &rules).unwrap().claims;
    assert_eq!(claims["client_id"], "demo-app");
    assert_eq!(claims["cnf"]["jkt"], app.app.proof_key.thumbprint());
    assert!(!published.text().contains("\"d\""), "a private key is published");
}
