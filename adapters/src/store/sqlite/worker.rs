//! The thread that owns the connection, and the way jobs get to it and answers back.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use policies::code::Outage;
use policies::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::port::Answer;
use super::super::retention::Retention;
use super::fault::Fault;
use super::schema;
use crate::clock::Clock;

/// How many jobs may wait: as many requests as a process may have under way; beyond that the disk is too slow for us.
const QUEUE_MAX: usize = 4096;

/// How many jobs share one transaction: enough to share a write, few enough that the first does not wait long.
const BATCH_MAX: usize = 256;

/// How long a caller waits for its answer; a disk that hangs must not hold requests for ever.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How long another process may hold the file up, as one does that opens it.
///
/// Nobody who reads is waited for: the log is cut when they have ended.
const OTHERS_WAIT: Duration = Duration::from_secs(1);

/// How long after a vain try to cut the log the next one comes, if no job comes before.
pub(super) const WIPE_PAUSE: Duration = Duration::from_millis(250);

/// After how many jobs what is over is swept out, and how many rows of each table at most.
pub(super) const JOBS_PER_SWEEP: u32 = 1024;
const ROWS_PER_SWEEP: u32 = 4096;

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

trait Job: Send {
    /// Does the work; `false` if it must be undone.
    fn work(&mut self, connection: &Connection) -> bool;
    /// Answers, once it is known whether what was done is durable.
    fn answer(self: Box<Self>, committed: Result<(), &str>);
    /// The time of the caller, if the job had one.
    fn now(&self) -> Option<Timestamp>;
    /// Tells whether it has deleted what may stand in no file afterwards.
    fn wipes(&self) -> bool;
}

/// Tells from what a job found whether it has deleted what may stand in no file afterwards.
type Wipes<T> = fn(&T) -> bool;

struct Ask<T, F> {
    port: &'static str,
    now: Option<Timestamp>,
    /// Only of a job that cannot be undone.
    wipes: Option<Wipes<T>>,
    work: Option<F>,
    found: Option<Result<T, Fault>>,
    answer: oneshot::Sender<Result<T, Outage>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, Fault> + Send> Job for Ask<T, F> {
    fn work(&mut self, connection: &Connection) -> bool {
        // What cannot be undone is not begun when nobody hears any more that it was done.
        if self.wipes.is_some() && self.answer.is_closed() {
            return false;
        }
        self.found = self.work.take().map(|work| work(connection));
        matches!(self.found, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), &str>) {
        let answer = match (self.found, committed) {
            (Some(Err(fault)), _) => Err(fault.outage(self.port)),
            (_, Err(cause)) => Err(Outage::new(self.port, cause)),
            (Some(Ok(found)), Ok(())) => Ok(found),
            (None, Ok(())) => Err(Outage::new(self.port, "the job was not done")),
        };
        // The caller may have gone; what was done stands.
        let _ = self.answer.send(answer);
    }

    fn now(&self) -> Option<Timestamp> {
        self.now
    }

    fn wipes(&self) -> bool {
        matches!((self.wipes, &self.found), (Some(wipes), Some(Ok(found))) if wipes(found))
    }
}

impl Worker {
    pub(super) fn open(path: &Path, retention: Retention) -> Result<Self, Outage> {
        let desk = Desk::open(path, retention).map_err(|fault| fault.outage("store"))?;
        let (jobs, waiting) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || desk.serve(&waiting))
            .map_err(|error| Outage::new("store", error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has a job done that needs no time.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        port: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        self.hand_over(port, None, None, work)
    }

    /// Has a job done; `now` is also what sweeping goes by.
    pub(super) fn ask_at<T: Send + 'static>(
        &self,
        port: &'static str,
        now: Timestamp,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        self.hand_over(port, Some(now), None, work)
    }

    /// Has a job done that cannot be undone, unless nobody waits for it any more.
    ///
    /// If it `wipes`, as its answer tells, what it has deleted or overwritten stands in no file when it is answered, or as
    /// soon as those have ended who read the file just then.
    pub(super) fn ask_to_wipe<T: Send + 'static>(
        &self,
        port: &'static str,
        wipes: Wipes<T>,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        self.hand_over(port, None, Some(wipes), work)
    }

