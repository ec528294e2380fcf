//! Clients are told what has happened: by the feed, and at their endpoints, until they took it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::chore::Chore;
use gateway::chore::deliver::{LEASE, PER_ENDPOINT_MAX, SECRETS_MAX_AGE};
use policies::delivery::{JITTER_DIVISOR, SCHEDULE};
use policies::id::ClientId;
use scenarios::actors::app::fresh;
use scenarios::actors::bank;
use scenarios::actors::log::Log;
use scenarios::actors::provider::{self, Callback};
use scenarios::actors::receiver::{Receiver, Says, is_signed};
use scenarios::actors::{App, Session};
use scenarios::world::{Answer, Ask, Folder, Kind, PATIENCE, Setup, World};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);

store_scenarios! {
    a_client_reads_its_own_events_and_no_others,
    the_feed_goes_on_where_it_was,
    an_event_is_posted_signed_and_once,
    what_is_not_taken_is_posted_again_under_the_same_name,
    events_of_one_subject_keep_their_order,
    a_dead_endpoint_holds_up_nobody,
    what_was_under_way_in_a_crash_is_posted_again,
    at_the_end_of_its_schedule_an_event_is_parked_and_may_be_asked_for_again,
}

/// What does not depend on a store.
mod anywhere {
    use super::{
        a_private_address_needs_the_operators_word, a_secret_may_be_replaced_without_a_pause,
        an_endpoint_may_ask_for_time_or_for_no_more, the_feed_is_for_those_with_the_scope,
        what_nobody_asked_for_is_not_posted, whoever_may_not_call_is_not_called,
    };

    scenarios! {
        the_feed_is_for_those_with_the_scope,
        an_endpoint_may_ask_for_time_or_for_no_more,
        what_nobody_asked_for_is_not_posted,
        whoever_may_not_call_is_not_called,
        a_secret_may_be_replaced_without_a_pause,
        a_private_address_needs_the_operators_word,
    }
}

/// A secret in a file of its own, and an endpoint.
struct Hook {
    receiver: Receiver,
    folder: Folder,
    secret: String,
}

impl Hook {
    async fn new() -> Self {
        let hook = Self { receiver: Receiver::start().await, folder: Folder::new(), secret: secret(1) };
        hook.keep("secret", &hook.secret);
        hook
    }

