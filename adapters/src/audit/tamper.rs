//! What somebody with the right to write the folder may try, and what `inspect` says to it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use policies::audit::Record;
use policies::jose::encode;
use serde_json::json;

use super::frame::{FIRST, Frame, Header, Link, Shape, append, hex};
use super::heads::{HEAD_TYPE, HeadSigner};
use super::tests::{NOW, key, record};
use super::{Audit, Head, Options, Report, Trust, inspect};
use crate::clock::Clock;
use crate::entropy;
use crate::keys::SigningKey;
use crate::store::conformance::Folder;

/// So many bytes are changed, one at a time; `tests/run --full` could afford all.
const FLIPS: usize = 700;

/// The files of a folder, by name.
type Files = BTreeMap<String, Vec<u8>>;

/// A trail with everything there is: a segment that was let go, full ones, one that was being written, heads.
struct Trail {
    files: Files,
    key: Arc<SigningKey>,
    last: Head,
}

impl Trail {
    async fn written() -> Self {
        let (folder, key) = (Folder::new(), key());
        let signer = Arc::clone(&key) as Arc<dyn HeadSigner>;
        let options = Options { segment_bytes_max: 1100, ..Options::plain(Clock::manual(NOW)).signed_by(signer) };
        let audit = Audit::open(&folder.0, options).unwrap();
        for number in 0..11 {
            let at = NOW + Duration::from_secs(number);
            audit.record_durably(Record { at, ..record(&format!("record-{number}")) }).await.unwrap();
        }
        assert_eq!(audit.prune(NOW + Duration::from_secs(4), u64::MAX).unwrap(), 1);
        let last = audit.sign().await.unwrap();
        drop(audit);
        let trail = Self { files: files(&folder), key, last };
        assert_eq!(trail.files.keys().filter(|name| name.ends_with(".seg")).count(), 3, "{:?}", trail.files.keys());
        assert_eq!(trail.report(|_| {}).faults, vec![]);
        trail
    }

    fn report(&self, change: impl FnOnce(&mut Files)) -> Report {
        let mut files = self.files.clone();
        change(&mut files);
        let folder = Folder::new();
        for (name, bytes) in files {
            fs::write(folder.0.join(name), bytes).unwrap();
        }
        inspect(&folder.0, &Trust { keys: vec![self.key.verifying_key().clone()], heads: vec![] })
    }

    /// What is found first after a change.
    fn found(&self, change: impl FnOnce(&mut Files)) -> Option<String> {
        self.report(change).faults.first().map(ToString::to_string)
    }
}

fn files(folder: &Folder) -> Files {
    let entries = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap());
    entries.map(named).collect()
}

fn segment(number: u64) -> String {
    format!("audit-{number:06}.seg")
}

/// Where the frames of a segment stand.
fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut at = Header::decode(bytes, Shape::Frames).unwrap().1;
    let mut found = Vec::new();
    while let Ok((_, length)) = Frame::decode(&bytes[at..]) {
        found.push(at..at + length);
        at += length;
    }
    assert_eq!(at, bytes.len());
    found
}

#[tokio::test]
async fn a_changed_byte_is_found_wherever_it_is() {
    let trail = Trail::written().await;
    let bytes: Vec<(&String, usize)> =
        trail.files.iter().flat_map(|(name, bytes)| (0..bytes.len()).map(move |at| (name, at))).collect();
    for _ in 0..FLIPS {
        let drawn = u64::from_be_bytes(entropy::random());
        let (name, at) = bytes[usize::try_from(drawn >> 8).unwrap() % bytes.len()];
        let bit = 1 << (drawn % 8);
        let found = trail.found(|files| files.get_mut(name).unwrap()[at] ^= bit);
        assert!(found.is_some(), "byte {at} of {name}, bit {bit}");
    }
}

