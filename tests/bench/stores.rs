//! How many claims a second the durable stores take: `cargo run --release -p scenarios --example stores`.
//!
//! PostgreSQL is measured if `QAQPA_TEST_POSTGRES` tells where one is (`tests/services start DIR`).
#![expect(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use adapters::entropy;
use adapters::store::port::{ClaimAnswer, Claims, Durable, Finish, NewClaim};
use adapters::store::postgres::{PostgresSettings, PostgresStore};
use adapters::store::retention::Retention;
use adapters::store::sqlite::SqliteStore;
use policies::id::{ClientId, IdempotencyKey, OperationId, OrganisationId};
use policies::once::StoredReply;
use policies::secret::Secret;
use policies::time::Timestamp;

/// How many ask at once: requests under way on a busy gateway.
const CALLERS: usize = 64;

/// How long each round lasts, and how many there are.
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn wish() -> NewClaim {
    let (client, operation) = (ClientId::parse("fintech").unwrap(), OperationId::parse("pay").unwrap());
    NewClaim {
        key: IdempotencyKey::bind(&client, &operation, &entropy::uuid_v4()).unwrap(),
        organisation: OrganisationId::parse("organisation").unwrap(),
        digest: entropy::random(),
        reference: entropy::uuid_v4(),
        lease: Duration::from_secs(30),
        keep: Duration::from_secs(86_400),
        settles: true,
    }
}

/// Claims, and does all else that a payment asks of the store if `whole`.
async fn pay(store: &impl Claims, whole: bool) {
    let ClaimAnswer::Taken(ticket) = store.claim(wish(), NOW).await.unwrap() else { unreachable!("the key is new") };
    if whole {
        assert!(store.clear(&ticket, &[entropy::uuid_v4()], NOW).await.unwrap());
        let headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        let reply = StoredReply { status: 201, headers, body: vec![b'x'; 512] };
        store.finish(&ticket, Finish::Answered(reply), NOW).await.unwrap();
    }
}

async fn measure(name: &str, store: Arc<impl Claims + 'static>) {
    for (what, whole) in [("claims", false), ("claim + clear + finish", true)] {
        let mut rates = Vec::new();
        let mut waits = Vec::new();
        for _ in 0..ROUNDS {
            let done = Arc::new(AtomicU64::new(0));
            let begun = Instant::now();
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| {
                    let (store, done) = (Arc::clone(&store), Arc::clone(&done));
                    tokio::spawn(async move {
                        let mut waits = Vec::new();
                        while begun.elapsed() < ROUND {
                            let asked = Instant::now();
                            pay(&*store, whole).await;
                            waits.push(asked.elapsed());
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        waits
                    })
                })
                .collect();
            for caller in callers {
                waits.extend(caller.await.unwrap());
            }
            rates.push(done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64());
        }
        waits.sort_unstable();
        let at = |part: usize| waits.get((waits.len() - 1) * part / 100).copied().unwrap_or_default();
        let rates: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        println!(
            "{name}, {CALLERS} callers: {} {what} a second; half within {:.1?}, 99 % within {:.1?}",
            rates.join(", "),
            at(50),
            at(99)
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = std::env::current_dir().unwrap().join(format!("bench-{}", entropy::uuid_v4()));
    std::fs::create_dir(&folder).unwrap();
    let sqlite = SqliteStore::open(&folder.join("state.db")).unwrap();
    measure("SQLite", Arc::new(sqlite)).await;
    std::fs::remove_dir_all(&folder).unwrap();
    let Ok(url) = std::env::var("QAQPA_TEST_POSTGRES") else { return };
    for connections in [8, 32] {
        let settings = PostgresSettings {
            url: Secret::new(url.clone()),
            schema: "bench".to_owned(),
            connections,
            statement: Duration::from_secs(5),
            trust: None,
        };
        let store = PostgresStore::connect(settings, Retention::default()).unwrap();
        store.probe().await.unwrap();
        measure(&format!("PostgreSQL, {connections} connections"), Arc::new(store)).await;
    }
}
