//! Who the client is: by a signed assertion (RFC 7523) or by a certificate (RFC 8705), never by a shared secret.

use std::sync::Arc;
use std::time::Duration;

use super::error::GrantError;
use super::form::{ASSERTION_BYTES_MAX, ClientForm};
use crate::id::ClientId;
use crate::jose::{ClaimError, Claims, CompactJws, JwsError, KeySet, digest_of_parts};
use crate::party::{CertificateName, Client, ClientAuthentication};
use crate::peer::{ChainVerdict, PeerCertificate};
use crate::time::Timestamp;
use crate::token::LEEWAY;

/// How far ahead the `exp` of an assertion may lie (plus [`LEEWAY`]): its `jti` has to be remembered that long.
pub const ASSERTION_TTL_MAX: Duration = Duration::from_secs(300);

/// How far ahead of our clock `iat` and `nbf` of an assertion may lie; FAPI 2.0 asks for 10 s at least, 60 s at most.
pub const ASSERTION_AHEAD_MAX: Duration = Duration::from_secs(30);

/// Returns the client that the request claims to be from: for looking it up, not for believing it.
///
/// # Errors
/// [`GrantError::Missing`] if there is neither an assertion nor a `client_id`; [`GrantError::WrongClient`] if they
/// differ; else what is wrong with the assertion.
pub fn client_id_of(form: &ClientForm) -> Result<ClientId, GrantError> {
    let Some(assertion) = form.assertion() else {
        return form.client_id().cloned().ok_or(GrantError::Missing("client_id"));
    };
    let told = issuer_of(&read(assertion)?)?;
    match form.client_id() {
        Some(id) if *id != told => Err(GrantError::WrongClient),
        _ => Ok(told),
    }
}

/// An assertion with everything checked but its replay; made only by [`check_assertion`].
#[derive(Debug)]
#[must_use = "an assertion counts only once its replay was asked for"]
pub struct CheckedAssertion {
    client: Arc<Client>,
    form: ClientForm,
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
        Ok(AuthenticatedClient { client: self.client, form: self.form })
    }
}

/// A client that proved who it is, and what it asked for; made only by the checks of this module.
#[derive(Debug)]
pub struct AuthenticatedClient {
    client: Arc<Client>,
    form: ClientForm,
}

impl AuthenticatedClient {
    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Returns the form that it came with.
    #[must_use]
    pub fn form(&self) -> &ClientForm {
        &self.form
    }
}

/// Checks a client assertion (RFC 7523, section 3; FAPI 2.0, section 5.3.2.1); everything but its replay.
///
/// `keys` are those of `client`, wherever they are kept. `issuer` is ours: the audience has to be exactly that string.
/// `exp` has to lie ahead, with [`LEEWAY`], and no more than [`ASSERTION_TTL_MAX`] + [`LEEWAY`].
///
/// Whatever is wrong with an assertion that is a JWS at all, a signature is checked, if need be under a stand-in: a
/// faster answer would tell which clients exist, how they authenticate and which keys they have. Without a `kid`, every
/// key of the algorithm is tried.
///
/// # Errors
/// [`GrantError`]; every failure tells the client the same.
pub fn check_assertion(
    form: &ClientForm,
    client: &Arc<Client>,
    keys: &KeySet,
    issuer: &str,
    now: Timestamp,
) -> Result<CheckedAssertion, GrantError> {
    // Without an assertion too: to ask for one would tell that the client exists and how it authenticates.
    let (Some(assertion), ClientAuthentication::PrivateKeyJwt(_)) = (form.assertion(), &client.authentication) else {
        spend(form);
        return Err(GrantError::WrongMethod);
    };
    if form.client_id().is_some_and(|id| *id != client.id) {
        spend(form);
        return Err(GrantError::WrongClient);
    }
    let (claims, expires) = believe(read(assertion)?, keys, &client.id, issuer, now)?;
    let parts = [b"assertion", client.id.as_str().as_bytes(), claims.jti()?.as_bytes()];
    Ok(CheckedAssertion {
        client: Arc::clone(client),
        form: form.clone(),
        replay_key: digest_of_parts(&parts),
        // As long as it is accepted, and a skew between replicas: forgotten earlier, it could be used twice.
        keep_until: expires + LEEWAY + LEEWAY,
    })
}

