//! The authorization page: what a citizen is shown and asked, who may go on, and where the browser is sent.

use std::time::Duration;

use gateway::layer::authenticate::FORM_BYTES_MAX;
use policies::authorization::PUSHED_TTL;
use policies::login::{ASKED_MAX, ASKED_WITHIN, ATTEMPTS_MAX, DECISION_TIME, LOGIN_TIME, WAIT_TIME};
use scenarios::actors::asking::{CALLBACK, Fields, Pkce, detail};
use scenarios::actors::bank::{iban, iin};
use scenarios::actors::citizen::{AUTHORIZE, Form, RETURN, authorize, step_of, without_style};
use scenarios::actors::{App, Browser, Citizen, Redirect};
use scenarios::world::{Answer, Ask, Kind, Setup, World};
use serde_json::{Value, json};

scenarios! {
    as5_who_cannot_be_told_apart_is_sent_nowhere,
    as5_nothing_in_the_address_says_where_the_browser_goes,
    as5_a_client_that_was_stopped_asks_nobody,
    as22_a_request_has_its_time_to_be_begun,
    as22_once_somebody_was_verified_no_other_browser_goes_on,
    as25_only_two_parameters_are_read,
    as26_every_answer_names_the_issuer,
    as27_every_page_is_protected,
    as27_browsers_are_sent_on_by_303_alone,
    as28_a_payment_is_shown_in_full,
    as28_texts_of_a_client_are_texts,
    as28_only_accounts_of_the_citizen_can_be_chosen,
    as28_a_citizen_without_any_of_the_accounts_can_only_refuse,
    as29_a_form_is_for_the_browser_that_was_given_it,
    as29_the_name_of_a_login_changes_once_the_citizen_is_known,
    as29_nobody_decides_who_was_not_verified,
    as29_who_was_not_at_the_provider_does_not_go_on,
    as29_a_login_has_its_time_and_so_has_a_decision,
    a_number_that_cannot_be_is_explained,
    a_citizen_who_is_not_confirmed_may_try_again_three_times,
    a_citizen_waits_for_the_provider_by_itself_for_a_while,
    a_provider_that_is_away_is_told,
    nobody_is_bothered_without_end,
    who_was_verified_may_come_again_and_again,
    pages_speak_three_languages,
    refusals_before_the_pages_are_pages_too,
}

pub struct Play {
    pub world: World,
    pub app: App,
    pub consent: String,
    pub pushed: Answer,
    pub pkce: Pkce,
}

pub const ACCESS: &str = "/v1/account-access-consents";
const PAYMENT: &str = "/v1/domestic-payment-consents";

pub fn access() -> Value {
    json!({"permissions": ["accounts", "balances"], "purpose": "Keeping your <b>household</b> accounts"})
}

fn order() -> Value {
    json!({
        "creditorAccount": {"iban": iban(2)}, "creditorName": "Bolat <Sandbaev>",
        "instructedAmount": {"amount": "1234567.80", "currency": "KZT"}, "knp": "343", "remittanceInformation": "Invoice \"17\"",
    })
}

/// A world in which a client has pushed a request for a consent with these terms.
async fn play_with(kind: Kind, path: &str, body: &Value) -> Play {
    play_in(kind, Setup::citizens(), path, body).await
}

async fn play_in(kind: Kind, setup: Setup, path: &str, body: &Value) -> Play {
    let (app, policy) = App::for_citizens("citizen-app");
    let (_, other) = App::for_citizens("other-app");
    let setup = setup.policy("citizen-app.yaml", policy).policy("other-app.yaml", other);
    let world = World::with(kind, setup).await;
    let session = app.copy().session(&world, Some("consents:write")).await;
    let consent = session.consent(path, body).await;
    let (pkce, pushed) = push(&world, &app, path, &consent).await;
    Play { world, app, consent, pushed, pkce }
}

