//! A client of the gateway for people: it finds the running sandbox, gets tokens, proves possession, and keeps every
//! exchange as it was on the wire, so that it can be told.
//!
//! It speaks to the gateway over sockets as any fintech would, and must never know anything of its inside.

mod citizen;
mod consent;
mod records;
mod signed;
mod wire;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use adapters::keys::SigningKey;
use policies::jose::{self, Algorithm};
use policies::secret::Secret;
use serde_json::{Value, json};

pub use citizen::{Citizen, Decision, Visit};
pub use consent::{Consent, Pkce};
pub use records::{
    SANDBOX_FILE, SANDBOX_FILE_VERSION, STATE, SandboxAdmin, SandboxClient, SandboxFile, SandboxPaths, SandboxProvider,
    SandboxSubject,
};
use signed::{ClientKey, assertion, proof};
pub use wire::{ANSWER_BYTES_MAX, CONNECT_TIME_MAX, Client, EXCHANGE_TIME_MAX, Exchange, Question, encode_form};

const TOKEN: &str = "/oauth/token";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a token is bound to who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// To a key, by DPoP (RFC 9449).
    Dpop,
    /// To a certificate (RFC 8705).
    Mtls,
}

/// A client of the sandbox, ready to act.
pub struct Actor {
    record: SandboxClient,
    issuer: String,
    api: String,
    mtls_api: String,
    binding: Binding,
    line: Client,
    // Signs assertions; none for clients that authenticate by certificate.
    assertion_key: Option<ClientKey>,
    // Signs proofs: a new key each time, since nobody needs to know it beforehand.
    proof_key: SigningKey,
    // What the server wants to see in the next proof, if it wants anything.
    nonce: Mutex<Option<String>>,
}

impl Actor {
    /// Makes ready the client of `record`; by default its tokens are bound the way it authenticates.
    ///
    /// # Errors
    /// A sentence for people if a key or certificate is missing or cannot be read.
    pub fn new(sandbox: &SandboxFile, record: &SandboxClient, binding: Option<Binding>) -> Result<Self, String> {
        let by_certificate = record.auth != "private_key_jwt";
        let binding = binding.unwrap_or(if by_certificate { Binding::Mtls } else { Binding::Dpop });
        let line = if by_certificate || binding == Binding::Mtls {
            Client::with_certificate(sandbox, record)?
        } else {
            Client::new(sandbox)?
        };
        let assertion_key = match &record.jwk_private {
            Some(jwk) if !by_certificate => Some(ClientKey::from_jwk(jwk)?),
            None if !by_certificate => return Err(format!("The client `{}` has no private key.", record.client_id)),
            _ => None,
        };
        let proof_key = SigningKey::generate(Algorithm::Es256).map_err(|outage| outage.to_string())?;
        Ok(Self {
            record: record.clone(),
            issuer: sandbox.issuer.clone(),
            api: sandbox.api.clone(),
            mtls_api: sandbox.mtls_api.clone(),
            binding,
            line,
            assertion_key,
            proof_key,
            nonce: Mutex::new(None),
        })
    }

    /// Returns what the sandbox tells about the client.
    #[must_use]
    pub fn record(&self) -> &SandboxClient {
        &self.record
    }

    /// Returns how its tokens are bound.
    #[must_use]
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Returns the thumbprint of the key that signs its proofs.
    pub fn proof_thumbprint(&self) -> &str {
        self.proof_key.verifying_key().thumbprint().as_str()
    }

    /// Asks for a token by `client_credentials`; without `scope`, for everything the client may have.
    ///
    /// # Errors
    /// A sentence for people if nobody answers or a key cannot sign; a refusal is an exchange like any other.
    pub async fn request_token(&self, scope: Option<&str>) -> Result<Exchange, String> {
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        if let Some(scope) = scope {
            form.push(("scope", scope.to_owned()));
        }
        self.ask_as_client(TOKEN, &form).await
    }

    /// Pushes the wish to have a consent agreed to (RFC 9126, RFC 9396), and the browser back at `redirect_uri`.
    ///
    /// # Errors
    /// As [`Actor::request_token`].
    pub async fn push(&self, consent: &Consent, redirect_uri: &str, pkce: &Pkce) -> Result<Exchange, String> {
        let details = json!([{"type": consent.detail, "consentId": consent.id}]);
        let form = [
            ("response_type", "code".to_owned()),
            ("redirect_uri", redirect_uri.to_owned()),
            ("state", pkce.state.clone()),
            ("code_challenge", pkce.challenge()),
            ("code_challenge_method", "S256".to_owned()),
            ("authorization_details", details.to_string()),
        ];
        self.ask_as_client("/oauth/par", &form).await
    }

    /// Exchanges a code for a token that speaks for a citizen.
    ///
    /// # Errors
    /// As [`Actor::request_token`].
    pub async fn redeem(&self, code: &str, redirect_uri: &str, pkce: &Pkce) -> Result<Exchange, String> {
        let form = [
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", redirect_uri.to_owned()),
            ("code_verifier", pkce.verifier.expose().clone()),
        ];
        self.ask_as_client(TOKEN, &form).await
    }

