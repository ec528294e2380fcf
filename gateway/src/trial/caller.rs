//! Who calls in a trial: tokens, proofs, certificates, assertions, signatures and identity results, made for it.
//!
//! They are signed with the keys of the trial's own house, so that `authenticate` does all its work; a fault that a case
//! asks for is a real one. Must never be given a key of a running gateway.

use std::sync::Arc;
use std::time::Duration;

use adapters::entropy;
use adapters::keys::{SigningKey, Subjects};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policies::case::TokenFault;
use policies::id::{ClientId, ProviderId, VerificationId};
use policies::jose::{Algorithm, base64url, encode, hmac_sha256, sha256};
use policies::nonce::{Nonces, Realm};
use policies::peer::{CertificateNames, ChainVerdict, PeerCertificate};
use policies::rulebook::{CertificateName, Client, ClientAuthentication, ScopeSet, TokenBinding};
use policies::secret::Secret;
use policies::time::Timestamp;
use policies::token::{ACCESS_TOKEN_TTL, ACCESS_TOKEN_TYPE, AccessGrant, Citizen, Confirmation, LEEWAY, claims};
use policies::verification::{Binding, State, Verification};
use serde_json::{Value, json};

use super::error::TrialError;
use super::scene::{ISSUER, Scene};
use crate::layer::authenticate::NONCES;

/// The number of a person of the registry's test range: who is verified in a trial (IIN, check digit right).
const SUBJECT: &str = "810202200109";

/// What a token calls the citizen whom it speaks for: a hash, as everywhere.
const CITIZEN: &str = "citizen:dHJpYWwtY2l0aXplbi1vZi1hLXRyaWFsLWNsaWVudC4";

/// The keys of all clients of a trial.
#[derive(Debug)]
pub(super) struct Keys {
    /// What clients hold.
    pub(super) own: SigningKey,
    /// What somebody else holds.
    other: SigningKey,
}

/// How a caller comes to the door.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// Headers.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The certificate of the connection.
    pub(super) certificate: Option<Arc<PeerCertificate>>,
}

impl Keys {
    /// Draws them.
    pub(super) fn draw() -> Result<Self, TrialError> {
        Ok(Self { own: SigningKey::generate(Algorithm::Es256)?, other: SigningKey::generate(Algorithm::Es256)? })
    }

    /// Makes a token of `client` with these scopes, and what shows that it is in its hands; one of a citizen says what was
    /// agreed to.
    pub(super) fn token(
        &self,
        scene: &Scene<'_>,
        client: &Client,
        (scopes, citizen): (&ScopeSet, Option<Citizen>),
        fault: Option<TokenFault>,
        request: (&str, &str),
    ) -> Result<Credentials, TrialError> {
        let by_certificate = client.binding == TokenBinding::Mtls;
        let thumbprint = certificate_thumbprint(&client.id);
        let confirmation = if by_certificate {
            Confirmation::X5tS256(thumbprint)
        } else {
            Confirmation::Jkt(self.own.verifying_key().thumbprint().clone())
        };
        let now = scene.now();
        let issued = if fault == Some(TokenFault::Expired) {
            now - (ACCESS_TOKEN_TTL + LEEWAY + Duration::from_secs(1))
        } else {
            now
        };
        let grant = AccessGrant {
            issuer: ISSUER.to_owned(),
            audience: ISSUER.to_owned(),
            client: client.id.clone(),
            subject: if citizen.is_some() { CITIZEN.to_owned() } else { client.id.as_str().to_owned() },
            scopes: scopes.clone(),
            confirmation,
            jti: entropy::token_128bit(),
            issued,
            expires: issued + ACCESS_TOKEN_TTL,
            citizen,
        };
        let token = encode(ACCESS_TOKEN_TYPE, &claims(&grant), None, scene.house.keyring.now().signer())?;
        let mut credentials = Credentials::default();
        if by_certificate {
            credentials.headers.push(("authorization", format!("Bearer {token}")));
            credentials.certificate = match fault {
                Some(TokenFault::Unbound) => None,
                Some(TokenFault::OtherKey) => Some(certificate(sha256(b"somebody else"), client)),
                _ => Some(certificate(thumbprint, client)),
            };
            return Ok(credentials);
        }
        credentials.headers.push(("authorization", format!("DPoP {token}")));
        if fault != Some(TokenFault::Unbound) {
            let key = if fault == Some(TokenFault::OtherKey) { &self.other } else { &self.own };
            let nonce = nonce(scene, client, Realm::Resources).filter(|_| fault != Some(TokenFault::NoNonce));
            credentials.headers.push(("dpop", proof(key, request, (Some(&token), nonce), now)?));
        }
        Ok(credentials)
    }