pub async fn push(world: &World, app: &App, path: &str, consent: &str) -> (Pkce, Answer) {
    let pkce = Pkce::fresh();
    let (scope, kind) = if path == ACCESS {
        ("accounts:read balances:read", "account_information")
    } else {
        ("payments:write", "payment_initiation")
    };
    let pushed = app.push(world, &Fields::pushed(CALLBACK, scope, &pkce, &detail(kind, consent))).await;
    pushed.succeeded(201);
    (pkce, pushed)
}

/// The same for reading accounts.
pub async fn play(kind: Kind) -> Play {
    play_with(kind, ACCESS, &access()).await
}

impl Play {
    pub fn uri(&self) -> String {
        self.pushed.at("/request_uri")
    }

    pub async fn open(&self, browser: &mut Browser<'_>) -> Answer {
        browser.open("citizen-app", &self.uri()).await
    }

    pub async fn state(&self, path: &str) -> String {
        let session = self.app.copy().session(&self.world, Some("consents:write")).await;
        session.get(&format!("{path}/{}", self.consent)).await.succeeded(200).at("/status")
    }
}

/// Checks that it is a local page with this status and in its title.
#[track_caller]
pub fn is_page<'a>(answer: &'a Answer, status: u16, title: &str) -> &'a Answer {
    let page = answer.text();
    assert_eq!(answer.status, status, "{}", without_style(&page));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{page}");
    assert!(page.contains(&format!("<h1>{title}")), "{}", without_style(&page));
    assert!(answer.header("location").is_none());
    answer.named();
    answer
}

pub const OVER: &str = "This request is over";
pub const OTHER: &str = "This page has lost its thread";
pub const ELSEWHERE: &str = "Come back from the provider&#39;s page";
const UNKNOWN: &str = "This app may not ask you";
/// How the sandbox's configuration bounds verifications of one person.
const SANDBOX_LIMIT: &str = "perCitizen: 1000";
const MALFORMED: &str = "This request cannot be read";

pub fn allowed(page: &Answer) -> Form {
    step_of(page, "decide").picking_all().with("decision", "approve")
}

async fn as5_who_cannot_be_told_apart_is_sent_nowhere(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let uri = play.uri().replace(':', "%3A");
    for target in [
        AUTHORIZE.to_owned(),
        format!("{AUTHORIZE}?client_id=citizen-app"),
        format!("{AUTHORIZE}?request_uri={uri}"),
        format!("{AUTHORIZE}?client_id=citizen-app&client_id=citizen-app&request_uri={uri}"),
        format!("{AUTHORIZE}?client_id=citizen-app&request_uri={uri}&request_uri={uri}"),
    ] {
        is_page(&browser.get(&target).await, 400, MALFORMED);
    }
    for client in ["nobody", "%20", "citizen-app%20", "CITIZEN-APP"] {
        let page = browser.get(&format!("{AUTHORIZE}?client_id={client}&request_uri={uri}")).await;
        is_page(&page, 400, UNKNOWN);
    }
    for (client, request_uri) in [
        ("other-app", play.uri()),
        ("demo-bank-app", play.uri()),
        ("citizen-app", "urn:ietf:params:oauth:request_uri:nothing".to_owned()),
        ("citizen-app", format!("{}x", play.uri())),
        ("citizen-app", play.uri().to_uppercase()),
        ("citizen-app", "https://evil.example/request".to_owned()),
    ] {
        is_page(&browser.open(client, &request_uri).await, 400, OVER);
    }
    assert!(browser.cookies.is_empty());
    is_page(&browser.get(RETURN).await, 403, OTHER);
    is_page(&play.open(&mut browser).await, 200, "Confirm that it is you");
}

async fn as5_nothing_in_the_address_says_where_the_browser_goes(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let evil = "redirect_uri=https%3A%2F%2Fevil.example%2F&state=theirs&response_type=token&error=access_denied";
    let first = browser.get(&format!("{}&{evil}", authorize("citizen-app", &play.uri()))).await;
    is_page(&first, 200, "Confirm that it is you");
    assert!(!first.text().contains("evil"));
    let sent = Redirect::of(&browser.step(&first, "decide", &[("decision", "refuse")]).await);
    assert_eq!((sent.uri.as_str(), sent.get("state")), (CALLBACK, Some("as I was")));
    // Once nobody can tell what the request was, not even the right place is believed.
    let again = browser.get(&format!("{}&redirect_uri={CALLBACK}", authorize("citizen-app", &play.uri()))).await;
    is_page(&again, 400, OVER);
}