#[tokio::test]
async fn a_record_that_was_changed_removed_doubled_or_moved_is_found_where_it_stood() {
    let trail = Trail::written().await;
    for number in 2..=4 {
        let name = segment(number);
        let bytes = &trail.files[&name];
        let first = Header::decode(bytes, Shape::Frames).unwrap().0.first();
        let places = frames(bytes);
        for (index, place) in places.iter().enumerate() {
            let at = format!("{name}, record {}: ", first + index as u64);
            let told = |files: &mut dyn FnMut(&mut Vec<u8>)| {
                trail.found(|all| files(all.get_mut(&name).unwrap())).unwrap_or_default()
            };
            let middle = place.start + place.len() / 2;
            assert!(told(&mut |bytes| bytes[middle] ^= 1).starts_with(&at), "changed: {at}");
            let last = index + 1 == places.len();
            let removed = told(&mut |bytes| drop(bytes.drain(place.clone())));
            assert!(removed.starts_with(&at) || (last && !removed.is_empty()), "removed: {at}: {removed}");
            let frame = bytes[place.clone()].to_vec();
            let doubled = told(&mut |bytes| drop(bytes.splice(place.end..place.end, frame.clone())));
            let next = format!("{name}, record {}: ", first + index as u64 + 1);
            assert!(doubled.starts_with(&next), "doubled: {at}: {doubled}");
            if let Some(other) = places.get(index + 1) {
                let moved = [&bytes[other.clone()], &bytes[place.clone()]].concat();
                let swapped = told(&mut |bytes| drop(bytes.splice(place.start..other.end, moved.clone())));
                assert!(swapped.starts_with(&at), "swapped: {at}: {swapped}");
            }
        }
    }
}

#[tokio::test]
async fn what_was_cut_off_is_found_wherever_the_cut_is() {
    let trail = Trail::written().await;
    let name = segment(4);
    let whole = trail.files[&name].len();
    for kept in (0..whole).step_by(3) {
        let found = trail.found(|files| files.get_mut(&name).unwrap().truncate(kept));
        assert!(found.is_some(), "{kept} of {whole}");
    }
    let last = frames(&trail.files[&name]).pop().unwrap();
    let found = trail.found(|files| files.get_mut(&name).unwrap().truncate(last.start)).unwrap();
    assert_eq!(found, "heads.jsonl, record 5: it was signed over 16 records; the last 1 are missing");
    for number in 1..=4 {
        let shape = if number == 1 { "leaves" } else { "seg" };
        let name = format!("audit-{number:06}.{shape}");
        assert!(trail.found(|files| drop(files.remove(&name).unwrap())).is_some(), "{name}");
    }
    assert!(trail.found(|files| files.retain(|name, _| name.ends_with(".jsonl") || name == "keys.json")).is_some());
    // The key that signs now is published elsewhere too; only the trail remembers those before it.
    assert_eq!(trail.found(|files| drop(files.remove("keys.json"))), None);
}

#[tokio::test]
async fn segments_of_other_trails_and_places_are_found() {
    let (trail, other) = (Trail::written().await, Trail::written().await);
    for number in 2..=4 {
        let name = segment(number);
        assert!(trail.found(|files| drop(files.insert(name.clone(), other.files[&name].clone()))).is_some());
        let found = trail.found(|files| drop(files.insert(segment(5), files[&name].clone())));
        assert!(found.is_some(), "{name} again");
    }
    let swapped = trail.found(|files| {
        let (two, three) = (files[&segment(2)].clone(), files[&segment(3)].clone());
        files.extend([(segment(2), three), (segment(3), two)]);
    });
    assert_eq!(swapped.unwrap(), "audit-000002.seg: it is another segment than its name says");
    let moved = trail.found(|files| {
        let last = files.remove(&segment(4)).unwrap();
        files.insert(segment(5), last);
    });
    assert_eq!(moved.unwrap(), "audit-000005.seg: segment 4 before it is missing");
}

/// Writes the trail anew with one record changed, every hash of it right, as one does who knows the form.
fn forged(trail: &Trail) -> Files {
    let mut files = trail.files.clone();
    let (header, _) = Header::decode(&files[&segment(2)], Shape::Frames).unwrap();
    let mut link: Link = header.link.clone();
    for number in 2..=4 {
        let bytes = files[&segment(number)].clone();
        let mut out = Header { trail: header.trail, number, link: link.clone() }.encode(Shape::Frames);
        for place in frames(&bytes) {
            let payload = Frame::decode(&bytes[place]).unwrap().0.payload;
            let text = String::from_utf8(payload.to_vec()).unwrap().replace("record-5", "record-x");
            append(&mut link, &mut out, |out| {
                out.extend_from_slice(text.as_bytes());
                true
            })
            .unwrap();
        }
        files.insert(segment(number), out);
    }
    files
}

#[tokio::test]
async fn a_forger_who_makes_every_hash_right_is_found_by_the_heads() {
    let trail = Trail::written().await;
    let found = trail.report(|files| *files = forged(&trail)).faults;
    assert_eq!(found.len(), 1, "{found:?}");
    let told = found.first().unwrap().to_string();
    assert!(
        told.starts_with("heads.jsonl, record 3: it was signed over other records; something changed from"),
        "{told}"
    );
    // Without the heads nothing is covered, and the notes of them in the trail tell that they are gone.
    let found = trail.report(|files| {
        *files = forged(&trail);
        files.remove("heads.jsonl");
    });
    for cause in
        ["it is gone, and keys.json is there", "no head was signed", "notes head 2, which heads.jsonl does not have"]
    {
        assert!(found.faults.iter().any(|fault| fault.cause.contains(cause)), "{cause}: {:?}", found.faults);
    }
}

