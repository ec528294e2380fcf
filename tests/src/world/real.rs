//! The world `real`: what must last in PostgreSQL, what may be forgotten in Redis, both started by `tests/run`.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use gateway::assemble::Assembled;
use policies::time::Timestamp;

use super::setup::{Kind, Setup};
use super::socket::PATIENCE;

/// Where the PostgreSQL of the tests is told.
const POSTGRES: &str = "QAQPA_TEST_POSTGRES";
/// Where the Redis of the tests is told.
const REDIS: &str = "QAQPA_TEST_REDIS";

/// Returns the address of the PostgreSQL of the tests, to put something before it.
#[must_use]
pub fn postgres() -> SocketAddr {
    address(&told(POSTGRES))
}

/// Returns the address of the Redis of the tests, to put something before it.
#[must_use]
pub fn redis() -> SocketAddr {
    address(&told(REDIS))
}

/// Tells whether worlds of a kind stand on real stores: those of `Real` always, all if `QAQPA_WORLD` says so.
pub(super) fn is_real(kind: Kind) -> bool {
    kind == Kind::Real || (kind == Kind::Http1 && std::env::var("QAQPA_WORLD").is_ok_and(|world| world == "real"))
}

/// Gives the lines of `qaqpa.yaml` that put a world on real stores, its own schema and its own keys in them.
pub(super) fn stores(state: &Path, setup: &Setup) -> String {
    let (postgres, redis) = (told(POSTGRES), told(REDIS));
    let secret = state.join("keys").join("postgres-url");
    let url = match setup.postgres {
        Some(other) => postgres.replace(&address(&postgres).to_string(), &other.to_string()),
        None => postgres,
    };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(&secret).unwrap();
    std::io::Write::write_all(&mut file, url.as_bytes()).unwrap();
    let redis = setup.redis.unwrap_or_else(|| address(&redis));
    // The folder has a random name: another world's rows are never seen, and a world that is started again finds its own.
    let name = state.file_name().unwrap().to_string_lossy().to_ascii_lowercase();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("w{}", name.get(name.len().saturating_sub(30)..).unwrap());
    format!(
        "stores:\n  postgres: {{url: \"secret:file:{}\", schema: {name}, connections: 4, statement: {}}}\n  \
         redis: {{nodes: [\"redis://{redis}\"], prefix: {name}, soft: 500ms, hard: {}}}\n",
        secret.display(),
        setup.statement.unwrap_or("5s"),
        setup.redis_hard.unwrap_or("1s"),
    )
}

fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set. Start the test services: eval \"$(tests/services start /tmp/qaqpa-services)\"")
    })
}

// `scheme://user:password@host:port/name`, or shorter.
fn address(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").unwrap();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split('/').next().unwrap().parse().unwrap()
}

/// Waits until the database answers: a gateway starts without it, and refuses until it is there.
pub(super) async fn answers(assembled: &Assembled, now: Timestamp) {
    let answered = async {
        while assembled.house.revocations.catch_up(now).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("the database does not answer");
}
