//! The token endpoint's rules: who the client is, and what it may be granted.
//!
//! Client authentication is by signed assertion (RFC 7523) or by certificate (RFC 8705), never by a shared secret; the
//! one grant is `client_credentials`. This module must not know how a form, a certificate or a reply travels.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::code::Code;
use crate::id::ClientId;
use crate::jose::{ClaimError, Claims, CompactJws, JwsError, KeySet, digest_of_parts};
use crate::peer::{ChainVerdict, PeerCertificate};
use crate::proof::VerifiedProof;
use crate::rulebook::{CertificateName, Client, ClientAuthentication, KeySource, ScopeSet, TokenBinding};
use crate::secret::Secret;
use crate::time::Timestamp;
use crate::token::{ACCESS_TOKEN_TTL, AccessGrant, Confirmation, LEEWAY};

/// The longest client assertion, in bytes: it carries six short claims.
pub const ASSERTION_BYTES_MAX: usize = 4 * 1024;

/// How far ahead the `exp` of an assertion may lie (plus [`LEEWAY`]): its `jti` has to be remembered that long.
pub const ASSERTION_TTL_MAX: Duration = Duration::from_secs(300);

/// How far ahead of our clock `iat` and `nbf` of an assertion may lie; FAPI 2.0 asks for 10 s at least, 60 s at most.
pub const ASSERTION_AHEAD_MAX: Duration = Duration::from_secs(30);

/// The most parameters of a token request: there are a dozen registered ones.
pub const PARAMETERS_MAX: usize = 32;

/// The longest scope parameter, in bytes.
pub const SCOPE_BYTES_MAX: usize = 2048;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why no token was granted.
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
    /// A scope is unknown, malformed or not the client's.
    #[error("a scope is unknown or not allowed for this client")]
    InvalidScope,
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
            GrantError::Suspended | GrantError::WrongBinding => Code::OauthUnauthorizedClient,
            GrantError::InvalidScope => Code::OauthInvalidScope,
            GrantError::ProofMissing => Code::OauthInvalidDpopProof,
        }
    }
}

/// A token request, read and not yet believed.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    scope: Option<String>,
    client_id: Option<ClientId>,
    assertion: Option<Secret<String>>,
}

impl TokenRequest {
    /// Reads the decoded parameters of the form.
    ///
    /// Parameters without a value count as left out, unknown ones are passed over (RFC 6749, section 3.2).
    ///
    /// # Errors
    /// [`GrantError`]: any parameter twice, a shared secret, a missing or unsupported grant type, half an assertion.
    pub fn parse(form: &[(String, String)]) -> Result<Self, GrantError> {
        if form.len() > PARAMETERS_MAX {
            return Err(GrantError::TooLarge);
        }
        for (index, (name, _)) in form.iter().enumerate() {
            if form.iter().skip(index + 1).any(|(other, _)| other == name) {
                return Err(GrantError::Repeated(name.clone()));
            }
        }
        let value = |wanted: &str| {
            form.iter().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.as_str())
        };
        if value("client_secret").is_some() {
            return Err(GrantError::SecretRefused);
        }
        match value("grant_type") {
            Some("client_credentials") => {}
            Some(_) => return Err(GrantError::UnsupportedGrantType),
            None => return Err(GrantError::Missing("grant_type")),
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
        let scope = value("scope");
        if scope.is_some_and(|scope| scope.len() > SCOPE_BYTES_MAX) {
            return Err(GrantError::TooLarge);
        }
        Ok(Self {
            scope: scope.map(str::to_owned),
            client_id: client_id.map_err(|_| GrantError::Malformed("client_id"))?,
            assertion: assertion.map(|text| Secret::new(text.to_owned())),
        })
    }

    /// Tells whether the client authenticates with an assertion; otherwise only a certificate is left.
    #[must_use]
    pub fn has_assertion(&self) -> bool {
        self.assertion.is_some()
    }
}

/// Returns the client that the request claims to be from: for looking it up, not for believing it.
///
/// # Errors
/// [`GrantError::Missing`] if there is neither an assertion nor a `client_id`; [`GrantError::WrongClient`] if they
/// differ; else what is wrong with the assertion.
pub fn client_id_of(request: &TokenRequest) -> Result<ClientId, GrantError> {
    let Some(assertion) = &request.assertion else {
        return request.client_id.clone().ok_or(GrantError::Missing("client_id"));
    };
    let told = issuer_of(&read(assertion)?)?;
    match &request.client_id {
        Some(id) if *id != told => Err(GrantError::WrongClient),
        _ => Ok(told),
    }
}

/// An assertion with everything checked but its replay; made only by [`check_assertion`].
#[derive(Debug)]
#[must_use = "an assertion counts only once its replay was asked for"]
pub struct CheckedAssertion {
    client: Arc<Client>,
    request: TokenRequest,
    replay_key: [u8; 32],
    keep_until: Timestamp,
}

impl CheckedAssertion {
    /// Returns the key under which it may be used once: a hash of its client and `jti`.
    #[must_use]
    pub fn replay_key(&self) -> [u8; 32] {
        self.replay_key
    }

