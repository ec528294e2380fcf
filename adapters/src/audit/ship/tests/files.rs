//! The place that is a file, and what holds for every place.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::*;

/// Reads the lines of a file of records: their ids, and the text of the record in each.
fn lines(path: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "half a line");
    let line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value.get(name).unwrap().as_str().unwrap().to_owned();
        let id = text("id");
        assert_eq!(id, format!("{}-{}", text("trail"), value.get("sequence").unwrap()));
        let (_, record) = line.split_once(",\"record\":").unwrap();
        (id, record.strip_suffix('}').unwrap().to_owned())
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn every_record_arrives_once_in_order_and_byte_for_byte() {
    let trail = Trail::with(5).await;
    let mut shipper = trail.to_file();
    assert_eq!(ship_all(&mut shipper).await, trail.entries().len());
    trail.grow(3).await;
    ship_all(&mut shipper).await;
    assert_eq!(lines(&trail.folder.join("archive.jsonl")), trail.expected());
    assert_eq!(shipper.round().await.unwrap(), 0);
    assert_eq!((trail.progress.records_behind(), trail.progress.bytes_behind()), (0, 0));
    let mode = crate::files::testing::mode(&trail.folder.join("archive.jsonl"));
    assert_eq!(mode, 0o600);
}

#[tokio::test]
async fn a_batch_has_so_many_records_and_not_one_more() {
    let trail = Trail::with(BATCH_RECORDS_MAX + 1).await;
    let mut shipper = trail.to_file();
    let records = trail.entries().len();
    assert_eq!(shipper.round().await.unwrap(), BATCH_RECORDS_MAX);
    assert_eq!(trail.progress.got(), BATCH_RECORDS_MAX as u64);
    assert_eq!(trail.progress.records_behind() as usize, records - BATCH_RECORDS_MAX);
    assert!(trail.progress.bytes_behind() > 0);
    assert_eq!(shipper.round().await.unwrap(), records - BATCH_RECORDS_MAX);
    assert_eq!(lines(&trail.folder.join("archive.jsonl")), trail.expected());
}

#[tokio::test]
async fn what_a_crash_before_the_cursor_sent_twice_stands_in_the_file_once() {
    let trail = Trail::with(7).await;
    let path = trail.folder.join("archive.jsonl");
    let mut died = trail.shipper(Deafened(FileSink::new(&path)));
    assert!(died.round().await.is_err());
    assert_eq!(trail.progress.got(), 0);
    drop(died);
    trail.grow(2).await;
    ship_all(&mut trail.to_file()).await;
    assert_eq!(lines(&path), trail.expected());
}

#[tokio::test]
async fn half_a_line_that_a_crash_left_is_made_whole() {
    for torn in 1..80 {
        let trail = Trail::with(3).await;
        let path = trail.folder.join("archive.jsonl");
        assert!(trail.shipper(Deafened(FileSink::new(&path))).round().await.is_err());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, bytes.get(..bytes.len() - torn).unwrap()).unwrap();
        ship_all(&mut trail.to_file()).await;
        assert_eq!(lines(&path), trail.expected(), "{torn}");
    }
}

#[tokio::test]
async fn an_end_that_was_not_written_here_is_refused_and_left() {
    let trail = Trail::with(2).await;
    let path = trail.folder.join("archive.jsonl");
    crate::files::write_private(&path, b"").unwrap();
    for foreign in ["half a line of somebody else", "a whole line\n", "{\"some\":\"json\"}\n", "\n"] {
        fs::write(&path, foreign).unwrap();
        let outage = trail.to_file().round().await.unwrap_err();
        assert!(outage.cause.contains("not written here"), "{outage}");
        assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
    }
    fs::write(&path, "x".repeat(100_000)).unwrap();
    assert!(trail.to_file().round().await.unwrap_err().cause.contains("longer than any"));
}

