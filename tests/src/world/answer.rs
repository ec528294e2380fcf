//! What came back, and the checks that every answer has to pass.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Returns the type of the problem of a name.
#[must_use]
pub(super) fn problem_type(name: &str) -> String {
    match name {
        "rate_limited" => "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned(),
        "capacity" => "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity".to_owned(),
        ours => format!("urn:qaqpa:problem:{ours}"),
    }
}

impl Answer {
    /// Returns a header that comes once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        assert!(values.next().is_none(), "{name} comes more than once");
        Some(first.to_str().unwrap())
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Returns a text of the JSON body by its pointer.
    #[must_use]
    pub fn at(&self, pointer: &str) -> String {
        let json = self.json();
        let found = json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer}: {json}")).to_owned()
    }

    /// Checks that it is a success of this status, named and not to be kept by caches.
    #[track_caller]
    pub fn succeeded(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{} {:?}", self.text(), self.headers);
        self.named();
        self
    }

    /// Checks the status alone; the body is a backend's.
    #[track_caller]
    pub fn status_is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{} {:?}", self.text(), self.headers);
        self.named();
        self
    }

    /// Checks that it is a problem document (RFC 9457) with this status and name, and that it is whole.
    #[track_caller]
    pub fn refused(&self, status: u16, name: &str) -> &Self {
        assert_eq!(self.status, status, "{} {:?}", self.text(), self.headers);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["type"], problem_type(name), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(problem["instance"], format!("urn:uuid:{}", self.named()), "{problem}");
        self
    }

    /// Checks that it is OAuth's error shape (RFC 6749, 5.2) with this status and code.
    #[track_caller]
    pub fn oauth_refused(&self, status: u16, error: &str) -> &Self {
        assert_eq!(self.status, status, "{} {:?}", self.text(), self.headers);
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", self.text());
        assert_eq!(self.json()["error"], error, "{}", self.text());
        assert_eq!(self.header("cache-control"), Some("no-store"));
        self.named();
        self
    }

    /// Returns the interaction id; every answer has one, in the form of a UUID.
    #[track_caller]
    pub fn named(&self) -> &str {
        let id = self.header("x-fapi-interaction-id").unwrap_or_else(|| panic!("an answer without a name: {self:?}"));
        let hyphens = [8, 13, 18, 23];
        let fits =
            |(at, byte): (usize, u8)| if hyphens.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() };
        assert!(id.len() == 36 && id.bytes().enumerate().all(fits), "{id} is no UUID");
        id
    }

    /// Returns the challenges of a 401 or 403; the first one tells what was wrong.
    #[must_use]
    pub fn challenges(&self) -> Vec<&str> {
        self.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Returns the first challenge of a 401 or 403.
    #[track_caller]
    pub fn challenge(&self) -> &str {
        self.challenges().first().unwrap_or_else(|| panic!("no challenge: {self:?}"))
    }
}