#[tokio::test]
async fn a_head_that_was_edited_signed_by_others_or_put_back_is_found() {
    let trail = Trail::written().await;
    let text = String::from_utf8(trail.files["heads.jsonl"].clone()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 5);
    let with = |text: String| trail.found(|files| drop(files.insert("heads.jsonl".to_owned(), text.into_bytes())));
    let line = |signed: &str| format!("{{\"head\":\"{signed}\"}}\n");
    let [first @ .., _] = lines.as_slice() else { unreachable!("there are five heads") };
    let claims = |root: &str| {
        let (number, size, previous) = (trail.last.number, trail.last.size, &trail.last.previous);
        json!({"iss": trail.last.trail, "number": number, "size": size, "root": root, "chain": trail.last.chain,
            "previous": previous, "iat": trail.last.at.seconds()})
    };
    let stranger = encode(HEAD_TYPE, &claims(&trail.last.root), None, &*key()).unwrap();
    assert!(with(first.concat() + &line(&stranger)).unwrap().contains("not one of a known key"));
    let lie = encode(HEAD_TYPE, &claims(&hex(&FIRST)), None, &*trail.key).unwrap();
    assert!(with(first.concat() + &line(&lie)).unwrap().contains("signed over other records"));
    let other = encode("at+jwt", &claims(&trail.last.root), None, &*trail.key).unwrap();
    assert!(with(first.concat() + &line(&other)).unwrap().contains("it is no head"));
    for gone in 0..4 {
        let mut rest = lines.clone();
        rest.remove(gone);
        assert!(with(rest.concat()).is_some(), "head {gone} is gone");
        assert!(with(lines[..gone].concat()).is_some(), "the heads are those of before");
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    assert!(with(swapped.concat()).is_some());
    assert!(with(lines.concat() + lines[4]).is_some());
}

#[tokio::test]
async fn a_trail_put_back_whole_with_its_heads_is_found_by_a_head_that_was_kept_elsewhere() {
    let (folder, key) = (Folder::new(), key());
    let options = || Options::plain(Clock::manual(NOW)).signed_by(Arc::clone(&key) as Arc<dyn HeadSigner>);
    let audit = Audit::open(&folder.0, options()).unwrap();
    audit.record_durably(record("a")).await.unwrap();
    drop(audit);
    let before = files(&folder);
    let audit = Audit::open(&folder.0, options()).unwrap();
    audit.record_durably(record("b")).await.unwrap();
    let kept = audit.sign().await.unwrap();
    drop(audit);
    let trust = |signed: &str| Trust { keys: vec![], heads: vec![("kept.jws".to_owned(), signed.to_owned())] };
    assert_eq!(inspect(&folder.0, &trust(&format!("{}\n", kept.signed))).faults, vec![]);
    for (name, bytes) in &before {
        fs::write(folder.0.join(name), bytes).unwrap();
    }
    assert_eq!(inspect(&folder.0, &Trust::default()).faults, vec![], "nothing in the folder can tell");
    let found = inspect(&folder.0, &trust(&kept.signed)).faults;
    assert_eq!(found.first().unwrap().to_string(), "kept.jws: it was signed over 3 records; the last 2 are missing");
    assert!(inspect(&folder.0, &trust("nonsense")).faults.first().unwrap().cause.contains("no head"));
    // A trail that went another way after the head is found as well.
    let audit = Audit::open(&folder.0, options()).unwrap();
    for name in ["x", "y", "z"] {
        audit.record_durably(record(name)).await.unwrap();
    }
    drop(audit);
    let found = inspect(&folder.0, &trust(&kept.signed)).faults;
    assert!(found.first().unwrap().to_string().starts_with("kept.jws: it was signed over other records"), "{found:?}");
}

#[tokio::test]
async fn no_more_faults_are_told_than_can_be_read() {
    let trail = Trail::written().await;
    let report = trail.report(|files| {
        for number in 2..=4 {
            let bytes = files.get_mut(&segment(number)).unwrap();
            for place in frames(&bytes.clone()) {
                bytes[place.start + 40] ^= 1;
            }
        }
        let line = files["heads.jsonl"].clone();
        files.insert("heads.jsonl".to_owned(), line.repeat(100));
    });
    assert_eq!(report.faults.len(), 100);
}
