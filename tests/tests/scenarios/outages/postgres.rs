//! PostgreSQL down, slow, silent, restarted, crashed: no money moves without it, and none moves twice afterwards.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment, payment_with};
use scenarios::actors::{Session, Wire};
use scenarios::world::{Answer, Ask, Folder, Kind, PATIENCE, Setup, World, real};
use spine::stage::Door;

/// The longest that a call may take when the store does not answer: the store's own bound, and a second for all else.
const BOUND: Duration = Duration::from_secs(6);

/// The same when the store knows already that its database is away.
const KNOWN_BOUND: Duration = Duration::from_secs(1);

/// Longer than any claim is leased for, and shorter than a token lives.
const LEASE: Duration = Duration::from_secs(60);

/// A world behind a wire, whose database may take a second for a statement.
async fn behind(wire: &Wire) -> World {
    World::with(Kind::Real, Setup { postgres: Some(wire.address()), statement: Some("1s"), ..Setup::default() }).await
}

async fn readiness(world: &World) -> Answer {
    world.send(Ask::get("/readyz").at(Door::Admin)).await
}

/// Checks that a payment is refused for now, within `bound`, and that nothing was booked.
async fn refuses_to_pay(app: &Session<'_>, key: &str, bound: Duration) {
    let before = bank::balance(app.world, 1).await;
    let begun = Instant::now();
    let answer = app.pay(key, &payment("10.00")).await;
    answer.refused(503, "dependency_down");
    assert!(answer.header("retry-after").is_some());
    assert!(begun.elapsed() < bound, "a refusal took {:?}", begun.elapsed());
    assert_eq!(bank::balance(app.world, 1).await, before, "money moved that nobody remembers");
}

/// Checks that what needs no store goes on.
async fn reads_go_on(app: &Session<'_>) {
    let begun = Instant::now();
    app.get("/v1/accounts").await.succeeded(200);
    assert!(begun.elapsed() < KNOWN_BOUND, "a read took {:?}", begun.elapsed());
    app.world.send(Ask::get("/livez").at(Door::Admin)).await.succeeded(200);
}

/// Breaks the way to the database by `breaking`, and checks all that must hold meanwhile and after it is mended.
async fn no_money_moves_while(breaking: impl Fn(&Wire)) {
    let wire = Wire::before(real::postgres());
    let world = behind(&wire).await;
    let app = Session::of(&world, "demo-app").await;
    let (paid, order) = (fresh("order"), fresh("order"));
    let first = app.pay(&paid, &payment("10.00")).await;
    first.succeeded(201);
    readiness(&world).await.succeeded(200);
    let before = bank::balance(&world, 1).await;

    breaking(&wire);
    refuses_to_pay(&app, &order, BOUND).await;
    reads_go_on(&app).await;
    readiness(&world).await.refused(503, "dependency_down");
    // It is known by now: nobody waits for it any more.
    refuses_to_pay(&app, &order, KNOWN_BOUND).await;
    // Nor is what was answered before told from anywhere else, or done again.
    refuses_to_pay(&app, &paid, KNOWN_BOUND).await;
    // For a second, that is: the world's time stands still. `revoked` holds what comes then.
    reads_go_on(&app).await;

    wire.mend();
    readiness(&world).await.succeeded(200);
    let mut answer = app.pay(&order, &payment("10.00")).await;
    if answer.status == 409 {
        // The claim was made and the word of it lost: nobody is at it, which is known when its lease is over.
        answer.refused(409, "request_in_progress");
        world.advance(LEASE);
        answer = app.pay(&order, &payment("10.00")).await;
    }
    answer.succeeded(201);
    for (key, told) in [(&order, None), (&paid, Some(&first))] {
        let again = app.pay(key, &payment("10.00")).await;
        again.succeeded(201);
        assert_eq!(again.header("x-idempotency-replayed"), Some("true"));
        assert!(told.is_none_or(|told| told.body == again.body));
    }
    assert_eq!(bank::balance(&world, 1).await, before - 1_000);
}

#[tokio::test]
async fn without_its_database_no_money_moves_and_reads_go_on() {
    no_money_moves_while(Wire::cut).await;
}

#[tokio::test]
async fn before_a_silent_database_nobody_waits_long_and_no_money_moves() {
    no_money_moves_while(Wire::half_open).await;
}

#[tokio::test]
async fn before_a_database_that_is_too_slow_nobody_waits_long_and_no_money_moves() {
    no_money_moves_while(|wire| wire.delay(Duration::from_secs(3600))).await;
}

