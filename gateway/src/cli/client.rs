//! A client of the gateway for people: it finds the running sandbox, gets tokens, proves possession, and keeps every
//! exchange as it was on the wire, so that it can be told.
//!
//! It speaks to the gateway over sockets as any fintech would, and must never know anything of its inside.

mod records;
mod signed;
mod wire;

use std::fmt;

use adapters::keys::SigningKey;
use policies::jose::{self, Algorithm};
use policies::secret::Secret;
use serde_json::Value;

pub use records::{
    SANDBOX_FILE, SANDBOX_FILE_VERSION, STATE, SandboxAdmin, SandboxClient, SandboxFile, SandboxPaths, SandboxProvider,
    SandboxSubject,
};
use signed::{ClientKey, assertion, proof};
pub use wire::{ANSWER_BYTES_MAX, CONNECT_TIME_MAX, Client, EXCHANGE_TIME_MAX, Exchange, Question};

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
        let with_certificate = self.binding == Binding::Mtls || self.assertion_key.is_none();
        let base = if with_certificate { &self.mtls_api } else { &self.issuer };
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        if let Some(scope) = scope {
            form.push(("scope", scope.to_owned()));
        }
        match &self.assertion_key {
            Some(key) => {
                form.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
                form.push(("client_assertion", assertion(key, &self.record.client_id, &self.issuer)?));
            }
            None => form.push(("client_id", self.record.client_id.clone())),
        }
        let mut question = Question::new("POST", "/oauth/token")
            .with("content-type", "application/x-www-form-urlencoded")
            .carrying(encode_form(&form).into_bytes());
        if self.binding == Binding::Dpop {
            question = question.with("dpop", &proof(&self.proof_key, "POST", &format!("{base}/oauth/token"), None)?);
        }
        self.line.send(base, &question).await
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
#[derive(Debug)]
pub struct Session<'a> {
    actor: &'a Actor,
    token: Secret<String>,
}

impl Session<'_> {
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
    pub fn actor(&self) -> &Actor {
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
            let proof = proof(&self.actor.proof_key, &question.method, &target, Some(self.token.expose()))?;
            dressed = dressed.with("dpop", &proof);
        }
        Ok(dressed)
    }

    /// Sends a request with the token and a new proof.
    ///
    /// # Errors
    /// As [`Client::send`] and [`Session::dress`].
    pub async fn ask(&self, question: &Question) -> Result<Exchange, String> {
        self.actor.line.send(self.base(), &self.dress(question)?).await
    }

    /// Sends a request as it is, over the client's own connection.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn ask_as_is(&self, question: &Question) -> Result<Exchange, String> {
        self.actor.line.send(self.base(), question).await
    }
}

fn encode_form(fields: &[(&str, String)]) -> String {
    let encode = |text: &str| {
        let mut out = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
                b' ' => out.push('+'),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
        out
    };
    fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_escapes_what_would_end_a_field() {
        assert_eq!(encode_form(&[("scope", "a:b c&d=é".to_owned())]), "scope=a%3Ab+c%26d%3D%C3%A9");
    }
}
