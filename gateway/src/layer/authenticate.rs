//! `authenticate`: who asks, proven in the way the operation's security scheme says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use policies::admin;
use policies::binding;
use policies::callback;
use policies::caller::Caller;
use policies::code::Code;
use policies::facts::Security;
use policies::grant::{self, TokenRequest};
use policies::id::{ClientId, ProviderId};
use policies::proof::{self, VerifiedProof};
use policies::rulebook::ClientAuthentication;
use policies::token::{self, BearerToken, Expected, Scheme};
use spine::error::Rejection;
use spine::refine::Refine;
use spine::stage::{Identified, Routed};
use spine::trail::Trail;

use super::{noted, read};
use crate::generation::Generation;
use crate::house::House;

/// The longest OAuth form: a client assertion under RSA-4096 has about 2 KiB.
pub const FORM_BYTES_MAX: usize = 16 * 1024;

/// The longest signed callback.
pub const CALLBACK_BYTES_MAX: usize = 64 * 1024;

/// How long the body of an unauthenticated request may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);

/// The stage.
#[derive(Debug, Clone)]
pub struct Authenticate {
    /// Keys and stores.
    pub house: Arc<House>,
    /// Clients.
    pub generation: Arc<Generation>,
}

impl Refine<Routed> for Authenticate {
    type Out = Identified;

    async fn refine(&self, routed: Routed) -> Result<Identified, Rejection> {
        let trail = routed.trail.clone();
        let result = match routed.policy().security {
            Security::Public => Ok(Identified::proven(routed, Caller::Public, None, None)),
            Security::AccessToken => Box::pin(self.by_token(routed)).await,
            Security::ClientAuthentication => Box::pin(self.by_form(routed)).await,
            Security::SignedCallback => Box::pin(self.by_callback(routed)).await,
            Security::Administrator => self.by_admin_token(routed),
        };
        if let Ok(identified) = &result {
            note_caller(&trail, identified.caller());
        }
        noted(&trail, "authenticate", result)
    }
}

impl Authenticate {
    async fn by_token(&self, routed: Routed) -> Result<Identified, Rejection> {
        let (scheme, bearer) = presented(&routed)?;
        let now = routed.received;
        let keyring = self.house.keyring.now();
        let expected =
            Expected { issuer: &self.house.issuer, audience: &self.house.issuer, keys: keyring.published() };
        let verified = token::verify(&bearer, &expected, now).map_err(|error| {
            Rejection::new(error.code(), "The access token is not accepted.")
                .because(&error)
                .next("Ask /oauth/token for a new one.")
        })?;
        let client = self.generation.rulebook.clients.get(verified.client()).cloned();
        let client = client.ok_or_else(|| Rejection::new(Code::TokenInvalid, "The access token is not accepted."))?;
        let proof = match scheme {
            Scheme::Dpop => Some(self.proof(&routed, &client.id, Some(&bearer)).await?),
            Scheme::Bearer => None,
        };
        let certificate = routed.peer.certificate.as_deref();
        let token = binding::bind(verified, scheme, proof.as_ref(), certificate).map_err(|error| {
            Rejection::new(error.code(), "The token is not bound to the key or certificate that was shown.")
                .because(&error)
        })?;
        binding::vouched(&client.authentication, certificate).map_err(|error| {
            Rejection::new(error.code(), "The certificate that was shown is not accepted any more.").because(&error)
        })?;
        Ok(Identified::proven(routed, Caller::Bound { client, token }, None, proof))
    }

    /// Checks the DPoP proof of a request; the replay store is asked last, so that a bad proof fills nothing (RS33).
    async fn proof(
        &self,
        routed: &Routed,
        client: &ClientId,
        token: Option<&BearerToken>,
    ) -> Result<VerifiedProof, Rejection> {
        let refuse = |error: &proof::ProofError| {
            let code = if token.is_some() { error.code() } else { Code::OauthInvalidDpopProof };
            Rejection::new(code, format!("The DPoP proof is refused: {error}.")).because(error)
        };
        let header = routed.head.headers.get("dpop").and_then(|value| value.to_str().ok());
        let Some(header) = header else {
            let code = if token.is_some() { Code::ProofInvalid } else { Code::OauthInvalidDpopProof };
            return Err(Rejection::new(code, "A DPoP proof is needed beside the token."));
        };
        let target = format!("{}{}", routed.entrance.external, routed.path().as_str());
        let expected = proof::Expected { method: routed.head.method.as_str(), target: &target, token };
        let checked = proof::check(header, &expected, routed.received).map_err(|error| refuse(&error))?;
        let (key, until) = (checked.replay_key(), checked.keep_until());
        let claim = self.house.replays.claim(client.as_str(), key, until, routed.received);
        let fresh = claim.await.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
        checked.accept(fresh).map_err(|error| refuse(&error))
    }

