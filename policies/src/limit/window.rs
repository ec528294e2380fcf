//! Windows of time: of the clock, of the calendar in Asia/Almaty, and rolling ones.

use std::time::Duration;

use super::clock::millis;
use super::{ROLLING_SLOTS, Window};
use crate::time::{KAZAKHSTAN_AHEAD, Timestamp, first_of_month};

const SECOND_MILLIS: i64 = 1000;
const MINUTE_MILLIS: i64 = 60 * SECOND_MILLIS;
const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;

impl Window {
    /// Returns the first instant of the window that `now` lies in; of a rolling one, of its newest slot.
    #[must_use]
    pub fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Window::Second => floor(now, SECOND_MILLIS),
            Window::Minute => floor(now, MINUTE_MILLIS),
            Window::Hour => floor(now, HOUR_MILLIS),
            Window::Day => first_of_day(day(now)),
            Window::Month => first_of_day(first_of_month(day(now), 0)),
            Window::Rolling(window) => floor(now, slot_millis(window)),
        }
    }

    /// Returns the first instant after the window that `now` lies in; of a rolling one, of what comes now.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Timestamp {
        let after = |millis| Timestamp::from_millis(self.start(now).millis().saturating_add(millis));
        match self {
            Window::Second => after(SECOND_MILLIS),
            Window::Minute => after(MINUTE_MILLIS),
            Window::Hour => after(HOUR_MILLIS),
            Window::Day => after(DAY_MILLIS),
            Window::Month => first_of_day(first_of_month(day(now), 1)),
            Window::Rolling(window) => after(slot_millis(window).saturating_mul(SLOTS)),
        }
    }

    /// Returns how long the window is that `now` lies in; a rolling one as it was asked for.
    #[must_use]
    pub fn length(self, now: Timestamp) -> Duration {
        match self {
            Window::Rolling(window) => window,
            fixed => fixed.end(now).since(fixed.start(now)),
        }
    }
}

/// [`ROLLING_SLOTS`] as a number of slots of time.
pub(super) const SLOTS: i64 = ROLLING_SLOTS as i64;

/// Returns how long a slot of a rolling window is: milliseconds.
///
/// The newest slot is not over yet, so that the others alone have to span the window.
#[must_use]
pub fn slot_millis(window: Duration) -> i64 {
    let window = millis(window).max(SLOTS);
    window / (SLOTS - 1) + i64::from(window % (SLOTS - 1) > 0)
}

/// Returns the day in Asia/Almaty, counted from 1970-01-01.
pub(super) fn day(now: Timestamp) -> i64 {
    now.millis().saturating_add(millis(KAZAKHSTAN_AHEAD)).div_euclid(DAY_MILLIS)
}

/// Returns the first instant of a day in Asia/Almaty.
pub(super) fn first_of_day(day: i64) -> Timestamp {
    Timestamp::from_millis(day.saturating_mul(DAY_MILLIS).saturating_sub(millis(KAZAKHSTAN_AHEAD)))
}

/// Returns the minute of the day in Asia/Almaty.
pub(super) fn minute_of_day(now: Timestamp) -> u16 {
    let of_day = now.millis().saturating_add(millis(KAZAKHSTAN_AHEAD)).rem_euclid(DAY_MILLIS);
    u16::try_from(of_day / MINUTE_MILLIS).unwrap_or(0)
}

fn floor(now: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(now.millis().div_euclid(millis).saturating_mul(millis))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{DAY, Dice, NOW, SECOND, TICK, at};
    use super::*;

    #[test]
    fn a_month_is_as_long_as_the_calendar_says() {
        for (text, days) in [
            ("2026-11-30T18:59:59.999Z", 30),
            ("2026-11-30T19:00:00Z", 31),
            ("2027-02-10T00:00:00Z", 28),
            ("2028-02-10T00:00:00Z", 29),
            ("2100-02-10T00:00:00Z", 28),
            ("2000-02-10T00:00:00Z", 29),
            ("2026-12-31T19:00:00Z", 31),
        ] {
            assert_eq!(Window::Month.length(at(text)), days * DAY, "{text}");
        }
        assert_eq!(Window::Month.start(at("2026-12-31T18:59:59.999Z")), at("2026-11-30T19:00:00Z"));
        assert_eq!(Window::Month.end(at("2026-12-31T18:59:59.999Z")), at("2026-12-31T19:00:00Z"));
        assert_eq!(Window::Month.start(at("2026-12-31T19:00:00Z")), at("2026-12-31T19:00:00Z"));
    }

    #[test]
    fn windows_follow_each_other_without_a_gap() {
        for seed in 0..500 {
            let mut dice = Dice(seed);
            // Forty years either way.
            let now = NOW - 14_600 * DAY + dice.span(29_200 * DAY);
            for window in [Window::Second, Window::Minute, Window::Hour, Window::Day, Window::Month] {
                let (start, end) = (window.start(now), window.end(now));
                assert!(start <= now && now < end, "{window:?} of {now}");
                assert_eq!((window.start(start), window.start(end - TICK)), (start, start), "{window:?} of {now}");
                assert_eq!(window.start(end), end, "{window:?} of {now}");
                assert_eq!(window.end(start - TICK), start, "{window:?} of {now}");
                let local = (start + KAZAKHSTAN_AHEAD).to_string();
                let at_midnight = local.ends_with("T00:00:00.000Z");
                assert!(at_midnight || !matches!(window, Window::Day | Window::Month), "{window:?} of {now}");
                assert!(local.ends_with("-01T00:00:00.000Z") || window != Window::Month, "{now}");
            }
        }
    }

    #[test]
    fn the_slots_before_the_newest_one_span_their_window() {
        for millis in [0, 1, 999, 1000, 1001, 1006, 1007, 1008, 60_000, 86_400_000] {
            let window = Duration::from_millis(millis);
            let slot = slot_millis(window);
            assert!(slot > 0 && slot * (SLOTS - 1) >= super::millis(window), "{window:?}");
            assert!((slot - 1) * (SLOTS - 1) < super::millis(window).max(SLOTS), "{window:?}");
        }
        assert_eq!(slot_millis(SECOND), 143);
    }
}
