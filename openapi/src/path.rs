//! The one path of a request.
//!
//! Routing, policy, the DPoP `htu` and the upstream request line all use the same [`CanonicalPath`], so that no two of
//! them can read one request as two. A path that has a second spelling is refused, never rewritten: what the client
//! signed is what the upstream sees. This file must never know a template, a host or a query.

use std::fmt;
use std::sync::Arc;

/// The longest path, in bytes: four times what the longest template needs with every identifier at its limit.
pub const PATH_BYTES_MAX: usize = 2048;

/// The most segments of a path: the router visits them one by one.
pub const SEGMENTS_MAX: usize = 32;

/// A request path with exactly one spelling.
///
/// Starts with `/`, holds only the characters RFC 3986 calls `pchar` and escapes that are needed, in upper case; `;` only
/// in segments that begin with it and a name (`/;colour=blue`). Does not say whether anything is served there.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalPath(Arc<str>);

/// Why a path was refused; positions are bytes from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with `/`.
    #[error("the path does not start with a slash")]
    NotAbsolute,
    /// It is longer than [`PATH_BYTES_MAX`].
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// It has more than [`SEGMENTS_MAX`] segments.
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    TooManySegments,
    /// Two slashes follow each other.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// It ends with a slash and is not the root.
    #[error("the path ends with a slash")]
    TrailingSlash,
    /// A segment is `.` or `..`, plain or escaped.
    #[error("the path has a dot segment")]
    DotSegment,
    /// An escape is not `%` and two hexadecimal digits.
    #[error("the path has a malformed escape at byte {at}")]
    MalformedEscape {
        /// Where the `%` stands.
        at: usize,
    },
    /// An escape is written in lower case.
    #[error("the path has an escape in lower case at byte {at}")]
    LowerCaseEscape {
        /// Where the `%` stands.
        at: usize,
    },
    /// An escape stands for a character that must be written plainly.
    #[error("the path has a needless escape at byte {at}")]
    NeedlessEscape {
        /// Where the `%` stands.
        at: usize,
    },
    /// An escape stands for a separator: one of `/ \ ; ? # %`.
    #[error("the path has an escaped separator at byte {at}")]
    EscapedSeparator {
        /// Where the `%` stands.
        at: usize,
    },
    /// An escape stands for a control character.
    #[error("the path has an escaped control character in the segment at byte {at}")]
    EscapedControl {
        /// Where the `%`, or the segment that holds it, stands.
        at: usize,
    },
    /// The escapes of a segment are not UTF-8.
    #[error("the path has escapes that are not UTF-8 in the segment at byte {at}")]
    NotUtf8 {
        /// Where the segment starts.
        at: usize,
    },
    /// A character that no path may hold plainly.
    #[error("the path has a character that is not allowed at byte {at}")]
    ForbiddenCharacter {
        /// Where it stands.
        at: usize,
    },
}

impl CanonicalPath {
    /// Reads the path of a request line, without its query.
    ///
    /// # Errors
    /// The first [`PathError`] that applies; length and count are judged before anything else is read.
    pub fn parse(raw: &str) -> Result<CanonicalPath, PathError> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        let rest = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        if rest.is_empty() {
            return Ok(CanonicalPath(Arc::from(raw)));
        }
        if rest.bytes().filter(|byte| *byte == b'/').count() >= SEGMENTS_MAX {
            return Err(PathError::TooManySegments);
        }
        let mut at = 1;
        let mut segments = rest.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segment.is_empty() {
                let last = segments.peek().is_none();
                return Err(if last { PathError::TrailingSlash } else { PathError::EmptySegment });
            }
            check_segment(segment, at)?;
            at += segment.len() + 1;
        }
        Ok(CanonicalPath(Arc::from(raw)))
    }

    /// The path as it was read.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanonicalPath({:?})", &self.0)
    }
}

/// Writes out the escapes of one segment of a canonical path; `None` where there are none.
pub(crate) fn unescape(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return None;
    }
    // A canonical path was checked to be UTF-8 below its escapes: the lossy way has nothing to lose.
    Some(String::from_utf8_lossy(&escaped_bytes(segment)).into_owned())
}

