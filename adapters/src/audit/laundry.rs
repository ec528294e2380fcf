//! What somebody may try who writes the folder and has no key: to have us sign over a past that never was.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use policies::audit::Record;
use policies::jose::encode;
use policies::time::Timestamp;
use serde_json::json;

use super::frame::{Frame, Header, Link, Shape, append, hex};
use super::heads::{HEAD_TYPE, HeadSigner};
use super::tests::{NOW, key, record};
use super::{Audit, HEAD_EVERY, Options, Trust, copy_to, inspect};
use crate::clock::Clock;
use crate::keys::SigningKey;
use crate::store::conformance::Folder;

const SEGMENT: &str = "audit-000001.seg";

fn options(key: &Arc<SigningKey>) -> Options {
    Options::plain(Clock::manual(NOW)).signed_by(Arc::clone(key) as Arc<dyn HeadSigner>)
}

fn trust(key: &Arc<SigningKey>) -> Trust {
    Trust { keys: vec![key.verifying_key().clone()], heads: vec![] }
}

/// Records that are this many seconds apart, behind a head each minute at most.
async fn written(folder: &Folder, key: &Arc<SigningKey>, names: &[&str], apart: u64) {
    let audit = Audit::open(&folder.0, options(key)).unwrap();
    for (number, name) in (0..).zip(names) {
        let at = NOW + Duration::from_secs(number * apart);
        audit.record_durably(Record { at, ..record(name) }).await.unwrap();
    }
}

fn opened(folder: &Folder, key: &Arc<SigningKey>) -> String {
    Audit::open(&folder.0, options(key)).err().map_or_else(|| "opened".to_owned(), |outage| outage.to_string())
}

