//! DPoP proofs: one per request, by the key that the token is bound to (RFC 9449).

use std::time::Duration;

use policies::proof::{PROOF_AGE_MAX, PROOF_AHEAD_MAX, PROOF_BYTES_MAX};
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::actors::jws::sign_texts;
use scenarios::actors::{Jws, Key, Session};
use scenarios::world::{Answer, Ask, Kind, World};
use serde_json::{Value, json};

const ACCOUNTS: &str = "/v1/accounts";

scenarios! {
    rs20_a_token_without_its_proof_is_refused,
    rs20_two_proofs_are_refused,
    rs20_a_proof_is_one_compact_jws_of_bounded_size,
    rs21_rs22_a_proof_has_its_own_type_and_an_asymmetric_algorithm,
    rs23_a_proof_brings_a_public_key_and_nothing_private,
    rs24_a_proof_is_signed_by_the_key_it_brings,
    rs25_a_proof_without_one_of_its_claims_is_refused,
    rs26_a_proof_for_another_method_is_refused,
    rs27_a_proof_for_another_url_is_refused,
    rs27_spellings_of_our_own_url_are_accepted,
    rs27_a_forwarded_host_does_not_make_a_url_ours,
    rs28_a_proof_is_from_now,
    rs29_a_proof_for_another_token_is_refused,
    rs30_a_proof_by_another_key_is_refused,
    rs31_a_proof_is_used_once,
    rs31_a_jti_has_a_bounded_length,
    rs33_a_refused_proof_burns_nothing,
    an_ed25519_key_proves_too,
}

/// Sends a GET with this proof.
async fn proven(app: &Session<'_>, proof: &str) -> Answer {
    app.send(Ask::get(ACCOUNTS).with("dpop", proof)).await
}

fn right(app: &Session<'_>) -> Jws {
    app.proof(&Ask::get(ACCOUNTS))
}

/// Checks that every one of these is refused for its proof.
async fn all_refused(app: &Session<'_>, wrong: Vec<(&str, String)>) {
    for (what, proof) in wrong {
        let refused = proven(app, &proof).await;
        assert_eq!(refused.status, 401, "{what}: {}", refused.text());
        refused.refused(401, "proof_invalid");
        assert!(refused.challenge().contains("error=\"invalid_dpop_proof\""), "{what}");
    }
    proven(app, &right(app).sign(&app.app.proof_key)).await.succeeded(200);
}

async fn rs20_a_token_without_its_proof_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let bare = Ask::get(ACCOUNTS).with("authorization", format!("DPoP {}", app.token));
    let refused = world.send(bare).await;
    refused.refused(401, "proof_invalid");
    assert!(refused.challenge().contains("error=\"invalid_dpop_proof\""));
    let paying = Ask::post("/v1/domestic-payments").with("authorization", format!("DPoP {}", app.token));
    world.send(paying.with("x-idempotency-key", "k").json(&payment("1.00"))).await.refused(401, "proof_invalid");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn rs20_two_proofs_are_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let twice = Ask::get(ACCOUNTS).with("dpop", right(&app).sign(key)).with("dpop", right(&app).sign(key));
    app.send(twice).await.refused(400, "header_refused");
    let joined = format!("{}, {}", right(&app).sign(key), right(&app).sign(key));
    proven(&app, &joined).await.refused(401, "proof_invalid");
}

async fn rs20_a_proof_is_one_compact_jws_of_bounded_size(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let one = right(&app).sign(key);
    let (head, rest) = one.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let sized = |bytes: usize| {
        // Grown by a claim of its own until the whole has the wanted size; three bytes become four characters.
        let length = |text: &str| right(&app).set("pad", text).sign(key).len();
        let mut pad = String::new();
        while length(&pad) < bytes {
            pad.push('x');
        }
        right(&app).set("pad", pad).sign(key)
    };
    all_refused(
        &app,
        vec![
            ("empty", String::new()),
            ("two parts", format!("{head}.{claims}")),
            ("four parts", format!("{one}.{signature}")),
            ("five parts", format!("{one}.x.y")),
            ("padded", format!("{one}=")),
            ("a blank", format!("{head}. {claims}.{signature}")),
            ("JSON form", json!({"payload": claims, "protected": head, "signature": signature}).to_string()),
            ("no signature", format!("{head}.{claims}.")),
            ("another alphabet", one.replace(['-', '_'], "+") + "+"),
            ("too large", sized(PROOF_BYTES_MAX + 1)),
        ],
    )
    .await;
    let largest = sized(PROOF_BYTES_MAX - 2);
    assert!(largest.len() <= PROOF_BYTES_MAX && largest.len() > PROOF_BYTES_MAX - 6);
    proven(&app, &largest).await.succeeded(200);
}