    fn keep(&self, name: &str, secret: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("{secret}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn reference(&self, name: &str) -> String {
        json!(format!("secret:file:{}", self.folder.path().join(name).display())).to_string()
    }

    fn policy(&self, more: &str) -> String {
        let (url, secret) = (json!(self.receiver.url()), self.reference("secret"));
        format!("webhook: {{url: {url}, secret: {secret}{more}}}")
    }

    /// A sandbox that tells `client` here.
    fn of(&self, client: &str) -> Setup {
        self.beside(Setup::default(), client, &self.policy(""))
    }

    fn beside(&self, setup: Setup, client: &str, webhook: &str) -> Setup {
        let line = format!("  {client}:\n    organisation");
        setup.replacing("policies/sandbox.yaml", &line, format!("  {client}:\n    {webhook}\n    organisation"))
    }
}

fn secret(byte: u8) -> String {
    format!("whsec_{}", STANDARD.encode([byte; 32]))
}

/// Has a verification end; gives its id, which is the subject of its event.
async fn decide(app: &Session<'_>) -> String {
    let body = json!({
        "subject": {"type": "iin", "value": bank::iin(6)}, "purpose": "loan", "level": "L2", "binding": {"kind": "none"},
    });
    let started = app.post("/v1/identity-verifications", &fresh("verification"), &body).await;
    let id = started.succeeded(201).at("/id");
    let word = Callback::of(app.world, &provider::session(&started), &id, "match");
    app.world.send(word.sign(app.world)).await.succeeded(204);
    id
}

/// Has two things happen to one payment; gives its id.
async fn lose(app: &Session<'_>) -> String {
    let lost = app.pay(&fresh("order"), &bank::payment_with("7.00", "SBX:lost")).await;
    lost.succeeded(202).at("/paymentId")
}

fn feed(answer: &Answer) -> Vec<Value> {
    answer.succeeded(200).json()["events"].as_array().unwrap().clone()
}

fn subjects(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect()
}

async fn round(world: &World) {
    world.round().await.unwrap();
}

async fn waiting(world: &World, client: &str) -> u64 {
    world.assembled().house.outbox.waiting(&[ClientId::parse(client).unwrap()]).await.unwrap()
}

/// The longest that attempt `number` (from 0) may have to wait.
fn wait_max(number: usize) -> Duration {
    SCHEDULE[number] + SCHEDULE[number] / JITTER_DIVISOR
}

async fn a_client_reads_its_own_events_and_no_others(kind: Kind) {
    let world = World::start(kind).await;
    let (app, other) = (Session::of(&world, "demo-app").await, Session::of(&world, "demo-bank-app").await);
    assert_eq!(feed(&app.get("/v1/events").await), [] as [Value; 0]);
    let (mine, theirs) = (decide(&app).await, decide(&other).await);
    let events = feed(&app.get("/v1/events").await);
    let [event] = &events[..] else { panic!("{events:?}") };
    let read = app.get(&format!("/v1/identity-verifications/{mine}")).await;
    assert_eq!(event["data"], json!({"verificationId": mine, "status": "passed", "decidedAt": event["time"]}));
    assert_eq!(read.at("/status"), "passed");
    assert_eq!(
        (event["specversion"].as_str(), event["type"].as_str(), event["source"].as_str(), event["subject"].as_str()),
        (Some("1.0"), Some("kz.qaqpa.verification.decided.v1"), Some(world.issuer()), Some(mine.as_str()))
    );
    assert_eq!(event["sequence"], "000000000000000001");
    assert_eq!(subjects(&feed(&other.get("/v1/events").await)), [theirs]);
    // Nobody is named, and nobody else's client either.
    for text in [bank::iin(6), "demo-app", "demo-bank-app"] {
        assert!(!event.to_string().contains(text), "{event}");
    }
    assert_eq!(
        feed(&App::of(&world, "demo-mfo-app").session(&world, None).await.get("/v1/events").await),
        [] as [Value; 0]
    );
}

async fn the_feed_goes_on_where_it_was(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(decide(&app).await);
    }
    let first = app.get("/v1/events?limit=2").await;
    assert_eq!(subjects(&feed(&first)), ids[..2]);
    let next = first.at("/next");
    let second = app.get(&format!("/v1/events?limit=2&after={next}")).await;
    assert_eq!(subjects(&feed(&second)), ids[2..]);
    let next = second.at("/next");
    let third = app.get(&format!("/v1/events?after={next}")).await;
    assert_eq!((feed(&third).len(), third.at("/next")), (0, next));
    // A number without its zeros, or with escapes, is the same number.
    for after in ["1", "%31", "000000000000000001"] {
        assert_eq!(subjects(&feed(&app.get(&format!("/v1/events?after={after}")).await)), ids[1..]);
    }
    let far = app.get("/v1/events?after=999999999999999999&limit=500").await;
    assert_eq!((feed(&far).len(), far.at("/next").as_str()), (0, "999999999999999999"));
    for query in
        ["limit=0", "limit=501", "after=-1", "after=", "after=1000000000000000000", "before=1", "after=1&after=2"]
    {
        app.get(&format!("/v1/events?{query}")).await.refused(400, "schema_violation");
    }
}