async fn as5_a_client_that_was_stopped_asks_nobody(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).verified(&mut browser, "citizen-app", &play.uri()).await;
    let policy = std::fs::read_to_string(play.world.file("policies/citizen-app.yaml")).unwrap();
    play.world.write_policy("citizen-app.yaml", &format!("{}\n    suspended: true\n", policy.trim_end()));
    play.world.reload().unwrap();
    is_page(&browser.submit(&allowed(&page)).await, 400, UNKNOWN);
    is_page(&play.open(&mut Browser::new(&play.world)).await, 400, UNKNOWN);
    is_page(&browser.get(RETURN).await, 400, UNKNOWN);
    // And where citizens were sent to is no place of the client's any more.
    play.world.write_policy("citizen-app.yaml", &policy.replace(CALLBACK, "https://app.example/other"));
    play.world.reload().unwrap();
    is_page(&browser.submit(&allowed(&page)).await, 400, OVER);
}

async fn as22_a_request_has_its_time_to_be_begun(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let (_, other) = push(&play.world, &play.app, ACCESS, &play.consent).await;
    let page = browser.open("citizen-app", &other.at("/request_uri")).await;
    let mut in_time = Browser::new(&play.world);
    let decision = Citizen(1).verified(&mut in_time, "citizen-app", &play.uri()).await;
    play.world.advance(PUSHED_TTL);
    is_page(&play.open(&mut Browser::new(&play.world)).await, 400, OVER);
    is_page(&browser.step(&page, "identify", &[("iin", iin(1))]).await, 400, OVER);
    // Who was under way goes on: a person may have stood before the camera meanwhile.
    let _code = Redirect::of(&in_time.submit(&allowed(&decision)).await).code();
}

async fn as22_once_somebody_was_verified_no_other_browser_goes_on(kind: Kind) {
    let play = play(kind).await;
    let (mut first, mut second) = (Browser::new(&play.world), Browser::new(&play.world));
    let mut third = Browser::new(&play.world);
    let page = play.open(&mut second).await;
    let sent = third.open("citizen-app", &play.uri()).await;
    let sent = third.step(&sent, "identify", &[("iin", iin(2))]).await;
    let decision = Citizen(1).verified(&mut first, "citizen-app", &play.uri()).await;
    is_page(&play.open(&mut Browser::new(&play.world)).await, 403, OTHER);
    // Neither does one go on that was there before, nor does it refuse for whom it does not know, nor bother anybody.
    is_page(&play.open(&mut second).await, 403, OTHER);
    is_page(&second.step(&page, "decide", &[("decision", "refuse")]).await, 403, OTHER);
    is_page(&second.step(&page, "identify", &[("iin", iin(2))]).await, 403, OTHER);
    let back = third.at_provider(&sent).await;
    is_page(&third.come_back(&back).await, 403, OTHER);
    assert_eq!(play.state(ACCESS).await, "awaiting_authorisation");
    let _code = Redirect::of(&first.submit(&allowed(&decision)).await).code();
}

async fn as25_only_two_parameters_are_read(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let more = "scope=payments%3Awrite&state=x&nonce=y&code_challenge=z&prompt=none&request=eyJ&dpop_jkt=a&a%5Bb%5D=c";
    let page = browser.get(&format!("{}&{more}", authorize("citizen-app", &play.uri()))).await;
    is_page(&page, 200, "Confirm that it is you");
    let page = browser.identified(&page, iin(1)).await;
    let sent = Redirect::of(&browser.submit(&allowed(&page)).await);
    assert_eq!(sent.get("state"), Some("as I was"));
    let token = play.app.redeem(&play.world, &sent.code(), &play.pkce).await;
    assert_eq!(token.succeeded(200).at("/scope"), "accounts:read balances:read");
}

