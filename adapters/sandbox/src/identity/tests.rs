#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use super::{IdentityConfig, start_identity};
use crate::personas::{self, Scenario};
use crate::rehearsal::{Answer, Call, Scratch};
use crate::{Running, SandboxError};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const SECRET: &[u8] = b"a secret for this test";

/// A message that arrived.
struct Arrived {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Written anew from the text of Standard Webhooks, as a receiver would.
    fn is_genuine(&self) -> bool {
        let mut signed = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp")).into_bytes();
        signed.extend_from_slice(&self.body);
        let tag = self.header("webhook-signature").strip_prefix("v1,").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        hmac::verify(&key, &signed, &STANDARD.decode(tag).unwrap()).is_ok()
    }
}

/// Somebody who takes callbacks: the first `failures` of them with 503.
struct Receiver {
    url: String,
    arrived: mpsc::UnboundedReceiver<Arrived>,
}

impl Receiver {
    async fn new(failures: usize, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/v1/callback?a=b", listener.local_addr().unwrap());
        let (told, arrived) = mpsc::unbounded_channel();
        let left = Arc::new(AtomicUsize::new(failures));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (told, left, tls) = (told.clone(), Arc::clone(&left), tls.clone());
                let service = service_fn(move |request: http::Request<Incoming>| {
                    let (told, left) = (told.clone(), Arc::clone(&left));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let path = parts.uri.to_string();
                        told.send(Arrived { path, headers: parts.headers, body }).unwrap();
                        let fails =
                            left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                        let mut answer = Response::new(Full::<Bytes>::default());
                        *answer.status_mut() =
                            if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT };
                        Ok::<_, Infallible>(answer)
                    }
                });
                tokio::spawn(async move {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await,
                            Err(_) => Ok(()),
                        },
                        None => builder.serve_connection(TokioIo::new(stream), service).await,
                    };
                });
            }
        });
        Self { url, arrived }
    }

    async fn next(&mut self) -> Arrived {
        let waiting = tokio::time::timeout(std::time::Duration::from_secs(20), self.arrived.recv());
        waiting.await.expect("a callback arrives").unwrap()
    }
}

async fn provider(ca_pem: Option<PathBuf>) -> Running {
    start_identity(config(ca_pem)).await.unwrap()
}

fn config(webhook_ca_pem: Option<PathBuf>) -> IdentityConfig {
    IdentityConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        provider_id: "demo-identity".to_owned(),
        webhook_secret: SECRET.to_vec(),
        webhook_ca_pem,
    }
}

fn iin(scenario: Scenario) -> String {
    let subject = personas::subjects().into_iter().find(|subject| subject.scenario == scenario);
    subject.unwrap().iin.as_str().to_owned()
}

fn asked(iin: &str, url: &str) -> Value {
    json!({"reference": "r-1", "subject": {"iin": iin}, "purpose": "Pay <b>rent</b>", "callbackUrl": url, "challengeCount": 3})
}

async fn open(provider: &Running, body: &Value) -> Answer {
    Call::post("/sessions", body.to_string()).send(provider.address()).await.unwrap()
}

async fn get(provider: &Running, path: &str) -> Answer {
    Call::get(path).send(provider.address()).await.unwrap()
}