    /// Authenticates `client` at the token endpoint: gives the fields of the form, and the rest.
    pub(super) fn authentication(
        &self,
        scene: &Scene<'_>,
        client: &Client,
        fault: Option<TokenFault>,
        request: (&str, &str),
    ) -> Result<(Vec<(String, String)>, Credentials), TrialError> {
        let (mut form, mut credentials) = (Vec::new(), Credentials::default());
        let now = scene.now();
        match &client.authentication {
            ClientAuthentication::TlsClientAuth(_) | ClientAuthentication::SelfSignedTlsClientAuth(_) => {
                form.push(("client_id".to_owned(), client.id.as_str().to_owned()));
                credentials.certificate = match fault {
                    Some(TokenFault::Missing | TokenFault::Unbound) => None,
                    Some(TokenFault::OtherKey) => Some(Arc::new(PeerCertificate::from_handshake(
                        sha256(b"somebody else"),
                        CertificateNames { dns: vec!["else.invalid".to_owned()], ..CertificateNames::default() },
                        ChainVerdict::Verified(Arc::from("trial")),
                    ))),
                    _ => Some(certificate(certificate_thumbprint(&client.id), client)),
                };
            }
            ClientAuthentication::PrivateKeyJwt(_) if fault != Some(TokenFault::Missing) => {
                let key = if fault == Some(TokenFault::OtherKey) { &self.other } else { &self.own };
                let issued = if fault == Some(TokenFault::Expired) { now - Duration::from_secs(3600) } else { now };
                let claims = json!({
                    "iss": client.id.as_str(), "sub": client.id.as_str(), "aud": ISSUER,
                    "iat": issued.seconds(), "exp": issued.seconds() + 60, "jti": entropy::token_128bit(),
                });
                let assertion = encode("client-authentication+jwt", &claims, None, key)?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.push(("client_assertion_type".to_owned(), kind.to_owned()));
                form.push(("client_assertion".to_owned(), assertion));
            }
            ClientAuthentication::PrivateKeyJwt(_) => {}
        }
        if client.binding != TokenBinding::Mtls && fault != Some(TokenFault::Unbound) {
            let nonce = nonce(scene, client, Realm::AuthorizationServer).filter(|_| fault != Some(TokenFault::NoNonce));
            credentials.headers.push(("dpop", proof(&self.own, request, (None, nonce), now)?));
        }
        Ok((form, credentials))
    }
}

/// Signs a provider's callback over its body (Standard Webhooks).
pub(super) fn callback(
    scene: &Scene<'_>,
    provider: &str,
    fault: Option<TokenFault>,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let known = ProviderId::parse(provider).ok();
    let secret = known.and_then(|id| scene.stage.webhooks.get(&id)).filter(|_| fault != Some(TokenFault::OtherKey));
    let at = if fault == Some(TokenFault::Expired) { scene.now() - Duration::from_secs(3600) } else { scene.now() };
    let (id, at) = (entropy::token_128bit(), at.seconds().to_string());
    let mut message = format!("{id}.{at}.").into_bytes();
    message.extend_from_slice(body);
    let nobodys = sha256(b"nobody's");
    let mac = hmac_sha256(secret.map_or(&nobodys, Vec::as_slice), &message);
    let mut headers = vec![("webhook-id", id), ("webhook-timestamp", at)];
    if !matches!(fault, Some(TokenFault::Missing | TokenFault::Unbound)) {
        headers.push(("webhook-signature", format!("v1,{}", STANDARD.encode(mac))));
    }
    headers
}

