//! The units that people write amounts of anything in: `800ms`, `64KiB`, `50/s`, `250000 KZT`.
//!
//! Pure text to value; what a value is good for stands elsewhere.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::limit::{Quota, Rate, Window};
use crate::national::money::Money;

/// The longest time that can be written, one hundred years in seconds: keeps sums far from overflow.
pub const SECONDS_MAX: u64 = 100 * 365 * 86_400;

/// Reads a time such as `800ms`, `3s`, `5m`, `24h` or `7d`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = counted(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let span = Duration::from_millis(count.checked_mul(millis)?);
    (span.as_secs() <= SECONDS_MAX).then_some(span)
}

/// Reads a size such as `512B`, `64KiB`, `2MiB` or `1GiB`, in bytes.
#[must_use]
pub fn bytes(text: &str) -> Option<usize> {
    let (count, unit) = counted(text)?;
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(count.checked_mul(factor)?).ok()
}

/// Reads a rate such as `50/s`, `100/min`, `1000/h` or `10000/day`.
#[must_use]
pub fn rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    let count = NonZeroU32::new(u32::try_from(whole(count)?).ok()?)?;
    let seconds = match per {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" | "day" => 86_400,
        _ => return None,
    };
    Some(Rate { count, per: Duration::from_secs(seconds) })
}

/// The windows of the calendar, by the words they are written with.
pub const WINDOWS: [(&str, Window); 5] = [
    ("second", Window::Second),
    ("minute", Window::Minute),
    ("hour", Window::Hour),
    ("day", Window::Day),
    ("month", Window::Month),
];

/// Reads a number of calls in a window of the calendar, such as `2000/minute` or `100/day`.
#[must_use]
pub fn quota(text: &str) -> Option<Quota> {
    let (most, word) = text.split_once('/')?;
    let most = NonZeroU32::new(u32::try_from(whole(most)?).ok()?)?;
    WINDOWS.into_iter().find(|(known, _)| *known == word).map(|(_, window)| Quota { most, window })
}

/// Writes a number of calls in a window as it is read; of a rolling one its length.
#[must_use]
pub fn shown_quota(quota: &Quota) -> String {
    let known = WINDOWS.into_iter().find(|(_, window)| *window == quota.window).map(|(word, _)| word.to_owned());
    let window = match quota.window {
        Window::Rolling(length) => shown_duration(length),
        _ => known.unwrap_or_default(),
    };
    format!("{}/{window}", quota.most)
}

/// Reads hours of a day such as `06:00-24:00`, in minutes since midnight; `22:00-06:00` goes over midnight.
#[must_use]
pub fn hours(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minutes(from)?, minutes(until)?);
    (from != until && from < MIDNIGHT).then_some((from, until))
}

/// Writes hours of a day as they are read.
#[must_use]
pub fn shown_hours(from: u16, until: u16) -> String {
    let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{}-{}", clock(from), clock(until))
}

/// The end of a day, in minutes since its beginning.
pub const MIDNIGHT: u16 = 24 * 60;

fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let found = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && found <= MIDNIGHT).then_some(found)
}

/// Reads the name of a header in small letters (a token of RFC 9110, section 5.6.2), of at most 64 bytes.
#[must_use]
pub fn header(text: &str) -> Option<&str> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!text.is_empty() && text.len() <= 64 && text.bytes().all(known)).then_some(text)
}

/// Reads a whole number that may be below zero, without a needless sign or zero.
#[must_use]
pub fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(digits) => i64::try_from(whole(digits)?).ok().filter(|count| *count != 0)?.checked_neg(),
        None => i64::try_from(whole(text)?).ok(),
    }
}

/// Reads an amount of money such as `250000 KZT` or `0.50 KZT`.
#[must_use]
pub fn money(text: &str) -> Option<Money> {
    let (amount, currency) = text.split_once(' ')?;
    if amount.contains('.') {
        Money::parse(amount, currency).ok()
    } else {
        Money::parse(&format!("{amount}.00"), currency).ok()
    }
}

/// Writes an amount of money as it is read, without needless digits.
#[must_use]
pub fn shown_money(money: Money) -> String {
    let amount = money.amount();
    format!("{} {}", amount.strip_suffix(".00").unwrap_or(&amount), money.currency())
}

/// Reads a whole number without sign, blanks or a needless leading zero.
#[must_use]
pub fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

/// Writes a time in the largest unit that tells it exactly.
#[must_use]
pub fn shown_duration(span: Duration) -> String {
    let millis = span.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// Writes a size in the largest unit that tells it exactly.
#[must_use]
pub fn shown_bytes(size: usize) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if size >= factor && size.is_multiple_of(factor) {
            return format!("{}{unit}", size / factor);
        }
    }
    format!("{size}B")
}

