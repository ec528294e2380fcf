//! The store alone, before servers that are not well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::http::trust::Trust;
use adapters::store::redis::{BreakerState, Budget, Credentials, RedisConfig, RedisStore, Servers};
use policies::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use scenarios::actors::Wire;
use scenarios::world::PATIENCE;

use super::server::{PATIENT, Server, claim, claim_new, gives_only_outages, recovers, settings, store};

/// A hard limit that a slow answer is surely beyond, and a quick one surely within.
const SHORT: Budget = Budget { soft: Duration::from_millis(50), hard: Duration::from_millis(100), ..Budget::PRODUCT };
const SLOW: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_store_opens_without_its_server_and_finds_it_later() {
    let mut server = Server::planned(&[]);
    let store = store(server.address, PATIENT);
    assert_eq!(store.readings().connections, 0);
    server.again();
    recovers(&store).await;
    assert!(store.readings().connections > 0);
}

#[tokio::test]
async fn a_server_that_is_down_is_an_outage_until_it_is_back() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = store(server.address, Budget { hard: Duration::from_secs(1), ..SHORT });
    assert!(claim(&store, [1; 32]).await.unwrap());
    server.stop();
    let outage = gives_only_outages(&store).await;
    assert!(outage.after.is_some(), "{outage}");
    server.again();
    recovers(&store).await;
    // What it has written down it still knows.
    assert!(!claim(&store, [1; 32]).await.unwrap());
}

#[tokio::test]
async fn a_slow_server_is_given_up_in_time() {
    let server = Server::start(&[]);
    let wire = Wire::before(server.address);
    let store = store(wire.address(), SHORT);
    recovers(&store).await;
    wire.delay(SLOW);
    gives_only_outages(&store).await;
    let readings = store.readings();
    assert!(readings.slow >= 5 && readings.failures >= 5, "{readings:?}");
    wire.mend();
    recovers(&store).await;
}

#[tokio::test]
async fn the_limit_of_the_product_holds() {
    let server = Server::start(&[]);
    let wire = Wire::before(server.address);
    let store = store(wire.address(), Budget::PRODUCT);
    wire.delay(SLOW);
    for _ in 0..20 {
        let begun = Instant::now();
        assert!(claim_new(&store).await.is_err());
        // The limit is 20 ms: what a busy machine adds is no second.
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_silent_connection_is_given_up_and_another_dialled() {
    let server = Server::start(&[]);
    let wire = Wire::before(server.address);
    let store = store(wire.address(), SHORT);
    recovers(&store).await;
    let dials = store.readings().dials;
    wire.half_open();
    gives_only_outages(&store).await;
    wire.mend();
    // The old connections stay silent for ever.
    recovers(&store).await;
    assert!(store.readings().dials > dials);
}

#[tokio::test]
async fn a_wire_that_is_cut_is_an_outage_until_it_is_mended() {
    let server = Server::start(&[]);
    let wire = Wire::before(server.address);
    let store = store(wire.address(), SHORT);
    recovers(&store).await;
    wire.cut();
    gives_only_outages(&store).await;
    wire.mend();
    recovers(&store).await;
}

#[tokio::test]
async fn a_replica_takes_no_claim() {
    let server = Server::start(&[]);
    let store = store(server.address, PATIENT);
    assert!(claim(&store, [1; 32]).await.unwrap());
    server.tell("REPLICAOF 127.0.0.1 1");
    let outage = gives_only_outages(&store).await;
    assert!(outage.cause.contains("READONLY"), "{outage}");
    server.tell("REPLICAOF NO ONE");
    recovers(&store).await;
    assert!(!claim(&store, [1; 32]).await.unwrap());
}

#[tokio::test]
async fn a_full_memory_forgets_nothing_and_takes_nothing() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let store = store(server.address, PATIENT);
    assert!(claim(&store, [1; 32]).await.unwrap());
    server.tell("CONFIG SET maxmemory 1mb");
    assert!(!claim(&store, [1; 32]).await.unwrap());
    let outage = claim(&store, [2; 32]).await.unwrap_err();
    assert!(outage.cause.contains("OOM"), "{outage}");
    gives_only_outages(&store).await;
    server.tell("CONFIG SET maxmemory 0");
    recovers(&store).await;
    assert!(!claim(&store, [1; 32]).await.unwrap());
}

#[tokio::test]
async fn a_server_that_makes_room_by_forgetting_is_not_used() {
    let server = Server::start(&["--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"]);
    let store = store(server.address, Budget { hard: Duration::from_secs(1), ..SHORT });
    let outage = claim_new(&store).await.unwrap_err();
    assert!(outage.cause.contains("maxmemory-policy noeviction"), "{outage}");
    server.tell("CONFIG SET maxmemory-policy noeviction");
    recovers(&store).await;
}

#[tokio::test]
async fn scripts_that_are_forgotten_again_and_again_stop_nothing() {
    let server = Server::start(&[]);
    let store = store(server.address, PATIENT);
    for _ in 0..10 {
        assert!(claim_new(&store).await.unwrap());
        server.tell("SCRIPT FLUSH");
    }
    assert_eq!(store.readings().failures, 0);
}

#[tokio::test]
async fn one_of_fifty_claims_by_two_gateways_is_fresh() {
    let server = Server::start(&[]);
    let settings = settings(Servers::single(&[format!("redis://{}", server.address)]).unwrap(), PATIENT);
    let stores = [settings.clone(), settings].map(|settings| Arc::new(RedisStore::open(settings).unwrap()));
    for key in 0..10_u8 {
        let calls = (0..50_usize).map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            tokio::spawn(async move { claim(&store, [key; 32]).await.unwrap() })
        });
        let mut fresh = 0;
        for call in calls.collect::<Vec<_>>() {
            fresh += usize::from(call.await.unwrap());
        }
        assert_eq!(fresh, 1);
    }
}