async fn the_feed_is_for_those_with_the_scope(kind: Kind) {
    let world = World::start(kind).await;
    world.send(Ask::get("/v1/events")).await.refused(401, "token_missing");
    let reader = App::of(&world, "demo-app").session(&world, Some("accounts:read")).await;
    reader.get("/v1/events").await.refused(403, "insufficient_scope");
    let reader = App::of(&world, "demo-app").session(&world, Some("events:read")).await;
    reader.get("/v1/events").await.succeeded(200);
    let again = |after: &str| Ask::post("/v1/events/redeliveries").json(&json!({"after": after}));
    reader.send(again("0")).await.refused(403, "insufficient_scope");
    let writer = App::of(&world, "demo-app").session(&world, Some("events:write")).await;
    writer.get("/v1/events").await.refused(403, "insufficient_scope");
    assert_eq!(writer.send(again("0")).await.succeeded(202).json(), json!({"count": 0}));
    for after in ["", "x", "1000000000000000000"] {
        writer.send(again(after)).await.refused(400, "schema_violation");
    }
    let trial = Session::of(&world, "trial-app").await;
    trial.get("/v1/events").await.refused(403, "insufficient_scope");
}

async fn an_event_is_posted_signed_and_once(kind: Kind) {
    let hook = Hook::new().await;
    let world = World::with(kind, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    decide(&app).await;
    assert!(hook.receiver.received().is_empty(), "requests do not wait for endpoints");
    round(&world).await;
    let received = hook.receiver.received();
    let [message] = &received[..] else { panic!("{received:?}") };
    assert!(message.line().starts_with("POST /events?key=canary-of-the-path HTTP/1.1"), "{message:?}");
    assert_eq!(message.header("content-type"), Some("application/cloudevents+json; charset=utf-8"));
    assert_eq!(message.header("webhook-timestamp"), Some(world.seconds().to_string().as_str()));
    assert!(is_signed(message, &hook.secret) && !is_signed(message, &secret(2)));
    let events = feed(&app.get("/v1/events").await);
    assert_eq!(serde_json::from_str::<Value>(&message.body).unwrap(), events[0]);
    assert_eq!(message.header("webhook-id"), events[0]["id"].as_str());
    assert_eq!(waiting(&world, "demo-app").await, 0);
    world.advance(LEASE + SECOND);
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 1);
    assert_eq!(world.metric("qaqpa_event_deliveries_total{outcome=\"taken\"}"), 1.0);
}

async fn what_is_not_taken_is_posted_again_under_the_same_name(kind: Kind) {
    let hook = Hook::new().await;
    let world = World::with(kind, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    hook.receiver.says(|_| Says::Refused(500, ""));
    decide(&app).await;
    round(&world).await;
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 1, "not before its time");
    world.advance(SCHEDULE[1] - Duration::from_millis(1));
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 1, "not before its time");
    world.advance(wait_max(1));
    hook.receiver.says(|_| Says::Refused(302, "location: http://127.0.0.1:1/"));
    round(&world).await;
    hook.receiver.says(|_| Says::Taken);
    world.advance(wait_max(2));
    round(&world).await;
    world.advance(wait_max(3));
    round(&world).await;
    let received = hook.receiver.received();
    let [first, second, third] = &received[..] else { panic!("{received:?}") };
    assert!(received.iter().all(|message| is_signed(message, &hook.secret)));
    assert_eq!((first.header("webhook-id"), &first.body), (third.header("webhook-id"), &third.body));
    assert_eq!(second.header("webhook-id"), third.header("webhook-id"));
    // Each attempt says when it was made.
    assert_ne!(first.header("webhook-timestamp"), second.header("webhook-timestamp"));
    assert_eq!(world.metric("qaqpa_event_deliveries_total{outcome=\"again\"}"), 2.0);
}

