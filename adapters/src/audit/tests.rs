//! The trail on a real disk.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policies::audit::{Ending, Facts, JudgedIdentity, PersonalData, Record, RecordKind, Step};
use policies::id::{AdminId, InteractionId, OperationId, ProviderId, VerificationId};
use policies::jose::{Algorithm, SignError, VerifyingKey, sha256};
use policies::merkle::{is_included, leaf};
use policies::national::money::Money;
use policies::rule::{RuleKind, RuleName};
use policies::time::Timestamp;
use serde_json::{Value, json};

use super::frame::{FIRST, PAYLOAD_BYTES_MAX, chained, hex};
use super::queue::QUEUE_MAX;
use super::read::Reader;
use super::{Audit, HEAD_EVERY, HeadSigner, Options, Trust, copy_to, inspect, prove, verify};
use crate::clock::Clock;
use crate::keys::SigningKey;
use crate::store::conformance::Folder;

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

pub(super) fn record(interaction: &str) -> Record {
    Record {
        kind: RecordKind::Outcome,
        interaction: InteractionId::parse(interaction).unwrap(),
        received: NOW,
        at: NOW + Duration::from_secs(1),
        operation: None,
        steps: vec![Step { stage: "route", decision: "pass", micros: 7 }],
        facts: Facts { amount: Money::parse("250000.00", "KZT").ok(), ..Facts::default() },
        reference: None,
        status: Some(201),
        ending: Ending::Answered,
        generation: 3,
    }
}

pub(super) fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(Algorithm::Es256).unwrap())
}

fn plain() -> Options {
    Options::plain(Clock::manual(NOW))
}

fn signing(key: &Arc<SigningKey>) -> Options {
    plain().signed_by(Arc::clone(key) as Arc<dyn HeadSigner>)
}

/// Segments of one record each.
fn small(options: Options) -> Options {
    Options { segment_bytes_max: 1, ..options }
}

async fn written(folder: &Folder, options: Options, names: &[&str]) {
    let audit = Audit::open(&folder.0, options).unwrap();
    for name in names {
        audit.record_durably(record(name)).await.unwrap();
    }
}

fn segment(folder: &Folder) -> PathBuf {
    folder.0.join("audit-000001.seg")
}

fn told(folder: &Folder, number: usize) -> String {
    let report = inspect(&folder.0, &Trust::default());
    report.faults.get(number).map_or_else(|| "fine".to_owned(), ToString::to_string)
}

fn names(folder: &Folder, count: usize) -> Vec<String> {
    let tail = Reader::open(&folder.0).unwrap().tail(count).unwrap();
    let word = |value: &Value, name| value.get(name).and_then(Value::as_str).map(str::to_owned);
    tail.iter().map(|value| word(value, "interaction").or(word(value, "kind")).unwrap()).collect()
}

