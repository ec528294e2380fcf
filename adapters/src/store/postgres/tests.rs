//! What of this store the suite of all stores does not ask for, and that suite.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use policies::id::{ClientId, IdempotencyKey, OperationId, OrganisationId};
use policies::revocation::Revoked;
use policies::secret::Secret;
use policies::time::Timestamp;

use super::super::port::{
    Authorizations, ClaimAnswer, Claims, Durable, Generations, Item, ItemKind, NewClaim, Outbox, Replays, Step,
};
use super::super::retention::Retention;
use super::migrate::migrate_by;
use super::session::{Session, column};
use super::worker::Worker;
use super::{PostgresSettings, PostgresStore, sweep};
use crate::entropy;
use crate::http::trust::Trust;

crate::store::conformance::replay_promises! { crate::store::postgres::tests::open }
crate::store::conformance::durable_promises! { crate::store::postgres::tests::open }

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// A schema that one test has for itself.
pub(crate) struct Schema {
    name: String,
    shared: bool,
}

/// Schemas that a test has done with: making one anew for each would take longer than all tests together.
static DONE_WITH: Mutex<Vec<String>> = Mutex::new(Vec::new());

const EMPTY: &str = "DELETE FROM replays; DELETE FROM claims; DELETE FROM spends; DELETE FROM verifications;
    DELETE FROM positions; DELETE FROM events; DELETE FROM subject_keys; DELETE FROM generations;
    DELETE FROM changes; DELETE FROM items; DELETE FROM revocations";

fn name() -> String {
    let dice: String = entropy::random::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t{dice}")
}

impl Schema {
    /// Names one that is not there yet, and is gone with the test.
    fn new() -> Self {
        Self { name: name(), shared: false }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        if self.shared {
            DONE_WITH.lock().unwrap().push(std::mem::take(&mut self.name));
            return;
        }
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        let worker = worker("public");
        // The test's own runtime may be at its end.
        let dropping = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(worker.ask("test", async move |session: &Session| session.batch(&drop).await))
        };
        let _ = std::thread::spawn(dropping).join();
    }
}

pub(crate) async fn open() -> (Arc<PostgresStore>, Schema) {
    let known = DONE_WITH.lock().unwrap().pop();
    let schema = Schema { name: known.unwrap_or_else(name), shared: true };
    let store = PostgresStore::connect(settings(&schema.name), Retention::default()).unwrap();
    store.0.ask("test", async |session: &Session| session.batch(EMPTY).await).await.unwrap();
    (Arc::new(store), schema)
}

fn told(name: &str) -> String {
    let told = std::env::var(name);
    told.expect(r#"start the test services: eval "$(tests/services start /tmp/qaqpa-services)""#)
}

fn settings(schema: &str) -> PostgresSettings {
    PostgresSettings {
        url: Secret::new(told("QAQPA_TEST_POSTGRES")),
        schema: schema.to_owned(),
        connections: 4,
        statement: Duration::from_secs(5),
        trust: None,
    }
}

fn at(url: String) -> PostgresSettings {
    PostgresSettings { url: Secret::new(url), ..settings("qaqpa") }
}

/// A way to the database that makes no schema.
fn worker(schema: &str) -> Worker {
    Worker::start_unmigrated(settings(schema), Retention::default()).unwrap()
}

fn trust() -> Trust {
    Trust::from_pem(&std::fs::read(told("QAQPA_TEST_POSTGRES_CA")).unwrap(), None).unwrap()
}

fn wish(name: &str) -> NewClaim {
    let (client, operation) = (ClientId::parse("fintech").unwrap(), OperationId::parse("pay").unwrap());
    NewClaim {
        key: IdempotencyKey::bind(&client, &operation, name).unwrap(),
        organisation: OrganisationId::parse("org").unwrap(),
        digest: [1; 32],
        reference: format!("ref-{name}"),
        lease: Duration::from_secs(30),
        keep: DAY,
        settles: true,
    }
}

/// Why a store with these settings does not work.
async fn refusal(settings: PostgresSettings) -> String {
    let secret = settings.url.clone();
    let told = match PostgresStore::connect(settings, Retention::default()) {
        Err(outage) => outage.to_string(),
        Ok(store) => store.probe().await.unwrap_err().to_string(),
    };
    let (_, place) = secret.expose().split_once("://").unwrap();
    for part in place.split([':', '@', '/', '?', ',']).filter(|part| part.len() > 4) {
        assert!(!told.contains(part), "{part} of the URL is told: {told}");
    }
    told
}

/// A server that takes connections and says nothing.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://somebody:something@{}/somewhere", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused_at_once() {
    let longest = "s".repeat(63);
    for schema in ["", "Qaqpa", "1a", "a b", "a;drop", "a\"b", "ä", "_a", &format!("{longest}s")] {
        assert!(PostgresStore::connect(settings(schema), Retention::default()).is_err(), "{schema}");
    }
    let none = PostgresSettings { connections: 0, ..settings("qaqpa") };
    assert!(PostgresStore::connect(none, Retention::default()).is_err());
    let hasty = PostgresSettings { statement: Duration::from_micros(999), ..settings("qaqpa") };
    assert!(PostgresStore::connect(hasty, Retention::default()).is_err());
    let one = PostgresSettings { connections: 1, schema: longest.clone(), ..settings("qaqpa") };
    let store = PostgresStore::connect(one, Retention::default()).unwrap();
    store.probe().await.unwrap();
    drop((store, Schema { name: longest, shared: false }));
}