async fn events_of_one_subject_keep_their_order(kind: Kind) {
    let hook = Hook::new().await;
    let world = World::with(kind, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    hook.receiver.says(|event| {
        if event["type"] == "kz.qaqpa.payment.unknown.v1" { Says::Refused(500, "") } else { Says::Taken }
    });
    let payment = lose(&app).await;
    let verification = decide(&app).await;
    // The outcome is found out while the first word about it is still refused; another subject does not wait.
    round(&world).await;
    world.advance(wait_max(1));
    round(&world).await;
    let events = feed(&app.get("/v1/events").await);
    assert_eq!(subjects(&events), [payment.clone(), verification, payment]);
    let id = |at: usize| events[at]["id"].as_str().unwrap().to_owned();
    assert_eq!(hook.receiver.names().iter().filter(|name| **name == id(1)).count(), 1);
    assert!(!hook.receiver.names().contains(&id(2)), "the second word never comes before the first");
    hook.receiver.says(|_| Says::Taken);
    world.advance(wait_max(2));
    round(&world).await;
    round(&world).await;
    let names = hook.receiver.names();
    let places = [id(0), id(2)].map(|id| names.iter().rposition(|name| *name == id).unwrap());
    assert!(places[0] < places[1], "{names:?}");
    assert_eq!(waiting(&world, "demo-app").await, 0);
}

async fn a_dead_endpoint_holds_up_nobody(kind: Kind) {
    let (dead, alive) = (Hook::new().await, Hook::new().await);
    dead.receiver.says(|_| Says::Nothing);
    let setup = alive.beside(dead.of("demo-app"), "demo-bank-app", &alive.policy(""));
    let world = World::with(kind, setup).await;
    let (app, other) = (Session::of(&world, "demo-app").await, Session::of(&world, "demo-bank-app").await);
    for _ in 0..3 {
        decide(&app).await;
    }
    decide(&other).await;
    let begun = std::time::Instant::now();
    round(&world).await;
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(alive.receiver.received().len(), 1);
    assert_eq!(waiting(&world, "demo-bank-app").await, 0);
    assert_eq!(waiting(&world, "demo-app").await, 3);
}

/// The one chore that posts events, as a serving process goes round it.
fn poster(world: &World) -> Box<dyn Chore> {
    world.assembled().chores.make().into_iter().find(|chore| chore.name() == "deliver events").unwrap()
}

#[tokio::test]
async fn while_one_endpoint_is_silent_the_others_hear_on() {
    let (dead, alive) = (Hook::new().await, Hook::new().await);
    dead.receiver.says(|_| Says::Nothing);
    let setup = alive.beside(dead.of("demo-app"), "demo-bank-app", &alive.policy(""));
    let world = World::with(Kind::Memory, setup).await;
    let (app, other) = (Session::of(&world, "demo-app").await, Session::of(&world, "demo-bank-app").await);
    let mut poster = poster(&world);
    for count in 1..=3 {
        decide(&app).await;
        decide(&other).await;
        poster.round().await.unwrap();
        assert_eq!(alive.receiver.received().len(), count);
    }
    // What came up while its batch is under way waits for the end of it.
    assert_eq!((dead.receiver.received().len(), waiting(&world, "demo-app").await), (1, 3));
}

#[tokio::test]
async fn a_secret_is_believed_for_a_minute() {
    let hook = Hook::new().await;
    let world = World::with(Kind::Memory, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    let mut poster = poster(&world);
    poster.round().await.unwrap();
    hook.keep("secret", &secret(2));
    world.advance(SECRETS_MAX_AGE - Duration::from_millis(1));
    for byte in [1, 2] {
        decide(&app).await;
        poster.round().await.unwrap();
        assert!(is_signed(hook.receiver.received().last().unwrap(), &secret(byte)));
        world.advance(Duration::from_millis(1));
    }
    // A reload does not wait for it.
    hook.keep("secret", &secret(3));
    world.reload().unwrap();
    decide(&app).await;
    poster.round().await.unwrap();
    assert!(is_signed(hook.receiver.received().last().unwrap(), &secret(3)));
}

async fn what_was_under_way_in_a_crash_is_posted_again(kind: Kind) {
    let hook = Hook::new().await;
    let world = World::with(kind, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    // The endpoint has it, and nobody comes to know.
    hook.receiver.says(|_| Says::Nothing);
    decide(&app).await;
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 1);
    let world = World::again(world.stop().await, hook.of("demo-app")).await.map_err(|(error, _)| error).unwrap();
    hook.receiver.says(|_| Says::Taken);
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 1, "it may still be under way elsewhere");
    world.advance(LEASE);
    round(&world).await;
    let names = hook.receiver.names();
    let [first, second] = &names[..] else { panic!("{names:?}") };
    assert_eq!(first, second);
    assert_eq!(waiting(&world, "demo-app").await, 0);
}

async fn at_the_end_of_its_schedule_an_event_is_parked_and_may_be_asked_for_again(kind: Kind) {
    let hook = Hook::new().await;
    let world = World::with(kind, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    hook.receiver.says(|_| Says::Refused(503, ""));
    let subject = decide(&app).await;
    round(&world).await;
    for number in 1..SCHEDULE.len() {
        assert_eq!((hook.receiver.received().len(), waiting(&world, "demo-app").await), (number, 1));
        world.advance(wait_max(number));
        round(&world).await;
    }
    assert_eq!((hook.receiver.received().len(), waiting(&world, "demo-app").await), (SCHEDULE.len(), 0));
    assert_eq!(world.metric("qaqpa_event_deliveries_total{outcome=\"parked\"}"), 1.0);
    world.advance(wait_max(SCHEDULE.len() - 1));
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), SCHEDULE.len());
    // The feed has it all the same, and whoever asks is told once more.
    let app = Session::of(&world, "demo-app").await;
    assert_eq!(subjects(&feed(&app.get("/v1/events").await)), [subject]);
    hook.receiver.says(|_| Says::Taken);
    let again = |after: &str| Ask::post("/v1/events/redeliveries").json(&json!({"after": after}));
    assert_eq!(app.send(again("1")).await.succeeded(202).json(), json!({"count": 0}));
    assert_eq!(app.send(again("0")).await.succeeded(202).json(), json!({"count": 1}));
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), SCHEDULE.len() + 1);
    let names = hook.receiver.names();
    assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    // What another client asks for is nothing to this one.
    let other = Session::of(&world, "demo-bank-app").await;
    assert_eq!(other.send(again("0")).await.succeeded(202).json(), json!({"count": 0}));
}

