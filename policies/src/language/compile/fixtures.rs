//! Reads `fixtures:` blocks: organisations and clients for cases alone.
//!
//! They never get into a [`Rulebook`](crate::rulebook::Rulebook): a running gateway cannot know them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::clients::{holder, nonce, redirect_uris};
use super::names::{Names, Section};
use super::parties;
use crate::case::Fixtures;
use crate::id::{ClientId, OrganisationId};
use crate::jose::KeySet;
use crate::language::decode::{Fields, Value};
use crate::language::problem::Problem;
use crate::language::suggest::did_you_mean;
use crate::language::tables::fixtures::{CLIENT, FIXTURES, ORGANISATION};
use crate::network::AddressRange;
use crate::rulebook::{
    CertificateName, Client, ClientAuthentication, ConsentHolder, KeySource, OauthTerms, Organisation, Plan, Role,
    Rulebook, ScopeSet, TokenBinding,
};
use crate::time::Timestamp;

/// What the files define for cases, before it is read.
#[derive(Default)]
pub(super) struct Sections<'n> {
    organisations: Section<'n>,
    clients: Section<'n>,
}

impl<'n> Sections<'n> {
    /// Takes in the `fixtures` of one file.
    pub(super) fn collect(&mut self, value: Value<'n>) {
        let Some(fields) = value.table(&FIXTURES) else { return };
        if let Some(value) = fields.optional("organisations") {
            self.organisations.collect(value);
        }
        if let Some(value) = fields.optional("clients") {
            self.clients.collect(value);
        }
    }

    /// Reads them all; `scopes` are those that contracts and policies know, `whole` tells whether every file could be parsed.
    pub(super) fn read(
        &self,
        rulebook: &Rulebook,
        plans: &Names<Arc<Plan>>,
        scopes: &BTreeSet<String>,
        whole: bool,
    ) -> Fixtures {
        let organisations = self.organisations.read(whole, |key, value| organisation(&key.text, value));
        let mut known: BTreeMap<String, Option<Arc<Organisation>>> = BTreeMap::new();
        for (name, found) in &rulebook.organisations {
            known.insert(name.as_str().to_owned(), Some(Arc::clone(found)));
        }
        for (key, found) in organisations.named() {
            known.insert(key.to_owned(), found.cloned());
        }
        self.not_twice(rulebook);
        let known = Known { organisations: &known, plans, scopes, whole };
        let clients = self.clients.read(whole, |key, value| client(&key.text, value, &known));
        Fixtures {
            organisations: organisations.into_values().map(|found| (found.id.clone(), found)).collect(),
            clients: clients.into_values().map(|found| (found.id.clone(), found)).collect(),
        }
    }

    // One name for two parties, and nobody could say which a case means.
    fn not_twice(&self, rulebook: &Rulebook) {
        let told = |value: Value<'_>| {
            value.report(
                Problem::error("P0201", value.key_place(), format!("{} is defined twice", value.name()))
                    .label("also defined outside `fixtures`")
                    .help("give the one for cases another name"),
            );
        };
        let same = |value: &Value<'_>, names: &[&str]| names.iter().any(|name| value.name() == format!("`{name}`"));
        let organisations: Vec<&str> = rulebook.organisations.keys().map(OrganisationId::as_str).collect();
        self.organisations
            .definitions()
            .map(|(_, value)| value)
            .filter(|value| same(value, &organisations))
            .for_each(told);
        let clients: Vec<&str> = rulebook.clients.keys().map(ClientId::as_str).collect();
        self.clients.definitions().map(|(_, value)| value).filter(|value| same(value, &clients)).for_each(told);
    }
}

fn organisation(id: &str, value: Value<'_>) -> Option<Arc<Organisation>> {
    let fields = value.table(&ORGANISATION)?;
    let words = Role::ALL.map(|role| (role.word(), role));
    let roles = fields.required("roles").and_then(|value| value.list(|item| item.choice(&words)));
    let day = std::time::Duration::from_secs(86_400);
    let ends =
        fields.optional("licensedUntil").map_or(Some(Timestamp::MAX), |value| value.date().map(|date| date + day));
    let networks = fields.optional("networks").map_or(Some(Vec::new()), |value| {
        value.list(|item| item.parsed("a range of addresses", "10.0.0.0/8", AddressRange::parse))
    });
    let suspended = fields.optional("suspended").map_or(Some(false), Value::boolean);
    Some(Arc::new(Organisation {
        id: OrganisationId::parse(id).ok()?,
        title: id.to_owned(),
        roles: roles?.into_iter().collect(),
        licence_ends: ends?,
        suspended: suspended?,
        networks: networks?,
    }))
}

/// What clients may name.
struct Known<'a, 'n> {
    organisations: &'a BTreeMap<String, Option<Arc<Organisation>>>,
    plans: &'a Names<'n, Arc<Plan>>,
    scopes: &'a BTreeSet<String>,
    whole: bool,
}

fn client(id: &str, value: Value<'_>, known: &Known<'_, '_>) -> Option<Arc<Client>> {
    let fields = value.table(&CLIENT)?;
    let organisation = fields.required("organisation").and_then(|value| {
        let text = value.text()?;
        match known.organisations.get(text) {
            Some(found) => found.clone(),
            None if known.whole => {
                value.unknown("P0108", "organisation", text, known.organisations.keys().map(String::as_str));
                None
            }
            None => None,
        }
    });
    let plan = fields.required("plan").and_then(|value| known.plans.resolve(value, "plan").cloned());
    let scopes = fields.required("scopes").and_then(parties::scopes);
    for (scope, value) in scopes.iter().flatten().filter(|(scope, _)| !known.scopes.contains(*scope)) {
        // A file that could not be parsed may ask for it; then only a near miss is worth telling.
        let names = || known.scopes.iter().map(String::as_str);
        if known.whole || did_you_mean(scope, names()).is_some() {
            value.unknown("P0314", "scope", scope, names());
        }
    }
    let name =
        fields.optional("certificate").map_or(Some(None), |value| value.text().map(|text| Some(text.to_owned())));
    let suspended = fields.optional("suspended").map_or(Some(false), Value::boolean);
    let oauth = oauth(&fields);
    let (authentication, binding) = match name? {
        Some(san_dns) => (ClientAuthentication::TlsClientAuth(CertificateName::SanDns(san_dns)), TokenBinding::Mtls),
        None => {
            (ClientAuthentication::PrivateKeyJwt(KeySource::Given(KeySet::new(Vec::new()).ok()?)), TokenBinding::Dpop)
        }
    };
    Some(Arc::new(Client {
        id: ClientId::parse(id).ok()?,
        organisation: organisation?,
        authentication,
        binding,
        scopes: ScopeSet::of(scopes?.iter().map(|(scope, _)| *scope)),
        plan: plan?,
        suspended: suspended?,
        webhook: None,
        oauth: oauth?,
    }))
}

fn oauth(fields: &Fields<'_>) -> Option<OauthTerms> {
    let redirects = fields.optional("redirectUris").map_or(Some(BTreeSet::new()), redirect_uris);
    let nonce = fields.optional("nonce").map_or(Some(false), |value| value.word(nonce));
    let consents = fields.optional("consents").map_or(Some(ConsentHolder::Gateway), |value| value.word(holder));
    let introspects = fields.optional("introspects").map_or(Some(false), Value::boolean);
    Some(OauthTerms {
        redirect_uris: redirects?,
        nonce: nonce?,
        consents: consents?,
        introspects: introspects?,
        issuer: None,
    })
}
