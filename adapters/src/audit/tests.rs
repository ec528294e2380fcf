//! The trail on a real disk.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs::{self, OpenOptions};
use std::io::Write;

use policies::audit::{Ending, Facts, Record, RecordKind, Step};
use policies::national::money::Money;
use policies::id::{AdminId, InteractionId, ProviderId};
use policies::time::Timestamp;
use serde_json::Value;

use super::files::Log;
use super::line::{LINE_BYTES_MAX, Link};
use super::writer::QUEUE_MAX;
use super::{Audit, verify};
use crate::store::conformance::Folder;

fn record(interaction: &str) -> Record {
    Record {
        kind: RecordKind::Outcome,
        interaction: InteractionId::parse(interaction).unwrap(),
        received: Timestamp::from_seconds(1_800_000_000),
        at: Timestamp::from_seconds(1_800_000_001),
        operation: None,
        steps: vec![Step { stage: "route", decision: "pass", micros: 7 }],
        facts: Facts { amount: Money::parse("250000.00", "KZT").ok(), ..Facts::default() },
        reference: None,
        status: Some(201),
        ending: Ending::Answered,
        generation: 3,
    }
}

async fn written(folder: &Folder, names: &[&str]) {
    let audit = Audit::open(&folder.0).unwrap();
    for name in names {
        audit.record(record(name)).unwrap();
    }
    audit.flush().await.unwrap();
}

fn text(folder: &Folder) -> String {
    fs::read_to_string(folder.0.join("audit-000001.jsonl")).unwrap()
}

fn rewrite(folder: &Folder, text: &str) {
    fs::write(folder.0.join("audit-000001.jsonl"), text).unwrap();
}

#[tokio::test]
async fn a_changed_a_missing_and_an_added_line_are_found() {
    let folder = Folder::new();
    written(&folder, &["a", "b", "c"]).await;
    let good = text(&folder);
    let lines: Vec<_> = good.split_inclusive('\n').collect();
    let [a, b, c] = lines[..] else { unreachable!("three records are three lines") };
    for (bad, line) in [
        (good.replacen("250000.00", "950000.00", 1), 1),
        (format!("{a}{c}"), 2),
        (format!("{b}{c}"), 1),
        (format!("{a}{b}{b}{c}"), 3),
        (format!("{a}{c}{b}"), 2),
        (format!("{a}{{}}\n{b}{c}"), 2),
        (format!("{a}{b}{}", c.trim_end()), 3),
    ] {
        rewrite(&folder, &bad);
        assert_eq!(verify(&folder.0).map_err(|broken| broken.line), Err(line), "{bad}");
    }
    rewrite(&folder, &good);
    assert_eq!(verify(&folder.0), Ok(3));
}

#[tokio::test]
async fn a_restart_goes_on_with_the_chain() {
    let folder = Folder::new();
    assert_eq!(verify(&folder.0), Ok(0));
    written(&folder, &["a"]).await;
    written(&folder, &[]).await;
    written(&folder, &["b", "c"]).await;
    assert_eq!(verify(&folder.0), Ok(3));
    let audit = Audit::open(&folder.0).unwrap();
    let tail = audit.tail(2).unwrap();
    let names: Vec<_> = tail.iter().filter_map(|line| line.get("interaction").and_then(Value::as_str)).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(tail.first().and_then(|line| line.get("sequence")), Some(&Value::from(2)));
    assert_eq!(audit.tail(9).unwrap().len(), 3);
    assert_eq!(audit.tail(0).unwrap().len(), 0);
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_the_chain_goes_on() {
    let folder = Folder::new();
    written(&folder, &["a", "b"]).await;
    let good = text(&folder);
    let torn: String = good.chars().take(good.len() - 20).collect();
    for torn in [torn, format!("{good}{{\"sequence\":3,")] {
        rewrite(&folder, &torn);
        assert!(verify(&folder.0).is_err());
        written(&folder, &["c"]).await;
        assert!(verify(&folder.0).is_ok());
    }
    rewrite(&folder, "{\"sequ");
    written(&folder, &["a"]).await;
    assert_eq!(verify(&folder.0), Ok(1));
}

#[tokio::test]
async fn a_trail_whose_last_line_was_changed_is_not_written_on() {
    let folder = Folder::new();
    written(&folder, &["a"]).await;
    rewrite(&folder, &text(&folder).replace("201", "500"));
    assert!(Audit::open(&folder.0).is_err());
}

#[tokio::test]
async fn one_process_writes_a_trail() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0).unwrap();
    assert!(Audit::open(&folder.0).is_err());
    drop(audit);
    assert!(Audit::open(&folder.0).is_ok());
}

