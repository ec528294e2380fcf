//! The bounded queue before the trail's thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use policies::audit::Record;
use policies::code::Outage;
use tokio::sync::oneshot;

use super::heads::Head;

/// How many records may wait: half a second of a busy process, some 16 MiB.
pub(super) const QUEUE_MAX: usize = 16_384;

/// How many more may wait that somebody waits for: records nobody waits for never keep those out.
pub(super) const URGENT_MAX: usize = 1024;

/// How long records gather that nobody waits for: one wake-up of the thread then serves many, where one each would cost
/// more than writing them.
const GATHER: Duration = Duration::from_millis(20);

/// How many gathered records are reason enough to begin at once.
const GATHERED_MAX: usize = 1024;

/// How long records gather that are waited for, when there were several of them the last time: they share one visit to
/// the disk. A single one never waits for others.
const GROUP: Duration = Duration::from_millis(1);

/// How often the thread looks whether something has to be made durable or signed, while there is.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// What waits to be written.
pub(super) enum Entry {
    /// A record nobody waits for.
    Record(Box<Record>),
    /// A record, and who is told when it is durable.
    Durable(Box<Record>, oneshot::Sender<Result<(), Outage>>),
    /// Who is told when all before it is durable.
    Flush(oneshot::Sender<Result<(), Outage>>),
    /// Who is told the head that is signed over all before it.
    Sign(oneshot::Sender<Result<Head, Outage>>),
    /// What is about to be let go, and who is told when that is durable and signed for.
    LetGo {
        /// The last of the segments.
        segment: u64,
        /// Its last record.
        sequence: u64,
        /// Not of the runtime: who lets go blocks.
        told: mpsc::Sender<Result<(), Outage>>,
    },
}

/// What the thread and those who hand records over share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Records that were lost since the trail was opened.
    pub(super) lost: AtomicU64,
    /// Up to which number records were written.
    pub(super) written: AtomicU64,
    /// Up to which number records are known to be on the disk.
    pub(super) durable: AtomicU64,
    /// What a trail that has no disk holds.
    pub(super) kept: Option<Mutex<Vec<Record>>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Entry>,
    /// How many in the queue are waited for.
    urgent: usize,
    /// The thread sleeps until something comes.
    asleep: bool,
    closed: bool,
}

impl Shared {
    /// Makes a queue that no thread empties: what is put into it is kept.
    pub(super) fn keeping() -> Self {
        Self { kept: Some(Mutex::default()), ..Self::default() }
    }

    /// Takes an entry in, or refuses it and counts it as lost.
    pub(super) fn put(&self, entry: Entry) -> Result<(), Outage> {
        if let Some(kept) = &self.kept {
            keep(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), entry);
            return Ok(());
        }
        let urgent = !matches!(entry, Entry::Record(_));
        let mut queue = self.lock();
        if queue.waiting.len() >= QUEUE_MAX + if urgent { URGENT_MAX } else { 0 } {
            drop(queue);
            let records = u64::from(matches!(entry, Entry::Record(_) | Entry::Durable(..)));
            self.lost.fetch_add(records, Ordering::Relaxed);
            return Err(Outage::new("audit", "as many records wait for the disk as may"));
        }
        queue.waiting.push(entry);
        queue.urgent += usize::from(urgent);
        if queue.asleep || urgent || queue.waiting.len() == GATHERED_MAX {
            queue.asleep = false;
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Lets the thread end when all is written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between any two of its calls.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work and takes all of it; nothing, now and then, while something is `behind`; `None` when the queue was
    /// closed and is empty.
    pub(super) fn next(&self, behind: bool, several: bool) -> Option<Vec<Entry>> {
        let mut queue = self.lock();
        let ticks = Instant::now() + TICK;
        while queue.waiting.is_empty() && !queue.closed {
            queue.asleep = true;
            if behind {
                let left = ticks.saturating_duration_since(Instant::now());
                let (woken, waited) = self.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner);
                queue = woken;
                if waited.timed_out() && queue.waiting.is_empty() && !queue.closed {
                    queue.asleep = false;
                    return Some(Vec::new());
                }
            } else {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
        queue.asleep = false;
        let gathers = |queue: &mut Queue| queue.urgent == 0 && !queue.closed && queue.waiting.len() < GATHERED_MAX;
        let (mut queue, _) =
            self.wake.wait_timeout_while(queue, GATHER, gathers).unwrap_or_else(PoisonError::into_inner);
        if several && queue.urgent > 0 && !queue.closed {
            let grows = |queue: &mut Queue| !queue.closed && queue.waiting.len() < GATHERED_MAX;
            (queue, _) = self.wake.wait_timeout_while(queue, GROUP, grows).unwrap_or_else(PoisonError::into_inner);
        }
        queue.urgent = 0;
        let waiting = std::mem::take(&mut queue.waiting);
        (!waiting.is_empty()).then_some(waiting)
    }
}

// Who waits is answered at once: nothing is to be made durable.
fn keep(kept: &mut Vec<Record>, entry: Entry) {
    let nowhere = || Outage::new("audit", "this trail is kept in memory only");
    match entry {
        Entry::Record(record) if kept.len() < QUEUE_MAX => kept.push(*record),
        Entry::Record(_) => {}
        Entry::Durable(record, told) => {
            let room = kept.len() < QUEUE_MAX;
            kept.extend(room.then_some(*record));
            let _ = told.send(if room { Ok(()) } else { Err(nowhere()) });
        }
        Entry::Flush(told) => drop(told.send(Ok(()))),
        Entry::Sign(told) => drop(told.send(Err(nowhere()))),
        Entry::LetGo { told, .. } => drop(told.send(Err(nowhere()))),
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

    use super::super::tests::record;
    use super::*;

    #[test]
    fn records_beyond_the_queue_are_refused_and_counted_and_durable_ones_have_room_left() {
        // A thread that never gets to it, as over a disk that hangs.
        let shared = Shared::default();
        let record = || Box::new(record("a"));
        for _ in 0..QUEUE_MAX {
            shared.put(Entry::Record(record())).unwrap();
        }
        assert!(shared.put(Entry::Record(record())).is_err());
        assert_eq!(shared.lost.load(Ordering::Relaxed), 1);
        for _ in 0..URGENT_MAX {
            shared.put(Entry::Durable(record(), oneshot::channel().0)).unwrap();
        }
        assert!(shared.put(Entry::Durable(record(), oneshot::channel().0)).is_err());
        assert!(shared.put(Entry::Flush(oneshot::channel().0)).is_err());
        assert_eq!(shared.lost.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_is_kept_in_memory_is_bounded_and_nobody_waits() {
        let shared = Shared::keeping();
        for _ in 0..QUEUE_MAX {
            shared.put(Entry::Record(Box::new(record("a")))).unwrap();
        }
        let (told, mut answer) = oneshot::channel();
        shared.put(Entry::Durable(Box::new(record("a")), told)).unwrap();
        assert!(answer.try_recv().unwrap().is_err());
        let kept = shared.kept.as_ref().unwrap();
        assert_eq!(std::mem::take(&mut *kept.lock().unwrap()).len(), QUEUE_MAX);
        let (told, mut answer) = oneshot::channel();
        shared.put(Entry::Durable(Box::new(record("a")), told)).unwrap();
        assert_eq!(answer.try_recv().unwrap(), Ok(()));
    }
}
