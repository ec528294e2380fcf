//! The audit trail: an append-only log whose lines are chained by hash, written by a thread of its own.
//!
//! A line is one JSON object. Its `previous` is the `hash` of the line before, and its `hash`, always last, is SHA-256 over
//! the bytes of the line up to the comma before `"hash"`. So a line that was changed, left out or put in is found by
//! [`verify`]; lines cut off at the very end are not, unless the last hash was told to somebody else.

mod broken;
mod files;
mod folder;
mod frame;
mod line;
pub mod read;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use policies::audit::Record;
use policies::code::Outage;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use self::broken::Broken;
use self::files::Log;
use self::writer::{Entry, SYNC_WAIT, Writer};
use crate::store::port::Answer;

/// The way into the audit trail; clones lead into the same one, and when the last is dropped all is written out.
#[derive(Debug, Clone)]
pub struct Audit {
    writer: Arc<Writer>,
    dir: PathBuf,
}

impl Audit {
    /// Opens the trail in `dir`, or begins one; a torn last line is cut off, as it was never promised.
    ///
    /// # Errors
    /// An [`Outage`] if the directory cannot be written, another process writes to it, or its last line is broken.
    pub fn open(dir: &Path) -> Result<Self, Outage> {
        let log = Log::open(dir).map_err(|error| Outage::new("audit", error))?;
        let writer = Writer::start(log).map_err(|error| Outage::new("audit", error))?;
        Ok(Self { writer: Arc::new(writer), dir: dir.to_owned() })
    }

    /// Hands over a record to be written when the thread gets to it; never waits.
    ///
    /// # Errors
    /// An [`Outage`] if the queue is full; the record is lost then, and counted.
    pub fn record(&self, record: Record) -> Result<(), Outage> {
        self.writer.put(Entry::Record(Box::new(record)))
    }

    /// Writes a record, and answers when it is on the disk.
    ///
    /// # Errors
    /// In the answer, an [`Outage`] if it is not known to be there.
    #[must_use]
    pub fn record_durably(&self, record: Record) -> Answer<'_, ()> {
        Box::pin(self.durable(|answer| Entry::Durable(Box::new(record), answer)))
    }

    /// Answers when everything handed over before is on the disk.
    #[must_use]
    pub fn flush(&self) -> Answer<'_, ()> {
        Box::pin(self.durable(Entry::Flush))
    }

    /// Returns how many records were lost since the trail was opened, to a full queue or a disk that refused them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.writer.lost().load(Ordering::Relaxed)
    }

    /// Reads the last `lines_max` records, oldest first; blocks on the disk, so not for a serving thread.
    ///
    /// # Errors
    /// An [`Outage`] if the trail cannot be read.
    pub fn tail(&self, lines_max: usize) -> Result<Vec<serde_json::Value>, Outage> {
        let lines = files::tail(&self.dir, lines_max).map_err(|error| Outage::new("audit", error))?;
        let values = lines.iter().map(|line| serde_json::from_slice(line)).collect::<Result<_, _>>();
        values.map_err(|_| Outage::new("audit", "a line is not JSON"))
    }

    async fn durable(&self, entry: impl FnOnce(oneshot::Sender<Result<(), Outage>>) -> Entry) -> Result<(), Outage> {
        let (answer, answered) = oneshot::channel();
        self.writer.put(entry(answer))?;
        match timeout(SYNC_WAIT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Outage::new("audit", "the trail's thread has ended")),
            Err(_) => Err(Outage::new("audit", "the disk did not answer in time")),
        }
    }
}

/// Checks every line of the trail in `dir` and returns how many there are.
///
/// # Errors
/// [`Broken`] at the first line that does not follow from the one before.
pub fn verify(dir: &Path) -> Result<u64, Broken> {
    files::verify(dir)
}