#[tokio::test]
async fn a_restart_goes_on_with_the_chain_and_the_tree() {
    let folder = Folder::new();
    assert_eq!(verify(&folder.0), Ok(0));
    written(&folder, plain(), &["a"]).await;
    let id = Reader::open(&folder.0).unwrap().trail_id().unwrap();
    written(&folder, plain(), &[]).await;
    written(&folder, plain(), &["b", "c"]).await;
    assert_eq!(verify(&folder.0), Ok(3));
    assert_eq!(Reader::open(&folder.0).unwrap().trail_id().unwrap(), id);
    assert_eq!(names(&folder, 2), ["b", "c"]);
    assert_eq!((names(&folder, 9).len(), names(&folder, 0).len()), (3, 0));
    let audit = Audit::open(&folder.0, plain()).unwrap();
    let tail = audit.tail(1).unwrap();
    assert_eq!(tail.first().and_then(|line| line.get("sequence")), Some(&json!(3)));
    assert_eq!((audit.written(), audit.durable()), (3, 3));
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    let folder = Folder::new();
    let inner = Folder(folder.0.join("audit"));
    written(&inner, signing(&key()), &["a"]).await;
    assert_eq!(fs::metadata(&inner.0).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&inner.0).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn half_a_record_at_the_end_is_cut_off_and_the_chain_goes_on() {
    let folder = Folder::new();
    written(&folder, plain(), &["a", "b"]).await;
    let good = fs::read(segment(&folder)).unwrap();
    let length = good.len();
    let mut holed = good.clone();
    holed.splice(length - 200..length - 100, [0; 100]);
    let zeros = [good.clone(), vec![0; 5000]].concat();
    let begun = [good.clone(), vec![0, 0, 1, 0, 1, b'{']].concat();
    for (torn, kept) in [(good[..length - 20].to_vec(), 1), (holed, 1), (zeros, 2), (begun, 2)] {
        fs::write(segment(&folder), &torn).unwrap();
        assert!(verify(&folder.0).is_err());
        written(&folder, plain(), &["c"]).await;
        assert_eq!(verify(&folder.0), Ok(kept + 1));
    }
}

#[tokio::test]
async fn a_trail_whose_last_segment_was_changed_is_not_written_on() {
    let folder = Folder::new();
    written(&folder, plain(), &["a"]).await;
    let mut bytes = fs::read(segment(&folder)).unwrap();
    let at = bytes.windows(3).position(|window| window == b"201").unwrap();
    bytes[at] = b'5';
    fs::write(segment(&folder), bytes).unwrap();
    assert!(Audit::open(&folder.0, plain()).unwrap_err().to_string().contains("record 1 is broken"));
}

#[tokio::test]
async fn a_trail_that_misses_what_was_signed_for_is_not_written_on() {
    let folder = Folder::new();
    let key = key();
    written(&folder, signing(&key), &["a", "b"]).await;
    let bytes = fs::read(segment(&folder)).unwrap();
    fs::write(segment(&folder), &bytes[..bytes.len() - 20]).unwrap();
    let refused = Audit::open(&folder.0, signing(&key)).unwrap_err().to_string();
    assert!(refused.contains("ends at record 2, and was signed for 3"), "{refused}");
}

#[tokio::test]
async fn one_process_writes_a_trail() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0, plain()).unwrap();
    assert!(Audit::open(&folder.0, plain()).is_err());
    drop(audit);
    assert!(Audit::open(&folder.0, plain()).is_ok());
}

#[tokio::test]
async fn a_durable_record_is_in_the_file_when_it_is_answered() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0, plain()).unwrap();
    audit.record_durably(record("intent")).await.unwrap();
    assert_eq!(names(&folder, 9), ["intent"]);
    assert_eq!((audit.lost(), audit.durable()), (0, 1));
}

#[tokio::test]
async fn what_was_handed_over_is_written_when_the_last_handle_goes() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0, plain()).unwrap();
    let other = audit.clone();
    audit.record(record("a")).unwrap();
    drop(audit);
    other.record(record("b")).unwrap();
    drop(other);
    assert_eq!(verify(&folder.0), Ok(2));
}

#[tokio::test]
async fn every_record_is_written_or_counted_and_the_trail_tells_the_gap() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0, plain()).unwrap();
    let refused = (0..QUEUE_MAX * 4).filter(|_| audit.record(record("a")).is_err()).count() as u64;
    audit.record_durably(record("b")).await.unwrap();
    assert_eq!(audit.lost(), refused);
    drop(audit);
    let entries: Vec<Value> =
        Reader::open(&folder.0).unwrap().from(1).map(|entry| entry.unwrap().to_value().unwrap()).collect();
    let lost = |entry: &Value| (entry["kind"] == "gap").then(|| entry["lost"].as_u64().unwrap());
    let gaps: Vec<u64> = entries.iter().filter_map(lost).collect();
    assert_eq!(gaps.iter().sum::<u64>(), refused);
    assert_eq!(entries.len(), QUEUE_MAX * 4 + 1 - usize::try_from(refused).unwrap() + gaps.len());
    assert_eq!(verify(&folder.0), Ok(entries.len() as u64));
}

