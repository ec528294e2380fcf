//! What an operation answers: judged on its way out, and shown as an example.
//!
//! A fault never repeats what the backend said. Must never know who reads a fault or what is done about it.

use crate::judge::BodyFault;
use crate::media::{self, Reading};
use crate::parameter::ParameterRule;
use crate::validate::{BodyError, MediaRule};
use std::sync::Arc;

/// The client has the answer already (RFC 9110, section 15.4.5): nothing of it comes again, so nothing is judged.
const NOT_MODIFIED: u16 = 304;

/// How far an answer can be judged once its status and its headers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCheck {
    /// The body is to be read and handed to [`Operation::check_response`](crate::Operation::check_response).
    Read,
    /// The body streams on; only its size counts.
    SizeOnly,
}

/// Why an answer is not what the contract promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// No answer of this status is described.
    #[error("the contract describes no answer of this status")]
    Status,
    /// The answer's media type is none that is described for its status.
    #[error("the media type of the answer is not one of: {}", accepted.join(", "))]
    MediaType {
        /// What is described; empty where no body is.
        accepted: Vec<String>,
    },
    /// The body cannot be read, or can be read in two ways.
    #[error("the answer cannot be read at line {line}, column {column}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What is wrong; never what the backend said.
        reason: String,
    },
    /// Headers or the body break rules; at most [`FAULTS_MAX`](crate::FAULTS_MAX) are told.
    #[error("the answer breaks {} rules of the contract", .0.len())]
    Invalid(Vec<BodyFault>),
}

impl ResponseFault {
    /// What is wrong in one word, for a metric's label: `status`, `mediaType`, `malformed` or `invalid`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            ResponseFault::Status => "status",
            ResponseFault::MediaType { .. } => "mediaType",
            ResponseFault::Malformed { .. } => "malformed",
            ResponseFault::Invalid(_) => "invalid",
        }
    }
}

/// An answer as the contract shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleResponse {
    /// The lowest status of success that is described; 200 for `2XX` and `default`.
    pub status: u16,
    /// The media type; `None` where no body is described.
    pub content_type: Option<String>,
    /// The body; empty where none is described or none could be made.
    pub body: Vec<u8>,
}

/// A request as the contract shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleRequest {
    /// The template with every parameter filled.
    pub path: String,
    /// The required query parameters, escaped; `None` without any.
    pub query: Option<String>,
    /// The required headers (a `cookie` too), names in lower case.
    pub headers: Vec<(String, String)>,
    /// The media type of the body; `None` where no body is described.
    pub content_type: Option<String>,
    /// The body; empty where none is described.
    pub body: Vec<u8>,
}

/// The answers of an operation.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    exact: Vec<(u16, Arc<AnswerRule>)>,
    /// By the hundreds of the status.
    ranges: Vec<(u16, Arc<AnswerRule>)>,
    default: Option<Arc<AnswerRule>>,
}

/// What is promised of one answer.
#[derive(Debug, Default)]
pub(crate) struct AnswerRule {
    pub(crate) headers: Vec<ParameterRule>,
    pub(crate) media: Vec<MediaRule>,
}

impl Answers {
    /// Takes an answer; false where `status` is none.
    pub(crate) fn add(&mut self, status: &str, rule: Arc<AnswerRule>) -> bool {
        if status == "default" {
            self.default = Some(rule);
            return true;
        }
        if let Some(hundreds) = status.strip_suffix("XX").or_else(|| status.strip_suffix("xx")) {
            let hundreds = hundreds.parse().ok().filter(|hundreds| (1..=5).contains(hundreds));
            self.ranges.extend(hundreds.map(|hundreds| (hundreds, rule)));
            return hundreds.is_some();
        }
        // Many documents use statuses that no registry knows (452, 529, 599): every one of three digits is one.
        let status = status.parse().ok().filter(|code| status.len() == 3 && (100..=599).contains(code));
        self.exact.extend(status.map(|status| (status, rule)));
        status.is_some()
    }

    fn rule(&self, status: u16) -> Option<&AnswerRule> {
        let of = |list: &'_ [(u16, Arc<AnswerRule>)], key: u16| list.iter().position(|(known, _)| *known == key);
        let exact = of(&self.exact, status).and_then(|at| self.exact.get(at));
        let range = || of(&self.ranges, status / 100).and_then(|at| self.ranges.get(at));
        exact.or_else(range).map(|(_, rule)| &**rule).or(self.default.as_deref())
    }

    /// The lowest status of success, with its answer.
    pub(crate) fn success(&self) -> Option<(u16, &AnswerRule)> {
        let exact =
            self.exact.iter().filter(|(status, _)| (200..300).contains(status)).min_by_key(|(status, _)| *status);
        let exact = exact.map(|(status, rule)| (*status, &**rule));
        let range = || self.ranges.iter().find(|(hundreds, _)| *hundreds == 2).map(|(_, rule)| (200, &**rule));
        exact.or_else(range).or_else(|| self.default.as_deref().map(|rule| (200, rule)))
    }

