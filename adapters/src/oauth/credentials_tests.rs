#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use http_body_util::Full;
use policies::id::{ProviderId, UpstreamId};
use policies::jose::{Algorithm, CompactJws, VerifyingKey};
use policies::rulebook::{Protocol, Upstream};
use serde_json::json;

use super::*;
use crate::http::trust::Trust;
use crate::keys::{private_jwk, public_part};
use crate::oauth::fake::{Asked, Says, Server, json as answer, status};
use crate::provider::port::{IdentityProvider as _, StartSession};
use crate::provider::session::SessionProvider;
use crate::upstream::{OutgoingRequest, Pools, SendError, Target};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TICK: Duration = Duration::from_millis(1);
const ISSUER: &str = "https://as.example";
const LIFE: Duration = Duration::from_secs(300);

fn token(text: &str, seconds: u64) -> Says {
    answer(json!({"access_token": text, "token_type": "Bearer", "expires_in": seconds}))
}

/// A server that gives `t1`, `t2`, ... for so many seconds.
async fn counting(asks: bool, seconds: u64) -> Server {
    let given = AtomicUsize::new(0);
    let script = move |_: &Asked| token(&format!("t{}", given.fetch_add(1, Ordering::SeqCst) + 1), seconds);
    Server::start("localhost", asks, script).await
}

fn terms() -> Terms {
    let resource = Some("https://core.example".to_owned());
    Terms { client_id: "gate".to_owned(), scope: Some("payments accounts".to_owned()), resource }
}

fn assertion() -> (Authentication, VerifyingKey) {
    let jwk = private_jwk(Algorithm::EdDsa, "gate-1").unwrap();
    let key = AssertionKey::read(&Secret::new(jwk.to_string().into_bytes())).unwrap();
    let public = VerifyingKey::from_jwk(&public_part(&jwk)).unwrap();
    (Authentication::Assertion { key, issuer: ISSUER.to_owned() }, public)
}

fn credentials(server: &Server, clock: &Clock) -> Arc<Credentials> {
    let place = (Client::new(&server.trust()), server.url());
    Arc::new(Credentials::new("upstream core", place, assertion().0, terms(), clock.clone()))
}

fn told(value: &HeaderValue) -> &str {
    value.to_str().unwrap()
}

#[tokio::test]
async fn c3_a_token_is_asked_for_by_an_assertion_for_that_server_alone() {
    let server = counting(false, 300).await;
    let (authentication, public) = assertion();
    let place = (Client::new(&server.trust()), server.url());
    let credentials = Credentials::new("upstream core", place, authentication, terms(), Clock::manual(NOW));
    let value = credentials.value().await.unwrap();
    assert_eq!(told(&value), "Bearer t1");
    assert!(value.is_sensitive() && !format!("{value:?} {credentials:?}").contains("t1"));
    let asked = server.asked();
    let Asked { head, form } = asked.first().unwrap();
    assert!(head.starts_with("POST /token HTTP/1.1\r\n") && !head.to_lowercase().contains("authorization"), "{head}");
    let told = |name: &str| form.get(name).map(String::as_str);
    assert_eq!(told("grant_type"), Some("client_credentials"));
    assert_eq!(told("client_id"), Some("gate"));
    assert_eq!(told("scope"), Some("payments accounts"));
    assert_eq!(told("resource"), Some("https://core.example"));
    assert_eq!(told("client_secret"), None);
    assert_eq!(told("client_assertion_type"), Some(ASSERTION_TYPE));
    let assertion = CompactJws::parse(told("client_assertion").unwrap(), 4096).unwrap();
    assert!(assertion.verify_with(&public).unwrap().audience_is(ISSUER).unwrap());
}

#[tokio::test]
async fn c3_a_token_server_is_trusted_under_its_name_and_shown_our_certificate_only() {
    let server = counting(true, 300).await;
    let with = |trust: &Trust| {
        let place = (Client::new(trust), server.url());
        Credentials::new("upstream core", place, Authentication::Certificate, terms(), Clock::manual(NOW))
    };
    assert!(with(&Trust::nobody().unwrap()).value().await.is_err());
    assert!(with(&server.trust()).value().await.is_err(), "no certificate");
    let other = counting(true, 300).await;
    assert!(with(&server.trust().showing(&other.identity()).unwrap()).value().await.is_err(), "a strange one");
    assert_eq!(server.count(), 0);
    let showing = server.trust().showing(&server.identity()).unwrap();
    assert_eq!(told(&with(&showing).value().await.unwrap()), "Bearer t1");
    let asked = server.asked();
    let form = &asked.first().unwrap().form;
    assert!(form.get("client_id").is_some_and(|id| id == "gate") && !form.contains_key("client_assertion"));
}

