//! Pushed authorization requests (RFC 9126): what a client may ask a citizen for, and how it is named.

use std::time::Duration;

use adapters::authorizations::find;
use gateway::layer::authenticate::FORM_BYTES_MAX;
use policies::authorization::{PUSHED_TTL, Pushed};
use scenarios::actors::app::fresh;
use scenarios::actors::asking::{CALLBACK, Fields, Pkce, detail};
use scenarios::actors::bank::iban;
use scenarios::actors::{App, Key, Session};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

store_scenarios! {
    as20_only_pushed_requests_are_served,
    as21_par_takes_only_post,
    as21_par_takes_only_a_form_of_a_bounded_size,
    as21_par_needs_an_authenticated_client,
    as21_par_in_excess_is_told_when_to_come_back,
    as21_a_request_inside_a_request_is_refused,
    as21_a_pushed_request_gets_a_name_that_cannot_be_guessed,
    as22_a_request_is_its_clients_own_and_for_a_short_time,
    as23_what_the_page_would_refuse_is_refused_when_it_is_pushed,
    as23_consents_have_to_be_the_clients_own_and_await_it,
    as25_only_client_and_name_are_read_at_the_page,
    as15_who_may_not_act_pushes_nothing,
    as15_who_is_licensed_for_less_asks_for_less,
    as42_the_key_of_a_request_is_named_once,
    as70_details_that_cannot_be_granted_are_refused,
    as11_par_tells_nobody_which_clients_there_are,
    terms_that_come_with_a_request_become_a_consent,
}

async fn world(kind: Kind) -> (World, App) {
    let (app, policy) = App::for_citizens("citizen-app");
    let (other, others) = App::for_citizens("other-app");
    drop(other);
    let setup = Setup::citizens().policy("citizen-app.yaml", policy).policy("other-app.yaml", others);
    (World::with(kind, setup).await, app)
}

fn terms() -> Value {
    json!([{"type": "account_information", "permissions": ["accounts", "balances"]}])
}

fn payment_terms() -> Value {
    json!([{
        "type": "payment_initiation", "creditorAccount": {"iban": iban(2)}, "creditorName": "Bolat Sandbaev",
        "instructedAmount": {"amount": "1500.00", "currency": "KZT"}, "knp": "343",
    }])
}

fn right() -> Fields {
    Fields::pushed(CALLBACK, "accounts:read balances:read", &Pkce::fresh(), &terms())
}

async fn as20_only_pushed_requests_are_served(kind: Kind) {
    let (world, app) = world(kind).await;
    // Everything that a request consists of, but not pushed.
    let query = "response_type=code&client_id=citizen-app&scope=accounts%3Aread&state=x&code_challenge_method=S256\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback";
    for query in
        [query.to_owned(), format!("{query}&request=eyJhbGciOiJub25lIn0.e30."), "client_id=citizen-app".to_owned()]
    {
        let refused = world.send(Ask::get(&format!("/oauth/authorize?{query}"))).await;
        assert!((400..500).contains(&refused.status), "{} {}", refused.status, refused.text());
        assert_eq!(refused.header("location"), None);
    }
    app.push(&world, &right()).await.succeeded(201);
}

async fn as21_par_takes_only_post(kind: Kind) {
    let (world, app) = world(kind).await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "HEAD"] {
        let refused = world.send(Ask::new(method, "/oauth/par")).await;
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.header("allow"), Some("POST"));
    }
    app.push(&world, &right()).await.succeeded(201);
}

