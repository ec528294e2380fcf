//! One connection that is kept open: dialled in the background, watched, and dialled again when it is of no use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use redis::cmd;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::dial::{Wire, dial, is_replaced};
use super::fault::Fault;
use super::news::News;
use super::servers::RedisConfig;

/// How soon a dial that failed is tried again, at first; each further wait is twice as long.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// How long the wait between two dials becomes at most: as long as a breaker is open.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How often a connection is tried, and Sentinels are asked: what lies between may have forgotten it, or they replaced it.
const BEAT: Duration = Duration::from_secs(10);

/// How long the answer to such a trial may take.
const BEAT_MAX: Duration = Duration::from_secs(2);

/// What one call without an answer weighs against answered ones.
///
/// Where one node of three is dead, a third of the calls is not answered: enough to tip the scale, while a call that
/// is late now and then is not.
const STRAIN: u32 = 3;

/// With how much strain a connection is given up: three calls in a row without an answer.
const STRAIN_MAX: u32 = 9;

/// A place for one connection.
#[derive(Debug)]
pub(super) struct Line {
    held: watch::Sender<Option<Held>>,
    /// Up to which number connections are of no use.
    useless: watch::Sender<u64>,
    strain: AtomicU32,
    dials: AtomicU64,
}

#[derive(Clone)]
struct Held {
    /// Counts the connections of this line, so that nobody complains of a connection that was replaced since.
    number: u64,
    wire: Wire,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Line {
    pub(super) fn new() -> Self {
        Self {
            held: watch::Sender::new(None),
            useless: watch::Sender::new(0),
            strain: AtomicU32::new(0),
            dials: AtomicU64::new(0),
        }
    }

    /// Tells whether there is a connection.
    pub(super) fn is_open(&self) -> bool {
        self.held.borrow().is_some()
    }

    /// Tells how often it was dialled.
    pub(super) fn dials(&self) -> u64 {
        self.dials.load(Ordering::Relaxed)
    }

    /// Gives the connection and its number, once there is one.
    pub(super) async fn wire(&self) -> (u64, Wire) {
        let mut held = self.held.subscribe();
        loop {
            if let Some(held) = &*held.borrow_and_update() {
                return (held.number, held.wire.clone());
            }
            // The sender is our own field: it outlives this borrow, so that a change is all that can come.
            let _ = held.changed().await;
        }
    }

    /// Hears that a call was answered.
    pub(super) fn answered(&self) {
        let _ = self.strain.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |strain| strain.checked_sub(1));
    }

    /// Hears that a call over connection `number` was not answered in time.
    pub(super) fn strained(&self, number: u64) {
        if self.strain.fetch_add(STRAIN, Ordering::Relaxed) + STRAIN >= STRAIN_MAX {
            // It stays in use until there is another: a server that is only slow serves those who came first.
            self.give_up(number);
        }
    }

    /// Hears that a call over connection `number` failed.
    pub(super) fn failed(&self, number: u64, fault: Fault) {
        match fault {
            Fault::Gone => {
                self.held.send_if_modified(|held| {
                    let gone = held.as_ref().is_some_and(|held| held.number <= number);
                    if gone {
                        *held = None;
                    }
                    gone
                });
                self.give_up(number);
            }
            Fault::Misplaced => self.give_up(number),
            Fault::UnknownScript | Fault::Refused => {}
        }
    }

    /// Keeps a connection open, for as long as it is polled.
    pub(super) async fn keep(self: Arc<Self>, config: Arc<RedisConfig>, news: Arc<News>) {
        let mut wait = WAIT_MIN;
        for number in 1.. {
            self.dials.fetch_add(1, Ordering::Relaxed);
            match dial(&config).await {
                Ok(wire) => {
                    self.strain.store(0, Ordering::Relaxed);
                    self.held.send_replace(Some(Held { number, wire: wire.clone() }));
                    news.reached();
                    let since = Instant::now();
                    self.until_useless(number, wire, &config).await;
                    if since.elapsed() > WAIT_MAX {
                        wait = WAIT_MIN;
                        continue;
                    }
                }
                Err(cause) => {
                    self.held.send_replace(None);
                    news.missed(&cause);
                }
            }
            sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    async fn until_useless(&self, number: u64, mut wire: Wire, config: &RedisConfig) {
        let mut useless = self.useless.subscribe();
        loop {
            tokio::select! {
                _ = useless.wait_for(|useless| *useless >= number) => return,
                () = sleep(BEAT) => {}
            }
            let ping = cmd("PING");
            match timeout(BEAT_MAX, wire.send(&ping)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => self.failed(number, Fault::of(&error)),
                Err(_) => self.failed(number, Fault::Gone),
            }
            if is_replaced(config, &wire).await {
                self.failed(number, Fault::Gone);
            }
        }
    }

    fn give_up(&self, number: u64) {
        self.useless.send_if_modified(|useless| {
            let more = *useless < number;
            *useless = number.max(*useless);
            more
        });
    }
}