#[tokio::test]
async fn a_slow_database_makes_calls_slow_and_nothing_else() {
    let wire = Wire::before(real::postgres());
    let world = behind(&wire).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    wire.delay(Duration::from_millis(50));
    let order = fresh("order");
    app.pay(&order, &payment("10.00")).await.succeeded(201);
    app.pay(&order, &payment("10.00")).await.succeeded(201);
    readiness(&world).await.succeeded(200);
    assert_eq!(bank::balance(&world, 1).await, before - 1_000);
}

#[tokio::test]
async fn a_gateway_starts_without_its_database_and_works_once_it_is_there() {
    let wire = Wire::before(real::postgres());
    wire.cut();
    let world = behind(&wire).await;
    let app = Session::of(&world, "demo-app").await;
    readiness(&world).await.refused(503, "dependency_down");
    refuses_to_pay(&app, &fresh("order"), KNOWN_BOUND).await;
    // What was revoked was never read: nobody can say of any token that it still counts.
    app.get("/v1/accounts").await.refused(503, "dependency_down");
    world.send(Ask::get("/livez").at(Door::Admin)).await.succeeded(200);
    wire.mend();
    readiness(&world).await.succeeded(200);
    app.get("/v1/accounts").await.succeeded(200);
    app.pay(&fresh("order"), &payment("10.00")).await.succeeded(201);
}

#[tokio::test]
async fn connections_that_were_lost_are_made_anew() {
    let wire = Wire::before(real::postgres());
    let world = behind(&wire).await;
    let app = Session::of(&world, "demo-app").await;
    for _ in 0..3 {
        let opened = wire.opened();
        app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
        wire.cut();
        wire.mend();
        readiness(&world).await.succeeded(200);
        app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
        assert!(wire.opened() > opened);
    }
}

#[tokio::test]
async fn a_payment_that_loses_its_database_is_told_and_never_made_twice() {
    let wire = Wire::before(real::postgres());
    let world = behind(&wire).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let (order, late) = (fresh("order"), payment_with("10.00", "SBX:delay=1000"));
    // The bank books, and thinks for a second before it says so: in between the database is lost.
    let lose = async {
        while bank::balance(&world, 1).await == before {}
        wire.cut();
    };
    let (answer, ()) = tokio::join!(app.pay(&order, &late), async {
        tokio::time::timeout(PATIENCE, lose).await.unwrap();
    });
    answer.succeeded(201);
    app.pay(&order, &late).await.refused(503, "dependency_down");

    wire.mend();
    readiness(&world).await.succeeded(200);
    // Its holder has given no word: for as long as the lease lasts somebody may be at it.
    app.pay(&order, &late).await.refused(409, "request_in_progress");
    world.advance(LEASE);
    let again = app.pay(&order, &late).await;
    again.succeeded(201);
    assert_eq!(again.at("/paymentId"), answer.at("/paymentId"));
    assert_eq!(bank::balance(&world, 1).await, before - 1_000);
}

/// A PostgreSQL of its own, for what others must not be there for.
struct Server {
    address: SocketAddr,
    folder: Folder,
}

impl Server {
    fn start() -> Self {
        let folder = Folder::new();
        let password = told().split(['@', ':']).nth(2).unwrap().to_owned();
        let mut start = services("start", folder.path());
        start.arg("--postgres").env("QAQPA_TEST_PASSWORD", password);
        let output = start.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let exports = String::from_utf8(output.stdout).unwrap();
        let place = exports.lines().find_map(|line| line.split_once('@')?.1.split_once('/')).unwrap().0;
        Self { address: place.parse().unwrap(), folder }
    }

    /// Ends every process of it at once, as a machine does that loses its power, and starts it again.
    fn crash(&self) {
        assert!(services("crash", self.folder.path()).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = services("stop", self.folder.path()).status();
    }
}

fn told() -> String {
    std::env::var("QAQPA_TEST_POSTGRES").unwrap()
}

fn services(what: &str, folder: &Path) -> Command {
    let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "services"].iter().collect();
    let mut command = Command::new(script);
    command.arg(what).arg(folder);
    command
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash_of_the_database() {
    let server = Server::start();
    let setup = Setup { postgres: Some(server.address), ..Setup::default() };
    let world = World::with(Kind::Real, setup).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let mut paid = Vec::new();
    for number in 1..=3 {
        let order = fresh("order");
        paid.push((app.pay(&order, &payment("10.00")).await, order));
        server.crash();
        readiness(&world).await.succeeded(200);
        for (first, order) in &paid {
            let again = app.pay(order, &payment("10.00")).await;
            again.succeeded(201);
            assert_eq!(again.body, first.body);
        }
        assert_eq!(bank::balance(&world, 1).await, before - 1_000 * number);
    }
}
