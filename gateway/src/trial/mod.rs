//! Calls that are only tried: made through the very stack that serves, on a house of their own, with what a case scripts
//! behind it.
//!
//! What `qaqpa test` and `qaqpa trace` stand on. Nothing is opened, nothing is left: stores and trail are in memory, the
//! clock is moved by hand, connections end inside this process. Must never be given a key, a store or an address of a
//! running gateway.

mod call;
mod caller;
mod cover;
mod judge;
pub mod kept;
mod located;
mod report;
mod request;
mod scene;
mod script;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::entropy;
use adapters::http::trust::Trust;
use adapters::keys::{Keyring, Sealer};
use policies::admin::{AdminEntry, AdminRole};
use policies::case::{Case, Fixtures, Given};
use policies::code::Outage;
use policies::id::{AdminId, ClientId};
use policies::jose::{KeySet, SignError, sha256};
use policies::language::Place;
use policies::rulebook::{Client, ClientAuthentication};
use policies::time::Timestamp;

pub use self::call::Outcome;
pub use self::cover::{Coverage, Rule};
pub use self::located::{Places, Seen};
pub use self::report::{json, junit, text};

use self::caller::Keys;
use self::scene::{Scene, Stage};
use crate::generation::Generation;

/// When a case begins that does not say so: 2026-11-23T10:00:00Z, a Monday; earlier if its client's licence ends before.
pub const START: Timestamp = Timestamp::from_seconds(1_795_428_000);

/// Why a call could not be made at all; no case passes then.
#[derive(Debug)]
pub struct TrialError(String);

impl TrialError {
    fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Outage> for TrialError {
    fn from(outage: Outage) -> Self {
        Self::new(outage)
    }
}

impl From<SignError> for TrialError {
    fn from(error: SignError) -> Self {
        Self::new(error)
    }
}

/// A policy set that calls are tried against.
#[derive(Debug)]
pub struct Trial {
    stage: Stage,
    keys: Keys,
    administrators: HashMap<BTreeSet<AdminRole>, String>,
}

/// What came of one case.
#[derive(Debug)]
pub struct Verdict {
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// How long it took.
    pub took: Duration,
    /// What was not as expected; empty if it passed.
    pub failures: Vec<Failure>,
}

/// A step whose answer was not as expected.
#[derive(Debug)]
pub struct Failure {
    /// Which step, from 1.
    pub step: usize,
    /// Where it stands.
    pub place: Place,
    /// What was expected, and what came instead; one line each.
    pub misses: Vec<String>,
    /// The stages with what they decided, in order.
    pub stages: Vec<(&'static str, &'static str)>,
    /// What the gateway said, in a few lines.
    pub answer: Vec<String>,
}

impl Trial {
    /// Prepares trials of a generation, with the parties of `fixtures` beside its own.
    ///
    /// Clients that authenticate by signature get keys made for the trial: theirs are at home.
    ///
    /// # Errors
    /// If keys cannot be made.
    pub fn prepare(mut generation: Generation, fixtures: &Fixtures) -> Result<Self, TrialError> {
        let keys = Keys::draw()?;
        let known = KeySet::new(vec![keys.own.verifying_key().clone()]).map_err(TrialError::new)?;
        let clients = generation.rulebook.clients.values().chain(fixtures.clients.values());
        let clients: HashMap<ClientId, Arc<Client>> =
            clients.map(|client| (client.id.clone(), armed(client, &known))).collect();
        generation.rulebook.clients = clients;
        let organisations = fixtures.organisations.iter().map(|(id, found)| (id.clone(), Arc::clone(found)));
        generation.rulebook.organisations.extend(organisations);
        let webhooks =
            generation.rulebook.providers.iter().map(|known| (known.id.clone(), entropy::random::<32>().to_vec()));
        let webhooks = webhooks.collect();
        let (entries, administrators) = administrators()?;
        let stage = Stage {
            generation: Arc::new(generation),
            keyring: Keyring::in_memory()?,
            sealer: Arc::new(Sealer::in_memory()?),
            webhooks,
            administrators: entries,
            trust: Trust::nobody()?,
            doors: scene::doors(),
        };
        Ok(Self { stage, keys, administrators })
    }

