//! How far a place has got: remembered, and not believed when it cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::audit::ship::cursor::Cursor;

fn sent(trail: &Trail) -> usize {
    fs::read_to_string(trail.folder.join("archive.jsonl")).unwrap_or_default().lines().count()
}

/// Changes the text of the cursor and expects a refusal that says `why`, with nothing sent.
async fn refused(trail: &Trail, text: &str, why: &str) {
    let path = trail.cursor_path();
    let good = fs::read(&path).unwrap();
    fs::write(&path, text).unwrap();
    let before = sent(trail);
    let mut shipper = trail.to_file();
    for _ in 0..2 {
        let outage = shipper.round().await.unwrap_err();
        assert!(outage.cause.contains(why) && outage.cause.contains("remove it"), "{text}: {outage}");
        assert!(outage.cause.contains("ship-archive.cursor"), "{outage}");
    }
    assert_eq!(sent(trail), before);
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "a refused cursor is left as it is");
    fs::write(&path, good).unwrap();
}

#[tokio::test]
async fn a_new_process_goes_on_behind_the_cursor() {
    let trail = Trail::with(BATCH_RECORDS_MAX + 10).await;
    assert_eq!(trail.to_file().round().await.unwrap(), BATCH_RECORDS_MAX);
    // Another file: only what comes behind the cursor goes there.
    fs::remove_file(trail.folder.join("archive.jsonl")).unwrap();
    ship_all(&mut trail.to_file()).await;
    assert_eq!(sent(&trail), trail.entries().len() - BATCH_RECORDS_MAX);
}

#[tokio::test]
async fn a_cursor_that_is_cut_off_or_garbage_is_refused() {
    let trail = Trail::with(3).await;
    ship_all(&mut trail.to_file()).await;
    trail.grow(1).await;
    let good = fs::read_to_string(trail.cursor_path()).unwrap();
    for length in 0..good.len() {
        refused(&trail, good.get(..length).unwrap(), "not whole").await;
    }
    refused(&trail, &format!("{good}{good}"), "not whole").await;
    refused(&trail, &good.replace("sequence", "Sequence"), "not whole").await;
    ship_all(&mut trail.to_file()).await;
    assert_eq!(sent(&trail), trail.entries().len());
}

#[tokio::test]
async fn a_cursor_of_another_trail_or_past_is_refused() {
    let trail = Trail::with(9).await;
    ship_all(&mut trail.to_file()).await;
    trail.grow(1).await;
    let cursor = Cursor::read(&trail.cursor_path()).unwrap().unwrap();
    let text = |cursor: &Cursor| serde_json::to_string(cursor).unwrap();
    let other = entropy::uuid_v7(NOW);
    refused(&trail, &text(&Cursor { trail: other, ..cursor.clone() }), "it is of trail").await;
    // A number alone does not move it: the hash belongs to another record.
    for sequence in [0, 1, cursor.sequence - 1] {
        refused(&trail, &text(&Cursor { sequence, ..cursor.clone() }), "does not go on from").await;
    }
    let ahead = trail.entries().len() as u64 + 1;
    refused(&trail, &text(&Cursor { sequence: ahead, ..cursor.clone() }), "was sent, and the last is").await;
    for chain in [String::new(), "0".repeat(64), "g".repeat(64), cursor.chain.replace('a', "b") + "0"] {
        refused(&trail, &text(&Cursor { chain, ..cursor.clone() }), "does not go on from").await;
    }
    ship_all(&mut trail.to_file()).await;
    assert_eq!(sent(&trail), trail.entries().len());
}

#[tokio::test]
async fn a_cursor_that_others_may_read_is_refused() {
    let trail = Trail::with(1).await;
    ship_all(&mut trail.to_file()).await;
    trail.grow(1).await;
    let path = trail.cursor_path();
    assert_eq!(crate::files::testing::mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(trail.to_file().round().await.unwrap_err().cause.contains("others may read"));
}

#[tokio::test]
async fn without_its_cursor_a_place_gets_all_again_and_knows_what_it_has() {
    let trail = Trail::with(6).await;
    ship_all(&mut trail.to_file()).await;
    fs::remove_file(trail.cursor_path()).unwrap();
    let records = trail.entries().len();
    assert_eq!(ship_all(&mut trail.to_file()).await, records);
    assert_eq!(sent(&trail), records);
}

#[tokio::test]
async fn a_trail_without_records_is_nothing_to_send() {
    let trail = Trail::with(0).await;
    let mut shipper = trail.to_file();
    assert_eq!(shipper.round().await.unwrap(), trail.entries().len());
    assert!(!trail.cursor_path().exists() || !trail.entries().is_empty());
}

#[tokio::test]
async fn what_a_place_has_not_got_is_kept_and_what_is_gone_nevertheless_is_passed_over() {
    let folder = std::env::temp_dir().join(format!("qaqpa-ship-{}", entropy::token_128bit()));
    fs::create_dir(&folder).unwrap();
    let options = Options { segment_bytes_max: 4096, ..Options::plain(Clock::manual(NOW)) };
    let audit = Audit::open(&folder.join("audit"), options).unwrap();
    let trail = Trail { folder, audit, progress: Arc::default() };
    for _ in 0..6 {
        trail.grow(100).await;
    }
    let old = NOW + Duration::from_secs(1);
    let keep_from = |trail: &Trail| trail.progress.got() + 1;
    assert_eq!(trail.audit.prune(old, keep_from(&trail)).unwrap(), 0, "nobody knows yet what the place has");
    let mut shipper = trail.to_file();
    assert_eq!(shipper.round().await.unwrap(), BATCH_RECORDS_MAX);
    let all = trail.expected();
    assert!(trail.audit.prune(old, keep_from(&trail)).unwrap() > 0);
    drop(shipper);
    let first = trail.entries().first().unwrap().sequence;
    assert!((2..=BATCH_RECORDS_MAX as u64 + 1).contains(&first), "{first}");
    // Now one that it has not got goes too: the next process passes over it, and is not stopped by its cursor.
    trail.grow(1).await;
    assert!(trail.audit.prune(old, u64::MAX).unwrap() > 0);
    let first = trail.entries().first().unwrap().sequence;
    assert!(first > BATCH_RECORDS_MAX as u64 + 1, "{first}");
    let rest = trail.entries().len();
    assert!(rest < all.len() - BATCH_RECORDS_MAX);
    assert_eq!(ship_all(&mut trail.to_file()).await, rest);
    assert_eq!(sent(&trail), BATCH_RECORDS_MAX + rest);
}
