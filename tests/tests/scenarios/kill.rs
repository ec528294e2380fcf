//! The power goes out: a gateway that is killed at random points under load, again and again, pays everything once.
//!
//! The real program with a state folder, the bank in this process, so that it goes on. At the end the views of all clients,
//! the store, the audit trail and the bank's ledger have to agree.

mod customer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use adapters::clock::Clock;
use customer::{Customer, Order, Place};
use gateway::cli::SandboxArguments;
use gateway::cli::sandbox::prepare;
use policies::time::Timestamp;
use rusqlite::{Connection, OpenFlags};
use scenarios::actors::App;
use scenarios::actors::program::Program;
use scenarios::world::{Kind, PATIENCE, Rest, Setup, World, configuration};
use spine::stage::Door;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::dice::{Dice, seed};

/// How many clients pay at once.
const CUSTOMERS: usize = 6;

/// How often the gateway is killed.
const KILLS: u64 = 10;
/// How often where there is time.
const KILLS_FULL: u64 = 200;

/// The longest life of a gateway, in milliseconds since it accepts: long enough for some payments of each client.
const LIFE_MS_MAX: u64 = 700;

/// The last gateway lives on so long: beyond the leases of what was under way when the one before was killed.
const LAST_LIFE: Duration = Duration::from_secs(8);

/// What is different from the sandbox: nobody is held back, and a lease ends soon enough to be seen ending.
fn setup(apps: &[App]) -> Setup {
    let storm = "qaqpa: v1\nplans:\n  storm:\n    limits:\n      - {per: client, rate: 10000/s, burst: 10000}\n";
    let mut setup = Setup::configured("limits:\n  perPeer: {rate: 10000/s, burst: 10000}\n")
        .policy("storm.yaml", storm)
        .replacing("policies/national/limits.yaml", "rate: 60/s, burst: 100", "rate: 10000/s, burst: 10000")
        .replacing("policies/national/apis/payments.yaml", "timeout: 5s", "timeout: 1s")
        .replacing("policies/national/upstreams.yaml", "response: 3s", "response: 700ms");
    for (app, file) in apps.iter().zip(["k0.yaml", "k1.yaml", "k2.yaml", "k3.yaml", "k4.yaml", "k5.yaml"]) {
        let policy = app.policy("demo-fintech", &["payments:write", "payments:read"], "");
        setup = setup.policy(file, policy.replace("plan: standard", "plan: storm"));
    }
    setup
}

#[tokio::test]
async fn what_is_killed_at_any_point_pays_everything_once() {
    let kills = if std::env::var_os("QAQPA_FULL").is_some_and(|full| full == "1") { KILLS_FULL } else { KILLS };
    let seed = seed();
    let apps: Vec<App> = (0..CUSTOMERS).map(|number| App::newcomer(&format!("kill-{number}"))).collect();
    let setup = setup(&apps);
    let world = World::with(Kind::Memory, setup.clone()).await;
    let place = Place {
        address: world.address(Door::Api),
        external: world.external(Door::Api).to_owned(),
        ca: world.told("/ca_cert").into(),
    };
    let doors = [Door::Api, Door::MtlsApi, Door::Admin].map(|door| world.address(door));
    let started = world.now();
    let rest = world.stop().await;
    let begun = Instant::now();
    let orders = storm(&rest, doors, place, apps, &setup, Dice::new(seed), kills).await;
    let stormed = begun.elapsed();
    let since = Clock::system().now().since(started) + Duration::from_secs(1);
    let world = World::again(rest, setup).await.map_err(|(error, _)| error).unwrap();
    world.advance(since);
    let settled = quiet(&world, orders).await;
    let payments = compare(&world, &settled).await;
    tell(kills, payments, stormed, &settled);
}

#[expect(clippy::print_stderr, reason = "whoever runs it wants to know how much was tried")]
fn tell(kills: u64, payments: usize, stormed: Duration, settled: &[(App, Vec<Order>)]) {
    let orders = settled.iter().flat_map(|(_, orders)| orders);
    let heard: u32 = orders.map(|order| order.heard).sum();
    eprintln!("{kills} kills, {payments} payments, {heard} answers, {:.1} s", stormed.as_secs_f64());
}

/// Lets clients pay while the gateway is killed over and over; gives back what each of them knows.
async fn storm(
    rest: &Rest,
    [listen, mtls, admin]: [SocketAddr; 3],
    place: Place,
    apps: Vec<App>,
    setup: &Setup,
    mut dice: Dice,
    kills: u64,
) -> Vec<(App, Vec<Order>)> {
    let arguments = SandboxArguments { listen, mtls, admin, state: rest.state().to_owned(), tour: false, json: false };
    let Ok(prepared) = prepare(&arguments, rest.state()).await else { panic!("no bank") };
    let config = std::fs::read_to_string(prepared.config()).unwrap();
    std::fs::write(prepared.config(), configuration(&config, setup)).unwrap();
    let (stop, stopped) = watch::channel(false);
    let customers: Vec<_> = apps
        .into_iter()
        .map(|app| tokio::spawn(Customer::new(app, place.clone(), dice.below(u64::MAX)).live(stopped.clone())))
        .collect();
    for kill in 0..kills {
        let program = running(prepared.config());
        // Some die before they accept anything.
        if dice.below(8) > 0 {
            accepts(place.address).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.below(LIFE_MS_MAX))).await;
        program.signal("KILL");
        let ended = program.ended().await;
        assert_eq!(ended.code, None, "kill {kill}: {}", ended.err);
    }
    let program = running(prepared.config());
    accepts(place.address).await;
    tokio::time::sleep(LAST_LIFE).await;
    stop.send(true).unwrap();
    let mut known = Vec::new();
    for customer in customers {
        known.push(customer.await.unwrap());
    }
    program.signal("TERM");
    let ended = program.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    prepared.stop().await;
    known
}

