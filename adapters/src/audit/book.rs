//! What the trail's thread does: turns records into frames, makes them durable, signs heads.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use policies::audit::Record;
use policies::code::Outage;
use tokio::sync::oneshot;

use super::frame::{Link, append};
use super::heads::{Head, Heads};
use super::log::{Log, Unwritten};
use super::queue::{Entry, Shared, TICK};
use super::record::{Note, Scribe};
use crate::clock::Clock;

type Told<T> = oneshot::Sender<Result<T, Outage>>;

/// The trail in the hands of its thread.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) log: Log,
    pub(super) heads: Heads,
    pub(super) scribe: Scribe,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    /// What the trail has to tell of itself before the next record.
    pub(super) notes: Vec<Note>,
    /// How many of the lost records were told.
    pub(super) told_lost: u64,
    /// The frames of one batch.
    pub(super) frames: Vec<u8>,
    pub(super) unsynced_since: Option<Instant>,
}

/// The most memory that is kept for the next batch, in bytes.
const FRAMES_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// A batch, told apart.
#[derive(Default)]
struct Batch {
    records: Vec<(Box<Record>, Option<Told<()>>)>,
    flushed: Vec<Told<()>>,
    signed: Vec<Told<Head>>,
    let_go: Vec<mpsc::Sender<Result<(), Outage>>>,
}

impl Book {
    /// Writes a batch and tells who waits; returns how many did.
    pub(super) fn write(&mut self, entries: Vec<Entry>) -> usize {
        let mut batch = Batch::default();
        for entry in entries {
            match entry {
                Entry::LetGo { segment, sequence, told } => {
                    self.notes.push(Note::LetGo { segment, sequence });
                    batch.let_go.push(told);
                }
                Entry::Record(record) => batch.records.push((record, None)),
                Entry::Durable(record, told) => batch.records.push((record, Some(told))),
                Entry::Flush(told) => batch.flushed.push(told),
                Entry::Sign(told) => batch.signed.push(told),
            }
        }
        let (mut waiting, written) = self.append(batch.records, !batch.let_go.is_empty());
        waiting.append(&mut batch.flushed);
        let count = waiting.len() + batch.signed.len() + batch.let_go.len();
        let written = match written {
            Ok(()) if count > 0 => self.sync(),
            other => other,
        };
        let answer = written.map_err(|error| Outage::new("audit", error));
        for told in waiting {
            // Who waited may have gone.
            let _ = told.send(answer.clone());
        }
        if !batch.let_go.is_empty() {
            // Signed for at once: whoever takes a segment away and adds the note has no head over it.
            let noted = answer.and_then(|()| match self.heads.are_signed() {
                true => self.sign().map(drop).map_err(|error| Outage::new("audit", error)),
                false => Ok(()),
            });
            for told in batch.let_go {
                let _ = told.send(noted.clone());
            }
        }
        if !batch.signed.is_empty() {
            let head = self.sign().map_err(|error| Outage::new("audit", error));
            for told in batch.signed {
                let _ = told.send(head.clone());
            }
        }
        count
    }

    /// Tells whether something is to be made durable or signed later, though nothing comes in.
    pub(super) fn is_behind(&self) -> bool {
        self.log.unsynced() || self.is_unsigned()
    }

    /// Makes durable what nobody has waited for, and signs a head, each when it is time.
    pub(super) fn keep_up(&mut self) {
        match self.unsynced_since {
            _ if !self.log.unsynced() => self.unsynced_since = None,
            None => self.unsynced_since = Some(Instant::now()),
            Some(since) if since.elapsed() >= TICK => {
                self.settle();
                self.unsynced_since = None;
            }
            Some(_) => {}
        }
        if self.is_unsigned() && self.heads.is_due(self.clock.now()) {
            self.try_sign();
        }
    }

    fn settle(&mut self) {
        if let Err(error) = self.sync() {
            tracing::error!("the end of the audit trail may not be durable: {error}");
        }
    }

    fn is_unsigned(&self) -> bool {
        self.heads.are_signed() && self.log.link.tree.size() > self.heads.size
    }