fn check_segment(segment: &str, start: usize) -> Result<(), PathError> {
    if is_dots(segment) {
        return Err(PathError::DotSegment);
    }
    let mut escaped = false;
    // A segment that is nothing but matrix parameters; `/v1;x` and `/..;` stay refused. The router lets such a segment
    // through only to operations that describe it.
    let matrix =
        segment.strip_prefix(';').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric()));
    let mut bytes = segment.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        let at = start + offset;
        if byte == b'%' {
            escaped = true;
            let high = bytes.next().map(|(_, byte)| byte);
            let low = bytes.next().map(|(_, byte)| byte);
            check_escape(high, low, at)?;
        } else if !is_plain(byte) && (byte != b';' || !matrix) {
            return Err(PathError::ForbiddenCharacter { at });
        }
    }
    if escaped {
        let bytes = escaped_bytes(segment);
        let text = std::str::from_utf8(&bytes).map_err(|_| PathError::NotUtf8 { at: start })?;
        // Beyond ASCII there are more control characters than one byte shows (U+0080 to U+009F).
        if text.chars().any(char::is_control) {
            return Err(PathError::EscapedControl { at: start });
        }
    }
    Ok(())
}

fn check_escape(high: Option<u8>, low: Option<u8>, at: usize) -> Result<(), PathError> {
    let (Some(high), Some(low)) = (high, low) else {
        return Err(PathError::MalformedEscape { at });
    };
    let (Some(upper), Some(lower)) = (hex(high), hex(low)) else {
        return Err(PathError::MalformedEscape { at });
    };
    let byte = upper * 16 + lower;
    if byte.is_ascii_control() {
        return Err(PathError::EscapedControl { at });
    }
    if matches!(byte, b'/' | b'\\' | b';' | b'?' | b'#' | b'%') {
        return Err(PathError::EscapedSeparator { at });
    }
    if high.is_ascii_lowercase() || low.is_ascii_lowercase() {
        return Err(PathError::LowerCaseEscape { at });
    }
    if is_plain(byte) {
        return Err(PathError::NeedlessEscape { at });
    }
    Ok(())
}

/// Tells whether a segment is `.` or `..`, whichever of its dots are escaped.
fn is_dots(segment: &str) -> bool {
    let mut rest = segment;
    let mut dots = 0;
    while !rest.is_empty() {
        let Some(next) =
            rest.strip_prefix('.').or_else(|| rest.strip_prefix("%2E")).or_else(|| rest.strip_prefix("%2e"))
        else {
            return false;
        };
        rest = next;
        dots += 1;
    }
    dots == 1 || dots == 2
}

/// `pchar` of RFC 3986, section 3.3, without escapes and without `;`, which some servers cut paths at.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

fn escaped_bytes(segment: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = bytes.next().and_then(hex).unwrap_or(0);
            let low = bytes.next().and_then(hex).unwrap_or(0);
            out.push(high * 16 + low);
        } else {
            out.push(byte);
        }
    }
    out
}

