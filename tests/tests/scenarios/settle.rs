//! Money never ends undecided: what becomes of payments whose answer was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::layer::authenticate::Authenticate;
use gateway::layer::meter::Meter;
use gateway::layer::once::{Claimed, LEASE_MARGIN, OnceLayer};
use gateway::layer::permit::Permit;
use gateway::layer::route::Route;
use gateway::layer::validate::Validate;
use policies::id::ClientId;
use policies::settle::{ASK_AGAIN_MAX, ASKED_MIN, RECEIPT_WINDOW};
use scenarios::actors::app::fresh;
use scenarios::actors::backend::Backend;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{App, Session};
use scenarios::world::{Answer, Ask, Kind, PATIENCE, Setup, World};
use serde_json::{Value, json};
use spine::Reply;
use spine::error::Rejection;
use spine::refine::{Refine, then};
use spine::stage::{Guarded, Traced};
use spine::trail::Trail;
use tower::Layer as _;

use crate::races::{PAYMENT_TIMEOUT, abandoned, left};

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
}

mod elsewhere {
    use scenarios::world::Kind;

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
    let script = move |request: &scenarios::actors::backend::Received| {
        if request.line().starts_with("POST") { String::new() } else { state.clone() }
    };
    let backend = Backend::scripted(script).await;
    let world = World::with(kind, Setup { backend: Some(backend.address), ..Setup::default() }).await;
    (world, backend)
}

fn with_body(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn what_tells_nothing_settles_nothing(kind: Kind) {
    let json = |body: &str| with_body("200 OK\r\ncontent-type: application/json", body);
    let oversize = json(&format!("{{\"status\":\"ACSC\",\"x\":\"{}\"}}", "x".repeat(256 * 1024)));
    for state in [
        "",
        "SSH-2.0-core\r\n\r\n",
        &json("{}"),
        &json("{\"status\":\"unknown\"}"),
        &json("{\"status\":\"ACSC\""),
        &oversize,
        &with_body("200 OK\r\ncontent-type: text/html", "{\"status\":\"ACSC\"}"),
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"status\":\"ACSC\"}",
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
    let state = with_body("404 Not Found\r\ncontent-type: application/problem+json", "{}");
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

async fn a_defect_on_the_way_leaves_the_outcome_unknown(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let (key, body) = (fresh("order"), payment("1.00"));
    let ask = app.dress(Ask::post("/v1/domestic-payments").with("x-idempotency-key", &key).json(&body));
    let house = Arc::clone(&world.assembled().house);
    let generation = Arc::clone(world.assembled().stack.load().generation());
    let way = then(
        Route(Arc::clone(&generation)),
        then(
            Authenticate { house: Arc::clone(&house), generation },
            then(Meter(Arc::clone(&house)), then(Permit, then(Validate, OnceLayer(Arc::clone(&house)).layer(Defect)))),
        ),
    );
    let interaction = house.new_interaction();
    let trail = Trail::open(interaction.clone(), world.now(), 1);
    let traced = Traced { arrived: Box::new(world.arrived(&ask)), interaction };
    let received = Guarded::admitted(traced, Instant::now() + PATIENCE).receive(world.now(), trail);
    let reply = way.refine(received).await.unwrap();
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
