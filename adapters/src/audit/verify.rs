//! Checks a trail from its first record to its last, and every head against it.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use policies::jose::VerifyingKey;
use policies::merkle::Hash;
use policies::time::Timestamp;
use serde_json::Value;

use super::anchor::cursors;
use super::broken::Broken;
use super::folder::{Piece, pieces, shown, strays};
use super::frame::{FRAME_BYTES_MAX, Frame, Link, NoFrame, Shape, TrailId, chained, hex};
use super::heads::{HEADS, Head, KEYS, LINE_BYTES_MAX, UNCOVERED_MAX, keys, unline};
use super::legacy;
use super::prove::leaf_file;
use super::read::instant;
use super::record::{Noted, noted};
use crate::clock::Clock;

/// As many faults as are told: who has found so many needs no more.
const FAULTS_MAX: usize = 100;

/// What is believed besides the trail itself.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The published keys; the last head has to be signed with one of them, and no record may be without a head for long.
    /// Empty: whoever signed is believed, and that nobody did.
    pub keys: Vec<VerifyingKey>,
    /// Heads that were kept elsewhere, each with a name for people.
    pub heads: Vec<(String, String)>,
}

/// What was found in a trail.
#[derive(Debug, Clone)]
pub struct Report {
    /// The name of the trail, once it has one.
    pub trail: Option<TrailId>,
    /// How many records there are, those among them that were let go.
    pub records: u64,
    /// How many were let go, so that only the hashes of their leaves remain.
    pub let_go: u64,
    /// How many heads.
    pub heads: u64,
    /// How many records the last head was signed over.
    pub covered: u64,
    /// The root of the tree over all records.
    pub root: Hash,
    /// The hash of the chain up to the last.
    pub chain: Hash,
    /// How many lines of an older form stand beside it.
    pub old_lines: u64,
    /// What is wrong, in the order it was met; at most a hundred.
    pub faults: Vec<Broken>,
}

/// Checks the trail in `dir` and returns how many records it has.
///
/// # Errors
/// The first fault that [`inspect`] finds.
pub fn verify(dir: &Path) -> Result<u64, Broken> {
    let mut report = inspect(dir, &Trust::default());
    if report.faults.is_empty() { Ok(report.records) } else { Err(report.faults.remove(0)) }
}

/// Checks every record and every head of the trail in `dir`; it may be written at the same time.
#[must_use]
pub fn inspect(dir: &Path, trust: &Trust) -> Report {
    let mut inspection = Inspection::new(dir);
    let known = keys(dir).unwrap_or_else(|error| {
        inspection.fault(Broken { file: KEYS.to_owned(), record: 0, cause: error.to_string() });
        Vec::new()
    });
    inspection.read_heads(&known, trust);
    if !known.is_empty() && !dir.join(HEADS).exists() {
        inspection.fault(Broken {
            file: HEADS.to_owned(),
            record: 0,
            cause: format!("it is gone, and {KEYS} is there"),
        });
    }
    inspection.read_cursors();
    match pieces(dir) {
        Ok(pieces) => inspection.pieces(&pieces),
        Err(error) => inspection.fault(Broken::file(dir, &error.to_string())),
    }
    match strays(dir) {
        Ok(paths) => {
            paths.iter().for_each(|path| inspection.fault(Broken::file(path, "no file of a trail has this name")))
        }
        Err(error) => inspection.fault(Broken::file(dir, &error.to_string())),
    }
    inspection.uncovered(&known, trust);
    inspection.end()
}

/// A head that the records are held against, or how far a place has got.
struct Told {
    /// `heads.jsonl`, or the name of one that was kept elsewhere, or of a cursor.
    file: String,
    line: u64,
    size: u64,
    /// A cursor knows only the chain.
    root: Option<String>,
    chain: String,
    trail: String,
}

struct Inspection<'a> {
    dir: &'a Path,
    link: Link,
    trail: Option<TrailId>,
    let_go: u64,
    faults: Vec<Broken>,
    /// By size; those that were met are taken off the end.
    told: Vec<Told>,
    /// Hashes of the heads of `heads.jsonl`, in their order.
    heads: Vec<Hash>,
    covered: u64,
    /// The number and the hash of heads that records note, and the file does not have.
    missing: Vec<(Broken, String)>,
    /// The size of the last head that fitted.
    fitted: u64,
    /// A head did not fit: those behind it would not either.
    misfit: bool,
    /// The oldest record behind the last head, and the newest of all.
    oldest: Option<(Timestamp, u64)>,
    newest: Option<Timestamp>,
    /// The last segment of which only leaves remain, and its last record.
    leaves: Option<(Piece, u64)>,
    /// Up to which segment and record the trail itself says that it let go.
    noted_let_go: Option<(u64, u64)>,
    /// Records in frames were met.
    framed: bool,
}

