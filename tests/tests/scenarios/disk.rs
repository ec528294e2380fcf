//! Disks that are full, or slow: what must be written before it happens does not happen, and everything else goes on.
//!
//! The real program, on a file system of its own that is as small as we like.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use scenarios::actors::program::{Program, run};
use scenarios::actors::{SlowDisk, SmallDisk, bank};
use scenarios::world::{Folder, holding};
use serde_json::Value;

/// How long the disk takes that hangs: longer than anybody may wait for it.
const HANGING: Duration = Duration::from_secs(12);

/// How many times a thing is asked for before it counts as never coming.
const TRIES_MAX: usize = 60;

/// A sandbox's folder, with room beside it.
struct Place(Folder);

impl Place {
    fn new() -> Self {
        let folder = Folder::new();
        for name in ["state/audit", "elsewhere"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self(folder)
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn elsewhere(&self) -> PathBuf {
        self.0.path().join("elsewhere")
    }

    fn arguments(&self) -> Vec<String> {
        let state = self.state().display().to_string();
        let all = [
            "sandbox",
            "--state",
            &state,
            "--listen",
            "127.0.0.1:0",
            "--mtls",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ];
        all.map(str::to_owned).to_vec()
    }

    /// Tells how many payments the bank has booked.
    fn booked(&self) -> u64 {
        let ledger = self.state().join("bank/ledger.sqlite");
        let ledger = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        ledger.query_row("SELECT count(*) FROM payments", [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
    }
}

/// Calls the sandbox whose `sandbox.json` is in `state`.
async fn call(state: &Path, arguments: &[&str]) -> Value {
    let mut all = vec!["call", "--json", "--state", state.to_str().unwrap()];
    all.extend(arguments);
    let ended = run(&all).await;
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {} {}", ended.out, ended.err))
}

/// Has the organisations hold the consents of citizens themselves: who asks a citizen first writes, also for a read.
async fn ask_no_citizen(state: &Path, program: &mut Program) {
    let parties = state.join("policies/sandbox.yaml");
    let text = std::fs::read_to_string(&parties).unwrap();
    std::fs::write(&parties, holding(&text)).unwrap();
    program.signal("HUP");
    program.complains("policy generation 2 decides").await;
}

async fn pay(state: &Path, key: &str) -> Value {
    call(state, &["POST", "/v1/domestic-payments", "--data", &bank::payment("1.00").to_string(), "--key", key]).await
}

/// Expects a payment to be refused because of us, and says which one it was.
async fn held_back(state: &Path, key: &str) {
    let answer = pay(state, key).await;
    assert_eq!(answer["status"], 503, "{answer}");
    assert_eq!(answer["body"]["type"], "urn:qaqpa:problem:dependency_down", "{answer}");
}

/// Reads a counter from the administrators' listener.
async fn counter(state: &Path, name: &str) -> u64 {
    let tells: Value = serde_json::from_slice(&std::fs::read(state.join("sandbox.json")).unwrap()).unwrap();
    let address = tells["admin"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = ::http::Request::get("/metrics").header("host", address);
    let request = request.body(http_body_util::Full::new(bytes::Bytes::new())).unwrap();
    let page = scenarios::world::socket::http1(stream, request).await.unwrap();
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).parse::<f64>().unwrap() as u64
}

/// Reads accounts until so many records are lost; each of them is answered all the same.
async fn until_lost(state: &Path, records: u64) {
    for _ in 0..TRIES_MAX {
        assert_eq!(call(state, &["GET", "/v1/accounts"]).await["status"], 200);
        if counter(state, "qaqpa_audit_lost_total").await >= records {
            return;
        }
    }
    panic!("no record is lost");
}

/// Has the trail of a state folder verified.
async fn whole(state: &Path) {
    run(&["audit", "verify", "--state", state.to_str().unwrap()]).await.with(0);
}

async fn stop(program: Program) {
    program.signal("TERM");
    program.ended().await.with(0);
}

#[tokio::test]
async fn without_room_for_the_trail_nothing_happens_that_must_be_in_it_and_the_rest_goes_on() {
    let place = Place::new();
    let (state, trail) = (place.state(), place.state().join("audit"));
    let mut disk = SmallDisk::start(&trail, 2 * 1024 * 1024, &place.elsewhere(), &[], &place.arguments());
    disk.program.says("Ctrl-C stops").await;
    ask_no_citizen(&state, &mut disk.program).await;
    assert_eq!(pay(&state, "before").await["status"], 201);
    let booked = place.booked();
    disk.fill();
    // The last page of the trail may still have room for some records.
    until_lost(&state, 12).await;
    for key in ["full-1", "full-2", "full-3"] {
        held_back(&state, key).await;
    }
    assert_eq!(place.booked(), booked, "the bank has booked what was refused");
    let lost = counter(&state, "qaqpa_audit_lost_total").await;
    assert_eq!(call(&state, &["GET", "/v1/accounts"]).await["status"], 200);
    assert!(counter(&state, "qaqpa_audit_lost_total").await > lost);
    whole(&disk.seen(&state)).await;

    disk.free();
    // The same key pays now, once.
    for key in ["full-1", "full-1", "after"] {
        assert_eq!(pay(&state, key).await["status"], 201, "{key}");
    }
    assert_eq!(place.booked(), booked + 2);
    let lost = counter(&state, "qaqpa_audit_lost_total").await;
    assert_eq!(call(&state, &["GET", "/v1/accounts"]).await["status"], 200);
    assert_eq!(counter(&state, "qaqpa_audit_lost_total").await, lost);
    whole(&disk.seen(&state)).await;
    stop(disk.program).await;
}

#[tokio::test]
async fn without_room_for_the_store_nothing_is_sent_and_the_rest_goes_on() {
    let place = Place::new();
    let outside = place.state();
    // The first start makes what the second finds on its small disk.
    let mut first = Program::start(&place.arguments());
    first.says("Ctrl-C stops").await;
    stop(first).await;
    let staying = ["audit", "bank"];
    let mut disk = SmallDisk::start(&outside, 24 * 1024 * 1024, &place.elsewhere(), &staying, &place.arguments());
    disk.program.says("Ctrl-C stops").await;
    let state = disk.seen(&outside);
    ask_no_citizen(&state, &mut disk.program).await;
    assert_eq!(pay(&state, "before").await["status"], 201);
    let booked = place.booked();
    disk.fill();
    let mut paid = 0;
    let mut refused = None;
    for number in 0..TRIES_MAX {
        // What SQLite has taken of the disk before is room for some more.
        let key = format!("full-{number}");
        let answer = pay(&state, &key).await;
        if answer["status"] == 503 {
            refused = Some(key);
            break;
        }
        assert_eq!(answer["status"], 201, "{answer}");
        paid += 1;
    }
    let refused = refused.unwrap();
    for key in ["again-1", "again-2"] {
        held_back(&state, key).await;
    }
    assert_eq!(place.booked(), booked + paid, "the bank has booked what was refused");
    assert_eq!(call(&state, &["GET", "/v1/accounts"]).await["status"], 200);

    disk.free();
    for key in [refused.as_str(), refused.as_str(), "again-1"] {
        assert_eq!(pay(&state, key).await["status"], 201, "{key}");
    }
    assert_eq!(place.booked(), booked + paid + 2);
    stop(disk.program).await;
    whole(&outside).await;
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_only_what_must_be_on_it_and_that_not_for_ever() {
    let place = Place::new();
    let state = place.state();
    let mut disk = SlowDisk::start("/state/audit/", &place.elsewhere(), &place.arguments());
    disk.program.says("Ctrl-C stops").await;
    ask_no_citizen(&state, &mut disk.program).await;
    assert_eq!(pay(&state, "before").await["status"], 201);
    let booked = place.booked();
    // Slow is late, and no more than that.
    disk.takes(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(pay(&state, "slow").await["status"], 201);
    assert!(began.elapsed() >= Duration::from_millis(300), "the disk was not waited for");
    disk.takes(HANGING);
    let (began, waiting) = (Instant::now(), pay(&state, "hanging"));
    let reading = async {
        assert_eq!(call(&state, &["GET", "/v1/accounts"]).await["status"], 200);
        Instant::now()
    };
    let (answer, read) = tokio::join!(waiting, reading);
    let refused = Instant::now();
    assert_eq!(
        (&answer["status"], &answer["body"]["type"]),
        (&Value::from(503), &Value::from("urn:qaqpa:problem:dependency_down"))
    );
    assert!(read < refused, "what need not be on the disk waited for it");
    assert!(refused - began < HANGING, "nobody was told in time: {:?}", refused - began);
    assert_eq!(place.booked(), booked + 1);
    disk.takes(Duration::ZERO);
    // Until the disk has answered what it was last asked, it holds up the next as well.
    for _ in 0..TRIES_MAX {
        if pay(&state, "hanging").await["status"] == 201 {
            break;
        }
    }
    assert_eq!(place.booked(), booked + 2);
    whole(&state).await;
    stop(disk.program).await;
}