    fn hand_over<T: Send + 'static>(
        &self,
        port: &'static str,
        now: Option<Timestamp>,
        wipes: Option<Wipes<T>>,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let job = Box::new(Ask { port, now, wipes, work: Some(work), found: None, answer });
            let jobs = self.jobs.as_ref().ok_or_else(|| Outage::new(port, "the store is closed"))?;
            jobs.try_send(job).map_err(|error| match error {
                TrySendError::Full(_) => Outage::new(port, "as many jobs wait for the disk as may"),
                TrySendError::Disconnected(_) => Outage::new(port, "the store's thread has ended"),
            })?;
            match timeout(ANSWER_WAIT, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(Outage::new(port, "the store's thread has ended")),
                Err(_) => Err(Outage::new(port, "the disk did not answer in time")),
            }
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has closed the file as well.
            let _ = thread.join();
        }
    }
}

/// What the thread works at.
struct Desk {
    connection: Connection,
    retention: Retention,
    jobs_since_sweep: u32,
    /// Whether something may stand in no file any more, and perhaps does.
    wipe_due: bool,
    /// Locked as long as the file is ours: two gateways on one file would each believe in its own limits.
    _lock: File,
}

impl Desk {
    fn open(path: &Path, retention: Retention) -> Result<Self, Fault> {
        // Made beforehand, as SQLite would make it readable for others; its side files take after it.
        private(path)?;
        let lock = lock(path)?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(OTHERS_WAIT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection, Clock::system().now())?;
        // An earlier process may have ended before it could cut the log after a destruction.
        let mut desk = Self { connection, retention, jobs_since_sweep: 0, wipe_due: true, _lock: lock };
        desk.wipe();
        Ok(desk)
    }

    fn serve(mut self, waiting: &Receiver<Box<dyn Job>>) {
        while let Some(first) = self.next(waiting) {
            let mut batch = vec![first];
            batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
            let committed = self.work_through(&mut batch).map_err(|error| error.to_string());
            if let Err(cause) = &committed {
                tracing::error!("the store could not commit {} jobs: {cause}", batch.len());
            }
            let wanted = batch.iter().any(|job| job.wipes());
            self.wipe_due |= wanted;
            if self.wipe_due {
                self.wipe();
            }
            if wanted && self.wipe_due {
                tracing::warn!(
                    "what was destroyed still stands in the store's log, until those who read it have ended"
                );
            }
            // What is committed is done: whoever destroyed something must hear so, even if its bytes go later.
            for job in batch {
                job.answer(committed.as_ref().copied().map_err(String::as_str));
            }
        }
    }

    /// Waits for a job; meanwhile tries again and again to cut the log, if that is due.
    fn next(&mut self, waiting: &Receiver<Box<dyn Job>>) -> Option<Box<dyn Job>> {
        while self.wipe_due {
            match waiting.recv_timeout(WIPE_PAUSE) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => self.wipe(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        waiting.recv().ok()
    }

    fn work_through(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
        let mut transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for job in batch.iter_mut() {
            // A savepoint that is not committed is undone, and nothing else with it.
            {
                let savepoint = transaction.savepoint()?;
                if job.work(&savepoint) {
                    savepoint.commit()?;
                }
            }
            self.jobs_since_sweep += 1;
            if let Some(now) = job.now().filter(|_| self.jobs_since_sweep >= JOBS_PER_SWEEP) {
                self.jobs_since_sweep = 0;
                sweep(&transaction, self.retention, now)?;
            }
        }
        transaction.commit()
    }

    /// Writes the log back and cuts it, so that nothing overwritten stands there any more; it stays due if somebody reads.
    fn wipe(&mut self) {
        self.wipe_due = !self.cut_log().unwrap_or_else(|error| {
            tracing::error!("the store's log could not be cut: {error}");
            false
        });
    }

    fn cut_log(&self) -> Result<bool, rusqlite::Error> {
        // Payments wait behind this thread: it waits for no reader.
        self.connection.busy_timeout(Duration::ZERO)?;
        let busy = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        self.connection.busy_timeout(OTHERS_WAIT)?;
        Ok(busy? == 0)
    }
}

fn private(path: &Path) -> Result<File, Fault> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(Fault::new)
}

fn lock(path: &Path) -> Result<File, Fault> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let file = private(&PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Fault::new("the file is in use by another gateway")),
        Err(TryLockError::Error(error)) => Err(Fault::new(error)),
    }
}

