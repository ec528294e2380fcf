//! Masters that die and replicas that take over; only in the full run, since an election takes seconds.

use std::process::Command;

use adapters::store::redis::{RedisStore, Servers};
use scenarios::world::PATIENCE;

use super::server::{PATIENT, Server, claim_new, recovers, settings, until};

fn is_full_run() -> bool {
    std::env::var("QAQPA_FULL").is_ok_and(|full| full == "1")
}

/// A Cluster of three masters with a replica each.
fn cluster() -> Vec<Server> {
    let options = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--repl-diskless-sync-delay",
        "0",
        "--cluster-port",
    ];
    let servers: Vec<_> = (0..6)
        .map(|_| {
            let mut server = Server::planned(&options[..6]);
            // Nodes talk among themselves on a second port; its usual place may be beyond the last port there is.
            let among = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            server.option(options[6], &among.to_string());
            server.again();
            server
        })
        .collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]);
    create.args(servers.iter().map(|server| server.address.to_string()));
    let created = create.args(["--cluster-replicas", "1", "--cluster-yes"]).output().unwrap();
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
    servers
}

#[tokio::test]
async fn a_cluster_that_loses_a_master_goes_on() {
    if !is_full_run() {
        return;
    }
    let mut servers = cluster();
    let urls: Vec<_> = servers.iter().map(|server| format!("redis://{}", server.address)).collect();
    let store = RedisStore::open(settings(Servers::cluster(&urls).unwrap(), PATIENT)).unwrap();
    until("every slot takes claims", async || {
        for _ in 0..32 {
            if claim_new(&store).await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
    // A replica that has never heard its master out does not stand for election. The first three became masters.
    for replica in &servers[3..] {
        let synced = async || replica.says("INFO replication").contains("master_link_status:up");
        until("every replica has what its master has", synced).await;
    }
    servers[0].stop();
    let mut refused = 0;
    until("every slot takes claims again", async || {
        for _ in 0..64 {
            match claim_new(&store).await {
                Ok(fresh) => assert!(fresh),
                Err(_) => {
                    refused += 1;
                    return false;
                }
            }
        }
        true
    })
    .await;
    assert!(refused > 0, "nobody noticed");
    recovers(&store).await;
}

#[tokio::test]
async fn the_replica_that_sentinels_choose_is_followed() {
    if !is_full_run() {
        return;
    }
    let mut master = Server::start(&[]);
    let of = format!("127.0.0.1 {}", master.address.port());
    let replica = Server::start(&["--replicaof", &of]);
    let sentinel = Server::sentinel(master.address);
    let told = async || sentinel.says("SENTINEL REPLICAS qaqpa").contains(&replica.address.port().to_string());
    until("the Sentinel knows the replica", told).await;
    let servers = Servers::sentinel("qaqpa", &[format!("redis://{}", sentinel.address)]).unwrap();
    let store = RedisStore::open(settings(servers, PATIENT)).unwrap();
    recovers(&store).await;
    master.stop();
    assert!(claim_new(&store).await.is_err());
    // An election takes its time: the replica refuses to write until it has won.
    let begun = std::time::Instant::now();
    recovers(&store).await;
    assert!(begun.elapsed() < PATIENCE);
    assert!(replica.ask("ROLE").starts_with('*'));
}

#[tokio::test]
async fn a_master_that_sentinels_have_replaced_is_left_although_it_answers() {
    if !is_full_run() {
        return;
    }
    let (one, other) = (Server::start(&[]), Server::start(&[]));
    let sentinel = Server::sentinel(one.address);
    let servers = Servers::sentinel("qaqpa", &[format!("redis://{}", sentinel.address)]).unwrap();
    let store = RedisStore::open(settings(servers, PATIENT)).unwrap();
    recovers(&store).await;
    sentinel.tell("SENTINEL REMOVE qaqpa");
    sentinel.tell(&format!("SENTINEL MONITOR qaqpa 127.0.0.1 {} 1", other.address.port()));
    until("the other one gets the claims", async || {
        let _ = claim_new(&store).await;
        other.ask("DBSIZE") != ":0"
    })
    .await;
    let kept = one.ask("DBSIZE");
    until("both connections lead there", async || {
        let before = one.ask("DBSIZE");
        for _ in 0..4 {
            let _ = claim_new(&store).await;
        }
        one.ask("DBSIZE") == before
    })
    .await;
    assert_ne!(kept, ":0");
}
