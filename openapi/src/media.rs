//! Media types: what a sender names, what a contract names, and which of the contract's is meant.
//!
//! A contract may name ranges (`image/*`, `application/*+json`, `*/*`) and parameters; the most specific wins. Must never
//! look into a body.

use std::fmt;

/// How a body of some media type is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As JSON, strictly.
    Json,
    /// As a form.
    Form,
    /// Not at all: only its size counts.
    Opaque,
}

/// A media type as a sender names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaType {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

/// A media type or a range of them, as a contract names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaRange(MediaType);

impl MediaType {
    /// Reads a `content-type` (RFC 9110, section 8.3.1); wildcards are no type.
    pub(crate) fn parse(text: &str) -> Option<MediaType> {
        read(text).filter(|media| !media.kind.contains('*') && !media.subtype.contains('*'))
    }

    /// How a body of this type is read.
    pub(crate) fn reading(&self) -> Reading {
        if self.kind == "application" && self.subtype == "x-www-form-urlencoded" {
            return Reading::Form;
        }
        let json = self.subtype == "json" || self.subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty());
        if json { Reading::Json } else { Reading::Opaque }
    }

    /// Tells whether the text is in UTF-8: JSON and forms have no other charset here.
    fn is_utf8(&self) -> bool {
        self.parameter("charset").is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.kind, self.0.subtype)?;
        self.0.parameters.iter().try_for_each(|(name, value)| write!(f, "; {name}={value}"))
    }
}

impl MediaRange {
    /// Reads a key of `content`.
    pub(crate) fn parse(text: &str) -> Option<MediaRange> {
        let media = read(text)?;
        let subtype = media.subtype.strip_prefix("*+").unwrap_or(&media.subtype);
        let any = media.kind == "*" && media.subtype == "*";
        let plain = !media.kind.contains('*') && (subtype == "*" || !subtype.contains('*'));
        (any || plain).then_some(MediaRange(media))
    }

    /// How bodies of this type are read; those of a range that is not all JSON by what comes.
    pub(crate) fn reading(&self) -> Option<Reading> {
        let open = self.0.kind == "*" || self.0.subtype == "*";
        (!open).then(|| self.0.reading())
    }

    /// How well a type fits: nothing if not at all, and the larger the more specific.
    fn fits(&self, media: &MediaType) -> Option<(u8, usize)> {
        let MediaRange(range) = self;
        let level = match (range.kind.as_str(), range.subtype.as_str()) {
            ("*", _) => 0,
            (kind, _) if kind != media.kind => return None,
            (_, "*") => 1,
            (_, subtype) if subtype == media.subtype => 3,
            (_, subtype) => {
                let suffix = subtype.strip_prefix('*')?;
                media.subtype.strip_suffix(suffix).filter(|name| !name.is_empty())?;
                2
            }
        };
        // `charset=utf-8` is what no charset means; every other parameter the contract names has to come.
        let named = || range.parameters.iter().filter(|(name, value)| !(name == "charset" && is_utf8(value)));
        let held =
            named().all(|(name, value)| media.parameter(name).is_some_and(|own| own.eq_ignore_ascii_case(value)));
        held.then(|| (level, named().count()))
    }
}

/// The most specific of several ranges for a type, with how the body is read.
///
/// A JSON or form body in another charset fits nothing: it would be read as what it is not.
pub(crate) fn best<'r, T>(
    rules: &'r [T],
    range: impl Fn(&T) -> &MediaRange,
    content_type: Option<&str>,
) -> Option<(&'r T, Reading)> {
    let media = MediaType::parse(content_type?)?;
    let reading = media.reading();
    if reading != Reading::Opaque && !media.is_utf8() {
        return None;
    }
    let fitting = rules.iter().filter_map(|rule| Some((range(rule).fits(&media)?, rule)));
    // The first of equals wins, as in the contract's order.
    fitting.rev().max_by_key(|(level, _)| *level).map(|(_, rule)| (rule, reading))
}

fn is_utf8(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf-8")
}

fn read(text: &str) -> Option<MediaType> {
    let (essence, rest) = text.split_once(';').map_or((text, None), |(essence, rest)| (essence, Some(rest)));
    let (kind, subtype) = essence.trim_matches([' ', '\t']).split_once('/')?;
    if !is_token(kind) || !is_token(subtype) {
        return None;
    }
    let mut media =
        MediaType { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase(), parameters: Vec::new() };
    let mut rest = rest.unwrap_or_default();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some(media);
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = parameter_value(after)?;
        let name = name.to_ascii_lowercase();
        // A parameter that is named twice has two readings.
        if !is_token(&name) || media.parameter(&name).is_some() {
            return None;
        }
        media.parameters.push((name, value));
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(';') {
            return None;
        }
    }
}

