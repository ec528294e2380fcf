//! What shipping promises: every record arrives, in order, whatever stops on the way; and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod cursors;
mod files;
mod nats;
mod postgres;
mod relay;

use std::path::PathBuf;

use bytes::Bytes;
use policies::audit::{Ending, Facts, Record, RecordKind};
use policies::id::InteractionId;
use policies::time::Timestamp;

use super::file::FileSink;
use super::*;
use crate::audit::Options;
use crate::audit::read::{Entry, Reader};
use crate::clock::Clock;
use crate::entropy;
use crate::store::port::Answer;

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A trail in a folder of its own, and the folders of places beside it.
pub(super) struct Trail {
    pub(super) folder: PathBuf,
    pub(super) audit: Audit,
    pub(super) progress: Arc<Progress>,
}

impl Drop for Trail {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Trail {
    pub(super) async fn with(records: usize) -> Self {
        let folder = std::env::temp_dir().join(format!("qaqpa-ship-{}", entropy::token_128bit()));
        std::fs::create_dir(&folder).unwrap();
        let audit = open(&folder);
        let trail = Self { folder, audit, progress: Arc::default() };
        trail.grow(records).await;
        trail
    }

    /// Writes so many more records, each with another interaction.
    pub(super) async fn grow(&self, records: usize) {
        for _ in 0..records {
            self.audit.record(record(&entropy::token_128bit())).unwrap();
        }
        self.audit.flush().await.unwrap();
    }

    /// Reads what the trail holds.
    pub(super) fn entries(&self) -> Vec<Entry> {
        Reader::open(self.audit.dir()).unwrap().from(1).map(Result::unwrap).collect()
    }

    pub(super) fn id(&self) -> TrailId {
        Reader::open(self.audit.dir()).unwrap().trail_id().unwrap().unwrap()
    }

    pub(super) fn shipper(&self, sink: impl Sink + 'static) -> Shipper {
        Shipper::new("archive", &self.audit, Box::new(sink), &self.progress)
    }

    pub(super) fn to_file(&self) -> Shipper {
        self.shipper(FileSink::new(&self.folder.join("archive.jsonl")))
    }

    pub(super) fn cursor_path(&self) -> PathBuf {
        self.audit.dir().join("ship-archive.cursor")
    }

    /// Tells what a place has to hold, by id and text.
    pub(super) fn expected(&self) -> Vec<(String, String)> {
        let id = self.id();
        let text = |entry: Entry| String::from_utf8(entry.payload.to_vec()).unwrap();
        self.entries().into_iter().map(|entry| (format!("{id}-{}", entry.sequence), text(entry))).collect()
    }
}

fn open(folder: &std::path::Path) -> Audit {
    Audit::open(&folder.join("audit"), Options::plain(Clock::manual(NOW))).unwrap()
}

fn record(interaction: &str) -> Record {
    Record {
        kind: RecordKind::Outcome,
        interaction: InteractionId::parse(interaction).unwrap(),
        received: NOW,
        at: NOW,
        operation: None,
        steps: vec![],
        facts: Facts::default(),
        reference: None,
        status: Some(200),
        ending: Ending::Answered,
        generation: 1,
    }
}

/// Goes round until nothing is left to do.
pub(super) async fn ship_all(shipper: &mut Shipper) -> usize {
    let mut sent = 0;
    loop {
        match shipper.round().await.unwrap() {
            0 => return sent,
            count => sent += count,
        }
    }
}

/// Passes batches on to a place, whose word that it has them is lost: as if the process had died before it heard it.
pub(super) struct Deafened<S>(pub(super) S);

impl<S: Sink> Sink for Deafened<S> {
    fn put<'a>(&'a mut self, batch: &'a [Shipped]) -> Answer<'a, ()> {
        Box::pin(async move {
            self.0.put(batch).await.unwrap();
            Err(Outage::new("audit", "the process died"))
        })
    }
}

/// Returns where a server of the tests is.
pub(super) fn service(name: &str) -> String {
    let missing = "is not set: start the test services: eval \"$(tests/services start /tmp/qaqpa-services)\"";
    std::env::var(name).unwrap_or_else(|_| unreachable!("{name} {missing}"))
}
