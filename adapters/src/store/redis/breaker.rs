//! Stops calls to a store that does not answer, so that requests fail at once instead of each waiting its turn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the breaker lets through now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Every call.
    Closed,
    /// One call, to find out whether the store is back.
    Probing,
    /// None.
    Open,
}

/// Counts failures in a row and opens when there are too many.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    open: Duration,
    state: Mutex<State>,
}

/// The right to make one call; its end is to be told to the breaker that gave it.
#[derive(Debug)]
pub(super) struct Pass {
    probe: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// A probe that is not heard of any more gives way to another at `until`.
    Probing {
        until: Instant,
    },
}

impl Breaker {
    /// Makes a breaker that opens for `open` after so many failures in a row, at least one.
    pub(super) fn new(failures_max: u32, open: Duration) -> Self {
        Self { failures_max: failures_max.max(1), open, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Lets a call through, or tells after what time it may be tried again.
    pub(super) fn admit(&self, now: Instant) -> Result<Pass, Duration> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Ok(Pass { probe: false }),
            State::Open { until } | State::Probing { until } if until <= now => {
                *state = State::Probing { until: now + self.open };
                Ok(Pass { probe: true })
            }
            State::Open { until } | State::Probing { until } => Err(until.saturating_duration_since(now)),
        }
    }

    /// Hears how a call ended; `true` if the breaker opened or closed by it.
    ///
    /// While it is open only the probe counts: calls that began before tell of a time that is over.
    pub(super) fn hear(&self, pass: &Pass, answered: bool, now: Instant) -> bool {
        let mut state = self.lock();
        match (*state, answered) {
            (State::Closed { .. }, true) => *state = State::Closed { failures: 0 },
            (State::Closed { failures }, false) if failures + 1 < self.failures_max => {
                *state = State::Closed { failures: failures + 1 };
            }
            (State::Closed { .. }, false) => {
                *state = State::Open { until: now + self.open };
                return true;
            }
            (State::Probing { .. }, true) if pass.probe => {
                *state = State::Closed { failures: 0 };
                return true;
            }
            (State::Probing { .. }, false) if pass.probe => *state = State::Open { until: now + self.open },
            (State::Open { .. } | State::Probing { .. }, _) => {}
        }
        false
    }

    /// Returns what it lets through.
    pub(super) fn state(&self) -> BreakerState {
        match *self.lock() {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing { .. } => BreakerState::Probing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    const OPEN: Duration = Duration::from_secs(1);
    const TICK: Duration = Duration::from_millis(1);

    fn fail(breaker: &Breaker, times: usize, now: Instant) {
        for _ in 0..times {
            let pass = breaker.admit(now).unwrap();
            breaker.hear(&pass, false, now);
        }
    }

    #[test]
    fn it_opens_at_the_last_failure_in_a_row_and_not_before() {
        let (breaker, now) = (Breaker::new(5, OPEN), Instant::now());
        fail(&breaker, 4, now);
        let pass = breaker.admit(now).unwrap();
        assert!(!breaker.hear(&pass, true, now));
        fail(&breaker, 4, now);
        assert_eq!(breaker.state(), BreakerState::Closed);
        let pass = breaker.admit(now).unwrap();
        assert!(breaker.hear(&pass, false, now));
        assert_eq!(breaker.admit(now + TICK).unwrap_err(), OPEN - TICK);
    }

    #[test]
    fn it_lets_one_probe_through_when_its_time_is_over() {
        let (breaker, now) = (Breaker::new(5, OPEN), Instant::now());
        fail(&breaker, 5, now);
        assert!(breaker.admit(now + OPEN - TICK).is_err());
        let probe = breaker.admit(now + OPEN).unwrap();
        assert!(breaker.admit(now + OPEN).is_err());
        assert!(!breaker.hear(&probe, false, now + OPEN));
        assert!(breaker.admit(now + OPEN + OPEN - TICK).is_err());
        let probe = breaker.admit(now + OPEN + OPEN).unwrap();
        assert!(breaker.hear(&probe, true, now + OPEN + OPEN));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn calls_of_before_neither_close_it_nor_keep_it_open() {
        let (breaker, now) = (Breaker::new(2, OPEN), Instant::now());
        let (early, late) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
        fail(&breaker, 2, now);
        breaker.hear(&early, true, now + TICK);
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker.hear(&late, false, now + OPEN - TICK);
        let probe = breaker.admit(now + OPEN).unwrap();
        breaker.hear(&late, true, now + OPEN);
        assert_eq!(breaker.state(), BreakerState::Probing);
        assert!(breaker.hear(&probe, true, now + OPEN));
    }

    #[test]
    fn a_probe_that_is_never_heard_of_gives_way_to_another() {
        let (breaker, now) = (Breaker::new(1, OPEN), Instant::now());
        fail(&breaker, 1, now);
        let _lost = breaker.admit(now + OPEN).unwrap();
        assert!(breaker.admit(now + OPEN + OPEN - TICK).is_err());
        assert!(breaker.admit(now + OPEN + OPEN).is_ok());
    }
}
