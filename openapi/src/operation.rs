//! One operation of the contract: what it is called, who may ask, and what it takes.
//!
//! Knows nothing of how its path is found and nothing of what serves it.

use crate::answer::{Answers, ExampleRequest, ExampleResponse, ResponseCheck, ResponseFault};
use crate::example;
use crate::judge::BodyFault;
use crate::media::Reading;
use crate::parameter::{ParameterRule, Place, Spelling, check_cookies, check_query};
use crate::path::{CanonicalPath, unescape};
use crate::shape::BodyShape;
use crate::style::Style;
use crate::validate::{BodyError, BodyRule, MediaRule, ValidBody};
use std::fmt;
use std::sync::Arc;

/// One way to prove who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityRequirement {
    /// The name of the scheme in `components/securitySchemes`.
    pub scheme: String,
    /// The scopes the operation asks for, all of them; empty for schemes without scopes.
    pub scopes: Vec<String>,
}

/// An operation of a contract, ready to judge requests.
pub struct Operation {
    parts: OperationParts,
    index: usize,
    media_types: Vec<String>,
}

/// What one document says of an operation.
#[derive(Default)]
pub(crate) struct OperationParts {
    pub(crate) id: String,
    pub(crate) document: String,
    pub(crate) method: String,
    pub(crate) template: String,
    pub(crate) origin: String,
    pub(crate) security: Vec<SecurityRequirement>,
    /// The parameters of the template, in its order.
    pub(crate) template_names: Vec<String>,
    pub(crate) parameters: Vec<ParameterRule>,
    pub(crate) body: Option<BodyRule>,
    pub(crate) answers: Answers,
    /// The document gives it no name: the one it has is made of method and path.
    pub(crate) is_derived: bool,
    /// A request can have its path.
    pub(crate) is_reachable: bool,
    /// Why nothing may expose it.
    pub(crate) obstacle: Option<String>,
}

impl Operation {
    pub(crate) fn new(parts: OperationParts, index: usize) -> Self {
        let media_types = parts.body.as_ref().map(BodyRule::media_types).unwrap_or_default();
        Operation { parts, index, media_types }
    }

    /// The `operationId`, unique in the contract.
    pub fn id(&self) -> &str {
        &self.parts.id
    }

    /// Tells whether the header `name`, in lower case, has to come with every request.
    pub fn requires_header(&self, name: &str) -> bool {
        let rules = self.parts.parameters.iter();
        rules.filter(|rule| rule.place == Place::Header && rule.required).any(|rule| rule.name == name)
    }

    /// Tells whether a header `name` is described, in whatever case.
    pub fn takes_header(&self, name: &str) -> bool {
        let rules = self.parts.parameters.iter();
        rules.filter(|rule| rule.place == Place::Header).any(|rule| rule.name.eq_ignore_ascii_case(name))
    }

    /// The headers it describes, in lower case, each with whether it has to come with every request.
    pub fn headers(&self) -> impl Iterator<Item = (&str, bool)> {
        let rules = self.parts.parameters.iter().filter(|rule| rule.place == Place::Header);
        rules.map(|rule| (rule.name.as_str(), rule.required))
    }

    /// The document that describes it: the file's name without folders and ending, `payments`.
    pub fn document(&self) -> &str {
        &self.parts.document
    }

    /// The method, in upper case.
    pub fn method(&self) -> &str {
        &self.parts.method
    }

    /// The path template, `/v1/accounts/{accountId}/balances`.
    pub fn template(&self) -> &str {
        &self.parts.template
    }

    /// Where it is described: `openapi/apis/payments.yaml:41`.
    pub fn origin(&self) -> &str {
        &self.parts.origin
    }

    /// Its position in [`Contract::operations`](crate::Contract::operations).
    pub fn index(&self) -> usize {
        self.index
    }

    /// The ways to prove who is asking; any one of them is enough. Empty: everybody may ask.
    pub fn security(&self) -> &[SecurityRequirement] {
        &self.parts.security
    }