#[tokio::test]
async fn when_the_disk_has_room_again_the_trail_goes_on_and_tells_what_it_lost() {
    for before in [&[][..], &["a"]] {
        let folder = Folder::new();
        written(&folder, small(plain()), before).await;
        let audit = Audit::open(&folder.0, small(plain())).unwrap();
        // The next segment cannot be begun: something stands where it is written first.
        let way = folder.0.join(format!("audit-{:06}.seg.new", before.len() + 1));
        fs::create_dir(&way).unwrap();
        assert!(audit.record_durably(record("lost")).await.is_err());
        audit.record(record("lost")).unwrap();
        assert!(audit.record_durably(record("lost")).await.is_err());
        assert_eq!(audit.lost(), 3);
        fs::remove_dir(&way).unwrap();
        audit.record_durably(record("b")).await.unwrap();
        assert_eq!(audit.lost(), 3);
        assert_eq!(names(&folder, 9), [before, &["gap", "b"]].concat());
        assert_eq!(audit.tail(2).unwrap().first().unwrap().get("lost"), Some(&json!(3)));
        drop(audit);
        assert_eq!(verify(&folder.0), Ok(before.len() as u64 + 2));
    }
}

#[tokio::test]
async fn the_longest_record_is_written_and_a_longer_one_is_lost_alone() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0, plain()).unwrap();
    let long = |bytes: usize| Record { reference: Some("r".repeat(bytes).into()), ..record("a") };
    audit.record_durably(long(1)).await.unwrap();
    let rest = PAYLOAD_BYTES_MAX - Reader::open(&folder.0).unwrap().from(1).next().unwrap().unwrap().payload.len();
    audit.record_durably(long(1 + rest)).await.unwrap();
    assert!(audit.record_durably(long(2 + rest)).await.is_err());
    assert_eq!(audit.lost(), 1);
    audit.record_durably(record("b")).await.unwrap();
    assert_eq!(names(&folder, 9), ["a", "a", "gap", "b"]);
    assert_eq!(verify(&folder.0), Ok(4));
}

#[tokio::test]
async fn a_full_segment_is_followed_by_the_next() {
    let folder = Folder::new();
    written(&folder, small(signing(&key())), &["a", "b", "c"]).await;
    // Each segment is signed for before the next begins, and each head is noted behind it.
    assert_eq!(names(&folder, 9), ["a", "head", "b", "head", "c"]);
    let report = inspect(&folder.0, &Trust::default());
    assert_eq!((report.faults, report.records, report.heads, report.covered), (vec![], 5, 3, 5));
    assert!(folder.0.join("audit-000003.seg").exists());
    // Begun under its first name and never finished, as after a crash between the two.
    fs::write(folder.0.join("audit-000004.seg.new"), b"qaqpa").unwrap();
    written(&folder, small(plain()), &["d"]).await;
    assert_eq!(names(&folder, 2), ["head", "d"]);
    assert!(verify(&folder.0).is_ok());
}

#[tokio::test]
async fn a_reader_follows_a_trail_over_its_segments() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0, small(plain())).unwrap();
    let reader = Reader::open(&folder.0).unwrap();
    let mut records = reader.from(2);
    assert_eq!(reader.trail_id().unwrap(), None);
    assert!(records.next().is_none());
    audit.record_durably(record("a")).await.unwrap();
    assert!(records.next().is_none());
    for (sequence, name) in (2..).zip(["b", "c", "d"]) {
        audit.record_durably(record(name)).await.unwrap();
        let entry = records.next().unwrap().unwrap();
        assert_eq!((entry.sequence, entry.at), (sequence, NOW + Duration::from_secs(1)));
        assert!(String::from_utf8_lossy(&entry.payload).contains(&format!("\"interaction\":\"{name}\"")));
        assert_eq!(entry.leaf, leaf(&entry.payload));
        assert!(records.next().is_none());
    }
    assert_eq!(reader.from(3).map(|entry| entry.unwrap().sequence).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(records.behind().unwrap(), 0);
}

#[tokio::test]
async fn a_reader_waits_for_the_rest_of_a_record() {
    let folder = Folder::new();
    written(&folder, plain(), &["a", "b"]).await;
    let whole = fs::read(segment(&folder)).unwrap();
    let mut records = Reader::open(&folder.0).unwrap().from(1);
    for cut in [whole.len() - 1, whole.len() - 100] {
        fs::write(segment(&folder), &whole[..cut]).unwrap();
        let mut fresh = Reader::open(&folder.0).unwrap().from(1);
        assert_eq!(fresh.by_ref().count(), 1);
        assert!(fresh.next().is_none());
    }
    assert_eq!(records.next().unwrap().unwrap().sequence, 1);
    assert!(records.next().is_none());
    fs::write(segment(&folder), &whole).unwrap();
    assert_eq!(records.next().unwrap().unwrap().sequence, 2);
}

