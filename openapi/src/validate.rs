//! Judging what a client sent against what an operation describes.
//!
//! All rules are compiled at load; a sound request costs one parse and one walk. What a client sent is never repeated in a
//! fault: bodies hold identity numbers and secrets, and faults go into answers and logs.

use crate::fault::Spot;
use crate::form;
use crate::json;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The most faults told at once: enough to mend a request, too few to make answers grow with it.
pub const FAULTS_MAX: usize = 10;

/// The longest name of a client's own that a fault repeats, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyFault {
    /// A JSON pointer into the body, or `query:NAME`, `path:NAME`, `header:NAME`.
    ///
    /// Names that only the client knows stand as `*` unless they look like names.
    pub pointer: String,
    /// The rule that was broken, in JSON Schema's word where it has one: `maxLength`, `required`, `unknown`.
    pub keyword: String,
    /// What the contract asks for; never what the client sent.
    pub message: String,
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body's media type is missing, or is none the operation describes.
    #[error("the media type of the body is not one of: {}", accepted.join(", "))]
    UnsupportedMediaType {
        /// What the operation describes; empty where it takes no body.
        accepted: Vec<String>,
    },
    /// A body is required and there is none.
    #[error("a body is required")]
    Missing,
    /// The body cannot be read, or can be read in two ways.
    #[error("the body cannot be read at line {line}, column {column}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What is wrong; never what the client sent.
        reason: String,
    },
    /// The body breaks rules of the contract; at most [`FAULTS_MAX`] are told.
    #[error("the body breaks {} rules of the contract", .0.len())]
    Invalid(Vec<BodyFault>),
}

/// A body that was read strictly and keeps every rule of its operation.
///
/// Comes only from [`Operation::check_body`](crate::Operation::check_body). Does not say which operation that was.
#[derive(Clone, PartialEq)]
pub struct ValidBody {
    value: Value,
}

impl ValidBody {
    /// The body; `null` where the operation takes none or the client left an optional one out.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl fmt::Debug for ValidBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValidBody(..)")
    }
}

/// What an operation asks of a body.
#[derive(Debug, Default)]
pub(crate) struct BodyRule {
    pub(crate) required: bool,
    pub(crate) media: Vec<MediaRule>,
}

/// What an operation asks of a body in one media type.
#[derive(Debug)]
pub(crate) struct MediaRule {
    /// Type and subtype in lower case, without parameters.
    pub(crate) essence: String,
    pub(crate) shape: Shape,
    pub(crate) validator: Validator,
}

/// How a body of some media type is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Json,
    Form,
    /// Bytes that nobody looks into: they stream on.
    Opaque,
}

impl Shape {
    /// How a media type is read, for those we can read.
    pub(crate) fn of(essence: &str) -> Option<Shape> {
        if essence == "application/x-www-form-urlencoded" {
            return Some(Shape::Form);
        }
        if essence == "application/octet-stream" {
            return Some(Shape::Opaque);
        }
        let (kind, subtype) = essence.split_once('/')?;
        let json = kind == "application"
            && (subtype == "json"
                || subtype.strip_suffix("+json").is_some_and(|name| !name.is_empty() && !name.contains('*')));
        json.then_some(Shape::Json)
    }
}

impl BodyRule {
    /// Judges a body; the only place where a [`ValidBody`] is made.
    pub(crate) fn check(&self, content_type: Option<&str>, body: &[u8]) -> Result<ValidBody, BodyError> {
        if body.is_empty() {
            return if self.required { Err(BodyError::Missing) } else { Ok(ValidBody { value: Value::Null }) };
        }
        let media = content_type
            .and_then(essence)
            .and_then(|essence| self.media.iter().find(|rule| rule.essence.eq_ignore_ascii_case(essence)));
        let Some(media) = media else {
            return Err(BodyError::UnsupportedMediaType {
                accepted: self.media.iter().map(|rule| rule.essence.clone()).collect(),
            });
        };
        let value = match media.shape {
            Shape::Json => json::parse(body),
            Shape::Form => read_form(body),
            Shape::Opaque => return Ok(ValidBody { value: Value::Null }),
        };
        let value = value.map_err(|error| BodyError::Malformed {
            line: error.at.line,
            column: error.at.column,
            reason: error.reason,
        })?;
        if media.validator.is_valid(&value) {
            return Ok(ValidBody { value });
        }
        Err(BodyError::Invalid(body_faults(&media.validator, &value)))
    }
}

