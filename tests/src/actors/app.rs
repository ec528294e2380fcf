//! Clients of the gateway.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use spine::stage::Door;

use super::certificate::Certificate;
use super::jws::Jws;
use super::key::{Key, base64url, sha256};
use crate::world::{Answer, Ask, World};

/// What names a client assertion in a form (RFC 7523).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Returns a text that no other call returns: for `jti` and idempotency keys.
#[must_use]
pub fn fresh(what: &str) -> String {
    format!("{what}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A client with everything it needs to act.
#[derive(Debug)]
pub struct App {
    /// Its id.
    pub id: String,
    /// Signs assertions; none if it authenticates by certificate.
    pub key: Option<Key>,
    /// The `kid` of that key.
    pub kid: String,
    /// Signs proofs.
    pub proof_key: Key,
    /// Its certificate, if it has one.
    pub certificate: Option<Arc<Certificate>>,
}

impl App {
    /// Takes the role of a client of the sandbox.
    #[must_use]
    pub fn of(world: &World, id: &str) -> Self {
        let clients = world.tells()["clients"].as_array().unwrap();
        let record =
            clients.iter().find(|record| record["client_id"] == id).unwrap_or_else(|| panic!("no client {id}"));
        let jwk = record.get("jwk_private").filter(|jwk| !jwk.is_null());
        let file = |name: &str| record[name].as_str().map(Path::new);
        let certificate = file("mtls_cert").zip(file("mtls_key"));
        Self {
            id: id.to_owned(),
            key: jwk.map(Key::from_jwk),
            kid: jwk.and_then(|jwk| jwk["kid"].as_str()).unwrap_or_default().to_owned(),
            proof_key: Key::es256(),
            certificate: certificate
                .map(|(certificate, key)| Certificate::vouched(certificate, key, &format!("{id}.sandbox.qaqpa"))),
        }
    }

    /// Makes up a client that the sandbox does not know; [`App::policy`] registers it.
    #[must_use]
    pub fn newcomer(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            key: Some(Key::es256()),
            kid: format!("{id}-1"),
            proof_key: Key::es256(),
            certificate: None,
        }
    }

    /// Writes the policy file that registers it with an organisation; `more` are further lines of its entry.
    #[must_use]
    pub fn policy(&self, organisation: &str, scopes: &[&str], more: &str) -> String {
        let mut jwk = self.key().public_jwk();
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.key().algorithm());
        let more = if more.is_empty() { String::new() } else { format!("    {more}\n") };
        // One that sends no citizen to us has their consents elsewhere.
        let held = if more.contains("redirectUris") { "" } else { "    consents: organisation\n" };
        format!(
            "qaqpa: v1\nclients:\n  {id}:\n    organisation: {organisation}\n    plan: standard\n    \
             authentication: private_key_jwt\n    keys: [{jwk}]\n    tokens: {{bind: dpop}}\n    scopes: {scopes}\n{held}{more}",
            id = self.id,
            scopes = json!(scopes),
        )
    }

    /// Returns the key that signs assertions.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.key.as_ref().unwrap()
    }

    /// Returns the door it comes through.
    #[must_use]
    pub fn door(&self) -> Door {
        if self.certificate.is_some() { Door::MtlsApi } else { Door::Api }
    }

    /// Words a right client assertion.
    #[must_use]
    pub fn assertion(&self, world: &World) -> Jws {
        let now = world.seconds();
        let claims = json!({
            "iss": self.id, "sub": self.id, "aud": world.issuer(), "jti": fresh("assertion"), "iat": now, "exp": now + 60,
        });
        Jws::new(json!({"alg": self.key().algorithm(), "kid": self.kid, "typ": "JWT"}), claims)
    }

    /// Words a right proof.
    #[must_use]
    pub fn proof(&self, world: &World, method: &str, url: &str, token: Option<&str>) -> Jws {
        let key = &self.proof_key;
        let header = json!({"typ": "dpop+jwt", "alg": key.algorithm(), "jwk": key.public_jwk()});
        let claims = json!({"jti": fresh("proof"), "htm": method, "htu": url, "iat": world.seconds()});
        let proof = Jws::new(header, claims);
        match token {
            None => proof,
            Some(token) => proof.set("ath", base64url(&sha256(token.as_bytes()))),
        }
    }

    /// Words a right request for a token; without `scope`, for everything the client may have.
    #[must_use]
    pub fn token_ask(&self, world: &World, scope: Option<&str>) -> Ask {
        match &self.key {
            Some(key) => {
                let assertion = self.assertion(world).sign(key);
                let ask = self.token_ask_with(&assertion, scope);
                let url = format!("{}/oauth/token", world.external(Door::Api));
                ask.with("dpop", self.proof(world, "POST", &url, None).sign(&self.proof_key))
            }
            None => {
                let mut form = vec![("grant_type", "client_credentials"), ("client_id", self.id.as_str())];
                form.extend(scope.map(|scope| ("scope", scope)));
                Ask::post("/oauth/token").at(Door::MtlsApi).form(&form).showing(self.certificate.as_ref().unwrap())
            }
        }
    }

    /// Words a request for a token with this assertion and without a proof.
    #[must_use]
    pub fn token_ask_with(&self, assertion: &str, scope: Option<&str>) -> Ask {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ];
        form.extend(scope.map(|scope| ("scope", scope)));
        Ask::post("/oauth/token").form(&form)
    }

    /// Gets a token and is ready to call.
    pub async fn session<'w>(self, world: &'w World, scope: Option<&str>) -> Session<'w> {
        let answer = world.send(self.token_ask(world, scope)).await;
        answer.succeeded(200);
        Session { world, token: answer.at("/access_token"), app: self }
    }
}

