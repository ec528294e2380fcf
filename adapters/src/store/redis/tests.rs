//! The promises of the port, over the servers that `tests/services` starts; and what a server may never make of a claim.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::http::trust::Trust;
use crate::store::conformance::replays as promised;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const KEEP: Duration = Duration::from_secs(325);

/// So long that no busy machine makes an answer late.
pub(crate) const PATIENT: Budget =
    Budget { soft: Duration::from_secs(4), hard: Duration::from_secs(5), ..Budget::PRODUCT };

crate::store::conformance::replay_promises! { crate::store::redis::tests::open }

/// Opens a store with keys of its own on the single server of the tests.
pub(crate) async fn open() -> (Arc<RedisStore>, ()) {
    (Arc::new(store(single(), PATIENT)), ())
}

fn told(name: &str) -> String {
    let missing = "is not set: start the test services: eval \"$(tests/services start /tmp/qaqpa-services)\"";
    std::env::var(name).unwrap_or_else(|_| unreachable!("{name} {missing}"))
}

/// The single server of the tests.
pub(crate) fn single() -> Servers {
    Servers::single(&[told("QAQPA_TEST_REDIS")]).unwrap()
}

fn store(servers: Servers, budget: Budget) -> RedisStore {
    RedisStore::open(config(servers, budget)).unwrap()
}

/// Names these servers, with keys that nobody else has.
pub(crate) fn config(servers: Servers, budget: Budget) -> RedisConfig {
    let prefix = Prefix::parse(&format!("t{}", u64::from_le_bytes(entropy::random()))).unwrap();
    let trust = Trust::nobody().unwrap();
    RedisConfig { servers, trust, credentials: None, sentinel_credentials: None, prefix, budget }
}

/// Tells of servers that only the large run has; there they must be.
pub(crate) fn of_full_run(name: &str) -> Option<Vec<String>> {
    let full = std::env::var("QAQPA_FULL").is_ok_and(|full| full == "1");
    let urls = if full { Some(told(name)) } else { std::env::var(name).ok() };
    urls.map(|urls| urls.split(',').map(str::to_owned).collect())
}

async fn keeps_its_promises(servers: Servers) {
    promised::a_replay_is_found_until_its_time_is_over(&Arc::new(store(servers.clone(), PATIENT))).await;
    promised::of_fifty_parallel_replays_one_is_fresh(&Arc::new(store(servers.clone(), PATIENT))).await;
    // Keys of every slot range, so that each node of a Cluster is asked.
    let store = store(servers, PATIENT);
    for number in 0..64 {
        assert!(store.claim("one", [number; 32], NOW + KEEP, NOW).await.unwrap());
        assert!(!store.claim("one", [number; 32], NOW + KEEP, NOW).await.unwrap());
    }
}