async fn as21_par_takes_only_a_form_of_a_bounded_size(kind: Kind) {
    let (world, app) = world(kind).await;
    let ask = || app.form_ask(&world, "/oauth/par", &right());
    for media in ["application/json", "multipart/form-data; boundary=x", "text/plain"] {
        let refused = world.send(ask().without("content-type").with("content-type", media)).await;
        refused.oauth_refused(415, "invalid_request");
    }
    let sized = |bytes: usize| {
        let ask = ask();
        let start = format!("{}&pad=", String::from_utf8_lossy(&ask.body));
        let body = format!("{start}{}", "x".repeat(bytes - start.len()));
        ask.body(body)
    };
    world.send(sized(FORM_BYTES_MAX + 1)).await.oauth_refused(413, "invalid_request");
    world.send(sized(FORM_BYTES_MAX)).await.succeeded(201);
    let ask = ask();
    let twice = format!("{}&state=other", String::from_utf8_lossy(&ask.body));
    world.send(ask.body(twice)).await.oauth_refused(400, "invalid_request");
}

async fn as21_par_needs_an_authenticated_client(kind: Kind) {
    let (world, app) = world(kind).await;
    let form: Vec<(String, String)> = right().0;
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    world.send(Ask::post("/oauth/par").form(&form)).await.oauth_refused(400, "invalid_request");
    let by_name = [form.as_slice(), &[("client_id", "citizen-app")]].concat();
    world.send(Ask::post("/oauth/par").form(&by_name)).await.oauth_refused(401, "invalid_client");
    let by_secret = [by_name.as_slice(), &[("client_secret", "hunter2")]].concat();
    world.send(Ask::post("/oauth/par").form(&by_secret)).await.oauth_refused(401, "invalid_client");
    let ask = app.form_ask(&world, "/oauth/par", &right());
    world.send(ask.with("authorization", "Basic YTpi")).await.oauth_refused(401, "invalid_client");
    let thief = App { key: Some(Key::es256()), ..app.copy() };
    thief.push(&world, &right()).await.oauth_refused(401, "invalid_client");
    app.push(&world, &right().set("client_id", "other-app")).await.oauth_refused(401, "invalid_client");
    app.push(&world, &right().set("client_id", "citizen-app")).await.succeeded(201);
}

async fn as21_par_in_excess_is_told_when_to_come_back(kind: Kind) {
    let (world, _) = world(kind).await;
    // The plan `trial` has room for little.
    let app = App::of(&world, "trial-app");
    let mut shed = None;
    for _ in 0..200 {
        let answer = app.push(&world, &right()).await;
        if answer.status == 429 {
            shed = Some(answer);
            break;
        }
        answer.status_is(400);
    }
    let shed = shed.unwrap();
    shed.oauth_refused(429, "temporarily_unavailable");
    assert!(shed.header("retry-after").is_some());
}

async fn as21_a_request_inside_a_request_is_refused(kind: Kind) {
    let (world, app) = world(kind).await;
    let name = app.push(&world, &right()).await.succeeded(201).at("/request_uri");
    for (field, value) in
        [("request_uri", name.as_str()), ("request_uri", "https://app.example/r"), ("request", "eyJ.e30.")]
    {
        let refused = app.push(&world, &right().set(field, value)).await;
        assert_eq!(refused.status, 400, "{field}: {}", refused.text());
        assert!(["invalid_request", "request_not_supported"].contains(&refused.at("/error").as_str()));
    }
}

async fn as21_a_pushed_request_gets_a_name_that_cannot_be_guessed(kind: Kind) {
    let (world, app) = world(kind).await;
    let mut names = std::collections::HashSet::new();
    for _ in 0..5 {
        let answer = app.push(&world, &right()).await;
        answer.succeeded(201);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let seconds = answer.json()["expires_in"].as_u64().unwrap();
        assert!((5..600).contains(&seconds), "{seconds}");
        assert_eq!(seconds, PUSHED_TTL.as_secs());
        let name = answer.at("/request_uri");
        let random = name.strip_prefix("urn:ietf:params:oauth:request_uri:").unwrap();
        // 256 bits in base64url.
        assert_eq!(random.len(), 43);
        assert!(names.insert(name));
    }
}

/// Whether a page was shown: what is on it is told elsewhere.
async fn shown(world: &World, client: &str, name: &str) -> Answer {
    world.send(Ask::get(&format!("/oauth/authorize?client_id={client}&request_uri={name}"))).await
}

