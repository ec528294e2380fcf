//! One call of a trial: drafted, signed, sent through the stack, and what came of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::keys::Subjects;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use policies::audit::{Facts, Record, RecordKind, Step};
use policies::case::{Backend, Given, TokenFault};
use policies::facts::Security;
use policies::peer::{Peer, PeerCertificate};
use policies::rulebook::{Client, ScopeSet, TokenBinding};
use policies::time::Timestamp;
use policies::token::Citizen;
use serde_json::{Value, json};
use spine::Reply;
use spine::error::name_of;
use spine::stage::{Arrived, Door};

use super::called::Called;
use super::caller::{self, Credentials};
use super::consented::Asked;
use super::error::TrialError;
use super::request::Draft;
use super::scene::{Scene, Staged};
use super::script::Play;
use super::trial::Trial;
use crate::layer::assess::IDENTITY_RESULT;
use crate::own::Own;

/// The decisions of stages that are no refusal.
const PASSES: [&str; 2] = ["pass", "replay"];

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// The body, if it is JSON.
    pub json: Option<Value>,
    /// The body as it came.
    pub body: Bytes,
    /// What the service behind it would have answered.
    pub scripted: Bytes,
    /// How often the service behind it was asked.
    pub asked: u32,
    /// What the stages decided; empty if it did not come as far as the trail.
    pub steps: Vec<Step>,
    /// What the rules judged.
    pub facts: Facts,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Returns the name of the problem: the last part of its type, or the error of an OAuth answer.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        let body = self.json.as_ref().filter(|_| self.status >= 400)?;
        let told = body.get("type").and_then(Value::as_str).and_then(name_of);
        told.or_else(|| body.get("error").and_then(Value::as_str))
    }

    /// Returns the stage that refused; none if none did.
    #[must_use]
    pub fn stage(&self) -> Option<&'static str> {
        if self.steps.is_empty() {
            return (self.status >= 400).then_some("guard");
        }
        // What the backend says is no refusal of ours; what we say in its place is that of the deed.
        self.problem()?;
        let refused = self.steps.iter().find(|step| !PASSES.contains(&step.decision));
        Some(refused.map_or("deed", |step| step.stage))
    }

    /// Returns every stage with what it decided.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, &'static str)> {
        self.steps.iter().map(|step| (step.stage, step.decision)).collect()
    }

    /// Tells the answer in a few lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let words = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut lines = vec![format!("{} {}", self.status, words.unwrap_or_default()).trim_end().to_owned()];
        let text = |name: &str| self.json.as_ref().and_then(|body| body.get(name)).and_then(Value::as_str);
        if let Some(problem) = self.problem() {
            lines.push(format!("problem: {problem}"));
        }
        if let Some(detail) = text("detail").or_else(|| text("error_description")) {
            lines.push(detail.to_owned());
        }
        let faults = self.json.as_ref().and_then(|body| body.get("errors").or_else(|| body.get("faults")));
        for fault in faults.and_then(Value::as_array).into_iter().flatten() {
            let member = |name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default();
            lines.push(format!("{} {}: {}", member("pointer"), member("keyword"), member("message")));
        }
        lines
    }
}

/// A call that is answered, and whose answer is not read yet.
pub(super) struct Begun {
    reply: Reply,
    staged: Staged,
    scripted: Bytes,
    began: Instant,
}

impl Begun {
    /// Reads the answer to its end.
    async fn end(self, scene: &Scene<'_>) -> Result<Outcome, TrialError> {
        let (head, body) = self.reply.into_parts();
        let body = body.collect().await.map_err(TrialError::new)?.to_bytes();
        let took = self.began.elapsed();
        let text = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let (steps, facts) = recorded(scene.house.audit.take());
        Ok(Outcome {
            status: head.status.as_u16(),
            content_type: text.map(str::to_owned),
            json: serde_json::from_slice(&body).ok(),
            body,
            scripted: self.scripted,
            asked: self.staged.script.asked(),
            steps,
            facts,
            took,
        })
    }
}

impl Trial {
    /// Makes one call on a house of its own.
    ///
    /// # Errors
    /// If the call cannot be made at all.
    pub async fn describe(&self, given: &Given, at: Timestamp) -> Result<Outcome, TrialError> {
        self.call(&Scene::new(&self.stage, at), given, None).await
    }

    /// Makes a call on a house where `before` was answered last.
    pub(super) async fn call(
        &self,
        scene: &Scene<'_>,
        given: &Given,
        before: Option<&Value>,
    ) -> Result<Outcome, TrialError> {
        self.begin(scene, given, before).await?.end(scene).await
    }

