//! The sandbox's own clock: seconds since 1970, and their RFC 3339 text.
//!
//! Written here and not taken from the gateway, so that the two cannot agree on a wrong time by accident.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_SECONDS: i64 = 86_400;
/// Years outside of this are refused, so that every text has four digits of year.
const YEARS: std::ops::RangeInclusive<i64> = 1970..=9999;

/// The last second that is written with four digits of year.
pub(crate) const LAST: i64 = 253_402_300_799;

/// Now, in whole seconds, UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Writes seconds as `2026-03-01T09:00:00Z`, twenty characters, so that texts sort like times.
pub(crate) fn write(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let rest = seconds.rem_euclid(DAY_SECONDS);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Reads an RFC 3339 date (`2026-03-01`, its first second in UTC) or date-time (with `Z` or an offset).
///
/// Fractions of a second are dropped. `None` for all other text.
pub(crate) fn read(text: &str) -> Option<i64> {
    let number = |part: Option<&str>| -> Option<i64> {
        let part = part?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let separators = [(4, b'-'), (7, b'-')];
    if !text.is_ascii() || !separators.iter().all(|(at, sign)| text.as_bytes().get(*at) == Some(sign)) {
        return None;
    }
    let (year, month, day) = (number(text.get(..4))?, number(text.get(5..7))?, number(text.get(8..10))?);
    if !YEARS.contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    let midnight = days * DAY_SECONDS;
    if text.len() == 10 {
        return Some(midnight);
    }
    let time = text.get(10..19)?;
    let signs = [(0, b'T'), (3, b':'), (6, b':')];
    if !signs.iter().all(|(at, sign)| time.as_bytes().get(*at) == Some(sign)) {
        return None;
    }
    let (hour, minute, second) = (number(time.get(1..3))?, number(time.get(4..6))?, number(time.get(7..9))?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = offset(text.get(19..)?)?;
    Some(midnight + hour * 3600 + minute * 60 + second - offset)
}

/// Reads what follows the seconds: an optional fraction, then `Z` or `+hh:mm`, as seconds east of UTC.
fn offset(text: &str) -> Option<i64> {
    let zone = match text.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return None;
            }
            zone
        }
        None => text,
    };
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let two =
        |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<i64>().ok())?;
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970-01-01 of a civil date (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The civil date of days since 1970-01-01 (same source).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-00-10",
            "1969-12-31",
            "2026-03-01T",
            "2026-03-01T09:00:00",
            "2026-03-01T24:00:00Z",
            "2026-03-01 09:00:00Z",
            "2026-03-01T09:00:00.Z",
            "2026-03-01T09:00:00+5:00",
            "2026-03-01T09:00:00Zjunk",
            "2026-03-0é",
            "+026-03-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        assert_eq!(read("1970-01-01"), Some(0));
        assert_eq!(read("2026-03-01T09:00:00Z"), Some(1_772_355_600));
        assert_eq!(read("2026-03-01T14:00:00.123+05:00"), Some(1_772_355_600));
        assert_eq!(write(LAST), "9999-12-31T23:59:59Z");
        assert_eq!(write(1_772_355_600), "2026-03-01T09:00:00Z");
        for day in 0..40_000 {
            let text = write(day * DAY_SECONDS + 1);
            assert_eq!(read(&text), Some(day * DAY_SECONDS + 1), "{text}");
        }
    }
}