/// Has somebody verified for `client` and one request, and gives the signed result as the broker tells it.
pub(super) async fn identity(
    scene: &Scene<'_>,
    broker: &broker::Broker<'_>,
    client: &Client,
    level: &str,
    hash: Option<String>,
) -> Result<String, TrialError> {
    let now = scene.now();
    let number = Secret::new(SUBJECT.to_owned());
    let subjects = Subjects::new(&scene.house.sealer, &*scene.house.subject_keys);
    let key = subjects.key(&number, now).await?;
    let id = VerificationId::parse(&entropy::uuid_v7(now)).map_err(TrialError::new)?;
    let sealed = subjects.seal(&key, &format!("verification {id}"), number.expose().as_bytes())?;
    let provider = scene.generation().rulebook.providers.first();
    let provider =
        provider.map_or_else(|| ProviderId::parse("trial").map_err(TrialError::new), |known| Ok(known.id.clone()))?;
    let verification = Verification {
        client: client.id.clone(),
        subject: base64url(&sha256(SUBJECT.as_bytes())),
        sealed_subject: sealed,
        purpose: policies::rule::step_up::PURPOSE.to_owned(),
        level: level.to_owned(),
        binding: hash.map_or(Binding::None, |hash| Binding::Payment { hash }),
        state: State::Passed,
        provider,
        session: format!("trial-{id}"),
        capture_url: String::new(),
        created: now,
        expires: now + Duration::from_secs(600),
        decided: Some(now),
        acr: Some(format!("urn:qaqpa:acr:{level}")),
        id: id.clone(),
    };
    scene.house.verifications.insert(verification).await?;
    let told = broker::read(broker, client, id.as_str(), now).await;
    let (_, body) = told.map_err(|_| TrialError::new("the identity result could not be made"))?;
    let signed = body.get("result").and_then(Value::as_str);
    signed.map(str::to_owned).ok_or_else(|| TrialError::new("the identity result could not be made"))
}

// A name for a certificate that nobody has to make: all that is known of one is its hash and its names.
fn certificate_thumbprint(client: &ClientId) -> [u8; 32] {
    sha256(client.as_str().as_bytes())
}

fn certificate(thumbprint: [u8; 32], client: &Client) -> Arc<PeerCertificate> {
    let mut names = CertificateNames::default();
    if let ClientAuthentication::TlsClientAuth(name) = &client.authentication {
        match name.clone() {
            CertificateName::SanDns(name) => names.dns.push(name),
            CertificateName::SanUri(name) => names.uris.push(name),
            CertificateName::SanIp(address) => names.addresses.push(address),
            CertificateName::SanEmail(name) => names.emails.push(name),
            CertificateName::SubjectDn(name) => names.subject = Some(name),
        }
    }
    Arc::new(PeerCertificate::from_handshake(thumbprint, names, ChainVerdict::Verified(Arc::from("trial"))))
}

// What the gateway would have told the client to name in its proofs.
fn nonce(scene: &Scene<'_>, client: &Client, realm: Realm) -> Option<String> {
    let keyed = |message: &[u8]| scene.house.sealer.keyed_hash(NONCES, message);
    let nonces = Nonces { keyed: &keyed, realm, client: &client.id, required: client.oauth.nonce };
    client.oauth.nonce.then(|| nonces.current(scene.now()))
}

fn proof(
    key: &SigningKey,
    request: (&str, &str),
    (token, nonce): (Option<&str>, Option<String>),
    now: Timestamp,
) -> Result<String, TrialError> {
    let (method, target) = request;
    let mut claims = json!({"jti": entropy::token_128bit(), "htm": method, "htu": target, "iat": now.seconds()});
    if let Some(members) = claims.as_object_mut() {
        members.extend(token.map(|token| ("ath".to_owned(), json!(base64url(&sha256(token.as_bytes()))))));
        members.extend(nonce.map(|nonce| ("nonce".to_owned(), json!(nonce))));
    }
    let mut public = key.verifying_key().to_jwk();
    if let Some(members) = public.as_object_mut() {
        members.retain(|name, _| matches!(name.as_str(), "kty" | "crv" | "x" | "y"));
    }
    Ok(encode("dpop+jwt", &claims, Some(public), key)?)
}
