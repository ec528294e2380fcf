//! Reads a trail, record by record, also while it is being written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use policies::code::Outage;
use policies::merkle::Hash;
use policies::time::Timestamp;
use serde_json::Value;

use super::folder::{Piece, broken, pieces};
pub use super::frame::TrailId;
use super::frame::{Frame, LEAD_BYTES, NoFrame, Shape, chained, hex};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// One record of the trail, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1 on, without gaps.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Its text: one JSON object.
    pub payload: Bytes,
    /// Its leaf in the tree: SHA-256 of a zero byte and the text.
    pub leaf: Hash,
    /// The hash of the chain before it.
    pub previous: Hash,
    /// The hash of the chain up to and with it.
    pub chain: Hash,
}

impl Entry {
    /// Reads the record, with its `sequence`, and the hash of the chain before and with it (`previous`, `hash`).
    ///
    /// # Errors
    /// An [`Outage`] if it is no JSON object.
    pub fn to_value(&self) -> Result<Value, Outage> {
        let mut value: Value = serde_json::from_slice(&self.payload).map_err(|_| outage("a record is not JSON"))?;
        let members = value.as_object_mut().ok_or_else(|| outage("a record is no object"))?;
        members.insert("sequence".to_owned(), Value::from(self.sequence));
        members.insert("previous".to_owned(), Value::from(hex(&self.previous)));
        members.insert("hash".to_owned(), Value::from(hex(&self.chain)));
        Ok(value)
    }
}

/// A way to read the trail of a folder.
#[derive(Debug, Clone)]
pub struct Reader {
    dir: PathBuf,
}

impl Reader {
    /// Looks at the trail in `dir`, which may be written at the same time; there may be nothing in it yet.
    ///
    /// # Errors
    /// An [`Outage`] if the folder cannot be read.
    pub fn open(dir: &Path) -> Result<Self, Outage> {
        pieces(dir).map_err(outage)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Returns the name of the trail; `None` until its first record is written.
    ///
    /// # Errors
    /// An [`Outage`] if a segment cannot be read.
    pub fn trail_id(&self) -> Result<Option<TrailId>, Outage> {
        let pieces = pieces(&self.dir).map_err(outage)?;
        let header = pieces.first().map(|piece| piece.open().map(|(_, header, _)| header.trail)).transpose();
        header.map_err(outage)
    }

    /// Reads records from this number on, or from the first that is still kept.
    ///
    /// Blocks on the disk. Gives `None` where the trail ends now; asked again later, it goes on.
    #[must_use]
    pub fn from(&self, sequence: u64) -> Records {
        Records { dir: self.dir.clone(), from: sequence.max(1), open: None, failed: false }
    }

    /// Reads the last `count` records and those that come after.
    ///
    /// # Errors
    /// An [`Outage`] if a segment cannot be read.
    pub fn last(&self, count: u64) -> Result<Records, Outage> {
        Ok(self.from(self.size()?.saturating_sub(count).saturating_add(1)))
    }

    /// Reads the last `count` records, oldest first, each with its `sequence`, and the hash of the chain before and with
    /// it (`previous`, `hash`).
    ///
    /// # Errors
    /// An [`Outage`] if the trail cannot be read.
    pub fn tail(&self, count: usize) -> Result<Vec<Value>, Outage> {
        let mut found = Vec::new();
        for entry in self.last(count as u64)? {
            found.push(entry?.to_value()?);
        }
        // More may have been written since they were counted.
        Ok(found.split_off(found.len().saturating_sub(count)))
    }

    /// Tells how many records were written until now.
    ///
    /// # Errors
    /// An [`Outage`] if the last segment cannot be read.
    pub fn size(&self) -> Result<u64, Outage> {
        let pieces = pieces(&self.dir).map_err(outage)?;
        let Some(last) = pieces.last() else { return Ok(0) };
        let mut segment = Segment::open(last).map_err(outage)?;
        if last.shape == Shape::Leaves {
            let bytes = segment.file.metadata().map_err(outage)?.len();
            return Ok(segment.next - 1 + bytes.saturating_sub(segment.at) / 32);
        }
        while segment.step().map_err(outage)?.is_some() {}
        Ok(segment.next - 1)
    }
}

/// Records in their order; an error ends them.
#[derive(Debug)]
pub struct Records {
    dir: PathBuf,
    from: u64,
    open: Option<Segment>,
    failed: bool,
}

impl Records {
    /// Tells how many bytes of files stand behind what was given, as they are now.
    ///
    /// # Errors
    /// An [`Outage`] if the folder cannot be read.
    pub fn behind(&self) -> Result<u64, Outage> {
        let (number, given) =
            self.open.as_ref().map_or((0, 0), |segment| (segment.number, segment.at - segment.ready.len() as u64));
        let mut bytes: u64 = 0;
        for piece in pieces(&self.dir).map_err(outage)? {
            if piece.number >= number && piece.shape == Shape::Frames {
                bytes += std::fs::metadata(&piece.path).map_err(outage)?.len();
            }
        }
        Ok(bytes.saturating_sub(given))
    }