#[tokio::test]
async fn a_head_is_signed_each_minute_at_the_end_and_when_asked_for() {
    let folder = Folder::new();
    let (clock, key) = (Clock::manual(NOW), key());
    let options = Options::plain(clock.clone()).signed_by(Arc::clone(&key) as Arc<dyn HeadSigner>);
    let audit = Audit::open(&folder.0, options).unwrap();
    assert!(audit.sign().await.is_err(), "there is nothing to sign");
    audit.record_durably(record("a")).await.unwrap();
    let heads = || inspect(&folder.0, &Trust::default()).heads;
    assert!(clock.advance(HEAD_EVERY - Duration::from_millis(1)));
    audit.record_durably(record("b")).await.unwrap();
    audit.flush().await.unwrap();
    assert_eq!(heads(), 1, "the first record has one at once");
    assert!(clock.advance(Duration::from_millis(1)));
    audit.record_durably(record("c")).await.unwrap();
    // The head is signed behind the answer, and before the next.
    audit.flush().await.unwrap();
    assert_eq!(heads(), 2);
    let asked = audit.sign().await.unwrap();
    assert_eq!(audit.sign().await.unwrap(), asked, "nothing has come since");
    audit.record_durably(record("d")).await.unwrap();
    let head = audit.sign().await.unwrap();
    assert_eq!((head.number, head.size), (asked.number + 1, asked.size + 2), "the note of a head stands between");
    assert!(head.is_signed_with(key.verifying_key()));
    audit.record(record("e")).unwrap();
    drop(audit);
    let report = inspect(&folder.0, &Trust { keys: vec![key.verifying_key().clone()], heads: vec![] });
    assert_eq!((report.faults, report.records, report.heads), (vec![], head.size + 2, head.number + 1));
    assert_eq!(report.covered, report.records);
}

/// Signs with a new key and still knows the one before.
struct Ring {
    new: Arc<SigningKey>,
    old: VerifyingKey,
}

impl HeadSigner for Ring {
    fn sign(&self, typ: &str, claims: &Value) -> Result<(String, VerifyingKey), SignError> {
        HeadSigner::sign(&*self.new, typ, claims)
    }

    fn ours(&self) -> Vec<VerifyingKey> {
        vec![self.new.verifying_key().clone(), self.old.clone()]
    }
}

#[tokio::test]
async fn heads_of_old_keys_still_verify() {
    let folder = Folder::new();
    let (old, new) = (key(), key());
    written(&folder, signing(&old), &["a"]).await;
    let ring = Ring { new: Arc::clone(&new), old: old.verifying_key().clone() };
    written(&folder, plain().signed_by(Arc::new(ring)), &["b"]).await;
    assert_eq!(verify(&folder.0), Ok(3));
    let keys = |key: &Arc<SigningKey>| Trust { keys: vec![key.verifying_key().clone()], heads: vec![] };
    assert_eq!(inspect(&folder.0, &keys(&new)).faults, vec![]);
    // Whoever can write the folder can bring a key of their own: the last head has to be signed by one we publish.
    let faults = inspect(&folder.0, &keys(&old)).faults;
    assert!(faults.first().unwrap().cause.contains("not published"), "{faults:?}");
}

#[tokio::test]
async fn a_record_is_proven_against_a_head() {
    let folder = Folder::new();
    let key = key();
    assert!(prove(&folder.0, 1).is_err());
    let audit = Audit::open(&folder.0, small(signing(&key))).unwrap();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        audit.record_durably(record(name)).await.unwrap();
    }
    let size = audit.sign().await.unwrap().size;
    drop(audit);
    for sequence in 1..=size {
        let proof = prove(&folder.0, sequence).unwrap();
        assert!(proof.head.is_signed_with(key.verifying_key()));
        let root: [u8; 32] = unhex(&proof.head.root).try_into().unwrap();
        assert!(is_included(&leaf(&proof.payload), proof.index, proof.head.size, &proof.path, &root));
        assert_eq!(proof.key, key.verifying_key().to_jwk());
    }
    assert!(prove(&folder.0, 0).is_err());
    assert!(prove(&folder.0, size + 1).is_err());
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