    /// Makes all durable and signs the last head.
    pub(super) fn close(&mut self) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost > self.told_lost {
            let (_, written) = self.append(Vec::new(), false);
            if let Err(error) = written {
                tracing::error!("the audit trail ends without telling that records were lost: {error}");
            }
        }
        self.settle();
        if self.is_unsigned() {
            self.try_sign();
        }
    }

    /// Appends records behind the notes that wait; gives who waits for those that were taken.
    /// Without records, notes are only written if they have to be `now`.
    fn append(
        &mut self,
        records: Vec<(Box<Record>, Option<Told<()>>)>,
        now: bool,
    ) -> (Vec<Told<()>>, Result<(), io::Error>) {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        let gap = lost.saturating_sub(self.told_lost);
        if records.is_empty() && gap == 0 && !now {
            return (Vec::new(), Ok(()));
        }
        if self.log.is_full() && self.is_unsigned() && !self.heads.is_resting(self.clock.now()) {
            self.try_sign();
        }
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let mut link = self.log.link.clone();
        let notes = self.notes.len() + usize::from(gap > 0);
        self.write_notes(gap, &mut link, &mut frames);
        let mut waiting = Vec::new();
        let mut taken: u64 = 0;
        for (record, told) in records {
            match append(&mut link, &mut frames, |out| self.scribe.write(&record, out)) {
                Some(()) => {
                    taken += 1;
                    waiting.extend(told);
                }
                None => {
                    self.shared.lost.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("the audit trail lost a record that is longer than one may be");
                    let outage = Outage::new("audit", "a record is longer than one may be");
                    drop(told.map(|told| told.send(Err(outage))));
                }
            }
        }
        let written = self.log.append(&frames, link);
        self.shared.written.store(self.log.link.tree.size(), Ordering::Release);
        let kept = match &written {
            Ok(()) => notes,
            Err(Unwritten { kept, .. }) => *kept,
        };
        // Those that stand in the file need not be told again.
        self.notes.drain(..kept.min(self.notes.len()));
        if kept >= notes {
            self.told_lost += gap;
        }
        let result = written.map_err(|Unwritten { error, kept }| {
            let lost = taken.saturating_sub(kept.saturating_sub(notes) as u64);
            self.shared.lost.fetch_add(lost, Ordering::Relaxed);
            tracing::error!("the audit trail lost {lost} records: {error}");
            error
        });
        frames.shrink_to(FRAMES_BYTES_KEPT);
        self.frames = frames;
        (waiting, result)
    }

    fn write_notes(&self, gap: u64, link: &mut Link, frames: &mut Vec<u8>) {
        let now = self.clock.now();
        let lost = (gap > 0).then_some(Note::Gap { lost: gap });
        for note in self.notes.iter().chain(&lost) {
            // A note is a hundred bytes of our own words: there is always room for it in a frame.
            let _ = append(link, frames, |out| note.write(now, out));
        }
    }

    fn sync(&mut self) -> Result<(), io::Error> {
        self.log.sync()?;
        if self.heads.last.is_none() && self.is_unsigned() {
            // The first head comes before anybody is told that a record is durable, and before a place is sent one: a
            // trail that has promised something has a head.
            if !self.heads.is_resting(self.clock.now()) {
                self.sign_all().map(drop).unwrap_or_else(|error| unsigned(&error));
            }
            if self.heads.last.is_none() {
                return Ok(());
            }
        }
        self.shared.durable.store(self.log.link.tree.size(), Ordering::Release);
        Ok(())
    }

    /// Signs for what a run before has left without a head, behind a note if that is `late`.
    pub(super) fn take_up(&mut self, late: Option<Note>) {
        if !self.is_unsigned() {
            return;
        }
        if let Some(note) = late {
            self.notes.push(note);
            if let (_, Err(_)) = self.append(Vec::new(), true) {
                // It comes before the next record, and no head before it.
                return;
            }
        }
        self.try_sign();
    }

    fn sign(&mut self) -> Result<Head, io::Error> {
        self.sync()?;
        if self.log.link.tree.size() == 0 {
            return Err(io::Error::other("there is no record yet to sign a head over"));
        }
        if let Some(last) = self.heads.last.as_ref().filter(|last| last.size == self.log.link.tree.size()) {
            // Nothing has happened since: there is no more to tell.
            return Ok(last.clone());
        }
        self.sign_all()
    }

    fn sign_all(&mut self) -> Result<Head, io::Error> {
        let head = self.heads.sign(self.log.trail, &self.log.link, self.clock.now())?;
        self.notes.push(Note::Head { number: head.number, hash: head.hash() });
        Ok(head)
    }

    fn try_sign(&mut self) {
        if let Err(error) = self.sign() {
            unsigned(&error);
        }
    }
}

fn unsigned(error: &io::Error) {
    tracing::error!("no head of the audit trail could be signed: {error}");
}
