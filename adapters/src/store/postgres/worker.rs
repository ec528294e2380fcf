//! The thread that drives the connections, and the way jobs get to it and answers back.
//!
//! Runtimes that serve requests come and go; this one stays, and nothing of the database runs on theirs.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use deadpool_postgres::{Connect, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod};
use policies::code::Outage;
use policies::time::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc, oneshot, watch};
use tokio::task::{JoinHandle as Driving, LocalSet, spawn_local};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, Error};

use super::super::port::Answer;
use super::super::retention::Retention;
use super::session::{Fault, IDLE_WAIT, LOCK_WAIT, Session, step_aside};
use super::settings::PostgresSettings;
use super::{migrate, sweep, tls};

/// How many jobs may wait: as many requests as a process may have under way; beyond that the database is too slow for us.
const QUEUE_MAX: usize = 4096;

/// How long a caller waits for its answer; a database that hangs must not hold requests for ever.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How long getting a connection may take at least, with TLS, password and all; as long as a statement, if that is more.
const CONNECTION_WAIT: Duration = Duration::from_secs(2);

/// How often a job is tried again after others were at the same rows.
const CLASHES_MAX: u32 = 8;

/// How long jobs wait while the database is tried; beyond that a schema is being brought up to date, which may take long.
const TRIED_WAIT: Duration = Duration::from_secs(3);

/// After how long a database that is away is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How long a store that is closed waits for what was begun.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// After how many jobs what is over is swept out.
const JOBS_PER_SWEEP: u32 = 1024;

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Option<mpsc::UnboundedSender<Box<dyn Job>>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

trait Job: Send + std::fmt::Debug {
    fn run(self: Box<Self>, desk: Rc<Desk>) -> Pin<Box<dyn Future<Output = ()>>>;
}

struct Ask<T, F> {
    port: &'static str,
    /// The time of the caller, if the job has one: sweeping goes by it.
    now: Option<Timestamp>,
    /// Whether a database that was away is to be tried again at once.
    knocks: bool,
    /// Whether it may be done again if its connection breaks: it changes nothing.
    looks: bool,
    work: F,
    answer: oneshot::Sender<Result<T, Outage>>,
    room: OwnedSemaphorePermit,
}

impl<T, F> std::fmt::Debug for Ask<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("port", &self.port).finish_non_exhaustive()
    }
}

impl<T, F> Job for Ask<T, F>
where
    T: Send + 'static,
    F: AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
{
    fn run(self: Box<Self>, desk: Rc<Desk>) -> Pin<Box<dyn Future<Output = ()>>> {
        let Ask { port, now, knocks, looks, work, mut answer, room } = *self;
        Box::pin(async move {
            let slot = tokio::select! {
                biased;
                // Nothing was begun: who went away wants nothing any more.
                () = answer.closed() => return,
                slot = desk.admit(knocks) => slot,
            };
            let done = match &slot {
                Ok(_) => desk.work(looks, &work).await.map_err(|fault| fault.outage(port)),
                Err(cause) => Err(Fault::Away(cause.clone()).outage(port)),
            };
            drop(slot);
            drop(room);
            // The caller may have gone by now; what was done stands.
            let _ = answer.send(done);
            if let Some(now) = now {
                desk.sweep(now).await;
            }
        })
    }
}

impl Worker {
    pub(super) fn start(settings: PostgresSettings, retention: Retention) -> Result<Self, Outage> {
        Self::begin(settings, retention, false)
    }

    /// Takes the schema as it is.
    #[cfg(test)]
    pub(super) fn start_unmigrated(settings: PostgresSettings, retention: Retention) -> Result<Self, Outage> {
        Self::begin(settings, retention, true)
    }

