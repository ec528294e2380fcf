//! What lies between a pushed authorization request and a token: the request, the code, the grant, the refresh token.
//!
//! Each is kept under SHA-256 of its secret, never the secret itself. This module must not know how they are kept.

use std::time::Duration;

use thiserror::Error;

use crate::code::Code;
use crate::consent::{Consent, ConsentState};
use crate::details::Detail;
use crate::id::{ClientId, ConsentId, GrantId};
use crate::jose::Thumbprint;
use crate::party::ScopeSet;
use crate::time::Timestamp;

pub mod redirect;
pub mod request;

pub use request::{AuthorizationRequest, RequestError};

/// How long a pushed request may be taken up by a browser; FAPI 2.0 asks for less than 600 s.
pub const PUSHED_TTL: Duration = Duration::from_secs(300);

/// How long a code is good for; FAPI 2.0 asks for 60 s at most.
pub const CODE_TTL: Duration = Duration::from_secs(60);

/// With what the subject of a citizen's token begins: `:` is in no client's id, so that no client can be named like a
/// citizen (RFC 9700, section 4.15).
pub const CITIZEN_PREFIX: &str = "citizen:";

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

/// Why a pushed request cannot be taken up; a browser is told the same of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the request is unknown, over, used, or another client's")]
pub enum PushedError {
    /// Another client has pushed it.
    WrongClient,
    /// Its time is over.
    Expired,
    /// It was completed before.
    Used,
}

impl PushedError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> Code {
        Code::OauthInvalidRequestUri
    }
}

impl Pushed {
    /// Tells whether a browser may take it up in the name of `client`; looking at it uses nothing up.
    ///
    /// # Errors
    /// [`PushedError`].
    pub fn open(&self, client: &ClientId, now: Timestamp) -> Result<(), PushedError> {
        if self.client != *client {
            Err(PushedError::WrongClient)
        } else if self.used {
            Err(PushedError::Used)
        } else if now >= self.expires {
            Err(PushedError::Expired)
        } else {
            Ok(())
        }
    }

    /// Gives it as it is once an authorization was completed with it, whichever way that went.
    #[must_use]
    pub fn completed(&self) -> Self {
        Self { used: true, ..self.clone() }
    }
}

impl AuthorizationCode {
    /// Makes the code of a request that a citizen has approved; `key` is SHA-256 of fresh randomness.
    #[must_use]
    pub fn of(key: [u8; 32], pushed: &Pushed, grant: GrantId, now: Timestamp) -> Self {
        Self {
            key,
            client: pushed.client.clone(),
            redirect_uri: pushed.redirect_uri.clone(),
            challenge: pushed.challenge.clone(),
            jkt: pushed.jkt.clone(),
            grant,
            expires: now + CODE_TTL,
            redeemed: false,
        }
    }
}

/// Who has granted, as one client knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedBy {
    /// The name by which this client knows them; begins with [`CITIZEN_PREFIX`].
    pub subject: String,
    /// How well they were authenticated.
    pub acr: String,
    /// When.
    pub authenticated: Timestamp,
}

impl Grant {
    /// Makes the grant of a request that a citizen has approved; `None` unless its consents, all of them, are authorised
    /// under this very grant.
    ///
    /// It ends with the first of them.
    #[must_use]
    pub fn of(id: GrantId, pushed: &Pushed, consents: &[Consent], by: GrantedBy) -> Option<Self> {
        let approved = |consent: &Consent| {
            consent.state == ConsentState::Authorised
                && consent.client == pushed.client
                && consent.grant.as_ref() == Some(&id)
        };
        let asked = consents.iter().map(|consent| &consent.id).eq(&pushed.consents);
        if !asked || !consents.iter().all(approved) || !by.subject.starts_with(CITIZEN_PREFIX) {
            return None;
        }
        Some(Self {
            client: pushed.client.clone(),
            subject: by.subject,
            scopes: pushed.scopes.clone(),
            details: consents.iter().map(Detail::of).collect::<Option<_>>()?,
            acr: by.acr,
            authenticated: by.authenticated,
            expires: consents.iter().map(|consent| consent.expires).min()?,
            revoked: false,
            id,
        })
    }

    /// Tells whether tokens may come of it.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        !self.revoked && now < self.expires
    }

    /// Gives it as it is once somebody has ended it.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self { revoked: true, ..self.clone() }
    }
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
