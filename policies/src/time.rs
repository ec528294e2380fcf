//! Points in time, as values: nothing here reads a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// How far Kazakhstan is ahead of UTC: it has one time zone, without daylight saving, since 1 March 2024 (IANA time zone
/// database 2024a, `Asia/Almaty`).
pub const KAZAKHSTAN_AHEAD: Duration = Duration::from_secs(5 * 3600);

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last instant that `Timestamp` can tell; what never ends ends then.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Makes a timestamp from milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Makes a timestamp from whole seconds since the epoch (saturating).
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns how long ago `earlier` was, zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses a calendar day `YYYY-MM-DD` as its first instant in UTC.
    #[must_use]
    pub fn from_date(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 {
            return None;
        }
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !(digits(year) && digits(month) && digits(day)) {
            return None;
        }
        let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        Some(Self::from_seconds(days_from_civil(year, month, day) * 86_400))
    }

    /// Parses a point in time (RFC 3339, 5.6) with `T`, seconds and `Z` or an offset; parts of a millisecond are cut off.
    ///
    /// Leap seconds are refused: nothing here can tell them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once('T')?;
        let two = |at: usize| -> Option<i64> {
            let part = rest.get(at..at + 2)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
        };
        let colon = |at: usize| rest.get(at..=at) == Some(":");
        let (hours, minutes, seconds) = (two(0)?, two(3)?, two(6)?);
        if !colon(2) || !colon(5) || hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let tail = rest.get(8..)?;
        let (fraction, zone) = match tail.strip_prefix('.') {
            Some(after) => after.split_at_checked(after.bytes().take_while(u8::is_ascii_digit).count())?,
            None => ("000", tail),
        };
        if fraction.is_empty() || fraction.len() > 9 {
            return None;
        }
        let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let day = Self::from_date(date)?.seconds();
        let seconds = day + hours * 3600 + minutes * 60 + seconds - offset_seconds(zone)?;
        Some(Self::from_millis(seconds * 1000 + millis))
    }
}

/// Writes RFC 3339 in UTC with milliseconds, for example `2026-11-22T10:05:00.250Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            rest / 3600,
            rest % 3600 / 60,
            rest % 60,
            self.0.rem_euclid(1000)
        )
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Returns the first day of the month that a day lies in, or of one so many months later; days since 1970-01-01.
pub(crate) fn first_of_month(day: i64, months_later: i64) -> i64 {
    let (year, month, _) = civil_from_days(day);
    let months = year.saturating_mul(12).saturating_add(month - 1).saturating_add(months_later);
    days_from_civil(months.div_euclid(12), months.rem_euclid(12) + 1, 1)
}

// `Z`, or hours and minutes ahead of UTC with a sign.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let two = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two(hours) || !two(minutes) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let ahead = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
    match zone.get(..1)? {
        "+" => Some(ahead),
        "-" => Some(-ahead),
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Days of the proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_does_not_exist_is_no_date() {
        for text in
            ["2026-02-29", "2026-13-01", "2026-00-10", "2026-1-01", "26-01-01", "2026-01-01x", "2026-01", "+026-01-01"]
        {
            assert_eq!(Timestamp::from_date(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_instants_are_told_in_rfc_3339() {
        for (day, seconds) in [("1970-01-01", 0), ("2000-02-29", 951_782_400), ("2026-11-22", 1_795_305_600)] {
            let found = Timestamp::from_date(day);
            assert_eq!(found.map(Timestamp::seconds), Some(seconds));
            assert_eq!(found.map(|at| at.to_string()), Some(format!("{day}T00:00:00.000Z")));
        }
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_point_in_time_is_not_read() {
        for text in [
            "2026-11-22",
            "2026-11-22 10:05:00Z",
            "2026-11-22t10:05:00Z",
            "2026-11-22T10:05:00",
            "2026-11-22T10:05Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:60:00Z",
            "2026-11-22T10:05:60Z",
            "2026-02-29T10:05:00Z",
            "2026-11-22T10:05:00.Z",
            "2026-11-22T10:05:00.1234567890Z",
            "2026-11-22T10:05:00+5:00",
            "2026-11-22T10:05:00+24:00",
            "2026-11-22T10:05:00z",
            "2026-11-22T10:05:00Zx",
            "2026-11-22T+1:05:00Z",
            "2026-11-22T10:05:00ю",
            "ю",
            "T",
            "",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn points_in_time_are_read_as_they_are_told() {
        for (text, told) in [
            ("2026-11-22T10:05:00Z", "2026-11-22T10:05:00.000Z"),
            ("2026-11-22T10:05:00.25Z", "2026-11-22T10:05:00.250Z"),
            ("2026-11-22T10:05:00.123456789Z", "2026-11-22T10:05:00.123Z"),
            ("2026-11-22T03:05:00+05:00", "2026-11-21T22:05:00.000Z"),
            ("1969-12-31T20:00:00-04:30", "1970-01-01T00:30:00.000Z"),
        ] {
            assert_eq!(Timestamp::parse(text).map(|at| at.to_string()).as_deref(), Some(told), "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}