#[tokio::test]
async fn sessions_that_are_not_sound_are_refused() {
    let provider = provider(None).await;
    let iin = iin(Scenario::Match);
    let url = "http://127.0.0.1:1/";
    let changed = |name: &str, value: Value| {
        let mut body = asked(&iin, url);
        body[name] = value;
        body
    };
    for (body, problem) in [
        (json!([]), "schema_violation"),
        (changed("colour", json!("red")), "schema_violation"),
        (changed("reference", json!("")), "schema_violation"),
        (changed("purpose", json!("x".repeat(201))), "schema_violation"),
        (changed("challengeCount", json!(11)), "schema_violation"),
        (changed("challengeCount", json!(-1)), "schema_violation"),
        (changed("subject", json!({"iin": "810202200108"})), "identifier_invalid"),
        (changed("callbackUrl", json!("http://example.com/")), "callback_refused"),
        (changed("callbackUrl", json!("https://127.0.0.1/")), "callback_refused"),
    ] {
        assert_eq!(open(&provider, &body).await.problem(), problem, "{body}");
    }
    assert_eq!(get(&provider, "/sessions/x").await.problem(), "not_found");
    assert_eq!(get(&provider, "/sessions/x/capture").await.problem(), "not_found");
    assert_eq!(get(&provider, "/sessions").await.problem(), "method_not_allowed");
    assert_eq!(get(&provider, "/nowhere").await.problem(), "not_found");
    assert_eq!(get(&provider, "/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_scenario_calls_back_with_its_outcome() {
    let provider = provider(None).await;
    let mut receiver = Receiver::new(0, None).await;
    for (scenario, outcome) in [
        (Scenario::NoMatch, "no_match"),
        (Scenario::Spoof, "spoof"),
        (Scenario::CouldNotTell, "could_not_tell"),
        (Scenario::Match, "match"),
    ] {
        let answer = open(&provider, &asked(&iin(scenario), &receiver.url)).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let begun = answer.json();
        let session = begun["session"].as_str().unwrap();
        let arrived = receiver.next().await;
        assert_eq!(arrived.path, "/v1/callback?a=b");
        assert!(arrived.is_genuine());
        let message = arrived.json();
        assert_eq!((&message["session"], &message["reference"]), (&json!(session), &json!("r-1")));
        assert_eq!(message["outcome"], outcome);
        assert!(arrived.header("webhook-id").starts_with("msg_"));
        assert!(!String::from_utf8_lossy(&arrived.body).contains(&iin(scenario)), "no IIN goes back");
        let shown = get(&provider, &format!("/sessions/{session}")).await.json();
        assert_eq!((&shown["status"], &shown["outcome"]), (&json!("decided"), &json!(outcome)));
        assert_eq!(shown["occurredAt"], message["occurredAt"]);
        assert_eq!(shown["expiresAt"], begun["expiresAt"]);
    }
}

#[tokio::test]
async fn a_stranger_looks_like_a_failure() {
    let provider = provider(None).await;
    let mut receiver = Receiver::new(0, None).await;
    assert_eq!(open(&provider, &asked("900101350003", &receiver.url)).await.status, StatusCode::CREATED);
    assert_eq!(receiver.next().await.json()["outcome"], "no_match");
}

#[tokio::test]
async fn the_page_leads_back_where_the_asker_wants_and_nowhere_without() {
    let provider = provider(None).await;
    let receiver = Receiver::new(0, None).await;
    let mut asked = asked(&iin(Scenario::Late), &receiver.url);
    assert!(!page(&provider, &asked).await.contains("href="));
    asked["returnUrl"] = json!("https://gate.example/back?a=1&b=2");
    assert!(page(&provider, &asked).await.contains(r#"href="https://gate.example/back?a=1&amp;b=2""#));
    asked["returnUrl"] = json!("javascript:alert(1)");
    assert_eq!(open(&provider, &asked).await.problem(), "schema_violation");
}

async fn page(provider: &Running, asked: &Value) -> String {
    let begun = open(provider, asked).await.json();
    let path = format!("/sessions/{}/capture", begun["session"].as_str().unwrap());
    String::from_utf8(get(provider, &path).await.bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_duplicate_comes_twice_with_one_id() {
    let provider = provider(None).await;
    let mut receiver = Receiver::new(0, None).await;
    open(&provider, &asked(&iin(Scenario::Duplicate), &receiver.url)).await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert!(first.is_genuine());
    assert_eq!(first.json()["outcome"], "match");
    assert_eq!(first.body, second.body);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert_eq!(first.header(name), second.header(name));
    }
}

#[tokio::test]
async fn a_forged_callback_does_not_verify_and_changes_nothing() {
    let provider = provider(None).await;
    let mut receiver = Receiver::new(0, None).await;
    let begun = open(&provider, &asked(&iin(Scenario::Forged), &receiver.url)).await.json();
    let arrived = receiver.next().await;
    assert!(!arrived.is_genuine());
    assert_eq!(arrived.json()["outcome"], "match");
    let path = format!("/sessions/{}", begun["session"].as_str().unwrap());
    let shown = get(&provider, &path).await.json();
    assert_eq!(shown["status"], "pending");
    assert!(shown.get("outcome").is_none());
}

#[tokio::test]
async fn a_late_session_stays_silent_and_an_error_has_no_session() {
    let provider = provider(None).await;
    let mut receiver = Receiver::new(0, None).await;
    let late = open(&provider, &asked(&iin(Scenario::Late), &receiver.url)).await.json();
    let answer = open(&provider, &asked(&iin(Scenario::Error), &receiver.url)).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable"));
    let last = open(&provider, &asked(&iin(Scenario::Match), &receiver.url)).await.json();
    assert_eq!(receiver.next().await.json()["session"], last["session"]);
    assert!(receiver.arrived.try_recv().is_err());
    let path = format!("/sessions/{}", late["session"].as_str().unwrap());
    assert_eq!(get(&provider, &path).await.json()["status"], "pending");
}

#[tokio::test]
async fn a_callback_that_fails_is_tried_three_times() {
    let provider = provider(None).await;
    let mut receiver = Receiver::new(2, None).await;
    open(&provider, &asked(&iin(Scenario::Match), &receiver.url)).await;
    let ids = [receiver.next().await, receiver.next().await, receiver.next().await];
    assert!(ids.iter().all(|arrived| arrived.header("webhook-id") == ids[0].header("webhook-id")));
    // The fourth to arrive belongs to the next session: a message is given up after three tries.
    let mut receiver = Receiver::new(3, None).await;
    let lost = open(&provider, &asked(&iin(Scenario::Duplicate), &receiver.url)).await.json();
    for _ in 0..4 {
        assert_eq!(receiver.next().await.json()["session"], lost["session"]);
    }
    let next = open(&provider, &asked(&iin(Scenario::Match), &receiver.url)).await.json();
    assert_eq!(receiver.next().await.json()["session"], next["session"]);
}

#[tokio::test]
async fn https_trusts_the_configured_certificates_only() {
    let scratch = Scratch::new();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (trusted, foreign) = (scratch.file("own.pem"), scratch.file("other.pem"));
    std::fs::write(&trusted, own.cert.pem()).unwrap();
    std::fs::write(&foreign, other.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(own.signing_key.serialize_pem().as_bytes()).unwrap();
    let aws = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(aws)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let mut receiver = Receiver::new(0, Some(Arc::new(server).into())).await;
    let suspicious = provider(Some(foreign)).await;
    assert_eq!(open(&suspicious, &asked(&iin(Scenario::Match), &receiver.url)).await.status, StatusCode::CREATED);
    let trusting = provider(Some(trusted)).await;
    let begun = open(&trusting, &asked(&iin(Scenario::Match), &receiver.url)).await.json();
    let arrived = receiver.next().await;
    assert!(arrived.is_genuine());
    assert_eq!(arrived.json()["session"], begun["session"], "the suspicious provider does not speak");
}

#[tokio::test]
async fn trust_that_cannot_be_read_is_refused_at_the_start() {
    let scratch = Scratch::new();
    let empty = scratch.file("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [empty, scratch.file("missing.pem")] {
        assert!(matches!(start_identity(config(Some(file))).await, Err(SandboxError::Trust(_))));
    }
    let elsewhere = IdentityConfig { listen: ([0, 0, 0, 0], 0).into(), ..config(None) };
    assert!(matches!(start_identity(elsewhere).await, Err(SandboxError::NotLoopback(_))));
}

#[tokio::test]
async fn the_page_tells_the_story_and_no_personal_data() {
    let provider = provider(None).await;
    for scenario in [Scenario::Match, Scenario::Late] {
        let begun = open(&provider, &asked(&iin(scenario), "http://127.0.0.1:1/")).await.json();
        let url = begun["captureUrl"].as_str().unwrap();
        let base = format!("http://{}", provider.address());
        let page = get(&provider, url.strip_prefix(&base).unwrap()).await;
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        let text = String::from_utf8(page.bytes.to_vec()).unwrap();
        assert!(text.contains(scenario.as_str()) && text.contains("Pay &lt;b&gt;rent&lt;/b&gt;"));
        assert!(!text.contains(&iin(scenario)));
    }
    provider.stop().await;
}

#[test]
fn debug_does_not_show_the_secret() {
    assert!(!format!("{:?}", config(None)).contains("secret"));
}