impl<'a> Inspection<'a> {
    fn new(dir: &'a Path) -> Self {
        Self {
            dir,
            link: Link::first(),
            trail: None,
            let_go: 0,
            faults: Vec::new(),
            told: Vec::new(),
            heads: Vec::new(),
            covered: 0,
            missing: Vec::new(),
            fitted: 0,
            misfit: false,
            oldest: None,
            newest: None,
            leaves: None,
            noted_let_go: None,
            framed: false,
        }
    }

    fn fault(&mut self, fault: Broken) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    fn read_heads(&mut self, known: &[VerifyingKey], trust: &Trust) {
        let all: Vec<&VerifyingKey> = known.iter().chain(&trust.keys).collect();
        let signed = |head: &Head| all.iter().any(|key| key.kid() == Some(&head.kid) && head.is_signed_with(key));
        let mut before: Option<Head> = None;
        let result = lines(&self.dir.join(HEADS), |number, line| {
            let at = |cause: &str| Broken { file: HEADS.to_owned(), record: number, cause: cause.to_owned() };
            let Some(head) = line.and_then(unline) else {
                self.fault(at("it is no head"));
                return;
            };
            let (count, hash) = before.as_ref().map_or((1, [0; 32]), |head| (head.number + 1, head.hash()));
            if !signed(&head) {
                self.fault(at("its signature is not one of a known key"));
            } else if head.number != count || head.previous != hex(&hash) {
                self.fault(at("it does not follow from the head before"));
            } else if before.as_ref().is_some_and(|before| before.size >= head.size) {
                self.fault(at("it covers no more than the head before"));
            }
            self.heads.push(head.hash());
            self.covered = head.size;
            self.told.push(told(HEADS, number, &head));
            before = Some(head);
        });
        if let Err(error) = result {
            self.fault(Broken { file: HEADS.to_owned(), record: 0, cause: error.to_string() });
        }
        let published =
            |head: &Head| trust.keys.iter().any(|key| key.kid() == Some(&head.kid) && head.is_signed_with(key));
        if !trust.keys.is_empty() && before.as_ref().is_some_and(|head| !published(head)) {
            let cause = "the last head is signed with a key that is not published";
            self.fault(Broken { file: HEADS.to_owned(), record: self.heads.len() as u64, cause: cause.to_owned() });
        }
        for (name, text) in &trust.heads {
            let wrong = |cause: &str| Broken { file: name.clone(), record: 0, cause: cause.to_owned() };
            match Head::parse(text.trim()).or_else(|| unline(text.trim())) {
                None => self.fault(wrong("it is no head")),
                Some(head) if !signed(&head) => self.fault(wrong("its signature is not one of a known key")),
                Some(head) => self.told.push(told(name, 0, &head)),
            }
        }
    }

    /// What was sent on has to be there: whoever writes the trail anew has to think of the cursors too.
    fn read_cursors(&mut self) {
        let names = cursors(self.dir).unwrap_or_default();
        for file in names {
            // Whoever verifies a copy need not own it as the gateway does.
            let mut text = Vec::new();
            let open = File::open(self.dir.join(&file));
            let read = open.and_then(|open| open.take(LINE_BYTES_MAX as u64).read_to_end(&mut text));
            let value: Option<Value> = read.ok().and_then(|_| serde_json::from_slice(&text).ok());
            let word = |name| Some(value.as_ref()?.get(name)?.as_str()?.to_owned());
            let size = value.as_ref().and_then(|value| value.get("sequence")?.as_u64()).filter(|size| *size > 0);
            match (word("trail"), word("chain"), size) {
                (Some(trail), Some(chain), Some(size)) => {
                    self.told.push(Told { file, line: 0, size, root: None, chain, trail });
                }
                _ => self.fault(Broken { file, record: 0, cause: "it is no cursor".to_owned() }),
            }
        }
        self.told.sort_by_key(|told| Reverse(told.size));
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        let mut expected = 1;
        for (index, piece) in pieces.iter().enumerate() {
            if piece.number != expected {
                let cause = format!("segment {expected} before it is missing");
                self.fault(Broken::file(&piece.path, &cause));
            }
            expected = piece.number + 1;
            if let Err(fault) = self.piece(piece, index + 1 == pieces.len()) {
                self.fault(fault);
            }
        }
    }