async fn as26_every_answer_names_the_issuer(kind: Kind) {
    let play = play(kind).await;
    let issuer = play.world.issuer().to_owned();
    let sent = Citizen(1).refuse(&play.world, "citizen-app", &play.pushed).await;
    let names: Vec<&str> = sent.query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["error", "iss", "state"]);
    assert_eq!(sent.get("iss"), Some(issuer.as_str()));
    let session = play.app.copy().session(&play.world, Some("consents:write")).await;
    let consent = session.consent(ACCESS, &access()).await;
    let (_, pushed) = push(&play.world, &play.app, ACCESS, &consent).await;
    let sent = Citizen(1).approve(&play.world, "citizen-app", &pushed).await;
    let names: Vec<&str> = sent.query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["code", "iss", "state"]);
    assert_eq!((sent.get("iss"), sent.get("state")), (Some(issuer.as_str()), Some("as I was")));
}

async fn as27_every_page_is_protected(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    let wrong = browser.step(&first, "identify", &[("iin", "1")]).await;
    let sent = browser.step(&first, "identify", &[("iin", iin(1))]).await;
    let back = browser.at_provider(&sent).await;
    let decision = browser.come_back(&back).await;
    let done = browser.submit(&allowed(&decision)).await;
    let over = play.open(&mut browser).await;
    let own = browser.get("/oauth/consents").await;
    for page in [&first, &wrong, &sent, &decision, &done, &over, &own] {
        let policy = page.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(page.header("strict-transport-security").is_some_and(|value| value.starts_with("max-age=")));
        for (name, _) in &page.headers {
            assert!(!name.as_str().starts_with("access-control-"), "{name}");
        }
        let text = without_style(&page.text());
        for away in ["http-equiv=\"refresh\"", "<script", "<link", "<img", "<iframe", "src=", "javascript:"] {
            assert!(!text.contains(away), "{away}: {text}");
        }
    }
    // CORS: pages of other origins read nothing here.
    let asked = Ask::get(&authorize("citizen-app", &play.uri())).with("origin", "https://evil.example");
    assert!(browser.send(asked).await.header("access-control-allow-origin").is_none());
    let preflight = Ask::new("OPTIONS", AUTHORIZE).with("origin", "https://evil.example");
    let preflight = browser.send(preflight.with("access-control-request-method", "POST")).await;
    assert_eq!(preflight.status, 405);
    assert!(preflight.header("access-control-allow-origin").is_none());
}

async fn as27_browsers_are_sent_on_by_303_alone(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    let sent = browser.step(&first, "identify", &[("iin", iin(1))]).await;
    assert_eq!(sent.status, 303);
    assert!(!sent.header("location").unwrap().contains(iin(1)));
    let back = browser.at_provider(&sent).await;
    let (place, ticket) = back.split_once("?ticket=").unwrap();
    assert!(place.ends_with(RETURN) && ticket.len() == 43, "{back}");
    // The ticket does not stay in the address.
    let arrived = browser.get(&format!("{RETURN}?ticket={ticket}")).await;
    assert_eq!((arrived.status, arrived.header("location")), (303, Some(RETURN)));
    let renewed = browser.get(RETURN).await;
    assert_eq!((renewed.status, renewed.header("location")), (303, Some(RETURN)));
    let page = browser.get(RETURN).await;
    assert_eq!(browser.submit(&allowed(&page)).await.status, 303);
}

