//! The form of an OAuth request: how its client authenticates, and everything else, read once and kept secret.

use std::fmt;
use std::sync::Arc;

use super::error::GrantError;
use crate::id::ClientId;
use crate::jose::CompactJws;
use crate::secret::Secret;

/// The longest client assertion, in bytes: it carries six short claims.
pub const ASSERTION_BYTES_MAX: usize = 4 * 1024;

/// The most parameters of a form: there are a dozen registered ones.
pub const PARAMETERS_MAX: usize = 32;

/// The longest scope parameter, in bytes.
pub const SCOPE_BYTES_MAX: usize = 2048;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

// The longest name of a parameter that is told back; a longer one is somebody's text and no name.
const TOLD_NAME_BYTES_MAX: usize = 40;

/// The form of an OAuth request whose client has to authenticate, read and not yet believed.
///
/// Its values are secrets: `Debug` shows how many there are.
#[derive(Clone)]
pub struct ClientForm {
    inner: Arc<Inner>,
}

struct Inner {
    client_id: Option<ClientId>,
    assertion: Option<Secret<String>>,
    parameters: Vec<(String, Secret<String>)>,
}

impl ClientForm {
    /// Reads the decoded parameters of a form.
    ///
    /// Parameters without a value count as left out, unknown ones are passed over (RFC 6749, section 3.2).
    ///
    /// # Errors
    /// [`GrantError`]: any parameter twice, a shared secret, half an assertion, a scope or an assertion that is too long;
    /// [`GrantError::TwoMethods`] for a secret beside an assertion.
    pub fn parse(form: &[(String, String)]) -> Result<Self, GrantError> {
        if form.len() > PARAMETERS_MAX {
            return Err(GrantError::TooLarge);
        }
        for (index, (name, _)) in form.iter().enumerate() {
            if form.iter().skip(index + 1).any(|(other, _)| other == name) {
                return Err(GrantError::Repeated(told(name)));
            }
        }
        let value = |wanted: &str| {
            form.iter().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.as_str())
        };
        if value("client_secret").is_some() {
            let two = value("client_assertion").is_some() || value("client_assertion_type").is_some();
            return Err(if two { GrantError::TwoMethods } else { GrantError::SecretRefused });
        }
        let assertion = match (value("client_assertion"), value("client_assertion_type")) {
            (None, None) => None,
            (Some(text), Some(ASSERTION_TYPE)) if text.len() <= ASSERTION_BYTES_MAX => Some(text),
            (Some(_), Some(ASSERTION_TYPE)) => return Err(GrantError::TooLarge),
            (Some(_), Some(_)) => return Err(GrantError::Malformed("client_assertion_type")),
            (Some(_), None) => return Err(GrantError::Missing("client_assertion_type")),
            (None, Some(_)) => return Err(GrantError::Missing("client_assertion")),
        };
        let client_id = value("client_id").map(ClientId::parse).transpose();
        if value("scope").is_some_and(|scope| scope.len() > SCOPE_BYTES_MAX) {
            return Err(GrantError::TooLarge);
        }
        let others = form.iter().filter(|(name, value)| name != "client_assertion" && !value.is_empty());
        let inner = Inner {
            client_id: client_id.map_err(|_| GrantError::Malformed("client_id"))?,
            assertion: assertion.map(|text| Secret::new(text.to_owned())),
            parameters: others.map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns a parameter, if it is there and not empty; never the assertion.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.inner.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.expose().as_str())
    }

    /// Returns a parameter that has to be there.
    ///
    /// # Errors
    /// [`GrantError::Missing`].
    pub fn required(&self, name: &'static str) -> Result<&str, GrantError> {
        self.get(name).ok_or(GrantError::Missing(name))
    }

    /// Tells whether the client authenticates with an assertion; otherwise only a certificate is left.
    #[must_use]
    pub fn has_assertion(&self) -> bool {
        self.inner.assertion.is_some()
    }

    /// Returns the `kid` of the assertion: for fetching the key of that name, not for believing it.
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        let read = CompactJws::parse(self.assertion()?, ASSERTION_BYTES_MAX).ok()?;
        read.kid().map(str::to_owned)
    }

    /// Returns the client that the parameter names.
    pub(super) fn client_id(&self) -> Option<&ClientId> {
        self.inner.client_id.as_ref()
    }

    /// Returns the assertion.
    pub(super) fn assertion(&self) -> Option<&str> {
        self.inner.assertion.as_ref().map(|assertion| assertion.expose().as_str())
    }
}

impl fmt::Debug for ClientForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientForm([{} secret])", self.inner.parameters.len())
    }
}

// A name is told back to who sent it, so only a name that could be one: never a token that stands in the wrong place.
fn told(name: &str) -> String {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let plain = !name.is_empty() && name.len() <= TOLD_NAME_BYTES_MAX && name.bytes().all(letter);
    if plain { name.to_owned() } else { "?".to_owned() }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