    fn piece(&mut self, piece: &Piece, last: bool) -> Result<(), Broken> {
        let unreadable = |error: io::Error| Broken::file(&piece.path, &error.to_string());
        let (file, header, start) = piece.open().map_err(unreadable)?;
        if header.number != piece.number {
            self.fault(Broken::file(&piece.path, "it is another segment than its name says"));
        }
        if *self.trail.get_or_insert(header.trail) != header.trail {
            self.fault(Broken::file(&piece.path, "it belongs to another trail"));
        }
        if header.link != self.link {
            self.fault(Broken::file(&piece.path, "it does not follow from the segment before"));
            // From here on what it says itself, so that what is wrong behind is found too.
            self.link = header.link;
        }
        if piece.shape == Shape::Leaves {
            let leaves = leaf_file(file, start).map_err(unreadable)?;
            self.let_go += leaves.len() as u64;
            if self.framed {
                self.fault(Broken::file(&piece.path, "it was let go, and a segment before it was not"));
            }
            if last {
                self.fault(Broken::file(&piece.path, "it was let go, and the segment behind it is missing"));
            }
            for leaf in leaves {
                self.link.follow(&leaf);
                self.met();
            }
            self.leaves = Some((piece.clone(), self.link.tree.size()));
            return Ok(());
        }
        self.framed = true;
        self.frames(piece, file, start, last)
    }

