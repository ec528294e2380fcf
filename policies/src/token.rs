//! Access tokens: read, and checked against RFC 9068.
//!
//! Three values, each made from the one before: a [`BearerToken`] is believed by nobody, a [`VerifiedToken`] was issued
//! by us, a [`BoundToken`](crate::binding::BoundToken) is in the hands of the one it was issued to. This module must not
//! know what a token allows: scopes and roles are judged in [`decide`](crate::decide).

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::authorization::CITIZEN_PREFIX;
use crate::code::Code;
use crate::details::{self, Detail};
use crate::id::{ClientId, GrantId};
use crate::jose::{
    ClaimError, Claims, CompactJws, JwsError, KeySet, Thumbprint, base64url, base64url_decode_strict, sha256,
};
use crate::rulebook::ScopeSet;
use crate::secret::Secret;
use crate::time::Timestamp;

/// The longest access token, in bytes: ours have about 700; half of a common header limit.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How far clocks may be apart: FAPI 2.0, section 5.3.2.1, asks to accept up to 10 s.
pub const LEEWAY: Duration = Duration::from_secs(10);

/// How long an access token lives (FAPI 2.0 leaves it open; short, so that a suspension bites soon).
pub const ACCESS_TOKEN_TTL: Duration = Duration::from_secs(300);

/// The longest time from `iat` to `exp` of a token that another server signed: nobody can take it back here, so whoever finds
/// it out has to wait for its end, and an hour is what servers usually give.
pub const OTHER_TOKEN_TTL_MAX: Duration = Duration::from_secs(3600);

/// The longest `sub`, in bytes (OpenID Connect Core, section 2).
pub const SUBJECT_BYTES_MAX: usize = 255;

/// The longest `acr`, in bytes: ours are short URNs.
pub const ACR_BYTES_MAX: usize = 64;

/// The `typ` of an access token (RFC 9068, section 2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Why a token was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The credentials use a scheme that carries no access token here.
    #[error("the credentials carry no access token of a known scheme")]
    UnknownScheme,
    /// It is empty, too long, or has characters that no token has.
    #[error("the access token could not be read")]
    Malformed,
    /// It is no rightly signed object of ours.
    #[error("the access token is not valid: {0}")]
    Jws(#[from] JwsError),
    /// Its `typ` is another one.
    #[error("the object is no access token")]
    WrongType,
    /// Another issuer made it.
    #[error("the access token is from another issuer")]
    WrongIssuer,
    /// It is for another resource.
    #[error("the access token is for another resource")]
    WrongAudience,
    /// A claim is missing or malformed.
    #[error("the access token is not valid: {0}")]
    Claim(#[from] ClaimError),
    /// Its time has not come.
    #[error("the access token is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// It lives for longer than a token may that cannot be taken back.
    #[error("the access token of another server lives for too long")]
    TooLongLived,
    /// It is bound to nothing, or to two things.
    #[error("the access token is not bound to one key or certificate")]
    Unbound,
    /// It was presented with the wrong scheme for its binding.
    #[error("the access token was presented under the wrong scheme")]
    WrongScheme,
    /// It is bound to a key and no proof came, or one for another token.
    #[error("the access token needs a DPoP proof of its own")]
    ProofMissing,
    /// It is bound to another key or certificate than the one shown.
    #[error("the access token is bound to another key or certificate")]
    WrongHolder,
    /// Its holder goes by a certificate that is not vouched for any more.
    #[error("the certificate is not vouched for any more")]
    Unvouched,
}

impl TokenError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            TokenError::UnknownScheme => Code::TokenMissing,
            TokenError::Malformed => Code::TokenMalformed,
            TokenError::Expired => Code::TokenExpired,
            TokenError::WrongScheme | TokenError::WrongHolder | TokenError::Unvouched => Code::TokenBindingFailed,
            TokenError::ProofMissing => Code::ProofInvalid,
            TokenError::Jws(_)
            | TokenError::WrongType
            | TokenError::WrongIssuer
            | TokenError::WrongAudience
            | TokenError::Claim(_)
            | TokenError::NotYet
            | TokenError::TooLongLived
            | TokenError::Unbound => Code::TokenInvalid,
        }
    }
}

