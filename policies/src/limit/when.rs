//! Which calls a limit counts, by who is there and by the hour.

use super::When;
use super::window::minute_of_day;
use crate::time::Timestamp;

impl When {
    /// Tells whether calls count now that come with the customer there, or without.
    ///
    /// Hours that end before they begin go over midnight.
    #[must_use]
    pub fn holds(&self, attended: bool, now: Timestamp) -> bool {
        if self.attended.is_some_and(|asked| asked != attended) {
            return false;
        }
        let minute = minute_of_day(now);
        self.hours.is_empty()
            || self.hours.iter().any(|hours| match hours.start <= hours.end {
                true => hours.contains(&minute),
                false => minute >= hours.start || minute < hours.end,
            })
    }
}
