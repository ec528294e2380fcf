//! Canaries: secrets and personal data go all the ways there are, and none is found where it does not belong.

use std::path::{Path, PathBuf};

use scenarios::actors::app::{ASSERTION_TYPE, fresh};
use scenarios::actors::asking::{CALLBACK, Fields, Pkce, detail};
use scenarios::actors::bank::{self, payment_with};
use scenarios::actors::citizen::{Browser, Citizen, Redirect, forms, step_of};
use scenarios::actors::log::Log;
use scenarios::actors::program::{self, Program};
use scenarios::actors::provider::{self, Callback, decided};
use scenarios::actors::{Administrator, App, Session, administrator};
use scenarios::world::{Ask, Kind, Setup, World, copy};
use serde_json::{Value, json};
use spine::stage::Door;

/// What libraries and we ourselves write at the most talkative level that an operator can set.
const MOST_TALKATIVE: &str =
    "warn,gateway=trace,adapters=trace,broker=trace,oauth=trace,sandbox=trace,spine=trace,policies=trace,openapi=trace";

/// A text with what it is.
type Canary = (&'static str, String);

/// What everybody may hold that a client sends, sees or is: the ways that are sung on.
#[derive(Debug, Default)]
struct Cage {
    /// Must not be found in any file, log or count: who has one of them can act, or knows a person.
    secrets: Vec<Canary>,
    /// Must not be found in log, trail or counts; an answer that is kept for repetitions holds some of them.
    personal: Vec<Canary>,
}

impl Cage {
    /// Adds a signed object, and each of its parts that says something.
    fn signed(&mut self, what: &'static str, text: &str) -> String {
        self.secrets.push((what, text.to_owned()));
        self.secrets.extend(text.split('.').skip(1).map(|part| (what, part.to_owned())));
        text.to_owned()
    }

    fn secret(&mut self, what: &'static str, text: &str) {
        self.secrets.push((what, text.to_owned()));
    }
}

#[tokio::test]
async fn no_secret_is_found_in_files_logs_or_counts() {
    let log = Log::default();
    // In memory everything but the disk is done by this thread, so that its log is the whole log.
    let listening = log.listen(MOST_TALKATIVE);
    let (citizens_app, policy) = App::for_citizens("citizens-app");
    let asker = App::newcomer("asker");
    let setup = Setup::default()
        .policy("citizens-app.yaml", policy)
        .policy("asker.yaml", asker.policy("demo-bank", &["accounts:read", "balances:read"], "introspects: true"));
    let world = World::with(Kind::Memory, setup).await;
    let mut cage = Cage::default();
    arrival(&world, &mut cage).await;
    business(&world, &mut cage).await;
    authorization(&world, &mut cage, citizens_app, &asker).await;
    trespass(&world, &mut cage).await;
    administration(&world, &mut cage).await;
    let metrics = administrator::metrics(&world).await;
    world.audit().await;
    drop(listening);
    let log = log.text();
    // The log was really heard, or nothing would be found in it either.
    assert!(log.contains("refused: token_binding_failed") && log.contains("refused: schema_violation"), "{log}");
    silent(&log, "the log", cage.secrets.iter().chain(&cage.personal));
    silent(&metrics, "the counts", cage.secrets.iter().chain(&cage.personal));
    let trail = String::from_utf8_lossy(&std::fs::read(world.file("audit/audit-000001.seg")).unwrap()).into_owned();
    assert!(trail.matches("\"interaction\"").count() > 15, "{trail}");
    silent(&trail, "the trail", cage.secrets.iter().chain(&cage.personal));
    files_are_silent(world.state(), &cage.secrets);
    // Once more when everything was written out.
    let rest = world.stop().await;
    files_are_silent(rest.state(), &cage.secrets);
}

/// A token is asked for in right ways and wrong ones.
async fn arrival(world: &World, cage: &mut Cage) {
    let app = App::of(world, "demo-app");
    let record = world.tells()["clients"].as_array().unwrap().iter().find(|client| client["client_id"] == "demo-app");
    cage.secret("a client's private key", record.unwrap()["jwk_private"]["d"].as_str().unwrap());
    let assertion = cage.signed("an assertion", &app.assertion(world).sign(app.key()));
    let place = format!("{}/oauth/token", world.external(Door::Api));
    let proof = cage.signed("a proof", &app.proof(world, "POST", &place, None).sign(&app.proof_key));
    let ask = app.token_ask_with(&assertion, Some("accounts:read")).with("dpop", &proof);
    let answer = world.send(ask.clone()).await;
    cage.signed("a token", &answer.succeeded(200).at("/access_token"));
    world.send(ask).await.oauth_refused(401, "invalid_client");
    let late = cage
        .signed("an assertion that is over", &app.assertion(world).set("exp", world.seconds() - 600).sign(app.key()));
    let fresh_proof = cage.signed("a proof", &app.proof(world, "POST", &place, None).sign(&app.proof_key));
    world.send(app.token_ask_with(&late, None).with("dpop", &fresh_proof)).await.oauth_refused(401, "invalid_client");
}

fn order(key: &str, body: &Value) -> Ask {
    Ask::post("/v1/domestic-payments").with("x-idempotency-key", key).json(body)
}

/// Sends a request with a proof that is remembered.
async fn send(app: &Session<'_>, cage: &mut Cage, ask: Ask) -> scenarios::world::Answer {
    let proof = cage.signed("a proof", &app.proof(&ask).sign(&app.app.proof_key));
    app.send(ask.with("dpop", &proof)).await
}

/// Accounts are read, and a payment is made that its payer has to be verified for.
async fn business(world: &World, cage: &mut Cage) {
    let app = Session::of(world, "demo-app").await;
    cage.signed("a token", &app.token);
    cage.secret("a person's number", bank::iin(1));
    for text in [bank::iban(1), bank::iban(2), "Bolat Sandbaev", "canary in the remittance"] {
        cage.personal.push(("an account, a name or a text", text.to_owned()));
    }
    send(&app, cage, Ask::get("/v1/accounts")).await.succeeded(200);
    let key = fresh("order");
    let large = payment_with("250001.00", "canary in the remittance");
    let challenge = send(&app, cage, order(&key, &large)).await;
    challenge.refused(401, "step_up_required");
    let offer = &challenge.json()["step_up"];
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(1)}, "purpose": offer["purpose"], "level": "L2", "binding": offer["binding"],
    });
    let ask = Ask::post("/v1/identity-verifications").with("x-idempotency-key", fresh("verification")).json(&body);
    let started = send(&app, cage, ask).await;
    started.succeeded(201);
    decided(world, &started).await;
    let read = send(&app, cage, Ask::get(&format!("/v1/identity-verifications/{}", started.at("/id")))).await;
    let result = cage.signed("an identity result", &read.succeeded(200).at("/result"));
    send(&app, cage, order(&key, &large).with("x-identity-result", &result)).await.succeeded(201);
    send(&app, cage, order(&fresh("order"), &large).with("x-identity-result", &result))
        .await
        .refused(403, "verification_failed");
    send(&app, cage, order(&fresh("order"), &payment_with("1.00", "SBX:lost canary in the remittance")))
        .await
        .succeeded(202);
    let secret = std::fs::read_to_string(world.file("keys/webhook-secret")).unwrap();
    cage.secret("the provider's secret", secret.trim());
    let forged =
        Callback::of(world, &provider::session(&started), &started.at("/id"), "match").sign_with(b"canary of a forger");
    cage.secret(
        "a callback's signature",
        std::str::from_utf8(forged.headers.iter().find(|(name, _)| name == "webhook-signature").unwrap().1.as_bytes())
            .unwrap(),
    );
    world.send(forged).await.refused(401, "signature_invalid");
}