    /// Returns until when it has to be remembered; later it is refused for its age.
    #[must_use]
    pub fn keep_until(&self) -> Timestamp {
        self.keep_until
    }

    /// Takes the replay store's word: `fresh` if it had never seen the key.
    ///
    /// # Errors
    /// [`GrantError::Replayed`].
    pub fn accept(self, fresh: bool) -> Result<AuthenticatedClient, GrantError> {
        if !fresh {
            return Err(GrantError::Replayed);
        }
        Ok(AuthenticatedClient { client: self.client, request: self.request })
    }
}

/// A client that proved who it is, and what it asked for; made only by the checks of this module.
#[derive(Debug)]
pub struct AuthenticatedClient {
    client: Arc<Client>,
    request: TokenRequest,
}

impl AuthenticatedClient {
    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Returns what it asked for.
    #[must_use]
    pub fn request(&self) -> &TokenRequest {
        &self.request
    }
}

/// Checks a client assertion (RFC 7523, section 3; FAPI 2.0, section 5.3.2.1); everything but its replay.
///
/// `issuer` is ours: the audience has to be exactly that string. `exp` has to lie ahead, with [`LEEWAY`], and no more
/// than [`ASSERTION_TTL_MAX`] + [`LEEWAY`].
///
/// Whatever is wrong with an assertion that is a JWS at all, a signature is checked, if need be under a stand-in: a
/// faster answer would tell which clients exist, how they authenticate and which keys they have. Without a `kid`, every
/// key of the algorithm is tried.
///
/// # Errors
/// [`GrantError`]; every failure tells the client the same.
pub fn check_assertion(
    request: &TokenRequest,
    client: &Arc<Client>,
    issuer: &str,
    now: Timestamp,
) -> Result<CheckedAssertion, GrantError> {
    // Without an assertion too: to ask for one would tell that the client exists and how it authenticates.
    let (Some(assertion), ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys))) =
        (&request.assertion, &client.authentication)
    else {
        spend(request);
        return Err(GrantError::WrongMethod);
    };
    if request.client_id.as_ref().is_some_and(|id| *id != client.id) {
        spend(request);
        return Err(GrantError::WrongClient);
    }
    let (claims, expires) = believe(read(assertion)?, keys, &client.id, issuer, now)?;
    let parts = [b"assertion", client.id.as_str().as_bytes(), claims.jti()?.as_bytes()];
    Ok(CheckedAssertion {
        client: Arc::clone(client),
        request: request.clone(),
        replay_key: digest_of_parts(&parts),
        // As long as it is accepted, and a skew between replicas: forgotten earlier, it could be used twice.
        keep_until: expires + LEEWAY + LEEWAY,
    })
}

fn read(assertion: &Secret<String>) -> Result<CompactJws<'_>, JwsError> {
    CompactJws::parse(assertion.expose(), ASSERTION_BYTES_MAX)
}

fn issuer_of(jws: &CompactJws<'_>) -> Result<ClientId, ClaimError> {
    ClientId::parse(jws.peek().required_string("iss")?).map_err(|_| ClaimError::OutOfRange("iss"))
}

// Does the work of a check where there is nothing to check; a text that is no JWS costs nobody anything.
fn spend(request: &TokenRequest) {
    if let Some(Ok(jws)) = request.assertion.as_ref().map(read) {
        jws.spend();
    }
}

// The one way of every assertion, of known clients and of unknown ones, who have no keys; gives the claims and `exp`.
fn believe(
    jws: CompactJws<'_>,
    keys: &KeySet,
    client: &ClientId,
    issuer: &str,
    now: Timestamp,
) -> Result<(Claims, Timestamp), GrantError> {
    match check_unsigned(&jws, client, issuer, now) {
        Ok(expires) => Ok((jws.verify_evenly(keys)?, expires)),
        Err(error) => {
            jws.spend();
            Err(error)
        }
    }
}

// What needs no cryptography; gives `exp`.
fn check_unsigned(
    jws: &CompactJws<'_>,
    client: &ClientId,
    issuer: &str,
    now: Timestamp,
) -> Result<Timestamp, GrantError> {
    if !matches!(jws.typ(), None | Some("JWT" | "client-authentication+jwt")) {
        return Err(GrantError::WrongType);
    }
    let claims = jws.peek();
    if claims.required_string("iss")? != client.as_str() || claims.required_string("sub")? != client.as_str() {
        return Err(GrantError::WrongClient);
    }
    if !claims.audience_is(issuer)? {
        return Err(GrantError::WrongAudience);
    }
    claims.jti()?;
    let expires = claims.required_instant("exp")?;
    let ahead = |at: Option<Timestamp>| at.is_some_and(|at| at > now + ASSERTION_AHEAD_MAX);
    if now >= expires + LEEWAY
        || expires > now + ASSERTION_TTL_MAX + LEEWAY
        || ahead(claims.instant("iat")?)
        || ahead(claims.instant("nbf")?)
    {
        return Err(GrantError::NotNow);
    }
    Ok(expires)
}