/// What came as an access token; believed by nobody.
#[derive(Clone)]
pub struct BearerToken {
    text: Secret<String>,
    // Asked for by the cache of tokens and by the proof: reckoned once.
    hash: [u8; 32],
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl BearerToken {
    /// Takes a text for a token: 1 to [`TOKEN_BYTES_MAX`] characters of `b64token` (RFC 6750, section 2.1).
    ///
    /// # Errors
    /// [`TokenError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let body = text.trim_end_matches('=');
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        if body.is_empty() || text.len() > TOKEN_BYTES_MAX || !body.bytes().all(allowed) {
            return Err(TokenError::Malformed);
        }
        Ok(Self { text: Secret::new(text.to_owned()), hash: sha256(text.as_bytes()) })
    }

    /// Shows the text; each call is a place to look at in review.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Returns SHA-256 of the text: what a proof's `ath` tells and what a cache may be keyed by.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Returns the `kid` of its header, unbelieved: which of an issuer's keys to look for.
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        CompactJws::parse(self.expose(), TOKEN_BYTES_MAX).ok()?.kid().map(str::to_owned)
    }
}

/// The scheme under which a token was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Bearer`: for tokens that are bound to a certificate.
    Bearer,
    /// `DPoP`: for tokens that are bound to a key (RFC 9449, section 7.1).
    Dpop,
}

/// Reads credentials: a scheme in any letter case, one space, a token.
///
/// # Errors
/// [`TokenError::UnknownScheme`] for other schemes, [`TokenError::Malformed`] for what follows a known one.
pub fn parse_authorization(value: &str) -> Result<(Scheme, BearerToken), TokenError> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    let scheme = if scheme.eq_ignore_ascii_case("DPoP") {
        Scheme::Dpop
    } else if scheme.eq_ignore_ascii_case("Bearer") {
        Scheme::Bearer
    } else {
        return Err(TokenError::UnknownScheme);
    };
    Ok((scheme, BearerToken::parse(token)?))
}

/// What a token has to be, to be one of ours and for us.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The issuer, compared byte by byte.
    pub issuer: &'a str,
    /// The resource that has to be in the audience.
    pub audience: &'a str,
    /// The issuer's keys.
    pub keys: &'a KeySet,
}

/// What a token is bound to (RFC 7800 `cnf`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// A DPoP key, by its thumbprint (RFC 9449, section 6.1).
    Jkt(Thumbprint),
    /// A client certificate, by SHA-256 of its DER form (RFC 8705, section 3.1).
    X5tS256([u8; 32]),
}

impl Confirmation {
    // Exactly one binding of a known kind: a second one would be a condition that nobody checks.
    fn from_claims(claims: &Claims) -> Result<Self, TokenError> {
        let members = claims.object("cnf")?.ok_or(TokenError::Unbound)?;
        if members.len() != 1 {
            return Err(TokenError::Unbound);
        }
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let by_key = || text("jkt").and_then(Thumbprint::parse).map(Confirmation::Jkt);
        let by_certificate = || {
            let bytes = text("x5t#S256").and_then(base64url_decode_strict)?;
            bytes.try_into().ok().map(Confirmation::X5tS256)
        };
        by_key().or_else(by_certificate).ok_or(TokenError::Unbound)
    }

    /// Writes it as the claim `cnf`.
    #[must_use]
    pub fn to_claim(&self) -> Value {
        match self {
            Confirmation::Jkt(thumbprint) => json!({ "jkt": thumbprint.as_str() }),
            Confirmation::X5tS256(thumbprint) => json!({ "x5t#S256": base64url(thumbprint) }),
        }
    }
}

/// A token that we issued, for us, in its time; made only by [`verify`].
#[derive(Debug, Clone)]
pub struct VerifiedToken {
    client: ClientId,
    subject: String,
    scopes: ScopeSet,
    expires: Timestamp,
    jti: String,
    confirmation: Confirmation,
    hash: [u8; 32],
    citizen: Option<Citizen>,
}

/// What a token says of the citizen it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citizen {
    /// What it came of.
    pub grant: GrantId,
    /// What exactly was granted.
    pub details: Vec<Detail>,
    /// How well the citizen was authenticated.
    pub acr: String,
    /// When.
    pub authenticated: Timestamp,
}

