//! The chain of the trail: whole when it is left alone, broken at the right place when it is not, and continued.

use std::path::PathBuf;

use adapters::audit::{Audit, HEAD_EVERY, Options, Trust, inspect, verify};
use adapters::clock::Clock;
use gateway::unready::AssemblyError;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::payment;
use scenarios::actors::{Session, bank};
use scenarios::world::{Ask, Kind, PATIENCE, Rest, Setup, World};
use serde_json::Value;

scenarios! {
    the_trail_of_a_busy_day_is_whole,
    the_trail_goes_on_after_a_restart,
    the_trail_is_signed_each_minute,
}

async fn busy(world: &World) {
    let app = Session::of(world, "demo-app").await;
    app.get("/v1/accounts").await.succeeded(200);
    app.pay(&fresh("order"), &payment("1.00")).await.succeeded(201);
    world.send(Ask::get("/v1/accounts")).await.refused(401, "token_missing");
    world.send(Ask::get("/v1/discovery/status")).await.succeeded(200);
}

async fn the_trail_of_a_busy_day_is_whole(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let accounts: Vec<String> =
        (1..=4).map(|number| format!("/v1/accounts/{}/balances", bank::account(number))).collect();
    tokio::join!(
        busy(&world),
        busy(&world),
        async {
            for account in &accounts {
                app.get(account).await.succeeded(200);
            }
        },
        async {
            for account in accounts.iter().rev() {
                app.get(account).await.succeeded(200);
            }
        },
    );
    let records = world.audit().await;
    assert!(records.len() >= 18, "{}", records.len());
    assert_eq!(verify(&world.file("audit")).unwrap(), records.len() as u64);
    numbered(&records);
}

fn numbered(records: &[Value]) {
    let numbers = records.iter().map(|record| record["sequence"].as_u64().unwrap());
    assert!(numbers.eq(1..=records.len() as u64), "{records:?}");
}

async fn the_trail_goes_on_after_a_restart(kind: Kind) {
    let world = World::start(kind).await;
    busy(&world).await;
    let first = world.audit().await;
    let world = World::again(world.stop().await, Setup::default()).await.map_err(|(error, _)| error).unwrap();
    busy(&world).await;
    let second = world.audit().await;
    assert!(second.len() >= first.len() + 5, "{} {}", first.len(), second.len());
    assert_eq!(second.get(..first.len()), Some(first.as_slice()));
    assert_eq!(verify(&world.file("audit")).unwrap(), second.len() as u64);
    numbered(&second);
}

async fn the_trail_is_signed_each_minute(kind: Kind) {
    let world = World::start(kind).await;
    let heads = async |world: &World| {
        world.audit().await;
        inspect(&world.file("audit"), &Trust::default())
    };
    busy(&world).await;
    // The first record has one at once; until a minute is over, that is all.
    assert_eq!(heads(&world).await.heads, 1);
    world.advance(HEAD_EVERY);
    busy(&world).await;
    let signed = async {
        loop {
            let report = heads(&world).await;
            if report.heads > 1 {
                return report;
            }
        }
    };
    let report = tokio::time::timeout(PATIENCE, signed).await.unwrap();
    assert_eq!(report.faults, vec![]);
    // The next record notes the head, so that it cannot be taken away unseen.
    busy(&world).await;
    let records = world.audit().await;
    assert_eq!(records.iter().filter(|record| record["kind"] == "head").count() as u64, heads(&world).await.heads);
    std::fs::remove_file(world.file("audit/heads.jsonl")).unwrap();
    let broken = verify(&world.file("audit")).unwrap_err();
    assert!(broken.cause.contains("it is gone, and keys.json is there"), "{broken}");
    std::fs::remove_file(world.file("audit/keys.json")).unwrap();
    let broken = verify(&world.file("audit")).unwrap_err();
    assert!(broken.cause.contains("notes head 1, which heads.jsonl does not have"), "{broken}");
}

// What follows is about the files alone; how the requests came in changes nothing. What else a forger may try is tried on
// the trail itself, in `adapters`.

async fn left() -> Rest {
    let world = World::start(Kind::Memory).await;
    busy(&world).await;
    world.stop().await
}

fn segment_of(rest: &Rest) -> PathBuf {
    rest.state().join("audit/audit-000001.seg")
}

#[tokio::test]
async fn what_was_done_to_the_trail_is_found_with_its_place() {
    let rest = left().await;
    let folder = rest.state().join("audit");
    let whole = std::fs::read(segment_of(&rest)).unwrap();
    let records = verify(&folder).unwrap();
    assert!(records >= 6, "{records}");
    let place = whole.windows(12).position(|text| text == b"\"status\":200").unwrap();
    let found = |bytes: &[u8]| {
        std::fs::write(segment_of(&rest), bytes).unwrap();
        verify(&folder).unwrap_err()
    };
    let mut changed = whole.clone();
    changed[place + 9] = b'5';
    let broken = found(&changed);
    assert_eq!((broken.file.as_str(), broken.record), ("audit-000001.seg", 1), "{broken}");
    // The gateway signed a head when it stopped, so that the end cannot be cut off either.
    let broken = found(whole.get(..whole.len() - 1).unwrap());
    assert_eq!((broken.record, broken.cause.as_str()), (records, "it is not whole"));
    std::fs::write(segment_of(&rest), &whole).unwrap();
    assert_eq!(verify(&folder), Ok(records));
    std::fs::remove_file(segment_of(&rest)).unwrap();
    let broken = verify(&folder).unwrap_err();
    assert!(broken.to_string().contains(&format!("the last {records} are missing")), "{broken}");
}

async fn again(rest: Rest) -> Result<World, AssemblyError> {
    World::again(rest, Setup::default()).await.map_err(|(error, _)| error)
}

#[tokio::test]
async fn half_a_record_at_the_end_was_never_promised_and_is_cut_off() {
    let rest = left().await;
    let mut bytes = std::fs::read(segment_of(&rest)).unwrap();
    bytes.extend_from_slice(b"\0\0\x01\x80\x01{\"at\":\"2026-");
    std::fs::write(segment_of(&rest), bytes).unwrap();
    let world = again(rest).await.unwrap();
    busy(&world).await;
    let records = world.audit().await;
    assert_eq!(verify(&world.file("audit")).unwrap(), records.len() as u64);
}

#[tokio::test]
async fn a_last_record_that_was_changed_stops_the_start() {
    let rest = left().await;
    let mut bytes = std::fs::read(segment_of(&rest)).unwrap();
    let place = bytes.len() - 60;
    bytes[place] ^= 1;
    std::fs::write(segment_of(&rest), bytes).unwrap();
    match again(rest).await {
        Err(AssemblyError::Machine(text)) => assert!(text.contains("audit") && text.contains("broken"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_trail_that_was_cut_below_its_last_head_stops_the_start() {
    let rest = left().await;
    std::fs::remove_file(segment_of(&rest)).unwrap();
    match again(rest).await {
        Err(AssemblyError::Machine(text)) => assert!(text.contains("ends at record 0, and was signed for"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_processes_do_not_write_one_trail() {
    let world = World::start(Kind::Memory).await;
    let second = Audit::open(&world.file("audit"), Options::plain(Clock::system())).unwrap_err();
    assert!(second.to_string().contains("another process"), "{second}");
    busy(&world).await;
    verify(&world.file("audit")).unwrap();
}