/// Sends a form in which a client authenticates itself, with whatever it shows remembered.
async fn form(world: &World, cage: &mut Cage, app: &App, path: &str, fields: &Fields) -> scenarios::world::Answer {
    let assertion = cage.signed("an assertion", &app.assertion(world).sign(app.key()));
    let place = format!("{}{path}", world.external(Door::Api));
    let proof = cage.signed("a proof", &app.proof(world, "POST", &place, None).sign(&app.proof_key));
    let mut pairs: Vec<(&str, &str)> = fields.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.extend([("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion.as_str())]);
    world.send(Ask::post(path).form(&pairs).with("dpop", &proof)).await
}

/// A citizen lets a client read an account; what the client gets for it is used rightly and wrongly, and given back.
async fn authorization(world: &World, cage: &mut Cage, app: App, asker: &App) {
    let none = Fields(Vec::new());
    let own = form(world, cage, &app, "/oauth/token", &none.clone().set("grant_type", "client_credentials")).await;
    let own = app.copy().with_token(world, cage.signed("a token", &own.succeeded(200).at("/access_token")));
    let wish = Ask::post("/v1/account-access-consents").with("x-idempotency-key", fresh("consent"));
    let body = json!({"permissions": ["accounts", "balances"], "accounts": [{"iban": bank::iban(1)}], "purpose": "canary of a purpose"});
    cage.personal.push(("the purpose of a consent", "canary of a purpose".to_owned()));
    let consent = send(&own, cage, wish.json(&body)).await.succeeded(201).at("/consentId");
    let pkce = Pkce::fresh();
    cage.secret("a verifier", &pkce.verifier);
    cage.secret("a state", "canary of a state");
    let fields =
        Fields::pushed(CALLBACK, "accounts:read balances:read", &pkce, &detail("account_information", &consent));
    let fields = fields.set("state", "canary of a state").set("nonce", "canary-of-a-nonce");
    cage.secret("a nonce", "canary-of-a-nonce");
    let pushed = form(world, cage, &app, "/oauth/par", &fields).await;
    let request_uri = pushed.succeeded(201).at("/request_uri");
    cage.secret("the name of a pushed request", request_uri.rsplit(':').next().unwrap());

    // Somebody comes with a number that is none, then the citizen; another browser sends what it has seen.
    let mut browser = Browser::new(world);
    let page = browser.open(&app.id, &request_uri).await;
    remember(cage, &browser, &page.text());
    cage.secret("what is no number", "canary of no number");
    assert_eq!(browser.step(&page, "identify", &[("iin", "canary of no number")]).await.status, 422);
    let mut thief = Browser::new(world);
    thief.cookies.insert("__Host-qaqpa-login".to_owned(), "canary-of-a-cookie".to_owned());
    cage.secret("a wrong cookie", "canary-of-a-cookie");
    assert_eq!(thief.step(&page, "identify", &[("iin", bank::iin(1))]).await.status, 403);
    let page = browser.identified(&page, bank::iin(1)).await;
    remember(cage, &browser, &page.text());
    let allowed = step_of(&page, "decide").picking_all().with("decision", "approve");
    let code = Redirect::of(&browser.submit(&allowed).await).code();
    cage.secret("a code", &code);

    let wrong = Fields::redemption(CALLBACK, &code, "canary-of-a-verifier-that-is-wrong-and-long-enough");
    cage.secret("a wrong verifier", "canary-of-a-verifier-that-is-wrong-and-long-enough");
    form(world, cage, &app, "/oauth/token", &wrong).await.oauth_refused(400, "invalid_grant");
    let right = Fields::redemption(CALLBACK, &code, &pkce.verifier);
    let redeemed = form(world, cage, &app, "/oauth/token", &right).await;
    let token = cage.signed("a token", &redeemed.succeeded(200).at("/access_token"));
    let refresh = redeemed.at("/refresh_token");
    cage.secret("a refresh token", &refresh);
    let citizen = app.copy().with_token(world, &token);
    send(&citizen, cage, Ask::get("/v1/accounts")).await.succeeded(200);
    let asked = form(world, cage, asker, "/oauth/introspect", &none.clone().set("token", &token)).await;
    assert_eq!(asked.succeeded(200).json()["active"], true);
    let again = none.clone().set("grant_type", "refresh_token");
    let refreshed = form(world, cage, &app, "/oauth/token", &again.clone().set("refresh_token", &refresh)).await;
    cage.signed("a token", &refreshed.succeeded(200).at("/access_token"));
    cage.secret("what is no refresh token", "canary-of-no-refresh-token");
    form(world, cage, &app, "/oauth/token", &again.set("refresh_token", "canary-of-no-refresh-token"))
        .await
        .oauth_refused(400, "invalid_grant");

    // The citizen looks at what they have allowed, and the client gives it back.
    let mut browser = Browser::new(world);
    let list = Citizen(1).own_consents(&mut browser).await;
    remember(cage, &browser, &list.text());
    form(world, cage, &app, "/oauth/revoke", &none.set("token", &refresh)).await.succeeded(200);
    send(&citizen, cage, Ask::get("/v1/accounts")).await.refused(401, "token_invalid");
}

/// Remembers what makes a browser the one it is: its cookies, and what the forms of its page are signed with.
fn remember(cage: &mut Cage, browser: &Browser<'_>, page: &str) {
    for (name, value) in &browser.cookies {
        if !name.ends_with("language") {
            cage.secret("a cookie", value);
        }
    }
    for form in forms(page) {
        if let Some(token) = form.field("csrf") {
            cage.secret("the token of a form", token);
        }
    }
}

/// What is sent in wrong places and wrong forms is no less secret there.
async fn trespass(world: &World, cage: &mut Cage) {
    let app = Session::of(world, "demo-app").await;
    let token = cage.signed("a token", &app.token);
    let thief = Session { world, app: App::newcomer("thief"), token: token.clone() };
    send(&thief, cage, Ask::get("/v1/accounts")).await.refused(401, "token_binding_failed");
    world
        .send(Ask::get("/v1/accounts").with("authorization", format!("Bearer {token}")))
        .await
        .refused(401, "token_binding_failed");
    world.send(Ask::get(&format!("/v1/accounts?access_token={token}"))).await.refused(400, "token_malformed");
    for garbage in ["canary-garbage-of-a-token", "canary.garbage.token"] {
        cage.secret("garbage in the place of a token", garbage);
        let ask = Ask::get("/v1/accounts").with("authorization", format!("DPoP {garbage}")).with("dpop", garbage);
        assert!([400, 401].contains(&world.send(ask).await.status));
    }
    let number = bank::iin(2);
    cage.secret("a person's number", number);
    for target in [
        format!("/v1/accounts/{number}/balances"),
        format!("/v1/{number}"),
        format!("/v1/accounts?cursor={number}&limit={number}"),
    ] {
        assert!([400, 404].contains(&send(&app, cage, Ask::get(&target)).await.status), "{target}");
    }
    let mut broken = payment_with("1.00", "canary in the remittance");
    broken[number] = json!(number);
    broken["debtorAccount"] = json!({"iban": number, "iin": number});
    send(&app, cage, order(&fresh("order"), &broken)).await.refused(400, "schema_violation");
    let torn = Ask::post("/v1/domestic-payments")
        .with("x-idempotency-key", fresh("order"))
        .with("content-type", "application/json");
    send(&app, cage, torn.body(format!("{{\"iin\": {number}, oops"))).await.refused(400, "body_malformed");
    let ask = order(&fresh("order"), &payment_with("250001.00", "x")).with("x-identity-result", "canary.of.a-result");
    cage.secret("garbage in the place of a result", "canary.of.a-result");
    send(&app, cage, ask).await.refused(403, "verification_failed");
}

async fn administration(world: &World, cage: &mut Cage) {
    let (viewer, auditor) = (Administrator::of(world, "aigerim"), Administrator::of(world, "daniyar"));
    cage.secret("an administrator's token", &viewer.token);
    cage.secret("an administrator's token", &auditor.token);
    auditor.get(world, "/admin/audit/records").await.succeeded(200);
    viewer.get(world, "/admin/audit/records").await.refused(403, "administrator_refused");
    let wrong = Administrator { token: "canary-of-an-administrator-who-is-none".to_owned() };
    cage.secret("a wrong administrator's token", &wrong.token);
    wrong.get(world, "/admin/generation").await.refused(401, "client_unauthenticated");
    world.send(auditor.dress(Ask::get("/v1/accounts")).at(Door::Api)).await;
    world.reload().unwrap();
}

fn silent<'c>(text: &str, place: &str, canaries: impl Iterator<Item = &'c Canary>) {
    for (what, canary) in canaries {
        assert!(canary.len() >= 8, "{canary} would be found by chance");
        if let Some(at) = text.find(canary.as_str()) {
            let line = text.get(..at).unwrap_or_default().lines().count();
            panic!("{what} is in {place}, line {line}: {canary}");
        }
    }
}

/// What holds secrets because that is what it is for, and the bank's own books, which are the other side of the wire.
const OWN_PLACES: [&str; 5] = ["keys", "clients", "admins", "ca", "bank"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn files_are_silent(state: &Path, secrets: &[Canary]) {
    let mut found = Vec::new();
    files(state, &mut found);
    found.retain(|path| !OWN_PLACES.iter().any(|own| path.starts_with(state.join(own))));
    for name in ["qaqpa.sqlite", "audit/audit-000001.seg", "qaqpa.yaml", "policies/sandbox.yaml"] {
        assert!(found.contains(&state.join(name)), "{name} is not there: {found:?}");
    }
    for path in found {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        silent(&text, &path.display().to_string(), secrets.iter());
    }
}

/// The same of a process of its own: all its threads, and the whole of what it writes to standard error.
#[tokio::test]
async fn a_talkative_process_tells_no_secret() {
    let world = World::with(Kind::Memory, Setup::default()).await;
    let (bank, provider) = (world.told("/bank").to_owned(), world.told("/providers/0/url").to_owned());
    // Bank and provider go on; the gateway of the process has a state of its own.
    let own = scenarios::world::Folder::new();
    let state = own.path();
    for folder in ["ca", "keys", "admins", "clients", "policies", "contracts"] {
        copy(&world.file(folder), &state.join(folder));
    }
    let text = std::fs::read_to_string(world.file("qaqpa.yaml")).unwrap();
    let text = text.replace(&world.state().display().to_string(), &state.display().to_string());
    std::fs::write(state.join("qaqpa.yaml"), format!("{text}log: {{level: trace, format: json}}\n")).unwrap();
    let mut process = Program::start(&["run".as_ref(), "--config".as_ref(), state.join("qaqpa.yaml").as_os_str()]);
    let log = process.complains("listener admin is open on").await;
    let at = |door: &str| {
        let line = log.lines().find(|line| line.contains(&format!("listener {door} is open on"))).unwrap();
        line.split(" as ").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let mut tells = world.tells().clone();
    for (name, door) in [("api", "api"), ("issuer", "api"), ("mtls_api", "mtls_api"), ("admin", "admin")] {
        tells[name] = json!(at(door));
    }
    for (name, value) in tells["paths"].as_object_mut().unwrap() {
        *value = json!(state.join(if name == "state" { "" } else { name }));
    }
    tells["pid"] = json!(process.id);
    assert_eq!(
        (tells["bank"].as_str(), tells["providers"][0]["url"].as_str()),
        (Some(bank.as_str()), Some(provider.as_str()))
    );
    let talk = serde_json::to_vec(&tells).unwrap();
    std::fs::write(state.join("sandbox.json"), talk).unwrap();
    let tour = program::run(&["tour".as_ref(), "--json".as_ref(), "--state".as_ref(), state.as_os_str()]).await;
    tour.with(0);
    std::fs::remove_file(state.join("sandbox.json")).unwrap();
    process.signal("TERM");
    let ended = process.ended().await;
    ended.with(0);
    assert!(
        ended.err.contains("\"level\":\"DEBUG\"") && ended.err.contains("refused: replay_detected"),
        "{}",
        ended.err
    );
    let mut secrets: Vec<Canary> = (1..=9).map(|number| ("a person's number", bank::iin(number).to_owned())).collect();
    let mut personal: Vec<Canary> = (1..=9).map(|number| ("an account", bank::iban(number).to_owned())).collect();
    for id in ["aigerim", "daniyar"] {
        secrets.push(("an administrator's token", Administrator::of(&world, id).token));
    }
    secrets.push((
        "the provider's secret",
        std::fs::read_to_string(world.file("keys/webhook-secret")).unwrap().trim().to_owned(),
    ));
    // Every signed object, token, assertion, proof or result, begins with `{"` in base64url.
    personal.push(("a signed object", "eyJhbGci".to_owned()));
    personal.push(("a signed object", "eyJ0eXAi".to_owned()));
    silent(&ended.err, "the log", secrets.iter().chain(&personal));
    let trail = String::from_utf8_lossy(&std::fs::read(state.join("audit/audit-000001.seg")).unwrap()).into_owned();
    silent(&trail, "the trail", secrets.iter().chain(&personal));
    files_are_silent(state, &secrets);
}
