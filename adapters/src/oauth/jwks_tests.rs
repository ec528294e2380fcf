#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use policies::jose::{Algorithm, KEYS_MAX};
use serde_json::{Value, json};

use super::*;
use crate::http::trust::Trust;
use crate::keys::{private_jwk, public_part};
use crate::oauth::fake::{Says, Server, json as answer, status};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);

fn key(kid: &str) -> Value {
    public_part(&private_jwk(Algorithm::Es256, kid).unwrap())
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

async fn publishing(keys: &[Value]) -> (Server, Jwks) {
    let body = set(keys);
    let server = Server::start("localhost", false, move |_| answer(&body)).await;
    let jwks = Jwks::new(Scout::new(&server.trust(), true));
    (server, jwks)
}

fn kids(set: &KeySet) -> Vec<String> {
    set.iter().filter_map(|key| key.kid().map(str::to_owned)).collect()
}

// What is fetched beside a request comes soon after; nothing else says when.
async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn c14_a_set_is_asked_for_once_by_all_who_want_it() {
    let (server, jwks) = publishing(&[key("a")]).await;
    let url = server.endpoint();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (jwks, url) = (jwks.clone(), url.clone());
        asking.spawn(async move { jwks.keys(&url, Some("a"), NOW).await });
    }
    while let Some(found) = asking.join_next().await {
        assert_eq!(kids(&found.unwrap().unwrap()), ["a"]);
    }
    assert_eq!(server.count(), 1);
    let asked = server.asked();
    let head = &asked.first().unwrap().head;
    assert!(head.starts_with("GET /x?tenant=7 HTTP/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn c14_an_unknown_key_has_the_set_asked_for_once_in_an_interval() {
    let (server, jwks) = publishing(&[key("a")]).await;
    let url = server.endpoint();
    assert_eq!(kids(&jwks.keys(&url, Some("a"), NOW).await.unwrap()), ["a"]);
    let ask = async |now: Timestamp| {
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (jwks, url) = (jwks.clone(), url.clone());
            asking.spawn(async move { jwks.keys(&url, Some(&format!("made-up-{number}")), now).await });
        }
        while let Some(found) = asking.join_next().await {
            assert_eq!(kids(&found.unwrap().unwrap()), ["a"]);
        }
    };
    ask(NOW + ASK_AGAIN_AFTER - TICK).await;
    assert_eq!(server.count(), 1);
    ask(NOW + ASK_AGAIN_AFTER).await;
    assert_eq!(server.count(), 2);
    ask(NOW + ASK_AGAIN_AFTER * 2 - TICK).await;
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn c14_a_key_that_is_new_is_found_and_both_are_good_while_both_are_published() {
    let (old, new) = (key("old"), key("new"));
    let (server, jwks) = publishing(std::slice::from_ref(&old)).await;
    let url = server.endpoint();
    assert_eq!(kids(&jwks.keys(&url, Some("old"), NOW).await.unwrap()), ["old"]);
    let both = set(&[old, new.clone()]);
    server.says(move |_| answer(&both));
    let later = NOW + ASK_AGAIN_AFTER;
    assert_eq!(kids(&jwks.keys(&url, Some("new"), later).await.unwrap()), ["old", "new"]);
    assert_eq!(kids(&jwks.keys(&url, Some("old"), later).await.unwrap()), ["old", "new"]);
    assert_eq!(server.count(), 2);
    let only_new = set(&[new]);
    server.says(move |_| answer(&only_new));
    assert_eq!(kids(&jwks.keys(&url, Some("old"), later + USABLE_FOR).await.unwrap()), ["new"]);
}

#[tokio::test]
async fn c14_a_removed_key_dies_in_five_minutes_whatever_is_out_of_reach() {
    let (server, jwks) = publishing(&[key("a")]).await;
    let url = server.endpoint();
    assert!(jwks.keys(&url, Some("a"), NOW).await.is_ok());
    server.says(|_| status("500 Away", ""));
    let last = NOW + USABLE_FOR - TICK;
    assert_eq!(kids(&jwks.keys(&url, Some("a"), last).await.unwrap()), ["a"]);
    until(|| server.count() == 2).await;
    assert!(jwks.keys(&url, Some("a"), NOW + USABLE_FOR).await.is_err());
    assert!(USABLE_FOR <= Duration::from_secs(300));
}

#[tokio::test]
async fn c14_a_set_that_grows_old_is_replaced_beside_its_use() {
    let (server, jwks) = publishing(&[key("a")]).await;
    let url = server.endpoint();
    assert!(jwks.keys(&url, Some("a"), NOW).await.is_ok());
    assert!(jwks.keys(&url, Some("a"), NOW + FRESH_FOR - TICK).await.is_ok());
    assert_eq!(server.count(), 1);
    // Nobody waits for an answer that does not come.
    server.says(|_| Says::Nothing);
    assert!(jwks.keys(&url, Some("a"), NOW + FRESH_FOR).await.is_ok());
    assert!(jwks.keys(&url, Some("a"), NOW + FRESH_FOR).await.is_ok());
    until(|| server.count() == 2).await;
}

#[tokio::test]
async fn c14_what_is_kept_warm_is_asked_for_when_it_is_due_and_not_before() {
    let (server, jwks) = publishing(&[key("a")]).await;
    let url = server.endpoint();
    assert!(jwks.warm(&url, NOW).await);
    assert!(!jwks.warm(&url, NOW + FRESH_FOR - TICK).await);
    assert!(jwks.warm(&url, NOW + FRESH_FOR).await);
    assert_eq!(server.count(), 2);
    // And is there for whoever asks.
    assert!(jwks.keys(&url, Some("a"), NOW + FRESH_FOR).await.is_ok());
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn c14_a_failure_is_remembered_for_a_while_and_no_longer() {
    let (server, jwks) = publishing(&[]).await;
    let url = server.endpoint();
    server.says(|_| status("503 Away", "{}"));
    assert!(jwks.keys(&url, None, NOW).await.is_err());
    assert!(jwks.keys(&url, None, NOW + FAILED_FOR - TICK).await.is_err());
    assert_eq!(server.count(), 1);
    let good = set(&[key("a")]);
    server.says(move |_| answer(&good));
    assert_eq!(kids(&jwks.keys(&url, None, NOW + FAILED_FOR).await.unwrap()), ["a"]);
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn c14_a_redirection_is_not_followed() {
    let (other, _) = publishing(&[key("a")]).await;
    let (server, jwks) = publishing(&[]).await;
    let there = other.endpoint().url().to_owned();
    for code in ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"] {
        let (there, good) = (there.clone(), set(&[key("a")]));
        server.says(move |_| Says::Answer(code, format!("location: {there}\r\n"), good.clone()));
        let outage = jwks.keys(&server.endpoint(), None, NOW + FAILED_FOR * server.count() as u32).await.unwrap_err();
        assert!(outage.cause.contains(code.get(..3).unwrap()), "{outage}");
        // The path may hold what only its owner is to know.
        assert!(!outage.to_string().contains("tenant"), "{outage}");
    }
    assert_eq!((server.count(), other.count()), (5, 0));
}

#[tokio::test]
async fn c14_what_is_no_set_is_refused() {
    let (server, jwks) = publishing(&[]).await;
    let private = private_jwk(Algorithm::Es256, "p").unwrap();
    let twice = [key("a"), key("a")];
    let many: Vec<Value> = (0..=KEYS_MAX).map(|number| key(&number.to_string())).collect();
    let bodies = [
        String::new(),
        "<html>".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        set(&[key("a"), private]),
        set(&twice),
        set(&many),
        set(&[json!({"kty": "oct", "k": "AA"})]),
        format!("{}x", set(&[key("a")])),
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let told = body.clone();
        server.says(move |_| answer(&told));
        let now = NOW + FAILED_FOR * u32::try_from(number).unwrap();
        assert!(jwks.keys(&server.endpoint(), None, now).await.is_err(), "{body}");
        assert_eq!(server.count(), number + 1);
    }
}

#[tokio::test]
async fn c14_a_set_has_a_longest_length() {
    let (server, jwks) = publishing(&[]).await;
    let of = |bytes: usize| {
        let mut body = set(&[key("a")]);
        body.push_str(&" ".repeat(bytes - body.len()));
        body
    };
    let (long, longest) = (of(SET_BYTES_MAX + 1), of(SET_BYTES_MAX));
    server.says(move |_| answer(&long));
    assert!(jwks.keys(&server.endpoint(), None, NOW).await.is_err());
    server.says(move |_| answer(&longest));
    assert!(jwks.keys(&server.endpoint(), None, NOW + FAILED_FOR).await.is_ok());
}

#[tokio::test]
async fn c14_a_server_that_does_not_answer_is_given_five_seconds() {
    let (server, jwks) = publishing(&[]).await;
    server.says(|_| Says::Nothing);
    let url = server.endpoint();
    let asking = {
        let (jwks, url) = (jwks.clone(), url.clone());
        tokio::spawn(async move { jwks.keys(&url, None, NOW).await })
    };
    until(|| server.count() == 1).await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert!(asking.await.unwrap().is_err());
    assert!(begun.elapsed() <= FETCH_MAX && FETCH_MAX <= Duration::from_secs(5));
}

#[tokio::test]
async fn c14_private_addresses_are_called_only_where_an_operator_allows_it() {
    let (server, _) = publishing(&[key("a")]).await;
    // The name has passed whoever wrote it down: what it resolves to is judged when the connection is made.
    let jwks = Jwks::new(Scout::new(&server.trust(), false));
    let outage = jwks.keys(&server.endpoint(), None, NOW).await.unwrap_err();
    assert!(outage.cause.contains("no address that may be called"), "{outage}");
    for host in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]"]
    {
        let url = Endpoint::parse(&format!("https://{host}/keys"), true).unwrap();
        let outage = jwks.keys(&url, None, NOW).await.unwrap_err();
        assert!(outage.cause.contains("no address that may be called"), "{host}: {outage}");
        assert!(Endpoint::parse(url.url(), false).is_err());
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn c14_keys_come_over_tls_or_not_at_all() {
    let (server, jwks) = publishing(&[key("a")]).await;
    let plain = server.endpoint().url().replace("https://localhost", "http://127.0.0.1");
    let plain = Endpoint::parse(&plain, true).unwrap();
    assert!(jwks.keys(&plain, None, NOW).await.unwrap_err().cause.contains("not https"));
    assert!(Jwks::new(Scout::nowhere()).keys(&server.endpoint(), None, NOW).await.is_err());
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn c3_keys_come_from_whom_the_operator_trusts_under_the_name_that_was_called() {
    let (server, _) = publishing(&[key("a")]).await;
    let (other, _) = publishing(&[]).await;
    for trust in [Trust::nobody().unwrap(), other.trust()] {
        assert!(Jwks::new(Scout::new(&trust, true)).keys(&server.endpoint(), None, NOW).await.is_err());
    }
    let misnamed = Server::start("keys.example", false, |_| answer("{\"keys\":[]}")).await;
    let jwks = Jwks::new(Scout::new(&misnamed.trust(), true));
    assert!(jwks.keys(&misnamed.endpoint(), None, NOW).await.is_err());
    assert_eq!((server.count(), misnamed.count()), (0, 0));
    let scout = Scout::new(&Trust::nobody().unwrap(), true);
    scout.believe(&server.trust());
    assert!(Jwks::new(scout).keys(&server.endpoint(), None, NOW).await.is_ok());
}

#[tokio::test]
async fn c14_so_many_sets_are_kept_and_the_one_not_used_longest_makes_room() {
    let jwks = Jwks::new(Scout::nowhere());
    let url = |number: usize| Endpoint::parse(&format!("https://keys.example/{number}"), false).unwrap();
    for number in 0..URLS_MAX {
        jwks.flight(&url(number), NOW + Duration::from_millis(number as u64));
    }
    let later = NOW + USABLE_FOR;
    jwks.flight(&url(0), later);
    let has = |number: usize| jwks.0.sets.lock().unwrap().contains_key(url(number).url());
    assert!(has(0) && has(1));
    jwks.flight(&url(URLS_MAX), later);
    assert!(has(0) && !has(1) && has(2) && has(URLS_MAX));
    assert_eq!(jwks.0.sets.lock().unwrap().len(), URLS_MAX);
}
