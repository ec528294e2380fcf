//! What a client sends to the authorization server to act for a citizen: pushed requests, codes, refresh tokens.

use policies::authorization::{AuthorizationCode, Grant};
use policies::consent::{Consent, Person, SharedAccount, choose};
use policies::details::Detail;
use policies::id::{ClientId, ConsentId, GrantId};
use policies::national::iban::Iban;
use policies::party::ScopeSet;
use policies::time::Timestamp;
use serde_json::{Value, json};
use spine::stage::Door;

use adapters::authorizations::{Batch, Found, consent_key, find};
use adapters::entropy;

use super::app::{ASSERTION_TYPE, App, Session, fresh};
use super::key::{base64url, sha256};
use crate::world::{Answer, Ask, World};

/// Where newcomers have citizens sent back to.
pub const CALLBACK: &str = "https://app.example/callback";

/// A PKCE pair (RFC 7636).
#[derive(Debug, Clone)]
pub struct Pkce {
    /// What is told at the token endpoint.
    pub verifier: String,
    /// What is told before.
    pub challenge: String,
}

impl Pkce {
    /// Makes a new one.
    #[must_use]
    pub fn fresh() -> Self {
        let verifier = base64url(&sha256(fresh("verifier").as_bytes()));
        Self { challenge: base64url(&sha256(verifier.as_bytes())), verifier }
    }
}

/// Fields of a form, one of which can be left out or changed.
#[derive(Debug, Clone)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// Words a right authorization request for consents that were made before.
    #[must_use]
    pub fn pushed(redirect_uri: &str, scope: &str, pkce: &Pkce, details: &Value) -> Self {
        let fields = [
            ("response_type", "code"),
            ("redirect_uri", redirect_uri),
            ("scope", scope),
            ("code_challenge", &pkce.challenge),
            ("code_challenge_method", "S256"),
            ("state", "as I was"),
            ("authorization_details", &details.to_string()),
        ];
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    }

    /// Words a right redemption of a code.
    #[must_use]
    pub fn redemption(redirect_uri: &str, code: &str, verifier: &str) -> Self {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        Self(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    }

    /// Changes a field, or adds it.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// Leaves a field out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }
}

impl App {
    /// Makes up a client that sends citizens to us, with the policy that registers it.
    #[must_use]
    pub fn for_citizens(id: &str) -> (Self, String) {
        let app = Self::newcomer(id);
        let scopes = [
            "accounts:read",
            "balances:read",
            "transactions:read",
            "payments:write",
            "payments:read",
            "consents:write",
        ];
        let policy = app.policy("demo-fintech", &scopes, &format!("redirectUris: [\"{CALLBACK}\"]"));
        (app, policy)
    }

    /// Words a form in which the client authenticates itself, without a proof.
    #[must_use]
    pub fn form_ask(&self, world: &World, path: &str, fields: &Fields) -> Ask {
        let mut form: Vec<(&str, &str)> =
            fields.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        match &self.key {
            Some(key) => {
                let assertion = self.assertion(world).sign(key);
                form.push(("client_assertion_type", ASSERTION_TYPE));
                form.push(("client_assertion", &assertion));
                Ask::post(path).form(&form)
            }
            None => {
                form.push(("client_id", &self.id));
                Ask::post(path).at(Door::MtlsApi).form(&form).showing(self.certificate.as_ref().unwrap())
            }
        }
    }

    /// Adds a right proof for where a form goes.
    #[must_use]
    pub fn with_proof(&self, world: &World, ask: Ask) -> Ask {
        if self.key.is_none() {
            return ask;
        }
        let url = format!("{}{}", world.external(ask.door), ask.path());
        let proof = self.proof(world, ask.method.as_str(), &url, None).sign(&self.proof_key);
        ask.with("dpop", proof)
    }

    /// Pushes an authorization request.
    pub async fn push(&self, world: &World, fields: &Fields) -> Answer {
        world.send(self.form_ask(world, "/oauth/par", fields)).await
    }

    /// Asks for a token, with a proof.
    pub async fn ask_token(&self, world: &World, fields: &Fields) -> Answer {
        world.send(self.with_proof(world, self.form_ask(world, "/oauth/token", fields))).await
    }

    /// Redeems a code.
    pub async fn redeem(&self, world: &World, code: &str, pkce: &Pkce) -> Answer {
        self.ask_token(world, &Fields::redemption(CALLBACK, code, &pkce.verifier)).await
    }

