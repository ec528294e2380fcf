//! What lies between a pushed authorization request and a token: the request, the code, the grant, the refresh token.
//!
//! Each is kept under SHA-256 of its secret, never the secret itself. This module must not know how they are kept.

use crate::details::Detail;
use crate::id::{ClientId, ConsentId, GrantId};
use crate::jose::Thumbprint;
use crate::party::ScopeSet;
use crate::time::Timestamp;

/// An authorization request that a client has pushed (RFC 9126), with everything checked that can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// SHA-256 of its `request_uri`.
    pub key: [u8; 32],
    /// Who pushed it.
    pub client: ClientId,
    /// Where the citizen is sent back to: one of the client's own.
    pub redirect_uri: String,
    /// What for.
    pub scopes: ScopeSet,
    /// The consents that the citizen is asked for.
    pub consents: Vec<ConsentId>,
    /// What the client wants to get back.
    pub state: Option<String>,
    /// The PKCE challenge, S256.
    pub challenge: String,
    /// The key that the code is bound to, if the client has named one.
    pub jkt: Option<Thumbprint>,
    /// From when on it is refused.
    pub expires: Timestamp,
    /// Whether an authorization has been completed with it; then it is refused.
    pub used: bool,
}

/// An authorization code as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// SHA-256 of the code.
    pub key: [u8; 32],
    /// Who may redeem it.
    pub client: ClientId,
    /// What `redirect_uri` has to be.
    pub redirect_uri: String,
    /// What the verifier has to hash to.
    pub challenge: String,
    /// The key that has to be shown.
    pub jkt: Option<Thumbprint>,
    /// What it stands for.
    pub grant: GrantId,
    /// From when on it is refused.
    pub expires: Timestamp,
    /// Whether it was redeemed; a second time ends the grant.
    pub redeemed: bool,
}

/// What a citizen has granted a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id; not a secret.
    pub id: GrantId,
    /// To whom.
    pub client: ClientId,
    /// Who, by the name that this client knows them by.
    pub subject: String,
    /// What for.
    pub scopes: ScopeSet,
    /// What exactly.
    pub details: Vec<Detail>,
    /// How well the citizen was authenticated.
    pub acr: String,
    /// When.
    pub authenticated: Timestamp,
    /// From when on it is over.
    pub expires: Timestamp,
    /// Whether somebody has ended it.
    pub revoked: bool,
}

/// A refresh token as it is kept; it is not rotated (FAPI 2.0, section 5.3.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// SHA-256 of the token.
    pub key: [u8; 32],
    /// Whose it is.
    pub client: ClientId,
    /// What it stands for.
    pub grant: GrantId,
    /// From when on it is refused.
    pub expires: Timestamp,
}
