//! Reads what is to be sent, and holds every record to the one before.

use std::path::{Path, PathBuf};

use policies::code::Outage;
use policies::merkle::Hash;

use super::cursor::{Cursor, refused};
use super::port::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Shipped, TrailId};
use crate::audit::frame::{FIRST, chained, hex};
use crate::audit::read::{Entry, Reader, Records};

/// Records that go together, and the cursor once they are there.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Shipped>,
    pub(super) end: Cursor,
    /// How long the payloads are together.
    pub(super) bytes: u64,
}

/// The trail from somewhere on.
#[derive(Debug)]
pub(super) struct Source {
    trail: TrailId,
    /// Open between batches, so that a segment is read once.
    records: Records,
    /// Read, and too long for the batch before.
    held: Option<Entry>,
    /// The last record that was given.
    read: u64,
    chain: String,
    behind: u64,
    cursor_path: PathBuf,
}

impl Source {
    /// Opens the trail in `dir`, whose last record is `durable`, behind what the cursor in `path` says.
    pub(super) fn open(dir: &Path, path: &Path, durable: u64) -> Result<Self, Outage> {
        let reader = Reader::open(dir)?;
        let trail = reader.trail_id()?.ok_or_else(|| Outage::new("audit", "the trail has no segment"))?;
        let (read, chain) = match Cursor::read(path)? {
            None => (0, hex(&FIRST)),
            Some(cursor) if cursor.trail != trail.to_string() => {
                return Err(refused(path, &format!("it is of trail {}, and this is trail {trail}", cursor.trail)));
            }
            Some(cursor) if cursor.sequence > durable => {
                let cause = format!("it says that record {} was sent, and the last is {durable}", cursor.sequence);
                return Err(refused(path, &cause));
            }
            Some(cursor) => (cursor.sequence, cursor.chain),
        };
        let records = reader.from(read.saturating_add(1));
        Ok(Self { trail, records, held: None, read, chain, behind: 0, cursor_path: path.to_owned() })
    }

    /// Returns the number of the last record that was given, or stood in the cursor.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Returns how many bytes of files stood behind that when it was given.
    pub(super) fn behind(&self) -> u64 {
        self.behind
    }

    /// Looks again how many bytes stand behind that.
    pub(super) fn measured(mut self) -> Result<Self, Outage> {
        self.behind = self.records.behind()?;
        Ok(self)
    }

    /// Reads the next batch, up to the record `durable`; `None` if there is nothing.
    pub(super) fn batch(&mut self, place: &str, durable: u64) -> Result<Option<Batch>, Outage> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while self.read < durable && records.len() < BATCH_RECORDS_MAX {
            let Some(entry) = self.held.take().map(Ok).or_else(|| self.records.next()).transpose()? else { break };
            let too_long = !records.is_empty() && bytes + entry.payload.len() > BATCH_BYTES_MAX;
            if entry.sequence > durable || too_long {
                self.held = Some(entry);
                break;
            }
            self.follow(place, &entry)?;
            bytes += entry.payload.len();
            records.push(Shipped { trail: self.trail, sequence: entry.sequence, payload: entry.payload });
        }
        self.behind = self.records.behind()?;
        let end = Cursor { trail: self.trail.to_string(), sequence: self.read, chain: self.chain.clone() };
        Ok((!records.is_empty()).then_some(Batch { records, end, bytes: bytes as u64 }))
    }

    fn follow(&mut self, place: &str, entry: &Entry) -> Result<(), Outage> {
        let chain = hex(&entry.chain);
        let expected = self.read.saturating_add(1);
        if entry.sequence > expected {
            let gone = entry.sequence - expected;
            tracing::error!(
                "{gone} audit records from {expected} on were over their retention before {place} got them"
            );
        } else if unhex(&self.chain).is_none_or(|before| chained(&before, &entry.leaf) != entry.chain) {
            return Err(refused(&self.cursor_path, "the trail does not go on from where it says"));
        }
        (self.read, self.chain) = (entry.sequence, chain);
        Ok(())
    }
}

fn unhex(text: &str) -> Option<Hash> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