    fn begin(settings: PostgresSettings, retention: Retention, migrated: bool) -> Result<Self, Outage> {
        let broken = |error: &dyn std::fmt::Display| Outage::new("store", error);
        let pool = pool(&settings)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| broken(&e))?;
        let (jobs, waiting) = mpsc::unbounded_channel();
        let work = move || {
            let local = LocalSet::new();
            runtime.block_on(local.run_until(serve(pool, settings, retention, migrated, waiting)));
            drop(local);
            // A resolver that hangs must not hold up the end.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("postgres".to_owned()).spawn(work).map_err(|e| broken(&e))?;
        Ok(Self { jobs: Some(jobs), room: Arc::new(Semaphore::new(QUEUE_MAX)), thread: Some(thread) })
    }

    /// Has a job done that needs no time; `work` may be done several times, and only the last counts.
    pub(super) fn ask<T, F>(&self, port: &'static str, work: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
    {
        self.hand_over(port, None, [false, false], work)
    }

    /// Has a job done that changes nothing, again on another connection if one breaks.
    pub(super) fn look<T, F>(&self, port: &'static str, work: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
    {
        self.hand_over(port, None, [false, true], work)
    }

    /// Has a job done; `now` is also what sweeping goes by.
    pub(super) fn ask_at<T, F>(&self, port: &'static str, now: Timestamp, work: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
    {
        self.hand_over(port, Some(now), [false, false], work)
    }

    /// Asks the database for a word, and tries at once to reach it if it was away.
    pub(super) fn knock(&self) -> Answer<'_, ()> {
        self.hand_over("store", None, [true, true], async |session: &Session| session.batch("SELECT 1").await)
    }

    fn hand_over<T, F>(
        &self,
        port: &'static str,
        now: Option<Timestamp>,
        [knocks, looks]: [bool; 2],
        work: F,
    ) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
    {
        Box::pin(async move {
            let ended = || Outage::new(port, "the store's thread has ended");
            let (answer, answered) = oneshot::channel();
            let room = Arc::clone(&self.room).try_acquire_owned();
            let room = room.map_err(|_| Outage::new(port, "as many jobs wait for the database as may"))?;
            let job = Box::new(Ask { port, now, knocks, looks, work, answer, room });
            self.jobs.as_ref().ok_or_else(ended)?.send(job).map_err(|_| ended())?;
            match timeout(ANSWER_WAIT, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(ended()),
                Err(_) => Err(Outage::new(port, "the database did not answer in time")),
            }
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has closed its connections as well.
            let _ = thread.join();
        }
    }
}

/// How the database stands to us.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// It is being tried; jobs wait for how that ends.
    Tried,
    /// It answers.
    Ready,
    /// It did not when it was tried last; jobs are told so at once.
    Away(String),
}

/// What the thread works at.
struct Desk {
    pool: Pool,
    /// One for each connection that may be.
    slots: Semaphore,
    settings: PostgresSettings,
    retention: Retention,
    standing: watch::Sender<Standing>,
    knocked: Notify,
    knocks: Cell<u64>,
    jobs_since_sweep: Cell<u32>,
}

/// How the pool makes connections: its own way would write a line into the log for each that ends.
struct Way(tls::PostgresTls);

impl Connect for Way {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let (config, tls) = (config.clone(), self.0.clone());
        Box::pin(async move { tls::connect(&config, tls).await })
    }
}

type Connected = Result<(Client, Driving<()>), Error>;

fn pool(settings: &PostgresSettings) -> Result<Pool, Outage> {
    let (config, tls) = tls::way(&settings.url, settings.trust.as_ref(), "qaqpa")?;
    let lock = LOCK_WAIT.min(settings.statement);
    // What is acknowledged must be durable, and rows are locked where that matters: by name, not by what a server's
    // configuration happens to say. The schema needs no quotes, see `PostgresSettings::schema`.
    let setup = format!(
        "SET search_path TO {}; SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; SET synchronous_commit = on; \
         SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning",
        settings.schema,
        settings.statement.as_millis(),
        lock.as_millis(),
        IDLE_WAIT.as_millis(),
    );
    let hook = Hook::async_fn(move |client, _| {
        let setup = setup.clone();
        Box::pin(async move { client.batch_execute(&setup).await.map_err(HookError::Backend) })
    });
    let manager = Manager::from_connect(config, Way(tls), ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(settings.connections)
        .post_create(hook)
        .build()
        .map_err(|error| Outage::new("store", error))
}

async fn serve(
    pool: Pool,
    settings: PostgresSettings,
    retention: Retention,
    migrated: bool,
    mut waiting: mpsc::UnboundedReceiver<Box<dyn Job>>,
) {
    let slots = settings.connections;
    let desk = Rc::new(Desk {
        pool,
        slots: Semaphore::new(slots),
        settings,
        retention,
        standing: watch::Sender::new(Standing::Tried),
        knocked: Notify::new(),
        knocks: Cell::new(0),
        jobs_since_sweep: Cell::new(0),
    });
    let keeper = spawn_local(Rc::clone(&desk).keep(migrated));
    while let Some(job) = waiting.recv().await {
        spawn_local(job.run(Rc::clone(&desk)));
    }
    keeper.abort();
    let all = u32::try_from(slots).unwrap_or(u32::MAX);
    let _ = timeout(STOP_WAIT, desk.slots.acquire_many(all)).await;
}

impl Desk {
    /// Reaches the database, brings its schema up to date, and looks after it whenever it was lost.
    async fn keep(self: Rc<Self>, mut migrated: bool) {
        let mut told = false;
        loop {
            let knocks = self.knocks.get();
            let mut reaching = pin!(self.reach(migrated));
            let reached = match timeout(TRIED_WAIT, reaching.as_mut()).await {
                Ok(reached) => reached,
                Err(_) => {
                    let slow = "the database is slow, or its schema is being brought up to date";
                    self.standing.send_replace(Standing::Away(slow.to_owned()));
                    reaching.await
                }
            };
            match reached {
                Ok(()) => {
                    if std::mem::take(&mut told) {
                        tracing::info!("the database is back");
                    }
                    migrated = true;
                    self.standing.send_replace(Standing::Ready);
                    // Never an error: the sender is ours.
                    let _ = self.standing.subscribe().wait_for(|standing| *standing != Standing::Ready).await;
                }
                // Who knocked in the meantime is owed a try that began afterwards.
                Err(_) if self.knocks.get() != knocks => {}
                Err(fault) => {
                    let cause = fault.cause();
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!("the database is away, and is tried again from time to time: {cause}");
                    }
                    self.standing.send_replace(Standing::Away(cause));
                    let _ = timeout(RETRY_AFTER, self.knocked.notified()).await;
                }
            }
        }
    }

    async fn reach(&self, migrated: bool) -> Result<(), Fault> {
        let _slot = self.slot().await?;
        let session = self.session().await?;
        let mut reached = session.batch("SELECT 1").await;
        if reached.is_ok() && !migrated {
            reached = migrate::migrate(&session, &self.settings.schema).await;
        }
        if matches!(reached, Err(Fault::Gone(_))) {
            self.pool.retain(|_, _| false);
        }
        session.end(reached.is_err());
        reached
    }

    /// Waits for a connection's turn; an error is the cause why there is none.
    async fn admit(&self, knocks: bool) -> Result<SemaphorePermit<'_>, String> {
        let mut standing = self.standing.subscribe();
        if knocks && matches!(*standing.borrow(), Standing::Away(_)) {
            self.knocks.set(self.knocks.get().wrapping_add(1));
            self.standing.send_replace(Standing::Tried);
            self.knocked.notify_one();
        }
        loop {
            let found = standing.wait_for(|standing| *standing != Standing::Tried).await.map(|found| found.clone());
            match found {
                Ok(Standing::Away(cause)) => return Err(cause),
                Ok(_) => {}
                Err(_) => return Err("the store is closed".to_owned()),
            }
            let slot = self.slot().await.map_err(Fault::cause)?;
            // It may have been lost while others had their turn.
            if *self.standing.borrow() == Standing::Ready {
                return Ok(slot);
            }
        }
    }