async fn an_endpoint_may_ask_for_time_or_for_no_more(kind: Kind) {
    let hook = Hook::new().await;
    let world = World::with(kind, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    hook.receiver.says(|_| Says::Refused(429, "retry-after: 600"));
    decide(&app).await;
    round(&world).await;
    world.advance(Duration::from_secs(599));
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 1);
    hook.receiver.says(|_| Says::Refused(410, ""));
    world.advance(SECOND);
    round(&world).await;
    assert_eq!((hook.receiver.received().len(), waiting(&world, "demo-app").await), (2, 0));
}

async fn what_nobody_asked_for_is_not_posted(kind: Kind) {
    let hook = Hook::new().await;
    let wants = hook.policy(", events: [kz.qaqpa.payment.settled.v1]");
    let world = World::with(kind, hook.beside(Setup::default(), "demo-app", &wants)).await;
    let app = Session::of(&world, "demo-app").await;
    decide(&app).await;
    lose(&app).await;
    round(&world).await;
    round(&world).await;
    assert_eq!(feed(&app.get("/v1/events").await).len(), 3);
    let received = hook.receiver.received();
    let [message] = &received[..] else { panic!("{received:?}") };
    assert!(message.body.contains("kz.qaqpa.payment.settled.v1"), "{message:?}");
    assert_eq!(waiting(&world, "demo-app").await, 0);
}

async fn whoever_may_not_call_is_not_called(kind: Kind) {
    let hook = Hook::new().await;
    let world = World::with(kind, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    decide(&app).await;
    let file = world.file("policies/sandbox.yaml");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, before.replace("  demo-app:\n", "  demo-app:\n    suspended: true\n")).unwrap();
    world.reload().unwrap();
    round(&world).await;
    assert!(hook.receiver.received().is_empty());
    std::fs::write(&file, before).unwrap();
    world.reload().unwrap();
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 1, "nothing is lost meanwhile");
}