    /// Makes a call whose answer is not read yet: until it is, or is dropped, the call is under way.
    pub(super) async fn begin(
        &self,
        scene: &Scene<'_>,
        given: &Given,
        before: Option<&Value>,
    ) -> Result<Begun, TrialError> {
        let called = called(scene, given)?;
        let binding = match (&given.verified, self.client(given)) {
            (Some(_), Some(_)) => self.challenged(scene, given, before).await?,
            _ => None,
        };
        self.send(scene, given, before, called, binding).await
    }

    async fn send(
        &self,
        scene: &Scene<'_>,
        given: &Given,
        before: Option<&Value>,
        called: Called<'_>,
        binding: Option<String>,
    ) -> Result<Begun, TrialError> {
        let play = play(scene, called, given)?;
        let scripted = match &play {
            Play::Answers { body, .. } => body.clone(),
            Play::Down | Play::Silent => Bytes::new(),
        };
        let staged = scene.stack(play).ok_or_else(|| TrialError::new("the backends cannot be scripted"))?;
        let mut draft = Draft::of(called, given, before, &scene.house.new_reference())?;
        let door = self.door(given, called);
        let entrance = scene.stage.door(door);
        let citizen = match self.client(given).filter(|_| called.security() == Security::AccessToken) {
            Some(client) => {
                let (need, operation) = (called.consent(), called.operation);
                let asked = Asked { need, operation, draft: &draft, scripted: &scripted };
                asked.citizen(scene, client, given.consent).await?
            }
            None => None,
        };
        let credentials = self.credentials(scene, (given, citizen), called, &entrance.external, &mut draft)?;
        if let (Some(level), Some(client)) = (&given.verified, self.client(given)) {
            let keyring = scene.house.keyring.now();
            let broker = broker::Broker {
                offered: &staged.stack().generation().rulebook.providers,
                providers: &staged.stack().reach().providers,
                verifications: &*scene.house.verifications,
                sealer: &scene.house.sealer,
                subjects: Subjects::new(&scene.house.sealer, &*scene.house.subject_keys),
                signer: keyring.signer(),
                issuer: &scene.house.issuer,
                external: &scene.house.external,
            };
            draft.set(IDENTITY_RESULT, &caller::identity(scene, &broker, client, level, binding).await?);
        }
        // What the case says itself comes last: it may be wrong on purpose.
        let said = |name: &str| {
            given.parameters.iter().any(|(known, _)| known.trim_start_matches("header:").eq_ignore_ascii_case(name))
        };
        for (name, value) in credentials.headers.iter().filter(|(name, _)| !said(name)) {
            draft.set(name, value);
        }
        let host = entrance.hosts.first().map(String::as_str).unwrap_or_default();
        let request = draft.request(host)?;
        let peer = Peer { address: self.address(given), ..peer(credentials.certificate) };
        let began = Instant::now();
        let reply = staged.answer(Arrived { request, peer, entrance, worker: 0 }).await;
        let reply = reply.unwrap_or_else(|never| match never {});
        Ok(Begun { reply, staged, scripted, began })
    }

    /// Asks on another house what the very same request would have to be verified for: the gateway's own word binds it.
    async fn challenged(
        &self,
        scene: &Scene<'_>,
        given: &Given,
        before: Option<&Value>,
    ) -> Result<Option<String>, TrialError> {
        let called = called(scene, given)?;
        let aside = Scene::new(scene.stage, scene.now());
        let plain = Given { verified: None, token: None, backend: Backend::Down, ..given.clone() };
        let outcome = Box::pin(self.send(&aside, &plain, before, called, None)).await?.end(&aside).await?;
        let hash = outcome.json.as_ref().and_then(|body| body.pointer("/step_up/binding/hash")).and_then(Value::as_str);
        Ok(hash.map(str::to_owned))
    }

    pub(super) fn client(&self, given: &Given) -> Option<&Arc<Client>> {
        // The parties do not change with time.
        self.generation().rulebook.clients.get(given.client.as_ref()?)
    }

    fn door(&self, given: &Given, called: Called<'_>) -> Door {
        if called.is_for_administrators() {
            return Door::Admin;
        }
        let by_certificate = self.client(given).is_some_and(|client| client.binding == TokenBinding::Mtls);
        if by_certificate { Door::MtlsApi } else { Door::Api }
    }

    fn address(&self, given: &Given) -> std::net::IpAddr {
        let networks = self.client(given).map(|client| client.organisation.networks.as_slice()).unwrap_or_default();
        let first = networks.first().map(|range| range.first());
        // Documentation addresses (RFC 5737): nobody's.
        given.peer.or(first).unwrap_or(std::net::IpAddr::from([192, 0, 2, 1]))
    }

