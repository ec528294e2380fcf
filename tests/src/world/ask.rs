//! A request as a scenario words it, before it goes to a stack or onto a wire.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use spine::stage::Door;

use crate::actors::certificate::Certificate;

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Where it comes in.
    pub door: Door,
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Header fields in their order; `host` is added if it is not among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Bytes,
    /// What the client shows in the handshake, where it is asked.
    pub certificate: Option<Arc<Certificate>>,
}

impl Ask {
    /// Words a request without a body.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            door: Door::Api,
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            certificate: None,
        }
    }

    /// Words a GET.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Words a POST.
    #[must_use]
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// Sends it to another door.
    #[must_use]
    pub fn at(mut self, door: Door) -> Self {
        self.door = door;
        self
    }

    /// Adds a header field; one of the same name stays.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.push((name, HeaderValue::from_bytes(value.as_ref()).unwrap()));
        self
    }

    /// Removes every header field of a name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known.as_str() != name);
        self
    }

    /// Gives it a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.with("content-type", "application/json").body(body.to_string())
    }

    /// Gives it a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Gives it a form as its body.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        self.with("content-type", "application/x-www-form-urlencoded").body(pairs.join("&"))
    }

    /// Shows a certificate.
    #[must_use]
    pub fn showing(mut self, certificate: &Arc<Certificate>) -> Self {
        self.certificate = Some(Arc::clone(certificate));
        self
    }

    /// Returns the path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Tells whether it has a header field.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.as_str() == name)
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
