//! What only a file can show: what survives, who is kept out, how old files are brought up, what is overwritten.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use policies::once::{ClaimState, StoredReply};
use rusqlite::{Connection, OpenFlags};

use super::*;
use crate::entropy;
use crate::store::conformance::verifications::verification;
use crate::store::conformance::{
    Folder, KEEP, LEASE, NOW, answered, client, earlier, event, opened, taken, things, wish,
};
use crate::store::port::SPENDS_KEPT;

fn file(folder: &Folder) -> PathBuf {
    folder.0.join("state.db")
}

fn cause(opened: Result<SqliteStore, Outage>) -> String {
    opened.map(|_| ()).unwrap_err().cause
}

/// Makes the file that version 0.1 left.
fn of_version_1(folder: &Folder) {
    Connection::open(file(folder)).unwrap().execute_batch(include_str!("version_1.sql")).unwrap();
}

#[tokio::test]
async fn what_it_was_told_survives_the_process() {
    let folder = Folder::new();
    let store = opened(&folder);
    let ticket = taken(&store, wish("k", 1, "ref-1"), NOW).await;
    assert!(store.clear(&ticket, &things(&["jti"]), NOW).await.unwrap());
    store.insert(verification("v-1", "s-1")).await.unwrap();
    let told = taken(&store, wish("told", 1, "ref-9"), NOW).await;
    let unknown = StoredReply { status: 202, headers: vec![], body: vec![] };
    store.finish(&told, Finish::Unknown(unknown, event("fintech", "ref-9")), NOW).await.unwrap();
    let key = SubjectKey { id: [1; 16], wrapped: vec![2; 60] };
    store.obtain([9; 32], key.clone(), NOW).await.unwrap();
    store.enter([1; 32], b"one", NOW).await.unwrap();
    let item = Item { kind: ItemKind::Grant, key: [3; 32], owner: None, keep_until: NOW + KEEP, body: vec![4] };
    let revoked = Revoked { name: [5; 32], until: NOW + KEEP };
    assert!(store.change_items(&[Step::Add(item.clone())], &[revoked], NOW).await.unwrap());
    drop(store);
    let store = opened(&folder);
    assert_eq!(store.item(ItemKind::Grant, &[3; 32]).await.unwrap(), Some((item, 1)));
    assert_eq!(store.revoked_after(0, NOW).await.unwrap(), [(1, revoked)]);
    let again = taken(&store, wish("k", 1, "ref-2"), NOW + LEASE).await;
    assert_eq!(again.reference(), "ref-1");
    let other = taken(&store, wish("k2", 1, "ref-3"), NOW).await;
    assert!(!store.clear(&other, &things(&["jti"]), NOW).await.unwrap());
    assert!(store.get(&VerificationId::parse("v-1").unwrap()).await.unwrap().is_some());
    assert_eq!(store.after(&client("fintech"), 0, 9).await.unwrap().len(), 1);
    assert_eq!(store.find([1; 16]).await.unwrap(), Some(key));
    assert_eq!(store.bundle(1).await.unwrap().as_deref(), Some(b"one".as_slice()));
    // Also beside a gateway that is at work.
    assert_eq!(kept_bundle(&file(&folder), [1; 32]).unwrap().as_deref(), Some(b"one".as_slice()));
    assert_eq!(kept_bundle(&file(&folder), [2; 32]).unwrap(), None);
    assert!(kept_bundle(&folder.0.join("other.db"), [1; 32]).is_err());
    store.probe().await.unwrap();
}