/// What an operation asks of one parameter.
#[derive(Debug)]
pub(crate) struct ParameterRule {
    /// As the client writes it; header names in lower case.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) required: bool,
    pub(crate) kind: Scalar,
    pub(crate) validator: Validator,
}

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
}

/// What a parameter's text is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Integer,
    Number,
    Boolean,
}

impl ParameterRule {
    /// Judges one value, if there is one; adds what is wrong with it.
    pub(crate) fn check(&self, text: Option<&str>, faults: &mut Vec<BodyFault>) {
        let Some(text) = text else {
            if self.required {
                self.complain("required", "is required", faults);
            }
            return;
        };
        let Some(value) = self.kind.read(text) else {
            let expected = match self.kind {
                Scalar::String => "must be a text",
                Scalar::Integer => "must be an integer",
                Scalar::Number => "must be a number",
                Scalar::Boolean => "must be true or false",
            };
            self.complain("type", expected, faults);
            return;
        };
        if self.validator.is_valid(&value) {
            return;
        }
        for error in self.validator.iter_errors(&value).take(FAULTS_MAX) {
            self.complain(error.kind().keyword(), &message(error.kind()), faults);
        }
    }

    pub(crate) fn complain(&self, keyword: &str, message: &str, faults: &mut Vec<BodyFault>) {
        let pointer = match self.place {
            Place::Path => format!("path:{}", self.name),
            Place::Query => format!("query:{}", self.name),
            Place::Header => format!("header:{}", self.name),
        };
        add(faults, pointer, keyword, message);
    }
}

impl Scalar {
    /// Reads a text as this kind of value; only JSON's own spelling of numbers counts.
    fn read(self, text: &str) -> Option<Value> {
        match self {
            Scalar::String => Some(Value::String(text.to_owned())),
            Scalar::Boolean => match text {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Scalar::Integer => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let plain =
                    text == "0" || (!digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit()));
                // An empty text and a lone sign fail to parse.
                let number = text.parse::<i64>().ok().filter(|_| plain)?;
                (number.unsigned_abs() <= json::INTEGER_MAX).then(|| Value::Number(Number::from(number)))
            }
            Scalar::Number => {
                let starts = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                    && text.ends_with(|c: char| c.is_ascii_digit());
                json::parse(text.as_bytes()).ok().filter(|value| starts && value.is_number())
            }
        }
    }
}

/// Judges a query against the parameters that may stand in it.
pub(crate) fn check_query(rules: &[ParameterRule], query: Option<&str>, faults: &mut Vec<BodyFault>) {
    let query = query.unwrap_or_default();
    if query.len() > form::QUERY_BYTES_MAX {
        add(
            faults,
            "query:".to_owned(),
            "maxLength",
            &format!("the query may have at most {} bytes", form::QUERY_BYTES_MAX),
        );
        return;
    }
    let mut seen = vec![false; rules.len()];
    for pair in form::pairs(query) {
        let Ok((name, value)) = pair else {
            add(faults, "query:".to_owned(), "syntax", "the query cannot be read");
            return;
        };
        let found = rules.iter().zip(seen.iter_mut()).find(|(rule, _)| rule.place == Place::Query && rule.name == name);
        match found {
            None => add(faults, format!("query:{}", shown(&name)), "unknown", "is not described by the contract"),
            Some((rule, seen)) if *seen => rule.complain("repeated", "may stand only once", faults),
            Some((rule, seen)) => {
                *seen = true;
                rule.check(Some(&value), faults);
            }
        }
        if faults.len() >= FAULTS_MAX {
            return;
        }
    }
    for (rule, _) in rules.iter().zip(&seen).filter(|(rule, seen)| rule.place == Place::Query && !**seen) {
        rule.check(None, faults);
    }
}

