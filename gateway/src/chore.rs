//! What is done beside requests: one thread that goes round its chores for as long as the gateway serves.

pub mod beat;
pub mod deliver;
pub mod enter;
pub mod follow;
pub mod prune;
pub mod revoked;
pub mod rotate;
pub mod settle;
pub mod ship;
pub mod warm;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use policies::code::Outage;
use tokio::sync::watch as flag;
use tokio::task::JoinSet;

use crate::layer::guard::CatchPanic;

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
pub struct Chores {
    make: Arc<dyn Fn() -> Vec<Box<dyn Chore>> + Send + Sync>,
    failed: Arc<dyn Fn(&'static str) + Send + Sync>,
}

impl Chores {
    /// Makes of a function what makes the chores: the same ones in the same order each time.
    pub fn new(make: impl Fn() -> Vec<Box<dyn Chore>> + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), failed: Arc::new(|_| ()) }
    }

    /// Has each round that ends by a panic counted, by the name of the chore.
    #[must_use]
    pub fn counting(self, failed: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self { failed: Arc::new(failed), ..self }
    }

    /// Makes the chores.
    ///
    /// For a chore that panics its round is an outage, and the next one is that of a chore made anew: a defect in what one
    /// does must end neither it nor what waits for it.
    #[must_use]
    pub fn make(&self) -> Vec<Box<dyn Chore>> {
        let renewed = |(number, chore): (usize, Box<dyn Chore>)| -> Box<dyn Chore> {
            let (name, chores) = (chore.name(), self.clone());
            Box::new(Renewed { name, number, chore: Some(chore), chores, told: false })
        };
        (self.make)().into_iter().enumerate().map(renewed).collect()
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

/// A chore that is made anew after a panic.
struct Renewed {
    name: &'static str,
    /// Its place among those that are made.
    number: usize,
    /// None after a panic: what it then knows may be half of something.
    chore: Option<Box<dyn Chore>>,
    chores: Chores,
    /// Whether the log has it that it panics.
    told: bool,
}

impl Renewed {
    async fn renewed(&mut self) -> Result<usize, Outage> {
        let (chore, make, number) = (&mut self.chore, &self.chores.make, self.number);
        let round = async move {
            let chore = match chore {
                Some(chore) => chore,
                none => none.insert(make().into_iter().nth(number).ok_or_else(|| gone("it is not made any more"))?),
            };
            chore.round().await
        };
        match CatchPanic(Box::pin(round)).await {
            Ok(round) => {
                self.told &= round.is_err();
                round
            }
            Err(defect) => {
                self.chore = None;
                (self.chores.failed)(self.name);
                if !std::mem::replace(&mut self.told, true) {
                    tracing::error!("chore {} ended by a defect and is made anew: {defect}", self.name);
                }
                Err(gone("a defect ended it, and it is made anew"))
            }
        }
    }
}

impl Chore for Renewed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn round(&mut self) -> Round<'_> {
        Box::pin(self.renewed())
    }
}

fn gone(cause: &str) -> Outage {
    Outage::new("chores", cause)
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise, and one has to")]

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    /// Panics in its first round, is away in its second, and then says how often it was made.
    struct Moody(usize, Arc<flag::Sender<usize>>);

    impl Chore for Moody {
        fn name(&self) -> &'static str {
            "moody"
        }

        fn round(&mut self) -> Round<'_> {
            let round = *self.1.borrow();
            self.1.send_replace(round + 1);
            Box::pin(async move {
                match round {
                    0 => panic!("a bad day"),
                    1 => Err(gone("away")),
                    _ => Ok(self.0),
                }
            })
        }
    }

    /// Does nothing.
    struct Calm;

    impl Chore for Calm {
        fn name(&self) -> &'static str {
            "calm"
        }

        fn round(&mut self) -> Round<'_> {
            Box::pin(async { Ok(0) })
        }
    }

    /// Whose rounds were counted as failed.
    type Names = Arc<Mutex<Vec<&'static str>>>;

    fn moody() -> (Chores, Arc<flag::Sender<usize>>, Names) {
        let (made, rounds) = (AtomicUsize::new(0), Arc::new(flag::Sender::new(0)));
        let (failed, by) = (Arc::new(Mutex::new(Vec::new())), Arc::clone(&rounds));
        let make = move || -> Vec<Box<dyn Chore>> {
            let made = made.fetch_add(1, Ordering::Relaxed) + 1;
            vec![Box::new(Calm), Box::new(Moody(made, Arc::clone(&by)))]
        };
        let counted = Arc::clone(&failed);
        let chores = Chores::new(make).counting(move |name| counted.lock().unwrap().push(name));
        (chores, rounds, failed)
    }

    #[tokio::test]
    async fn a_chore_that_panics_once_is_counted_and_made_anew_once() {
        let (chores, _, failed) = moody();
        let mut made = chores.make();
        let moody = made.get_mut(1).unwrap();
        assert_eq!(moody.name(), "moody");
        assert!(moody.round().await.unwrap_err().cause.contains("a defect"));
        assert_eq!(*failed.lock().unwrap(), ["moody"]);
        assert!(moody.round().await.unwrap_err().cause.contains("away"), "an outage is none");
        assert_eq!(moody.round().await.unwrap(), 2);
        assert_eq!(moody.round().await.unwrap(), 2);
        assert_eq!(*failed.lock().unwrap(), ["moody"]);
    }

    #[tokio::test]
    async fn a_served_chore_that_panics_goes_on_after_its_rest() {
        let (chores, rounds, _) = moody();
        let (stop, told) = flag::channel(false);
        let begun = Instant::now();
        let mut done = rounds.subscribe();
        let watching = async {
            done.wait_for(|rounds| *rounds >= 2).await.unwrap();
            stop.send(true).unwrap();
        };
        tokio::join!(serve(chores.make(), told), watching);
        assert!(begun.elapsed() >= REST_AFTER_OUTAGE, "{:?}", begun.elapsed());
    }
}