#[tokio::test]
async fn a_token_is_fetched_once_by_all_who_want_one() {
    let server = counting(false, 300).await;
    let credentials = credentials(&server, &Clock::manual(NOW));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let credentials = Arc::clone(&credentials);
        asking.spawn(async move { credentials.value().await });
    }
    while let Some(value) = asking.join_next().await {
        assert_eq!(told(&value.unwrap().unwrap()), "Bearer t1");
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_token_is_replaced_before_its_end_and_never_used_after() {
    let server = counting(false, LIFE.as_secs()).await;
    let clock = Clock::manual(NOW);
    let credentials = credentials(&server, &clock);
    assert!(credentials.at_hand().is_none());
    assert_eq!(told(&credentials.value().await.unwrap()), "Bearer t1");
    assert!(clock.advance(LIFE - RENEW_BEFORE - TICK));
    assert_eq!(told(&credentials.at_hand().unwrap()), "Bearer t1");
    assert!(clock.advance(TICK));
    // The old one serves while the new one comes.
    assert!(credentials.at_hand().is_none());
    assert_eq!(told(&credentials.value().await.unwrap()), "Bearer t1");
    while credentials.at_hand().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&credentials.at_hand().unwrap()), "Bearer t2");
    assert_eq!(server.count(), 2);
    server.says(|_| status("503 Away", ""));
    assert!(clock.advance(LIFE - USELESS_BEFORE - TICK));
    assert_eq!(told(&credentials.value().await.unwrap()), "Bearer t2");
    assert!(clock.advance(TICK));
    assert!(credentials.value().await.is_err());
}