impl Citizen {
    // All four claims, or none: half of them would be a condition that nobody checks.
    fn from_claims(claims: &Claims, now: Timestamp) -> Result<Option<Self>, TokenError> {
        const CLAIMS: [&str; 4] = ["grant_id", "authorization_details", "acr", "auth_time"];
        if !CLAIMS.into_iter().any(|name| claims.has(name)) {
            return Ok(None);
        }
        let grant = GrantId::parse(claims.required_string("grant_id")?);
        let details = details::from_claim(claims.required("authorization_details")?);
        let acr = claims.required_string("acr")?;
        if acr.is_empty() || acr.len() > ACR_BYTES_MAX {
            return Err(ClaimError::OutOfRange("acr").into());
        }
        let authenticated = claims.required_instant("auth_time")?;
        if authenticated > now + LEEWAY {
            return Err(TokenError::NotYet);
        }
        Ok(Some(Self {
            grant: grant.map_err(|_| ClaimError::OutOfRange("grant_id"))?,
            details: details.ok_or(ClaimError::OutOfRange("authorization_details"))?,
            acr: acr.to_owned(),
            authenticated,
        }))
    }
}

impl VerifiedToken {
    /// Returns the client it was issued to.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Returns whom it speaks for.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns what was granted.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// Returns its `exp`.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Returns its id.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// Returns what it is bound to.
    #[must_use]
    pub fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    /// Returns the citizen it speaks for; none if it speaks for the client itself.
    #[must_use]
    pub fn citizen(&self) -> Option<&Citizen> {
        self.citizen.as_ref()
    }

    /// Returns SHA-256 of its text, which a proof for it has to name.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Tells whether its time is over: from `exp` + [`LEEWAY`] on.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires + LEEWAY
    }
}

/// Checks an access token of ours against RFC 9068, section 4.
///
/// A token that speaks for a citizen says what it came of, what was granted, and when and how well the citizen was
/// authenticated: all of that, and its subject begins with [`CITIZEN_PREFIX`], or nothing of it, and its subject is its
/// client. Does not check who holds it: see [`bind`](crate::binding::bind). Does not check scope, client or revocation.
///
/// # Errors
/// [`TokenError::Expired`] from `exp` + [`LEEWAY`] on, [`TokenError::NotYet`] if `iat` or `nbf` lies more than
/// [`LEEWAY`] ahead, [`TokenError::WrongType`] unless `typ` is `at+jwt`, and the others as they say.
pub fn verify(token: &BearerToken, expected: &Expected<'_>, now: Timestamp) -> Result<VerifiedToken, TokenError> {
    let claims = signed(token, expected)?;
    let mut verified = judge(&claims, token, expected, (claims.required_string("sub")?, claims.jti()?), now)?;
    verified.citizen = Citizen::from_claims(&claims, now)?;
    let fits = match &verified.citizen {
        Some(_) => verified.subject.starts_with(CITIZEN_PREFIX),
        None => verified.subject == verified.client.as_str(),
    };
    if fits { Ok(verified) } else { Err(ClaimError::OutOfRange("sub").into()) }
}

/// Checks an access token of another authorization server against RFC 9068, section 4.
///
/// It never speaks for a citizen of ours, whatever it says: grants and consents are named by us alone. Whether it may speak
/// for a user of theirs is for [`Issuer::admit`](crate::issuer::Issuer::admit).
///
/// # Errors
/// As [`verify`], and [`TokenError::TooLongLived`] beyond [`OTHER_TOKEN_TTL_MAX`].
pub fn verify_other(token: &BearerToken, expected: &Expected<'_>, now: Timestamp) -> Result<VerifiedToken, TokenError> {
    let claims = signed(token, expected)?;
    let verified = judge(&claims, token, expected, (claims.required_string("sub")?, claims.jti()?), now)?;
    if verified.expires > claims.required_instant("iat")? + OTHER_TOKEN_TTL_MAX {
        return Err(TokenError::TooLongLived);
    }
    Ok(verified)
}

// Type, issuer and signature; gives the claims.
fn signed(token: &BearerToken, expected: &Expected<'_>) -> Result<Claims, TokenError> {
    let jws = CompactJws::parse(token.expose(), TOKEN_BYTES_MAX)?;
    if !matches!(jws.typ(), Some(ACCESS_TOKEN_TYPE | "application/at+jwt")) {
        return Err(TokenError::WrongType);
    }
    // The issuer selects the keys, so it is looked at first; with one issuer that is a comparison.
    if jws.peek().required_string("iss")? != expected.issuer {
        return Err(TokenError::WrongIssuer);
    }
    let claims = jws.verify_with_any(expected.keys)?;
    claims.required_instant("iat")?;
    Ok(claims)
}