    fn step(&mut self) -> Result<Option<Entry>, io::Error> {
        loop {
            let Some(segment) = &mut self.open else {
                let Some(piece) = self.containing()? else { return Ok(None) };
                self.open = Some(Segment::open(&piece)?);
                continue;
            };
            if let Some(entry) = segment.step()? {
                if entry.sequence >= self.from {
                    return Ok(Some(entry));
                }
                continue;
            }
            // The end of this segment: of the trail too, unless the next one was begun.
            let number = segment.number + 1;
            let next = pieces(&self.dir)?.into_iter().find(|piece| piece.number == number);
            let Some(next) = next else { return Ok(None) };
            // What was written to this one between the two looks comes first.
            if let Some(entry) = segment.step()? {
                if entry.sequence >= self.from {
                    return Ok(Some(entry));
                }
                continue;
            }
            let (sequence, chain) = (segment.next, segment.chain);
            let begun = Segment::open(&next)?;
            if (begun.next, begun.chain) != (sequence, chain) {
                return Err(broken(&next.path, "it does not follow from the segment before"));
            }
            self.open = Some(begun);
        }
    }

    /// Finds the segment with the record that is asked for, or the first that is kept.
    fn containing(&self) -> Result<Option<Piece>, io::Error> {
        let mut found = None;
        for piece in pieces(&self.dir)?.into_iter().filter(|piece| piece.shape == Shape::Frames).rev() {
            let (_, header, _) = piece.open()?;
            let first = header.first();
            found = Some(piece);
            if first <= self.from {
                break;
            }
        }
        Ok(found)
    }
}

impl Iterator for Records {
    type Item = Result<Entry, Outage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step().map_err(outage);
        self.failed = step.is_err();
        step.transpose()
    }
}

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    number: u64,
    file: File,
    /// Where in the file `ready` ends.
    at: u64,
    ready: BytesMut,
    next: u64,
    chain: Hash,
}

impl Segment {
    pub(super) fn open(piece: &Piece) -> Result<Self, io::Error> {
        let (file, header, at) = piece.open()?;
        let (next, chain) = (header.first(), header.link.chain);
        let ready = BytesMut::new();
        Ok(Self { path: piece.path.clone(), number: piece.number, file, at, ready, next, chain })
    }

    pub(super) fn step(&mut self) -> Result<Option<Entry>, io::Error> {
        loop {
            let (leaf, chain, payload_bytes, length) = match Frame::decode(&self.ready) {
                Ok((frame, length)) => (frame.leaf, frame.chain, frame.payload.len(), length),
                Err(NoFrame::Bad(cause)) => return Err(self.refused(cause)),
                Err(NoFrame::Torn) => {
                    if self.fill()? > 0 {
                        continue;
                    }
                    // Read anew next time: a writer whose disk was full may have cut off what is half there.
                    self.at -= self.ready.len() as u64;
                    self.ready.clear();
                    return Ok(None);
                }
            };
            if chained(&self.chain, &leaf) != chain {
                return Err(self.refused("it does not follow from the record before"));
            }
            let mut payload = self.ready.split_to(length).freeze().split_off(LEAD_BYTES);
            payload.truncate(payload_bytes);
            let at = instant(&payload).ok_or_else(|| self.refused("it does not begin with its time"))?;
            let sequence = self.next;
            let previous = std::mem::replace(&mut self.chain, chain);
            self.next = sequence.saturating_add(1);
            return Ok(Some(Entry { sequence, at, payload, leaf, previous, chain }));
        }
    }

    fn fill(&mut self) -> Result<usize, io::Error> {
        let before = self.ready.len();
        self.ready.resize(before + READ_BYTES, 0);
        let read = self.file.seek(SeekFrom::Start(self.at)).and_then(|_| {
            let room = self.ready.get_mut(before..).unwrap_or_default();
            self.file.read(room)
        });
        let count = *read.as_ref().unwrap_or(&0);
        self.ready.truncate(before + count);
        self.at += count as u64;
        read
    }

    fn refused(&self, cause: &str) -> io::Error {
        broken(&self.path, &format!("record {}: {cause}", self.next))
    }
}

/// What every payload begins with.
pub(super) const AT: &[u8] = b"{\"at\":\"";

/// Reads the time at the beginning of a payload: `2026-11-22T10:05:00.250Z`.
pub(super) fn instant(payload: &[u8]) -> Option<Timestamp> {
    let text = payload.strip_prefix(AT)?.split(|byte| *byte == b'"').next()?;
    parse_instant(std::str::from_utf8(text).ok()?)
}

/// Reads a time as [`Timestamp`] writes it, or only its day.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    if !text.contains('T') {
        return Timestamp::from_date(text);
    }
    // Whole seconds or whole milliseconds, in UTC: what records hold, and nothing else that RFC 3339 allows.
    let ours = text.ends_with('Z') && matches!(text.len(), SECONDS_LENGTH | MILLIS_LENGTH);
    Some(text).filter(|_| ours).and_then(Timestamp::parse)
}

/// The length of `2026-11-22T10:05:00Z`.
const SECONDS_LENGTH: usize = 20;

/// The length of `2026-11-22T10:05:00.250Z`.
const MILLIS_LENGTH: usize = 24;

fn outage(error: impl ToString) -> Outage {
    Outage::new("audit", error.to_string())
}