    fn credentials(
        &self,
        scene: &Scene<'_>,
        (given, citizen): (&Given, Option<Citizen>),
        called: Called<'_>,
        external: &str,
        draft: &mut Draft,
    ) -> Result<Credentials, TrialError> {
        let target = format!("{external}{}", draft.path);
        let method = draft.method.clone();
        match called.security() {
            Security::Administrator => Ok(self.administrator(given)),
            Security::SignedCallback => {
                let provider = given.parameters.iter().find(|(name, _)| name == "provider");
                let provider = provider.map(|(_, value)| value.as_str());
                let shown = provider.or_else(|| draft.path.rsplit('/').next()).unwrap_or_default();
                let headers = caller::callback(scene, shown, given.token, &draft.body);
                Ok(Credentials { headers, certificate: None })
            }
            Security::ClientAuthentication => {
                let Some(client) = self.client(given) else { return Ok(Credentials::default()) };
                let (form, credentials) = self.keys.authentication(scene, client, given.token, (&method, &target))?;
                draft.extend_form(form);
                Ok(credentials)
            }
            Security::Public | Security::AccessToken => {
                let Some(client) = self.client(given).filter(|_| given.token != Some(TokenFault::Missing)) else {
                    return Ok(Credentials::default());
                };
                let named = given.scopes.as_ref().map(|scopes| ScopeSet::of(scopes.iter().map(String::as_str)));
                let scopes = named.unwrap_or_else(|| called.scopes(client));
                self.keys.token(scene, client, (&scopes, citizen), given.token, (&method, &target))
            }
        }
    }

    fn administrator(&self, given: &Given) -> Credentials {
        let token = given.administrator.as_ref().and_then(|roles| self.administrators.get(roles));
        let token = token.filter(|_| given.token != Some(TokenFault::Missing));
        let shown = token.map(|token| match given.token {
            None => token.clone(),
            Some(_) => token.chars().rev().collect(),
        });
        let headers = shown.map(|token| ("authorization", format!("Bearer {token}"))).into_iter().collect();
        Credentials { headers, certificate: None }
    }
}

fn peer(certificate: Option<Arc<PeerCertificate>>) -> Peer {
    Peer { address: std::net::IpAddr::from([192, 0, 2, 1]), certificate }
}

fn called<'s>(scene: &'s Scene<'_>, given: &Given) -> Result<Called<'s>, TrialError> {
    let id = &given.operation;
    Called::find(scene.generation(), id.as_str())
        .ok_or_else(|| TrialError::new(format!("no contract describes the operation `{id}`")))
}

fn play(scene: &Scene<'_>, called: Called<'_>, given: &Given) -> Result<Play, TrialError> {
    let (status, body) = match &given.backend {
        Backend::Down => return Ok(Play::Down),
        Backend::Silent => return Ok(Play::Silent),
        Backend::Answers { status, body } => (*status, body.clone()),
    };
    let json = HeaderValue::from_static("application/json");
    let told = |status: u16| StatusCode::from_u16(status).map_err(TrialError::new);
    // Behind our own operations stand identity providers.
    if let Some(own) = called.own() {
        let capture = "https://identity.trial.invalid/capture";
        let session = || json!({"session": scene.session(), "captureUrl": capture});
        let body = if own == Own::CreateVerification { body.unwrap_or_else(session) } else { Value::Null };
        let body = Bytes::from(body.to_string());
        return Ok(Play::Answers { status: told(status.unwrap_or(201))?, content_type: Some(json), body });
    }
    let example = called.operation.example_response();
    let usual = example.as_ref().map_or(200, |example| example.status);
    let status = status.unwrap_or(usual);
    let (content_type, body) = match (body, example) {
        (Some(Value::Null), _) => (None, Bytes::new()),
        (Some(body), _) => (Some(json), Bytes::from(body.to_string())),
        // The example shows a success; a refusal of a backend has no body that anybody could know.
        (None, Some(example)) if status == usual => {
            let media = example.content_type.map(|media| HeaderValue::from_str(&media)).transpose();
            (media.map_err(TrialError::new)?, Bytes::from(example.body))
        }
        (None, _) => (Some(json), Bytes::from_static(b"{}")),
    };
    Ok(Play::Answers { status: told(status)?, content_type, body })
}

// The outcome record has every step; an intent that came before has some of them.
fn recorded(records: Vec<Record>) -> (Vec<Step>, Facts) {
    let last = records.into_iter().rfind(|record| record.kind == RecordKind::Outcome);
    last.map(|record| (record.steps, record.facts)).unwrap_or_default()
}