    /// Tells whether every answer of success is looked into.
    pub(crate) fn are_checked(&self) -> bool {
        let checked = |rule: &AnswerRule| {
            rule.media.iter().all(|media| media.range.reading() == Some(Reading::Json) && media.check.is_some())
        };
        !(self.exact.is_empty() && self.ranges.is_empty() && self.default.is_none()) && self.successes().all(checked)
    }

    /// Tells whether some answer of success is certainly no JSON; of a range such as `*/*` nobody knows before it comes.
    pub(crate) fn may_stream(&self) -> bool {
        let other = |rule: &AnswerRule| {
            rule.media.iter().any(|media| media.range.reading().is_some_and(|reading| reading != Reading::Json))
        };
        self.successes().any(other)
    }

    // Where none is named, success is what the default says.
    fn successes(&self) -> impl Iterator<Item = &AnswerRule> {
        let exact = self.exact.iter().filter(|(status, _)| (200..300).contains(status));
        let range = self.ranges.iter().filter(|(hundreds, _)| *hundreds == 2);
        let mut rules = exact.chain(range).map(|(_, rule)| &**rule).peekable();
        let rest = if rules.peek().is_none() { self.default.as_deref() } else { None };
        rules.chain(rest)
    }

    pub(crate) fn head(
        &self,
        status: u16,
        header: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResponseCheck, ResponseFault> {
        match self.judged(status, header) {
            // Whether a body comes all the same is seen when it is read.
            Err(_) if status == NOT_MODIFIED => Ok(ResponseCheck::Read),
            judged => judged.map(|(check, _)| check),
        }
    }

    /// `bare` tells that no body is to come, whatever is described: the answer to `HEAD`.
    pub(crate) fn check(
        &self,
        status: u16,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        bare: bool,
    ) -> Result<(), ResponseFault> {
        if status == NOT_MODIFIED && body.is_empty() {
            return Ok(());
        }
        let (check, rule) = self.judged(status, header)?;
        if body.is_empty() {
            let bare = bare || rule.media.is_empty() || matches!(status, 100..=199 | 204 | 205 | 304);
            return if bare || rule.media.iter().any(MediaRule::may_stream) { Ok(()) } else { Err(missing()) };
        }
        if check == ResponseCheck::SizeOnly && !rule.media.is_empty() {
            return Ok(());
        }
        let media = media::best(&rule.media, |rule| &rule.range, header("content-type").as_deref());
        let Some((media, reading)) = media else {
            return Err(unlike(rule));
        };
        match media.judge(reading, body) {
            Ok(_) => Ok(()),
            Err(BodyError::Invalid(faults)) => Err(ResponseFault::Invalid(faults)),
            Err(BodyError::Malformed { line, column, reason }) => {
                Err(ResponseFault::Malformed { line, column, reason })
            }
            Err(BodyError::Missing) => Err(missing()),
            Err(BodyError::UnsupportedMediaType { .. }) => Err(unlike(rule)),
        }
    }

    fn judged(
        &self,
        status: u16,
        header: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(ResponseCheck, &AnswerRule), ResponseFault> {
        let rule = self.rule(status).ok_or(ResponseFault::Status)?;
        let mut faults = Vec::new();
        for one in &rule.headers {
            one.check_header(header(&one.name).as_slice(), &mut faults);
        }
        if !faults.is_empty() {
            return Err(ResponseFault::Invalid(faults));
        }
        let Some(content_type) = header("content-type") else {
            let read = rule.media.iter().any(MediaRule::may_be_read);
            return Ok((if read { ResponseCheck::Read } else { ResponseCheck::SizeOnly }, rule));
        };
        if rule.media.is_empty() {
            // Some backends name a type without sending a body; a body would be one that nobody described.
            return Ok((ResponseCheck::Read, rule));
        }
        match media::best(&rule.media, |rule| &rule.range, Some(&content_type)) {
            Some((_, Reading::Json)) => Ok((ResponseCheck::Read, rule)),
            Some(_) => Ok((ResponseCheck::SizeOnly, rule)),
            None => Err(unlike(rule)),
        }
    }
}

fn unlike(rule: &AnswerRule) -> ResponseFault {
    ResponseFault::MediaType { accepted: rule.media.iter().map(|media| media.range.to_string()).collect() }
}

fn missing() -> ResponseFault {
    let (pointer, keyword) = (String::new(), "required".to_owned());
    ResponseFault::Invalid(vec![BodyFault { pointer, keyword, message: "a body is described".to_owned() }])
}
