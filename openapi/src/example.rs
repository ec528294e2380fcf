//! Requests and answers as the contract shows them.
//!
//! What the contract does not show is made up from its schemas; nobody promises that such a value keeps every pattern.

use crate::answer::{AnswerRule, ExampleRequest, ExampleResponse};
use crate::media::Reading;
use crate::parameter::{ParameterRule, Place, Spelling};
use crate::style::Style;
use crate::validate::{BodyRule, MediaRule};
use serde_json::Value;

/// A request with everything that is required.
pub(crate) fn request(template: &str, parameters: &[ParameterRule], body: Option<&BodyRule>) -> ExampleRequest {
    let required = |place: Place| parameters.iter().filter(move |rule| rule.place == place && rule.required);
    let mut path = template.to_owned();
    for rule in required(Place::Path) {
        path = path.replace(&format!("{{{}}}", rule.name), &alone(rule));
    }
    let query: Vec<String> = required(Place::Query).flat_map(pairs).collect();
    let mut headers: Vec<(String, String)> =
        required(Place::Header).map(|rule| (rule.name.clone(), plain(&rule.shown, ",", false))).collect();
    let cookies: Vec<String> = required(Place::Cookie).flat_map(pairs).collect();
    if !cookies.is_empty() {
        headers.push(("cookie".to_owned(), cookies.join("; ")));
    }
    let media = body.and_then(|body| readable(&body.media));
    let (content_type, body) = media.map_or((None, Vec::new()), |media| (Some(name(media)), bytes(media)));
    ExampleRequest { path, query: (!query.is_empty()).then(|| query.join("&")), headers, content_type, body }
}

/// An answer of success.
pub(crate) fn response(status: u16, rule: &AnswerRule) -> ExampleResponse {
    let media = readable(&rule.media);
    let (content_type, body) = media.map_or((None, Vec::new()), |media| (Some(name(media)), bytes(media)));
    ExampleResponse { status, content_type, body }
}

/// The media type that is shown: one that is looked into, if there is one.
fn readable(media: &[MediaRule]) -> Option<&MediaRule> {
    media.iter().find(|media| media.may_be_read()).or(media.first())
}

/// A media type for a range: whatever fits.
fn name(media: &MediaRule) -> String {
    match media.range.reading() {
        None => "application/json".to_owned(),
        Some(_) => media.range.to_string().replace("*+", "x+"),
    }
}

fn bytes(media: &MediaRule) -> Vec<u8> {
    match media.range.reading() {
        Some(Reading::Form) => {
            let value: Value = serde_json::from_str(&media.shown).unwrap_or_default();
            let fields = value.as_object().into_iter().flatten();
            let pairs: Vec<String> =
                fields.map(|(name, value)| format!("{}={}", escaped(name), escaped(&text(value)))).collect();
            pairs.join("&").into_bytes()
        }
        Some(Reading::Opaque) => Vec::new(),
        _ => media.shown.as_bytes().to_vec(),
    }
}

/// A value that has a segment of the path to itself.
fn alone(rule: &ParameterRule) -> String {
    let Spelling::Styled { style, explode } = rule.spelling else {
        return escaped(&rule.shown.to_string());
    };
    match (style, explode) {
        (Style::Label, _) => format!(".{}", plain(&rule.shown, if explode { "." } else { "," }, explode)),
        (Style::Matrix, true) if rule.shown.is_object() => format!(";{}", plain(&rule.shown, ";", true)),
        (Style::Matrix, _) => format!(";{}={}", rule.name, plain(&rule.shown, ",", false)),
        _ => plain(&rule.shown, ",", explode),
    }
}

/// A value as pairs of a query or of cookies.
fn pairs(rule: &ParameterRule) -> Vec<String> {
    let name = escaped(&rule.name);
    let Spelling::Styled { style, explode } = rule.spelling else {
        return vec![format!("{name}={}", escaped(&rule.shown.to_string()))];
    };
    match (&rule.shown, style, explode) {
        (Value::Object(map), Style::DeepObject, _) => {
            map.iter().map(|(key, value)| format!("{name}[{}]={}", escaped(key), escaped(&text(value)))).collect()
        }
        (Value::Object(map), _, true) => {
            map.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(&text(value)))).collect()
        }
        (Value::Array(items), _, true) => items.iter().map(|item| format!("{name}={}", escaped(&text(item)))).collect(),
        (value, Style::SpaceDelimited, _) => vec![format!("{name}={}", plain(value, "%20", false))],
        (value, Style::PipeDelimited, _) => vec![format!("{name}={}", plain(value, "|", false))],
        (value, ..) => vec![format!("{name}={}", plain(value, ",", false))],
    }
}

/// A value in one text; properties are `name=value` where `explode` says so.
fn plain(value: &Value, separator: &str, explode: bool) -> String {
    match value {
        Value::Array(items) => items.iter().map(|item| escaped(&text(item))).collect::<Vec<_>>().join(separator),
        Value::Object(map) => {
            let between = if explode { "=" } else { separator };
            let one = |(key, value): (&String, &Value)| format!("{}{between}{}", escaped(key), escaped(&text(value)));
            map.iter().map(one).collect::<Vec<_>>().join(separator)
        }
        one => escaped(&text(one)),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text with everything escaped but what is never a separator; header values stay as they are by it, mostly.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'@' => {
                out.push(char::from(byte))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
