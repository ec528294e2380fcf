//! One thing that is fetched from elsewhere: kept for a while, and fetched by one for all who wait for it.
//!
//! Runs on a task of its own, so that whoever stops waiting takes it from nobody else, and a failure is known to all.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policies::code::Outage;
use policies::time::Timestamp;

/// How soon something is fetched again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rests {
    /// After it came, if it is not what was wanted.
    pub(super) fetched: Duration,
    /// After it did not come.
    pub(super) failed: Duration,
}

/// Something that was fetched.
#[derive(Debug)]
pub(super) struct Fetched<T> {
    pub(super) value: T,
    /// From when on a newer one is fetched beside its use.
    pub(super) fresh_until: Timestamp,
    /// From when on it is not used.
    pub(super) usable_until: Timestamp,
}

struct State<T> {
    held: Option<Fetched<T>>,
    tried: Option<Timestamp>,
    failed: Option<Outage>,
    attempts: u64,
}

/// Something that is fetched.
pub(super) struct Flight<T> {
    state: Mutex<State<T>>,
    under_way: tokio::sync::Mutex<()>,
    rests: Rests,
}

/// What one look finds.
enum Seen<T> {
    Good(T),
    /// It may be used, and a newer one is due.
    Old(T, u64),
    Failed(Outage),
    Wanted(u64),
}

impl<T: Clone + Send + 'static> Flight<T> {
    pub(super) fn new(rests: Rests) -> Arc<Self> {
        let state = State { held: None, tried: None, failed: None, attempts: 0 };
        Arc::new(Self { state: Mutex::new(state), under_way: tokio::sync::Mutex::new(()), rests })
    }

    /// Gives what is held, if it may be used without waiting and no newer one is due.
    pub(super) fn good(&self, now: Timestamp) -> Option<T> {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| now < held.fresh_until)?;
        Some(held.value.clone())
    }

    /// Gives what is held if it `fits`, or what `ask` brings; must be called on a runtime.
    ///
    /// What is held and fits is given at once, while a newer one that is due is fetched beside.
    pub(super) async fn get<F>(
        self: &Arc<Self>,
        now: Timestamp,
        fits: impl Fn(&T) -> bool,
        ask: impl FnOnce() -> F,
    ) -> Result<T, Outage>
    where
        F: Future<Output = Result<Fetched<T>, Outage>> + Send + 'static,
    {
        match self.see(now, &fits) {
            Seen::Good(value) => Ok(value),
            Seen::Failed(outage) => Err(outage),
            Seen::Old(value, attempts) => {
                if self.under_way.try_lock().is_ok() {
                    tokio::spawn(Arc::clone(self).fetch(attempts, now, ask()));
                }
                Ok(value)
            }
            Seen::Wanted(attempts) => {
                // An error means that the runtime ends, or that a defect ended the task: nothing came.
                let _ = tokio::spawn(Arc::clone(self).fetch(attempts, now, ask())).await;
                self.told(now, &fits)
            }
        }
    }

    /// Fetches what is not fresh any more or was never there; tells whether anybody was asked.
    pub(super) async fn renew<F>(self: &Arc<Self>, now: Timestamp, ask: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Result<Fetched<T>, Outage>> + Send + 'static,
    {
        let attempts = {
            let state = self.state();
            let fresh = state.held.as_ref().is_some_and(|held| now < held.fresh_until);
            if fresh || self.rests(&state, now) {
                return false;
            }
            state.attempts
        };
        let _ = tokio::spawn(Arc::clone(self).fetch(attempts, now, ask())).await;
        true
    }

    /// Forgets what is held, if it is what somebody was refused with.
    pub(super) fn forget(&self, is: impl Fn(&T) -> bool) -> bool {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| is(&held.value)) {
            state.held = None;
            return true;
        }
        false
    }

    fn see(&self, now: Timestamp, fits: impl Fn(&T) -> bool) -> Seen<T> {
        let state = self.state();
        let resting = self.rests(&state, now);
        let usable = state.held.as_ref().filter(|held| now < held.usable_until);
        match (usable, &state.failed) {
            (Some(held), _) if fits(&held.value) && (now < held.fresh_until || resting) => {
                Seen::Good(held.value.clone())
            }
            (Some(held), _) if fits(&held.value) => Seen::Old(held.value.clone(), state.attempts),
            (_, Some(outage)) if resting => Seen::Failed(outage.clone()),
            (Some(held), None) if resting => Seen::Good(held.value.clone()),
            _ => Seen::Wanted(state.attempts),
        }
    }

    // After a fetch: what came is what there is, whether it fits or not.
    fn told(&self, now: Timestamp, fits: impl Fn(&T) -> bool) -> Result<T, Outage> {
        let state = self.state();
        let usable = state.held.as_ref().filter(|held| now < held.usable_until);
        match (usable, &state.failed) {
            (Some(held), failed) if failed.is_none() || fits(&held.value) => Ok(held.value.clone()),
            (_, Some(outage)) => Err(outage.clone()),
            (_, None) => Err(Outage::new("oauth", "nothing came of asking")),
        }
    }

    fn rests(&self, state: &State<T>, now: Timestamp) -> bool {
        let rest = if state.failed.is_some() { self.rests.failed } else { self.rests.fetched };
        // A clock that went back must not make it rest for long.
        state.tried.is_some_and(|tried| tried <= now && now < tried + rest)
    }

    async fn fetch(
        self: Arc<Self>,
        seen: u64,
        now: Timestamp,
        ask: impl Future<Output = Result<Fetched<T>, Outage>> + Send,
    ) {
        let _alone = self.under_way.lock().await;
        if self.state().attempts != seen {
            // Somebody has asked while this one waited.
            return;
        }
        let came = ask.await;
        let mut state = self.state();
        state.attempts += 1;
        state.tried = Some(now);
        match came {
            Ok(fetched) => (state.held, state.failed) = (Some(fetched), None),
            Err(outage) => {
                // Told once, and not at each try.
                match &state.failed {
                    Some(known) if known.cause == outage.cause => tracing::debug!("{outage}"),
                    _ => tracing::warn!("{outage}"),
                }
                state.failed = Some(outage);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Flight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flight")
    }
}
