//! Names of things, each its own type, so that two of them cannot be swapped.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest identifier, in bytes: long enough for a UUID with a prefix, short enough for a log line and a key.
pub const ID_BYTES_MAX: usize = 64;

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("an identifier may not be empty")]
    Empty,
    /// More than [`ID_BYTES_MAX`] bytes.
    #[error("an identifier has at most {ID_BYTES_MAX} characters")]
    TooLong,
    /// A character outside `A-Z a-z 0-9 . _ -`.
    #[error("an identifier is made of letters, digits, `.`, `_` and `-`")]
    BadCharacter,
}

fn checked(text: &str) -> Result<Arc<str>, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(IdError::BadCharacter);
    }
    Ok(Arc::from(text))
}

macro_rules! identifiers {
    ($($(#[$meta:meta])* $name:ident)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses an identifier: 1 to [`ID_BYTES_MAX`] letters, digits, `.`, `_`, `-`.
            ///
            /// # Errors
            /// [`IdError`] says which of these it is not.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                checked(text).map(Self)
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

identifiers! {
    /// An organisation connected to the gateway.
    OrganisationId
    /// An OAuth client of an organisation.
    ClientId
    /// A plan: a set of limits.
    PlanId
    /// An API: one contract document.
    ApiId
    /// An operation, by its `operationId` in the contract.
    OperationId
    /// A backend that operations are proxied to.
    UpstreamId
    /// An identity provider.
    ProviderId
    /// An identity verification.
    VerificationId
    /// A person who administers the gateway.
    AdminId
    /// One request and its reply, `x-fapi-interaction-id`: a UUID.
    InteractionId
    /// What a citizen is asked to let a client do.
    ConsentId
    /// What a citizen has let a client do: the root of its tokens.
    GrantId
    /// Another authorization server whose tokens are taken here.
    IssuerId
}

/// The scope of one idempotent call: client, operation and the key the client chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    client: ClientId,
    operation: OperationId,
    key: Arc<str>,
}

/// The longest `x-idempotency-key`, in characters (Open Banking UK and Brasil use the same).
pub const IDEMPOTENCY_KEY_MAX: usize = 40;

impl IdempotencyKey {
    /// Binds a client's key to the client and the operation.
    ///
    /// # Errors
    /// [`IdError`], with [`IDEMPOTENCY_KEY_MAX`] as the bound for [`IdError::TooLong`].
    pub fn bind(client: &ClientId, operation: &OperationId, key: &str) -> Result<Self, IdError> {
        if key.len() > IDEMPOTENCY_KEY_MAX {
            return Err(IdError::TooLong);
        }
        Ok(Self { client: client.clone(), operation: operation.clone(), key: checked(key)? })
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Returns the operation.
    #[must_use]
    pub fn operation(&self) -> &OperationId {
        &self.operation
    }

    /// Returns the client's own key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_refused_for_length_and_characters() {
        assert_eq!(ClientId::parse(""), Err(IdError::Empty));
        assert_eq!(ClientId::parse("a b"), Err(IdError::BadCharacter));
        assert_eq!(ClientId::parse("a/../b"), Err(IdError::BadCharacter));
        assert_eq!(ClientId::parse(&"a".repeat(ID_BYTES_MAX + 1)), Err(IdError::TooLong));
        assert!(ClientId::parse(&"a".repeat(ID_BYTES_MAX)).is_ok());
    }

    #[test]
    fn an_idempotency_key_has_at_most_forty_characters() {
        let (Ok(client), Ok(operation)) = (ClientId::parse("c"), OperationId::parse("o")) else {
            unreachable!("one letter is an identifier")
        };
        assert!(IdempotencyKey::bind(&client, &operation, &"k".repeat(40)).is_ok());
        assert_eq!(IdempotencyKey::bind(&client, &operation, &"k".repeat(41)), Err(IdError::TooLong));
    }
}