async fn a_secret_may_be_replaced_without_a_pause(kind: Kind) {
    let hook = Hook::new().await;
    hook.keep("old", &secret(9));
    let url = json!(hook.receiver.url());
    let both = format!("webhook: {{url: {url}, secret: [{}, {}]}}", hook.reference("secret"), hook.reference("old"));
    let world = World::with(kind, hook.beside(Setup::default(), "demo-app", &both)).await;
    let app = Session::of(&world, "demo-app").await;
    decide(&app).await;
    round(&world).await;
    let received = hook.receiver.received();
    assert!(is_signed(&received[0], &hook.secret) && is_signed(&received[0], &secret(9)));
    // A file that cannot be used loses nothing: its events wait.
    for unusable in ["whsec_c2hvcnQ=", "no secret", ""] {
        hook.keep("secret", unusable);
        decide(&app).await;
        round(&world).await;
    }
    assert_eq!((hook.receiver.received().len(), waiting(&world, "demo-app").await), (1, 3));
    hook.keep("secret", &secret(3));
    round(&world).await;
    let received = hook.receiver.received();
    assert_eq!(received.len(), 4);
    assert!(received[1..].iter().all(|message| is_signed(message, &secret(3)) && !is_signed(message, &hook.secret)));
}

async fn a_private_address_needs_the_operators_word(kind: Kind) {
    let hook = Hook::new().await;
    let strict = |setup: Setup| setup.replacing("qaqpa.yaml", "privateAddresses: allow", "privateAddresses: refuse");
    let refused = World::attempt(kind, strict(hook.of("demo-app"))).await.unwrap_err().to_string();
    assert!(refused.contains("P0205") && refused.contains("policies/sandbox.yaml:"), "{refused}");
    // A name tells nothing in a file; what it leads to is looked at before anybody is called.
    let url = hook.receiver.url().replace("http://127.0.0.1", "https://localhost.localdomain");
    let named = format!("webhook: {{url: {}, secret: {}}}", json!(url), hook.reference("secret"));
    let world = World::with(kind, strict(hook.beside(Setup::default(), "demo-app", &named))).await;
    decide(&Session::of(&world, "demo-app").await).await;
    round(&world).await;
    assert!(hook.receiver.received().is_empty());
    assert_eq!(waiting(&world, "demo-app").await, 1);
}

#[tokio::test]
async fn so_many_are_under_way_to_one_endpoint_and_not_one_more() {
    let hook = Hook::new().await;
    let world = World::with(Kind::Memory, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    hook.receiver.says(|_| Says::Nothing);
    for _ in 0..=PER_ENDPOINT_MAX {
        decide(&app).await;
    }
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), PER_ENDPOINT_MAX);
    // All of them were taken for this batch: nobody else is to send them meanwhile.
    hook.receiver.says(|_| Says::Taken);
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), PER_ENDPOINT_MAX);
    world.advance(LEASE);
    round(&world).await;
    assert_eq!(hook.receiver.received().len(), 2 * PER_ENDPOINT_MAX + 1);
    assert_eq!(waiting(&world, "demo-app").await, 0);
}

#[tokio::test]
async fn the_log_knows_neither_secrets_nor_paths() {
    let log = Log::default();
    let listening = log.listen("warn,gateway=trace,adapters=trace,broker=trace,policies=trace");
    let hook = Hook::new().await;
    let world = World::with(Kind::Memory, hook.of("demo-app")).await;
    let app = Session::of(&world, "demo-app").await;
    for says in [Says::Refused(500, ""), Says::Refused(410, ""), Says::Nothing, Says::Taken] {
        hook.receiver.says(move |_| says);
        decide(&app).await;
        round(&world).await;
    }
    hook.keep("secret", "whsec_canary-that-cannot-be-read");
    decide(&app).await;
    round(&world).await;
    drop(listening);
    let log = log.text();
    assert!(log.contains("it answered 500") && log.contains("is not posted again"), "{log}");
    assert!(log.contains("no event is posted to client demo-app (") && log.contains("was taken by"), "{log}");
    let key = hook.secret.strip_prefix("whsec_").unwrap();
    for canary in [key, "canary-of-the-path", "canary-that-cannot-be-read", "v1,"] {
        assert!(!log.contains(canary), "{canary} in {log}");
    }
    assert!(!format!("{:?}", world.assembled().stack.load().generation().rulebook).contains("canary"));
}