/// A client with its token.
#[derive(Debug)]
pub struct Session<'w> {
    /// Where it acts.
    pub world: &'w World,
    /// Who it is.
    pub app: App,
    /// Its token.
    pub token: String,
}

impl<'w> Session<'w> {
    /// Begins a session of a client with all it may have.
    pub async fn of(world: &'w World, client: &str) -> Session<'w> {
        App::of(world, client).session(world, None).await
    }

    /// Adds the token, and a proof or certificate; headers that are there stay as they are.
    #[must_use]
    pub fn dress(&self, ask: Ask) -> Ask {
        match &self.app.certificate {
            Some(certificate) => {
                let ask = ask.at(Door::MtlsApi).showing(certificate);
                if ask.has("authorization") { ask } else { ask.with("authorization", format!("Bearer {}", self.token)) }
            }
            None => {
                let ask = if ask.has("authorization") {
                    ask
                } else {
                    ask.with("authorization", format!("DPoP {}", self.token))
                };
                if ask.has("dpop") {
                    return ask;
                }
                let proof = self.proof(&ask).sign(&self.app.proof_key);
                ask.with("dpop", proof)
            }
        }
    }

    /// Words a right proof for a request.
    #[must_use]
    pub fn proof(&self, ask: &Ask) -> Jws {
        let url = format!("{}{}", self.world.external(ask.door), ask.path());
        self.app.proof(self.world, ask.method.as_str(), &url, Some(&self.token))
    }

    /// Sends a request with the token.
    pub async fn send(&self, ask: Ask) -> Answer {
        self.world.send(self.dress(ask)).await
    }

    /// Reads something.
    pub async fn get(&self, target: &str) -> Answer {
        self.send(Ask::get(target)).await
    }

    /// Asks for something to be done once.
    pub async fn post(&self, target: &str, key: &str, body: &Value) -> Answer {
        self.send(Ask::post(target).with("x-idempotency-key", key).json(body)).await
    }

    /// Asks for a payment.
    pub async fn pay(&self, key: &str, payment: &Value) -> Answer {
        self.post("/v1/domestic-payments", key, payment).await
    }
}
