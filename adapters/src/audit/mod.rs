//! The audit trail: an append-only log whose records are chained by hash, stand in a Merkle tree, and are signed for.
//!
//! A thread of its own writes it. What was changed, left out, put in or moved is found by [`inspect`]; what was cut off at
//! the end is found as far as a head was signed over it, and beyond if a head was kept elsewhere. See the README of this
//! package for the form on the disk.

mod anchor;
mod book;
mod broken;
mod copy;
mod folder;
mod frame;
mod heads;
#[cfg(test)]
mod laundry;
mod legacy;
mod log;
mod prove;
mod prune;
mod queue;
pub mod read;
mod record;
pub mod recorded;
pub mod ship;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use policies::audit::Record;
use policies::code::Outage;
use policies::jose::hmac_sha256;
use policies::secret::Secret;
use policies::time::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::book::Book;
pub use self::broken::Broken;
pub use self::copy::copy_to;
pub use self::frame::TrailId;
use self::heads::Heads;
pub use self::heads::{HEAD_EVERY, HEAD_TYPE, Head, HeadSigner};
pub use self::log::SEGMENT_BYTES_MAX;
use self::log::{Lock, Log};
pub use self::prove::{Proof, prove};
use self::queue::{Entry, Shared};
pub use self::record::LimitHash;
use self::record::{Note, Scribe};
pub use self::verify::{Report, Trust, inspect, verify};
use self::writer::{SYNC_WAIT, Writer};
use crate::clock::Clock;
use crate::keys::{LiveKeyring, Sealer};
use crate::store::port::Answer;

/// What a trail needs besides its folder.
#[derive(Clone)]
pub struct Options {
    /// The time.
    pub clock: Clock,
    /// Who signs heads; without one, none are signed.
    pub signer: Option<Arc<dyn HeadSigner>>,
    /// Hashes the keys of limits; without it, limits are not recorded.
    pub limit_hash: Option<LimitHash>,
    /// From which size on a new segment is begun: [`SEGMENT_BYTES_MAX`].
    pub segment_bytes_max: u64,
}

impl Options {
    /// Signs nothing and hashes nothing.
    #[must_use]
    pub fn plain(clock: Clock) -> Self {
        Self { clock, signer: None, limit_hash: None, segment_bytes_max: SEGMENT_BYTES_MAX }
    }

    /// Signs heads with the key of a ring that is current then, and hashes limits under a key that is derived from the sealing key.
    #[must_use]
    pub fn of(keyring: &Arc<LiveKeyring>, sealer: &Sealer, clock: Clock) -> Self {
        let key = Secret::new(sealer.keyed_hash("audit", b"keys of limits"));
        let hash = move |limit: &[u8]| hmac_sha256(key.expose(), limit);
        Self::plain(clock).signed_by(Arc::clone(keyring) as Arc<dyn HeadSigner>).hashing(Arc::new(hash))
    }

    /// Has heads signed by this signer.
    #[must_use]
    pub fn signed_by(mut self, signer: Arc<dyn HeadSigner>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Records limits, their keys hashed.
    #[must_use]
    pub fn hashing(mut self, hash: LimitHash) -> Self {
        self.limit_hash = Some(hash);
        self
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("signs", &self.signer.is_some()).finish_non_exhaustive()
    }
}

/// The way into the audit trail; clones lead into the same one, and when the last is dropped all is written out.
#[derive(Debug, Clone)]
pub struct Audit {
    writer: Arc<Writer>,
    dir: PathBuf,
    /// Held while segments are let go.
    pruning: Arc<Mutex<()>>,
}

impl Audit {
    /// Opens the trail in `dir`, or begins one; half a record at its end is cut off, as it was never promised.
    ///
    /// # Errors
    /// An [`Outage`] if the directory cannot be written, another process writes to it, its last segment is broken, it is
    /// not the trail that the last head was signed over with a key of ours, or heads are missing.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Outage> {
        let outage = |error: std::io::Error| Outage::new("audit", error);
        let lock = Lock::take(dir).map_err(outage)?;
        let heads = Heads::open(dir, options.signer, options.clock.now()).map_err(outage)?;
        let (log, met) = Log::open(dir, lock, options.segment_bytes_max, heads.size).map_err(outage)?;
        let size = log.link.tree.size();
        let late = anchor::check(dir, &heads, &log, &met).map_err(outage)?;
        let mut notes = Vec::new();
        if size == 0 {
            let end = legacy::verify(dir)
                .map_err(|broken| Outage::new("audit", format!("the old trail is broken: {broken}")))?;
            notes.extend(end.map(|end| Note::Begin { file: end.file, sequence: end.lines, hash: end.hash }));
        }
        if let Some(last) = &heads.last {
            // It may not have been noted before the end.
            notes.push(Note::Head { number: last.number, hash: last.hash() });
        }
        let shared = Arc::new(Shared::default());
        // What has no first head yet is told as durable behind it.
        let durable = if heads.last.is_none() && heads.are_signed() { 0 } else { size };
        shared.durable.store(durable, Ordering::Release);
        shared.written.store(size, Ordering::Release);
        let mut book = Book {
            log,
            heads,
            scribe: Scribe::new(options.limit_hash),
            clock: options.clock,
            shared: Arc::clone(&shared),
            notes,
            told_lost: 0,
            frames: Vec::new(),
            unsynced_since: None,
        };
        book.take_up(late);
        let writer = Writer::start(book, shared).map_err(outage)?;
        Ok(Self { writer: Arc::new(writer), dir: dir.to_owned(), pruning: Arc::default() })
    }