    /// Why the operation cannot be exposed, if so: the contract does not say who may ask, or no request has its path.
    pub fn obstacle(&self) -> Option<&str> {
        self.parts.obstacle.as_deref()
    }

    pub(crate) fn is_reachable(&self) -> bool {
        self.parts.is_reachable
    }

    /// Tells whether a body is described.
    pub fn has_body(&self) -> bool {
        self.parts.body.is_some()
    }

    /// Tells whether a request without a body is refused.
    pub fn body_required(&self) -> bool {
        self.parts.body.as_ref().is_some_and(|body| body.required)
    }

    /// The media types a body may have, as the contract writes them and in its order; some may be ranges.
    pub fn media_types(&self) -> &[String] {
        &self.media_types
    }

    /// Tells whether some body is read and judged: JSON or a form.
    pub fn needs_body_check(&self) -> bool {
        self.parts.body.as_ref().is_some_and(|body| body.media.iter().any(MediaRule::may_be_read))
    }

    /// Tells whether some body is only measured and streams on: binary, XML, multipart and whatever else is no JSON.
    pub fn may_stream(&self) -> bool {
        self.parts.body.as_ref().is_some_and(|body| body.media.iter().any(MediaRule::may_stream))
    }

    /// Tells whether a body of this content type is to be read and handed to [`Operation::check_body`].
    ///
    /// What is not read streams on, and only its size counts.
    ///
    /// # Errors
    /// [`BodyError::UnsupportedMediaType`] for a content type that is not described.
    pub fn reads_body(&self, content_type: Option<&str>) -> Result<bool, BodyError> {
        let nothing = BodyRule::default();
        let rule = self.parts.body.as_ref().unwrap_or(&nothing);
        rule.media(content_type).map(|(_, reading)| reading != Reading::Opaque)
    }

    /// The places of a body; open where none is described or it is not read.
    pub fn body_shape(&self) -> BodyShape {
        shape(self.parts.body.as_ref().map_or(&[], |body| &body.media))
    }

    /// The places of the answer of success; open where none is described or it is not read.
    pub fn answer_shape(&self) -> BodyShape {
        shape(self.parts.answers.success().map_or(&[], |(_, rule)| &rule.media))
    }