    // A form of this client's own: with an assertion or the certificate, and a proof if its tokens are bound by one.
    async fn ask_as_client(&self, path: &str, fields: &[(&str, String)]) -> Result<Exchange, String> {
        let with_certificate = self.binding == Binding::Mtls || self.assertion_key.is_none();
        let base = if with_certificate { &self.mtls_api } else { &self.issuer };
        let once = async || {
            let mut form = fields.to_vec();
            match &self.assertion_key {
                Some(key) => {
                    form.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
                    form.push(("client_assertion", assertion(key, &self.record.client_id, &self.issuer)?));
                }
                None => form.push(("client_id", self.record.client_id.clone())),
            }
            let mut question = Question::new("POST", path)
                .with("content-type", "application/x-www-form-urlencoded")
                .carrying(encode_form(&form).into_bytes());
            if self.binding == Binding::Dpop {
                question = question.with("dpop", &self.proof("POST", &format!("{base}{path}"), None)?);
            }
            self.line.send(base, &question).await
        };
        let exchange = once().await?;
        // A server that wants its nonce in the proof says so and gives it (RFC 9449, section 8).
        if self.heard_nonce(&exchange) && exchange.text("/error").as_deref() == Some("use_dpop_nonce") {
            return once().await;
        }
        Ok(exchange)
    }

    fn proof(&self, method: &str, target: &str, token: Option<&str>) -> Result<String, String> {
        let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
        proof(&self.proof_key, method, target, token, nonce.as_deref())
    }

    // Keeps the nonce of an answer for the next proof; tells whether there was one.
    fn heard_nonce(&self, exchange: &Exchange) -> bool {
        let Some(nonce) = exchange.header("dpop-nonce") else { return false };
        *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        true
    }

    /// Takes the token out of the answer.
    ///
    /// # Errors
    /// A sentence for people if the answer holds none.
    pub fn session(&self, granted: &Exchange) -> Result<Session<'_>, String> {
        let token = granted.text("/access_token").filter(|_| granted.status == 200);
        let token = token.ok_or_else(|| {
            let why = granted.text("/error_description").or_else(|| granted.text("/detail")).unwrap_or_default();
            format!("No token was granted to `{}`: {} {why}", self.record.client_id, granted.status_line())
        })?;
        Ok(Session { actor: self, token: Secret::new(token) })
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").field("record", &self.record).field("binding", &self.binding).finish_non_exhaustive()
    }
}

/// A client with its token.
#[derive(Debug, Clone)]
pub struct Session<'a> {
    actor: &'a Actor,
    token: Secret<String>,
}

impl<'a> Session<'a> {
    /// Returns the base URL that its requests go to.
    #[must_use]
    pub fn base(&self) -> &str {
        match self.actor.binding {
            Binding::Dpop => &self.actor.api,
            Binding::Mtls => &self.actor.mtls_api,
        }
    }

    /// Returns the client.
    #[must_use]
    pub fn actor(&self) -> &'a Actor {
        self.actor
    }

    /// Returns the token as the `authorization` header carries it.
    #[must_use]
    pub fn authorization(&self) -> String {
        match self.actor.binding {
            Binding::Dpop => format!("DPoP {}", self.token.expose()),
            Binding::Mtls => format!("Bearer {}", self.token.expose()),
        }
    }

    /// Reads the token's claims, unchecked: to show them, never to believe them.
    #[must_use]
    pub fn claims(&self) -> Option<Value> {
        let payload = self.token.expose().split('.').nth(1)?;
        serde_json::from_slice(&jose::base64url_decode_strict(payload)?).ok()
    }

    /// Adds the token and, if it is bound to a key, a new proof; headers that are there stay as they are.
    ///
    /// # Errors
    /// A sentence for people if the key cannot sign.
    pub fn dress(&self, question: &Question) -> Result<Question, String> {
        let mut dressed = question.clone();
        if question.header("authorization").is_none() {
            dressed = dressed.with("authorization", &self.authorization());
        }
        if self.actor.binding == Binding::Dpop && question.header("dpop").is_none() {
            let path = question.path.split(['?', '#']).next().unwrap_or_default();
            let target = format!("{}{path}", self.base());
            dressed = dressed.with("dpop", &self.actor.proof(&question.method, &target, Some(self.token.expose()))?);
        }
        Ok(dressed)
    }

    /// Sends a request with the token and a new proof.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Session::dress`].
    pub async fn ask(&self, question: &Question) -> Result<Exchange, String> {
        let exchange = self.actor.line.send(self.base(), &self.dress(question)?).await?;
        let challenged = exchange.header("www-authenticate").is_some_and(|text| text.contains("use_dpop_nonce"));
        if self.actor.heard_nonce(&exchange) && challenged && question.header("dpop").is_none() {
            return self.actor.line.send(self.base(), &self.dress(question)?).await;
        }
        Ok(exchange)
    }

    /// Sends a request as it is, over the client's own connection.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn ask_as_is(&self, question: &Question) -> Result<Exchange, String> {
        self.actor.line.send(self.base(), question).await
    }
}