#[tokio::test]
async fn old_segments_are_let_go_and_what_remains_is_still_proven() {
    let folder = Folder::new();
    let key = key();
    let audit = Audit::open(&folder.0, small(signing(&key))).unwrap();
    for (day, name) in (0..).zip(["a", "b", "c", "d"]) {
        let at = NOW + Duration::from_secs(86_400 * day);
        audit.record_durably(Record { at, ..record(name) }).await.unwrap();
    }
    audit.sign().await.unwrap();
    let before = inspect(&folder.0, &Trust::default());
    let limit = NOW + Duration::from_secs(86_400 * 2);
    assert_eq!(audit.prune(limit, 1).unwrap(), 0, "not yet passed on");
    assert_eq!(audit.prune(limit, 3).unwrap(), 1);
    assert_eq!(audit.prune(limit, 3).unwrap(), 0);
    assert_eq!(names(&folder, 9), ["head", "b", "head", "c", "head", "d", "head", "let_go"]);
    assert_eq!(Reader::open(&folder.0).unwrap().from(1).next().unwrap().unwrap().sequence, 2);
    let after = inspect(&folder.0, &Trust::default());
    assert_eq!((after.let_go, after.records, after.faults), (1, before.records + 2, vec![]));
    let proof = prove(&folder.0, 7).unwrap();
    let root: [u8; 32] = unhex(&proof.head.root).try_into().unwrap();
    assert!(is_included(&leaf(&proof.payload), proof.index, proof.head.size, &proof.path, &root));
    assert!(prove(&folder.0, 1).unwrap_err().to_string().contains("not kept"));
    // The youngest segment is never let go, whatever its age.
    assert!(audit.prune(Timestamp::MAX, u64::MAX).unwrap() > 0);
    assert_eq!(names(&folder, 9), ["head", "let_go", "head", "let_go"]);
    audit.record_durably(record("e")).await.unwrap();
    drop(audit);
    assert!(verify(&folder.0).is_ok());
}

#[tokio::test]
async fn a_copy_is_a_whole_trail_of_its_own() {
    let folder = Folder::new();
    let key = key();
    let audit = Audit::open(&folder.0, small(signing(&key))).unwrap();
    for name in ["a", "b"] {
        audit.record_durably(record(name)).await.unwrap();
    }
    let copies = Folder::new();
    let copy = Folder(copies.0.join("copy"));
    assert_eq!(copy_to(&folder.0, &copy.0).unwrap(), 3);
    assert_eq!(verify(&copy.0), Ok(3));
    audit.record_durably(record("c")).await.unwrap();
    drop(audit);
    written(&copy, plain(), &["d"]).await;
    assert_eq!(names(&copy, 9), ["a", "head", "b", "head", "d"]);
    let empty = Folder(copies.0.join("empty"));
    assert_eq!(copy_to(&copies.0, &empty.0).unwrap(), 0);
}

#[tokio::test]
async fn a_trail_of_the_old_form_is_gone_on_from() {
    let folder = Folder::new();
    let line = |sequence: u64, previous: &str| {
        let body = format!("{{\"sequence\":{sequence},\"previous\":\"{previous}\",\"kind\":\"outcome\"");
        let hash = hex(&sha256(body.as_bytes()));
        (format!("{body},\"hash\":\"{hash}\"}}\n"), hash)
    };
    let (first, before) = line(1, &"0".repeat(64));
    let (second, last) = line(2, &before);
    let old = folder.0.join("audit-000001.jsonl");
    fs::write(&old, format!("{first}{second}")).unwrap();
    written(&folder, plain(), &["a"]).await;
    assert_eq!(names(&folder, 9), ["begin", "a"]);
    let begin = Reader::open(&folder.0).unwrap().tail(2).unwrap();
    let expected = json!({"file": "audit-000001.jsonl", "sequence": 2, "hash": last});
    assert_eq!(begin.first().unwrap().get("before"), Some(&expected));
    let report = inspect(&folder.0, &Trust::default());
    assert_eq!((report.records, report.old_lines, report.faults), (2, 2, vec![]));
    fs::write(&old, format!("{first}{}", second.replace("outcome", "outcame"))).unwrap();
    assert_eq!(told(&folder, 0), "audit-000001.jsonl, record 2: its hash is not that of its bytes");
    assert!(Audit::open(&Folder::new().0, plain()).is_ok());
}