async fn as22_a_request_is_its_clients_own_and_for_a_short_time(kind: Kind) {
    let (world, app) = world(kind).await;
    let name = app.push(&world, &right()).await.succeeded(201).at("/request_uri");
    let unknown = app.push(&world, &right()).await.succeeded(201).at("/request_uri").to_lowercase();
    for (client, name) in [("other-app", &name), ("no-such-app", &name), ("citizen-app", &unknown)] {
        let refused = shown(&world, client, name).await;
        assert!((400..500).contains(&refused.status), "{client}: {}", refused.status);
        assert_eq!(refused.header("location"), None);
    }
    // Visiting it is not using it.
    shown(&world, "citizen-app", &name).await.succeeded(200);
    world.advance(PUSHED_TTL - Duration::from_secs(1));
    shown(&world, "citizen-app", &name).await.succeeded(200);
    world.advance(Duration::from_secs(1));
    let refused = shown(&world, "citizen-app", &name).await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
}

async fn as23_what_the_page_would_refuse_is_refused_when_it_is_pushed(kind: Kind) {
    let (world, app) = world(kind).await;
    for (field, value, error) in [
        ("redirect_uri", "", "invalid_request"),
        ("redirect_uri", "https://app.example/callback/", "invalid_request"),
        ("redirect_uri", "https://app.example/callback?x=1", "invalid_request"),
        ("redirect_uri", "https://app.example:443/callback", "invalid_request"),
        ("redirect_uri", "https://APP.example/callback", "invalid_request"),
        ("redirect_uri", "http://app.example/callback", "invalid_request"),
        ("redirect_uri", "https://thief.example/callback", "invalid_request"),
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code id_token", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("scope", "no:such", "invalid_scope"),
        ("scope", "identity:verify", "invalid_scope"),
    ] {
        let answer = app.push(&world, &right().set(field, value)).await;
        assert_eq!(answer.status, 400, "{field}={value}: {}", answer.text());
        assert_eq!(answer.at("/error"), error, "{field}={value}");
    }
    for field in ["redirect_uri", "response_type", "code_challenge", "code_challenge_method"] {
        app.push(&world, &right().without(field)).await.oauth_refused(400, "invalid_request");
    }
    let long = "s".repeat(1001);
    let answer = app.push(&world, &right().set("state", &long)).await;
    assert!(answer.status == 201 || answer.at("/error") == "invalid_request", "{}", answer.text());
    app.push(&world, &right().set("nonce", "n".repeat(64))).await.succeeded(201);
    app.push(&world, &right().without("state")).await.succeeded(201);
}

async fn as23_consents_have_to_be_the_clients_own_and_await_it(kind: Kind) {
    let (world, app) = world(kind).await;
    let own = app.copy().session(&world, Some("consents:write")).await;
    let other = App::of(&world, "demo-app");
    let body = json!({"permissions": ["accounts", "balances"]});
    let consent = own.consent("/v1/account-access-consents", &body).await;
    let push = |app: &App, details: Value| {
        let fields = right().set("authorization_details", details.to_string());
        app.copy().form_ask(&world, "/oauth/par", &fields)
    };
    // Another client's reads like one that is not there.
    let theirs = world.send(push(&other, detail("account_information", &consent))).await;
    assert_eq!(theirs.status, 400, "{}", theirs.text());
    let no_such = detail("account_information", "018f3c1e-5a11-7d01-8c3f-2b9d7e6f1a20");
    world.send(push(&app, no_such)).await.oauth_refused(400, "invalid_authorization_details");
    let of_other_kind = detail("payment_initiation", &consent);
    world.send(push(&app, of_other_kind)).await.oauth_refused(400, "invalid_authorization_details");
    world.send(push(&app, detail("account_information", &consent))).await.succeeded(201);
    // A consent may be asked for again, as long as nobody has decided.
    world.send(push(&app, detail("account_information", &consent))).await.succeeded(201);
    own.delete(&format!("/v1/account-access-consents/{consent}")).await.status_is(204);
    let ended = world.send(push(&app, detail("account_information", &consent))).await;
    ended.oauth_refused(400, "invalid_authorization_details");
}

