//! Reads any value as JSON: what is sent and expected in cases, whose keys and forms no table of the language knows.
//!
//! Must never be used for what decides: there every key is known.

use serde_json::{Map, Value as Json};

use super::decode::Value;
use super::document::{Content, Node, Style, is_null};

/// Reads a value by the core schema of YAML 1.2: what is in quotes is text, what looks like JSON is that, all else is text.
#[must_use]
pub fn json(value: Value<'_>) -> Json {
    of(value.node())
}

/// Reads a single value as text, whatever it looks like; `None` for a list, a mapping or nothing.
#[must_use]
pub fn text<'n>(value: Value<'n>) -> Option<&'n str> {
    match &value.node().content {
        Content::Scalar { text, style } if !(*style == Style::Plain && is_null(text)) => Some(text),
        _ => None,
    }
}

// Bounded by `document::DEPTH_MAX`, so that recursion is safe.
fn of(node: &Node) -> Json {
    match &node.content {
        Content::Empty => Json::Null,
        Content::Scalar { text, style: Style::Plain } => plain(text),
        Content::Scalar { text, .. } => Json::String(text.clone()),
        Content::Sequence(items) => Json::Array(items.iter().map(of).collect()),
        Content::Mapping(entries) => {
            let members = entries.iter().map(|entry| (entry.key.text.clone(), of(&entry.value)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}

fn plain(text: &str) -> Json {
    match text {
        _ if is_null(text) => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        // A number of JSON and nothing looser: `007`, `1_000` and `.5` are text.
        _ if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.to_owned()))
        }
        _ => Json::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use serde_json::json;

    use super::*;
    use crate::language::{Faults, Source, document};

    #[test]
    fn what_stands_in_quotes_or_is_no_json_is_text() {
        let source =
            Source::new("a", "{a: '1', b: 007, c: 1_000, d: yes, e: 1.5.2, f: 2026-11-23, g: \"true\", h: .5}");
        let faults = Faults::new();
        let node = document::parse(&source, &faults).unwrap();
        let expected = json!({"a": "1", "b": "007", "c": "1_000", "d": "yes", "e": "1.5.2", "f": "2026-11-23", "g": "true", "h": ".5"});
        assert_eq!(json(Value::root(&node, &faults)), expected);
    }

    #[test]
    fn what_is_json_is_that() {
        let source = Source::new("a", "{a: 1, b: -2.5, c: true, d: [null, ~, {}], e: , f: 12345678901234567890}");
        let faults = Faults::new();
        let node = document::parse(&source, &faults).unwrap();
        let expected =
            json!({"a": 1, "b": -2.5, "c": true, "d": [null, null, {}], "e": null, "f": 12345678901234567890_u64});
        assert_eq!(json(Value::root(&node, &faults)), expected);
    }
}
