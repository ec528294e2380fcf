//! Queries and form bodies: `a=b&c=d` with escapes.
//!
//! Stricter than the WHATWG parser on purpose: raw bytes that need escaping, broken escapes and control characters are
//! refused, because servers disagree on them. `+` is a space, as every server reads it.

use crate::path::hex;
use std::borrow::Cow;

/// The longest query, in bytes: cursors are the longest values we hand out, and they stay below 512.
pub const QUERY_BYTES_MAX: usize = 4096;

/// The most pairs of a query or a form.
pub const PAIRS_MAX: usize = 64;

/// Why a pair could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The byte, from 0, where the pair starts.
    pub(crate) at: usize,
    pub(crate) reason: &'static str,
}

/// A name and a value, escapes written out.
pub(crate) type Pair<'t> = (Cow<'t, str>, Cow<'t, str>);

/// Reads the pairs one by one; the text's own length is the caller's limit.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = Result<Pair<'_>, Broken>> {
    raw_pairs(text).map(|pair| {
        pair.and_then(|(name, raw)| {
            let value = decode(raw).map_err(|reason| Broken { at: 0, reason })?;
            Ok((name, value))
        })
    })
}

/// Reads the names of pairs one by one and leaves their values as they stand.
pub(crate) fn raw_pairs(text: &str) -> impl Iterator<Item = Result<(Cow<'_, str>, &str), Broken>> {
    let parts = if text.is_empty() { None } else { Some(text.split('&')) };
    let mut at = 0;
    parts.into_iter().flatten().enumerate().map(move |(count, part)| {
        let start = at;
        at += part.len() + 1;
        let broken = |reason| Broken { at: start, reason };
        if count >= PAIRS_MAX {
            return Err(broken("too many pairs"));
        }
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        // A value that cannot be read is told here, where nobody has to ask for it.
        decode(value).map_err(broken)?;
        Ok((decode(name).map_err(broken)?, value))
    })
}

/// Reads a form body as its fields, in order; `None` if it is not UTF-8 or a pair cannot be read.
#[must_use]
pub fn form_fields(raw: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(raw).ok()?;
    pairs(text).map(|pair| pair.ok().map(|(name, value)| (name.into_owned(), value.into_owned()))).collect()
}

/// Writes the escapes of a name or a value out.
pub(crate) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    if text.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("a character must be escaped");
    }
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => out.push(high * 16 + low),
                _ => return Err("an escape is broken"),
            },
            _ => out.push(byte),
        }
    }
    let text = String::from_utf8(out).map_err(|_| "an escape is not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("a control character");
    }
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, Broken> {
        pairs(text).map(|pair| pair.map(|(name, value)| (name.into_owned(), value.into_owned()))).collect()
    }

    #[test]
    fn broken_pairs_are_refused_where_they_start() {
        for (text, at, reason) in [
            ("a=%", 0, "an escape is broken"),
            ("a=1&b=%2", 4, "an escape is broken"),
            ("a=%zz", 0, "an escape is broken"),
            ("%=a", 0, "an escape is broken"),
            ("a=%FF", 0, "an escape is not UTF-8"),
            ("a=%00", 0, "a control character"),
            ("a=%0D%0Ab", 0, "a control character"),
            ("a=\u{e9}", 0, "a character must be escaped"),
            ("a= b", 0, "a character must be escaped"),
        ] {
            assert_eq!(read(text), Err(Broken { at, reason }), "{text:?}");
        }
    }

    #[test]
    fn the_pair_limit_holds_on_both_sides() {
        assert!(read(&vec!["a=1"; PAIRS_MAX].join("&")).is_ok());
        assert!(read(&vec!["a=1"; PAIRS_MAX + 1].join("&")).is_err());
    }

    #[test]
    fn pairs_are_read_in_order() {
        let own =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        assert_eq!(read("").unwrap(), own(&[]));
        assert_eq!(read("a=1&b=2=3&c").unwrap(), own(&[("a", "1"), ("b", "2=3"), ("c", "")]));
        assert_eq!(read("a+b=c%20d%2B").unwrap(), own(&[("a b", "c d+")]));
        assert_eq!(read("a&&b").unwrap(), own(&[("a", ""), ("", ""), ("b", "")]));
    }
}