#[tokio::test]
async fn no_refusal_tells_of_the_url() {
    let url = told("QAQPA_TEST_POSTGRES");
    assert!(refusal(at(url.replace("qaqpa:", "qaqpa:wrong"))).await.contains("28P01"));
    assert!(refusal(at(url.replace("/qaqpa", "/elsewhere"))).await.contains("refused with"));
    assert!(refusal(at("postgres://somebody:something@127.0.0.1:1/somewhere".to_owned())).await.contains("refused"));
    assert!(
        refusal(at("postgres://somebody:something@elsewhere.example/somewhere".to_owned())).await.contains("trust")
    );
    assert!(refusal(at("postgres://somebody:something@here:there/somewhere".to_owned())).await.contains("read"));
}

#[tokio::test]
async fn the_server_is_checked_by_authority_and_name() {
    let url = told("QAQPA_TEST_POSTGRES");
    let nobody = PostgresSettings { trust: Some(Trust::nobody().unwrap()), ..at(url.clone()) };
    assert!(refusal(nobody).await.contains("authority"));
    let (credentials, place) = url.split_once('@').unwrap();
    let elsewhere = format!("{credentials}@bank.example:{}&hostaddr=127.0.0.1", {
        let (_, port) = place.split_once(':').unwrap();
        format!("{port}?sslmode=disable")
    });
    let other = PostgresSettings { trust: Some(trust()), ..at(elsewhere) };
    assert!(refusal(other).await.contains("another name"));
    // What the URL says about TLS does not count.
    let schema = Schema::new();
    let right =
        PostgresSettings { trust: Some(trust()), schema: schema.name.clone(), ..at(format!("{url}?sslmode=disable")) };
    let worker = Worker::start(right, Retention::default()).unwrap();
    let spoken = worker.ask("test", async |session: &Session| {
        let row = session.row("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await?;
        column::<bool>(&row.unwrap(), "ssl")
    });
    assert_eq!(spoken.await, Ok(true));
}

#[tokio::test]
async fn four_gateways_that_start_at_once_make_one_schema() {
    let schema = Schema::new();
    let stores: Vec<_> =
        (0..4).map(|_| PostgresStore::connect(settings(&schema.name), Retention::default()).unwrap()).collect();
    let [a, b, c, d] = <[_; 4]>::try_from(stores).unwrap();
    for store in [&a, &b, &c, &d] {
        // On a busy machine this may take longer than a call waits.
        while store.probe().await.is_err() {}
    }
    let text = b"policies";
    let numbers = tokio::join!(
        a.enter([1; 32], text, NOW),
        b.enter([1; 32], text, NOW),
        c.enter([1; 32], text, NOW),
        d.enter([1; 32], text, NOW)
    );
    assert_eq!(numbers, (Ok(1), Ok(1), Ok(1), Ok(1)));
    let looker = worker(&schema.name);
    let made = looker
        .ask("test", async |session: &Session| Ok(session.rows("SELECT version FROM migrations", &[]).await?.len()));
    assert_eq!(made.await, Ok(3));
}

#[tokio::test]
async fn a_schema_with_another_past_or_a_later_version_is_refused() {
    let schema = Schema::new();
    let worker = worker(&schema.name);
    let name = schema.name.clone();
    let (one, two, other) =
        ("CREATE TABLE one (a BIGINT)", "CREATE TABLE two (a BIGINT)", "CREATE TABLE one (b BIGINT)");
    let brought = worker.ask("test", async move |session: &Session| {
        let mut told = Vec::new();
        for steps in [&[&[one][..], &[two]][..], &[&[one]], &[&[other], &[two]], &[&[one], &[two]]] {
            told.push(migrate_by(session, &name, steps).await.map_err(super::session::Fault::cause));
        }
        Ok(told)
    });
    let [first, earlier, other, same] = <[_; 4]>::try_from(brought.await.unwrap()).unwrap();
    assert_eq!((first, same), (Ok(()), Ok(())));
    assert!(earlier.unwrap_err().contains("use a later one"));
    assert!(other.unwrap_err().contains("another program"));
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_and_is_done_when_it_can_be() {
    let schema = Schema::new();
    let worker = worker(&schema.name);
    let name = schema.name.clone();
    let brought = worker.ask("test", async move |session: &Session| {
        let half = ["CREATE TABLE one (a BIGINT)", "CREATE TABLE two (a NONSENSE)"];
        let whole = ["CREATE TABLE one (a BIGINT)", "CREATE TABLE two (a BIGINT)"];
        let failed = migrate_by(session, &name, &[&half]).await.is_err();
        migrate_by(session, &name, &[&whole]).await?;
        Ok(failed)
    });
    assert_eq!(brought.await, Ok(true));
}

#[tokio::test]
async fn a_store_that_cannot_reach_its_database_says_so_at_once() {
    let nowhere = at("postgres://somebody:something@127.0.0.1:1/somewhere".to_owned());
    let store = PostgresStore::connect(nowhere, Retention::default()).unwrap();
    let since = Instant::now();
    assert!(Claims::claim(&store, wish("k"), NOW).await.is_err());
    assert!(Replays::claim(&store, "one", [1; 32], NOW + DAY, NOW).await.is_err());
    assert!(store.probe().await.is_err());
    assert!(since.elapsed() < Duration::from_secs(1), "took {:?}", since.elapsed());
}

#[tokio::test]
async fn no_more_jobs_wait_than_may() {
    let (_listener, url) = silent();
    let store = Arc::new(PostgresStore::connect(at(url), Retention::default()).unwrap());
    let since = Instant::now();
    let calls: Vec<_> = (0..4097)
        .map(|number: u16| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let key = [u8::try_from(number % 256).unwrap(); 32];
                Replays::claim(&*store, "one", key, NOW + DAY, NOW).await.unwrap_err().cause
            })
        })
        .collect();
    let mut full = 0;
    for call in calls {
        full += usize::from(call.await.unwrap().contains("as many jobs wait"));
    }
    assert_eq!(full, 1);
    assert!(since.elapsed() < Duration::from_secs(4), "took {:?}", since.elapsed());
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_waited_for_no_longer_than_a_second() {
    let (store, schema) = open().await;
    let taken = Claims::claim(&*store, wish("k"), NOW).await.unwrap();
    assert!(matches!(taken, ClaimAnswer::Taken(_)));
    let (holding, held) = tokio::sync::oneshot::channel();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let other = worker(&schema.name);
    let channels = Mutex::new(Some((holding, released)));
    let holder = tokio::spawn(async move {
        let hold = other.ask("test", async move |session: &Session| {
            session.begin();
            session.rows("SELECT 1 FROM claims FOR UPDATE", &[]).await?;
            let (holding, released) = channels.lock().unwrap().take().unwrap();
            holding.send(()).unwrap();
            let _ = released.await;
            Ok(())
        });
        hold.await
    });
    held.await.unwrap();
    let since = Instant::now();
    let outage = Claims::claim(&*store, wish("k"), NOW).await.unwrap_err();
    assert!(outage.cause.contains("held by somebody else"), "{outage}");
    assert!(since.elapsed() < Duration::from_secs(2), "took {:?}", since.elapsed());
    // Others are not in its way meanwhile.
    assert!(matches!(Claims::claim(&*store, wish("l"), NOW).await, Ok(ClaimAnswer::Taken(_))));
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    assert!(matches!(Claims::claim(&*store, wish("k"), NOW).await, Ok(ClaimAnswer::Earlier(_))));
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_replaced() {
    let (store, schema) = open().await;
    store.probe().await.unwrap();
    let other = worker(&schema.name);
    let ended = other.ask("test", async |session: &Session| {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'qaqpa' AND pid <> pg_backend_pid() AND query LIKE '%/* ended */%'";
        Ok(session.rows(end, &[]).await?.len())
    });
    let kept = store.0.ask("test", async |session: &Session| session.batch("SELECT 1 /* ended */").await);
    kept.await.unwrap();
    assert_eq!(ended.await, Ok(1));
    // The word of it may come after the next call has begun; then that one fails, and no other.
    let first = store.0.knock().await;
    assert!(first.is_ok() || store.probe().await.is_ok());
    assert!(matches!(Claims::claim(&*store, wish("k"), NOW).await, Ok(ClaimAnswer::Taken(_))));
}

#[tokio::test]
async fn what_is_over_is_swept_out_and_nothing_else() {
    let (store, _schema) = open().await;
    let retention = Retention { verifications: DAY, events: DAY, generations: DAY };
    let unsettled = NewClaim { settles: false, ..wish("k") };
    assert!(matches!(Claims::claim(&*store, unsettled, NOW).await, Ok(ClaimAnswer::Taken(_))));
    assert!(matches!(Claims::claim(&*store, wish("undecided"), NOW).await, Ok(ClaimAnswer::Taken(_))));
    assert_eq!(Replays::claim(&*store, "one", [1; 32], NOW + DAY, NOW).await, Ok(true));
    for (digest, days) in [(1, 0), (2, 1), (3, 1)] {
        store.enter([digest; 32], b"policies", NOW + DAY * days).await.unwrap();
    }
    let tick = Duration::from_millis(1);
    let item = Item { kind: ItemKind::Code, key: [1; 32], owner: None, keep_until: NOW + DAY, body: vec![1] };
    let revoked = Revoked { name: [1; 32], until: NOW + DAY };
    assert_eq!(store.change_items(&[Step::Add(item.clone())], &[revoked], NOW).await, Ok(true));
    let [(position, _)] = store.revoked_after(0, NOW).await.unwrap()[..] else { panic!("one is revoked") };
    for (now, claims, replays, generations) in
        [(NOW + DAY - tick, 2, 1, 3), (NOW + DAY, 1, 0, 3), (NOW + DAY * 2 - tick, 1, 0, 3), (NOW + DAY * 2, 1, 0, 1)]
    {
        let counted = store.0.ask("test", async move |session: &Session| {
            sweep::sweep(session, retention, now).await?;
            let mut counts = Vec::new();
            for table in ["claims", "replays", "items", "revocations", "generations"] {
                let row = session.row(&format!("SELECT count(*) AS rows FROM {table}"), &[]).await?.unwrap();
                counts.push(column::<i64>(&row, "rows")?);
            }
            Ok(counts)
        });
        assert_eq!(counted.await, Ok(vec![claims, replays, replays, replays, generations]));
    }
    // Whoever had read so far goes on from there: a position is never given twice.
    let again = Revoked { until: NOW + DAY * 9, ..revoked };
    assert_eq!(store.change_items(&[Step::Add(item)], &[again], NOW).await, Ok(true));
    assert_eq!(store.revoked_after(position, NOW).await.unwrap().len(), 1);
    assert_eq!(store.enter([3; 32], b"policies", NOW).await, Ok(3));
    assert_eq!(store.bundle(1).await, Ok(None));
    assert_eq!(store.waiting(&[]).await, Ok(0));
}