    /// Judges path, query, header and cookie parameters.
    ///
    /// `query` is the raw text behind `?`; `header` gives all values of a header by its name in lower case. Unknown query
    /// parameters are refused; unknown headers and cookies are not our business.
    ///
    /// # Errors
    /// At most [`FAULTS_MAX`](crate::FAULTS_MAX) faults, path first.
    pub fn check_request(
        &self,
        found: &RouteMatch,
        query: Option<&str>,
        header: &dyn Fn(&str) -> Vec<String>,
    ) -> Result<(), Vec<BodyFault>> {
        let mut faults = Vec::new();
        let rules = &self.parts.parameters;
        for rule in rules.iter().filter(|rule| rule.place == Place::Path) {
            rule.check_path(found.raw(&rule.name), &mut faults);
        }
        check_query(rules, query, &mut faults);
        for rule in rules.iter().filter(|rule| rule.place == Place::Header) {
            rule.check_header(&header(&rule.name), &mut faults);
        }
        if rules.iter().any(|rule| rule.place == Place::Cookie) {
            check_cookies(rules, &header("cookie"), &mut faults);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Reads a body strictly and judges it.
    ///
    /// Where no body is described, only an empty one is sound. Does not read a body of more than
    /// [`JSON_BYTES_MAX`](crate::JSON_BYTES_MAX), and does not look into one that [`Operation::reads_body`] lets pass.
    ///
    /// # Errors
    /// See [`BodyError`]; the media type is judged before the body is read.
    pub fn check_body(&self, content_type: Option<&str>, body: &[u8]) -> Result<ValidBody, BodyError> {
        match &self.parts.body {
            Some(rule) => rule.check(content_type, body),
            None => BodyRule::default().check(content_type, body),
        }
    }

    /// Tells how far an answer can be judged, from its status and headers alone.
    ///
    /// `header` gives the value of a header by its name in lower case.
    ///
    /// # Errors
    /// What is already wrong: the status, the media type, a header.
    pub fn check_response_head(
        &self,
        status: u16,
        header: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResponseCheck, ResponseFault> {
        self.parts.answers.head(status, header)
    }

    /// Judges an answer whole: status, headers, media type and body.
    ///
    /// A body that is [`ResponseCheck::SizeOnly`] is not looked into. An exact status counts before a range (`4XX`), and
    /// a range before `default`.
    ///
    /// # Errors
    /// See [`ResponseFault`]; the head is judged before the body is read.
    pub fn check_response(
        &self,
        status: u16,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> Result<(), ResponseFault> {
        self.parts.answers.check(status, header, body, self.method() == "HEAD")
    }

    /// Tells whether every answer of success is looked into; streams and other non-JSON are only measured.
    pub fn responses_are_checked(&self) -> bool {
        self.parts.answers.are_checked()
    }

    /// Tells whether some answer of success is described as no JSON, so that nothing in it can be found by its place.
    pub fn answers_may_stream(&self) -> bool {
        self.parts.answers.may_stream()
    }

    /// An answer of success as the contract shows it; `None` where none is described.
    pub fn example_response(&self) -> Option<ExampleResponse> {
        self.parts.answers.success().map(|(status, rule)| example::response(status, rule))
    }

    /// A request as the contract shows it: what is required is there, and the body.
    pub fn example_request(&self) -> ExampleRequest {
        example::request(&self.parts.template, &self.parts.parameters, self.parts.body.as_ref())
    }

    #[cfg(test)]
    pub(crate) fn body_unit(&self) -> Option<usize> {
        self.parts.body.as_ref()?.media.first()?.check.as_ref()?.identity()
    }

    /// Tells whether the parameter at a position of the template begins with `;`.
    pub(crate) fn is_matrix(&self, position: usize) -> bool {
        let matrix = |rule: &&ParameterRule| {
            matches!(rule.spelling, Spelling::Styled { style: Style::Matrix, .. }) && rule.place == Place::Path
        };
        let name = self.parts.template_names.get(position);
        name.is_some_and(|name| self.parts.parameters.iter().filter(matrix).any(|rule| rule.name == *name))
    }

    pub(crate) fn template_names(&self) -> &[String] {
        &self.parts.template_names
    }
}

/// The places of the first body that is read; where there are several kinds of body, there may be other places.
fn shape(media: &[MediaRule]) -> BodyShape {
    let mut read = media.iter().filter(|media| media.may_be_read());
    let mut shape =
        read.next().map_or(BodyShape { open: true, ..BodyShape::default() }, |media| (*media.shape).clone());
    shape.open |= media.len() > 1;
    shape
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({} {} {})", self.id(), self.method(), self.template())
    }
}

/// An operation that was found for a path, with the values of its template.
#[derive(Debug, Clone)]
pub struct RouteMatch {
    /// What was found.
    pub operation: Arc<Operation>,
    /// The values of the template's parameters, in its order, escapes written out.
    pub parameters: PathParameters,
}

impl RouteMatch {
    /// The value of a template's parameter as it stands in the path, escapes and all.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        let position = self.operation.template_names().iter().position(|known| known == name)?;
        self.parameters.raw(position)
    }

    /// The value of a template's parameter, escapes written out.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let position = self.operation.template_names().iter().position(|known| known == name)?;
        self.parameters.value(position)
    }
}

/// The values a path has for a template's parameters.
#[derive(Debug, Clone)]
pub struct PathParameters {
    path: CanonicalPath,
    values: Vec<PathValue>,
}

/// A value that stands in the path as it is, or one whose escapes were written out.
#[derive(Debug, Clone)]
pub(crate) enum PathValue {
    Plain { start: usize, end: usize },
    Unescaped { start: usize, end: usize, text: Box<str> },
}

impl PathValue {
    /// How many semicolons it is written with.
    pub(crate) fn semicolons(&self, path: &str) -> usize {
        let (PathValue::Plain { start, end } | PathValue::Unescaped { start, end, .. }) = self;
        path.get(*start..*end).map_or(0, |text| text.matches(';').count())
    }