async fn as28_a_payment_is_shown_in_full(kind: Kind) {
    let play = play_with(kind, PAYMENT, &order()).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    let text = without_style(&first.text()).replace('\u{a0}', " ");
    assert!(
        text.contains("asks you to pay <strong>1,234,567.80 KZT</strong> to <strong>Bolat &lt;Sandbaev&gt;</strong>"),
        "{text}"
    );
    let page = browser.identified(&first, iin(1)).await;
    let text = without_style(&page.text()).replace('\u{a0}', " ");
    for part in [
        "Let <strong>Demo Fintech</strong> make this payment?",
        "1,234,567.80 KZT",
        "Bolat &lt;Sandbaev&gt;",
        "KZ38 902S BX00 0000 0201",
        "343",
        "Invoice &quot;17&quot;",
        "Once, until",
        "Pay from",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let form = step_of(&page, "decide");
    let nothing = browser.submit(&form.clone().with("decision", "approve")).await;
    is_page(&nothing, 422, "Let <strong>");
    let sent = Redirect::of(&browser.submit(&form.picking_all().with("decision", "approve")).await);
    play.app.redeem(&play.world, &sent.code(), &play.pkce).await.succeeded(200);
    assert_eq!(play.state(PAYMENT).await, "authorised");
}

async fn as28_texts_of_a_client_are_texts(kind: Kind) {
    let mut hostile = order();
    hostile["creditorName"] = json!("</strong><script>alert(1)</script>");
    hostile["remittanceInformation"] = json!("\"><input name=decision value=approve>");
    let play = play_with(kind, PAYMENT, &hostile).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).verified(&mut browser, "citizen-app", &play.uri()).await;
    let text = without_style(&page.text());
    assert!(!text.contains("<script") && !text.contains("<input name="), "{text}");
    assert!(text.contains("&lt;/strong&gt;&lt;script&gt;"));
}

async fn as28_only_accounts_of_the_citizen_can_be_chosen(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).verified(&mut browser, "citizen-app", &play.uri()).await;
    let form = step_of(&page, "decide").with("decision", "approve");
    let own = form.picks.first().unwrap().1.clone();
    for stranger in [scenarios::actors::bank::account(2), String::new(), "../x".to_owned(), format!("{own},{own}")] {
        let refused = browser.submit(&form.clone().picking("account", &stranger)).await;
        is_page(&refused, 422, "Let <strong>");
    }
    let mut twice = form.clone();
    twice.fields.extend([("account".to_owned(), own.clone()), ("account".to_owned(), own)]);
    is_page(&browser.submit(&twice).await, 422, "Let <strong>");
    assert_eq!(play.state(ACCESS).await, "awaiting_authorisation");
}

async fn as28_a_citizen_without_any_of_the_accounts_can_only_refuse(kind: Kind) {
    let mut asked = order();
    asked["debtorAccount"] = json!({"iban": iban(1)});
    let play = play_with(kind, PAYMENT, &asked).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(7).verified(&mut browser, "citizen-app", &play.uri()).await;
    is_page(&page, 200, "None of these accounts is yours");
    let refusal = step_of(&page, "decide");
    let forced = refusal.clone().with("decision", "approve").with("debtor", &scenarios::actors::bank::account(1));
    is_page(&browser.submit(&forced).await, 200, "None of these accounts is yours");
    let sent = Redirect::of(&browser.submit(&refusal).await);
    assert_eq!((sent.get("error"), sent.get("code")), (Some("access_denied"), None));
}

async fn as29_a_form_is_for_the_browser_that_was_given_it(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).verified(&mut browser, "citizen-app", &play.uri()).await;
    let form = allowed(&page);
    let token = form.field("csrf").unwrap().to_owned();
    is_page(&Browser::new(&play.world).submit(&form).await, 403, OTHER);
    let mut other = Browser::new(&play.world);
    let (_, another) = push(&play.world, &play.app, ACCESS, &play.consent).await;
    other.open("citizen-app", &another.at("/request_uri")).await.succeeded(200);
    is_page(&other.submit(&form).await, 403, OTHER);
    let mut forged = browser.clone();
    forged.cookies.insert("__Host-qaqpa-login".to_owned(), "A".repeat(43));
    is_page(&forged.submit(&form).await, 403, OTHER);
    for changed in ["", "x", &token.to_lowercase(), &format!("{token}x")] {
        is_page(&browser.submit(&form.clone().with("csrf", changed)).await, 403, OTHER);
    }
    let mut without = form.clone();
    without.fields.retain(|(name, _)| name != "csrf");
    is_page(&browser.submit(&without).await, 400, MALFORMED);
    let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for site in ["cross-site", "same-site", "none"] {
        let ask = Ask::post(AUTHORIZE).form(&fields).with("sec-fetch-site", site);
        is_page(&browser.send(ask).await, 403, OTHER);
    }
    let mut doubled = form.clone();
    doubled.fields.push(("decision".to_owned(), "refuse".to_owned()));
    assert_eq!(browser.submit(&doubled).await.status, 400);
    // A browser that tells nothing of sites has the token all the same.
    let _code = Redirect::of(&browser.send(Ask::post(AUTHORIZE).form(&fields)).await).code();
}

