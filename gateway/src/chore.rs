//! What is done beside requests: one thread that goes round its chores for as long as the gateway serves.

pub mod deliver;
pub mod enter;
pub mod prune;
pub mod settle;
pub mod ship;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use policies::code::Outage;
use tokio::sync::watch as flag;
use tokio::task::JoinSet;

/// How long a chore that found nothing to do rests: what is due is done a quarter of a second late at most.
const REST: Duration = Duration::from_millis(250);

/// How long a chore rests after an outage.
const REST_AFTER_OUTAGE: Duration = Duration::from_secs(1);

/// How long a stopping gateway waits for what its chores are doing: they can be dropped at any await.
const STOP_MAX: Duration = Duration::from_secs(2);

/// How many things one round did.
pub type Round<'a> = Pin<Box<dyn Future<Output = Result<usize, Outage>> + Send + 'a>>;

/// Something that is done beside requests, a round at a time.
pub trait Chore: Send {
    /// Returns its name, for the log.
    fn name(&self) -> &'static str;

    /// Does what is due now, up to a bound of its own, and tells how much that was.
    ///
    /// Safe to drop at any await: what was taken is due again later.
    fn round(&mut self) -> Round<'_>;
}

/// Makes the chores of a house, once for whoever goes round them.
#[derive(Clone)]
pub struct Chores(Arc<dyn Fn() -> Vec<Box<dyn Chore>> + Send + Sync>);

impl Chores {
    /// Makes of a function what makes the chores.
    pub fn new(make: impl Fn() -> Vec<Box<dyn Chore>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Makes the chores.
    #[must_use]
    pub fn make(&self) -> Vec<Box<dyn Chore>> {
        (self.0)()
    }
}

impl fmt::Debug for Chores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chores")
    }
}

/// Goes round `chores` until told to stop.
pub async fn serve(chores: Vec<Box<dyn Chore>>, mut told: flag::Receiver<bool>) {
    let mut rounds = JoinSet::new();
    for chore in chores {
        rounds.spawn(go_round(chore, told.clone()));
    }
    // An error means that nobody can tell any more: a stop as well.
    let _ = told.wait_for(|stop| *stop).await;
    let ending = async { while rounds.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_MAX, ending).await.is_err() {
        tracing::warn!("a chore was cut off at the stop; what it had taken is due again later");
    }
}

async fn go_round(mut chore: Box<dyn Chore>, mut told: flag::Receiver<bool>) {
    let mut down = false;
    loop {
        let rest = match chore.round().await {
            Ok(done) => {
                if std::mem::take(&mut down) {
                    tracing::info!("chore {} goes on", chore.name());
                }
                if done > 0 { Duration::ZERO } else { REST }
            }
            Err(outage) => {
                // Told once: an outage of an hour is one line, not 3,600.
                if !std::mem::replace(&mut down, true) {
                    tracing::warn!("chore {} cannot go on for now: {outage}", chore.name());
                }
                REST_AFTER_OUTAGE
            }
        };
        tokio::select! {
            biased;
            _ = told.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