#[tokio::test]
async fn a_second_gateway_is_kept_out_and_a_reader_is_not() {
    let folder = Folder::new();
    let store = opened(&folder);
    assert!(cause(SqliteStore::open(&file(&folder))).contains("in use by another gateway"));
    taken(&store, wish("k", 1, "ref-1"), NOW).await;
    let reader = Connection::open_with_flags(file(&folder), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM claims", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(), 1);
    taken(&store, wish("k2", 1, "ref-2"), NOW).await;
    assert_eq!(count(), 2);
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    drop(store);
    SqliteStore::open(&file(&folder)).unwrap();
}

#[tokio::test]
async fn a_gateway_of_version_0_1_is_kept_out_as_well() {
    let folder = Folder::new();
    of_version_1(&folder);
    let old = Connection::open(file(&folder)).unwrap();
    old.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    old.pragma_update(None, "journal_mode", "WAL").unwrap();
    old.execute("DELETE FROM replays", []).unwrap();
    assert!(cause(SqliteStore::open(&file(&folder))).contains("locked"));
    drop(old);
    SqliteStore::open(&file(&folder)).unwrap();
    // What our version has touched, that one refuses by its number.
    let version: i64 =
        Connection::open(file(&folder)).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_ne!(version, 1);
}

#[tokio::test]
async fn a_file_of_a_later_version_or_of_another_program_is_not_opened() {
    let folder = Folder::new();
    drop(opened(&folder));
    let connection = Connection::open(file(&folder)).unwrap();
    let checksum: Vec<u8> =
        connection.query_row("SELECT checksum FROM migrations WHERE version = 2", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", 5).unwrap();
    assert!(cause(SqliteStore::open(&file(&folder))).contains("version 5"));
    connection.pragma_update(None, "user_version", 4).unwrap();
    connection.execute("UPDATE migrations SET checksum = zeroblob(32) WHERE version = 2", []).unwrap();
    assert!(cause(SqliteStore::open(&file(&folder))).contains("made by another program"));
    connection.execute("DELETE FROM migrations WHERE version = 2", []).unwrap();
    assert!(cause(SqliteStore::open(&file(&folder))).contains("does not tell"));
    connection.execute("INSERT INTO migrations VALUES (2, ?1, 0)", [checksum]).unwrap();
    SqliteStore::open(&file(&folder)).unwrap();
    let junk = folder.0.join("junk.db");
    std::fs::write(&junk, "this is no database, but it is long enough to look like a file of one").unwrap();
    assert!(SqliteStore::open(&junk).is_err());
}

#[tokio::test]
async fn a_file_of_version_0_1_goes_on_where_it_was() {
    let folder = Folder::new();
    of_version_1(&folder);
    for round in 0..2 {
        let store = opened(&folder);
        assert!(!Replays::claim(&store, "one", [7; 32], NOW + KEEP, NOW).await.unwrap());
        let found = earlier(&store, wish("answered", 1, "ref-new"), NOW).await;
        let headers = vec![("location".to_owned(), b"/v1/domestic-payments/ref-answered".to_vec())];
        let reply = StoredReply { status: 201, headers, body: br#"{"status":"booked"}"#.to_vec() };
        assert_eq!(found.state, ClaimState::Answered(reply));
        assert_ne!(earlier(&store, wish("answered", 2, "ref-new"), NOW).await.digest, [2; 32]);
        let other = taken(&store, wish(&format!("other-{round}"), 1, "ref-other"), NOW).await;
        assert!(!store.clear(&other, &things(&["jti"]), NOW).await.unwrap());
        let passed = store.get(&VerificationId::parse("v-1").unwrap()).await.unwrap().unwrap();
        assert_eq!((passed.state, passed.acr.as_deref()), (State::Passed, Some("urn:qaqpa:acr:L2")));
    }
    let store = opened(&folder);
    let pending = store.by_session(&ProviderId::parse("demo").unwrap(), "s-2").await.unwrap().unwrap();
    let decided = Verification { state: State::Failed, ..pending };
    assert!(store.replace(&decided, State::CapturePending, Some(event("fintech", "v-2"))).await.unwrap());
    assert_eq!(store.after(&client("fintech"), 0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn claims_of_version_0_1_have_their_fates() {
    let folder = Folder::new();
    of_version_1(&folder);
    let store = opened(&folder);
    let (client, operation) = (client("fintech"), OperationId::parse("pay").unwrap());
    let fates = [
        ("ref-answered", Some(Fate::Answered)),
        ("ref-unknown", Some(Fate::Undecided { since: NOW })),
        ("ref-open", Some(Fate::Undecided { since: NOW })),
        ("ref-other", None),
    ];
    for (reference, fate) in fates {
        assert_eq!(store.fate(&client, &operation, reference, NOW).await.unwrap(), fate);
    }
    assert!(store.undecided(9, LEASE, NOW + KEEP).await.unwrap().is_empty());
    // Nobody knows what the holder of before did: that stays a doubt when the next one sends nothing.
    let wanted = NewClaim { settles: true, ..wish("open", 1, "ref-new") };
    let ticket = taken(&store, wanted, NOW + LEASE).await;
    assert_eq!(ticket.reference(), "ref-open");
    store.release(&ticket, NOW + LEASE).await.unwrap();
    let undecided = store.undecided(9, LEASE, NOW + LEASE).await.unwrap();
    assert_eq!(undecided.first().map(|one| (one.reference.as_str(), one.since)), Some(("ref-open", NOW)));
}

/// Tells in which of the store's files these bytes stand.
fn standing(folder: &Folder, bytes: &[u8]) -> Vec<PathBuf> {
    let files = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &PathBuf| std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
    files.filter(holds).collect()
}

fn person(number: u32) -> ([u8; 32], SubjectKey) {
    let mut subject = entropy::random::<32>();
    subject.first_chunk_mut::<4>().unwrap().copy_from_slice(&number.to_be_bytes());
    (subject, SubjectKey { id: entropy::random(), wrapped: entropy::random::<60>().to_vec() })
}

#[tokio::test]
async fn a_destroyed_key_stands_in_no_file_any_more() {
    let folder = Folder::new();
    let store = Arc::new(opened(&folder));
    let people: Vec<_> = (0..500).map(person).collect();
    for (subject, key) in &people {
        store.obtain(*subject, key.clone(), NOW).await.unwrap();
    }
    for (number, (subject, key)) in people.iter().enumerate() {
        if number % 7 == 3 {
            assert!(!standing(&folder, &key.wrapped).is_empty());
            assert_eq!(store.destroy(*subject).await.unwrap(), Some(key.id));
        }
    }
    for (number, (_, key)) in people.iter().enumerate() {
        let found = standing(&folder, &key.wrapped);
        assert_eq!(found.is_empty(), number % 7 == 3, "{number}: {found:?}");
    }
}

/// Somebody who reads the file and does not end, as a backup does.
fn reading(folder: &Folder) -> Connection {
    let reader = Connection::open_with_flags(file(folder), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM subject_keys;").unwrap();
    reader
}

#[tokio::test]
async fn a_reader_takes_no_receipt_away_and_the_bytes_go_when_it_has_ended() {
    let folder = Folder::new();
    let store = opened(&folder);
    let (subject, key) = person(1);
    store.obtain(subject, key.clone(), NOW).await.unwrap();
    let reader = reading(&folder);
    assert_eq!(store.destroy(subject).await, Ok(Some(key.id)));
    assert_eq!(store.find(key.id).await, Ok(None));
    assert_eq!(store.destroy(subject).await, Ok(None));
    drop(reader);
    store.probe().await.unwrap();
    assert_eq!(standing(&folder, &key.wrapped), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_a_reader_kept_in_the_log_goes_without_any_further_job() {
    let folder = Folder::new();
    let store = opened(&folder);
    let (subject, key) = person(1);
    store.obtain(subject, key.clone(), NOW).await.unwrap();
    let reader = reading(&folder);
    assert_eq!(store.destroy(subject).await, Ok(Some(key.id)));
    assert!(!standing(&folder, &key.wrapped).is_empty());
    drop(reader);
    let begun = Instant::now();
    while !standing(&folder, &key.wrapped).is_empty() {
        assert!(begun.elapsed() < 20 * worker::WIPE_PAUSE, "nobody wipes it");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn destroying_holds_nobody_up_while_somebody_reads() {
    let folder = Folder::new();
    let store = opened(&folder);
    let people: Vec<_> = (0..8).map(person).collect();
    for (subject, key) in &people {
        store.obtain(*subject, key.clone(), NOW).await.unwrap();
    }
    let _reader = reading(&folder);
    let begun = Instant::now();
    for (number, (subject, key)) in people.iter().enumerate() {
        assert_eq!(store.destroy(*subject).await, Ok(Some(key.id)));
        taken(&store, wish(&format!("k{number}"), 1, "ref"), NOW).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "the store waited for the reader: {:?}", begun.elapsed());
}

#[tokio::test]
async fn where_there_is_no_key_nothing_is_wiped() {
    let folder = Folder::new();
    let store = opened(&folder);
    let ((subject, key), (nobody, _)) = (person(1), person(2));
    store.obtain(subject, key, NOW).await.unwrap();
    let log = || std::fs::metadata(folder.0.join("state.db-wal")).unwrap().len();
    let before = log();
    assert!(before > 0);
    assert_eq!(store.destroy(nobody).await, Ok(None));
    assert!(log() >= before, "the log was cut for nobody");
    assert!(store.destroy(subject).await.unwrap().is_some());
    assert_eq!(log(), 0);
}

#[tokio::test]
async fn what_a_reader_kept_in_the_log_is_gone_after_the_next_start() {
    let folder = Folder::new();
    let store = opened(&folder);
    let (subject, key) = person(1);
    store.obtain(subject, key.clone(), NOW).await.unwrap();
    let reader = reading(&folder);
    assert_eq!(store.destroy(subject).await, Ok(Some(key.id)));
    drop(store);
    drop(reader);
    drop(opened(&folder));
    assert_eq!(standing(&folder, &key.wrapped), Vec::<PathBuf>::new());
}

fn numbers(folder: &Folder, query: &str) -> Vec<i64> {
    let connection = Connection::open(file(folder)).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn what_is_over_is_swept_out_and_nothing_else() {
    let folder = Folder::new();
    let day = Duration::from_secs(86_400);
    let retention = Retention { verifications: 2 * day, events: 3 * day, generations: 4 * day };
    let store = SqliteStore::open_keeping(&file(&folder), retention).unwrap();
    let tick = Duration::from_millis(1);
    let now = NOW + 10 * day;
    for (number, end) in [(1_u8, now - tick), (2, now), (3, now + tick)] {
        let name = format!("k{number}");
        let claimed = end - KEEP;
        Replays::claim(&store, "one", [number; 32], end, end - day).await.unwrap();
        let ticket = taken(&store, wish(&name, 1, &name), claimed).await;
        store.finish(&ticket, answered(200), claimed).await.unwrap();
        let open = NewClaim { settles: true, ..wish(&format!("open-{number}"), 1, "ref") };
        let spent = end - SPENDS_KEPT;
        let spender = taken(&store, open, spent).await;
        store.clear(&spender, &things(&[&name]), spent).await.unwrap();
        let expires = end - retention.verifications;
        let kept = Verification { expires, created: expires, ..verification(&name, &name) };
        store.insert(kept).await.unwrap();
        let told = NewEvent { at: end - retention.events, ..event("fintech", "s") };
        let ticket = taken(&store, NewClaim { keep: 20 * day, ..wish(&format!("told-{number}"), 1, "ref") }, now).await;
        let unknown = StoredReply { status: 202, headers: vec![], body: vec![] };
        store.finish(&ticket, Finish::Unknown(unknown, told), now).await.unwrap();
        store.enter([number; 32], b"set", end - retention.generations).await.unwrap();
        let item = Item { kind: ItemKind::Code, key: [number; 32], owner: None, keep_until: end, body: vec![] };
        let revoked = Revoked { name: [number; 32], until: end };
        assert!(store.change_items(&[Step::Add(item)], &[revoked], end - day).await.unwrap());
    }
    // Whatever happened, a sweep comes with the next so many jobs.
    for _ in 0..worker::JOBS_PER_SWEEP {
        Replays::claim(&store, "one", [9; 32], now + KEEP, now).await.unwrap();
    }
    drop(store);
    assert_eq!(numbers(&folder, "SELECT substr(hex(key), 2, 1) + 0 FROM replays ORDER BY 1"), [3, 9]);
    assert_eq!(numbers(&folder, "SELECT substr(key, 2) + 0 FROM claims WHERE key LIKE 'k%'"), [3]);
    // What nobody knows the outcome of stays.
    assert_eq!(numbers(&folder, "SELECT substr(key, 6) + 0 FROM claims WHERE key LIKE 'open-%' ORDER BY 1"), [1, 2, 3]);
    assert_eq!(numbers(&folder, "SELECT substr(name, 2) + 0 FROM spends"), [3]);
    assert_eq!(numbers(&folder, "SELECT substr(id, 2) + 0 FROM verifications"), [3]);
    assert_eq!(numbers(&folder, "SELECT position FROM events"), [3]);
    assert_eq!(numbers(&folder, "SELECT substr(hex(key), 2, 1) + 0 FROM items"), [3]);
    assert_eq!(numbers(&folder, "SELECT substr(hex(name), 2, 1) + 0 FROM revocations"), [3]);
    // A set is over once the next one has been there as long; the last one is in force.
    assert_eq!(numbers(&folder, "SELECT number FROM generations ORDER BY number"), [2, 3]);
}

/// Whoever had read so far goes on from there, also when nothing of it is left.
#[tokio::test]
async fn a_position_of_what_was_revoked_is_never_given_twice() {
    let folder = Folder::new();
    let store = opened(&folder);
    let revoked = |name: u8| Revoked { name: [name; 32], until: NOW + KEEP };
    assert!(store.change_items(&[], &[revoked(1), revoked(2)], NOW).await.unwrap());
    let last = store.revoked_after(0, NOW).await.unwrap().last().unwrap().0;
    for _ in 0..worker::JOBS_PER_SWEEP {
        store.revoked_after(0, NOW + KEEP).await.unwrap();
    }
    assert_eq!(numbers(&folder, "SELECT count(*) FROM revocations"), [0]);
    drop(store);
    let store = opened(&folder);
    assert!(store.change_items(&[], &[revoked(3)], NOW).await.unwrap());
    assert_eq!(store.revoked_after(last, NOW).await.unwrap(), [(last + 1, revoked(3))]);
}