/// Type and subtype of a `Content-Type`; `None` where a parameter asks for another encoding than UTF-8.
fn essence(content_type: &str) -> Option<&str> {
    let mut parts = content_type.split(';');
    let essence = parts.next().map(str::trim)?;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return None;
        }
    }
    Some(essence)
}

fn read_form(body: &[u8]) -> Result<Value, json::Malformed> {
    let broken =
        |at: usize, reason: &str| json::Malformed { at: Spot { line: 1, column: at + 1 }, reason: reason.to_owned() };
    if body.len() > json::JSON_BYTES_MAX {
        return Err(broken(0, "the body is too large"));
    }
    let text = std::str::from_utf8(body).map_err(|error| broken(error.valid_up_to(), "a character must be escaped"))?;
    let mut map = Map::new();
    for pair in form::pairs(text) {
        let (name, value) = pair.map_err(|error| broken(error.at, error.reason))?;
        if map.insert(name.into_owned(), Value::String(value.into_owned())).is_some() {
            return Err(broken(0, "a key is repeated"));
        }
    }
    Ok(Value::Object(map))
}

fn body_faults(validator: &Validator, value: &Value) -> Vec<BodyFault> {
    let mut faults = Vec::new();
    for error in validator.iter_errors(value).take(FAULTS_MAX) {
        body_fault(&error, &mut faults);
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    faults
}

fn body_fault(error: &ValidationError<'_>, faults: &mut Vec<BodyFault>) {
    let pointer = pointer(error);
    let keyword = error.kind().keyword();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                add(faults, format!("{pointer}/{}", shown(name)), keyword, "is not described by the contract");
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            add(faults, format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), keyword, "is required");
        }
        // A closed object without properties: draft 4 has no other schema that allows nothing.
        ValidationErrorKind::FalseSchema => {
            add(faults, pointer, "additionalProperties", "has a property that the contract does not describe");
        }
        kind => add(faults, pointer, keyword, &message(kind)),
    }
}

fn add(faults: &mut Vec<BodyFault>, pointer: String, keyword: &str, message: &str) {
    if faults.len() < FAULTS_MAX {
        faults.push(BodyFault { pointer, keyword: keyword.to_owned(), message: message.to_owned() });
    }
}

/// The place of an error, with names that may be somebody's data left out.
fn pointer(error: &ValidationError<'_>) -> String {
    let mut out = String::new();
    for token in error.instance_path().as_str().split('/').skip(1) {
        out.push('/');
        let index = !token.is_empty() && token.len() < 8 && token.bytes().all(|digit| digit.is_ascii_digit());
        out.push_str(if index { token } else { shown(token) });
    }
    out
}

/// A client's own name where it looks like one, else `*`: identity numbers and addresses were seen as keys.
fn shown(name: &str) -> &str {
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if named { name } else { "*" }
}

