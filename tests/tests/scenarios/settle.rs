//! Money never ends undecided: what becomes of payments whose answer was lost.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway::deed::Deed;
use gateway::layer::assess::Assess;
use gateway::layer::authenticate::Authenticate;
use gateway::layer::meter::MeterLayer;
use gateway::layer::once::{Claimed, LEASE_MARGIN, OnceLayer};
use gateway::layer::permit::Permit;
use gateway::layer::redact::RedactLayer;
use gateway::layer::route::Route;
use gateway::layer::validate::Validate;
use policies::id::ClientId;
use policies::settle::{ASK_AGAIN_MAX, ASKED_MIN, RECEIPT_WINDOW};
use scenarios::actors::app::fresh;
use scenarios::actors::backend::{Backend, Received};
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{App, Session};
use scenarios::world::{Answer, Ask, Kind, PATIENCE, Setup, World};
use serde_json::{Value, json};
use spine::Reply;
use spine::body::{Body, BodyFailure};
use spine::error::Rejection;
use spine::refine::{Refine, then};
use spine::stage::{Guarded, Traced};
use spine::trail::Trail;
use tower::Layer as _;

use crate::payments::booked;
use crate::races::{PAYMENT_TIMEOUT, abandoned, left};
use crate::stepup::{challenged, verified, with_result};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Longer than any pause between two questions, with what chance adds.
const PAUSE_MAX: Duration = Duration::from_secs(ASK_AGAIN_MAX.as_secs() * 3 / 2 + 1);

store_scenarios! {
    a_lost_answer_is_found_out_and_told,
    a_payment_that_never_arrived_may_be_sent_again_under_its_key,
    a_payment_that_is_booked_late_is_found_out,
    a_bank_that_says_nothing_is_asked_again_more_and_more_rarely,
    an_undecided_payment_outlives_a_restart,
    a_payment_whose_client_went_away_is_settled_all_the_same,
    a_payment_of_an_operation_without_policy_waits_for_it,
    our_own_refusal_is_never_told_of_an_undecided_payment,
}

mod elsewhere {
    use scenarios::world::Kind;

