//! The chain of the trail: whole when it is left alone, broken at the right place when it is not, and continued.

use std::path::Path;

use adapters::audit::{Audit, verify};
use gateway::assemble::AssemblyError;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::payment;
use scenarios::actors::key::sha256;
use scenarios::actors::{Session, bank};
use scenarios::world::{Ask, Folder, Kind, Rest, Setup, World};
use serde_json::Value;

scenarios! {
    the_trail_of_a_busy_day_is_whole,
    the_trail_goes_on_after_a_restart,
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

// What follows is about the file alone; how the requests came in changes nothing.

async fn left() -> Rest {
    let world = World::start(Kind::Memory).await;
    busy(&world).await;
    world.stop().await
}

fn trail_of(rest: &Rest) -> std::path::PathBuf {
    rest.state().join("audit/audit-000001.jsonl")
}

/// Says what the check finds when the lines are changed: the line and the cause.
fn found(lines: &[String], change: impl FnOnce(&mut Vec<String>)) -> Result<u64, (u64, String)> {
    let mut lines = lines.to_vec();
    change(&mut lines);
    let folder = Folder::new();
    std::fs::write(folder.path().join("audit-000001.jsonl"), lines.concat()).unwrap();
    verify(folder.path()).map_err(|broken| {
        assert!(broken.file.ends_with("audit-000001.jsonl"), "{broken}");
        (broken.line, broken.cause)
    })
}

fn line(lines: &mut [String], number: usize) -> &mut String {
    lines.get_mut(number - 1).unwrap()
}

/// Gives a line the hash of what it says now, as a forger would.
fn rehash(line: &mut String) {
    let body = line.rsplit_once(",\"hash\":\"").unwrap().0.to_owned();
    let hash: String = sha256(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    *line = format!("{body},\"hash\":\"{hash}\"}}\n");
}

#[tokio::test]
async fn what_was_done_to_the_trail_is_found_with_its_place() {
    let rest = left().await;
    let text = std::fs::read_to_string(trail_of(&rest)).unwrap();
    let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let count = lines.len() as u64;
    assert!(count >= 6, "{text}");
    assert_eq!(found(&lines, |_| {}), Ok(count));
    let at = |result: Result<u64, (u64, String)>| result.unwrap_err().0;
    let changed =
        |lines: &mut Vec<String>| *line(lines, 2) = line(lines, 2).replace("\"status\":200", "\"status\":500");
    assert_eq!(found(&lines, changed), Err((2, "its hash is not that of its bytes".to_owned())));
    let forged = |lines: &mut Vec<String>| {
        changed(lines);
        rehash(line(lines, 2));
    };
    // The changed line fits itself now, but the next one holds on to what it was.
    assert_eq!(found(&lines, forged), Err((3, "it does not follow from the line before".to_owned())));
    let recounted = |lines: &mut Vec<String>| {
        lines.remove(1);
        for number in 2..=lines.len() {
            let (is, was) = (format!("{{\"sequence\":{number},"), format!("{{\"sequence\":{},", number + 1));
            *line(lines, number) = line(lines, number).replace(&was, &is);
            rehash(line(lines, number));
        }
    };
    assert_eq!(at(found(&lines, recounted)), 2);
    assert_eq!(at(found(&lines, |lines| drop(lines.remove(1)))), 2);
    assert_eq!(at(found(&lines, |lines| drop(lines.remove(0)))), 1);
    assert_eq!(at(found(&lines, |lines| lines.swap(1, 2))), 2);
    assert_eq!(at(found(&lines, |lines| lines.insert(3, lines.get(2).unwrap().clone()))), 4);
    assert_eq!(at(found(&lines, |lines| lines.insert(2, "\n".to_owned()))), 3);
    assert_eq!(at(found(&lines, |lines| line(lines, 4).insert(0, ' '))), 4);
    assert_eq!(at(found(&lines, |lines| line(lines, 4).insert_str(0, "{}"))), 4);
    let half = |lines: &mut Vec<String>| {
        let last = lines.last_mut().unwrap();
        last.truncate(last.len() / 2);
    };
    assert_eq!(found(&lines, half), Err((count, "it is not whole".to_owned())));
    // What is cut off at the very end is not seen from within; who needs to know keeps the last hash elsewhere.
    assert_eq!(found(&lines, |lines| drop(lines.pop())), Ok(count - 1));
}

async fn again(rest: Rest) -> Result<World, AssemblyError> {
    World::again(rest, Setup::default()).await.map_err(|(error, _)| error)
}

fn append(path: &Path, text: &str) {
    let whole = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, format!("{whole}{text}")).unwrap();
}

#[tokio::test]
async fn half_a_line_at_the_end_was_never_promised_and_is_cut_off() {
    let rest = left().await;
    append(&trail_of(&rest), "{\"sequence\":7,\"previous\":\"ab");
    let world = again(rest).await.unwrap();
    busy(&world).await;
    let records = world.audit().await;
    assert_eq!(verify(&world.file("audit")).unwrap(), records.len() as u64);
}

#[tokio::test]
async fn a_last_line_that_was_changed_stops_the_start() {
    let rest = left().await;
    let text = std::fs::read_to_string(trail_of(&rest)).unwrap();
    let at = text.rfind("\"client\":").unwrap();
    let (kept, last) = text.split_at(at);
    std::fs::write(trail_of(&rest), format!("{kept}{}", last.replacen("client", "tneilc", 1))).unwrap();
    match again(rest).await {
        Err(AssemblyError::Machine(text)) => assert!(text.contains("audit") && text.contains("broken"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_processes_do_not_write_one_trail() {
    let world = World::start(Kind::Memory).await;
    let second = Audit::open(&world.file("audit")).unwrap_err();
    assert!(second.to_string().contains("another process"), "{second}");
    busy(&world).await;
    verify(&world.file("audit")).unwrap();
}