/// Says a broken rule in the contract's words.
fn message(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Type { kind: TypeKind::Single(one) } => format!("must be of type {one}"),
        ValidationErrorKind::Type { .. } => "must be of another type".to_owned(),
        ValidationErrorKind::MinLength { limit } => {
            format!("must have at least {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => format!("may have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("may have at most {limit} items"),
        ValidationErrorKind::MinProperties { limit } => {
            format!("must have at least {limit} properties")
        }
        ValidationErrorKind::MaxProperties { limit } => {
            format!("may have at most {limit} properties")
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("may be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {multiple_of}")
        }
        ValidationErrorKind::Pattern { pattern } => format!("must match {pattern}"),
        ValidationErrorKind::Format { format } => format!("must be a valid {format}"),
        ValidationErrorKind::Enum { options } => format!("must be one of {options}"),
        ValidationErrorKind::UniqueItems => "must not repeat an item".to_owned(),
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
            "matches none of the described forms".to_owned()
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => "matches more than one of the described forms".to_owned(),
        _ => "is not allowed by the contract".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::document::parse;
    use crate::fault::{Faults, Source};
    use crate::schema::Schemas;
    use serde_json::json;

    fn validator(schema: &str) -> Validator {
        let root = parse(&Source { name: "x.yaml".to_owned(), text: schema.to_owned() }).unwrap();
        let mut faults = Faults::new("x.yaml");
        let validator = Schemas::read(&root, &mut faults).validator(&root, &mut faults);
        assert_eq!(faults.into_found(), []);
        validator.unwrap()
    }

    fn rule(essence: &str, required: bool, schema: &str) -> BodyRule {
        let shape = Shape::of(essence).unwrap();
        BodyRule {
            required,
            media: vec![MediaRule { essence: essence.to_owned(), shape, validator: validator(schema) }],
        }
    }

    fn json_rule(schema: &str) -> BodyRule {
        rule("application/json", true, schema)
    }

    fn faults(rule: &BodyRule, body: &str) -> Vec<(String, String, String)> {
        match rule.check(Some("application/json"), body.as_bytes()) {
            Err(BodyError::Invalid(faults)) => {
                faults.into_iter().map(|fault| (fault.pointer, fault.keyword, fault.message)).collect()
            }
            other => unreachable!("{other:?}"),
        }
    }

    const MONEY: &str = "type: object\nrequired: [amount, currency]\nadditionalProperties: false\nproperties:\n  amount: {type: string, pattern: '^(0|[1-9][0-9]{0,14})\\.[0-9]{2}$'}\n  currency: {type: string, enum: [KZT]}\n";

    #[test]
    fn other_media_types_are_refused() {
        let rule = json_rule("type: object\n");
        for content_type in [
            None,
            Some(""),
            Some("text/plain"),
            Some("application/jsonx"),
            Some("application/json; charset=utf-16"),
            Some("application/json;charset=\"latin1\""),
            Some("application/x-www-form-urlencoded"),
            Some("application/*"),
        ] {
            let refused = BodyError::UnsupportedMediaType { accepted: vec!["application/json".to_owned()] };
            assert_eq!(rule.check(content_type, b"{}").unwrap_err(), refused, "{content_type:?}");
        }
        for content_type in [
            "application/json",
            "Application/JSON",
            "application/json; charset=UTF-8",
            "application/json;charset=\"utf-8\"; x=y",
        ] {
            assert!(rule.check(Some(content_type), b"{}").is_ok(), "{content_type}");
        }
    }

    #[test]
    fn a_missing_body_is_refused_where_one_is_required() {
        assert_eq!(json_rule("{}").check(Some("application/json"), b"").unwrap_err(), BodyError::Missing);
        assert_eq!(json_rule("{}").check(None, b"").unwrap_err(), BodyError::Missing);
        let optional = rule("application/json", false, "type: object\n");
        assert_eq!(optional.check(None, b"").unwrap().value(), &Value::Null);
        assert!(optional.check(Some("application/json"), b"null").is_err());
    }

    #[test]
    fn a_body_nobody_described_is_refused() {
        let none = BodyRule::default();
        assert_eq!(
            none.check(Some("application/json"), b"{}").unwrap_err(),
            BodyError::UnsupportedMediaType { accepted: vec![] }
        );
        assert!(none.check(None, b"").is_ok());
    }

    #[test]
    fn broken_bodies_have_a_place() {
        let error = json_rule("{}").check(Some("application/json"), b"{\"a\":1,\n\"a\":2}").unwrap_err();
        assert_eq!(error, BodyError::Malformed { line: 2, column: 3, reason: "a key is repeated".to_owned() });
    }

    #[test]
    fn broken_rules_are_told_in_the_contracts_words() {
        let rule = json_rule(MONEY);
        let told = |pointer: &str, keyword: &str, message: &str| {
            vec![(pointer.to_owned(), keyword.to_owned(), message.to_owned())]
        };
        assert_eq!(faults(&rule, r#"{"amount":"1.00"}"#), told("/currency", "required", "is required"));
        assert_eq!(
            faults(&rule, r#"{"amount":1,"currency":"KZT"}"#),
            told("/amount", "type", "must be of type string")
        );
        assert_eq!(
            faults(&rule, r#"{"amount":"1.00","currency":"USD"}"#),
            told("/currency", "enum", "must be one of [\"KZT\"]")
        );
        assert_eq!(
            faults(&rule, r#"{"amount":"1.00","currency":"KZT","x":1}"#),
            told("/x", "additionalProperties", "is not described by the contract")
        );
        assert_eq!(faults(&rule, "[]"), told("", "type", "must be of type object"));
        for amount in ["1", "1.0", "01.00", "-1.00", "1000000000000000.00", "1.00 ", "\\u0661.00", "1.00\\n"] {
            let found = faults(&rule, &format!(r#"{{"amount":"{amount}","currency":"KZT"}}"#));
            assert_eq!(found.first().unwrap().1, "pattern", "{amount}");
        }
        assert!(rule.check(Some("application/json"), br#"{"amount":"999999999999999.99","currency":"KZT"}"#).is_ok());
    }

    #[test]
    fn faults_never_repeat_the_client() {
        let rule = json_rule(
            "type: object\nproperties:\n  a: {type: string, maxLength: 3, minLength: 2, pattern: '^x$', format: uuid, enum: [b]}\n  n: {type: integer, minimum: 1, maximum: 3}\n  o: {oneOf: [{type: string}, {type: string, maxLength: 1}]}\n  m: {type: object, additionalProperties: {type: integer}}\n  l: {type: array, uniqueItems: true, items: {not: {type: string}}}\n  u: {type: object, additionalProperties: false}\n",
        );
        let body = r#"{"a":"900101300017","n":900101300017,"o":900101300017,"m":{"900101300017":"900101300017"},"l":["900101300017","900101300017"],"u":{"900101300017":1,"a b@c.kz":1,"named":1}}"#;
        let found = faults(&rule, body);
        assert_eq!(found.len(), FAULTS_MAX);
        assert!(!format!("{found:?}").contains("900101300017"), "{found:?}");
        let one = faults(
            &json_rule("properties: {a: {}}\nadditionalProperties: false\n"),
            r#"{"900101300017":1,"a b@c.kz":1,"named":1}"#,
        );
        let pointers: Vec<&str> = one.iter().map(|(pointer, ..)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/*", "/*", "/named"]);
        let empty = faults(&json_rule("additionalProperties: false\n"), r#"{"a":1,"b":2}"#);
        assert_eq!(empty.len(), 1);
        assert_eq!(empty.first().unwrap().1, "additionalProperties");
    }

    #[test]
    fn a_clients_own_name_is_repeated_up_to_a_limit() {
        let longest = "n".repeat(NAME_BYTES_MAX);
        assert_eq!(shown(&longest), longest);
        assert_eq!(shown(&format!("{longest}n")), "*");
    }

    #[test]
    fn faults_are_told_up_to_a_limit() {
        let rule = json_rule("type: array\nitems: {type: integer}\n");
        let list = |count: usize| format!("[{}]", vec!["\"x\""; count].join(","));
        assert_eq!(faults(&rule, &list(FAULTS_MAX)).len(), FAULTS_MAX);
        assert_eq!(faults(&rule, &list(FAULTS_MAX + 1)).len(), FAULTS_MAX);
        assert_eq!(faults(&rule, &list(3)).len(), 3);
    }

    #[test]
    fn forms_are_objects_of_texts() {
        let rule = rule(
            "application/x-www-form-urlencoded",
            true,
            "type: object\nproperties:\n  a: {type: string, maxLength: 3}\n",
        );
        let check = |body: &[u8]| rule.check(Some("application/x-www-form-urlencoded"), body);
        for body in [&b"a=1&a=2"[..], b"a=%", b"a=\xff", b"a=%00", b"a=%C0%AF", b"%61=1&a=2"] {
            assert!(matches!(check(body), Err(BodyError::Malformed { .. })), "{body:?}");
        }
        assert!(matches!(check(b"a=1234"), Err(BodyError::Invalid(_))));
        assert!(matches!(check("x".repeat(json::JSON_BYTES_MAX + 1).as_bytes()), Err(BodyError::Malformed { .. })));
        assert!(check("x".repeat(json::JSON_BYTES_MAX).as_bytes()).is_ok());
        assert_eq!(check(b"a=1+2&b=x%26y").unwrap().value(), &json!({"a": "1 2", "b": "x&y"}));
    }

    #[test]
    fn a_valid_body_keeps_quiet() {
        let body = json_rule("{}").check(Some("application/json"), b"\"900101300017\"").unwrap();
        assert_eq!(format!("{body:?}"), "ValidBody(..)");
    }

    #[test]
    fn only_readable_media_types_have_a_shape() {
        for essence in [
            "",
            "json",
            "text/json",
            "application/*",
            "*/*",
            "application/xml",
            "application/+json",
            "application/*+json",
            "multipart/form-data",
        ] {
            assert_eq!(Shape::of(essence), None, "{essence}");
        }
        assert_eq!(Shape::of("application/merge-patch+json"), Some(Shape::Json));
    }

    fn parameter(kind: Scalar, schema: &str) -> ParameterRule {
        ParameterRule { name: "p".to_owned(), place: Place::Query, required: true, kind, validator: validator(schema) }
    }

    fn keyword(rule: &ParameterRule, text: Option<&str>) -> Option<String> {
        let mut faults = Vec::new();
        rule.check(text, &mut faults);
        faults.first().map(|fault| fault.keyword.clone())
    }

    #[test]
    fn parameters_are_read_by_their_type() {
        let integer = parameter(Scalar::Integer, "type: integer\nminimum: 1\nmaximum: 100\n");
        for text in [
            "",
            "-",
            "+1",
            "01",
            "1.0",
            "1e1",
            " 1",
            "1 ",
            "0x1",
            "\u{661}",
            "-0",
            "99999999999999999999",
            "9007199254740992",
        ] {
            assert_eq!(keyword(&integer, Some(text)).as_deref(), Some("type"), "{text}");
        }
        assert_eq!(keyword(&integer, Some("0")).as_deref(), Some("minimum"));
        assert_eq!(keyword(&integer, Some("101")).as_deref(), Some("maximum"));
        assert_eq!(keyword(&integer, None).as_deref(), Some("required"));
        assert_eq!(keyword(&integer, Some("1")), None);
        assert_eq!(keyword(&integer, Some("100")), None);
        let boolean = parameter(Scalar::Boolean, "type: boolean\n");
        assert_eq!(keyword(&boolean, Some("TRUE")).as_deref(), Some("type"));
        assert_eq!(keyword(&boolean, Some("true")), None);
        let number = parameter(Scalar::Number, "type: number\n");
        for text in ["", "NaN", "1.", ".5", " 1", "1 ", "[1]", "\"1\"", "1e999"] {
            assert_eq!(keyword(&number, Some(text)).as_deref(), Some("type"), "{text}");
        }
        assert_eq!(keyword(&number, Some("-1.5e2")), None);
        let string = parameter(Scalar::String, "type: string\nmaxLength: 2\nminLength: 1\n");
        assert_eq!(keyword(&string, Some("")).as_deref(), Some("minLength"));
        assert_eq!(keyword(&string, Some("abc")).as_deref(), Some("maxLength"));
        assert_eq!(keyword(&string, Some("\u{49b}\u{49b}")), None);
    }
}
