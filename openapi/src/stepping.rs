//! Patterns that no linear engine can run: those with look-around or back-references.
//!
//! Each step back is counted, but every look ahead reads as much of the text as it likes: so such a text is short, and all
//! of them together are few. Where a bound is met nobody knows whether the pattern holds, and the whole value is refused,
//! whatever stands around the pattern: `not` would turn "no" into "yes". Must never know OpenAPI.

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::Location;
use jsonschema::{Keyword, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::fmt::Write as _;

/// The most steps back that one match of a pattern with look-around or back-references may take.
///
/// A text that needs more is refused. Patterns of published contracts need fewer than a hundred for the texts they allow.
pub const PATTERN_STEPS_MAX: usize = 1_000;

/// The longest text held against a pattern with look-around or back-references, in bytes; a longer one is refused.
pub const PATTERN_TEXT_BYTES_MAX: usize = 1024;

/// The most text of one value held against such patterns, in bytes: each text counts `TEXT_BYTES_MIN` at least.
pub const PATTERN_BODY_BYTES_MAX: usize = 64 * 1024;

/// What a match costs even on an empty text, in bytes of text.
const TEXT_BYTES_MIN: usize = 32;

/// The keyword of such a pattern within a unit.
pub(crate) const KEYWORD: &str = "steppingPattern";

/// What is told where a bound is met.
pub(crate) const TOO_LONG: &str = "takes too long to be matched against its pattern";

/// Letters, digits and `_`: `\w` of ECMA-262.
const WORD: [(char, char); 4] = [('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
/// `\d` of ECMA-262.
const DIGIT: [(char, char); 1] = [('0', '9')];
/// `\s` of ECMA-262: white space and ends of lines.
const SPACE: [(char, char); 10] = [
    ('\t', '\r'),
    (' ', ' '),
    ('\u{a0}', '\u{a0}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{2000}', '\u{200a}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202f}', '\u{202f}'),
    ('\u{205f}', '\u{205f}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{feff}', '\u{feff}'),
];

thread_local! {
    /// The bytes that are left for the value being judged; none once a bound was met. A judgement never leaves its thread.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Judges one value; tells too whether a bound was met, so that the judgement counts for nothing.
pub(crate) fn bounded<T>(act: impl FnOnce() -> T) -> (T, bool) {
    LEFT.set(Some(PATTERN_BODY_BYTES_MAX));
    let result = act();
    (result, LEFT.take().is_none())
}

/// Tells whether only the engine that steps back can run a pattern; one that no engine can run is not.
pub(crate) fn is_needed(pattern: &str, bytes_max: usize) -> bool {
    let linear = jsonschema::options().offline().with_pattern_options(PatternOptions::regex().size_limit(bytes_max));
    linear.build(&json!({ "pattern": pattern })).is_err()
}

/// Makes the keyword, with the options that compile its pattern.
///
/// # Errors
/// Where the pattern cannot be compiled.
pub(crate) fn keyword<'a>(
    options: &ValidationOptions<'static>,
    parent: &Map<String, Value>,
    pattern: &'a Value,
    place: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let text = pattern.as_str().unwrap_or_default();
    let refused = |_| ValidationError::custom(format!("the pattern at {} cannot be used", place.as_str()));
    let validator = options.build(&json!({ "pattern": as_ecma(text) })).map_err(refused)?;
    let length_max = parent.get("maxLength").and_then(Value::as_u64);
    Ok(Box::new(Stepping { validator, length_max, message: format!("must match {text}") }))
}

struct Stepping {
    validator: Validator,
    /// In characters; what is longer is refused for that, and never held against the pattern.
    length_max: Option<u64>,
    message: String,
}

enum Outcome {
    Holds,
    Breaks,
    Unknown,
}

impl Stepping {
    fn outcome(&self, value: &Value) -> Outcome {
        let Some(text) = value.as_str() else { return Outcome::Holds };
        if self.length_max.is_some_and(|most| text.chars().count() as u64 > most) {
            return Outcome::Holds;
        }
        let left = LEFT.get().filter(|_| text.len() <= PATTERN_TEXT_BYTES_MAX);
        let Some(left) = left.and_then(|left| left.checked_sub(text.len().max(TEXT_BYTES_MIN))) else {
            LEFT.set(None);
            return Outcome::Unknown;
        };
        LEFT.set(Some(left));
        match self.validator.validate(value) {
            Ok(()) => Outcome::Holds,
            Err(error) if matches!(error.kind(), ValidationErrorKind::Pattern { .. }) => Outcome::Breaks,
            Err(_) => {
                LEFT.set(None);
                Outcome::Unknown
            }
        }
    }
}

impl<'i> Keyword<'i> for Stepping {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        match self.outcome(value) {
            Outcome::Holds => Ok(()),
            Outcome::Breaks => Err(ValidationError::custom(self.message.clone())),
            Outcome::Unknown => Err(ValidationError::custom(TOO_LONG)),
        }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        matches!(self.outcome(value), Outcome::Holds)
    }
}

/// A pattern whose classes mean what they mean in ECMA-262: the engine's own know all alphabets.
fn as_ecma(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let (mut bracket, mut after_class) = (false, false);
    while let Some(one) = chars.next() {
        let was_class = std::mem::take(&mut after_class);
        match (one, bracket) {
            ('\\', _) => match (chars.next(), bracket) {
                (Some(letter @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')), _) => {
                    let ranges = ranges(letter);
                    after_class = bracket;
                    out.push_str(&if bracket { ranges } else { format!("[{ranges}]") });
                }
                (Some('b'), true) => out.push_str("\\x08"),
                (Some('b'), false) => out.push_str(&edge("(?!", "(?=")),
                (Some('B'), false) => out.push_str(&edge("(?=", "(?!")),
                (Some(other), _) => out.extend(['\\', other]),
                (None, _) => out.push('\\'),
            },
            ('[', false) => {
                bracket = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            (']', true) => {
                bracket = false;
                out.push(']');
            }
            // Beside a class `-` makes no range.
            ('-', true) if was_class || before_class(&chars) => out.push_str("\\-"),
            ('.', false) => out.push_str("[^\\n\\r\u{2028}\u{2029}]"),
            (other, _) => out.push(other),
        }
    }
    out
}

fn before_class(rest: &std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut rest = rest.clone();
    rest.next() == Some('\\') && rest.next().is_some_and(|letter| "dDwWsS".contains(letter))
}

/// What a class holds, as it is written between brackets.
fn ranges(letter: char) -> String {
    let known: &[(char, char)] = match letter.to_ascii_lowercase() {
        'd' => &DIGIT,
        'w' => &WORD,
        _ => &SPACE,
    };
    let mut out = String::new();
    let mut write = |from: u32, to: u32| {
        let one = |number: u32| match char::from_u32(number) {
            Some(far) if number > 0xff => far.to_string(),
            _ => format!("\\x{number:02x}"),
        };
        let _ = write!(out, "{}-{}", one(from), one(to));
    };
    if letter.is_ascii_lowercase() {
        known.iter().for_each(|(from, to)| write(u32::from(*from), u32::from(*to)));
        return out;
    }
    let mut next = 0;
    for (from, to) in known {
        if u32::from(*from) > next {
            write(next, u32::from(*from) - 1);
        }
        next = u32::from(*to) + 1;
    }
    write(next, u32::from(char::MAX));
    out
}

/// A place after a letter or not, and before one as said.
fn edge(after_letter: &str, else_: &str) -> String {
    let word = ranges('w');
    format!("(?:(?<=[{word}]){after_letter}[{word}])|(?<![{word}]){else_}[{word}]))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_written_out_wherever_they_stand() {
        for (pattern, expected) in [
            (r"\d\\d", r"[\x30-\x39]\\d"),
            (r"[^\d-z]", r"[^\x30-\x39\-z]"),
            (r"[a-\d]", r"[a\-\x30-\x39]"),
            (r"[\b.]", r"[\x08.]"),
            (r"[\D]", "[\\x00-\\x2f\\x3a-\u{10ffff}]"),
            (r"a-z\.", r"a-z\."),
        ] {
            assert_eq!(as_ecma(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn only_what_looks_around_or_back_needs_steps() {
        for (pattern, needed) in [("^a+$", false), (r"\d{1,9}", false), ("(?!a)b", true), (r"(a)\1", true)] {
            assert_eq!(is_needed(pattern, 1024 * 1024), needed, "{pattern}");
        }
    }
}