/// Checks a client certificate (RFC 8705, section 2): a verified chain and the one registered name, or one of the
/// certificates that the client has registered, whoever has signed it.
///
/// # Errors
/// [`GrantError::TwoMethods`] for a good certificate beside an assertion, [`GrantError::Missing`] without `client_id`,
/// else a failure of authentication. An assertion that is refused costs what it costs in [`check_assertion`].
pub fn check_certificate(
    form: &ClientForm,
    client: &Arc<Client>,
    certificate: Option<&PeerCertificate>,
) -> Result<AuthenticatedClient, GrantError> {
    // Before all else: that a client goes this way is told to nobody by a faster answer.
    spend(form);
    let holds = match &client.authentication {
        ClientAuthentication::PrivateKeyJwt(_) => return Err(GrantError::WrongMethod),
        ClientAuthentication::TlsClientAuth(name) => certificate.is_some_and(|certificate| names(certificate, name)),
        ClientAuthentication::SelfSignedTlsClientAuth(known) => certificate.is_some_and(|certificate| {
            *certificate.verdict() != ChainVerdict::Revoked && known.contains(certificate.thumbprint())
        }),
    };
    if form.has_assertion() {
        // Only the client itself is told that it did too much.
        return Err(if holds { GrantError::TwoMethods } else { GrantError::WrongMethod });
    }
    if *form.client_id().ok_or(GrantError::Missing("client_id"))? != client.id {
        return Err(GrantError::WrongClient);
    }
    if !holds {
        return Err(GrantError::WrongCertificate);
    }
    Ok(AuthenticatedClient { client: Arc::clone(client), form: form.clone() })
}

/// Refuses a request whose client nobody knows, by the same steps as a wrong assertion of a known client.
///
/// A faster answer would tell which clients exist.
#[must_use]
pub fn refuse_unknown(form: &ClientForm, issuer: &str, now: Timestamp) -> GrantError {
    if let Some(Ok(jws)) = form.assertion().map(read) {
        match issuer_of(&jws) {
            Ok(told) => drop(believe(jws, &KeySet::default(), &told, issuer, now)),
            Err(_) => jws.spend(),
        }
    }
    GrantError::UnknownClient
}

/// Tells whether a client may be granted anything now: not while it, its organisation or its licence is stopped, and never
/// if its tokens come from another authorization server.
///
/// # Errors
/// [`GrantError::Suspended`], [`GrantError::NotOffered`].
pub fn may_act(client: &Client, now: Timestamp) -> Result<(), GrantError> {
    if client.suspended || client.organisation.suspended || now >= client.organisation.licence_ends {
        return Err(GrantError::Suspended);
    }
    if client.oauth.issuer.is_some() {
        return Err(GrantError::NotOffered);
    }
    Ok(())
}

fn read(assertion: &str) -> Result<CompactJws<'_>, JwsError> {
    CompactJws::parse(assertion, ASSERTION_BYTES_MAX)
}

fn issuer_of(jws: &CompactJws<'_>) -> Result<ClientId, ClaimError> {
    ClientId::parse(jws.peek().required_string("iss")?).map_err(|_| ClaimError::OutOfRange("iss"))
}

// Does the work of a check where there is nothing to check; a text that is no JWS costs nobody anything.
fn spend(form: &ClientForm) {
    if let Some(Ok(jws)) = form.assertion().map(read) {
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

// DNS names know no letter case; a wildcard in a certificate names nobody here.
fn names(certificate: &PeerCertificate, wanted: &CertificateName) -> bool {
    let told = certificate.names();
    let named = match wanted {
        CertificateName::SanDns(name) => {
            !name.is_empty() && told.dns.iter().any(|known| known.eq_ignore_ascii_case(name))
        }
        CertificateName::SanUri(name) => !name.is_empty() && told.uris.contains(name),
        CertificateName::SanIp(address) => told.addresses.contains(address),
        CertificateName::SanEmail(name) => !name.is_empty() && told.emails.contains(name),
        CertificateName::SubjectDn(name) => !name.is_empty() && told.subject.as_ref() == Some(name),
    };
    matches!(certificate.verdict(), ChainVerdict::Verified(_)) && named
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