/// The value of one hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn refusal(raw: &str) -> Option<PathError> {
        CanonicalPath::parse(raw).err()
    }

    #[test]
    fn paths_with_a_second_reading_are_refused() {
        use PathError as E;
        for (raw, error) in [
            ("", E::NotAbsolute),
            ("v1", E::NotAbsolute),
            ("http://host/v1", E::NotAbsolute),
            ("*", E::NotAbsolute),
            ("//", E::EmptySegment),
            ("//v1", E::EmptySegment),
            ("/v1//accounts", E::EmptySegment),
            ("/v1/", E::TrailingSlash),
            ("/.", E::DotSegment),
            ("/..", E::DotSegment),
            ("/v1/../admin", E::DotSegment),
            ("/v1/%2E%2E/admin", E::DotSegment),
            ("/v1/%2e%2e/admin", E::DotSegment),
            ("/v1/.%2e/admin", E::DotSegment),
            ("/v1/%2E", E::DotSegment),
            ("/v1%2Fadmin", E::EscapedSeparator { at: 3 }),
            ("/v1%2fadmin", E::EscapedSeparator { at: 3 }),
            ("/v1%5Cadmin", E::EscapedSeparator { at: 3 }),
            ("/v1%5cadmin", E::EscapedSeparator { at: 3 }),
            ("/v1%252Fadmin", E::EscapedSeparator { at: 3 }),
            ("/v1%3Bx", E::EscapedSeparator { at: 3 }),
            ("/v1%3Fx", E::EscapedSeparator { at: 3 }),
            ("/v1%23x", E::EscapedSeparator { at: 3 }),
            ("/v1%00", E::EscapedControl { at: 3 }),
            ("/v1%0D%0A", E::EscapedControl { at: 3 }),
            ("/v1%7F", E::EscapedControl { at: 3 }),
            ("/v1/x%C2%85", E::EscapedControl { at: 4 }),
            ("/v1%", E::MalformedEscape { at: 3 }),
            ("/v1%2", E::MalformedEscape { at: 3 }),
            ("/v1%zz", E::MalformedEscape { at: 3 }),
            ("/v1%2/0", E::MalformedEscape { at: 3 }),
            ("/v1%c3%A9", E::LowerCaseEscape { at: 3 }),
            ("/v1%C3%a9", E::LowerCaseEscape { at: 6 }),
            ("/v%31", E::NeedlessEscape { at: 2 }),
            ("/v1%7Ex", E::NeedlessEscape { at: 3 }),
            ("/v1%3Ax", E::NeedlessEscape { at: 3 }),
            ("/v1%40x", E::NeedlessEscape { at: 3 }),
            ("/v1/%C3", E::NotUtf8 { at: 4 }),
            ("/v1/%C0%AF", E::NotUtf8 { at: 4 }),
            ("/v1/%ED%A0%80", E::NotUtf8 { at: 4 }),
            ("/v1;a=b", E::ForbiddenCharacter { at: 3 }),
            ("/v1/;", E::ForbiddenCharacter { at: 4 }),
            ("/v1/;=a", E::ForbiddenCharacter { at: 4 }),
            ("/v1/;;a", E::ForbiddenCharacter { at: 4 }),
            ("/v1/;/..", E::ForbiddenCharacter { at: 4 }),
            ("/v1/..;/admin", E::ForbiddenCharacter { at: 6 }),
            ("/v1\\admin", E::ForbiddenCharacter { at: 3 }),
            ("/v1#x", E::ForbiddenCharacter { at: 3 }),
            ("/v1?x", E::ForbiddenCharacter { at: 3 }),
            ("/v1 x", E::ForbiddenCharacter { at: 3 }),
            ("/v1\tx", E::ForbiddenCharacter { at: 3 }),
            ("/v1\0", E::ForbiddenCharacter { at: 3 }),
            ("/v1\u{e9}", E::ForbiddenCharacter { at: 3 }),
            ("/v1{x}", E::ForbiddenCharacter { at: 3 }),
            ("/v1\"x", E::ForbiddenCharacter { at: 3 }),
            ("/v1|x", E::ForbiddenCharacter { at: 3 }),
        ] {
            assert_eq!(refusal(raw), Some(error), "{raw:?}");
        }
    }

    #[test]
    fn plain_paths_stay_as_they_are() {
        for raw in [
            "/",
            "/v1/accounts",
            "/v1/domestic-payments/018f3c1e-0000-7000-8000-000000000000",
            "/.well-known/openid-configuration",
            "/...",
            "/a-._~!$&'()*+,=:@z",
            "/v1/%20",
            "/v1/%D2%9B%D0%B0%D2%9B%D0%BF%D0%B0",
        ] {
            assert_eq!(CanonicalPath::parse(raw).unwrap().as_str(), raw);
        }
    }

    #[test]
    fn the_length_limit_holds_on_both_sides() {
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
        assert_eq!(refusal(&longest), None);
        assert_eq!(refusal(&format!("{longest}a")), Some(PathError::TooLong));
    }

    #[test]
    fn the_segment_limit_holds_on_both_sides() {
        assert_eq!(refusal(&"/a".repeat(SEGMENTS_MAX)), None);
        assert_eq!(refusal(&"/a".repeat(SEGMENTS_MAX + 1)), Some(PathError::TooManySegments));
    }

    #[test]
    fn whatever_is_accepted_has_one_spelling() {
        // Every text of up to four characters from those that make trouble.
        let alphabet = ['/', '.', '%', '2', 'E', 'e', 'F', 'C', '3', 'a', ';', '\\', '\u{0}', '\u{e9}'];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            let longer: Vec<String> = texts
                .iter()
                .filter(|text| text.len() < 6)
                .flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}")))
                .collect();
            for text in &longer {
                let raw = format!("/{text}");
                if let Ok(path) = CanonicalPath::parse(&raw) {
                    assert_eq!(path.as_str(), raw);
                    for segment in raw.split('/') {
                        let read = unescape(segment).unwrap_or_else(|| segment.to_owned());
                        assert!(!matches!(read.as_str(), "." | ".."), "{raw}");
                        assert!(!read.contains(['/', '\\', '\0', '%']), "{raw}");
                        assert!(!read.contains(';') || segment.starts_with(';'), "{raw}");
                    }
                }
            }
            if longer.len() > 100_000 {
                break;
            }
            texts = longer;
        }
    }

    #[test]
    fn every_single_escape_is_judged() {
        for byte in 0..=u8::MAX {
            let accepted = CanonicalPath::parse(&format!("/x%{byte:02X}")).is_ok();
            let expected = matches!(byte, b' ' | b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}');
            assert_eq!(accepted, expected, "%{byte:02X}");
        }
    }

    #[test]
    fn escapes_are_written_out_for_checks() {
        assert_eq!(unescape("abc"), None);
        assert_eq!(unescape("a%20%C3%A9").as_deref(), Some("a \u{e9}"));
    }
}
