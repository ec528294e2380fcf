//! The way to the servers: calls in, answers or outages out, within their time.
//!
//! It knows scripts, keys and time-outs, and nothing of what they are for. Every script that is sent must be one that,
//! run twice, does what it does when run once: a call whose connection broke is sent again, by this link or, in a
//! Cluster, by the crate below it, and nobody can tell whether it was run before.
//!
//! Serving threads come and go, each with a runtime of its own, so that no connection can live on one of them: all stand
//! on one thread, `redis`, and calls reach it through a bounded queue.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use policies::code::Outage;
use redis::{Cmd, RedisResult, Value, cmd};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout_at;
use tracing::{info, warn};

use super::breaker::{Breaker, BreakerState, Pass};
use super::dial::{Wire, trust_on_this_thread};
use super::fault::{Fault, cause};
use super::line::Line;
use super::news::News;
use super::servers::{Budget, RedisConfig};

/// How many calls are under way at once: with 20 ms each, two hundred thousand a second.
pub const CALLS_MAX: usize = 4096;

/// A script that servers run in one piece.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    /// Its SHA-1 in hexadecimal, by which servers know it once they have seen it.
    hash: LazyLock<String>,
}

/// One run of a script.
#[derive(Debug)]
pub(crate) struct Call {
    /// What to run; safe to be run twice.
    pub(crate) script: &'static Script,
    /// All keys that it touches, of one slot.
    pub(crate) keys: Vec<String>,
    /// What it is told.
    pub(crate) arguments: Vec<String>,
}

/// The way to the servers; its thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Link {
    jobs: mpsc::Sender<Job>,
    places: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// What a link has seen since it was opened, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readings {
    /// Calls that were asked for.
    pub calls: u64,
    /// Calls that took longer than the soft limit, answered or not.
    pub slow: u64,
    /// Calls that were sent, or waited for a connection, and got no answer, or an error.
    pub failures: u64,
    /// Calls that failed at once, because nothing is sent now, or too many are under way.
    pub refused: u64,
    /// How often a connection was dialled.
    pub dials: u64,
    /// How many connections are open now.
    pub connections: usize,
    /// What is let through now.
    pub breaker: BreakerState,
}

#[derive(Debug)]
struct Job {
    call: Call,
    begun: Instant,
    pass: Pass,
    reply: oneshot::Sender<Result<Value, Outage>>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Shared {
    budget: Budget,
    breaker: Breaker,
    lines: Vec<Arc<Line>>,
    news: Arc<News>,
    turn: AtomicUsize,
    calls: AtomicU64,
    slow: AtomicU64,
    failures: AtomicU64,
    refused: AtomicU64,
}

impl Script {
    pub(crate) const fn new(text: &'static str, hash: LazyLock<String>) -> Self {
        Self { text, hash }
    }