#[tokio::test]
async fn a_record_tells_what_was_judged_and_nothing_that_was_not() {
    let folder = Folder::new();
    let audit = Audit::open(&folder.0, plain()).unwrap();
    let facts = Facts {
        administrator: AdminId::parse("daniyar").ok(),
        provider: ProviderId::parse("sandbox-face").ok(),
        exhausted: Some("plan:client:5/s".into()),
        refused_by: Some(RuleName { kind: RuleKind::Allow, name: "allow".into(), origin: Some("a.yaml:3".into()) }),
        not_judged: Some("`body.note` is not there".into()),
        amount: Money::parse("1.50", "KZT").ok(),
        identity: Some(JudgedIdentity {
            verification: VerificationId::parse("v1").unwrap(),
            acr: "urn:qaqpa:acr:L2".into(),
            expires: NOW,
        }),
        personal: Some(PersonalData { key: [7; 16], sealed: Arc::from(*b"sealed") }),
        ..Facts::default()
    };
    let full = Record { facts, operation: OperationId::parse("pay").ok(), reference: Some("r1".into()), ..record("a") };
    audit.record_durably(full).await.unwrap();
    audit.record_durably(Record { facts: Facts::default(), status: None, ..record("b") }).await.unwrap();
    let mut entries = Reader::open(&folder.0).unwrap().from(1).map(Result::unwrap);
    let first: Value = serde_json::from_slice(&entries.next().unwrap().payload).unwrap();
    let expected = json!({
        "at": "2027-01-15T08:00:01.000Z", "kind": "outcome", "interaction": "a", "received": "2027-01-15T08:00:00.000Z",
        "operation": "pay", "exhausted": "plan:client:5/s",
        "rule": {"kind": "allow", "name": "allow", "origin": "a.yaml:3", "why": "`body.note` is not there"},
        "administrator": "daniyar", "provider": "sandbox-face",
        "steps": [{"stage": "route", "decision": "pass", "micros": 7}], "amount": "1.50 KZT",
        "identity": {"verification": "v1", "acr": "urn:qaqpa:acr:L2", "expires": "2027-01-15T08:00:00.000Z"},
        "personal": {"key": "07".repeat(16), "sealed": "c2VhbGVk"},
        "reference": "r1", "status": 201, "ending": "answered", "generation": 3,
    });
    assert_eq!(first, expected);
    let second: Value = serde_json::from_slice(&entries.next().unwrap().payload).unwrap();
    let members: Vec<&String> = second.as_object().unwrap().keys().collect();
    assert_eq!(members, ["at", "ending", "generation", "interaction", "kind", "received", "steps"]);
}

#[tokio::test]
async fn the_hashes_of_a_record_can_be_computed_by_anybody() {
    let folder = Folder::new();
    written(&folder, plain(), &["a"]).await;
    let bytes = fs::read(segment(&folder)).unwrap();
    // The first header has no peaks: 76 bytes, and the hash over them.
    let frame = bytes.get(76 + 32..).unwrap();
    let length = u32::from_be_bytes(*frame.first_chunk().unwrap()) as usize;
    let (payload, chain) = (frame.get(5..5 + length).unwrap(), frame.get(5 + length..).unwrap());
    let leaf = sha256(&[&[0], payload].concat());
    assert_eq!(chain, sha256(&[FIRST, leaf].concat()));
    assert_eq!(chain, chained(&FIRST, &leaf));
}

#[test]
fn an_unknown_file_beside_the_trail_is_left_alone() {
    let folder = Folder::new();
    let mut file = OpenOptions::new().create(true).append(true).open(folder.0.join("notes.txt")).unwrap();
    file.write_all(b"audit").unwrap();
    assert_eq!(verify(&folder.0), Ok(0));
}