#[tokio::test]
async fn a_cluster_keeps_the_promises() {
    if let Some(urls) = of_full_run("QAQPA_TEST_REDIS_CLUSTER") {
        keeps_its_promises(Servers::cluster(&urls).unwrap()).await;
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_says_which_node_and_why() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let store = store(Servers::cluster(&[format!("redis://{nobody}")]).unwrap(), PATIENT_ENOUGH_TO_FAIL);
    let outage = store.claim("one", [1; 32], NOW + KEEP, NOW).await.unwrap_err();
    assert!(outage.cause.contains(&format!("{nobody}: Connection refused")), "{outage}");
}

#[tokio::test]
async fn the_master_of_sentinels_keeps_the_promises() {
    if let Some(urls) = of_full_run("QAQPA_TEST_REDIS_SENTINEL") {
        keeps_its_promises(Servers::sentinel("qaqpa", &urls).unwrap()).await;
        let unknown = store(Servers::sentinel("other", &urls).unwrap(), PATIENT_ENOUGH_TO_FAIL);
        let outage = unknown.claim("one", [1; 32], NOW + KEEP, NOW).await.unwrap_err();
        assert!(outage.cause.contains("knows no master"), "{outage}");
    }
}

/// Long enough to learn why there is no connection, and no longer.
const PATIENT_ENOUGH_TO_FAIL: Budget = Budget { hard: Duration::from_secs(1), soft: Duration::from_secs(1), ..PATIENT };

/// A connection of one's own.
pub(crate) async fn raw() -> MultiplexedConnection {
    redis::Client::open(told("QAQPA_TEST_REDIS")).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn a_key_is_swept_a_minute_after_it_is_over() {
    let store = store(single(), PATIENT);
    assert!(store.claim("one", [1; 32], NOW + KEEP, NOW).await.unwrap());
    let left: u64 = cmd("PTTL").arg(store.replay(&[1; 32])).query_async(&mut raw().await).await.unwrap();
    let left = Duration::from_millis(left);
    assert!(left <= KEEP + SWEEP_AFTER && left > KEEP + SWEEP_AFTER - Duration::from_secs(30), "{left:?}");
    // A clock that went back does not make the key last for ever, and one that is over is swept as well.
    assert!(store.claim("one", [2; 32], NOW - KEEP, NOW).await.unwrap());
    let left: u64 = cmd("PTTL").arg(store.replay(&[2; 32])).query_async(&mut raw().await).await.unwrap();
    assert!(left > 0 && Duration::from_millis(left) <= SWEEP_AFTER);
}

#[tokio::test]
async fn what_is_no_memory_of_ours_is_an_outage() {
    let store = store(single(), PATIENT);
    let mut raw = raw().await;
    for (number, foreign) in ["", "1", "yes", "later x", " 1 x"].into_iter().enumerate() {
        let key = [u8::try_from(number).unwrap(); 32];
        let () =
            cmd("SET").arg(store.replay(&key)).arg(foreign).arg("PX").arg(60_000).query_async(&mut raw).await.unwrap();
        let outage = store.claim("one", key, NOW + KEEP, NOW).await.unwrap_err();
        assert_eq!(
            (outage.port.as_str(), outage.cause.as_str()),
            ("replays", "the server answers FOREIGN"),
            "{foreign}"
        );
    }
    let () = cmd("LPUSH").arg(store.replay(&[99; 32])).arg("x").query_async(&mut raw).await.unwrap();
    let () = cmd("PEXPIRE").arg(store.replay(&[99; 32])).arg(60_000).query_async(&mut raw).await.unwrap();
    assert!(store.claim("one", [99; 32], NOW + KEEP, NOW).await.is_err());
}

#[tokio::test]
async fn times_are_compared_exactly_or_not_at_all() {
    let store = store(single(), PATIENT);
    let tick = Duration::from_millis(1);
    assert!(store.claim("one", [1; 32], LAST, NOW).await.unwrap());
    assert!(!store.claim("one", [1; 32], LAST, LAST - tick).await.unwrap());
    assert!(store.claim("one", [1; 32], LAST, LAST).await.unwrap());
    assert!(store.claim("one", [2; 32], LAST + tick, NOW).await.is_err());
    assert!(store.claim("one", [2; 32], LAST, LAST + tick).await.is_err());
    assert!(store.claim("one", [2; 32], Timestamp::MAX, NOW).await.is_err());
}

#[tokio::test]
async fn a_call_that_is_sent_twice_knows_itself_again() {
    let store = store(single(), PATIENT);
    let call = |name: &str| Call {
        script: &CLAIM,
        keys: vec![store.replay(&[1; 32])],
        arguments: vec![format!("{} {name}", (NOW + KEEP).millis()), NOW.millis().to_string(), "60000".to_owned()],
    };
    for (name, answer) in [("first", 1), ("first", 1), ("second", 0), ("first", 1)] {
        assert_eq!(store.link.call(call(name)).await.unwrap(), Value::Int(answer), "{name}");
    }
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_script_is_told_it_again() {
    let store = store(single(), PATIENT);
    assert!(store.claim("one", [1; 32], NOW + KEEP, NOW).await.unwrap());
    let () = cmd("SCRIPT").arg("FLUSH").query_async(&mut raw().await).await.unwrap();
    assert!(!store.claim("one", [1; 32], NOW + KEEP, NOW).await.unwrap());
    let () = cmd("SCRIPT").arg("FLUSH").query_async(&mut raw().await).await.unwrap();
    assert!(store.claim("one", [2; 32], NOW + KEEP, NOW).await.unwrap());
    assert_eq!(store.readings().failures, 0);
}

#[tokio::test]
async fn a_store_is_used_from_runtimes_that_come_and_go() {
    let store = Arc::new(store(single(), PATIENT));
    let threads = (0..4_u8).map(|number| {
        let store = Arc::clone(&store);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(store.claim("one", [number; 32], NOW + KEEP, NOW)).unwrap()
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        assert!(thread.join().unwrap());
    }
    assert!(!store.claim("one", [0; 32], NOW + KEEP, NOW).await.unwrap());
}

#[tokio::test]
async fn where_nobody_listens_the_breaker_opens_and_calls_fail_at_once() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let open = Duration::from_secs(60);
    let budget = Budget { hard: Duration::from_millis(50), soft: Duration::from_millis(50), open, ..Budget::PRODUCT };
    let store = store(at(nobody), budget);
    let mut claims = 0;
    // What a busy machine makes too late to be sent does not count, or five would be enough.
    while store.readings().breaker == BreakerState::Closed {
        claims += 1;
        assert!(claims <= 100 && store.claim("one", [1; 32], NOW + KEEP, NOW).await.is_err());
    }
    assert!(claims >= budget.failures_max);
    let outage = store.claim("one", [1; 32], NOW + KEEP, NOW).await.unwrap_err();
    assert!(outage.cause.contains("nothing is sent") && outage.after.is_some_and(|after| after <= open), "{outage}");
    let readings = store.readings();
    let counted = (readings.calls, readings.failures, readings.refused, readings.connections, readings.breaker);
    assert_eq!(counted, (u64::from(claims) + 1, u64::from(claims), 1, 0, BreakerState::Open));
}

/// A single server there.
pub(crate) fn at(address: SocketAddr) -> Servers {
    Servers::single(&[format!("redis://{address}")]).unwrap()
}

/// Stands where a server should be: is well until a script comes, then answers `says`, or hangs up if that is empty.
pub(crate) async fn stand_in(says: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let scripts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&scripts);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, says, Arc::clone(&count)));
        }
    });
    (address, scripts)
}