#[tokio::test]
async fn a_durable_record_is_in_the_file_when_it_is_answered() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0).unwrap();
    audit.record_durably(record("intent")).await.unwrap();
    assert!(text(&folder).contains("\"interaction\":\"intent\""));
    assert_eq!(audit.lost(), 0);
}

#[tokio::test]
async fn what_was_handed_over_is_written_when_the_last_handle_goes() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0).unwrap();
    let other = audit.clone();
    audit.record(record("a")).unwrap();
    drop(audit);
    other.record(record("b")).unwrap();
    drop(other);
    assert_eq!(verify(&folder.0), Ok(2));
}

#[tokio::test]
async fn every_record_is_written_or_counted() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0).unwrap();
    let refused = (0..QUEUE_MAX * 4).filter(|_| audit.record(record("a")).is_err()).count();
    audit.flush().await.unwrap();
    assert_eq!(audit.lost(), refused as u64);
    assert_eq!(verify(&folder.0), Ok((QUEUE_MAX * 4 - refused) as u64));
}

#[test]
fn a_line_names_the_administrator_or_provider_who_asked() {
    let named = |record: &Record| {
        let mut line = Vec::new();
        Link::first().append(record, &mut line).unwrap();
        let line: Value = serde_json::from_slice(&line).unwrap();
        ["administrator", "provider"].map(|member| line.get(member).unwrap().as_str().map(str::to_owned))
    };
    let administrator = Record { facts: Facts { administrator: AdminId::parse("daniyar").ok(), ..Facts::default() }, ..record("a") };
    let provider = Record { facts: Facts { provider: ProviderId::parse("sandbox-face").ok(), ..Facts::default() }, ..record("b") };
    assert_eq!(named(&administrator), [Some("daniyar".to_owned()), None]);
    assert_eq!(named(&provider), [None, Some("sandbox-face".to_owned())]);
    assert_eq!(named(&record("c")), [None, None]);
}

#[tokio::test]
async fn a_record_that_is_too_long_for_a_line_is_told_as_lost() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0).unwrap();
    let long = Record { reference: Some("r".repeat(LINE_BYTES_MAX).into()), ..record("a") };
    assert!(audit.record_durably(long).await.is_err());
    assert_eq!(audit.lost(), 1);
    audit.record_durably(record("b")).await.unwrap();
    assert_eq!(verify(&folder.0), Ok(1));
}

#[test]
fn a_full_file_is_followed_by_the_next_and_none_may_be_missing() {
    let folder = Folder::new();
    let mut log = Log::open_with(&folder.0, 1).unwrap();
    for name in ["a", "b", "c"] {
        let mut lines = Vec::new();
        let link = log.link.append(&record(name), &mut lines).unwrap();
        log.append(&lines, link, true).unwrap();
    }
    drop(log);
    assert_eq!(verify(&folder.0), Ok(3));
    assert_eq!(super::files::tail(&folder.0, 2).unwrap().len(), 2);
    // Begun and never written, as after a crash between the two.
    OpenOptions::new().create(true).append(true).open(folder.0.join("audit-000004.jsonl")).unwrap().flush().unwrap();
    assert_eq!(Log::open_with(&folder.0, 1).unwrap().link.next, 4);
    fs::remove_file(folder.0.join("audit-000002.jsonl")).unwrap();
    assert!(verify(&folder.0).is_err());
}

#[test]
fn the_hash_of_a_line_can_be_computed_by_anybody() {
    let mut line = Vec::new();
    Link::first().append(&record("a"), &mut line).unwrap();
    let line = String::from_utf8(line).unwrap();
    let (body, tail) = line.split_once(",\"hash\":\"").unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let expected: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tail, format!("{expected}\"}}\n"));
}
