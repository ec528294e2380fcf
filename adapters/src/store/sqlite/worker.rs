//! The thread that owns the connection, and the way jobs get to it and answers back.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use policies::code::Outage;
use policies::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::port::{Answer, VERIFICATIONS_KEPT};

/// How many jobs may wait: as many requests as a process may have under way; beyond that the disk is too slow for us.
const QUEUE_MAX: usize = 4096;

/// How many jobs share one transaction: enough to share a write, few enough that the first does not wait long.
const BATCH_MAX: usize = 256;

/// How long a caller waits for its answer; a disk that hangs must not hold requests for ever.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How long another process may hold the file before opening it fails.
const OPEN_WAIT: Duration = Duration::from_secs(1);

/// After how many jobs what is over is swept out, and how many rows of each table at most.
const JOBS_PER_SWEEP: u32 = 1024;
const ROWS_PER_SWEEP: u32 = 4096;

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE replays (key BLOB PRIMARY KEY, until INTEGER NOT NULL) STRICT;
CREATE INDEX replays_until ON replays (until);
CREATE TABLE claims (
    client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, reference TEXT NOT NULL,
    token BLOB NOT NULL, lease_ends INTEGER NOT NULL, until INTEGER NOT NULL,
    status INTEGER, headers TEXT, body BLOB, PRIMARY KEY (client, operation, key)) STRICT;
CREATE INDEX claims_until ON claims (until);
CREATE TABLE spends (
    name TEXT PRIMARY KEY, client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL,
    until INTEGER NOT NULL) STRICT;
CREATE INDEX spends_until ON spends (until);
CREATE TABLE verifications (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, subject TEXT NOT NULL, sealed_subject BLOB NOT NULL,
    purpose TEXT NOT NULL, level TEXT NOT NULL, binding TEXT, state TEXT NOT NULL, provider TEXT NOT NULL,
    session TEXT NOT NULL, capture_url TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
    decided INTEGER, acr TEXT, UNIQUE (provider, session)) STRICT;
CREATE INDEX verifications_expires ON verifications (expires);
";

/// Why a job could not be done; only that job is undone then.
#[derive(Debug)]
pub(super) struct Fault(String);

impl Fault {
    pub(super) const TAKEN_OVER: Fault = Fault(String::new());

    pub(super) fn new(cause: impl ToString) -> Self {
        Self(cause.to_string())
    }

    fn outage(self, port: &str) -> Outage {
        if self.0.is_empty() { Outage::new(port, "the claim was taken over") } else { Outage::new(port, self.0) }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        // The code and SQLite's own words; values bound to a statement are not in it.
        Self(error.to_string())
    }
}

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
}

struct Ask<T, F> {
    port: &'static str,
    now: Option<Timestamp>,
    work: Option<F>,
    found: Option<Result<T, Fault>>,
    answer: oneshot::Sender<Result<T, Outage>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, Fault> + Send> Job for Ask<T, F> {
    fn work(&mut self, connection: &Connection) -> bool {
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
}

impl Worker {
    pub(super) fn open(path: &Path) -> Result<Self, Outage> {
        let connection = prepare(path).map_err(|fault| fault.outage("store"))?;
        let (jobs, waiting) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || serve(connection, &waiting))
            .map_err(|error| Outage::new("store", error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has a job done that needs no time.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        port: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        self.hand_over(port, None, work)
    }

    /// Has a job done; `now` is also what sweeping goes by.
    pub(super) fn ask_at<T: Send + 'static>(
        &self,
        port: &'static str,
        now: Timestamp,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        self.hand_over(port, Some(now), work)
    }

    fn hand_over<T: Send + 'static>(
        &self,
        port: &'static str,
        now: Option<Timestamp>,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let job = Box::new(Ask { port, now, work: Some(work), found: None, answer });
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

fn prepare(path: &Path) -> Result<Connection, Fault> {
    // Made beforehand, as SQLite would make it readable for others; its side files take after it.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(Fault::new)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(OPEN_WAIT)?;
    // Two processes on one file would each believe in their own limits and leases of a moment ago.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(32);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
        0 => {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        SCHEMA_VERSION => {}
        other => {
            return Err(Fault::new(format!("the file is of version {other}, this program knows {SCHEMA_VERSION}")));
        }
    }
    transaction.commit()?;
    Ok(connection)
}

fn serve(mut connection: Connection, waiting: &Receiver<Box<dyn Job>>) {
    let mut jobs_since_sweep = 0;
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
        let committed =
            work_through(&mut connection, &mut batch, &mut jobs_since_sweep).map_err(|error| error.to_string());
        if let Err(cause) = &committed {
            tracing::error!("the store could not commit {} jobs: {cause}", batch.len());
        }
        for job in batch {
            job.answer(committed.as_ref().copied().map_err(String::as_str));
        }
    }
}

fn work_through(
    connection: &mut Connection,
    batch: &mut [Box<dyn Job>],
    jobs_since_sweep: &mut u32,
) -> Result<(), rusqlite::Error> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in batch.iter_mut() {
        // A savepoint that is not committed is undone, and nothing else with it.
        {
            let savepoint = transaction.savepoint()?;
            if job.work(&savepoint) {
                savepoint.commit()?;
            }
        }
        *jobs_since_sweep += 1;
        if let Some(now) = job.now().filter(|_| *jobs_since_sweep >= JOBS_PER_SWEEP) {
            *jobs_since_sweep = 0;
            sweep(&transaction, now)?;
        }
    }
    transaction.commit()
}

fn sweep(connection: &Connection, now: Timestamp) -> Result<(), rusqlite::Error> {
    for table in ["replays", "claims", "spends"] {
        let rows = format!("SELECT rowid FROM {table} WHERE until <= ?1 LIMIT ?2");
        let mut statement = connection.prepare_cached(&format!("DELETE FROM {table} WHERE rowid IN ({rows})"))?;
        statement.execute(params![now.millis(), ROWS_PER_SWEEP])?;
    }
    let mut statement = connection.prepare_cached(
        "DELETE FROM verifications
         WHERE rowid IN (SELECT rowid FROM verifications WHERE expires <= ?1 LIMIT ?2)",
    )?;
    statement.execute(params![(now - VERIFICATIONS_KEPT).millis(), ROWS_PER_SWEEP])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::store::conformance::Folder;

    #[test]
    fn what_is_over_is_swept_out_and_nothing_else() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        for until in [999, 1000, 1001] {
            connection.execute("INSERT INTO replays VALUES (?1, ?2)", params![[0_u8; 4], until]).unwrap_or(0);
            connection
                .execute("INSERT INTO spends VALUES (?1, 'c', 'o', 'k', x'00', ?2)", params![until.to_string(), until])
                .unwrap();
        }
        sweep(&connection, Timestamp::from_millis(1000)).unwrap();
        let left: Vec<i64> = {
            let mut statement = connection.prepare("SELECT until FROM spends").unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        assert_eq!(left, [1001]);
    }

    #[tokio::test]
    async fn a_job_that_fails_fails_alone() {
        let folder = Folder::new();
        let worker = Worker::open(&folder.0.join("state.db")).unwrap();
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
}