    fn frames(&mut self, piece: &Piece, file: File, start: u64, last: bool) -> Result<(), Broken> {
        use std::io::{Seek as _, SeekFrom};
        let unreadable = |error: io::Error| Broken::file(&piece.path, &error.to_string());
        let mut file = file;
        file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        let mut ready: Vec<u8> = Vec::new();
        loop {
            let count = (&mut file).take(FRAME_BYTES_MAX as u64 * 8).read_to_end(&mut ready).map_err(unreadable)?;
            let mut at = 0;
            loop {
                let number = self.link.next();
                let wrong = |cause: &str| Broken { file: shown(&piece.path), record: number, cause: cause.to_owned() };
                match Frame::decode(ready.get(at..).unwrap_or_default()) {
                    Ok((frame, length)) => {
                        self.frame(&frame, wrong);
                        at += length;
                    }
                    Err(NoFrame::Torn) if count > 0 || at == ready.len() => break,
                    Err(NoFrame::Torn) if last && written_now(self.dir) => break,
                    Err(NoFrame::Torn) => return Err(wrong("it is not whole")),
                    Err(NoFrame::Bad(cause)) => return Err(wrong(cause)),
                }
            }
            ready.drain(..at);
            if count == 0 {
                return Ok(());
            }
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, wrong: impl Fn(&str) -> Broken) {
        let fits = chained(&self.link.chain, &frame.leaf) == frame.chain;
        if !fits {
            self.fault(wrong("it was changed, or is not the one that stood here"));
        } else if instant(frame.payload).is_none() {
            self.fault(wrong("it does not begin with its time"));
        }
        self.link.follow(&frame.leaf);
        // Of a record that was changed, those behind it know nothing.
        self.link.chain = frame.chain;
        let at = instant(frame.payload);
        self.newest = self.newest.max(at);
        let size = self.link.tree.size();
        if let Some(at) = at.filter(|at| size > self.covered && self.oldest.is_none_or(|(oldest, _)| *at < oldest)) {
            self.oldest = Some((at, size));
        }
        self.note(frame.payload, wrong);
        self.met();
    }

    fn note(&mut self, payload: &[u8], wrong: impl Fn(&str) -> Broken) {
        match noted(payload) {
            Some(Noted::Head { number, hash }) => {
                let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
                if self.heads.get(place).is_none_or(|head| hex(head) != hash) {
                    let cause = format!("it notes head {number}, which {HEADS} does not have");
                    self.missing.push((wrong(&cause), hash));
                    self.missing.truncate(FAULTS_MAX);
                }
            }
            Some(Noted::LetGo { segment, sequence }) => {
                self.noted_let_go = self.noted_let_go.max(Some((segment, sequence)));
            }
            Some(Noted::Late { first, last }) => {
                let cause =
                    format!("records {first} to {last} had no head in time; what they were before, nobody knows");
                self.fault(wrong(&cause));
            }
            None => {}
        }
    }

    /// Looks for records that no head covers, though one is signed each minute: without a key, nobody can write the past
    /// anew and have it signed.
    fn uncovered(&mut self, known: &[VerifyingKey], trust: &Trust) {
        if trust.keys.is_empty() {
            return;
        }
        // A trail that is written may have got heads while it was read.
        let all: Vec<&VerifyingKey> = known.iter().chain(&trust.keys).collect();
        let mut covered = self.covered;
        let read = lines(&self.dir.join(HEADS), |number, line| {
            let head = line.filter(|_| number > self.heads.len() as u64).and_then(unline);
            let signed = |head: &Head| all.iter().any(|key| key.kid() == Some(&head.kid) && head.is_signed_with(key));
            covered = head.filter(signed).map_or(covered, |head| covered.max(head.size));
        });
        let (Some(newest), Some((oldest, number)), Ok(())) = (self.newest, self.oldest, read) else { return };
        let file = HEADS.to_owned();
        if covered == 0 {
            let now = Clock::system().now();
            if now.since(newest).max(newest.since(now)) > UNCOVERED_MAX || newest.since(oldest) > UNCOVERED_MAX {
                let cause = "no head was signed over any record".to_owned();
                self.fault(Broken { file, record: 0, cause });
            }
        } else if number > covered && newest.since(oldest) > UNCOVERED_MAX {
            let cause = format!("no head covers record {number}, though newer ones have stood behind it for minutes");
            self.fault(Broken { file, record: 0, cause });
        }
    }

    /// Holds the heads against the tree that were signed when it had as many records as now.
    fn met(&mut self) {
        let size = self.link.tree.size();
        while self.told.last().is_some_and(|told| told.size <= size) {
            let Some(told) = self.told.pop() else { return };
            let ours = self.trail.is_some_and(|trail| told.trail == trail.to_string());
            let root = told.root.as_ref().is_none_or(|root| *root == hex(&self.link.tree.root()));
            let fits = told.size == size && root && told.chain == hex(&self.link.chain);
            if ours && fits {
                self.fitted = size;
            } else if told.root.is_none() {
                let cause = format!("what was sent on up to record {} is not what stands here", told.size);
                self.fault(Broken { file: told.file, record: 0, cause });
            } else if !self.misfit {
                self.misfit = true;
                let cause = match ours {
                    true => format!(
                        "it was signed over other records; something changed from {} to {size}",
                        self.fitted + 1
                    ),
                    false => "it is a head of another trail".to_owned(),
                };
                self.fault(Broken { file: told.file, record: told.line, cause });
            }
        }
    }

    fn end(mut self) -> Report {
        let records = self.link.tree.size();
        // The one that misses most.
        if let Some(told) = self.told.first() {
            let missing = told.size - records;
            let how = if told.root.is_some() { "signed over" } else { "sent on with" };
            let cause = format!("it was {how} {} records; the last {missing} are missing", told.size);
            let fault = Broken { file: told.file.clone(), record: told.line, cause };
            self.fault(fault);
        }
        if let Some((piece, last)) = self.leaves.take() {
            let told = self.noted_let_go.is_some_and(|(segment, sequence)| match segment == piece.number {
                true => sequence == last,
                false => segment > piece.number && sequence >= last,
            });
            if !told {
                self.fault(Broken::file(&piece.path, "no record that remains tells that it was let go"));
            }
        }
        if !self.missing.is_empty() {
            // A trail that is written may have got heads while it was read.
            let mut now = HashSet::new();
            let read =
                lines(&self.dir.join(HEADS), |_, line| now.extend(line.and_then(unline).map(|head| hex(&head.hash()))));
            let missing = std::mem::take(&mut self.missing);
            for (fault, hash) in missing {
                if read.is_err() || !now.contains(&hash) {
                    self.fault(fault);
                }
            }
        }
        let old = legacy::verify(self.dir).unwrap_or_else(|fault| {
            self.fault(fault);
            None
        });
        Report {
            trail: self.trail,
            records,
            let_go: self.let_go,
            heads: self.heads.len() as u64,
            covered: self.covered,
            root: self.link.tree.root(),
            chain: self.link.chain,
            old_lines: old.map_or(0, |end| end.lines),
            faults: self.faults,
        }
    }
}

fn told(file: &str, line: u64, head: &Head) -> Told {
    let (root, chain, trail) = (Some(head.root.clone()), head.chain.clone(), head.trail.clone());
    Told { file: file.to_owned(), line, size: head.size, root, chain, trail }
}

/// Goes through the lines of a file, each with its number; one that is not whole or no text is told as `None`.
fn lines(path: &Path, mut each: impl FnMut(u64, Option<&str>)) -> Result<(), io::Error> {
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for number in 1.. {
        let mut line = Vec::new();
        (&mut file).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        each(number, line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok()));
    }
    Ok(())
}

/// Tells whether a process writes to the trail now: what is not whole yet may become so.
fn written_now(dir: &Path) -> bool {
    let lock = OpenOptions::new().append(true).open(dir.join("lock"));
    lock.is_ok_and(|lock| lock.try_lock().is_err())
}