async fn rs21_rs22_a_proof_has_its_own_type_and_an_asymmetric_algorithm(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let with = |name: &str, value: Value| right(&app).set_header(name, value).sign(key);
    let twice = {
        let proof = right(&app);
        let jwk = key.public_jwk();
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","alg":"ES256","jwk":{jwk}}}"#);
        sign_texts(&header, &Value::Object(proof.claims).to_string(), key)
    };
    all_refused(
        &app,
        vec![
            ("typ JWT", with("typ", json!("JWT"))),
            ("typ at+jwt", with("typ", json!("at+jwt"))),
            ("typ in capitals", with("typ", json!("DPOP+JWT"))),
            ("typ list", with("typ", json!(["dpop+jwt"]))),
            ("no typ", right(&app).without_header("typ").sign(key)),
            ("alg none", with("alg", json!("none"))),
            ("alg HS256", with("alg", json!("HS256"))),
            ("alg RS256", with("alg", json!("RS256"))),
            ("alg ES384", with("alg", json!("ES384"))),
            ("alg lower", with("alg", json!("es256"))),
            ("alg of another key", with("alg", json!("EdDSA"))),
            ("no alg", right(&app).without_header("alg").sign(key)),
            ("crit", right(&app).set_header("crit", json!(["exp"])).sign(key)),
            ("b64", with("b64", json!(false))),
            ("x5u", with("x5u", json!("https://thief.example"))),
            ("alg twice", twice),
        ],
    )
    .await;
}

async fn rs23_a_proof_brings_a_public_key_and_nothing_private(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let jwk = |change: &dyn Fn(&mut Value)| {
        let mut jwk = key.public_jwk();
        change(&mut jwk);
        right(&app).set_header("jwk", jwk).sign(key)
    };
    let member = |name: &'static str, value: Value| jwk(&move |jwk: &mut Value| jwk[name] = value.clone());
    let mut wrong = vec![
        ("no jwk", right(&app).without_header("jwk").sign(key)),
        ("jwk text", right(&app).set_header("jwk", "key").sign(key)),
        ("jwk list", right(&app).set_header("jwk", json!([key.public_jwk()])).sign(key)),
        ("kid alone", right(&app).without_header("jwk").set_header("kid", key.thumbprint()).sign(key)),
        ("symmetric", right(&app).set_header("jwk", json!({"kty": "oct", "k": "c2VjcmV0"})).sign(key)),
        ("another curve", member("crv", json!("P-384"))),
        ("use enc", member("use", json!("enc"))),
        ("key_ops", member("key_ops", json!(["encrypt"]))),
        ("off the curve", member("y", key.public_jwk()["x"].clone())),
        ("short coordinate", member("x", json!("AA"))),
        ("padded coordinate", jwk(&|jwk| jwk["x"] = json!(format!("{}=", jwk["x"].as_str().unwrap())))),
    ];
    for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        wrong.push((private, member(private, json!("AAAA"))));
    }
    all_refused(&app, wrong).await;
}