    #[tokio::test]
    async fn a_settlement_that_does_not_count_is_recorded_as_such() {
        super::a_settlement_that_does_not_count_is_recorded_as_such(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_refusal_of_a_repetition_is_no_word_about_the_first() {
        super::a_refusal_of_a_repetition_is_no_word_about_the_first(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_refusal_of_what_was_not_received_is_final() {
        super::a_refusal_of_what_was_not_received_is_final(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_payment_whose_lease_is_over_is_not_sent() {
        super::a_payment_whose_lease_is_over_is_not_sent(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_defect_in_an_answer_leaves_the_outcome_unknown() {
        super::a_defect_in_an_answer_leaves_the_outcome_unknown(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_store_that_fails_says_nothing_of_a_payment_in_doubt() {
        super::a_store_that_fails_says_nothing_of_a_payment_in_doubt(Kind::Memory).await;
    }

    #[tokio::test]
    async fn what_tells_nothing_settles_nothing() {
        super::what_tells_nothing_settles_nothing(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_payment_is_asked_for_and_never_sent_again() {
        super::a_payment_is_asked_for_and_never_sent_again(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_backend_that_is_gone_later_leaves_the_outcome_unknown() {
        super::a_backend_that_is_gone_later_leaves_the_outcome_unknown(Kind::Memory).await;
    }

    #[tokio::test]
    async fn another_client_learns_nothing_of_an_unknown_payment() {
        super::another_client_learns_nothing_of_an_unknown_payment(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_store_that_fails_at_the_end_takes_no_answer_away() {
        super::a_store_that_fails_at_the_end_takes_no_answer_away(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_defect_on_the_way_leaves_the_outcome_unknown() {
        super::a_defect_on_the_way_leaves_the_outcome_unknown(Kind::Memory).await;
    }

    #[tokio::test]
    async fn a_store_that_is_down_never_says_not_found() {
        super::a_store_that_is_down_never_says_not_found(Kind::Memory).await;
    }
}

/// Tells what the demo client was told, in order: type and data.
async fn told(world: &World) -> Vec<(String, Value)> {
    let client = ClientId::parse("demo-app").unwrap();
    let events = world.assembled().house.outbox.after(&client, 0, 100).await.unwrap();
    let word = |event: &policies::event::Event| event.event.kind.word().to_owned();
    events.iter().map(|event| (word(event), serde_json::from_str(&event.event.data).unwrap())).collect()
}

fn unknown(payment: &Answer) -> (String, Value) {
    let data = json!({"paymentId": payment.at("/paymentId"), "status": "unknown"});
    ("kz.qaqpa.payment.unknown.v1".to_owned(), data)
}

fn settled(payment: &Answer, status: &str) -> (String, Value) {
    let data = json!({"paymentId": payment.at("/paymentId"), "status": status});
    ("kz.qaqpa.payment.settled.v1".to_owned(), data)
}

/// How settlements ended, as the audit trail has them, with the reference of each.
async fn recorded(world: &World) -> Vec<(String, String)> {
    let audit = world.assembled().house.audit.clone();
    audit.flush().await.unwrap();
    let records = audit.tail(100).unwrap();
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let settlements = records.iter().filter(|record| record["kind"] == "settlement");
    settlements.map(|record| (text(record, "reference"), text(record, "ending"))).collect()
}

/// Has the bank asked as often as it must have been, without reaching the end of the window.
async fn asked_enough(world: &World) {
    for _ in 0..ASKED_MIN {
        world.round().await.unwrap();
        world.advance(Duration::from_secs(10));
    }
}

async fn read(app: &Session<'_>, payment: &Answer) -> Answer {
    app.get(&format!("/v1/domestic-payments/{}", payment.at("/paymentId"))).await
}

async fn a_lost_answer_is_found_out_and_told(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, body) = (fresh("order"), payment_with("7.00", "SBX:lost"));
    let lost = app.pay(&key, &body).await;
    lost.succeeded(202);
    assert_eq!(told(&world).await, [unknown(&lost)]);
    let again = app.pay(&key, &body).await;
    assert_eq!(again.succeeded(202).body, lost.body);
    world.round().await.unwrap();
    // The bank's own word, as a first answer would have been.
    let settled_now = app.pay(&key, &body).await;
    let truth = read(&app, &lost).await;
    assert_eq!(settled_now.succeeded(201).json(), truth.succeeded(200).json());
    assert_eq!(settled_now.header("x-idempotency-replayed"), Some("true"));
    assert_eq!(settled_now.header("location"), lost.header("location"));
    assert_eq!(settled_now.header("content-type"), Some("application/json"));
    assert_eq!(settled_now.header("cache-control"), Some("no-store"));
    assert_eq!(told(&world).await, [unknown(&lost), settled(&lost, "ACSC")]);
    assert_eq!(recorded(&world).await, [(lost.at("/paymentId").to_owned(), "answered".to_owned())]);
    assert!(world.metric("qaqpa_settled_total{outcome=\"answered\"}") >= 1.0);
    // Once is enough, and a mismatch is still one.
    world.advance(PAUSE_MAX);
    world.round().await.unwrap();
    assert_eq!(told(&world).await.len(), 2);
    app.pay(&key, &payment("8.00")).await.refused(422, "idempotency_mismatch");
    assert_eq!(bank::balance(&world, 1).await, before - 700);
}

async fn a_payment_that_never_arrived_may_be_sent_again_under_its_key(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, body) = (fresh("order"), payment_with("7.00", "SBX:dropped"));
    let lost = app.pay(&key, &body).await;
    lost.succeeded(202);
    let shown = read(&app, &lost).await;
    assert_eq!((shown.succeeded(200).at("/status"), shown.at("/createdAt")), ("unknown".into(), lost.at("/createdAt")));
    let begun = world.now();
    asked_enough(&world).await;
    let last = (begun + RECEIPT_WINDOW).since(world.now());
    world.advance(last - MILLISECOND);
    world.round().await.unwrap();
    assert_eq!(read(&app, &lost).await.at("/status"), "unknown", "it may still arrive");
    assert_eq!(world.metric("qaqpa_undecided"), 1.0);
    world.advance(PAUSE_MAX);
    world.round().await.unwrap();
    let app = Session::of(&world, "demo-app").await;
    let shown = read(&app, &lost).await;
    assert_eq!(shown.succeeded(200).at("/status"), "not_received");
    assert_eq!(shown.at("/createdAt"), lost.at("/createdAt"));
    assert_eq!(told(&world).await, [unknown(&lost), settled(&lost, "not_received")]);
    assert_eq!(recorded(&world).await, [(lost.at("/paymentId").to_owned(), "not_received".to_owned())]);
    assert_eq!(world.metric("qaqpa_undecided"), 0.0);
    assert_eq!(bank::balance(&world, 1).await, before);
    // Another body is another payment still; the same one goes out again under the same name.
    app.pay(&key, &payment("8.00")).await.refused(422, "idempotency_mismatch");
    let paid = app.pay(&key, &body).await;
    assert_eq!(paid.succeeded(201).at("/paymentId"), lost.at("/paymentId"));
    assert_eq!(read(&app, &lost).await.succeeded(200).at("/status"), "ACSC");
    assert_eq!(app.pay(&key, &body).await.succeeded(201).body, paid.body);
    assert_eq!(bank::balance(&world, 1).await, before - 700);
}

async fn a_payment_that_is_booked_late_is_found_out(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let lost = app.pay(&fresh("order"), &payment_with("7.00", "SBX:late=300")).await;
    lost.succeeded(202);
    asked_enough(&world).await;
    let booked = async {
        while bank::balance(&world, 1).await == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, booked).await.unwrap();
    world.advance(PAUSE_MAX);
    world.round().await.unwrap();
    let events = told(&world).await;
    assert_eq!(events.last(), Some(&settled(&lost, "ACSC")), "{events:?}");
    assert_eq!(bank::balance(&world, 1).await, before - 700);
}

async fn a_bank_that_says_nothing_is_asked_again_more_and_more_rarely(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, body) = (fresh("order"), payment_with("7.00", "SBX:mute=3"));
    let lost = app.pay(&key, &body).await;
    lost.succeeded(202);
    // The first at once, then after one to one and a half seconds, two to three, four to six.
    for pause in [0, 1000, 2000, 4000] {
        let pause = Duration::from_millis(pause);
        world.advance(pause.saturating_sub(MILLISECOND));
        if !pause.is_zero() {
            world.round().await.unwrap();
        }
        assert_eq!(told(&world).await, [unknown(&lost)], "{pause:?}");
        world.advance(pause / 2 + MILLISECOND);
        world.round().await.unwrap();
    }
    assert_eq!(told(&world).await, [unknown(&lost), settled(&lost, "ACSC")]);
    app.pay(&key, &body).await.succeeded(201);
}

async fn an_undecided_payment_outlives_a_restart(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let lost = app.pay(&fresh("order"), &payment_with("7.00", "SBX:lost")).await;
    lost.succeeded(202);
    let world = World::again(world.stop().await, Setup::default()).await.map_err(|(error, _)| error).unwrap();
    assert_eq!(told(&world).await, [unknown(&lost)]);
    world.round().await.unwrap();
    assert_eq!(told(&world).await, [unknown(&lost), settled(&lost, "ACSC")]);
}

async fn a_payment_whose_client_went_away_is_settled_all_the_same(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let key = fresh("order");
    let body = left(&app, &key, "9.00").await;
    abandoned(&world).await;
    // Its lease is nobody's to break.
    world.round().await.unwrap();
    app.pay(&key, &body).await.refused(409, "request_in_progress");
    world.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
    world.round().await.unwrap();
    let events = told(&world).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].0.as_str(), &events[0].1["status"]), ("kz.qaqpa.payment.settled.v1", &json!("ACSC")));
    let paid = app.pay(&key, &body).await;
    assert_eq!(paid.succeeded(201).at("/paymentId"), events[0].1["paymentId"]);
    assert_eq!(paid.header("x-idempotency-replayed"), Some("true"));
    assert_eq!(bank::balance(&world, 1).await, before - 900);
}

async fn a_payment_of_an_operation_without_policy_waits_for_it(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let lost = app.pay(&fresh("order"), &payment_with("7.00", "SBX:lost")).await;
    lost.succeeded(202);
    let file = world.file("policies/national/apis/payments.yaml");
    let policy = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, policy.replace("        settledBy: getDomesticPayment\n", "")).unwrap();
    world.reload().unwrap();
    asked_enough(&world).await;
    assert_eq!(told(&world).await, [unknown(&lost)]);
    std::fs::write(&file, policy).unwrap();
    world.reload().unwrap();
    world.advance(PAUSE_MAX);
    world.round().await.unwrap();
    assert_eq!(told(&world).await, [unknown(&lost), settled(&lost, "ACSC")]);
}

/// Starts a world whose backend loses every payment and says this of its state.
async fn saying(kind: Kind, state: &str) -> (World, Backend) {
    let state = state.to_owned();
    let script = move |request: &Received| {
        if request.line().starts_with("POST") { String::new() } else { state.replace(ASKED_FOR, asked_for(request)) }
    };
    let backend = Backend::scripted(script).await;
    let world = World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await;
    (world, backend)
}

/// Where it stands in the answer of a backend, that names the payment it is asked for.
const ASKED_FOR: &str = "00000000-0000-0000-0000-000000000000";

/// Tells which payment a backend is asked for.
fn asked_for(request: &Received) -> &str {
    request.line().split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default()
}

fn with_body(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn what_tells_nothing_settles_nothing(kind: Kind) {
    let json = |body: &str| with_body("200 OK\r\ncontent-type: application/json", body);
    let problem = |body: &str| with_body("404 Not Found\r\ncontent-type: application/problem+json", body);
    let booked = format!("{{\"paymentId\":\"{ASKED_FOR}\",\"status\":\"ACSC\"}}");
    let oversize = json(&booked.replace("ACSC\"", &format!("ACSC\",\"x\":\"{}\"", "x".repeat(256 * 1024))));
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n";
    for state in [
        "",
        "SSH-2.0-core\r\n\r\n",
        &json("{}"),
        &json(&booked.replace("ACSC", "unknown")),
        &json(booked.trim_end_matches('}')),
        &oversize,
        &with_body("200 OK\r\ncontent-type: text/html", &booked),
        &format!("{cut}{booked}"),
        // What stands between us and the bank, and a bank that has mixed up its payments.
        &json("{\"status\":\"maintenance\"}"),
        &json(&booked.replace("paymentId", "id")),
        &json("{\"paymentId\":\"018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20\",\"status\":\"RJCT\"}"),
        "HTTP/1.1 404 Not Found\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n",
        &with_body("404 Not Found\r\ncontent-type: application/json", "{\"message\":\"no Route matched\"}"),
        &problem(""),
        &problem("{}"),
        &problem("[]"),
        &problem("{\"title\":"),
        &with_body("404 Not Found\r\ncontent-type: text/html", "<h1>no such page</h1>"),
        &with_body("401 Unauthorized\r\ncontent-type: application/problem+json", "{}"),
        &with_body("410 Gone\r\ncontent-type: application/problem+json", "{}"),
        &with_body("429 Too Many Requests\r\ncontent-type: application/problem+json", "{}"),
        &with_body("503 Busy\r\ncontent-type: application/problem+json", "{}"),
        "HTTP/1.1 302 Found\r\nlocation: https://thief.example/\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ] {
        let (world, backend) = saying(kind, state).await;
        let app = Session::of(&world, "demo-app").await;
        let (key, body) = (fresh("order"), payment("1.00"));
        let lost = app.pay(&key, &body).await;
        lost.succeeded(202);
        asked_enough(&world).await;
        world.advance(RECEIPT_WINDOW);
        world.round().await.unwrap();
        world.advance(PAUSE_MAX);
        world.round().await.unwrap();
        assert_eq!(told(&world).await, [unknown(&lost)], "{state}");
        assert!(backend.received().len() > 2, "{state}: nobody asked");
        let app = Session::of(&world, "demo-app").await;
        assert_eq!(app.pay(&key, &body).await.succeeded(202).body, lost.body);
    }
}

async fn a_payment_is_asked_for_and_never_sent_again(kind: Kind) {
    let state = with_body("404 Not Found\r\ncontent-type: application/problem+json", "{\"title\":\"no such payment\"}");
    let (world, backend) = saying(kind, &state).await;
    let app = Session::of(&world, "demo-app").await;
    let lost = app.pay(&fresh("order"), &payment("1.00")).await;
    lost.succeeded(202);
    asked_enough(&world).await;
    let received = backend.received();
    let (sent, asked): (Vec<_>, Vec<_>) = received.iter().partition(|request| request.line().starts_with("POST"));
    assert_eq!((sent.len(), asked.len()), (1, ASKED_MIN as usize));
    let mut interactions = vec![sent[0].header("x-fapi-interaction-id").unwrap()];
    for request in asked {
        let line = format!("GET /v1/domestic-payments/{} HTTP/1.1", lost.at("/paymentId"));
        assert_eq!(request.line(), line);
        assert_eq!(request.body, "");
        assert_eq!(request.header("x-qaqpa-client"), Some("demo-app"));
        assert_eq!(request.header("x-qaqpa-organisation"), Some("demo-fintech"));
        interactions.push(request.header("x-fapi-interaction-id").unwrap());
        for name in ["x-qaqpa-reference", "x-qaqpa-payer", "authorization", "dpop", "x-idempotency-key"] {
            assert_eq!(request.header(name), None, "{}", request.head);
        }
    }
    interactions.sort_unstable();
    interactions.dedup();
    assert_eq!(interactions.len(), 1 + ASKED_MIN as usize, "each question is an interaction of its own");
}

async fn a_backend_that_is_gone_later_leaves_the_outcome_unknown(kind: Kind) {
    // The first holder sends it and is cut off; whoever comes next cannot reach the backend at all.
    let backend = Backend::silent().await;
    let setup = || Setup { backend: Some(backend.address), ..Setup::default() };
    let world = World::with(kind, setup()).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, body) = (fresh("order"), payment("1.00"));
    let cut = tokio::time::timeout(Duration::from_millis(300), app.pay(&key, &body)).await;
    assert!(cut.is_err(), "{cut:?}");
    let app = (app.app, app.token);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup { backend: Some(nobody), ..setup() };
    let world = World::again(world.stop().await, setup).await.map_err(|(error, _)| error).unwrap();
    let app = Session { world: &world, app: app.0, token: app.1 };
    app.pay(&key, &body).await.refused(409, "request_in_progress");
    world.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
    let unsure = app.pay(&key, &body).await;
    assert_eq!(unsure.succeeded(202).at("/status"), "unknown");
    // A payment that was never sent is refused, and that is all there is to say of it.
    app.pay(&fresh("order"), &body).await.refused(503, "backend_unavailable");
}

async fn another_client_learns_nothing_of_an_unknown_payment(kind: Kind) {
    let other = App::newcomer("other-app");
    let policy = other.policy("demo-fintech", &["payments:write", "payments:read"], "");
    let world = World::with(kind, Setup::default().policy("other.yaml", policy)).await;
    let app = Session::of(&world, "demo-app").await;
    let lost = app.pay(&fresh("order"), &payment_with("1.00", "SBX:dropped")).await;
    lost.succeeded(202);
    assert_eq!(read(&app, &lost).await.succeeded(200).at("/status"), "unknown");
    let other = other.session(&world, None).await;
    read(&other, &lost).await.status_is(404);
    app.get("/v1/domestic-payments/018f3c1e-8c73-7d3e-9f20-4b6c8d0e1f20").await.status_is(404);
}

/// Changes the schema behind the store's back, so that what is to be written at the end fails, or can be again.
fn sabotage(world: &World, sql: &str) {
    rusqlite::Connection::open(world.file("qaqpa.sqlite")).unwrap().execute_batch(sql).unwrap();
}

async fn a_store_that_fails_at_the_end_takes_no_answer_away(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    sabotage(
        &world,
        "CREATE TRIGGER broken BEFORE UPDATE ON claims WHEN NEW.outcome <> 'open' BEGIN SELECT RAISE(ABORT, 'broken'); END;
         CREATE TRIGGER gone BEFORE INSERT ON claims WHEN NEW.outcome <> 'open' BEGIN SELECT RAISE(ABORT, 'broken'); END",
    );
    let (paid_key, lost_key) = (fresh("order"), fresh("order"));
    let paid = app.pay(&paid_key, &payment("1.00")).await;
    paid.succeeded(201);
    let lost = app.pay(&lost_key, &payment_with("2.00", "SBX:lost")).await;
    lost.succeeded(202);
    assert_eq!(told(&world).await, []);
    sabotage(&world, "DROP TRIGGER broken; DROP TRIGGER gone");
    app.pay(&paid_key, &payment("1.00")).await.refused(409, "request_in_progress");
    world.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
    world.round().await.unwrap();
    // What was told stays true: the bank tells it again.
    let again = app.pay(&paid_key, &payment("1.00")).await;
    assert_eq!(again.succeeded(201).json(), paid.json());
    let again = app.pay(&lost_key, &payment_with("2.00", "SBX:lost")).await;
    assert_eq!(again.succeeded(201).at("/paymentId"), lost.at("/paymentId"));
    assert_eq!(told(&world).await.len(), 2);
    assert_eq!(bank::balance(&world, 1).await, before - 300);
}

async fn a_store_that_is_down_never_says_not_found(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let lost = app.pay(&fresh("order"), &payment_with("1.00", "SBX:dropped")).await;
    lost.succeeded(202);
    sabotage(&world, "ALTER TABLE claims RENAME TO hidden");
    read(&app, &lost).await.refused(503, "dependency_down");
    sabotage(&world, "ALTER TABLE hidden RENAME TO claims");
    assert_eq!(read(&app, &lost).await.succeeded(200).at("/status"), "unknown");
}

/// What stands where assessing and doing would.
struct Defect;

impl Refine<Claimed> for Defect {
    type Out = Reply;

    async fn refine(&self, claimed: Claimed) -> Result<Reply, Rejection> {
        panic!("a defect with a claim: {}", claimed.ticket.is_some());
    }
}

/// The same, with an answer whose body is the defect.
struct DefectiveAnswer;

impl Refine<Claimed> for DefectiveAnswer {
    type Out = Reply;

    async fn refine(&self, _: Claimed) -> Result<Reply, Rejection> {
        Ok(Reply::new(Body::stream(Box::pin(Broken))))
    }
}

struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyFailure>>> {
        panic!("a defect in an answer")
    }
}

/// Stands still with the claim for as long as its lease, then does what was to be done.
struct Stalled<S>(Arc<World>, S);

impl<S: Refine<Claimed, Out = Reply>> Refine<Claimed> for Stalled<S> {
    type Out = Reply;

    async fn refine(&self, claimed: Claimed) -> Result<Reply, Rejection> {
        self.0.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
        self.1.refine(claimed).await
    }
}

/// Sends a payment on the way that payments go, with `last` where assessing and doing would be.
async fn on_a_way_with(world: &World, ask: &Ask, last: impl Refine<Claimed, Out = Reply>) -> Result<Reply, Rejection> {
    let house = Arc::clone(&world.assembled().house);
    let generation = Arc::clone(world.assembled().stack.load().generation());
    let meter = MeterLayer::new(Arc::clone(&house), &generation.rulebook);
    let way = then(
        Route(Arc::clone(&generation)),
        then(
            Authenticate::new(Arc::clone(&house), generation, Arc::clone(world.assembled().stack.load().reach())),
            meter.layer(then(Permit, then(Validate, OnceLayer(Arc::clone(&house)).layer(last)))),
        ),
    );
    let interaction = house.new_interaction();
    let trail = Trail::open(interaction.clone(), world.now(), 1);
    let traced = Traced { arrived: Box::new(world.arrived(ask)), interaction };
    way.refine(Guarded::admitted(traced, Instant::now() + PATIENCE).receive(world.now(), trail)).await
}

async fn a_defect_on_the_way_leaves_the_outcome_unknown(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, body) = (fresh("order"), payment("1.00"));
    let ask = app.dress(Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key).json(&body));
    let reply = on_a_way_with(&world, &ask, Defect).await.unwrap();
    assert_eq!(reply.status(), 202);
    // Kept as any unknown outcome; the bank has not seen it, and says so when the time has come.
    let again = app.pay(&key, &body).await;
    assert_eq!(again.succeeded(202).at("/status"), "unknown");
    asked_enough(&world).await;
    world.advance(RECEIPT_WINDOW);
    world.round().await.unwrap();
    let app = Session::of(&world, "demo-app").await;
    app.pay(&key, &body).await.succeeded(201);
}

async fn a_defect_in_an_answer_leaves_the_outcome_unknown(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order"));
    let reply = on_a_way_with(&world, &app.dress(ask.json(&payment("1.00"))), DefectiveAnswer).await.unwrap();
    assert_eq!(reply.status(), 202);
    // The lease ends, and the bank is asked.
    world.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
    world.round().await.unwrap();
    assert_eq!(world.metric("qaqpa_undecided"), 1.0);
}

/// What assesses and does, as it stands behind `once`.
fn deed(world: &World) -> impl Refine<Claimed, Out = Reply> {
    let house = Arc::clone(&world.assembled().house);
    let stack = world.assembled().stack.load();
    let (generation, reach) = (Arc::clone(stack.generation()), Arc::clone(stack.reach()));
    then(Assess(Arc::clone(&house)), RedactLayer(Arc::clone(&house)).layer(Deed { house, generation, reach }))
}

async fn a_payment_whose_lease_is_over_is_not_sent(kind: Kind) {
    let world = Arc::new(World::start(kind).await);
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (key, body) = (fresh("order"), payment("1.00"));
    let ask = app.dress(Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key).json(&body));
    let refused = on_a_way_with(&world, &ask, Stalled(Arc::clone(&world), deed(&world))).await.unwrap_err();
    assert_eq!(refused.name(), "deadline_exceeded");
    assert_eq!(bank::balance(&world, 1).await, before);
    // Nothing was sent, so the key is free for its body at once.
    app.pay(&key, &body).await.succeeded(201);
    assert_eq!(bank::balance(&world, 1).await, before - 100);
}

/// Does the deed and tells nobody, as a gateway that dies when it has sent it.
struct Dying<S>(S);

impl<S: Refine<Claimed, Out = Reply>> Refine<Claimed> for Dying<S> {
    type Out = Reply;

    async fn refine(&self, claimed: Claimed) -> Result<Reply, Rejection> {
        let _ = self.0.refine(claimed).await;
        std::future::pending().await
    }
}

/// Leaves a claim whose payment the backend has received, and lets its lease end.
async fn died(world: &World, backend: &Backend, app: &Session<'_>, key: &str, body: &Value) {
    let ask = app.dress(Ask::post("/v1/domestic-payments").with("x-idempotency-key", key).json(body));
    let received = async {
        while backend.received().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        told = on_a_way_with(world, &ask, Dying(deed(world))) => panic!("{told:?}"),
        () = received => {}
    }
    world.advance(PAYMENT_TIMEOUT + LEASE_MARGIN);
}

/// Starts a backend that refuses payments so, and says this of their state.
async fn refusing(kind: Kind, refusal: &str, state: &str) -> (World, Backend) {
    let head = format!("{refusal}\r\nconnection: close\r\ncontent-type: application/problem+json");
    let (refusal, state) = (with_body(&head, "{\"title\":\"no\"}"), state.to_owned());
    let script = move |request: &Received| {
        if request.line().starts_with("POST") { refusal.clone() } else { state.replace(ASKED_FOR, asked_for(request)) }
    };
    let backend = Backend::scripted(script).await;
    let world = World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await;
    (world, backend)
}

async fn a_refusal_of_a_repetition_is_no_word_about_the_first(kind: Kind) {
    let booked = format!("{{\"paymentId\":\"{ASKED_FOR}\",\"status\":\"ACSC\"}}");
    let state = with_body("200 OK\r\ncontent-type: application/json", &booked);
    for refusal in
        ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "409 Conflict", "422 Unprocessable", "429 Busy"]
    {
        let (world, backend) = refusing(kind, refusal, &state).await;
        let app = Session::of(&world, "demo-app").await;
        let (key, body) = (fresh("order"), payment("7.00"));
        died(&world, &backend, &app, &key, &body).await;
        // The bank has booked the first, and refuses the second because of it.
        let again = app.pay(&key, &body).await;
        assert_eq!(again.status, 202, "{refusal}: {}", again.text());
        assert_eq!(again.at("/status"), "unknown");
        world.round().await.unwrap();
        let events = told(&world).await;
        assert_eq!(events.last(), Some(&settled(&again, "ACSC")), "{refusal}");
        assert_eq!(app.pay(&key, &body).await.succeeded(201).at("/status"), "ACSC");
        let sent = backend.received().iter().filter(|request| request.line().starts_with("POST")).count();
        assert_eq!(sent, 2, "{refusal}");
    }
}

async fn a_refusal_of_what_was_not_received_is_final(kind: Kind) {
    let state = with_body("404 Not Found\r\ncontent-type: application/problem+json", "{\"title\":\"none\"}");
    let (world, backend) = refusing(kind, "422 Unprocessable", &state).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, body) = (fresh("order"), payment("7.00"));
    died(&world, &backend, &app, &key, &body).await;
    app.pay(&key, &body).await.succeeded(202);
    asked_enough(&world).await;
    world.advance(RECEIPT_WINDOW);
    world.round().await.unwrap();
    let app = Session::of(&world, "demo-app").await;
    for _ in 0..2 {
        app.pay(&key, &body).await.status_is(422);
    }
    let sent = backend.received().iter().filter(|request| request.line().starts_with("POST")).count();
    assert_eq!(sent, 3, "the refusal is kept");
}

/// Leaves a large payment, booked, whose identity result is too old by now; gives its key, body and result.
async fn left_large(world: &World) -> (String, Value, String) {
    let app = Session::of(world, "demo-app").await;
    let (key, body) = (fresh("order"), payment_with("250001.00", "SBX:delay=20000"));
    let challenge = challenged(&app, &key, &body).await;
    let result = verified(&app, &challenge, bank::iin(1)).await;
    let before = bank::balance(world, 1).await;
    tokio::select! {
        answer = with_result(&app, &key, &body, &result) => panic!("too quick: {answer:?}"),
        () = booked(world, before) => {}
    }
    abandoned(world).await;
    world.advance(Duration::from_secs(6 * 60));
    (key, body, result)
}

async fn our_own_refusal_is_never_told_of_an_undecided_payment(kind: Kind) {
    let world = World::start(kind).await;
    let (key, body, result) = left_large(&world).await;
    let app = Session::of(&world, "demo-app").await;
    // Without a result the client is told what to bring, and nothing about the payment.
    app.pay(&key, &body).await.refused(401, "step_up_required");
    let unsure = with_result(&app, &key, &body, &result).await;
    assert_eq!(unsure.succeeded(202).at("/status"), "unknown");
    world.round().await.unwrap();
    assert_eq!(told(&world).await.last(), Some(&settled(&unsure, "ACSC")));
    assert_eq!(app.pay(&key, &body).await.succeeded(201).at("/paymentId"), unsure.at("/paymentId"));
    // Where nothing is in doubt, a refusal is one.
    with_result(&app, &fresh("order"), &body, &result).await.refused(403, "verification_failed");
}

async fn a_store_that_fails_says_nothing_of_a_payment_in_doubt(kind: Kind) {
    let world = World::start(kind).await;
    let (key, body, result) = left_large(&world).await;
    let app = Session::of(&world, "demo-app").await;
    // The claim can be taken over, and then neither given back nor read.
    sabotage(
        &world,
        "CREATE TRIGGER broken AFTER INSERT ON claims BEGIN
           UPDATE claims SET outcome = 'broken' WHERE rowid = NEW.rowid; END",
    );
    let unsure = with_result(&app, &key, &body, &result).await;
    assert_eq!(unsure.succeeded(202).at("/status"), "unknown");
}

async fn a_settlement_that_does_not_count_is_recorded_as_such(kind: Kind) {
    let store: Arc<OnceLock<PathBuf>> = Arc::default();
    let found = Arc::clone(&store);
    let script = move |request: &Received| {
        if request.line().starts_with("POST") {
            return String::new();
        }
        // While the bank is asked, the claim becomes another.
        let store = rusqlite::Connection::open(found.get().unwrap()).unwrap();
        store.execute_batch("UPDATE claims SET asked = asked + 1").unwrap();
        let booked = format!("{{\"paymentId\":\"{}\",\"status\":\"ACSC\"}}", asked_for(request));
        with_body("200 OK\r\ncontent-type: application/json", &booked)
    };
    let backend = Backend::scripted(script).await;
    let world = World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await;
    store.set(world.file("qaqpa.sqlite")).unwrap();
    let app = Session::of(&world, "demo-app").await;
    let lost = app.pay(&fresh("order"), &payment("1.00")).await;
    lost.succeeded(202);
    world.round().await.unwrap();
    assert_eq!(told(&world).await, [unknown(&lost)]);
    let reference = lost.at("/paymentId").to_owned();
    let endings = ["answered", "superseded"].map(|ending| (reference.clone(), ending.to_owned()));
    let mut recorded = recorded(&world).await;
    recorded.sort();
    assert_eq!(recorded, endings);
}
