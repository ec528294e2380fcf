//! Judging what a client sent against what an operation describes.
//!
//! All rules are compiled at load; a sound request costs one parse and one walk. What a client sent is never repeated in a
//! fault: bodies hold identity numbers and secrets, and faults go into answers and logs.

use crate::fault::Mark;
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
}

impl Shape {
    /// How a media type is read, for those we can read.
    pub(crate) fn of(essence: &str) -> Option<Shape> {
        if essence == "application/x-www-form-urlencoded" {
            return Some(Shape::Form);
        }
        let (kind, subtype) = essence.split_once('/')?;
        let json = kind == "application"
            && (subtype == "json"
                || subtype
                    .strip_suffix("+json")
                    .is_some_and(|name| !name.is_empty() && !name.contains('*')));
        json.then_some(Shape::Json)
    }
}

impl BodyRule {
    /// Judges a body; the only place where a [`ValidBody`] is made.
    pub(crate) fn check(
        &self,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<ValidBody, BodyError> {
        if body.is_empty() {
            return if self.required {
                Err(BodyError::Missing)
            } else {
                Ok(ValidBody { value: Value::Null })
            };
        }
        let media = content_type.and_then(essence).and_then(|essence| {
            self.media
                .iter()
                .find(|rule| rule.essence.eq_ignore_ascii_case(essence))
        });
        let Some(media) = media else {
            return Err(BodyError::UnsupportedMediaType {
                accepted: self.media.iter().map(|rule| rule.essence.clone()).collect(),
            });
        };
        let value = match media.shape {
            Shape::Json => json::parse(body),
            Shape::Form => read_form(body),
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
                let plain = text == "0"
                    || (!digits.starts_with('0')
                        && digits.bytes().all(|digit| digit.is_ascii_digit()));
                // An empty text and a lone sign fail to parse.
                let number = text.parse::<i64>().ok().filter(|_| plain)?;
                (number.unsigned_abs() <= json::INTEGER_MAX)
                    .then(|| Value::Number(Number::from(number)))
            }
            Scalar::Number => {
                let starts = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                    && text.ends_with(|c: char| c.is_ascii_digit());
                json::parse(text.as_bytes())
                    .ok()
                    .filter(|value| starts && value.is_number())
            }
        }
    }
}

/// Judges a query against the parameters that may stand in it.
pub(crate) fn check_query(
    rules: &[ParameterRule],
    query: Option<&str>,
    faults: &mut Vec<BodyFault>,
) {
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
            add(
                faults,
                "query:".to_owned(),
                "syntax",
                "the query cannot be read",
            );
            return;
        };
        let found = rules
            .iter()
            .zip(seen.iter_mut())
            .find(|(rule, _)| rule.place == Place::Query && rule.name == name);
        match found {
            None => add(
                faults,
                format!("query:{}", shown(&name)),
                "unknown",
                "is not described by the contract",
            ),
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
    for (rule, _) in rules
        .iter()
        .zip(&seen)
        .filter(|(rule, seen)| rule.place == Place::Query && !**seen)
    {
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
    let broken = |at: usize, reason: &str| json::Malformed {
        at: Mark {
            line: 1,
            column: at + 1,
        },
        reason: reason.to_owned(),
    };
    if body.len() > json::JSON_BYTES_MAX {
        return Err(broken(0, "the body is too large"));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| broken(error.valid_up_to(), "a character must be escaped"))?;
    let mut map = Map::new();
    for pair in form::pairs(text) {
        let (name, value) = pair.map_err(|error| broken(error.at, error.reason))?;
        if map
            .insert(name.into_owned(), Value::String(value.into_owned()))
            .is_some()
        {
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
                add(
                    faults,
                    format!("{pointer}/{}", shown(name)),
                    keyword,
                    "is not described by the contract",
                );
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            add(
                faults,
                format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")),
                keyword,
                "is required",
            );
        }
        kind => add(faults, pointer, keyword, &message(kind)),
    }
}

fn add(faults: &mut Vec<BodyFault>, pointer: String, keyword: &str, message: &str) {
    if faults.len() < FAULTS_MAX {
        faults.push(BodyFault {
            pointer,
            keyword: keyword.to_owned(),
            message: message.to_owned(),
        });
    }
}

/// The place of an error, with names that may be somebody's data left out.
fn pointer(error: &ValidationError<'_>) -> String {
    let mut out = String::new();
    for token in error.instance_path().as_str().split('/').skip(1) {
        out.push('/');
        let index = !token.is_empty()
            && token.len() < 8
            && token.bytes().all(|digit| digit.is_ascii_digit());
        out.push_str(if index { token } else { shown(token) });
    }
    out
}

/// A client's own name where it looks like one, else `*`: identity numbers and addresses were seen as keys.
fn shown(name: &str) -> &str {
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.len() <= NAME_BYTES_MAX
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if named { name } else { "*" }
}

/// Says a broken rule in the contract's words.
fn message(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Type {
            kind: TypeKind::Single(one),
        } => format!("must be of type {one}"),
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
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "matches more than one of the described forms".to_owned()
        }
        _ => "is not allowed by the contract".to_owned(),
    }
}
