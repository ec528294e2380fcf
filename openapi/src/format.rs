//! The formats a contract may ask of a string, judged the same in bodies and parameters.

/// A format and its check.
type Own = (&'static str, fn(&str) -> bool);

/// Formats that are judged here; of those the validator knows too, this reading is the stricter one.
pub(crate) const OWN: [Own; 7] = [
    ("uuid", is_uuid),
    ("date", is_date),
    ("date-time", is_date_time),
    ("byte", is_base64),
    ("base64url", is_base64url),
    ("json-pointer", is_json_pointer),
    ("uri-reference", is_uri_reference),
];

/// Formats that the validator judges in draft 4.
const BUILT_IN: [&str; 7] = ["email", "hostname", "ipv4", "ipv6", "uri", "time", "regex"];

/// Formats that say nothing about the text of a value; the width of integers is a rule of its own.
pub(crate) const SILENT: [&str; 6] = ["int32", "int64", "float", "double", "binary", "password"];

/// Tells whether values are held to a format.
pub(crate) fn is_checked(format: &str) -> bool {
    BUILT_IN.contains(&format) || OWN.iter().any(|(name, _)| *name == format)
}

/// Tells whether a text is a UUID in its usual form: 8-4-4-4-12 hexadecimal digits (RFC 9562, section 4).
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Tells whether a text is a `full-date` of RFC 3339: a day that exists, `2026-02-28`.
pub(crate) fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(day)) =
        (digits(parts.next(), 4), digits(parts.next(), 2), digits(parts.next(), 2))
    else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Tells whether a text is a `date-time` of RFC 3339, section 5.6, with `T` and an offset.
///
/// The second 60 is refused: clocks behind us do not keep leap seconds.
pub(crate) fn is_date_time(text: &str) -> bool {
    let Some((date, rest)) = text.split_once(['T', 't']) else {
        return false;
    };
    let Some(offset_at) = rest.find(['Z', 'z', '+', '-']) else {
        return false;
    };
    let (time, offset) = rest.split_at(offset_at);
    is_date(date) && is_time(time) && is_offset(offset)
}

/// Tells whether a text is base64 with padding (RFC 4648, section 4).
pub(crate) fn is_base64(text: &str) -> bool {
    let data = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    text.len().is_multiple_of(4) && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Tells whether a text is base64url without padding (RFC 4648, section 5).
fn is_base64url(text: &str) -> bool {
    text.len() % 4 != 1 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Tells whether a text is a JSON pointer (RFC 6901).
fn is_json_pointer(text: &str) -> bool {
    let escaped = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.is_empty() || (text.starts_with('/') && escaped(text))
}

/// Tells whether a text has only characters of a URI (RFC 3986, section 2), with whole escapes and one `#` at most.
fn is_uri_reference(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let whole = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    text.bytes().all(plain) && text.split('%').skip(1).all(whole) && text.matches('#').count() <= 1
}

fn is_time(text: &str) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.splitn(3, ':');
    let fits = |part: Option<&str>, below: u32| digits(part, 2).is_some_and(|number| number < below);
    fits(parts.next(), 24)
        && fits(parts.next(), 60)
        && fits(parts.next(), 60)
        && fraction.is_none_or(|fraction| {
            (1..=9).contains(&fraction.len()) && fraction.bytes().all(|digit| digit.is_ascii_digit())
        })
}

fn is_offset(text: &str) -> bool {
    if matches!(text, "Z" | "z") {
        return true;
    }
    let Some((hours, minutes)) = text.strip_prefix(['+', '-']).and_then(|offset| offset.split_once(':')) else {
        return false;
    };
    digits(Some(hours), 2).is_some_and(|hours| hours < 24)
        && digits(Some(minutes), 2).is_some_and(|minutes| minutes < 60)
}

fn digits(part: Option<&str>, length: usize) -> Option<u32> {
    let part = part.filter(|part| part.len() == length && part.bytes().all(|digit| digit.is_ascii_digit()))?;
    part.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in [
            "",
            "018f3c1e-0000-7000-8000-00000000000",
            "018f3c1e-0000-7000-8000-0000000000000",
            "018f3c1e00007000800000000000000000000",
            "018f3c1e-0000-7000-8000-00000000000g",
            "{018f3c1e-0000-7000-8000-000000000000}",
            "018f3c1e-0000-7000-80000-00000000000",
            "\u{e9}18f3c1e-0000-7000-8000-0000000000",
        ] {
            assert!(!is_uuid(text), "{text}");
        }
        assert!(is_uuid("018f3c1e-0000-7000-8000-000000000000"));
        assert!(is_uuid("018F3C1E-0000-7000-8000-00000000000A"));
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "",
            "2026-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-04-31",
            "2026-1-1",
            "26-01-01",
            "2026-01-01Z",
            "2026/01/01",
            "+026-01-01",
            "2026-01-01-01",
        ] {
            assert!(!is_date(text), "{text}");
        }
        for text in ["2026-02-28", "2024-02-29", "2000-02-29", "2026-12-31"] {
            assert!(is_date(text), "{text}");
        }
    }

    #[test]
    fn instants_without_an_offset_are_refused() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00+5:00",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00ZZ",
            "2026-02-30T00:00:00Z",
        ] {
            assert!(!is_date_time(text), "{text}");
        }
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T23:59:59.123456789+05:00",
            "2026-01-01t00:00:00z",
            "2026-01-01T00:00:00-00:00",
        ] {
            assert!(is_date_time(text), "{text}");
        }
    }

    #[test]
    fn references_and_pointers_have_their_characters_only() {
        for text in ["a", "/~", "/~2", "/a~"] {
            assert!(!is_json_pointer(text), "{text}");
        }
        assert!(is_json_pointer("") && is_json_pointer("/a~0b/~1"));
        for text in ["a b", "%", "%4", "%zz", "a#b#c", "\u{e9}", "a<b"] {
            assert!(!is_uri_reference(text), "{text}");
        }
        assert!(is_uri_reference("") && is_uri_reference("../a?b=%41#c"));
        for text in ["a", "abcde", "ab==", "a+b"] {
            assert!(!is_base64url(text), "{text}");
        }
        assert!(is_base64url("") && is_base64url("ab-_") && is_base64url("abc"));
    }

    #[test]
    fn base64_is_padded() {
        for text in ["a", "ab", "abc", "abcde", "ab=c", "a===", "ab-_", "ab c"] {
            assert!(!is_base64(text), "{text}");
        }
        for text in ["", "abcd", "abc=", "ab==", "ab+/"] {
            assert!(is_base64(text), "{text}");
        }
    }
}