    /// Computes by what servers know a text.
    pub(crate) fn hash_of(text: &'static str) -> String {
        redis::Script::new(text).get_hash().to_owned()
    }
}

impl Call {
    fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    fn by_text(&self) -> Cmd {
        self.command("EVAL", self.script.text)
    }

    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}

impl Link {
    /// Starts the thread; the servers need not be there yet.
    ///
    /// # Errors
    /// An [`Outage`] if the system gives no thread.
    pub(crate) fn open(config: RedisConfig) -> Result<Self, Outage> {
        let budget = config.budget;
        let shared = Arc::new(Shared {
            budget,
            breaker: Breaker::new(budget.failures_max, budget.open),
            lines: (0..budget.connections.max(1)).map(|_| Arc::new(Line::new())).collect(),
            news: Arc::default(),
            turn: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let (jobs, queue) = mpsc::channel(CALLS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(outage)?;
        let at_work = Arc::clone(&shared);
        let work = move || {
            runtime.block_on(work(at_work, config, queue));
            // A name that is being looked up must not hold up the end.
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("redis".to_owned()).spawn(work).map_err(outage)?;
        Ok(Self { jobs, places: Arc::new(Semaphore::new(CALLS_MAX)), shared })
    }

    /// Runs a script; dropping the wait leaves the call to end by itself.
    pub(crate) async fn call(&self, call: Call) -> Result<Value, Outage> {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let reply = self.enter(call).inspect_err(|_| {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        reply.await.unwrap_or_else(|_| Err(outage("the thread of the connections has ended")))
    }

    /// Returns what it has seen.
    pub(crate) fn readings(&self) -> Readings {
        let shared = &self.shared;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Readings {
            calls: read(&shared.calls),
            slow: read(&shared.slow),
            failures: read(&shared.failures),
            refused: read(&shared.refused),
            dials: shared.lines.iter().map(|line| line.dials()).sum(),
            connections: shared.lines.iter().filter(|line| line.is_open()).count(),
            breaker: shared.breaker.state(),
        }
    }

    fn enter(&self, call: Call) -> Result<oneshot::Receiver<Result<Value, Outage>>, Outage> {
        let begun = Instant::now();
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| outage("as many calls are under way as may be"))?;
        let pass = self.shared.breaker.admit(begun).map_err(|left| {
            let after = Some(left.max(Duration::from_millis(1)));
            Outage { after, ..outage("nothing is sent: too many calls in a row have failed") }
        })?;
        let (reply, answer) = oneshot::channel();
        let job = Job { call, begun, pass, reply, _place: place };
        // There are as many places in the queue as calls may be under way: it is never full, only closed.
        self.jobs.try_send(job).map_err(|_| outage("the thread of the connections has ended"))?;
        Ok(answer)
    }
}

async fn work(shared: Arc<Shared>, config: RedisConfig, mut queue: mpsc::Receiver<Job>) {
    trust_on_this_thread(&config.trust);
    let config = Arc::new(config);
    for line in &shared.lines {
        tokio::spawn(Arc::clone(line).keep(Arc::clone(&config), Arc::clone(&shared.news)));
    }
    while let Some(job) = queue.recv().await {
        tokio::spawn(serve(Arc::clone(&shared), job));
    }
}

async fn serve(shared: Arc<Shared>, job: Job) {
    let deadline = job.begun + shared.budget.hard;
    // Who comes too late was held up by ourselves: the servers did nothing wrong, and nothing is sent for nobody.
    let late = deadline <= Instant::now();
    let answer =
        if late { Err("the call came too late to be sent".to_owned()) } else { shared.run(&job, deadline).await };
    let now = Instant::now();
    if now.duration_since(job.begun) > shared.budget.soft {
        shared.slow.fetch_add(1, Ordering::Relaxed);
    }
    if answer.is_err() {
        shared.failures.fetch_add(1, Ordering::Relaxed);
    }
    if !late && shared.breaker.hear(&job.pass, answer.is_ok(), now) {
        match &answer {
            Ok(_) => info!("redis answers again"),
            Err(cause) => warn!(error = cause, "redis does not answer, so that nothing is sent for a while: {cause}"),
        }
    }
    // Nobody waits any more if the request is gone.
    let _ = job.reply.send(answer.map_err(|cause| Outage { after: Some(shared.budget.open), ..outage(cause) }));
}

impl Shared {
    async fn run(&self, job: &Job, deadline: Instant) -> Result<Value, String> {
        let mut command = job.call.by_hash();
        let mut avoid = None;
        let mut told = None;
        // Once for a script that a server does not know, once more for a connection that broke, and no more.
        for _ in 0..3 {
            let (turn, line) = self.line(avoid);
            let waiting = timeout_at(deadline.into(), line.wire()).await;
            let Ok((number, wire)) = waiting else {
                return Err(told.unwrap_or_else(|| self.news.cause()));
            };
            let error = match sent(wire, &command, deadline).await {
                Some(Ok(value)) => {
                    line.answered();
                    return Ok(value);
                }
                Some(Err(error)) => error,
                None => {
                    line.strained(number);
                    return Err("the server does not answer in time".to_owned());
                }
            };
            let fault = Fault::of(&error);
            line.failed(number, fault);
            told = Some(cause(&error));
            match fault {
                Fault::UnknownScript => command = job.call.by_text(),
                Fault::Gone => avoid = Some(turn),
                Fault::Misplaced | Fault::Refused => break,
            }
        }
        Err(told.unwrap_or_else(|| self.news.cause()))
    }

    /// Chooses the next line in turn, one with a connection if there is any, and not the one to avoid.
    fn line(&self, avoid: Option<usize>) -> (usize, &Line) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.lines.len();
        let in_turn = || self.lines.iter().enumerate().cycle().skip(turn % count.max(1)).take(count);
        let wanted = |(number, line): &(usize, &Arc<Line>)| avoid != Some(*number) && line.is_open();
        let found = in_turn().find(wanted).or_else(|| in_turn().find(|(number, _)| avoid != Some(*number)));
        let (number, line) = found.or_else(|| in_turn().next()).expect("a link is opened with at least one line");
        (number, line)
    }
}

/// Sends a command; none if there is no answer until the deadline.
async fn sent(mut wire: Wire, command: &Cmd, deadline: Instant) -> Option<RedisResult<Value>> {
    timeout_at(deadline.into(), wire.send(command)).await.ok()
}

fn outage(cause: impl ToString) -> Outage {
    Outage::new("redis", cause)
}