fn found(folder: &Folder, key: &Arc<SigningKey>) -> String {
    let faults = inspect(&folder.0, &trust(key)).faults;
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Writes a segment anew, every hash right: `change` gives the text of a record, or nothing.
fn rewrite(path: &Path, change: impl Fn(String) -> Option<String>) {
    let bytes = fs::read(path).unwrap();
    let (header, mut at) = Header::decode(&bytes, Shape::Frames).unwrap();
    let mut link: Link = header.link.clone();
    let mut out = header.encode(Shape::Frames);
    while let Ok((frame, length)) = Frame::decode(&bytes[at..]) {
        at += length;
        if let Some(text) = change(String::from_utf8(frame.payload.to_vec()).unwrap()) {
            append(&mut link, &mut out, |out| {
                out.extend_from_slice(text.as_bytes());
                true
            })
            .unwrap();
        }
    }
    fs::write(path, out).unwrap();
}

fn without_heads(text: String) -> Option<String> {
    (!text.contains("\"kind\":\"head\"")).then(|| text.replace("honest", "forged"))
}

#[tokio::test]
async fn a_trail_without_any_head_is_none_that_was_signed() {
    let (folder, key) = (Folder::new(), key());
    written(&folder, &key, &["honest", "b", "c"], 100).await;
    assert_eq!(found(&folder, &key), "");
    rewrite(&folder.0.join(SEGMENT), without_heads);
    fs::remove_file(folder.0.join("heads.jsonl")).unwrap();
    assert!(found(&folder, &key).contains("it is gone, and keys.json is there"));
    let refused = opened(&folder, &key);
    assert!(refused.contains("keys.json is there, and heads.jsonl is not"), "{refused}");
    fs::remove_file(folder.0.join("keys.json")).unwrap();
    assert!(found(&folder, &key).contains("no head was signed over any record"), "{}", found(&folder, &key));
    fs::write(folder.0.join("ship-archive.cursor"), "{}").unwrap();
    let refused = opened(&folder, &key);
    assert!(refused.contains("ship-archive.cursor tells that records were sent on"), "{refused}");
    fs::remove_file(folder.0.join("ship-archive.cursor")).unwrap();
    // Nothing that is left contradicts it; the trail is taken up, and says for good that it had no head.
    assert_eq!(opened(&folder, &key), "opened");
    let told = found(&folder, &key);
    assert!(told.contains("records 1 to 3 had no head in time"), "{told}");
}

#[tokio::test]
async fn a_record_that_no_head_covers_in_time_is_found_and_not_laundered_by_a_start() {
    let (folder, key) = (Folder::new(), key());
    written(&folder, &key, &["a"], 0).await;
    let kept = fs::read(folder.0.join("heads.jsonl")).unwrap();
    written(&folder, &key, &["honest", "b", "c"], 100).await;
    fs::write(folder.0.join("heads.jsonl"), kept).unwrap();
    let first = std::cell::Cell::new(true);
    rewrite(&folder.0.join(SEGMENT), |text| match text.contains("\"kind\":\"head\",\"number\":1") {
        true => first.replace(false).then_some(text),
        false => without_heads(text),
    });
    let told = found(&folder, &key);
    assert!(told.contains("no head covers record"), "{told}");
    assert_eq!(opened(&folder, &key), "opened", "a full disk or a clock put right looks the same");
    let told = found(&folder, &key);
    assert!(told.contains("had no head in time"), "{told}");
}

#[tokio::test]
async fn a_start_does_not_sign_over_what_the_last_head_was_not_signed_over() {
    let (folder, key, stranger) = (Folder::new(), key(), key());
    written(&folder, &key, &["honest", "b"], 1).await;
    assert!(opened(&folder, &stranger).contains("not signed with a key of ours"));
    let whole = fs::read(folder.0.join(SEGMENT)).unwrap();
    rewrite(&folder.0.join(SEGMENT), |text| Some(text.replace("honest", "forged")));
    assert!(opened(&folder, &key).contains("signed over other records, up to 3"), "{}", opened(&folder, &key));
    fs::write(folder.0.join(SEGMENT), whole).unwrap();
    let text = fs::read_to_string(folder.0.join("heads.jsonl")).unwrap();
    fs::write(folder.0.join("heads.jsonl"), "").unwrap();
    assert!(opened(&folder, &key).contains("notes head 1, which heads.jsonl does not have"));
    fs::write(folder.0.join("heads.jsonl"), &text).unwrap();
    assert_eq!(opened(&folder, &key), "opened");
}

#[tokio::test]
async fn a_head_in_an_earlier_segment_is_held_against_all_behind_it() {
    let (folder, key) = (Folder::new(), key());
    let small = |options| Options { segment_bytes_max: 1, ..options };
    let audit = Audit::open(&folder.0, small(options(&key))).unwrap();
    audit.record_durably(record("a")).await.unwrap();
    // Heads cannot be written from here on, and segments go on.
    fs::rename(folder.0.join("heads.jsonl"), folder.0.join("away")).unwrap();
    fs::create_dir(folder.0.join("heads.jsonl")).unwrap();
    for name in ["b", "c", "d"] {
        audit.record_durably(record(name)).await.unwrap();
    }
    drop(audit);
    fs::remove_dir(folder.0.join("heads.jsonl")).unwrap();
    fs::rename(folder.0.join("away"), folder.0.join("heads.jsonl")).unwrap();
    let second = folder.0.join("audit-000002.seg");
    let whole = fs::read(&second).unwrap();
    rewrite(&second, |text| Some(text.replace("\"interaction\":\"b\"", "\"interaction\":\"x\"")));
    assert!(opened(&folder, &key).contains("audit-000003.seg: it does not follow"), "{}", opened(&folder, &key));
    fs::write(&second, whole).unwrap();
    assert_eq!(opened(&folder, &key), "opened");
    assert!(found(&folder, &key).contains("had no head in time"), "{}", found(&folder, &key));
}

#[tokio::test]
async fn a_kill_at_any_moment_does_not_stop_the_next_start() {
    let (folder, key) = (Folder::new(), key());
    let audit = Audit::open(&folder.0, options(&key)).unwrap();
    audit.record_durably(record("a")).await.unwrap();
    drop(audit);
    let head = fs::read(folder.0.join("heads.jsonl")).unwrap();
    // Before the file of heads, before the keys, before the head, in the middle of it, before its note.
    let states: [(Option<usize>, bool); 5] =
        [(None, false), (Some(0), false), (Some(0), true), (Some(100), true), (Some(head.len()), true)];
    for (heads, keys) in states {
        let copy = Folder::new();
        fs::copy(folder.0.join(SEGMENT), copy.0.join(SEGMENT)).unwrap();
        if let Some(length) = heads {
            fs::write(copy.0.join("heads.jsonl"), &head[..length]).unwrap();
        }
        if keys {
            fs::copy(folder.0.join("keys.json"), copy.0.join("keys.json")).unwrap();
        }
        assert_eq!(opened(&copy, &key), "opened", "{heads:?} {keys}");
        assert_eq!(found(&copy, &key), "", "{heads:?} {keys}");
    }
}

#[tokio::test]
async fn leaves_that_no_record_speaks_of_are_found() {
    let (folder, key) = (Folder::new(), key());
    let small = Options { segment_bytes_max: 1, ..options(&key) };
    let audit = Audit::open(&folder.0, small.clone()).unwrap();
    for name in ["a", "b", "c"] {
        audit.record_durably(record(name)).await.unwrap();
    }
    assert_eq!(audit.prune(Timestamp::MAX, 2).unwrap(), 1);
    drop(audit);
    assert_eq!(found(&folder, &key), "");
    let leaves = |number: u64| {
        let bytes = fs::read(folder.0.join(format!("audit-{number:06}.seg"))).unwrap();
        let (header, mut at) = Header::decode(&bytes, Shape::Frames).unwrap();
        let mut out = header.encode(Shape::Leaves);
        while let Ok((frame, length)) = Frame::decode(&bytes[at..]) {
            out.extend_from_slice(&frame.leaf);
            at += length;
        }
        fs::write(folder.0.join(format!("audit-{number:06}.leaves")), out).unwrap();
        fs::remove_file(folder.0.join(format!("audit-{number:06}.seg"))).unwrap();
    };
    leaves(2);
    assert!(
        found(&folder, &key).contains("audit-000002.leaves: no record that remains tells"),
        "{}",
        found(&folder, &key)
    );
    leaves(4);
    let told = found(&folder, &key);
    assert!(told.contains("audit-000004.leaves: it was let go, and the segment behind it is missing"), "{told}");
    assert!(told.contains("audit-000004.leaves: it was let go, and a segment before it was not"), "{told}");
}

#[tokio::test]
async fn a_cursor_that_the_trail_does_not_follow_is_found() {
    let (folder, key) = (Folder::new(), key());
    let audit = Audit::open(&folder.0, options(&key)).unwrap();
    audit.record_durably(record("a")).await.unwrap();
    let head = audit.sign().await.unwrap();
    drop(audit);
    let with = |sequence: u64, chain: &str| {
        let cursor = json!({"trail": head.trail, "sequence": sequence, "chain": chain}).to_string();
        fs::write(folder.0.join("ship-archive.cursor"), cursor).unwrap();
        found(&folder, &key)
    };
    assert_eq!(with(head.size, &head.chain), "");
    assert!(with(head.size, &hex(&[7; 32])).contains("ship-archive.cursor: what was sent on up to record 1 is not"));
    let ahead = with(head.size + 1, &head.chain);
    assert!(ahead.contains("ship-archive.cursor: it was sent on with 2 records; the last 1 are missing"), "{ahead}");
    fs::write(folder.0.join("ship-archive.cursor"), "{").unwrap();
    assert!(found(&folder, &key).contains("it is no cursor"));
}

#[tokio::test]
async fn a_failed_head_is_not_tried_again_for_each_batch() {
    let (folder, key) = (Folder::new(), key());
    let clock = Clock::manual(NOW);
    let audit = Audit::open(&folder.0, Options { clock: clock.clone(), ..options(&key) }).unwrap();
    fs::create_dir(folder.0.join("heads.jsonl")).unwrap();
    audit.record_durably(record("a")).await.unwrap();
    assert_eq!(audit.durable(), 0, "nothing is sent on before there is a head");
    fs::remove_dir(folder.0.join("heads.jsonl")).unwrap();
    audit.record_durably(record("b")).await.unwrap();
    audit.flush().await.unwrap();
    assert_eq!(inspect(&folder.0, &Trust::default()).heads, 0);
    assert!(clock.advance(HEAD_EVERY));
    audit.record_durably(record("c")).await.unwrap();
    assert_eq!(inspect(&folder.0, &Trust::default()).heads, 1);
    // The note of the head may be on the disk by now, or not yet.
    assert!(matches!(audit.durable(), 3 | 4));
}

#[tokio::test]
async fn a_piece_has_one_name() {
    let (folder, key) = (Folder::new(), key());
    written(&folder, &key, &["a"], 0).await;
    for name in ["audit-1.seg", "audit-+1.seg", "audit-0000001.seg", "audit-x.leaves"] {
        fs::copy(folder.0.join(SEGMENT), folder.0.join(name)).unwrap();
        assert_eq!(found(&folder, &key), format!("{name}: no file of a trail has this name"));
        fs::remove_file(folder.0.join(name)).unwrap();
    }
}

#[tokio::test]
async fn a_key_beside_ours_of_the_same_name_is_not_published() {
    let (folder, key, stranger) = (Folder::new(), key(), key());
    written(&folder, &key, &["a"], 0).await;
    let text = fs::read_to_string(folder.0.join("heads.jsonl")).unwrap();
    let head = super::heads::unline(text.trim()).unwrap();
    let claims = json!({"iss": head.trail, "number": 1, "size": head.size, "root": head.root, "chain": head.chain,
        "previous": head.previous, "iat": head.at.seconds()});
    let signed = encode(HEAD_TYPE, &claims, None, &*stranger).unwrap();
    fs::write(folder.0.join("heads.jsonl"), format!("{{\"head\":\"{signed}\"}}\n")).unwrap();
    assert!(found(&folder, &key).contains("not published"));
}

#[tokio::test]
async fn a_copy_of_many_heads_keeps_them_all_and_leaves_half_a_line_behind() {
    let (folder, key) = (Folder::new(), key());
    written(&folder, &key, &["a"], 0).await;
    let whole = fs::read(folder.0.join("heads.jsonl")).unwrap();
    fs::write(folder.0.join("heads.jsonl"), [whole.as_slice(), b"{\"head\":\"ey"].concat()).unwrap();
    let copy = Folder(folder.0.join("copy"));
    assert_eq!(copy_to(&folder.0, &copy.0).unwrap(), 1);
    assert_eq!(fs::read(copy.0.join("heads.jsonl")).unwrap(), whole);
    assert_eq!(found(&copy, &key), "");
}