    /// Returns the generation that is tried.
    #[must_use]
    pub fn generation(&self) -> &Generation {
        &self.stage.generation
    }

    /// Runs a case on a house of its own, and tells what it has covered.
    pub async fn run(&self, case: &Case, coverage: &mut Coverage) -> Verdict {
        let began = Instant::now();
        let start = case.at.unwrap_or_else(|| self.start(case));
        let scene = Scene::new(&self.stage, start);
        let mut failures = Vec::new();
        let mut before = None;
        for (index, step) in case.steps.iter().enumerate() {
            let _ = scene.house.clock.advance(step.after);
            let outcome = self.repeated(&scene, step, before.as_ref(), coverage).await;
            let misses = match &outcome {
                Ok(outcome) => judge::misses(&step.expect, outcome),
                Err(error) => vec![format!("the call could not be made: {error}")],
            };
            if !misses.is_empty() {
                let outcome = outcome.as_ref().ok();
                failures.push(Failure {
                    step: index + 1,
                    place: step.place.clone(),
                    misses,
                    stages: outcome.map(Outcome::stages).unwrap_or_default(),
                    answer: outcome.map(Outcome::lines).unwrap_or_default(),
                });
                // What follows stands on what came before.
                break;
            }
            before = outcome.ok().and_then(|outcome| outcome.json);
        }
        Verdict { name: case.name.clone(), place: case.place.clone(), took: began.elapsed(), failures }
    }

    /// Makes one call on a house of its own.
    ///
    /// # Errors
    /// If the call cannot be made at all.
    pub async fn describe(&self, given: &Given, at: Timestamp) -> Result<Outcome, TrialError> {
        self.call(&Scene::new(&self.stage, at), given, None).await
    }

    async fn repeated(
        &self,
        scene: &Scene<'_>,
        step: &policies::case::Step,
        before: Option<&serde_json::Value>,
        coverage: &mut Coverage,
    ) -> Result<Outcome, TrialError> {
        let mut last = Err(TrialError::new("it is made no time"));
        for _ in 0..step.repeat {
            let outcome = self.call(scene, &step.given, before).await?;
            coverage.note(&self.stage.generation.rulebook, &step.given, &outcome);
            last = Ok(outcome);
        }
        last
    }

    // On a day that the licence covers.
    fn start(&self, case: &Case) -> Timestamp {
        let clients = case.steps.iter().filter_map(|step| step.given.client.as_ref());
        let ends =
            clients.filter_map(|id| Some(self.stage.generation.rulebook.clients.get(id)?.organisation.licence_ends));
        let last = ends.min().unwrap_or(Timestamp::MAX);
        if START < last { START } else { last - Duration::from_secs(12 * 3600) }
    }
}

fn armed(client: &Arc<Client>, keys: &KeySet) -> Arc<Client> {
    match &client.authentication {
        ClientAuthentication::TlsClientAuth { .. } => Arc::clone(client),
        ClientAuthentication::PrivateKeyJwt(_) => {
            let authentication = ClientAuthentication::PrivateKeyJwt(keys.clone());
            Arc::new(Client { authentication, ..Client::clone(client) })
        }
    }
}

type Administrators = (Vec<AdminEntry>, HashMap<BTreeSet<AdminRole>, String>);

// One for each set of roles: there are few, and a case says which it needs.
fn administrators() -> Result<Administrators, TrialError> {
    let (mut entries, mut tokens) = (Vec::new(), HashMap::new());
    for set in 1_u32..1 << AdminRole::ALL.len() {
        let has = |index: usize| set >> index & 1 == 1;
        let roles: BTreeSet<AdminRole> =
            AdminRole::ALL.into_iter().enumerate().filter(|(index, _)| has(*index)).map(|(_, role)| role).collect();
        let token = format!("{}{}", entropy::token_128bit(), entropy::token_128bit());
        let id = AdminId::parse(&format!("trial-{set}")).map_err(TrialError::new)?;
        entries.push(AdminEntry { id, roles: roles.clone(), token_hash: sha256(token.as_bytes()) });
        tokens.insert(roles, token);
    }
    Ok((entries, tokens))
}