    /// Begins a trail that is kept in memory, for calls that are only tried: it is gone with the last clone.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { writer: Arc::new(Writer::nowhere()), dir: PathBuf::new(), pruning: Arc::default() }
    }

    /// Takes out what a trail in memory holds, oldest first; nothing from one on a disk.
    #[must_use]
    pub fn take(&self) -> Vec<Record> {
        let kept = self.writer.shared().kept.as_ref();
        kept.map(|kept| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner))).unwrap_or_default()
    }

    /// Hands over a record to be written when the thread gets to it; never waits.
    ///
    /// # Errors
    /// An [`Outage`] if the queue is full; the record is lost then, and counted.
    pub fn record(&self, record: Record) -> Result<(), Outage> {
        self.writer.shared().put(Entry::Record(Box::new(record)))
    }

    /// Writes a record, and answers when it is on the disk.
    ///
    /// # Errors
    /// In the answer, an [`Outage`] if it is not known to be there.
    #[must_use]
    pub fn record_durably(&self, record: Record) -> Answer<'_, ()> {
        Box::pin(self.answered(|answer| Entry::Durable(Box::new(record), answer)))
    }

    /// Answers when everything handed over before is on the disk.
    #[must_use]
    pub fn flush(&self) -> Answer<'_, ()> {
        Box::pin(self.answered(Entry::Flush))
    }

    /// Makes everything handed over before durable, and signs a head over it.
    ///
    /// # Errors
    /// In the answer, an [`Outage`] if nobody signs, or nothing was ever written.
    #[must_use]
    pub fn sign(&self) -> Answer<'_, Head> {
        Box::pin(self.answered(Entry::Sign))
    }

    /// Returns how many records were lost since the trail was opened, to a full queue or a disk that refused them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.writer.shared().lost.load(Ordering::Relaxed)
    }

    /// Returns up to which number records were written; what is beyond [`Audit::durable`] may be gone after a power cut.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.writer.shared().written.load(Ordering::Acquire)
    }

    /// Returns up to which number records are known to be on the disk.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.writer.shared().durable.load(Ordering::Acquire)
    }

    /// Returns the folder of the trail, for a [`Reader`](read::Reader).
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads the last `count` records, oldest first, each with its `sequence`, and the hash of the chain before and with
    /// it (`previous`, `hash`); blocks on the disk, so not for a serving thread.
    ///
    /// # Errors
    /// An [`Outage`] if the trail cannot be read.
    pub fn tail(&self, count: usize) -> Result<Vec<Value>, Outage> {
        let Some(kept) = &self.writer.shared().kept else { return read::Reader::open(&self.dir)?.tail(count) };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scribe = Scribe::new(None);
        let shown = kept.iter().enumerate().skip(kept.len().saturating_sub(count)).filter_map(|(index, record)| {
            let mut text = Vec::new();
            let mut value: Value = scribe.write(record, &mut text).then(|| serde_json::from_slice(&text).ok())??;
            // No chain holds it together.
            value.as_object_mut()?.extend([
                ("sequence".to_owned(), Value::from(index + 1)),
                ("previous".to_owned(), Value::from(frame::hex(&[0; 32]))),
                ("hash".to_owned(), Value::from(frame::hex(&[0; 32]))),
            ]);
            Some(value)
        });
        Ok(shown.collect())
    }

    /// Lets go of whole segments whose records are all older than `older_than` and before record `keep_from`; tells how
    /// many segments went.
    ///
    /// The hashes of their leaves are kept, so that roots and proofs of the records that remain can still be computed.
    /// The segment that is written is never let go. Blocks on the disk, so not for a serving thread.
    ///
    /// # Errors
    /// An [`Outage`] if a segment cannot be read or its leaves cannot be written; it is still there then.
    pub fn prune(&self, older_than: Timestamp, keep_from: u64) -> Result<usize, Outage> {
        let _alone = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        let note = |segment, sequence| self.note_let_go(segment, sequence).map_err(std::io::Error::other);
        prune::prune(&self.dir, older_than, keep_from, note).map_err(|error| Outage::new("audit", error))
    }

    fn note_let_go(&self, segment: u64, sequence: u64) -> Result<(), Outage> {
        let (told, answer) = mpsc::channel();
        self.writer.shared().put(Entry::LetGo { segment, sequence, told })?;
        answer.recv_timeout(SYNC_WAIT).map_err(|_| Outage::new("audit", "the disk did not answer in time"))?
    }

    async fn answered<T>(&self, entry: impl FnOnce(oneshot::Sender<Result<T, Outage>>) -> Entry) -> Result<T, Outage> {
        let (answer, answered) = oneshot::channel();
        self.writer.shared().put(entry(answer))?;
        match timeout(SYNC_WAIT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Outage::new("audit", "the trail's thread has ended")),
            Err(_) => Err(Outage::new("audit", "the disk did not answer in time")),
        }
    }
}
