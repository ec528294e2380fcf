//! Makes a request of what a case gives: the contract's own example, with what the case says in its place.
//!
//! Must not know what comes of it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use openapi::Operation;
use policies::case::Given;
use serde_json::Value;
use spine::body::Body;

use super::called::Called;
use super::error::TrialError;

/// A request before anybody has signed anything of it.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// The method.
    pub(super) method: String,
    /// The path, escaped.
    pub(super) path: String,
    /// The query, escaped.
    pub(super) query: Option<String>,
    /// Headers by name in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body.
    pub(super) body: Bytes,
}

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

impl Draft {
    /// Drafts the request of `given`; `before` is the body of the answer before, for `${/pointer}`.
    pub(super) fn of(called: Called<'_>, given: &Given, before: Option<&Value>, key: &str) -> Result<Self, TrialError> {
        let operation = called.operation;
        let example = operation.example_request();
        let mut draft = Self {
            method: operation.method().to_owned(),
            path: example.path,
            query: example.query,
            headers: example.headers,
            body: Bytes::new(),
        };
        if called.is_idempotent() {
            draft.set("x-idempotency-key", key);
        }
        for (name, value) in &given.parameters {
            draft.parameter(operation, name, &filled(value, before)?);
        }
        let media = example.content_type.or_else(|| operation.media_types().first().cloned());
        let form = media.as_deref().is_some_and(|media| media.starts_with(FORM));
        let body = match &given.body {
            Some(Value::Object(fields)) if form => {
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Some(form_of(fields.iter().map(|(name, value)| (name.as_str(), text(value)))).into())
            }
            // What is no JSON at all is sent as it is.
            Some(Value::String(text)) if !media.as_deref().is_some_and(is_json) => Some(Bytes::from(text.clone())),
            Some(Value::Null) => None,
            Some(body) => Some(Bytes::from(replaced(body, before)?.to_string())),
            None if operation.body_required() => Some(Bytes::from(example.body)),
            None => None,
        };
        if let Some(body) = body {
            draft.body = body;
            if let Some(media) = media.filter(|_| !draft.headers.iter().any(|(name, _)| name == "content-type")) {
                draft.headers.push(("content-type".to_owned(), media));
            }
        }
        Ok(draft)
    }

    /// Sets a header; one of the same name is replaced.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
    }

    /// Puts fields before those of a form.
    pub(super) fn extend_form(&mut self, fields: Vec<(String, String)>) {
        let mut text = form_of(fields.iter().map(|(name, value)| (name.as_str(), value.clone())));
        if !self.body.is_empty() {
            text.push('&');
            text.push_str(&String::from_utf8_lossy(&self.body));
        }
        self.body = Bytes::from(text);
        self.set("content-type", FORM);
    }

    /// Writes the request as the listener would hand it on.
    pub(super) fn request(&self, host: &str) -> Result<Request<Body>, TrialError> {
        let target = match &self.query {
            Some(query) if !query.is_empty() => format!("{}?{query}", self.path),
            _ => self.path.clone(),
        };
        let method = Method::from_bytes(self.method.as_bytes()).map_err(TrialError::new)?;
        let body = if self.body.is_empty() { Body::empty() } else { Body::whole(self.body.clone()) };
        let mut request = Request::builder().method(method).uri(target).body(body).map_err(TrialError::new)?;
        let headers = request.headers_mut();
        headers.insert(http::header::HOST, HeaderValue::from_str(host).map_err(TrialError::new)?);
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(TrialError::new)?;
            headers.append(name, HeaderValue::from_str(value).map_err(TrialError::new)?);
        }
        Ok(request)
    }

    fn parameter(&mut self, operation: &Operation, name: &str, value: &str) {
        let placeholder = format!("{{{name}}}");
        if let Some(query) = name.strip_prefix("query:") {
            self.ask(query, value);
        } else if let Some(header) = name.strip_prefix("header:") {
            self.set(header, value);
        } else if operation.template().contains(&placeholder) {
            self.path = with_segment(operation.template(), &self.path, &placeholder, &escaped(value));
        } else if operation.takes_header(name) {
            self.set(name, value);
        } else {
            self.ask(name, value);
        }
    }

    fn ask(&mut self, name: &str, value: &str) {
        let name = escaped(name);
        let known = self.query.take().unwrap_or_default();
        let others = known.split('&').filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(&name));
        let mut pairs: Vec<String> = others.map(str::to_owned).collect();
        pairs.push(format!("{name}={}", escaped(value)));
        self.query = Some(pairs.join("&"));
    }
}

fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}

// Template and path have the same segments; within one, the rest of the template stays.
fn with_segment(template: &str, path: &str, placeholder: &str, value: &str) -> String {
    let mut filled = path.split('/');
    let segments = template.split('/').map(|segment| {
        let known = filled.next().unwrap_or_default();
        if segment.contains(placeholder) { segment.replace(placeholder, value) } else { known.to_owned() }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Escapes whatever is not unreserved (RFC 3986, 2.3).
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn form_of<'a>(fields: impl Iterator<Item = (&'a str, String)>) -> String {
    fields.map(|(name, value)| format!("{}={}", escaped(name), escaped(&value))).collect::<Vec<_>>().join("&")
}

// `${/pointer}`, as a whole text, stands for what was there in the answer before.
fn filled(text: &str, before: Option<&Value>) -> Result<String, TrialError> {
    let Some(pointer) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
        return Ok(text.to_owned());
    };
    let found = before.and_then(|body| body.pointer(pointer));
    let found = found.ok_or_else(|| TrialError::new(format!("the answer before has nothing at `{pointer}`")))?;
    Ok(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
}

// Bounded by the depth of the file it stands in.
fn replaced(value: &Value, before: Option<&Value>) -> Result<Value, TrialError> {
    Ok(match value {
        Value::String(text) => Value::String(filled(text, before)?),
        Value::Array(items) => Value::Array(items.iter().map(|item| replaced(item, before)).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| Ok((name.clone(), replaced(value, before)?));
            Value::Object(members.iter().map(member).collect::<Result<_, TrialError>>()?)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_answered_before_cannot_be_sent() {
        assert!(filled("${/id}", None).is_err());
        assert!(filled("${/id}", Some(&json!({"other": 1}))).is_err());
        assert_eq!(filled("${/id}", Some(&json!({"id": "a"}))).unwrap(), "a");
        assert_eq!(filled("a ${/id}", None).unwrap(), "a ${/id}");
        let body = replaced(&json!({"a": ["${/n}", 1]}), Some(&json!({"n": 5}))).unwrap();
        assert_eq!(body, json!({"a": ["5", 1]}));
    }

    #[test]
    fn a_parameter_stands_where_the_template_has_it() {
        assert_eq!(with_segment("/v1/a/{x}/b/{y}", "/v1/a/1/b/2", "{y}", "3"), "/v1/a/1/b/3");
        assert_eq!(with_segment("/v1/{x}.json", "/v1/1.json", "{x}", "2"), "/v1/2.json");
        assert_eq!(escaped("a/b ü?"), "a%2Fb%20%C3%BC%3F");
    }
}