fn sweep(connection: &Connection, retention: Retention, now: Timestamp) -> Result<(), rusqlite::Error> {
    let delete = |table: &str, over: &str, until: Timestamp| {
        let rows = format!("SELECT rowid FROM {table} WHERE {over} LIMIT ?2");
        let mut statement = connection.prepare_cached(&format!("DELETE FROM {table} WHERE rowid IN ({rows})"))?;
        statement.execute(params![until.millis(), ROWS_PER_SWEEP]).map(|_| ())
    };
    delete("replays", "until <= ?1", now)?;
    // What nobody knows the outcome of stays until somebody does.
    delete("claims", "until <= ?1 AND ask_at IS NULL", now)?;
    delete("spends", "until <= ?1", now)?;
    delete("items", "keep_until <= ?1", now)?;
    delete("revocations", "until <= ?1", now)?;
    delete("verifications", "expires <= ?1", now - retention.verifications)?;
    delete("events", "at <= ?1", now - retention.events)?;
    // A set is over when the next one was entered; the newest is in force.
    let followed = "EXISTS (SELECT 1 FROM generations AS next
        WHERE next.number = generations.number + 1 AND next.entered <= ?1)";
    delete("generations", followed, now - retention.generations)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::store::conformance::Folder;

    fn opened(folder: &Folder) -> Worker {
        Worker::open(&folder.0.join("state.db"), Retention::default()).unwrap()
    }

    #[tokio::test]
    async fn a_job_that_fails_fails_alone() {
        let folder = Folder::new();
        let worker = opened(&folder);
        let good = worker.ask("a", |connection| Ok(connection.execute("INSERT INTO replays VALUES (x'01', 1)", [])?));
        let bad = worker.ask("b", |connection| {
            connection.execute("INSERT INTO replays VALUES (x'02', 1)", [])?;
            Ok(connection.execute("INSERT INTO nowhere VALUES (1)", [])?)
        });
        let (good, bad) = tokio::join!(good, bad);
        assert_eq!(good, Ok(1));
        assert_eq!(bad.map_err(|outage| outage.port), Err("b".to_owned()));
        let count = worker
            .ask("c", |connection| Ok(connection.query_row("SELECT count(*) FROM replays", [], |row| row.get(0))?));
        assert_eq!(count.await, Ok(1));
    }

    #[tokio::test]
    async fn what_cannot_be_undone_is_not_begun_when_nobody_hears_of_it() {
        let folder = Folder::new();
        let worker = opened(&folder);
        let begun = Arc::new(AtomicU32::new(0));
        let deed = || {
            let begun = Arc::clone(&begun);
            move |_: &Connection| Ok(begun.fetch_add(1, Ordering::SeqCst))
        };
        let (go, wait) = sync_channel::<()>(1);
        let mut held = worker.ask("a", move |_| Ok(wait.recv().is_ok()));
        // Each is asked once; then nobody waits for the second and the third any more.
        assert!(polled(&mut held).is_none());
        assert!(polled(&mut worker.ask_to_wipe("b", |_| true, deed())).is_none());
        assert!(polled(&mut worker.ask("c", deed())).is_none());
        go.send(()).unwrap();
        assert_eq!(held.await, Ok(true));
        assert_eq!(worker.ask_to_wipe("d", |_| true, deed()).await, Ok(1));
    }

    fn polled<T>(answer: &mut Answer<'_, T>) -> Option<Result<T, Outage>> {
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }
}
