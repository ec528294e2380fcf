//! Judging the body a client sent against what an operation describes.
//!
//! All rules are compiled at load; a sound body costs one parse and one walk. What a client sent is never repeated in a
//! fault: bodies hold identity numbers and secrets, and faults go into answers and logs.

use crate::fault::Spot;
use crate::form;
use crate::json;
use crate::judge::{BodyFault, Check};
use crate::media::{self, MediaRange, Reading};
use crate::shape::BodyShape;
use crate::style::{Kind, Spelt};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

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
    /// The body breaks rules of the contract; at most [`FAULTS_MAX`](crate::FAULTS_MAX) are told.
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
    /// The body; `null` where the operation takes none, the client left an optional one out, or nobody looks into it.
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

/// What is asked of a body in one media type or range.
#[derive(Debug)]
pub(crate) struct MediaRule {
    pub(crate) range: MediaRange,
    /// The schema; none where any value will do.
    pub(crate) check: Option<Check>,
    /// What the fields of a form are read as.
    pub(crate) kind: Kind,
    /// The places of a body.
    pub(crate) shape: Arc<BodyShape>,
    /// A body as the contract shows it, as JSON; empty where it is not read.
    pub(crate) shown: Box<str>,
}

impl MediaRule {
    /// Tells whether some body of this type is only measured.
    pub(crate) fn may_stream(&self) -> bool {
        self.range.reading().is_none_or(|reading| reading == Reading::Opaque)
    }

    /// Tells whether some body of this type is looked into.
    pub(crate) fn may_be_read(&self) -> bool {
        self.range.reading() != Some(Reading::Opaque)
    }

    /// Reads and judges a body of this type; what nobody looks into is `null`.
    pub(crate) fn judge(&self, reading: Reading, body: &[u8]) -> Result<Value, BodyError> {
        let malformed = |error: json::Malformed| BodyError::Malformed {
            line: error.at.line,
            column: error.at.column,
            reason: error.reason,
        };
        match reading {
            Reading::Opaque => Ok(Value::Null),
            Reading::Json => self.hold(vec![json::parse(body).map_err(malformed)?]),
            Reading::Form => self.hold(read_form(body, &self.kind).map_err(malformed)?),
        }
    }

    /// The first of several readings that keeps the schema; what is wrong with the first if none does.
    fn hold(&self, readings: Vec<Value>) -> Result<Value, BodyError> {
        let mut nearest = None;
        for mut value in readings {
            if self.check.as_ref().is_none_or(|check| check.holds(&mut value)) {
                return Ok(value);
            }
            nearest = nearest.or(Some(value));
        }
        let mut faults = Vec::new();
        if let (Some(check), Some(mut value)) = (&self.check, nearest) {
            check.complain(&mut value, "", &mut faults);
        }
        if faults.is_empty() {
            let (pointer, keyword) = (String::new(), "type".to_owned());
            faults.push(BodyFault { pointer, keyword, message: "is not what the contract describes".to_owned() });
        }
        Err(BodyError::Invalid(faults))
    }
}

impl BodyRule {
    /// Judges a body; the only place where a [`ValidBody`] is made.
    pub(crate) fn check(&self, content_type: Option<&str>, body: &[u8]) -> Result<ValidBody, BodyError> {
        if body.is_empty() {
            return if self.required { Err(BodyError::Missing) } else { Ok(ValidBody { value: Value::Null }) };
        }
        let (media, reading) = self.media(content_type)?;
        media.judge(reading, body).map(|value| ValidBody { value })
    }

    /// The most specific rule for a media type, and how the body is read.
    pub(crate) fn media(&self, content_type: Option<&str>) -> Result<(&MediaRule, Reading), BodyError> {
        media::best(&self.media, |rule| &rule.range, content_type)
            .ok_or_else(|| BodyError::UnsupportedMediaType { accepted: self.media_types() })
    }

    pub(crate) fn media_types(&self) -> Vec<String> {
        self.media.iter().map(|rule| rule.range.to_string()).collect()
    }
}

/// What the fields of a form may mean, the narrowest reading first.
///
/// Several fields of one name are one list, where the contract describes a list.
fn read_form(body: &[u8], kind: &Kind) -> Result<Vec<Value>, json::Malformed> {
    let broken =
        |at: usize, reason: &str| json::Malformed { at: Spot { line: 1, column: at + 1 }, reason: reason.to_owned() };
    if body.len() > json::JSON_BYTES_MAX {
        return Err(broken(0, "the body is too large"));
    }
    let text = std::str::from_utf8(body).map_err(|_| broken(0, "the body is not UTF-8"))?;
    let mut fields: Vec<(Cow<'_, str>, Vec<Cow<'_, str>>)> = Vec::new();
    for pair in form::pairs(text) {
        let (name, value) = pair.map_err(|pair| broken(pair.at, pair.reason))?;
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((name, values)) if kind.lists(name) => values.push(value),
            Some(_) => return Err(broken(0, "a field is repeated")),
            None => fields.push((name, vec![value])),
        }
    }
    Ok(kind.values(&Spelt::Map(fields)))
}