    async fn by_form(&self, mut routed: Routed) -> Result<Identified, Rejection> {
        let raw = self.read_early(&mut routed, FORM_BYTES_MAX).await?;
        let refuse = |error: &grant::GrantError| Rejection::new(error.code(), error.to_string()).because(error);
        if routed.head.headers.contains_key(AUTHORIZATION) {
            let detail = "Clients authenticate by assertion or certificate, not by the Authorization header.";
            return Err(Rejection::new(Code::OauthInvalidClient, detail));
        }
        let fields = openapi::form_fields(&raw)
            .ok_or_else(|| Rejection::new(Code::OauthInvalidRequest, "The form cannot be read."))?;
        let request = TokenRequest::parse(&fields).map_err(|error| refuse(&error))?;
        let id = grant::client_id_of(&request).map_err(|error| refuse(&error))?;
        // An unknown client and a wrong assertion read the same, and take as long (AS11).
        let unknown = || refuse(&grant::refuse_unknown(&request, &self.house.issuer, routed.received));
        let client = self.generation.rulebook.clients.get(&id).ok_or_else(unknown)?;
        let authenticated = match &client.authentication {
            ClientAuthentication::PrivateKeyJwt(_) => {
                let checked = grant::check_assertion(&request, client, &self.house.issuer, routed.received)
                    .map_err(|error| refuse(&error))?;
                let (key, until) = (checked.replay_key(), checked.keep_until());
                let claim = self.house.replays.claim(client.id.as_str(), key, until, routed.received);
                let fresh = claim.await.map_err(|outage| Rejection::outage(Code::DependencyDown, &outage))?;
                checked.accept(fresh).map_err(|error| refuse(&error))?
            }
            ClientAuthentication::TlsClientAuth(_) | ClientAuthentication::SelfSignedTlsClientAuth(_) => {
                grant::check_certificate(&request, client, routed.peer.certificate.as_deref())
                    .map_err(|error| refuse(&error))?
            }
        };
        binding::vouched(&client.authentication, routed.peer.certificate.as_deref())
            .map_err(|error| refuse(&grant::GrantError::WrongCertificate).because(error))?;
        let proof = match routed.head.headers.contains_key("dpop") {
            true => Some(self.proof(&routed, &client.id, None).await?),
            false => None,
        };
        Ok(Identified::proven(routed, Caller::Client(authenticated), Some(raw), proof))
    }

    async fn by_callback(&self, mut routed: Routed) -> Result<Identified, Rejection> {
        let refuse = || Rejection::new(Code::SignatureInvalid, "The callback's signature does not verify.");
        let provider =
            routed.matched().parameter("provider").and_then(|id| ProviderId::parse(id).ok()).ok_or_else(refuse)?;
        let raw = self.read_early(&mut routed, CALLBACK_BYTES_MAX).await?;
        let secret = self.house.secrets.load();
        let secret = secret.webhooks.get(&provider).ok_or_else(refuse)?;
        let header =
            |name: &str| routed.head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (id, timestamp, signatures) =
            (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
        let verified = callback::verify(secret.expose(), id, timestamp, signatures, &raw, &provider, routed.received)
            .map_err(|error| refuse().because(error))?;
        Ok(Identified::proven(routed, Caller::Provider(verified), Some(raw), None))
    }

    fn by_admin_token(&self, routed: Routed) -> Result<Identified, Rejection> {
        let origin = routed.head.headers.get(http::header::ORIGIN).and_then(|value| value.to_str().ok());
        if origin.is_some_and(|origin| !origin.eq_ignore_ascii_case(&routed.entrance.external)) {
            return Err(Rejection::new(
                Code::HostRefused,
                "Pages of other origins may not call the administrators' listener.",
            ));
        }
        let missing = || {
            Rejection::new(
                Code::ClientUnauthenticated,
                "An administrator's token is needed: Authorization: Bearer <token>.",
            )
        };
        let (scheme, bearer) = presented(&routed).map_err(|_| missing())?;
        if scheme != Scheme::Bearer {
            return Err(missing());
        }
        let secrets = self.house.secrets.load();
        let administrator = admin::identify(&secrets.administrators, bearer.expose()).map_err(|_| missing())?;
        Ok(Identified::proven(routed, Caller::Administrator(administrator), None, None))
    }

    async fn read_early(&self, routed: &mut Routed, bytes_max: usize) -> Result<Bytes, Rejection> {
        let inflight = routed.inflight_mut();
        let deadline = inflight.deadline.min(std::time::Instant::now() + BODY_TIME_MAX);
        let body = inflight.body.take();
        read::read(body, bytes_max, deadline).await
    }
}

fn note_caller(trail: &Trail, caller: &Caller) {
    match caller {
        Caller::Public => {}
        Caller::Bound { client, token } => {
            trail.note_client(client);
            trail.note_token(token);
        }
        Caller::Client(authenticated) => trail.note_client(authenticated.client()),
        Caller::Provider(callback) => trail.note_provider(callback.provider()),
        Caller::Administrator(administrator) => trail.note_administrator(administrator.id()),
    }
}

// RS1: the token stands in the Authorization header, once, and nowhere else. `hygiene` has refused a second header.
fn presented(routed: &Routed) -> Result<(Scheme, BearerToken), Rejection> {
    if routed.head.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("access_token="))) {
        return Err(Rejection::new(Code::TokenMalformed, "An access token may not stand in the query."));
    }
    let Some(value) = routed.head.headers.get(AUTHORIZATION) else {
        return Err(Rejection::new(Code::TokenMissing, "An access token is needed.")
            .next("Get one from /oauth/token and send it as `Authorization: DPoP <token>` with a `DPoP` proof."));
    };
    let text = value
        .to_str()
        .map_err(|_| Rejection::new(Code::TokenMalformed, "The Authorization header is not readable."))?;
    token::parse_authorization(text).map_err(|error| {
        Rejection::new(error.code(), "The Authorization header holds no access token.").because(&error)
    })
}