#[tokio::test]
async fn connections_that_break_in_a_storm_of_claims_let_no_key_pass_twice() {
    let server = Server::start(&[]);
    let wire = Wire::before(server.address);
    let store = Arc::new(store(wire.address(), Budget { failures_max: 1_000_000, ..PATIENT }));
    recovers(&store).await;
    for round in 0..10_u8 {
        let calls = (0..64_u8).map(|number| {
            let store = Arc::clone(&store);
            // Every key by four.
            let key = [round.wrapping_mul(16).wrapping_add(number / 4); 32];
            (key, tokio::spawn(async move { claim(&store, key).await }))
        });
        let calls: Vec<_> = calls.collect();
        tokio::task::yield_now().await;
        wire.cut();
        wire.mend();
        let mut passed = std::collections::HashMap::new();
        for (key, call) in calls {
            *passed.entry(key).or_insert(0) += usize::from(call.await.unwrap().is_ok_and(|fresh| fresh));
        }
        assert!(passed.values().all(|count| *count <= 1), "{passed:?}");
        recovers(&store).await;
    }
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_told() {
    let server =
        Server::start(&["--requirepass", "hunter2-right", "--user", "gateway", "on", ">hunter2-user", "~*", "+@all"]);
    let with = |user: Option<&str>, password: &str| {
        let servers = Servers::single(&[format!("redis://{}", server.address)]).unwrap();
        let password = Secret::new(password.to_owned());
        let credentials = Some(Credentials { user: user.map(str::to_owned), password });
        let budget = Budget { hard: Duration::from_secs(1), ..SHORT };
        RedisStore::open(RedisConfig { credentials, ..settings(servers, budget) }).unwrap()
    };
    for (user, password) in
        [(None, "hunter2-wrong"), (Some("gateway"), "hunter2-right"), (Some("other"), "hunter2-user")]
    {
        let store = with(user, password);
        let outage = claim_new(&store).await.unwrap_err();
        assert!(!format!("{outage} {outage:?} {store:?}").contains("hunter2"), "{outage}");
        assert!(outage.cause.contains("user and password"), "{outage}");
    }
    let nobody = store(server.address, Budget { hard: Duration::from_secs(1), ..SHORT });
    assert!(claim_new(&nobody).await.unwrap_err().cause.contains("NOAUTH"));
    recovers(&with(None, "hunter2-right")).await;
    recovers(&with(Some("gateway"), "hunter2-user")).await;
}

/// An authority, and a server that it vouches for under these names.
fn vouched(names: &[&str]) -> (Server, Vec<u8>) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let bundle = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let own = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let mut server = Server::planned(&["--tls-port", "PORT", "--tls-auth-clients", "no"]);
    let files = [("own.pem", own.pem(), "--tls-cert-file"), ("own.key", key.serialize_pem(), "--tls-key-file")];
    for (name, text, option) in files {
        std::fs::write(server.file(name), text).unwrap();
        server.option(option, &server.file(name));
    }
    std::fs::write(server.file("ca.pem"), &bundle).unwrap();
    server.option("--tls-ca-cert-file", &server.file("ca.pem"));
    server.again();
    (server, bundle.into_bytes())
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_its_name_only() {
    let (server, bundle) = vouched(&["127.0.0.1"]);
    let (elsewhere, of_elsewhere) = vouched(&["cache.example"]);
    let open = |at: &Server, trust: Trust, scheme: &str| {
        let servers = Servers::single(&[format!("{scheme}://{}", at.address)]).unwrap();
        let budget = Budget { hard: Duration::from_secs(1), ..SHORT };
        RedisStore::open(RedisConfig { trust, ..settings(servers, budget) }).unwrap()
    };
    let trusting = |bundle: &[u8]| Trust::from_pem(bundle, None).unwrap();
    for (store, why) in [
        (open(&server, Trust::nobody().unwrap(), "rediss"), "UnknownIssuer"),
        (open(&server, trusting(&of_elsewhere), "rediss"), "certificate"),
        (open(&elsewhere, trusting(&of_elsewhere), "rediss"), "not valid for name"),
    ] {
        let outage = claim_new(&store).await.unwrap_err();
        assert!(outage.cause.contains(why), "{outage}");
    }
    assert!(claim_new(&open(&server, trusting(&bundle), "redis")).await.is_err());
    recovers(&open(&server, trusting(&bundle), "rediss")).await;
}

#[tokio::test]
async fn more_calls_than_may_be_under_way_are_refused_at_once() {
    let server = Server::start(&[]);
    let wire = Wire::before(server.address);
    let store = Arc::new(store(wire.address(), Budget { failures_max: 1_000_000, ..PATIENT }));
    recovers(&store).await;
    wire.delay(PATIENCE);
    let calls = (0..adapters::store::redis::CALLS_MAX).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { claim_new(&store).await })
    });
    let calls: Vec<_> = calls.collect();
    super::server::until("all are under way", async || {
        store.readings().calls - store.readings().failures > adapters::store::redis::CALLS_MAX as u64
    })
    .await;
    let outage = claim_new(&store).await.unwrap_err();
    assert!(outage.cause.contains("as many calls are under way"), "{outage}");
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
    assert_eq!(store.readings().breaker, BreakerState::Closed);
    wire.mend();
    recovers(&store).await;
}