/// Checks a client certificate (RFC 8705, section 2.1): a verified chain and the one registered DNS name.
///
/// # Errors
/// [`GrantError::TwoMethods`] for a good certificate beside an assertion, [`GrantError::Missing`] without `client_id`,
/// else a failure of authentication. An assertion that is refused costs what it costs in [`check_assertion`].
pub fn check_certificate(
    request: &TokenRequest,
    client: &Arc<Client>,
    certificate: Option<&PeerCertificate>,
) -> Result<AuthenticatedClient, GrantError> {
    // Before all else: that a client goes this way is told to nobody by a faster answer.
    spend(request);
    let ClientAuthentication::TlsClientAuth(name) = &client.authentication else {
        return Err(GrantError::WrongMethod);
    };
    let holds = certificate.is_some_and(|certificate| names(certificate, name));
    if request.has_assertion() {
        // Only the client itself is told that it did too much.
        return Err(if holds { GrantError::TwoMethods } else { GrantError::WrongMethod });
    }
    if *request.client_id.as_ref().ok_or(GrantError::Missing("client_id"))? != client.id {
        return Err(GrantError::WrongClient);
    }
    if !holds {
        return Err(GrantError::WrongCertificate);
    }
    Ok(AuthenticatedClient { client: Arc::clone(client), request: request.clone() })
}

// DNS names know no letter case; a wildcard in a certificate names nobody here.
fn names(certificate: &PeerCertificate, wanted: &CertificateName) -> bool {
    let told = certificate.names();
    let named = match wanted {
        CertificateName::SanDns(name) => {
            !name.is_empty() && told.dns.iter().any(|known| known.eq_ignore_ascii_case(name))
        }
        CertificateName::SanUri(name) => told.uris.contains(name),
        CertificateName::SanIp(address) => told.addresses.contains(address),
        CertificateName::SanEmail(name) => told.emails.contains(name),
        CertificateName::SubjectDn(name) => !name.is_empty() && told.subject.as_ref() == Some(name),
    };
    matches!(certificate.verdict(), ChainVerdict::Verified(_)) && named
}

/// Refuses a request whose client nobody knows, by the same steps as a wrong assertion of a known client.
///
/// A faster answer would tell which clients exist.
#[must_use]
pub fn refuse_unknown(request: &TokenRequest, issuer: &str, now: Timestamp) -> GrantError {
    if let Some(Ok(jws)) = request.assertion.as_ref().map(read) {
        match issuer_of(&jws) {
            Ok(told) => drop(believe(jws, &KeySet::default(), &told, issuer, now)),
            Err(_) => jws.spend(),
        }
    }
    GrantError::UnknownClient
}

/// Grants an access token to a client for itself (RFC 6749, section 4.4), bound to the key or certificate it shows.
///
/// Without a scope parameter all of the client's scopes are granted. `jti` is fresh randomness.
///
/// # Errors
/// [`GrantError::Suspended`], [`GrantError::InvalidScope`], or what the binding lacks: a token that is bound to nothing
/// is never granted.
pub fn client_credentials(
    authenticated: &AuthenticatedClient,
    proof: Option<&VerifiedProof>,
    certificate: Option<&PeerCertificate>,
    issuer: &str,
    audience: &str,
    jti: String,
    now: Timestamp,
) -> Result<AccessGrant, GrantError> {
    let client = &authenticated.client;
    if client.suspended || client.organisation.suspended || now >= client.organisation.licence_ends {
        return Err(GrantError::Suspended);
    }
    let scopes = match &authenticated.request.scope {
        None => client.scopes.clone(),
        Some(text) => ScopeSet::parse(text).ok_or(GrantError::InvalidScope)?,
    };
    if scopes.is_empty() || !client.scopes.covers(&scopes) {
        return Err(GrantError::InvalidScope);
    }
    Ok(AccessGrant {
        issuer: issuer.to_owned(),
        audience: audience.to_owned(),
        client: client.id.clone(),
        subject: client.id.as_str().to_owned(),
        scopes,
        confirmation: confirmation(client.binding, proof, certificate)?,
        jti,
        issued: now,
        expires: now + ACCESS_TOKEN_TTL,
        citizen: None,
    })
}

fn confirmation(
    binding: TokenBinding,
    proof: Option<&VerifiedProof>,
    certificate: Option<&PeerCertificate>,
) -> Result<Confirmation, GrantError> {
    let by_key = proof.map(|proof| Confirmation::Jkt(proof.thumbprint().clone()));
    let by_certificate = certificate.map(|certificate| Confirmation::X5tS256(*certificate.thumbprint()));
    match (binding, by_key, by_certificate) {
        (TokenBinding::Dpop | TokenBinding::Either, Some(key), _) => Ok(key),
        // A client that shows a proof asks for a bound key; a token of the other kind would be of no use to it.
        (TokenBinding::Mtls, Some(_), _) => Err(GrantError::WrongBinding),
        (TokenBinding::Mtls | TokenBinding::Either, None, Some(certificate)) => Ok(certificate),
        (TokenBinding::Dpop | TokenBinding::Either, None, _) => Err(GrantError::ProofMissing),
        (TokenBinding::Mtls, None, None) => Err(GrantError::CertificateMissing),
    }
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
