//! Sends the trail on to other places: at least once, in order, and from where it had got to.
//!
//! A [`Shipper`] takes records that are on the disk, a batch at a time, and hands them to its [`Sink`]. Only when the sink
//! has them for good does the cursor of the place move, in a file of its own. So a crash in between sends a batch again,
//! and whoever receives it knows records by their ids. Nothing here is waited for by the thread that writes the trail.

mod cursor;
mod errand;
pub mod file;
pub mod nats;
mod port;
pub mod postgres;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policies::code::Outage;
use tokio::time::timeout;

use self::errand::Errand;
pub use self::port::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Shipped, Sink, TrailId};
use self::source::{Batch, Source};
use super::Audit;
use super::read::Reader;

/// How long a sink may take for a batch: then it counts as down, and the batch comes again.
pub const PUT_MAX: Duration = Duration::from_secs(30);

/// How far a place has got, for whoever asks.
#[derive(Debug, Default)]
pub struct Progress {
    got: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Returns the number of the last record that the place has; 0 until that is known.
    #[must_use]
    pub fn got(&self) -> u64 {
        self.got.load(Ordering::Relaxed)
    }

    /// Returns how many records the place lacked when it was last looked at.
    #[must_use]
    pub fn records_behind(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Returns how many bytes of the trail's files the place lacked when it was last looked at.
    #[must_use]
    pub fn bytes_behind(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn store_bytes(&self, unread: u64, batch: Option<&Batch>) {
        let waiting = batch.map_or(0, |batch| batch.bytes);
        self.bytes.store(unread.saturating_add(waiting), Ordering::Relaxed);
    }
}

/// Sends the trail on to one place.
pub struct Shipper {
    place: String,
    audit: Audit,
    sink: Box<dyn Sink>,
    cursor_path: PathBuf,
    /// Where reading has got to; `None` before the cursor was read, and after a read that failed.
    source: Option<Source>,
    /// What was read and is not known to be there.
    batch: Option<Batch>,
    errand: Errand,
    progress: Arc<Progress>,
}

impl Shipper {
    /// Makes the shipper of a place; nothing is read yet.
    ///
    /// The cursor stands beside the trail, as `ship-<place>.cursor`; without one, sending begins at the first record.
    #[must_use]
    pub fn new(place: &str, audit: &Audit, sink: Box<dyn Sink>, progress: &Arc<Progress>) -> Self {
        Self {
            place: place.to_owned(),
            audit: audit.clone(),
            sink,
            cursor_path: audit.dir().join(format!("ship-{place}.cursor")),
            source: None,
            batch: None,
            errand: Errand::default(),
            progress: Arc::clone(progress),
        }
    }

    /// Returns the name of the place.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Sends one batch, if there is anything to send, and returns how many records it had.
    ///
    /// Safe to drop at any await: what was sent and not remembered is sent again.
    ///
    /// # Errors
    /// An [`Outage`] if the place does not take the batch, the trail cannot be read, or the cursor is not one of this trail.
    pub async fn round(&mut self) -> Result<usize, Outage> {
        let round = self.send_batch().await;
        let measured = self.measure(round.is_err()).await;
        // What a place lacks is worth knowing most while it is away.
        round.and_then(|sent| measured.map(|()| sent))
    }

    async fn send_batch(&mut self) -> Result<usize, Outage> {
        if self.batch.is_none() {
            self.batch = self.read_batch().await?;
        }
        let Some(batch) = &self.batch else { return Ok(0) };
        let put = timeout(PUT_MAX, self.sink.put(&batch.records)).await;
        put.map_err(|_| Outage::new("audit", "the place did not take a batch in time"))??;
        let (path, cursor) = (self.cursor_path.clone(), batch.end.clone());
        self.errand.run(move || cursor.write(&path)).await?;
        let sent = batch.records.len();
        self.progress.got.store(batch.end.sequence, Ordering::Relaxed);
        self.batch = None;
        Ok(sent)
    }

    async fn read_batch(&mut self) -> Result<Option<Batch>, Outage> {
        // A record that a power cut could still take back is not sent: its number would be given to another one.
        let durable = self.audit.durable();
        if self.source.as_ref().map_or(0, Source::read) >= durable {
            return Ok(None);
        }
        let source = self.source.take();
        let (dir, path, place) = (self.audit.dir().to_owned(), self.cursor_path.clone(), self.place.clone());
        let reading = move || {
            let mut source = source.map_or_else(|| Source::open(&dir, &path, durable), Ok)?;
            let batch = source.batch(&place, durable)?;
            Ok((source, batch))
        };
        let (source, batch) = self.errand.run(reading).await?;
        if batch.is_none() {
            self.progress.got.store(source.read(), Ordering::Relaxed);
        }
        self.source = Some(source);
        Ok(batch)
    }

    async fn measure(&mut self, again: bool) -> Result<(), Outage> {
        let records = self.audit.durable().saturating_sub(self.progress.got());
        self.progress.records.store(records, Ordering::Relaxed);
        if again {
            // The trail grows on behind what was read, and without a cursor all of it is to come.
            let (source, dir) = (self.source.take(), self.audit.dir().to_owned());
            let looking = move || {
                let source = source.map(Source::measured).transpose()?;
                let unread = match &source {
                    Some(source) => source.behind(),
                    None => Reader::open(&dir)?.from(1).behind()?,
                };
                Ok((source, unread))
            };
            let (source, unread) = self.errand.run(looking).await?;
            self.source = source;
            self.progress.store_bytes(unread, self.batch.as_ref());
        } else {
            let unread = self.source.as_ref().map_or(0, Source::behind);
            self.progress.store_bytes(if records == 0 { 0 } else { unread }, self.batch.as_ref());
        }
        Ok(())
    }
}

impl std::fmt::Debug for Shipper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shipper").field("place", &self.place).finish_non_exhaustive()
    }
}