async fn as29_the_name_of_a_login_changes_once_the_citizen_is_known(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    let mut thief = browser.clone();
    let before = browser.cookies.clone();
    let page = browser.identified(&first, iin(1)).await;
    assert_ne!(browser.cookies, before);
    // Who knew the name from before knows nothing now.
    is_page(&thief.get(RETURN).await, 403, OTHER);
    is_page(&thief.submit(&step_of(&first, "decide")).await, 403, OTHER);
    is_page(&thief.submit(&allowed(&page)).await, 403, OTHER);
    let _code = Redirect::of(&browser.submit(&allowed(&page)).await).code();
    is_page(&browser.get(RETURN).await, 403, OTHER);
}

async fn as29_who_was_not_at_the_provider_does_not_go_on(kind: Kind) {
    let play = play(kind).await;
    // Somebody gives the number of another, and sends that other person the link to the provider's page.
    let mut thief = Browser::new(&play.world);
    let first = play.open(&mut thief).await;
    let sent = thief.step(&first, "identify", &[("iin", iin(1))]).await;
    let mut victim = Browser::new(&play.world);
    let back = victim.at_provider(&sent).await;
    is_page(&victim.come_back(&back).await, 403, OTHER);
    let secret = thief.cookies["__Host-qaqpa-login"].clone();
    let other = format!("{RETURN}?ticket={}", "A".repeat(43));
    let twice = format!("{back}&ticket={}", "A".repeat(43));
    is_page(&thief.come_back(&twice).await, 400, MALFORMED);
    for place in [RETURN, &other, &format!("{RETURN}?ticket="), &format!("{RETURN}?ticket={secret}")] {
        let page = thief.come_back(place).await;
        is_page(&page, 200, ELSEWHERE);
        assert!(!page.text().contains("http-equiv"));
    }
    is_page(&play.open(&mut thief).await, 200, ELSEWHERE);
    let account = scenarios::actors::bank::account(1);
    let approval = step_of(&first, "decide").with("decision", "approve").with("account", &account);
    is_page(&thief.submit(&approval).await, 403, OTHER);
    assert_eq!(play.state(ACCESS).await, "awaiting_authorisation");
    // The link of one attempt is of no use for the next.
    let page = thief.come_back(RETURN).await;
    assert_eq!(thief.step(&page, "again", &[]).await.status, 303);
    let sent = thief.step(&first, "identify", &[("iin", iin(1))]).await;
    let fresh = thief.at_provider(&sent).await;
    is_page(&thief.come_back(&back).await, 200, ELSEWHERE);
    is_page(&thief.come_back(&fresh).await, 200, "Let <strong>");
}

async fn as29_nobody_decides_who_was_not_verified(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    let account = scenarios::actors::bank::account(1);
    let approval = step_of(&first, "decide").with("decision", "approve").with("account", &account);
    is_page(&browser.submit(&approval).await, 403, OTHER);
    let sent = browser.step(&first, "identify", &[("iin", iin(1))]).await;
    assert_eq!(sent.status, 303);
    is_page(&browser.submit(&approval).await, 403, OTHER);
    for step in ["", "decide-", "verified", "identify-me"] {
        assert_eq!(browser.submit(&approval.clone().with("step", step)).await.status, 400, "{step}");
    }
    assert_eq!(play.state(ACCESS).await, "awaiting_authorisation");
}