async fn as25_only_client_and_name_are_read_at_the_page(kind: Kind) {
    let (world, app) = world(kind).await;
    let name = app.push(&world, &right()).await.succeeded(201).at("/request_uri");
    let plain = shown(&world, "citizen-app", &name).await;
    plain.succeeded(200);
    let more =
        "&redirect_uri=https%3A%2F%2Fthief.example&scope=payments%3Awrite&state=other&response_type=token&x=1&x=2";
    let differing = shown(&world, "citizen-app", &format!("{name}{more}")).await;
    differing.succeeded(200);
    assert!(!differing.text().contains("thief.example") && !differing.text().contains("payments"));
}

async fn as15_who_may_not_act_pushes_nothing(kind: Kind) {
    let (app, policy) = App::for_citizens("citizen-app");
    let setup = Setup::citizens().policy("citizen-app.yaml", format!("{policy}    suspended: true\n"));
    let world = World::with(kind, setup).await;
    app.push(&world, &right()).await.oauth_refused(400, "unauthorized_client");
    // One that has no place to send citizens back to cannot ask them.
    let world = World::with(kind, Setup::citizens()).await;
    let refused = App::of(&world, "demo-mfo-app").push(&world, &right()).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}

async fn as15_who_is_licensed_for_less_asks_for_less(kind: Kind) {
    let (app, policy) = App::for_citizens("citizen-app");
    let reader = "qaqpa: v1\norganisations:\n  reader:\n    title: Reader\n    roles: [AISP]\n    \
                  licence: {authority: NBK, id: N-1, validUntil: 2099-12-31}\n";
    let policy = policy.replace("demo-fintech", "reader");
    let world =
        World::with(kind, Setup::citizens().policy("citizen-app.yaml", policy).policy("reader.yaml", reader)).await;
    let payment = right().set("scope", "payments:write").set("authorization_details", payment_terms().to_string());
    app.push(&world, &payment).await.oauth_refused(400, "invalid_authorization_details");
    app.push(&world, &right()).await.succeeded(201);
}

async fn as42_the_key_of_a_request_is_named_once(kind: Kind) {
    let (world, app) = world(kind).await;
    let thumbprint = app.proof_key.thumbprint();
    let other = Key::es256().thumbprint();
    let with_proof = |fields: &Fields| app.with_proof(&world, app.form_ask(&world, "/oauth/par", fields));
    let differing = world.send(with_proof(&right().set("dpop_jkt", &other))).await;
    assert_eq!(differing.status, 400, "{}", differing.text());
    assert!(["invalid_dpop_proof", "invalid_request"].contains(&differing.at("/error").as_str()));
    app.push(&world, &right().set("dpop_jkt", "no thumbprint")).await.oauth_refused(400, "invalid_request");
    world.send(with_proof(&right())).await.succeeded(201);
    world.send(with_proof(&right().set("dpop_jkt", &thumbprint))).await.succeeded(201);
    app.push(&world, &right().set("dpop_jkt", &thumbprint)).await.succeeded(201);
}