fn counted(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let (count, unit) = text.split_at_checked(end)?;
    Some((whole(count)?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_without_a_unit_or_beyond_a_century_are_refused() {
        for text in ["", "3", "s", "-3s", "3 s", "3.5s", "03s", "3S", "3sec", "3ß", "99999999999999999999s", "36501d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(duration("36500d"), Some(Duration::from_secs(SECONDS_MAX)));
        assert_eq!(duration("800ms"), Some(Duration::from_millis(800)));
        assert_eq!(duration("5m"), duration("5min"));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn sizes_are_told_in_powers_of_two() {
        for text in ["", "64", "64KB", "64kib", "64 KiB", "-1B", "99999999999GiB", "1TiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(bytes("64KiB"), Some(65_536));
        assert_eq!(bytes("1GiB"), Some(1 << 30));
    }

    #[test]
    fn a_rate_is_never_zero() {
        for text in ["", "0/s", "50", "50/", "/s", "50/week", "50 / s", "4294967296/s", "1.5/s"] {
            assert_eq!(rate(text), None, "{text}");
        }
        assert_eq!(rate("50/s").map(|rate| rate.to_string()), Some("50/s".to_owned()));
        assert_eq!(rate("10000/day").map(|rate| rate.to_string()), Some("10000/day".to_owned()));
        assert!(rate("4294967295/h").is_some());
    }

    #[test]
    fn a_quota_names_a_window_of_the_calendar() {
        for text in ["", "5", "0/day", "5/min", "5/s", "5/year", "5 /day", "5/days", "4294967296/day", "-5/day"] {
            assert_eq!(quota(text), None, "{text}");
        }
        for text in ["1/second", "2000/minute", "5/hour", "5/day", "4294967295/month"] {
            assert_eq!(quota(text).map(|quota| shown_quota(&quota)).as_deref(), Some(text));
        }
        let window = Window::Rolling(Duration::from_secs(600));
        let rolling = quota("5/day").map(|quota| Quota { window, ..quota });
        assert_eq!(rolling.map(|quota| shown_quota(&quota)).as_deref(), Some("5/10m"));
    }

    #[test]
    fn hours_are_those_of_one_day() {
        for text in ["", "06:00", "6:00-7:00", "06:00-24:01", "06:60-07:00", "24:00-06:00", "06:00-06:00", "0600-0700"]
        {
            assert_eq!(hours(text), None, "{text}");
        }
        assert_eq!(hours("00:00-24:00"), Some((0, MIDNIGHT)));
        assert_eq!(hours("22:00-06:00"), Some((22 * 60, 6 * 60)));
        assert_eq!(hours("23:59-00:00"), Some((1439, 0)));
        assert_eq!(shown_hours(6 * 60 + 5, MIDNIGHT), "06:05-24:00");
    }

    #[test]
    fn headers_are_named_in_small_letters() {
        let longest = "x".repeat(64);
        for text in ["", "X-Payer", "x payer", "x:payer", "плательщик", &format!("{longest}x")] {
            assert_eq!(header(text), None, "{text}");
        }
        assert_eq!(header("x-payer_id.1"), Some("x-payer_id.1"));
        assert_eq!(header(&longest), Some(longest.as_str()));
    }

    #[test]
    fn numbers_below_zero_have_one_sign() {
        for text in ["", "-", "--1", "+1", "-0", "01", "-01", "1.0", "9223372036854775808"] {
            assert_eq!(signed(text), None, "{text}");
        }
        assert_eq!((signed("0"), signed("-20"), signed("20")), (Some(0), Some(-20), Some(20)));
    }

    #[test]
    fn money_names_its_currency() {
        for text in ["", "250000", "KZT", "250000KZT", "250000  KZT", "-1 KZT", "1.5 KZT", "1 USD", "1,000 KZT"] {
            assert_eq!(money(text), None, "{text}");
        }
        assert_eq!(money("250000 KZT").map(|money| money.tiyn()), Some(25_000_000));
        assert_eq!(money("0.50 KZT").map(|money| money.tiyn()), Some(50));
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["0ms", "800ms", "3s", "90s", "5m", "24h"] {
            let span = duration(text);
            assert_eq!(span.map(shown_duration).as_deref().and_then(duration), span, "{text}");
        }
        for text in ["1B", "1000B", "64KiB", "3MiB"] {
            assert_eq!(bytes(text).map(shown_bytes).as_deref(), Some(text));
        }
        for text in ["250000 KZT", "0.50 KZT", "1.05 KZT"] {
            assert_eq!(money(text).map(shown_money).as_deref(), Some(text));
        }
    }
}
