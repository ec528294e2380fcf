//! A policy set that is ready to be tried: with parties of cases beside its own, and keys for all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use adapters::entropy;
use adapters::http::trust::Trust;
use adapters::keys::{LiveKeyring, Sealer};
use policies::admin::{AdminEntry, AdminRole};
use policies::case::Fixtures;
use policies::id::{AdminId, ClientId};
use policies::jose::{KeySet, sha256};
use policies::rulebook::{Client, ClientAuthentication, KeySource, Rulebook};
use policies::time::Timestamp;

use super::caller::Keys;
use super::error::TrialError;
use super::scene::{self, Stage};
use crate::generation::Generation;

/// A policy set that calls are tried against.
#[derive(Debug)]
pub struct Trial {
    pub(super) stage: Stage,
    pub(super) keys: Keys,
    pub(super) administrators: HashMap<BTreeSet<AdminRole>, String>,
}

impl Trial {
    /// Prepares trials of a generation, with the parties of `fixtures` beside its own.
    ///
    /// `later` is what the same texts mean later, in the order of time; see [`eras`](super::eras()).
    ///
    /// Clients that authenticate by signature get keys made for the trial: theirs are at home.
    ///
    /// # Errors
    /// If keys cannot be made.
    pub fn prepare(first: Generation, later: Vec<Generation>, fixtures: &Fixtures) -> Result<Self, TrialError> {
        let keys = Keys::draw()?;
        let known = KeySet::new(vec![keys.own.verifying_key().clone()]).map_err(TrialError::new)?;
        let providers = first.rulebook.providers.iter();
        let webhooks = providers.map(|known| (known.id.clone(), entropy::random::<32>().to_vec())).collect();
        let joined = |generation: Generation| joined(generation, fixtures, &known);
        let (entries, administrators) = administrators()?;
        let stage = Stage {
            first: joined(first),
            later: later.into_iter().map(joined).collect(),
            keyring: Arc::new(LiveKeyring::in_memory(Timestamp::from_seconds(0))?),
            sealer: Arc::new(Sealer::in_memory()?),
            webhooks,
            administrators: entries,
            trust: Trust::nobody()?,
            doors: scene::doors(),
        };
        Ok(Self { stage, keys, administrators })
    }

    /// Returns the generation that is tried, as it is at first.
    #[must_use]
    pub fn generation(&self) -> &Generation {
        &self.stage.first
    }

    /// Goes through the rules as they are at first and later.
    pub fn rulebooks(&self) -> impl Iterator<Item = &Rulebook> {
        [&self.stage.first].into_iter().chain(&self.stage.later).map(|generation| &generation.rulebook)
    }
}

fn joined(mut generation: Generation, fixtures: &Fixtures, keys: &KeySet) -> Arc<Generation> {
    let clients = generation.rulebook.clients.values().chain(fixtures.clients.values());
    let clients: HashMap<ClientId, Arc<Client>> =
        clients.map(|client| (client.id.clone(), armed(client, keys))).collect();
    generation.rulebook.clients = clients;
    let organisations = fixtures.organisations.iter().map(|(id, found)| (id.clone(), Arc::clone(found)));
    generation.rulebook.organisations.extend(organisations);
    Arc::new(generation)
}

fn armed(client: &Arc<Client>, keys: &KeySet) -> Arc<Client> {
    match &client.authentication {
        ClientAuthentication::TlsClientAuth(_) | ClientAuthentication::SelfSignedTlsClientAuth(_) => Arc::clone(client),
        ClientAuthentication::PrivateKeyJwt(_) => {
            let authentication = ClientAuthentication::PrivateKeyJwt(KeySource::Given(keys.clone()));
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
