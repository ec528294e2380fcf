//! What a citizen completes, many times at once: one of them counts, and what it gave is all there is.

use std::pin::Pin;
use std::time::Duration;

use gateway::revocations::REVOCATION_LAG_MAX;
use scenarios::actors::asking::{CALLBACK, Fields, Pkce, detail};
use scenarios::actors::citizen::{Form, step_of};
use scenarios::actors::{App, Browser, Citizen, Redirect};
use scenarios::world::{Answer, Kind, Setup, World};
use serde_json::{Value, json};

use crate::races::together;

store_scenarios! {
    as22_of_fifty_approvals_at_once_one_gives_a_code,
    as22_of_two_citizens_at_once_one_completes_a_request,
    as70_of_many_requests_for_one_consent_one_is_completed,
    an_approval_and_an_end_at_once_leave_no_token_that_counts,
    as10_refreshes_and_a_second_use_at_once_leave_no_token,
}

/// How many come at once.
const CROWD: usize = 50;

const ACCESS: &str = "/v1/account-access-consents";
const SCOPE: &str = "accounts:read balances:read";

struct Play {
    world: World,
    app: App,
    consent: String,
}

async fn play(kind: Kind) -> Play {
    let (app, policy) = App::for_citizens("citizen-app");
    let world = World::with(kind, Setup::citizens().policy("citizen-app.yaml", policy)).await;
    let session = app.copy().session(&world, Some("consents:write")).await;
    let consent = session.consent(ACCESS, &json!({"permissions": ["accounts", "balances"]})).await;
    Play { world, app, consent }
}

impl Play {
    async fn pushed(&self) -> (Pkce, Answer) {
        let pkce = Pkce::fresh();
        let fields = Fields::pushed(CALLBACK, SCOPE, &pkce, &detail("account_information", &self.consent));
        let pushed = self.app.push(&self.world, &fields).await;
        pushed.succeeded(201);
        (pkce, pushed)
    }

    /// Brings a citizen as far as the decision; gives the browser and the form that approves.
    async fn deciding(&self, citizen: usize, pushed: &Answer) -> (Browser<'_>, Form) {
        let mut browser = Browser::new(&self.world);
        let page = Citizen(citizen).verified(&mut browser, "citizen-app", &pushed.at("/request_uri")).await;
        (browser, step_of(&page, "decide").picking_all().with("decision", "approve"))
    }

    async fn state(&self) -> String {
        let session = self.app.copy().session(&self.world, Some("consents:write")).await;
        session.get(&format!("{ACCESS}/{}", self.consent)).await.succeeded(200).at("/status")
    }

    async fn reads(&self, token: &str) -> u16 {
        self.app.copy().with_token(&self.world, token).get("/v1/accounts").await.status
    }
}

/// Has all of them decide side by side; gives the codes that came of it.
async fn decided(deciding: Vec<(Browser<'_>, Form)>) -> Vec<String> {
    codes(&together(deciding.into_iter().map(|(browser, form)| decide(browser, form))).await)
}

fn decide<'w>(mut browser: Browser<'w>, form: Form) -> Pin<Box<dyn Future<Output = Answer> + 'w>> {
    Box::pin(async move { browser.submit(&form).await })
}