async fn as70_details_that_cannot_be_granted_are_refused(kind: Kind) {
    let (world, app) = world(kind).await;
    let base = |change: fn(&mut Value)| {
        let mut details = payment_terms();
        change(&mut details[0]);
        details.to_string()
    };
    for details in [
        "[]".to_owned(),
        "{}".to_owned(),
        "x".to_owned(),
        "[1]".to_owned(),
        "[{}]".to_owned(),
        r#"[{"type":"no_such"}]"#.to_owned(),
        r#"[{"type":1}]"#.to_owned(),
        r#"[{"type":"account_information"}]"#.to_owned(),
        r#"[{"type":"account_information","permissions":[]}]"#.to_owned(),
        r#"[{"type":"account_information","permissions":["all"]}]"#.to_owned(),
        r#"[{"type":"account_information","permissions":["accounts"],"extra":1}]"#.to_owned(),
        r#"[{"type":"account_information","type":"payment_initiation","permissions":["accounts"]}]"#.to_owned(),
        base(|one| one["instructedAmount"]["amount"] = json!("1500")),
        base(|one| one["instructedAmount"]["currency"] = json!("USD")),
        base(|one| one["creditorAccount"]["iban"] = json!("KZ00901SBX0000000101")),
        base(|one| one["knp"] = json!("3")),
        base(|one| one["creditorName"] = json!("")),
        base(|one| one["creditorName"] = Value::Null),
        base(|one| one["more"] = json!(true)),
        format!("[{}]", vec![payment_terms()[0].to_string(); 2].join(",")),
    ] {
        let refused = app.push(&world, &right().set("authorization_details", &details)).await;
        assert_eq!(refused.status, 400, "{details}: {}", refused.text());
        assert_eq!(refused.at("/error"), "invalid_authorization_details", "{details}");
    }
    let oversize = json!([{"type": "account_information", "permissions": ["accounts"], "purpose": "x".repeat(9000)}]);
    let refused = app.push(&world, &right().set("authorization_details", oversize.to_string())).await;
    refused.oauth_refused(400, "invalid_authorization_details");
}

async fn as11_par_tells_nobody_which_clients_there_are(kind: Kind) {
    let (world, app) = world(kind).await;
    for path in ["/oauth/par", "/oauth/introspect", "/oauth/revoke"] {
        let fields = right().set("token", "x");
        let wrong = App { key: Some(Key::es256()), ..app.copy() };
        let wrong_key = world.send(wrong.form_ask(&world, path, &fields)).await;
        let stranger = App { id: "no-such-app".to_owned(), ..app.copy() };
        let unknown = world.send(stranger.form_ask(&world, path, &fields)).await;
        let by_certificate = App { id: "demo-mtls-app".to_owned(), ..app.copy() };
        let other_method = world.send(by_certificate.form_ask(&world, path, &fields)).await;
        for refused in [&wrong_key, &unknown, &other_method] {
            refused.oauth_refused(401, "invalid_client");
            assert_eq!(refused.body, wrong_key.body, "{path}");
            assert_eq!(refused.header("cache-control"), Some("no-store"));
            let names = |answer: &Answer| {
                let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
                names.sort();
                names
            };
            assert_eq!(names(refused), names(&wrong_key));
        }
    }
}

async fn terms_that_come_with_a_request_become_a_consent(kind: Kind) {
    let (world, app) = world(kind).await;
    let payment = right().set("scope", "payments:write").set("authorization_details", payment_terms().to_string());
    let name = app.push(&world, &payment).await.succeeded(201).at("/request_uri");
    let session: Session<'_> = app.session(&world, Some("consents:write")).await;
    let key = policies::jose::sha256(name.as_bytes());
    let pushed = find::<Pushed>(&*world.assembled().house.authorizations, &key).await.unwrap().unwrap().value;
    let consent = pushed.consents[0].as_str();
    let read = session.get(&format!("/v1/domestic-payment-consents/{consent}")).await;
    assert_eq!(read.succeeded(200).at("/status"), "awaiting_authorisation");
    assert_eq!(read.at("/creditorAccount/iban"), iban(2));
    // The same key for the same body is the same consent; for another body it is refused.
    let (path, body) = (
        "/v1/domestic-payment-consents",
        json!({
            "creditorAccount": {"iban": iban(2)}, "creditorName": "Bolat Sandbaev",
            "instructedAmount": {"amount": "1.00", "currency": "KZT"}, "knp": "343",
        }),
    );
    let key = fresh("same");
    let first = session.post(path, &key, &body).await.succeeded(201).at("/consentId");
    assert_eq!(session.post(path, &key, &body).await.succeeded(201).at("/consentId"), first);
}
