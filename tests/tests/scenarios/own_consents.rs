//! The citizen's own page: what was granted to whom, and taking it back.

use policies::login::{ATTEMPTS_MAX, DECISION_TIME};
use scenarios::actors::bank::iin;
use scenarios::actors::citizen::{CONSENTS, forms, step_of, without_style};
use scenarios::actors::log::Log;
use scenarios::actors::{Browser, Citizen};
use scenarios::world::{Answer, Kind};
use serde_json::Value;

use crate::pages::{ELSEWHERE, Play, is_page, play};

store_scenarios! {
    what_a_citizen_takes_back_is_worth_nothing_at_once,
    a_citizens_number_rests_nowhere_in_the_clear,
    nothing_is_shown_to_who_was_not_verified,
    a_citizen_sees_their_own_consents_and_no_others,
    nobody_takes_back_what_is_not_theirs,
    as29_a_form_of_ones_own_page_is_for_the_browser_that_was_given_it,
    as29_who_leaves_has_left,
    a_citizen_who_is_not_confirmed_sees_nothing,
    citizens_are_named_differently_towards_each_client,
}

/// Has a citizen allow what was asked, and gives the answer to the redemption.
async fn granted(play: &Play, citizen: Citizen) -> Value {
    let sent = citizen.approve(&play.world, "citizen-app", &play.pushed).await;
    play.app.redeem(&play.world, &sent.code(), &play.pkce).await.succeeded(200).json()
}

fn session<'w>(play: &'w Play, granted: &Value) -> scenarios::actors::Session<'w> {
    play.app.copy().with_token(&play.world, granted["access_token"].as_str().unwrap())
}

async fn what_a_citizen_takes_back_is_worth_nothing_at_once(kind: Kind) {
    let play = play(kind).await;
    let granted = granted(&play, Citizen(1)).await;
    let app = session(&play, &granted);
    app.get("/v1/accounts").await.succeeded(200);
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).own_consents(&mut browser).await;
    let text = without_style(&page.text()).replace('\u{a0}', " ");
    for part in
        ["Demo Fintech", "citizen-app", "In force", "KZ47 901S BX00 0000 0101", "Balances", "Given", "For how long"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let form = step_of(&page, "revoke");
    assert_eq!(form.field("consentId"), Some(play.consent.as_str()));
    let after = browser.submit(&form).await;
    is_page(&after, 200, "Your consents");
    assert!(after.text().contains("Taken back. It is good for nothing any more."));
    assert!(forms(&after.text()).iter().all(|form| form.field("step") != Some("revoke")));
    app.get("/v1/accounts").await.refused(401, "token_invalid");
    let refresh = granted["refresh_token"].as_str().unwrap();
    play.app.refresh(&play.world, refresh).await.oauth_refused(400, "invalid_grant");
    let own = play.app.copy().session(&play.world, Some("consents:write")).await;
    let told = own.get(&format!("/v1/account-access-consents/{}", play.consent)).await;
    assert_eq!(told.succeeded(200).at("/status"), "revoked");
    // Once more changes nothing.
    is_page(&browser.submit(&form).await, 200, "Your consents");
}

async fn nothing_is_shown_to_who_was_not_verified(kind: Kind) {
    let play = play(kind).await;
    granted(&play, Citizen(1)).await;
    let mut browser = Browser::new(&play.world);
    let first = browser.get(CONSENTS).await;
    is_page(&first, 200, "Your consents");
    assert!(!first.text().contains("Demo Fintech"));
    let form = step_of(&first, "identify");
    for (step, more) in
        [("revoke", ("consentId", play.consent.as_str())), ("leave", ("iin", "")), ("again", ("iin", ""))]
    {
        let forged = form.clone().with("step", step).with(more.0, more.1);
        is_page(&browser.submit(&forged).await, 403, "This page has lost its thread");
    }
    let unknown = form.clone().with("step", "show");
    assert_eq!(browser.submit(&unknown).await.status, 400);
    let wrong = browser.submit(&form.clone().with("iin", "810202200108")).await;
    is_page(&wrong, 422, "Your consents");
    // At the provider, but not back from there with its word.
    assert_eq!(browser.submit(&form.with("iin", iin(6))).await.status, 303);
    let waiting = browser.get(CONSENTS).await;
    is_waiting(&waiting);
    // Nor where somebody else was there.
    let mut thief = Browser::new(&play.world);
    let first = thief.get(CONSENTS).await;
    let sent = thief.step(&first, "identify", &[("iin", iin(1))]).await;
    let back = thief.at_provider(&sent).await;
    is_page(&thief.get(CONSENTS).await, 200, ELSEWHERE);
    is_page(&Browser::new(&play.world).come_back(&back).await, 200, "Your consents");
    is_page(&thief.get(CONSENTS).await, 200, ELSEWHERE);
    assert!(thief.come_back(&back).await.text().contains("Demo Fintech"));
}

#[track_caller]
fn is_waiting(page: &Answer) {
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<h1>One moment</h1>") && !page.text().contains("Demo Fintech"));
}

async fn a_citizen_sees_their_own_consents_and_no_others(kind: Kind) {
    let play = play(kind).await;
    granted(&play, Citizen(1)).await;
    let mut other = Browser::new(&play.world);
    let page = Citizen(2).own_consents(&mut other).await;
    is_page(&page, 200, "Your consents");
    assert!(page.text().contains("You have given no consent.") && !page.text().contains("Demo Fintech"));
    let mut own = Browser::new(&play.world);
    own.languages = "ru".to_owned();
    let page = Citizen(1).own_consents(&mut own).await;
    assert!(is_page(&page, 200, "Ваши согласия").text().contains("Действует"));
}

