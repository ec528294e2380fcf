//! For how long something has been going on, as far as somebody asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Since when it goes on; none while it does not.
#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<Option<Instant>>>);

/// That it goes on, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Guard {
    running: Running,
    before: Option<Instant>,
}

impl Running {
    /// Notes that it begins; what begins within it does not begin anew.
    pub fn begin(&self, now: Instant) -> Guard {
        let before = self.since();
        self.set(before.or(Some(now)));
        Guard { running: self.clone(), before }
    }

    /// Returns the whole seconds since it began; 0 while it does not go on.
    #[must_use]
    pub fn seconds(&self, now: Instant) -> u64 {
        self.since().map_or(0, |since| now.saturating_duration_since(since).as_secs())
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.running.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_goes_on_is_told_until_it_ends() {
        let (running, begin) = (Running::default(), Instant::now());
        let later = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(running.seconds(later(9)), 0);
        let outer = running.begin(begin);
        let inner = running.begin(later(5));
        assert_eq!(running.seconds(later(7)), 7);
        drop(inner);
        assert_eq!(running.seconds(later(8)), 8);
        drop(outer);
        assert_eq!(running.seconds(later(9)), 0);
    }
}