/// Takes the word of another authorization server for a token of its own (RFC 7662, section 2.2); none if it says that the
/// token is worth nothing.
///
/// `answer` is what it said; the keys of `expected` are not used. `iss`, `aud`, `exp`, `client_id`, `cnf` and `token_type`
/// have to be there although RFC 7662 leaves them open: without a type it may be a refresh token, and without the others
/// it is a token of anybody, for anybody; [`Issuer::admit`](crate::issuer::Issuer::admit) says the rest. A token without `sub` speaks for its client, one without `jti` is named by its
/// hash.
///
/// # Errors
/// As [`verify`]; [`TokenError::WrongType`] if the type is not the one of its binding.
pub fn introspected(
    answer: &Claims,
    token: &BearerToken,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Option<VerifiedToken>, TokenError> {
    if !answer.required_boolean("active")? {
        return Ok(None);
    }
    if answer.required_string("iss")? != expected.issuer {
        return Err(TokenError::WrongIssuer);
    }
    let hash = base64url(&token.hash());
    let jti = if answer.string("jti")?.is_some() { answer.jti()? } else { &hash };
    let subject = answer.string("sub")?.map_or_else(|| answer.required_string("client_id"), Ok)?;
    let verified = judge(answer, token, expected, (subject, jti), now)?;
    let scheme = match verified.confirmation {
        Confirmation::Jkt(_) => "DPoP",
        Confirmation::X5tS256(_) => "Bearer",
    };
    if !answer.required_string("token_type")?.eq_ignore_ascii_case(scheme) {
        return Err(TokenError::WrongType);
    }
    Ok(Some(verified))
}

// What its issuer vouches for; for whom it speaks and its name are found in different ways.
fn judge(
    claims: &Claims,
    token: &BearerToken,
    expected: &Expected<'_>,
    (subject, jti): (&str, &str),
    now: Timestamp,
) -> Result<VerifiedToken, TokenError> {
    if !claims.audience_contains(expected.audience)? {
        return Err(TokenError::WrongAudience);
    }
    let expires = claims.required_instant("exp")?;
    if now >= expires + LEEWAY {
        return Err(TokenError::Expired);
    }
    let issued = claims.instant("iat")?;
    let begins = claims.instant("nbf")?;
    if issued.into_iter().chain(begins).any(|begins| begins > now + LEEWAY) {
        return Err(TokenError::NotYet);
    }
    let client =
        ClientId::parse(claims.required_string("client_id")?).map_err(|_| ClaimError::OutOfRange("client_id"))?;
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
        return Err(ClaimError::OutOfRange("sub").into());
    }
    let scopes = match claims.string("scope")? {
        None => ScopeSet::default(),
        Some(text) => ScopeSet::parse(text).ok_or(ClaimError::OutOfRange("scope"))?,
    };
    Ok(VerifiedToken {
        client,
        subject: subject.to_owned(),
        scopes,
        expires,
        jti: jti.to_owned(),
        confirmation: Confirmation::from_claims(claims)?,
        hash: token.hash(),
        citizen: None,
    })
}

/// What an access token is to say.
#[derive(Debug, Clone)]
pub struct AccessGrant {
    /// Who issues it.
    pub issuer: String,
    /// The one resource it is for.
    pub audience: String,
    /// To whom.
    pub client: ClientId,
    /// For whom it speaks.
    pub subject: String,
    /// What for.
    pub scopes: ScopeSet,
    /// What it is bound to; a token that is bound to nothing cannot be told.
    pub confirmation: Confirmation,
    /// Its id.
    pub jti: String,
    /// When it is issued.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The citizen it speaks for, if not for the client itself.
    pub citizen: Option<Citizen>,
}

/// Writes the claims of an access token (RFC 9068, section 2.2).
#[must_use]
pub fn claims(grant: &AccessGrant) -> Value {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", Value::from(grant.issuer.as_str()));
    put("aud", Value::from(grant.audience.as_str()));
    put("sub", Value::from(grant.subject.as_str()));
    put("client_id", Value::from(grant.client.as_str()));
    put("scope", Value::from(grant.scopes.to_string()));
    put("jti", Value::from(grant.jti.as_str()));
    put("iat", Value::from(grant.issued.seconds()));
    put("exp", Value::from(grant.expires.seconds()));
    put("cnf", grant.confirmation.to_claim());
    if let Some(citizen) = &grant.citizen {
        put("grant_id", Value::from(citizen.grant.as_str()));
        put("authorization_details", details::to_claim(&citizen.details));
        put("acr", Value::from(citizen.acr.as_str()));
        put("auth_time", Value::from(citizen.authenticated.seconds()));
    }
    Value::Object(claims)
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
#[path = "token_citizen_tests.rs"]
mod citizen_tests;

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