#[tokio::test]
async fn a_token_of_a_server_that_gives_none_is_an_outage_that_tells_nothing_of_it() {
    let server = counting(false, 300).await;
    let clock = Clock::manual(NOW);
    let credentials = credentials(&server, &clock);
    let answers: [(&'static str, String); 10] = [
        ("401 No", r#"{"error":"invalid_client","error_description":"hidden"}"#.to_owned()),
        ("400 No", r#"{"error":"hi<dd>en"}"#.to_owned()),
        ("503 Away", String::new()),
        ("200 OK", String::new()),
        ("200 OK", "hidden".to_owned()),
        ("200 OK", r#"{"access_token":"hidden"}"#.to_owned()),
        ("200 OK", r#"{"access_token":"hidden","token_type":"DPoP","expires_in":300}"#.to_owned()),
        ("200 OK", r#"{"access_token":"hidden\r\nx: y","token_type":"Bearer","expires_in":300}"#.to_owned()),
        ("200 OK", r#"{"access_token":"","token_type":"Bearer","expires_in":300}"#.to_owned()),
        ("200 OK", r#"{"access_token":"hidden","token_type":"Bearer","expires_in":5}"#.to_owned()),
    ];
    for (number, (code, body)) in answers.into_iter().enumerate() {
        let says = body.clone();
        server.says(move |_| status(code, &says));
        let outage = credentials.value().await.unwrap_err();
        assert!(!outage.to_string().contains("hidden") && !outage.to_string().contains('<'), "{outage}");
        assert_eq!(server.count(), number + 1, "{body}");
        assert!(clock.advance(Duration::from_secs(1)));
    }
    server.says(|_| token(&"a".repeat(TOKEN_BYTES_MAX + 1), 300));
    assert!(credentials.value().await.is_err());
    assert!(clock.advance(Duration::from_secs(1)));
    server.says(|_| token(&"a".repeat(TOKEN_BYTES_MAX), 300));
    assert!(credentials.value().await.is_ok());
}

/// What a backend over TLS was sent, and what it answers.
fn upstream(id: &str) -> Upstream {
    let wait = Duration::from_secs(5);
    let id = UpstreamId::parse(id).unwrap();
    Upstream { id, protocol: Protocol::Http1, connect: wait, response: wait, requests_max: 99 }
}

fn pools(backend: &Server, credentials: &Arc<Credentials>) -> Pools<Full<Bytes>> {
    let target = Target::new(&upstream("core"), vec![backend.url()]).authorized(Arc::clone(credentials));
    Pools::new(vec![target.trusting(backend.trust())], &Trust::nobody().unwrap())
}

async fn send(pools: &Pools<Full<Bytes>>) -> Result<u16, SendError> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("DPoP of-the-client"));
    let request = OutgoingRequest::new(Method::GET, PathAndQuery::from_static("/a"), headers, Full::default());
    pools.send(&UpstreamId::parse("core").unwrap(), request).await.map(|answer| answer.status().as_u16())
}

fn shown(backend: &Server) -> Vec<String> {
    let line = |asked: Asked| {
        let all: Vec<_> = asked.head.lines().filter_map(|line| line.strip_prefix("authorization: ")).collect();
        all.join("|")
    };
    backend.asked().into_iter().map(line).map(|value| value.to_owned()).collect()
}

#[tokio::test]
async fn a_backend_is_shown_our_token_and_nobody_elses() {
    let (server, backend) = (counting(false, 300).await, Server::start("localhost", false, |_| answer("{}")).await);
    let credentials = credentials(&server, &Clock::manual(NOW));
    let pools = Arc::new(pools(&backend, &credentials));
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let pools = Arc::clone(&pools);
        sending.spawn(async move { send(&pools).await });
    }
    while let Some(sent) = sending.join_next().await {
        assert_eq!(sent.unwrap().unwrap(), 200);
    }
    assert_eq!(server.count(), 1);
    assert_eq!(shown(&backend), vec!["Bearer t1"; 50]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let (server, backend) = (counting(false, 300).await, Server::start("localhost", false, |_| answer("{}")).await);
    server.says(|_| status("503 Away", ""));
    let credentials = credentials(&server, &Clock::manual(NOW));
    let pools = pools(&backend, &credentials);
    assert!(matches!(send(&pools).await, Err(SendError::NotSent(_))));
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn a_token_that_a_backend_refuses_is_replaced_once() {
    let (server, backend) =
        (counting(false, 300).await, Server::start("localhost", false, |_| status("401 No", "")).await);
    let clock = Clock::manual(NOW);
    let pools = pools(&backend, &credentials(&server, &clock));
    // A new one would fare no better.
    assert_eq!(send(&pools).await.unwrap(), 401);
    assert_eq!(send(&pools).await.unwrap(), 401);
    assert_eq!(server.count(), 1);
    assert!(clock.advance(REFUSED_AFTER));
    assert_eq!(send(&pools).await.unwrap(), 401);
    assert_eq!(send(&pools).await.unwrap(), 401);
    assert_eq!(send(&pools).await.unwrap(), 401);
    assert_eq!(server.count(), 2);
    assert_eq!(shown(&backend), ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2"]);
}

#[tokio::test]
async fn c3_a_backend_is_shown_the_certificate_that_its_tokens_may_be_bound_to() {
    let both = Server::start("localhost", true, |asked| {
        if asked.head.starts_with("POST /token ") { token("t1", 300) } else { answer("{}") }
    })
    .await;
    let showing = both.trust().showing(&both.identity()).unwrap();
    let place = (Client::new(&showing), both.url());
    let credentials = Credentials::new("core", place, Authentication::Certificate, terms(), Clock::manual(NOW));
    let target = Target::new(&upstream("core"), vec![both.url()]).authorized(Arc::new(credentials));
    let nameless = Pools::new(vec![target.clone().trusting(both.trust())], &Trust::nobody().unwrap());
    assert!(send(&nameless).await.is_err());
    let pools = Pools::new(vec![target.trusting(showing)], &Trust::nobody().unwrap());
    assert_eq!(send(&pools).await.unwrap(), 200);
    assert_eq!(shown(&both), ["", "Bearer t1"]);
}

#[tokio::test]
async fn an_identity_provider_is_shown_our_token_and_not_called_without_one() {
    let server = counting(false, 300).await;
    let sessions = r#"{"session":"s-1","captureUrl":"https://id.example/s-1"}"#;
    let provider = Server::start("localhost", false, move |_| status("201 Created", sessions)).await;
    let clock = Clock::manual(NOW);
    let adapter = SessionProvider::new(
        ProviderId::parse("face").unwrap(),
        Client::new(&provider.trust()),
        provider.url(),
        Some(credentials(&server, &clock)),
        Duration::from_secs(5),
    );
    let subject = Secret::new("810202200109".to_owned());
    let start = async || {
        let session = StartSession {
            reference: "ver-1",
            subject: &subject,
            purpose: "payment",
            level: "L2",
            callback_url: "https://gw.example/cb",
            return_url: None,
        };
        adapter.start(session).await
    };
    server.says(|_| status("503 Away", ""));
    assert!(start().await.is_err());
    assert_eq!(provider.count(), 0);
    server.says(|_| token("t9", 300));
    assert!(clock.advance(Duration::from_secs(1)));
    assert_eq!(start().await.unwrap().session, "s-1");
    assert_eq!(shown(&provider), ["Bearer t9"]);
}