async fn as29_a_login_has_its_time_and_so_has_a_decision(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).verified(&mut browser, "citizen-app", &play.uri()).await;
    play.world.advance(DECISION_TIME - Duration::from_secs(1));
    browser.get(RETURN).await.succeeded(200);
    play.world.advance(Duration::from_secs(1));
    is_page(&browser.submit(&allowed(&page)).await, 403, OTHER);
    let (_, pushed) = push(&play.world, &play.app, ACCESS, &play.consent).await;
    let mut late = Browser::new(&play.world);
    late.open("citizen-app", &pushed.at("/request_uri")).await.succeeded(200);
    play.world.advance(LOGIN_TIME - Duration::from_secs(1));
    late.get(RETURN).await.succeeded(200);
    play.world.advance(Duration::from_secs(1));
    is_page(&late.get(RETURN).await, 403, OTHER);
}

async fn a_number_that_cannot_be_is_explained(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    for (number, why) in [
        ("", "An IIN has 12 digits"),
        ("12345", "An IIN has 12 digits"),
        ("8102022001090", "An IIN has 12 digits"),
        ("81020220010a", "An IIN has 12 digits"),
        ("810202200108", "This cannot be an IIN"),
        ("260140000055", "This cannot be an IIN"),
    ] {
        let page = browser.step(&first, "identify", &[("iin", number)]).await;
        is_page(&page, 422, "Confirm that it is you");
        let text = without_style(&page.text());
        assert!(text.contains(why), "{number}: {text}");
        assert!(number.is_empty() || !text.contains(number), "{text}");
    }
    // Longer than any way to write one.
    is_page(&browser.step(&first, "identify", &[("iin", &"8".repeat(33))]).await, 400, MALFORMED);
    let spaced = "810202 200109";
    assert_eq!(browser.step(&first, "identify", &[("iin", spaced)]).await.status, 303);
}

async fn a_citizen_who_is_not_confirmed_may_try_again_three_times(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let mut page = play.open(&mut browser).await;
    for attempt in 1..=ATTEMPTS_MAX {
        // 3 shows another face, 4 a recording, 5 too little light.
        page = browser.identified(&page, iin(2 + usize::from(attempt))).await;
        is_page(&page, 200, "We could not confirm that it is you");
        if attempt < ATTEMPTS_MAX {
            let back = browser.step(&page, "again", &[]).await;
            assert_eq!((back.status, back.header("location")), (303, Some(RETURN)));
            page = browser.get(RETURN).await;
            is_page(&page, 200, "Confirm that it is you");
        }
    }
    assert!(page.text().contains("no attempt is left"));
    let token = step_of(&page, "decide");
    let more = token.clone().with("step", "identify").with("iin", iin(1));
    let mut more = more;
    more.fields.retain(|(name, _)| name != "decision");
    is_page(&browser.submit(&more).await, 429, "Too many attempts");
    let sent = Redirect::of(&browser.submit(&token).await);
    assert_eq!(sent.get("error"), Some("access_denied"));
}

async fn a_citizen_waits_for_the_provider_by_itself_for_a_while(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    let page = browser.identified(&first, iin(6)).await;
    is_page_with_wheel(&page);
    assert!(page.text().contains("http-equiv=\"refresh\" content=\"2\""));
    play.world.advance(WAIT_TIME - Duration::from_secs(1));
    is_page_with_wheel(&browser.get(RETURN).await);
    play.world.advance(Duration::from_secs(1));
    let page = browser.get(RETURN).await;
    is_page(&page, 200, "One moment");
    assert!(!page.text().contains("http-equiv"));
    assert_eq!(browser.step(&page, "again", &[]).await.status, 303);
    // The request could be begun only in its time; another one goes on.
    let again = browser.get(RETURN).await;
    is_page(&again, 200, "Confirm that it is you");
}

#[track_caller]
fn is_page_with_wheel(page: &Answer) {
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<h1>One moment</h1>") && page.text().contains("http-equiv=\"refresh\""));
}

async fn a_provider_that_is_away_is_told(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    let away = iin(9);
    is_page(&browser.step(&first, "identify", &[("iin", away)]).await, 503, "Nobody can check your identity now");
    // The next attempt is made from the same page.
    assert_eq!(browser.step(&first, "identify", &[("iin", iin(1))]).await.status, 303);
}