async fn rs24_a_proof_is_signed_by_the_key_it_brings(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let one = right(&app).sign(&app.app.proof_key);
    let other = right(&app).sign(&app.app.proof_key);
    let (head, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let zero = "A".repeat(86);
    all_refused(
        &app,
        vec![
            ("by a thief", right(&app).sign(&Key::es256())),
            ("of another proof", format!("{head}.{signature}")),
            ("all zero", format!("{head}.{zero}")),
            ("cut", format!("{head}.{}", signature.get(..80).unwrap())),
        ],
    )
    .await;
}

async fn rs25_a_proof_without_one_of_its_claims_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let without = |name: &str| right(&app).without(name).sign(key);
    let with = |name: &str, value: Value| right(&app).set(name, value).sign(key);
    let jti_twice = {
        let claims = Value::Object(right(&app).claims).to_string();
        let claims = format!(r#"{{"jti":"first",{}"#, claims.strip_prefix('{').unwrap());
        sign_texts(&Value::Object(right(&app).header).to_string(), &claims, key)
    };
    all_refused(
        &app,
        vec![
            ("no jti", without("jti")),
            ("no htm", without("htm")),
            ("no htu", without("htu")),
            ("no iat", without("iat")),
            ("no ath", without("ath")),
            ("jti number", with("jti", json!(1))),
            ("jti empty", with("jti", json!(""))),
            ("htm list", with("htm", json!(["GET"]))),
            ("htu object", with("htu", json!({}))),
            ("iat text", with("iat", json!(world.seconds().to_string()))),
            ("iat fraction", with("iat", json!(0.5))),
            ("iat negative", with("iat", json!(-1))),
            ("jti twice", jti_twice),
        ],
    )
    .await;
}

async fn rs26_a_proof_for_another_method_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let wrong = ["POST", "get", "Get", "GET ", ""];
    all_refused(&app, wrong.map(|method| (method, right(&app).set("htm", method).sign(key))).to_vec()).await;
}

async fn rs27_a_proof_for_another_url_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let base = world.external(spine::stage::Door::Api).to_owned();
    let authority = base.strip_prefix("https://").unwrap().to_owned();
    let wrong = [
        format!("{base}/v1/domestic-payments"),
        format!("{base}/v1/accounts/"),
        format!("{base}/V1/accounts"),
        format!("{base}/v1/accounts/x"),
        format!("{base}/"),
        base.clone(),
        "/v1/accounts".to_owned(),
        format!("http://{authority}/v1/accounts"),
        "https://127.0.0.1/v1/accounts".to_owned(),
        "https://127.0.0.1:1/v1/accounts".to_owned(),
        format!("https://user@{authority}/v1/accounts"),
        format!("https://{authority}.thief.example/v1/accounts"),
        "https://thief.example/v1/accounts".to_owned(),
        format!("{base}/v1/accounts%2F"),
        format!("{base}/v1%2Faccounts"),
        format!("{base}/v1/ accounts"),
        String::new(),
    ];
    let wrong: Vec<(&str, String)> =
        wrong.iter().map(|url| (url.as_str(), right(&app).set("htu", url.as_str()).sign(key))).collect();
    all_refused(&app, wrong).await;
}

async fn rs27_spellings_of_our_own_url_are_accepted(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let base = world.external(spine::stage::Door::Api).to_owned();
    let spellings = [
        format!("{base}/v1/accounts?limit=1"),
        format!("{base}/v1/accounts#x"),
        format!("{}/v1/accounts", base.replace("https", "HTTPS")),
        format!("{base}/v1/%61ccounts"),
        format!("{base}/v1/./accounts"),
        format!("{base}/x/../v1/accounts"),
    ];
    for url in spellings {
        let answer = proven(&app, &right(&app).set("htu", url.as_str()).sign(&app.app.proof_key)).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
}

async fn rs27_a_forwarded_host_does_not_make_a_url_ours(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let proof = right(&app).set("htu", "https://thief.example/v1/accounts").sign(&app.app.proof_key);
    let ask = Ask::get(ACCOUNTS)
        .with("dpop", proof)
        .with("x-forwarded-host", "thief.example")
        .with("x-forwarded-proto", "https")
        .with("forwarded", "host=thief.example;proto=https");
    app.send(ask).await.refused(401, "proof_invalid");
}

async fn rs28_a_proof_is_from_now(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    // On a whole second, so that both ends of the window can be stood on.
    let past = u64::try_from(world.now().millis() % 1000).unwrap();
    world.advance(Duration::from_millis(1000 - past));
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap();
    let (oldest, furthest) = (world.seconds() - seconds(PROOF_AGE_MAX), world.seconds() + seconds(PROOF_AHEAD_MAX));
    let made = |iat: i64| right(&app).set("iat", iat).sign(key);
    for (iat, fine) in [(oldest, true), (oldest - 1, false), (furthest, true), (furthest + 1, false)] {
        let answer = proven(&app, &made(iat)).await;
        if fine {
            answer.succeeded(200)
        } else {
            answer.refused(401, "proof_invalid")
        };
    }
    let own_end = right(&app).set("exp", world.seconds() - 3600).sign(key);
    proven(&app, &own_end).await.refused(401, "proof_invalid");
    let own_begin = right(&app).set("nbf", world.seconds() + 3600).sign(key);
    proven(&app, &own_begin).await.refused(401, "proof_invalid");
    let both = right(&app).set("nbf", world.seconds() - 1).set("exp", world.seconds() + 60).sign(key);
    proven(&app, &both).await.succeeded(200);
}

async fn rs29_a_proof_for_another_token_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    let url = format!("{}{ACCOUNTS}", world.external(spine::stage::Door::Api));
    let other = app.app.proof(&world, "GET", &url, Some("another-token")).sign(key);
    let hash = right(&app).claims["ath"].as_str().unwrap().to_owned();
    all_refused(
        &app,
        vec![
            ("another token", other),
            ("padded", right(&app).set("ath", format!("{hash}=")).sign(key)),
            ("the token itself", right(&app).set("ath", app.token.as_str()).sign(key)),
            ("empty", right(&app).set("ath", "").sign(key)),
        ],
    )
    .await;
}