    /// Writes out the escapes of a value, so that rules judge what the upstream will read.
    pub(crate) fn unescape(&mut self, path: &str) {
        if let PathValue::Plain { start, end } = self
            && let Some(text) = path.get(*start..*end).and_then(unescape)
        {
            *self = PathValue::Unescaped { start: *start, end: *end, text: text.into_boxed_str() };
        }
    }
}

impl PathParameters {
    pub(crate) fn new(path: CanonicalPath, values: Vec<PathValue>) -> Self {
        PathParameters { path, values }
    }

    /// The value at a position of the template, from 0.
    pub fn value(&self, position: usize) -> Option<&str> {
        match self.values.get(position)? {
            PathValue::Plain { start, end } => self.path.as_str().get(*start..*end),
            PathValue::Unescaped { text, .. } => Some(text),
        }
    }

    /// The value at a position of the template as it stands in the path.
    pub(crate) fn raw(&self, position: usize) -> Option<&str> {
        let (PathValue::Plain { start, end } | PathValue::Unescaped { start, end, .. }) = self.values.get(position)?;
        self.path.as_str().get(*start..*end)
    }

    /// The values in the template's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.values.len()).filter_map(|position| self.value(position))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Tells whether the template has no parameters.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crate::{CanonicalPath, Contract, Route, Source};
    use std::sync::Arc;

    fn upload(content: &str) -> Result<Arc<super::Operation>, String> {
        let text = format!(
            "openapi: 3.0.3\ninfo: {{title: T, version: '1'}}\nsecurity: []\npaths:\n  /upload:\n    post:\n      operationId: upload\n      \
             requestBody: {{required: true, content: {content}}}\n      responses: {{'200': {{description: fine}}}}\n"
        );
        let contract =
            Contract::load(&[Source { name: "t.yaml".to_owned(), text }]).map_err(|faults| format!("{faults:?}"))?;
        let path = CanonicalPath::parse("/upload").map_err(|error| error.to_string())?;
        match contract.route("POST", &path) {
            Route::Found(found) => Ok(found.operation),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn what_a_body_is_decides_whether_it_is_read() {
        let mixed = upload(
            "{application/octet-stream: {schema: {type: string, format: binary}}, application/json: {schema: {type: object}}}",
        );
        let mixed = mixed.as_ref().map(AsRef::as_ref);
        assert_eq!(mixed.map(super::Operation::may_stream), Ok(true));
        assert_eq!(mixed.map(super::Operation::needs_body_check), Ok(true));
        for (content_type, read) in [
            (None, None),
            (Some("text/plain"), None),
            (Some("application/octet-stream"), Some(false)),
            (Some("application/json"), Some(true)),
        ] {
            assert_eq!(mixed.map(|operation| operation.reads_body(content_type).ok()), Ok(read), "{content_type:?}");
        }
    }

    #[test]
    fn octet_streams_go_on_unread_and_nothing_else_comes_with_them() {
        let operation = upload("{application/octet-stream: {schema: {type: string, format: binary}}}");
        let operation = operation.as_ref().map(AsRef::as_ref);
        assert_eq!(operation.map(super::Operation::has_body), Ok(true));
        assert_eq!(operation.map(super::Operation::needs_body_check), Ok(false));
        for (content_type, taken) in [
            (None, false),
            (Some("application/json"), false),
            (Some("application/octet-stream"), true),
            (Some("Application/Octet-Stream; q=1"), true),
        ] {
            assert_eq!(
                operation.map(|operation| operation.reads_body(content_type).is_ok()),
                Ok(taken),
                "{content_type:?}"
            );
        }
    }
}
