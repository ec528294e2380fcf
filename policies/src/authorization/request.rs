//! A pushed authorization request (RFC 9126): everything that can be held against it before a citizen sees it.

use thiserror::Error;

use super::{PUSHED_TTL, Pushed};
use crate::code::Code;
use crate::consent::{Consent, ConsentState};
use crate::details::{self, Asked, DetailsError};
use crate::grant::{AuthenticatedClient, GrantError, may_act, pkce};
use crate::id::ClientId;
use crate::jose::Thumbprint;
use crate::party::{Client, ScopeSet, TokenBinding};
use crate::proof::VerifiedProof;
use crate::time::Timestamp;

/// The longest `state`, in bytes: FAPI 2.0 clients send more than 1000; it goes into a Location header percent-encoded.
pub const STATE_BYTES_MAX: usize = 2048;

/// The longest `nonce`, in bytes: FAPI 2.0 asks for 64 characters at least.
pub const NONCE_BYTES_MAX: usize = 256;

/// Without this scope a client makes no consents, neither by themselves nor inside a request.
pub const CONSENTS_SCOPE: &str = "consents:write";

/// Why a pushed request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The client may not ask citizens for anything, or a parameter is wrong.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// Another response type than `code`.
    #[error("only codes are given: `response_type` is `code`")]
    ResponseType,
    /// A parameter that takes the place of others has no meaning here.
    #[error("the parameter `{0}` is not accepted here")]
    NotAccepted(&'static str),
    /// The redirect URI is none of the client's.
    #[error("the redirect URI is not one that the client has registered, byte for byte")]
    RedirectUri,
    /// The challenge is missing or of another method than S256.
    #[error("a PKCE challenge of the method S256 is needed: 43 characters")]
    Challenge,
    /// `dpop_jkt` names another key than the proof.
    #[error("`dpop_jkt` names another key than the DPoP proof")]
    Key,
    /// The details are malformed.
    #[error(transparent)]
    Details(#[from] DetailsError),
    /// The client may not ask for a type of details.
    #[error("the client may not ask for authorization details of this type")]
    TypeNotAllowed,
    /// A consent does not exist for this client, is about something else, or does not await the citizen.
    #[error("a consent is unknown, of another type, or does not await the citizen")]
    Consent,
}

impl RequestError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            RequestError::Grant(error) => error.code(),
            RequestError::ResponseType => Code::OauthUnsupportedResponseType,
            RequestError::NotAccepted(_) | RequestError::RedirectUri | RequestError::Challenge | RequestError::Key => {
                Code::OauthInvalidRequest
            }
            RequestError::Details(_) | RequestError::TypeNotAllowed | RequestError::Consent => {
                Code::OauthInvalidAuthorizationDetails
            }
        }
    }
}

/// A pushed request with everything checked but the consents that it names.
#[derive(Debug)]
#[must_use = "a request is pushed once its consents were looked at"]
pub struct AuthorizationRequest {
    client: ClientId,
    allowed: ScopeSet,
    redirect_uri: String,
    scopes: Option<ScopeSet>,
    asked: Vec<Asked>,
    state: Option<String>,
    challenge: String,
    jkt: Option<Thumbprint>,
}

