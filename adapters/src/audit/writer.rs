//! The thread that writes the trail, and the bounded queue before it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use policies::audit::Record;
use policies::code::Outage;
use tokio::sync::oneshot;

use super::files::Log;

/// How many records may wait: half a second of a busy process, some 16 MiB.
pub(super) const QUEUE_MAX: usize = 16_384;

/// How many more may wait that somebody waits for: records nobody waits for never keep those out.
const URGENT_MAX: usize = 1024;

/// How long records gather that nobody waits for: one wake-up of the thread then serves many, where one each would cost
/// more than writing them.
const GATHER: Duration = Duration::from_millis(20);

/// How many gathered records are reason enough to begin at once.
const GATHERED_MAX: usize = 1024;

/// How long a caller waits for the disk.
pub(super) const SYNC_WAIT: Duration = Duration::from_secs(5);

/// What waits to be written.
pub(super) enum Entry {
    /// A record nobody waits for.
    Record(Box<Record>),
    /// A record, and who is told when it is durable.
    Durable(Box<Record>, oneshot::Sender<Result<(), Outage>>),
    /// Who is told when all before it is durable.
    Flush(oneshot::Sender<Result<(), Outage>>),
}

/// The queue and its thread; dropping it writes out what waits.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Entry>,
    /// Somebody waits for what is in the queue.
    urgent: bool,
    /// The thread sleeps until something comes.
    asleep: bool,
    closed: bool,
}

impl Writer {
    pub(super) fn start(log: Log) -> Result<Self, io::Error> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new(), lost: AtomicU64::new(0) });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(log, &theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn lost(&self) -> &AtomicU64 {
        &self.shared.lost
    }

    pub(super) fn put(&self, entry: Entry) -> Result<(), Outage> {
        let urgent = !matches!(entry, Entry::Record(_));
        let mut queue = self.shared.lock();
        if queue.waiting.len() >= QUEUE_MAX + if urgent { URGENT_MAX } else { 0 } {
            drop(queue);
            let records = u64::from(!matches!(entry, Entry::Flush(_)));
            self.shared.lost.fetch_add(records, Ordering::Relaxed);
            return Err(Outage::new("audit", "as many records wait for the disk as may"));
        }
        queue.waiting.push(entry);
        queue.urgent |= urgent;
        if queue.asleep || urgent || queue.waiting.len() == GATHERED_MAX {
            queue.asleep = false;
            self.shared.wake.notify_one();
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked writes no more; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between any two of its calls.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work and takes all of it; `None` when the queue was closed and is empty.
    fn next(&self) -> Option<Vec<Entry>> {
        let mut queue = self.lock();
        while queue.waiting.is_empty() && !queue.closed {
            queue.asleep = true;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.asleep = false;
        let gathers = |queue: &mut Queue| !queue.urgent && !queue.closed && queue.waiting.len() < GATHERED_MAX;
        let (mut queue, _) =
            self.wake.wait_timeout_while(queue, GATHER, gathers).unwrap_or_else(PoisonError::into_inner);
        queue.urgent = false;
        let waiting = std::mem::take(&mut queue.waiting);
        (!waiting.is_empty()).then_some(waiting)
    }
}

fn write(mut log: Log, shared: &Shared) {
    let mut lines = Vec::new();
    while let Some(entries) = shared.next() {
        lines.clear();
        let mut records = 0;
        let mut too_long = false;
        let mut told = Vec::new();
        let mut link = log.link.clone();
        for entry in entries {
            let (record, answer) = match entry {
                Entry::Record(record) => (Some(record), None),
                Entry::Durable(record, answer) => (Some(record), Some(answer)),
                Entry::Flush(answer) => (None, Some(answer)),
            };
            told.extend(answer);
            let Some(record) = record else { continue };
            records += 1;
            match link.append(&record, &mut lines) {
                Some(next) => link = next,
                None => too_long = true,
            }
        }
        let durable = !told.is_empty();
        let written = match lines.len() {
            _ if too_long => Err(io::Error::other("a record is longer than a line may be")),
            0 => log.sync(),
            _ => log.append(&lines, link, durable),
        };
        let answer = written.map_err(|error| {
            shared.lost.fetch_add(records, Ordering::Relaxed);
            tracing::error!("the audit trail lost {records} records: {error}");
            Outage::new("audit", error)
        });
        for waiting in told {
            // Who waited may have gone.
            let _ = waiting.send(answer.clone());
        }
    }
    if let Err(error) = log.sync() {
        tracing::error!("the end of the audit trail may not be durable: {error}");
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use policies::audit::{Ending, RecordKind};
    use policies::id::InteractionId;
    use policies::time::Timestamp;

    use super::*;

    fn record() -> Box<Record> {
        Box::new(Record {
            kind: RecordKind::Outcome,
            interaction: InteractionId::parse("a").unwrap(),
            received: Timestamp::from_seconds(0),
            at: Timestamp::from_seconds(0),
            operation: None,
                            steps: vec![],
            facts: policies::audit::Facts::default(),
            reference: None,
            status: None,
            ending: Ending::Abandoned,
            generation: 1,
        })
    }

    #[test]
    fn records_beyond_the_queue_are_refused_and_counted_and_durable_ones_have_room_left() {
        // A thread that never gets to it, as over a disk that hangs.
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new(), lost: AtomicU64::new(0) });
        let writer = Writer { shared, thread: None };
        for _ in 0..QUEUE_MAX {
            writer.put(Entry::Record(record())).unwrap();
        }
        assert!(writer.put(Entry::Record(record())).is_err());
        assert_eq!(writer.lost().load(Ordering::Relaxed), 1);
        for _ in 0..URGENT_MAX {
            writer.put(Entry::Durable(record(), oneshot::channel().0)).unwrap();
        }
        assert!(writer.put(Entry::Durable(record(), oneshot::channel().0)).is_err());
        assert!(writer.put(Entry::Flush(oneshot::channel().0)).is_err());
        assert_eq!(writer.lost().load(Ordering::Relaxed), 2);
    }
}