    /// Uses a refresh token.
    pub async fn refresh(&self, world: &World, token: &str) -> Answer {
        let fields = Fields(Vec::new()).set("grant_type", "refresh_token").set("refresh_token", token);
        self.ask_token(world, &fields).await
    }

    /// Asks what a token is worth.
    pub async fn introspect(&self, world: &World, token: &str) -> Answer {
        world.send(self.form_ask(world, "/oauth/introspect", &Fields(Vec::new()).set("token", token))).await
    }

    /// Gives a token back.
    pub async fn revoke(&self, world: &World, token: &str) -> Answer {
        world.send(self.form_ask(world, "/oauth/revoke", &Fields(Vec::new()).set("token", token))).await
    }

    /// Acts with a token.
    #[must_use]
    pub fn with_token(self, world: &World, token: impl Into<String>) -> Session<'_> {
        Session { world, app: self, token: token.into() }
    }

    /// Returns the same client once more, with the same keys.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            id: self.id.clone(),
            key: self.key.as_ref().map(super::Key::copy),
            kid: self.kid.clone(),
            proof_key: self.proof_key.copy(),
            certificate: self.certificate.clone(),
        }
    }
}

impl Session<'_> {
    /// Makes a consent; gives its id.
    pub async fn consent(&self, path: &str, body: &Value) -> String {
        let answer = self.post(path, &fresh("consent"), body).await;
        answer.succeeded(201).at("/consentId")
    }

    /// Ends something.
    pub async fn delete(&self, target: &str) -> Answer {
        self.send(Ask::new("DELETE", target)).await
    }
}

/// What a citizen has granted, without having been asked: put into the store as the authorization page would.
#[derive(Debug)]
pub struct Granted {
    /// The code.
    pub code: String,
    /// What redeems it.
    pub pkce: Pkce,
    /// The grant.
    pub grant: GrantId,
}

/// Puts the grant of an awaiting consent, and a code for it, into the store; `jkt` is the key that the code is bound to.
pub async fn grant_directly(world: &World, client: &str, consent: &str, scope: &str) -> Granted {
    let (house, now) = (&world.assembled().house, world.now());
    let found: Found<Consent> =
        find(&*house.authorizations, &consent_key(&ConsentId::parse(consent).unwrap())).await.unwrap().unwrap();
    let grant = GrantId::parse(&entropy::uuid_v7(now)).unwrap();
    let pkce = Pkce::fresh();
    let code = base64url(&entropy::random::<32>());
    let authorised = authorised(&found.value, &grant, now);
    let entry = Grant {
        id: grant.clone(),
        client: ClientId::parse(client).unwrap(),
        subject: "citizen:in-a-test".to_owned(),
        scopes: ScopeSet::parse(scope).unwrap(),
        details: vec![Detail::of(&authorised).unwrap()],
        acr: "urn:qaqpa:acr:L2".to_owned(),
        authenticated: now,
        expires: authorised.expires,
        revoked: false,
    };
    let kept = AuthorizationCode {
        key: sha256(code.as_bytes()).try_into().unwrap(),
        client: ClientId::parse(client).unwrap(),
        redirect_uri: CALLBACK.to_owned(),
        challenge: pkce.challenge.clone(),
        jkt: None,
        grant: grant.clone(),
        expires: now + std::time::Duration::from_secs(60),
        redeemed: false,
    };
    let batch = Batch::new().replace(&found, &authorised).add(&entry).add(&kept);
    assert!(batch.commit(&*house.authorizations, now).await.unwrap());
    Granted { code, pkce, grant }
}

fn authorised(consent: &Consent, grant: &GrantId, now: Timestamp) -> Consent {
    let customer = &sandbox::personas::customers()[0];
    let own = sandbox::personas::accounts().into_iter().filter(|account| account.owner == customer.iin);
    let accounts: Vec<SharedAccount> = own
        .map(|account| SharedAccount { id: account.id.to_string(), iban: Iban::parse(account.iban.as_str()).unwrap() })
        .collect();
    let choice = choose(&consent.terms, &accounts, &[&accounts[0].id]).unwrap();
    consent.authorise(choice, Person { index: [7; 32], sealed: Vec::new() }, grant.clone(), now).unwrap()
}

/// Names a consent in `authorization_details`.
#[must_use]
pub fn detail(kind: &str, consent: &str) -> Value {
    json!([{"type": kind, "consentId": consent}])
}
