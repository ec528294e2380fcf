//! The one clock of the process; everything below is given `now` and never reads one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use policies::time::Timestamp;

/// Tells the time: the system's, or one that is moved by hand.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Makes a clock that tells the system's time.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Makes a clock that stands at `start` until it is moved; its clones move with it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.millis()))))
    }

    /// Returns the time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            // A system clock before 1970 is read as 1970: everything is over then, which refuses.
            Source::System => {
                Timestamp::from_millis(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
            }
            Source::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock on; `false` if this one is the system's, which does not move by hand.
    #[must_use = "a system clock does not move"]
    pub fn advance(&self, span: Duration) -> bool {
        match &self.0 {
            Source::System => false,
            Source::Manual(millis) => {
                let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                let _ = millis.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(span)));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_does_not_move_by_hand() {
        assert!(!Clock::system().advance(Duration::from_secs(1)));
        assert!(Clock::system().now() > Timestamp::from_seconds(1_700_000_000));
    }

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(Timestamp::from_seconds(5));
        assert!(clock.clone().advance(Duration::from_millis(1)));
        assert_eq!(clock.now(), Timestamp::from_millis(5001));
    }
}