async fn answer(mut stream: TcpStream, says: &'static [u8], scripts: Arc<AtomicUsize>) {
    let mut piece = vec![0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        let asked = String::from_utf8_lossy(piece.get(..count).unwrap()).into_owned();
        let says = if asked.contains("INFO") {
            b"$14\r\nmaxmemory:0\r\nx\r\n"
        } else if asked.contains("EVAL") {
            scripts.fetch_add(1, Ordering::SeqCst);
            says
        } else {
            b"+OK\r\n"
        };
        if says.is_empty() || stream.write_all(says).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn no_answer_but_our_own_lets_a_proof_pass() {
    let sayings: [&'static [u8]; 14] = [
        b"+OK\r\n",
        b":2\r\n",
        b":-1\r\n",
        b"$1\r\n1\r\n",
        b"$-1\r\n",
        b"*1\r\n:1\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n",
        b"-NOSCRIPT No matching script.\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"",
    ];
    for says in sayings {
        let (address, _) = stand_in(says).await;
        let budget = Budget { hard: Duration::from_secs(1), soft: Duration::from_secs(1), ..Budget::PRODUCT };
        let store = store(at(address), budget);
        let answer = store.claim("one", [1; 32], NOW + KEEP, NOW).await;
        assert!(answer.is_err(), "{}: {answer:?}", String::from_utf8_lossy(says));
    }
    let (address, _) = stand_in(b":1\r\n").await;
    assert!(store(at(address), PATIENT).claim("one", [1; 32], NOW + KEEP, NOW).await.unwrap());
}

#[tokio::test]
async fn a_call_is_sent_twice_over_broken_connections_and_no_more() {
    let (address, scripts) = stand_in(b"").await;
    let store = store(at(address), PATIENT);
    assert!(store.claim("one", [1; 32], NOW + KEEP, NOW).await.is_err());
    assert!((1..=3).contains(&scripts.load(Ordering::SeqCst)));
}