    async fn slot(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.slots.acquire().await.map_err(Fault::new)
    }

    async fn session(&self) -> Result<Session, Fault> {
        let found = timeout(self.settings.statement.clamp(CONNECTION_WAIT, ANSWER_WAIT), self.pool.get()).await;
        let away = match found {
            Ok(Ok(client)) => return Ok(Session::new(client, self.settings.statement)),
            Ok(Err(PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)))) => {
                tls::cause(&error)
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the database took too long to let us in".to_owned(),
        };
        Err(Fault::Away(away))
    }

    /// Does a job, again if others were in its way, and one that only `looks` also if its connection broke.
    async fn work<T>(&self, looks: bool, work: &impl AsyncFn(&Session) -> Result<T, Fault>) -> Result<T, Fault> {
        let (mut clashes, mut breaks) = (0, 0);
        loop {
            let done = self.attempt(work).await;
            match done {
                Err(Fault::Clash) if clashes < CLASHES_MAX => {
                    clashes += 1;
                    step_aside(clashes).await;
                }
                // As often as there may be connections that broke together, and nobody has noticed yet.
                Err(Fault::Broken(_)) if looks && breaks < self.settings.connections => breaks += 1,
                Err(Fault::Away(cause)) => {
                    self.doubt();
                    return Err(Fault::Away(cause));
                }
                Err(Fault::Gone(cause)) => {
                    self.pool.retain(|_, _| false);
                    self.doubt();
                    return Err(Fault::Gone(cause));
                }
                done => return done,
            }
        }
    }

    async fn attempt<T>(&self, work: &impl AsyncFn(&Session) -> Result<T, Fault>) -> Result<T, Fault> {
        let session = self.session().await?;
        let mut done = work(&session).await;
        if done.is_ok()
            && let Err(fault) = session.commit().await
        {
            done = Err(fault);
        }
        let mut broken = done.as_ref().is_err_and(Fault::breaks);
        if done.is_err() && !broken {
            broken = session.undo().await.is_err();
        }
        session.end(broken);
        done
    }

    /// Has the keeper see whether the database is there; jobs wait for what it finds.
    fn doubt(&self) {
        self.standing.send_if_modified(|standing| {
            let ready = *standing == Standing::Ready;
            if ready {
                *standing = Standing::Tried;
            }
            ready
        });
    }

    async fn sweep(&self, now: Timestamp) {
        let jobs = self.jobs_since_sweep.get() + 1;
        self.jobs_since_sweep.set(jobs % JOBS_PER_SWEEP);
        if jobs < JOBS_PER_SWEEP {
            return;
        }
        let Ok(_slot) = self.slot().await else { return };
        let swept = self.work(false, &async |session: &Session| sweep::sweep(session, self.retention, now).await).await;
        if let Err(fault) = swept {
            tracing::warn!("what is over could not be swept out of the database, and will be later: {}", fault.cause());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::sync::Mutex;

    use policies::secret::Secret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;

    /// Hears who says anything that an operator would read.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Heard {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= Level::WARN
        }

        fn new_span(&self, _span: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _span: &Id, _values: &Record<'_>) {}

        fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(event.metadata().target().to_owned());
        }

        fn enter(&self, _span: &Id) {}

        fn exit(&self, _span: &Id) {}
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_no_line_in_the_log() {
        const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        let heard = Heard::default();
        let _guard = tracing::subscriber::set_default(heard.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut told = [0; 1024];
            assert!(socket.read(&mut told).await.unwrap() > 0);
            socket.write_all(LET_IN).await.unwrap();
            assert!(socket.read(&mut told).await.unwrap() > 0);
            socket.write_all(b"\xff\0\0\0\x04").await.unwrap();
            socket.read_to_end(&mut Vec::new()).await.unwrap();
        });
        let settings = PostgresSettings {
            url: Secret::new(format!("postgres://u:p@127.0.0.1:{port}/d")),
            schema: "qaqpa".to_owned(),
            trust: None,
            connections: 1,
            statement: Duration::from_secs(1),
        };
        let pool = pool(&settings).unwrap();
        assert!(timeout(ANSWER_WAIT, pool.get()).await.unwrap().is_err());
        serving.await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(*heard.0.lock().unwrap(), Vec::<String>::new());
    }
}
