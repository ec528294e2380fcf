//! Why nothing was granted.

use thiserror::Error;

use crate::code::Code;
use crate::jose::{ClaimError, JwsError};

/// Why a client was not authenticated, or not granted what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    /// A parameter stands twice.
    #[error("the parameter `{0}` stands more than once")]
    Repeated(String),
    /// There are too many parameters, or one is too long.
    #[error("the request has too many or too long parameters")]
    TooLarge,
    /// A parameter is missing.
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    /// A parameter has a value that it cannot have.
    #[error("the parameter `{0}` is malformed")]
    Malformed(&'static str),
    /// The grant type is not offered.
    #[error("the grant type is not supported")]
    UnsupportedGrantType,
    /// The client authenticates in two ways at once.
    #[error("a request may use one way of client authentication only")]
    TwoMethods,
    /// The client uses a shared secret.
    #[error("shared secrets are not accepted for client authentication")]
    SecretRefused,
    /// No client has this id.
    #[error("the client could not be authenticated")]
    UnknownClient,
    /// The client authenticates in another way than it is registered for.
    #[error("the client could not be authenticated")]
    WrongMethod,
    /// The parts of the request name different clients.
    #[error("the client could not be authenticated")]
    WrongClient,
    /// The assertion is no rightly signed object of the client.
    #[error("the client could not be authenticated")]
    Jws(#[from] JwsError),
    /// A claim of the assertion is missing or malformed.
    #[error("the client could not be authenticated")]
    Claim(#[from] ClaimError),
    /// The `typ` of the assertion is that of something else.
    #[error("the client could not be authenticated")]
    WrongType,
    /// The audience of the assertion is not the issuer, as one string.
    #[error("the client could not be authenticated")]
    WrongAudience,
    /// The assertion is over, not yet begun, or good for too long.
    #[error("the client could not be authenticated")]
    NotNow,
    /// The assertion was used before.
    #[error("the client could not be authenticated")]
    Replayed,
    /// The certificate is missing, of an unknown authority, or has another name.
    #[error("the client could not be authenticated")]
    WrongCertificate,
    /// The client, its organisation or its licence is stopped.
    #[error("the client may not be granted tokens now")]
    Suspended,
    /// The client is not registered for what it asks.
    #[error("the client is not registered for this")]
    NotOffered,
    /// A scope is unknown, malformed or not the client's.
    #[error("a scope is unknown or not allowed for this client")]
    InvalidScope,
    /// Details are asked for where none can be granted.
    #[error("these authorization details cannot be granted here")]
    InvalidDetails,
    /// The client's tokens are bound to a key and no proof came.
    #[error("a DPoP proof is needed")]
    ProofMissing,
    /// The client's tokens are bound to a certificate and none came.
    #[error("a client certificate is needed")]
    CertificateMissing,
    /// The client asks for a binding that it is not registered for.
    #[error("the client may not bind tokens this way")]
    WrongBinding,
}

impl GrantError {
    /// Returns the stable code; all failures of authentication share one.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            GrantError::Repeated(_)
            | GrantError::TooLarge
            | GrantError::Missing(_)
            | GrantError::Malformed(_)
            | GrantError::TwoMethods
            | GrantError::CertificateMissing => Code::OauthInvalidRequest,
            GrantError::UnsupportedGrantType => Code::OauthUnsupportedGrantType,
            GrantError::SecretRefused
            | GrantError::UnknownClient
            | GrantError::WrongMethod
            | GrantError::WrongClient
            | GrantError::Jws(_)
            | GrantError::Claim(_)
            | GrantError::WrongType
            | GrantError::WrongAudience
            | GrantError::NotNow
            | GrantError::Replayed
            | GrantError::WrongCertificate => Code::OauthInvalidClient,
            GrantError::Suspended | GrantError::WrongBinding | GrantError::NotOffered => Code::OauthUnauthorizedClient,
            GrantError::InvalidScope => Code::OauthInvalidScope,
            GrantError::InvalidDetails => Code::OauthInvalidAuthorizationDetails,
            GrantError::ProofMissing => Code::OauthInvalidDpopProof,
        }
    }
}
