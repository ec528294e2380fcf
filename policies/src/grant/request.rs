//! What a token request asks for, once its client is known.

use super::error::GrantError;
use super::form::ClientForm;
use crate::details::{self, Narrowed};
use crate::jose::sha256;
use crate::secret::Secret;

/// A token request of one of the grants that are offered; every other one is refused.
#[derive(Debug)]
pub enum TokenRequest {
    /// A token for the client itself (RFC 6749, section 4.4).
    ClientCredentials {
        /// The scope parameter.
        scope: Option<String>,
    },
    /// What a citizen has just granted (RFC 6749, section 4.1.3).
    AuthorizationCode(CodeRequest),
    /// Once more what a citizen has granted (RFC 6749, section 6).
    RefreshToken(RefreshRequest),
}

/// A code to redeem.
#[derive(Debug)]
pub struct CodeRequest {
    code: Secret<String>,
    /// Where the citizen was sent back to.
    pub redirect_uri: String,
    /// What the PKCE challenge was made of, if it came.
    pub verifier: Option<Secret<String>>,
    /// The consents that the token is to be for; none for all.
    pub narrowed: Option<Narrowed>,
}

/// A refresh token to use.
#[derive(Debug)]
pub struct RefreshRequest {
    token: Secret<String>,
    /// The scope parameter.
    pub scope: Option<String>,
    /// The consents that the token is to be for; none for all.
    pub narrowed: Option<Narrowed>,
}

impl CodeRequest {
    /// Returns the name under which the code is kept: its SHA-256.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        sha256(self.code.expose().as_bytes())
    }
}

impl RefreshRequest {
    /// Returns the name under which the token is kept: its SHA-256.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        sha256(self.token.expose().as_bytes())
    }
}

impl TokenRequest {
    /// Reads what the form of a client asks for.
    ///
    /// # Errors
    /// [`GrantError::UnsupportedGrantType`] for passwords and everything else that is not offered, [`GrantError::Missing`],
    /// [`GrantError::InvalidDetails`] for details that narrow nothing.
    pub fn parse(form: &ClientForm) -> Result<Self, GrantError> {
        let scope = || form.get("scope").map(str::to_owned);
        let secret = |text: &str| Secret::new(text.to_owned());
        let narrowed = || {
            let narrowed = form.get("authorization_details").map(details::narrowed).transpose();
            narrowed.map_err(|_| GrantError::InvalidDetails)
        };
        match form.required("grant_type")? {
            // A client's own token carries no details: there is no citizen who could have granted them.
            "client_credentials" if form.get("authorization_details").is_some() => Err(GrantError::InvalidDetails),
            "client_credentials" => Ok(Self::ClientCredentials { scope: scope() }),
            "authorization_code" => Ok(Self::AuthorizationCode(CodeRequest {
                code: secret(form.required("code")?),
                redirect_uri: form.required("redirect_uri")?.to_owned(),
                verifier: form.get("code_verifier").map(secret),
                narrowed: narrowed()?,
            })),
            "refresh_token" => Ok(Self::RefreshToken(RefreshRequest {
                token: secret(form.required("refresh_token")?),
                scope: scope(),
                narrowed: narrowed()?,
            })),
            _ => Err(GrantError::UnsupportedGrantType),
        }
    }
}
