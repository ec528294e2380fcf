//! Signed objects, right ones and wrong ones.

use serde_json::{Map, Value};

use super::key::{Key, base64url};

/// A signed object before it is signed.
#[derive(Debug, Clone)]
pub struct Jws {
    /// The header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
}

impl Jws {
    /// Takes header and claims, which are JSON objects.
    #[must_use]
    pub fn new(header: Value, claims: Value) -> Self {
        let object = |value: Value| if let Value::Object(map) = value { map } else { panic!("no object: {value}") };
        Self { header: object(header), claims: object(claims) }
    }

    /// Sets a claim.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header parameter.
    #[must_use]
    pub fn set_header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a header parameter out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs it.
    #[must_use]
    pub fn sign(&self, key: &Key) -> String {
        let text = |map: &Map<String, Value>| Value::Object(map.clone()).to_string();
        sign_texts(&text(&self.header), &text(&self.claims), key)
    }
}

/// Signs texts as they are: also such as no JSON writer would write.
#[must_use]
pub fn sign_texts(header: &str, claims: &str, key: &Key) -> String {
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", base64url(&signature))
}