#[tokio::test]
async fn a_file_that_somebody_else_writes_to_is_refused() {
    let trail = Trail::with(1).await;
    let path = trail.folder.join("archive.jsonl");
    let theirs = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path).unwrap();
    theirs.lock().unwrap();
    assert!(trail.to_file().round().await.unwrap_err().cause.contains("another process"));
    drop(theirs);
    ship_all(&mut trail.to_file()).await;
    assert_eq!(lines(&path), trail.expected());
    assert!(FileSink::new(&trail.folder).put(&[]).await.is_err(), "a folder is no file");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_begun_anew() {
    let trail = Trail::with(4).await;
    let path = trail.folder.join("archive.jsonl");
    let mut shipper = trail.to_file();
    ship_all(&mut shipper).await;
    let moved = trail.folder.join("archive.1.jsonl");
    fs::rename(&path, &moved).unwrap();
    trail.grow(3).await;
    ship_all(&mut shipper).await;
    let both = [lines(&moved), lines(&path)].concat();
    assert_eq!(both, trail.expected());
}

#[tokio::test]
async fn a_place_that_was_gone_catches_up_in_order() {
    let trail = Trail::with(2).await;
    let folder = trail.folder.join("mount");
    let mut shipper = trail.shipper(FileSink::new(&folder.join("archive.jsonl")));
    for _ in 0..3 {
        let outage = shipper.round().await.unwrap_err();
        assert!(outage.cause.contains("archive.jsonl"), "{outage}");
        trail.grow(BATCH_RECORDS_MAX).await;
    }
    assert_eq!(trail.progress.got(), 0);
    assert!(shipper.round().await.is_err());
    assert_eq!(trail.progress.records_behind() as usize, trail.entries().len());
    fs::create_dir(&folder).unwrap();
    ship_all(&mut shipper).await;
    assert_eq!(lines(&folder.join("archive.jsonl")), trail.expected());
    assert_eq!(trail.progress.records_behind(), 0);
}

#[tokio::test]
async fn other_records_under_the_same_numbers_are_refused_wherever_they_stand() {
    let trail = Trail::with(BATCH_RECORDS_MAX + 200).await;
    let path = trail.folder.join("archive.jsonl");
    ship_all(&mut trail.to_file()).await;
    let good = fs::read_to_string(&path).unwrap();
    let records = trail.entries().len();
    for sequence in [1, 2, BATCH_RECORDS_MAX - 1, BATCH_RECORDS_MAX, BATCH_RECORDS_MAX + 1, records] {
        let mut lines: Vec<_> = good.lines().map(str::to_owned).collect();
        let line = lines.get_mut(sequence - 1).unwrap();
        *line = line.replace("answered", "Answered");
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        drop(fs::remove_file(trail.cursor_path()));
        let mut shipper = trail.to_file();
        let outage = loop {
            if let Err(outage) = shipper.round().await {
                break outage;
            }
            assert!((trail.progress.got() as usize) < records, "{sequence} is not found");
        };
        assert!(outage.cause.contains(&format!("another record {sequence} of this trail")), "{outage}");
    }
    // Without the lines that were moved away, the rest is compared all the same.
    let rest: Vec<_> = good.lines().skip(100).collect();
    fs::write(&path, rest.join("\n") + "\n").unwrap();
    drop(fs::remove_file(trail.cursor_path()));
    ship_all(&mut trail.to_file()).await;
    assert_eq!(lines(&path), trail.expected().split_off(100));
}

#[tokio::test]
async fn a_file_that_others_may_read_or_write_is_refused() {
    let trail = Trail::with(2).await;
    let path = trail.folder.join("archive.jsonl");
    fs::write(&path, "").unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let outage = trail.to_file().round().await.unwrap_err();
        assert!(outage.cause.contains("chmod 600"), "{mode:o}: {outage}");
        assert_eq!(fs::read(&path).unwrap(), b"");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    ship_all(&mut trail.to_file()).await;
    assert_eq!(lines(&path), trail.expected());
}

#[tokio::test]
async fn a_link_is_refused_and_nothing_is_written_or_made_behind_it() {
    let trail = Trail::with(2).await;
    let (path, theirs) = (trail.folder.join("archive.jsonl"), trail.folder.join("theirs"));
    std::os::unix::fs::symlink(&theirs, &path).unwrap();
    assert!(trail.to_file().round().await.unwrap_err().cause.contains("symbolic link"));
    assert!(!theirs.exists());
    crate::files::write_private(&theirs, b"").unwrap();
    assert!(trail.to_file().round().await.unwrap_err().cause.contains("symbolic link"));
    assert_eq!(fs::read(&theirs).unwrap(), b"");
}