/// A token or a quoted string, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return is_token(value).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            plain if plain.is_control() => return None,
            plain => value.push(plain),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn found<'r>(ranges: &'r [MediaRange], content_type: &str) -> Option<(&'r MediaRange, Reading)> {
        best(ranges, |range| range, Some(content_type))
    }

    fn ranges(texts: &[&str]) -> Vec<MediaRange> {
        texts.iter().map(|text| MediaRange::parse(text).unwrap()).collect()
    }

    #[test]
    fn what_is_no_media_type_fits_nothing() {
        let all = ranges(&["*/*"]);
        for text in [
            "",
            "/",
            "json",
            "a/",
            "/b",
            "a/b/c",
            "a b/c",
            "*/*",
            "application/*",
            "a/b; c",
            "a/b; c=\"d",
            "a/b; =d",
            "a/b; c=d; c=e",
            "a/b, c/d",
            "a/b; c=d e",
            "a/b; c=\"d\" e",
            "application/*+json",
            "a/b; c=\"\u{1}\"",
        ] {
            assert_eq!(found(&all, text), None, "{text}");
        }
        assert_eq!(best(&all, |range| range, None), None);
        for text in ["a/b", " a/b ;", "a/b;c=d", "a/b; c=\"d;e\\\"\";f=g"] {
            assert!(found(&all, text).is_some(), "{text}");
        }
    }

    #[test]
    fn only_types_and_whole_ranges_stand_in_a_contract() {
        for text in ["", "json", "*", "*/json", "app*/json", "application/j*", "application/*json", "application/*+j*"]
        {
            assert_eq!(MediaRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_most_specific_range_wins() {
        let texts = ["*/*", "application/*", "application/*+json", "application/a+json", "application/a+json; v=1"];
        for shift in 0..texts.len() {
            let mut texts = texts;
            texts.rotate_left(shift);
            let ranges = ranges(&texts);
            for (content_type, expected) in [
                ("text/plain", "*/*"),
                ("application/xml", "application/*"),
                ("application/b+json", "application/*+json"),
                ("application/a+json", "application/a+json"),
                ("application/a+json; v=2", "application/a+json"),
                ("Application/A+JSON; v=1; x=y", "application/a+json; v=1"),
            ] {
                let wanted = MediaRange::parse(expected).unwrap();
                assert_eq!(found(&ranges, content_type).unwrap().0, &wanted, "{content_type}");
            }
        }
    }

    #[test]
    fn a_parameter_of_the_contract_has_to_come() {
        let versioned = ranges(&["application/vnd.x+json; version=1"]);
        assert_eq!(found(&versioned, "application/vnd.x+json"), None);
        assert_eq!(found(&versioned, "application/vnd.x+json; version=2"), None);
        assert!(found(&versioned, "application/vnd.x+json; Version=\"1\"; charset=utf-8").is_some());
        let charset = ranges(&["application/json; charset=utf-8"]);
        assert!(found(&charset, "application/json").is_some());
        assert_eq!(found(&charset, "application/json; charset=latin1"), None);
        assert!(found(&ranges(&["text/*"]), "text/plain; charset=latin1").is_some());
    }

    #[test]
    fn bodies_are_read_as_what_they_are() {
        let all = ranges(&["*/*"]);
        for (content_type, reading) in [
            ("application/json", Reading::Json),
            ("application/merge-patch+json", Reading::Json),
            ("text/json", Reading::Json),
            ("application/+json", Reading::Opaque),
            ("application/jsonx", Reading::Opaque),
            ("application/xml", Reading::Opaque),
            ("application/jose", Reading::Opaque),
            ("multipart/form-data; boundary=x", Reading::Opaque),
            ("application/x-www-form-urlencoded", Reading::Form),
        ] {
            assert_eq!(found(&all, content_type).unwrap().1, reading, "{content_type}");
        }
        assert_eq!(all.first().unwrap().reading(), None);
        assert_eq!(ranges(&["application/*+json"]).first().unwrap().reading(), Some(Reading::Json));
        assert_eq!(ranges(&["image/*"]).first().unwrap().reading(), None);
    }
}