impl AuthorizationRequest {
    /// Checks the form of a pushed request as the authorization endpoint would (RFC 9126, section 2.1; FAPI 2.0, section
    /// 5.3.2.2).
    ///
    /// `proof` is the DPoP proof of the request; with one, or with `dpop_jkt`, the code is bound to that key.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(
        client: &AuthenticatedClient,
        proof: Option<&VerifiedProof>,
        now: Timestamp,
    ) -> Result<Self, RequestError> {
        let (form, client) = (client.form(), client.client());
        may_act(client, now)?;
        if client.oauth.redirect_uris.is_empty() {
            return Err(GrantError::NotOffered.into());
        }
        for name in ["request", "request_uri"] {
            if form.get(name).is_some() {
                return Err(RequestError::NotAccepted(name));
            }
        }
        if form.required("response_type")? != "code" {
            return Err(RequestError::ResponseType);
        }
        if form.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(RequestError::NotAccepted("response_mode"));
        }
        let redirect_uri = form.required("redirect_uri")?;
        if !client.oauth.redirect_uris.contains(redirect_uri) {
            return Err(RequestError::RedirectUri);
        }
        let challenge = form.get("code_challenge").filter(|challenge| pkce::is_challenge(challenge));
        // Without a method the challenge would be a plain one (RFC 7636, section 4.3).
        let challenge = challenge.filter(|_| form.get("code_challenge_method") == Some("S256"));
        let challenge = challenge.ok_or(RequestError::Challenge)?;
        if form.get("nonce").is_some_and(|nonce| nonce.len() > NONCE_BYTES_MAX || !is_visible(nonce)) {
            return Err(GrantError::Malformed("nonce").into());
        }
        let state = form.get("state");
        if state.is_some_and(|state| state.len() > STATE_BYTES_MAX || !is_visible(state)) {
            return Err(GrantError::Malformed("state").into());
        }
        let scopes = form.get("scope").map(|text| ScopeSet::parse(text).ok_or(GrantError::InvalidScope)).transpose()?;
        if scopes.as_ref().is_some_and(|scopes| scopes.is_empty() || !client.scopes.covers(scopes)) {
            return Err(GrantError::InvalidScope.into());
        }
        Ok(Self {
            client: client.id.clone(),
            allowed: client.scopes.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            asked: asked(client, form.required("authorization_details")?)?,
            state: state.map(str::to_owned),
            challenge: challenge.to_owned(),
            jkt: key(client, form.get("dpop_jkt"), proof)?,
        })
    }

    /// Returns what the citizen is to be asked for: consents to look up, and terms to make consents of.
    #[must_use]
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Makes the request that is kept; `key` is SHA-256 of a fresh `request_uri`.
    ///
    /// `consents` are those of [`AuthorizationRequest::asked`], in that order. Without a `scope` parameter the scopes are
    /// all that the consents give a use to and the client may have.
    ///
    /// # Errors
    /// [`RequestError::Consent`], [`GrantError::InvalidScope`] for a scope that no consent gives a use to.
    pub fn push(self, key: [u8; 32], consents: &[Consent], now: Timestamp) -> Result<Pushed, RequestError> {
        let fits = |(asked, consent): (&Asked, &Consent)| {
            let same = match asked {
                Asked::Consent { kind, id } => consent.id == *id && consent.terms.kind() == *kind,
                Asked::Terms(new) => consent.terms == new.terms,
            };
            // Of another client and unknown read alike.
            same && consent.client == self.client && consent.state_at(now, false) == ConsentState::AwaitingAuthorisation
        };
        if consents.len() != self.asked.len() || !self.asked.iter().zip(consents).all(fits) {
            return Err(RequestError::Consent);
        }
        let useful = ScopeSet::of(consents.iter().flat_map(|consent| consent.terms.scopes()));
        let scopes = match self.scopes {
            Some(scopes) if useful.covers(&scopes) => scopes,
            Some(_) => return Err(GrantError::InvalidScope.into()),
            None => ScopeSet::of(useful.iter().filter(|scope| self.allowed.contains(scope))),
        };
        Ok(Pushed {
            key,
            client: self.client,
            redirect_uri: self.redirect_uri,
            scopes,
            consents: consents.iter().map(|consent| consent.id.clone()).collect(),
            state: self.state,
            challenge: self.challenge,
            jkt: self.jkt,
            expires: now + PUSHED_TTL,
            used: false,
        })
    }
}

fn asked(client: &Client, text: &str) -> Result<Vec<Asked>, RequestError> {
    let asked = details::asked(text)?;
    let may = |asked: &Asked| {
        let makes = matches!(asked, Asked::Terms(_));
        client.scopes.contains(asked.kind().scope()) && (!makes || client.scopes.contains(CONSENTS_SCOPE))
    };
    if asked.iter().all(may) { Ok(asked) } else { Err(RequestError::TypeNotAllowed) }
}

// RFC 9449, section 10: the parameter and the proof name one key.
fn key(
    client: &Client,
    named: Option<&str>,
    proof: Option<&VerifiedProof>,
) -> Result<Option<Thumbprint>, RequestError> {
    let named = named.map(|text| Thumbprint::parse(text).ok_or(GrantError::Malformed("dpop_jkt"))).transpose()?;
    let proven = proof.map(|proof| proof.thumbprint().clone());
    if named.is_some() && proven.is_some() && named != proven {
        return Err(RequestError::Key);
    }
    let key = proven.or(named);
    // Its tokens are bound to a certificate: a code that is bound to a key could never be redeemed.
    if key.is_some() && client.binding == TokenBinding::Mtls {
        return Err(GrantError::WrongBinding.into());
    }
    Ok(key)
}

// VSCHAR of RFC 6749, appendix A.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