async fn nobody_is_bothered_without_end(kind: Kind) {
    // The sandbox is more patient with those who try it out.
    let shipped = format!("perCitizen: {ASKED_MAX}");
    let play =
        play_in(kind, Setup::citizens().replacing("qaqpa.yaml", SANDBOX_LIMIT, shipped), ACCESS, &access()).await;
    let ask = async |request: &str, number: usize| {
        let mut browser = Browser::new(&play.world);
        let page = browser.open("citizen-app", request).await;
        browser.step(&page, "identify", &[("iin", iin(number))]).await
    };
    for _ in 0..ASKED_MAX {
        assert_eq!(ask(&play.uri(), 6).await.status, 303);
    }
    is_page(&ask(&play.uri(), 6).await, 429, "Too many attempts");
    // Nobody else suffers.
    assert_eq!(ask(&play.uri(), 7).await.status, 303);
    play.world.advance(ASKED_WITHIN);
    let (_, pushed) = push(&play.world, &play.app, ACCESS, &play.consent).await;
    assert_eq!(ask(&pushed.at("/request_uri"), 6).await.status, 303);
}

async fn who_was_verified_may_come_again_and_again(kind: Kind) {
    let shipped = format!("perCitizen: {ASKED_MAX}");
    let play =
        play_in(kind, Setup::citizens().replacing("qaqpa.yaml", SANDBOX_LIMIT, shipped), ACCESS, &access()).await;
    for _ in 0..=ASKED_MAX {
        let page = Citizen(1).own_consents(&mut Browser::new(&play.world)).await;
        is_page(&page, 200, "Your consents");
    }
}

async fn pages_speak_three_languages(kind: Kind) {
    let play = play(kind).await;
    for (asked, tag, title) in [
        ("kk-KZ,ru;q=0.8", "kk", "Бұл өзіңіз екенін растаңыз"),
        ("ru-RU,en;q=0.8", "ru", "Подтвердите, что это вы"),
        ("en", "en", "Confirm that it is you"),
        ("de", "kk", "Бұл өзіңіз екенін растаңыз"),
    ] {
        let mut browser = Browser::new(&play.world);
        browser.languages = asked.to_owned();
        let page = play.open(&mut browser).await;
        assert!(is_page(&page, 200, title).text().contains(&format!("<html lang=\"{tag}\">")));
    }
    // What was chosen stays, also for pages that say no.
    let mut browser = Browser::new(&play.world);
    play.open(&mut browser).await.succeeded(200);
    let page = browser.get(&format!("{RETURN}?lang=ru")).await;
    is_page(&page, 200, "Подтвердите, что это вы");
    let page = browser.identified(&page, iin(1)).await;
    is_page(&page, 200, "Разрешить <strong>Demo Fintech</strong> читать ваши счета?");
    is_page(&browser.open("nobody", "x").await, 400, "Этому приложению нельзя вас спрашивать");
    is_page(&browser.get(&format!("{RETURN}?lang=xx")).await, 200, "Разрешить");
}

async fn refusals_before_the_pages_are_pages_too(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let json = Ask::post(AUTHORIZE).json(&json!({"csrf": "x"}));
    is_page(&browser.send(json).await, 415, MALFORMED);
    let more = Ask::post(AUTHORIZE).form(&[("csrf", "x"), ("admin", "yes")]);
    is_page(&browser.send(more).await, 400, MALFORMED);
    let broken = Ask::post(AUTHORIZE).with("content-type", "application/x-www-form-urlencoded").body("csrf=%");
    is_page(&browser.send(broken).await, 400, MALFORMED);
    let large = Ask::post(AUTHORIZE).form(&[("csrf", &"x".repeat(FORM_BYTES_MAX + 1))]);
    is_page(&browser.send(large).await, 413, MALFORMED);
    let reference = browser.get(AUTHORIZE).await;
    assert!(reference.text().contains(reference.named()));
    // What is no page is answered as before.
    browser.send(Ask::new("PUT", AUTHORIZE)).await.status_is(405);
}
