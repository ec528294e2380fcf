//! The decision of a citizen, over every store: it uses the request up, once, and all that comes of it is there.

use scenarios::actors::bank::iin;
use scenarios::actors::citizen::{RETURN, step_of, without_style};
use scenarios::actors::{Browser, Citizen, Redirect};
use scenarios::world::Kind;
use serde_json::json;

use crate::pages::{ACCESS, OTHER, OVER, allowed, is_page, play};

store_scenarios! {
    as22_a_request_is_used_up_by_the_decision_not_by_looking,
    as22_a_refusal_uses_a_request_up,
    as22_of_two_decisions_at_once_one_counts,
    as28_a_citizen_allows_what_was_asked,
    as28_a_refusal_is_told_and_ends_the_consent,
}

const CALLBACK: &str = scenarios::actors::asking::CALLBACK;

async fn as22_a_request_is_used_up_by_the_decision_not_by_looking(kind: Kind) {
    let play = play(kind).await;
    let (mut first, mut second) = (Browser::new(&play.world), Browser::new(&play.world));
    for _ in 0..2 {
        is_page(&play.open(&mut first).await, 200, "Confirm that it is you");
        is_page(&play.open(&mut second).await, 200, "Confirm that it is you");
    }
    let page = Citizen(1).verified(&mut first, "citizen-app", &play.uri()).await;
    is_page(&play.open(&mut first).await, 200, "Let <strong>");
    let sent = Redirect::of(&first.submit(&allowed(&page)).await);
    let token = play.app.redeem(&play.world, &sent.code(), &play.pkce).await;
    token.succeeded(200);
    is_page(&first.submit(&allowed(&page)).await, 403, OTHER);
    is_page(&play.open(&mut first).await, 400, OVER);
    is_page(&play.open(&mut second).await, 400, OVER);
    is_page(&second.get(RETURN).await, 400, OVER);
}

async fn as22_a_refusal_uses_a_request_up(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let page = play.open(&mut browser).await;
    let refusal = step_of(&page, "decide");
    let mut other = Browser::new(&play.world);
    let first = play.open(&mut other).await;
    let sent = other.step(&first, "identify", &[("iin", iin(1))]).await;
    let back = other.at_provider(&sent).await;
    assert_eq!(Redirect::of(&browser.submit(&refusal).await).get("error"), Some("access_denied"));
    is_page(&other.come_back(&back).await, 400, OVER);
    is_page(&browser.submit(&refusal).await, 403, OTHER);
    is_page(&play.open(&mut browser).await, 400, OVER);
    assert_eq!(play.state(ACCESS).await, "rejected");
}

async fn as22_of_two_decisions_at_once_one_counts(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let page = Citizen(1).verified(&mut browser, "citizen-app", &play.uri()).await;
    let (mut left, mut right) = (browser.clone(), browser.clone());
    let (allow, refuse) = (allowed(&page), step_of(&page, "decide").with("decision", "refuse"));
    let (allowed, refused) = tokio::join!(left.submit(&allow), right.submit(&refuse));
    let sent = [&allowed, &refused].iter().filter(|answer| answer.status == 303).count();
    assert_eq!(sent, 1, "{} {}", allowed.status, refused.status);
    let state = play.state(ACCESS).await;
    assert_eq!(state, if allowed.status == 303 { "authorised" } else { "rejected" });
}

async fn as28_a_citizen_allows_what_was_asked(kind: Kind) {
    let play = play(kind).await;
    let mut browser = Browser::new(&play.world);
    let first = play.open(&mut browser).await;
    assert!(without_style(&first.text()).contains("<strong>Demo Fintech</strong> asks for access to your accounts."));
    let page = browser.identified(&first, iin(1)).await;
    let text = without_style(&page.text()).replace('\u{a0}', " ");
    for part in [
        "Let <strong>Demo Fintech</strong> read your accounts?",
        "App: citizen-app",
        "Your accounts: numbers, names and kinds",
        "Balances: how much is in them",
        "Keeping your &lt;b&gt;household&lt;/b&gt; accounts",
        "KZ47 901S BX00 0000 0101",
        "For how long",
        "take this back at any time",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What was not asked for is not spoken of, and nothing of others is shown.
    assert!(!text.contains("Transactions: what comes") && !text.contains("KZ38 902S") && !text.contains(iin(1)));
    let form = step_of(&page, "decide");
    assert_eq!(form.picks.len(), 2);
    assert!(form.picks.iter().all(|(name, _, picked)| name == "account" && !picked));
    assert_eq!(form.buttons.len(), 2);
    let nothing = browser.submit(&form.clone().with("decision", "approve")).await;
    is_page(&nothing, 422, "Let <strong>");
    assert!(nothing.text().contains("Choose at least one account"));
    let (_, first_account, _) = form.picks.first().unwrap().clone();
    let chosen = form.picking("account", &first_account).with("decision", "approve");
    let sent = Redirect::of(&browser.submit(&chosen).await);
    assert_eq!(sent.uri, CALLBACK);
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    let token = play.app.redeem(&play.world, &sent.code(), &play.pkce).await;
    let granted = token.succeeded(200).json()["authorization_details"].clone();
    assert_eq!(granted[0]["accounts"], json!([first_account]), "{granted}");
    assert_eq!(play.state(ACCESS).await, "authorised");
}

async fn as28_a_refusal_is_told_and_ends_the_consent(kind: Kind) {
    let play = play(kind).await;
    let sent = Citizen(1).refuse(&play.world, "citizen-app", &play.pushed).await;
    assert_eq!((sent.uri.as_str(), sent.get("error"), sent.get("code")), (CALLBACK, Some("access_denied"), None));
    assert_eq!((sent.get("iss"), sent.get("state")), (Some(play.world.issuer()), Some("as I was")));
    assert_eq!(play.state(ACCESS).await, "rejected");
}