async fn rs30_a_proof_by_another_key_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    for thief in [Key::es256(), Key::ed25519()] {
        let jwk = thief.public_jwk();
        let proof = right(&app).set_header("jwk", jwk).set_header("alg", thief.algorithm()).sign(&thief);
        let refused = proven(&app, &proof).await;
        refused.refused(401, "token_binding_failed");
        assert!(refused.challenge().contains("error=\"invalid_token\""));
    }
}

async fn rs31_a_proof_is_used_once(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let proof = right(&app).sign(&app.app.proof_key);
    proven(&app, &proof).await.succeeded(200);
    let refused = proven(&app, &proof).await;
    refused.refused(401, "replay_detected");
    assert!(refused.challenge().contains("error=\"invalid_dpop_proof\""));
    // A signature made anew over the same claims is the same proof.
    let claims = right(&app).set("jti", "the same");
    proven(&app, &claims.sign(&app.app.proof_key)).await.succeeded(200);
    proven(&app, &claims.sign(&app.app.proof_key)).await.refused(401, "replay_detected");
    // For another path it is another proof; its last instant it is still remembered.
    let ask = Ask::get("/v1/accounts?limit=1");
    let elsewhere = Ask::get(&format!("/v1/accounts/{}/balances", bank::account(1)));
    let proof = app.proof(&elsewhere).set("jti", "the same").sign(&app.app.proof_key);
    app.send(elsewhere.with("dpop", proof)).await.succeeded(200);
    world.advance(PROOF_AGE_MAX);
    app.send(ask.with("dpop", claims.sign(&app.app.proof_key))).await.status_is(401);
}

async fn rs31_a_jti_has_a_bounded_length(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let key = &app.app.proof_key;
    proven(&app, &right(&app).set("jti", "j".repeat(128)).sign(key)).await.succeeded(200);
    proven(&app, &right(&app).set("jti", "j".repeat(129)).sign(key)).await.refused(401, "proof_invalid");
}

async fn rs33_a_refused_proof_burns_nothing(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let jti = fresh("contested");
    // A thief who saw the id of a proof cannot spend it first.
    let thief = Key::es256();
    let stolen = right(&app).set("jti", jti.as_str()).sign(&thief);
    proven(&app, &stolen).await.refused(401, "proof_invalid");
    let own_key = right(&app).set("jti", jti.as_str()).set_header("jwk", thief.public_jwk()).sign(&thief);
    proven(&app, &own_key).await.refused(401, "token_binding_failed");
    proven(&app, &right(&app).set("jti", jti).sign(&app.app.proof_key)).await.succeeded(200);
}

async fn an_ed25519_key_proves_too(kind: Kind) {
    let world = World::start(kind).await;
    let mut app = scenarios::actors::App::of(&world, "demo-app");
    app.proof_key = Key::ed25519();
    let app = app.session(&world, None).await;
    app.get(ACCOUNTS).await.succeeded(200);
    let renamed = right(&app).set_header("alg", "Ed25519").sign(&app.app.proof_key);
    proven(&app, &renamed).await.succeeded(200);
}