fn running(config: &Path) -> Program {
    Program::start(&["run", "--config", config.to_str().unwrap()])
}

async fn accepts(address: SocketAddr) {
    let accepting = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, accepting).await.unwrap();
}

/// Lets the resolver come to its end, and every client have its answer.
async fn quiet(world: &World, mut known: Vec<(App, Vec<Order>)>) -> Vec<(App, Vec<Order>)> {
    // A lease, a window of the resolver, a repetition, and the same once more, with room to spare.
    for _ in 0..40 {
        // Over the longest pause between two questions.
        world.advance(Duration::from_secs(95));
        while undecided(world, world.now()) > 0 {
            world.round().await.unwrap();
        }
        let mut open = false;
        let mut next = Vec::new();
        for (app, mut orders) in known {
            let session = app.session(world, None).await;
            for order in orders.iter_mut().filter(|order| order.answer.is_none()) {
                let answer = session.pay(&order.key, &order.body).await;
                order.hear(answer.status, answer.json());
                open |= order.answer.is_none();
            }
            next.push((session.app, orders));
        }
        known = next;
        if !open && undecided(world, Timestamp::MAX) == 0 {
            return known;
        }
    }
    panic!("it never becomes quiet: {} undecided", undecided(world, Timestamp::MAX));
}

fn open(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// Counts the claims whose backend is to be asked at `now` or before.
fn undecided(world: &World, now: Timestamp) -> i64 {
    let sql = "SELECT count(*) FROM claims WHERE ask_at <= ?1";
    open(&world.file("qaqpa.sqlite")).query_row(sql, [now.millis()], |row| row.get(0)).unwrap()
}

/// Reads two columns of a table.
fn pairs(path: &Path, sql: &str) -> Vec<(String, String)> {
    let connection = open(path);
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Compares what the clients know, the store, the audit trail and the ledger; tells how many payments were booked.
async fn compare(world: &World, known: &[(App, Vec<Order>)]) -> usize {
    let ledger = pairs(
        &world.file("bank/ledger.sqlite"),
        "SELECT remittance, id FROM payments WHERE remittance LIKE '% kill-%'",
    );
    let mut booked: BTreeMap<String, String> = BTreeMap::new();
    for (text, id) in &ledger {
        let key = text.rsplit(' ').next().unwrap().to_owned();
        let before = booked.insert(key, id.clone());
        assert_eq!(before, None, "{text} is booked twice: {id}");
    }
    let claims: BTreeMap<String, (String, String)> = pairs(
        &world.file("qaqpa.sqlite"),
        "SELECT key, reference || ' ' || outcome FROM claims WHERE client LIKE 'kill-%'",
    )
    .into_iter()
    .map(|(key, rest)| {
        let (reference, outcome) = rest.split_once(' ').unwrap();
        (key, (reference.to_owned(), outcome.to_owned()))
    })
    .collect();
    let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sql = "SELECT subject, kind FROM events WHERE client LIKE 'kill-%' ORDER BY client, position";
    for (subject, kind) in pairs(&world.file("qaqpa.sqlite"), sql) {
        events.entry(subject).or_default().push(kind);
    }
    let intents = intents(world).await;
    let mut told = BTreeSet::new();
    for order in known.iter().flat_map(|(_, orders)| orders) {
        let key = &order.key;
        let answer = order.answer.as_ref().unwrap();
        assert_eq!(order.ids.len(), 1, "{key} was told under several names: {:?}", order.ids);
        let id = order.ids.first().unwrap();
        assert_eq!(booked.get(key), Some(id), "{key} was told as paid: {answer}");
        assert_eq!(claims.get(key), Some(&(id.clone(), "answered".to_owned())), "{key}");
        assert!(intents.contains(id), "{key}: nothing was recorded before {id} was sent");
        // Who was told that nobody knows was told of it in the end, and in this order.
        let events = events.get(id).map(Vec::as_slice).unwrap_or_default();
        if order.unknown {
            let [first, .., last] = events else { panic!("{key}: {events:?}") };
            assert!(first.ends_with("payment.unknown.v1") && last.ends_with("payment.settled.v1"), "{key}: {events:?}");
        }
        told.insert(key.clone());
    }
    let unknown: Vec<_> = booked.keys().filter(|key| !told.contains(*key)).collect();
    assert!(unknown.is_empty(), "booked, and no client knows: {unknown:?}");
    assert_eq!(claims.len(), told.len(), "the store knows of orders that nobody made");
    assert!(booked.len() >= CUSTOMERS, "next to nothing was tried: {}", booked.len());
    booked.len()
}

/// How many records are read of the trail: more than a run writes.
const RECORDS_MAX: usize = 1_000_000;

/// Verifies the trail, and returns the references of everything that was recorded before it was sent.
async fn intents(world: &World) -> BTreeSet<String> {
    let house = &world.assembled().house;
    house.audit.flush().await.unwrap();
    if let Err(broken) = adapters::audit::verify(&world.file("audit")) {
        panic!("the trail does not verify: {} {} {}", broken.file, broken.record, broken.cause);
    }
    let records = house.audit.tail(RECORDS_MAX).unwrap();
    let intents = records.iter().filter(|record| record["kind"] == "intent");
    intents.filter_map(|record| record["reference"].as_str().map(str::to_owned)).collect()
}
