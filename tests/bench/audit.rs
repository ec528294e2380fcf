//! How many records a second the audit trail takes, and what each costs:
//! `taskset -c 0 cargo run --release -p scenarios --example audit -- FOLDER`.
//!
//! The folder should be on the disk that is meant, not in memory. All threads share the one core.
#![expect(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::audit::{Audit, Options, Trust, inspect};
use adapters::clock::Clock;
use adapters::entropy;
use adapters::keys::SigningKey;
use policies::audit::{Ending, Facts, Record, RecordKind, Step};
use policies::id::{ClientId, InteractionId, OperationId, OrganisationId, PlanId};
use policies::jose::{Algorithm, hmac_sha256};
use policies::limit::{Dimension, Limit, Rate};
use policies::national::money::Money;
use policies::rulebook::{
    CertificateName, Client, ClientAuthentication, OauthTerms, Organisation, Plan, Role, ScopeSet, TokenBinding,
};
use policies::time::Timestamp;

/// How long each round lasts.
const ROUND: Duration = Duration::from_secs(4);

/// How many wait for their records at once, as on a busy gateway of payments.
const CALLERS: [usize; 4] = [1, 64, 256, 1024];

/// The stages of the way.
const STAGES: [&str; 9] = ["route", "authenticate", "meter", "permit", "validate", "once", "assess", "deed", "redact"];

fn client() -> Arc<Client> {
    let rate = |count| Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(1) };
    let limit = |id: &str, per: &[Dimension]| Limit::bucket(id, per, rate(50), NonZeroU32::new(100).unwrap());
    let organisation = Organisation {
        id: OrganisationId::parse("demo-fintech").unwrap(),
        title: "Demo".to_owned(),
        roles: BTreeSet::from([Role::Pisp, Role::Aisp]),
        licence_ends: Timestamp::MAX,
        suspended: false,
        networks: Vec::new(),
    };
    let limits = vec![
        limit("standard:client:50/s", &[Dimension::Client]),
        limit("standard:organisation:200/s", &[Dimension::Organisation]),
    ];
    Arc::new(Client {
        id: ClientId::parse("demo-app").unwrap(),
        organisation: Arc::new(organisation),
        authentication: ClientAuthentication::TlsClientAuth(CertificateName::SanDns("demo.example".to_owned())),
        binding: TokenBinding::Either,
        scopes: ScopeSet::of(["payments"]),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms::default(),
    })
}

fn record(client: &Arc<Client>, operation: &OperationId, interaction: &InteractionId) -> Record {
    let now = Clock::system().now();
    let step = |(at, stage): (u32, &&'static str)| Step { stage, decision: "pass", micros: at * 40 };
    Record {
        kind: RecordKind::Outcome,
        interaction: interaction.clone(),
        received: now,
        at: now,
        operation: Some(operation.clone()),
        steps: (0..).zip(&STAGES).map(step).collect(),
        facts: Facts {
            client: Some(Arc::clone(client)),
            amount: Money::parse("1500.00", "KZT").ok(),
            ..Facts::default()
        },
        reference: None,
        status: Some(200),
        ending: Ending::Answered,
        generation: 1,
    }
}

/// CPU seconds of this process until now, of all its threads.
fn spent() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn told(what: &str, count: u64, began: Instant, before: f64) {
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), spent() - before);
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let count = count as f64;
    println!("{what:<44} {:>9.0} records/s  {:>6.2} µs of CPU each", count / seconds, cpu * 1e6 / count);
}

async fn waited_for(audit: &Audit, callers: usize, make: impl Fn() -> Record + Clone + Send + Sync + 'static) {
    let (began, before) = (Instant::now(), spent());
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (audit, make) = (audit.clone(), make.clone());
            tokio::spawn(async move {
                let mut count = 0;
                while began.elapsed() < ROUND {
                    audit.record_durably(make()).await.unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    told(&format!("durable before the answer, {callers} callers"), count, began, before);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/bench-audit".to_owned());
    let folder = Path::new(&folder).join(entropy::token_128bit());
    let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
    let hash = |limit: &[u8]| hmac_sha256(b"a key of thirty-two bytes, or so", limit);
    let options = Options::plain(Clock::system()).signed_by(key).hashing(Arc::new(hash));
    let audit = Audit::open(&folder, options).unwrap();
    let (client, operation) = (client(), OperationId::parse("createDomesticPayment").unwrap());
    let interaction = InteractionId::parse(&entropy::uuid_v4()).unwrap();
    let make = move || record(&client, &operation, &interaction);
    for callers in CALLERS {
        waited_for(&audit, callers, make.clone()).await;
    }
    let (began, before, mut count) = (Instant::now(), spent(), 0);
    while began.elapsed() < ROUND {
        // Whatever the queue takes; when it is full, the thread gets the core.
        match audit.record(make()) {
            Ok(()) => count += 1,
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
    audit.flush().await.unwrap();
    told("nobody waits", count, began, before);
    drop(audit);
    let (began, before) = (Instant::now(), spent());
    let report = inspect(&folder, &Trust::default());
    told("verified", report.records, began, before);
    println!("{} records, {} heads, faults: {:?}", report.records, report.heads, report.faults);
    std::fs::remove_dir_all(folder).unwrap();
}