fn codes(answers: &[Answer]) -> Vec<String> {
    let redirected = answers.iter().filter(|answer| answer.status == 303);
    let back = redirected.map(Redirect::of).filter(|redirect| redirect.uri == CALLBACK);
    back.filter_map(|redirect| redirect.get("code").map(str::to_owned)).collect()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

async fn as22_of_fifty_approvals_at_once_one_gives_a_code(kind: Kind) {
    let play = play(kind).await;
    let (pkce, pushed) = play.pushed().await;
    let one = play.deciding(1, &pushed).await;
    let codes = decided(vec![one; CROWD]).await;
    assert_eq!(codes.len(), 1, "{codes:?}");
    let told = play.app.redeem(&play.world, &codes[0], &pkce).await.succeeded(200).json();
    assert_eq!(play.reads(&text(&told, "access_token")).await, 200);
    assert_eq!(play.state().await, "authorised");
}

async fn as22_of_two_citizens_at_once_one_completes_a_request(kind: Kind) {
    let play = play(kind).await;
    let (pkce, pushed) = play.pushed().await;
    // Both have opened it before either was verified.
    let mut browsers = [Browser::new(&play.world), Browser::new(&play.world)];
    let mut answers = Vec::new();
    for browser in &mut browsers {
        answers.push(browser.open("citizen-app", &pushed.at("/request_uri")).await);
    }
    let [mut first, mut second] = browsers;
    let one = async {
        let page = first.identified(&answers[0], scenarios::actors::bank::iin(1)).await;
        let form = (page.status == 200).then(|| step_of(&page, "decide").picking_all().with("decision", "approve"));
        match form {
            Some(form) => first.submit(&form).await,
            None => page,
        }
    };
    let other = async {
        let page = second.identified(&answers[1], scenarios::actors::bank::iin(2)).await;
        let offered = scenarios::actors::citizen::forms(&page.text());
        match offered.into_iter().find(|form| form.field("step") == Some("decide")) {
            Some(form) => second.submit(&form.picking_all().with("decision", "approve")).await,
            None => page,
        }
    };
    let (one, other) = tokio::join!(one, other);
    let codes = codes(&[one, other]);
    assert!(codes.len() <= 1, "{codes:?}");
    if let [code] = codes.as_slice() {
        play.app.redeem(&play.world, code, &pkce).await.succeeded(200);
    }
}

async fn as70_of_many_requests_for_one_consent_one_is_completed(kind: Kind) {
    const REQUESTS: usize = 6;
    let play = play(kind).await;
    let mut deciding = Vec::new();
    let mut pairs = Vec::new();
    for _ in 0..REQUESTS {
        let (pkce, pushed) = play.pushed().await;
        deciding.push(play.deciding(1, &pushed).await);
        pairs.push(pkce);
    }
    let codes = decided(deciding).await;
    assert_eq!(codes.len(), 1, "{codes:?}");
    let mut redeemed = 0;
    for pkce in &pairs {
        redeemed += u32::from(play.app.redeem(&play.world, &codes[0], pkce).await.status == 200);
        if redeemed > 0 {
            break;
        }
    }
    assert_eq!(redeemed, 1);
}

async fn an_approval_and_an_end_at_once_leave_no_token_that_counts(kind: Kind) {
    let play = play(kind).await;
    let (pkce, pushed) = play.pushed().await;
    let (mut browser, form) = play.deciding(1, &pushed).await;
    let session = play.app.copy().session(&play.world, Some("consents:write")).await;
    let target = format!("{ACCESS}/{}", play.consent);
    let (approved, deleted) = tokio::join!(browser.submit(&form), session.delete(&target));
    // Whoever was first: the client has been told that it is over.
    deleted.status_is(204);
    if let [code] = codes(&[approved]).as_slice() {
        play.app.redeem(&play.world, code, &pkce).await.oauth_refused(400, "invalid_grant");
    }
    assert_eq!(play.state().await, "revoked");
}

async fn as10_refreshes_and_a_second_use_at_once_leave_no_token(kind: Kind) {
    let play = play(kind).await;
    let (pkce, pushed) = play.pushed().await;
    let codes = decided(vec![play.deciding(1, &pushed).await]).await;
    let told = play.app.redeem(&play.world, &codes[0], &pkce).await.succeeded(200).json();
    let refresh = text(&told, "refresh_token");
    let (app, world) = (&play.app, &play.world);
    let asked = (0..CROWD).map(|number| {
        let (code, refresh, pkce) = (&codes[0], &refresh, &pkce);
        Box::pin(async move {
            if number == CROWD / 2 { app.redeem(world, code, pkce).await } else { app.refresh(world, refresh).await }
        }) as _
    });
    let answers = together(asked).await;
    for answer in &answers {
        if answer.status == 200 {
            assert_eq!(play.reads(&text(&answer.json(), "access_token")).await, 401, "a token outlives its grant");
        } else {
            answer.oauth_refused(400, "invalid_grant");
        }
    }
    app.refresh(world, &refresh).await.oauth_refused(400, "invalid_grant");
    world.advance(REVOCATION_LAG_MAX + Duration::from_millis(1));
    assert_eq!(play.reads(&text(&told, "access_token")).await, 401);
}