async fn nobody_takes_back_what_is_not_theirs(kind: Kind) {
    let play = play(kind).await;
    let granted = granted(&play, Citizen(1)).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(2).own_consents(&mut browser).await;
    let forged = step_of(&page, "leave").with("step", "revoke");
    for id in [play.consent.as_str(), "", "nothing", "../x"] {
        let refused = browser.submit(&forged.clone().with("consentId", id)).await;
        assert_eq!(refused.status, 404, "{id}");
    }
    session(&play, &granted).get("/v1/accounts").await.succeeded(200);
}

async fn as29_a_form_of_ones_own_page_is_for_the_browser_that_was_given_it(kind: Kind) {
    let play = play(kind).await;
    let granted = granted(&play, Citizen(1)).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).own_consents(&mut browser).await;
    let form = step_of(&page, "revoke");
    is_page(&Browser::new(&play.world).submit(&form).await, 403, "This page has lost its thread");
    let mut other = Browser::new(&play.world);
    Citizen(2).own_consents(&mut other).await;
    is_page(&other.submit(&form).await, 403, "This page has lost its thread");
    is_page(&browser.submit(&form.clone().with("csrf", "x")).await, 403, "This page has lost its thread");
    // The cookie of the way to a decision is not the one of this page.
    let mut moved = browser.clone();
    let secret = moved.cookies.remove("__Host-qaqpa-citizen").unwrap();
    moved.cookies.insert("__Host-qaqpa-login".to_owned(), secret);
    is_page(&moved.submit(&form).await, 403, "This page has lost its thread");
    is_page(&moved.get("/oauth/authorize/return").await, 403, "This page has lost its thread");
    session(&play, &granted).get("/v1/accounts").await.succeeded(200);
}

async fn as29_who_leaves_has_left(kind: Kind) {
    let play = play(kind).await;
    granted(&play, Citizen(1)).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).own_consents(&mut browser).await;
    let mut thief = browser.clone();
    is_page(&browser.step(&page, "leave", &[]).await, 200, "You have left");
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    is_page(&thief.submit(&step_of(&page, "revoke")).await, 403, "This page has lost its thread");
    assert!(!thief.get(CONSENTS).await.text().contains("Demo Fintech"));
    let page = Citizen(1).own_consents(&mut browser).await;
    play.world.advance(DECISION_TIME);
    is_page(&browser.submit(&step_of(&page, "revoke")).await, 403, "This page has lost its thread");
}

async fn a_citizen_who_is_not_confirmed_sees_nothing(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let mut page = browser.get(CONSENTS).await;
    for attempt in 1..=ATTEMPTS_MAX {
        page = browser.identified(&page, iin(3)).await;
        is_page(&page, 200, "We could not confirm that it is you");
        if attempt < ATTEMPTS_MAX {
            assert_eq!(browser.step(&page, "again", &[]).await.header("location"), Some(CONSENTS));
            page = browser.get(CONSENTS).await;
        }
    }
    assert!(forms(&page.text()).is_empty());
}

async fn citizens_are_named_differently_towards_each_client(kind: Kind) {
    let play = play(kind).await;
    let first = subject(&granted(&play, Citizen(1)).await);
    assert!(first.starts_with("citizen:") && first.len() == "citizen:".len() + 43, "{first}");
    assert!(!first.contains(iin(1)));
    let (sealer, iin) = (&play.world.assembled().house.sealer, policies::secret::Secret::new(iin(1).to_owned()));
    let name = |client: &str| {
        let client = policies::id::ClientId::parse(client).unwrap();
        oauth::identify::subject_of(sealer, &client, &iin)
    };
    assert_eq!(name("citizen-app"), first);
    assert_ne!(name("other-app"), first);
}

fn subject(granted: &Value) -> String {
    let token = granted["access_token"].as_str().unwrap();
    let claims = token.split('.').nth(1).unwrap();
    let claims = policies::jose::base64url_decode_strict(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"].as_str().unwrap().to_owned()
}

async fn a_citizens_number_rests_nowhere_in_the_clear(kind: Kind) {
    let log = Log::default();
    let listening = log.listen_to_spans("trace");
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = browser.open("citizen-app", &play.pushed.at("/request_uri")).await;
    browser.step(&first, "identify", &[("iin", "810202200108")]).await;
    let first_cookie = browser.cookies["__Host-qaqpa-login"].clone();
    let sent = Citizen(1).approve(&play.world, "citizen-app", &play.pushed).await;
    play.app.redeem(&play.world, &sent.code(), &play.pkce).await.succeeded(200);
    let page = Citizen(1).own_consents(&mut browser).await;
    let form = step_of(&page, "revoke");
    browser.submit(&form).await.succeeded(200);
    let records = play.world.audit().await;
    drop(listening);
    let number = iin(1);
    assert!(!log.text().contains(number), "a log line tells the number");
    assert!(!log.text().contains("810202200108"), "a log line tells what was typed");
    let secrets = [first_cookie, browser.cookies["__Host-qaqpa-citizen"].clone(), sent.code()];
    let token = form.field("csrf").unwrap().to_owned();
    for secret in secrets.iter().chain([&token, &play.pushed.at("/request_uri")]) {
        assert!(!log.text().contains(secret.as_str()), "a log line tells a secret");
        assert!(!serde_json::to_string(&records).unwrap().contains(secret.as_str()));
    }
    assert!(!serde_json::to_string(&records).unwrap().contains(number));
    assert!(records.iter().any(|record| record["operation"] == "decideAuthorization"), "{records:?}");
    let state = play.world.stop().await;
    let files = files_below(state.state());
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        let found = holds(number) || secrets.iter().any(|secret| holds(secret));
        // The bank's own ledger stands there too: that is the other side.
        let told = file.components().any(|part| part.as_os_str() == "bank");
        assert!(!found || told, "{} tells the number", file.display());
    }
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}
