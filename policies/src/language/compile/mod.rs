//! Compiles policy files into a [`Rulebook`], joined with the contracts by `operationId`.
//!
//! All faults are told at once; names in scope make the suggestions. Must never read a file or a clock.

mod cases;
mod clients;
mod conditions;
mod consent;
mod consents;
mod contracts;
mod fixtures;
mod issuers;
mod keys;
mod layered;
mod layers;
mod limits;
mod lists;
mod masking;
mod names;
mod operations;
mod overrides;
mod parties;
mod places;
mod rows;
mod rules;
mod services;
mod settling;
mod streams;
mod terms;
mod webhook;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

pub use self::clients::REDIRECT_URIS_MAX;
use self::conditions::Conditions;
use self::consents::Consents;
use self::contracts::Contracts;
use self::keys::KeyFiles;
pub use self::keys::is_key_set;
use self::layered::Layered;
use self::layers::Merge;
pub use self::limits::uncounted;
use self::masking::Masked;
use self::names::{Names, Section};
pub use self::operations::BODY_BYTES_DEFAULT;
use self::operations::{Context, Found};
pub use self::parties::EXPIRY_WARNING;
use self::rows::Rows;
use self::rules::Defined;
use self::settling::{Settling, entry};
use self::terms::{Rules, Terms};
pub use self::webhook::Allowed;
use super::decode::Value;
use super::document::{self, Content};
use super::effective::{Effective, Layer};
use super::problem::{Faults, Problem, Source};
use super::tables::consents::{ACCOUNT_ACCESS, DOMESTIC_PAYMENT};
pub use super::tables::{
    BODY_BYTES_MAX, BURST_MAX, CONNECT_MAX, POINTER_BYTES_MAX, REQUESTS_MAX, RESPONSE_MAX, TIMEOUT_MAX,
};
use super::tables::{
    CLIENT, CONSENTS, DEFAULTS, FILE, FRAUD, ISSUER, LATER, LIMIT, MASK, ORGANISATION, PLAN, PROVIDER, SCOPE, STEP_UP,
    UPSTREAM,
};
use crate::case::{Case, Fixtures};
use crate::facts::OperationFacts;
use crate::issuer::Issuer;
use crate::limit::Limit;
use crate::rulebook::{Client, FraudRule, Organisation, Plan, Provider, Rulebook, StepUp, Upstream};
use crate::time::Timestamp;

/// What came of a policy set without errors.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The rules.
    pub rulebook: Rulebook,
    /// What somebody should look at, sorted by place.
    pub warnings: Vec<Problem>,
    /// Every value that applies, with the layer and the line that gave it.
    pub effective: Effective,
    /// The cases of `tests:`, in the order of the files.
    pub cases: Vec<Case>,
    /// Who exists in cases only.
    pub fixtures: Fixtures,
    /// When an override ends next, so that the same files mean something else from then on.
    pub changes_at: Option<Timestamp>,
}

/// Compiles a policy set for the operations of the contracts; the operator allows nothing that is not safe everywhere.
///
/// # Errors
/// As of [`compile_where`].
pub fn compile(files: &[Source], operations: &[OperationFacts], now: Timestamp) -> Result<Compiled, Vec<Problem>> {
    compile_where(files, operations, Allowed::default(), now)
}

/// Compiles a policy set for the operations of the contracts, where an operator has allowed more.
///
/// `files` are read in this order: problems are told in it, and providers are tried in it; those that end in `.jwks` or
/// `.json` hold keys that clients name. `now` only decides which
/// licences are warned of. No file at all is a rulebook that exposes nothing.
///
/// # Errors
/// Every problem, warnings included, sorted by file and place; at least one of them is an error.
pub fn compile_where(
    files: &[Source],
    operations: &[OperationFacts],
    allowed: Allowed,
    now: Timestamp,
) -> Result<Compiled, Vec<Problem>> {
    let faults = Faults::new();
    let policies = || files.iter().filter(|file| !is_key_set(&file.name, file.body()));
    let nodes: Vec<_> = policies().filter_map(|file| document::parse(file, &faults)).collect();
    let mut sections = Sections { whole: nodes.len() == policies().count(), ..Sections::default() };
    for node in &nodes {
        sections.collect(Value::root(node, &faults));
    }
    let set = Set { files, sections: &sections, operations, allowed, now, faults: &faults };
    let (mut compiled, scopes) = set.compile();
    let known = cases::Known {
        rulebook: &compiled.rulebook,
        operations,
        scopes: &scopes,
        fixtures: &compiled.fixtures,
        whole: sections.whole && !faults.has_errors(),
        named: &sections.named(),
        limits: &names([&sections.limits, &sections.plans]),
        rules: &names([&sections.step_ups, &sections.fraud, &sections.masking]),
    };
    compiled.cases = cases::cases(&sections.tests, &known);
    let (mut compiled, warnings) = faults.finish(files, Some(compiled))?;
    compiled.warnings = warnings;
    Ok(compiled)
}

fn names<'n, const N: usize>(sections: [&Section<'n>; N]) -> BTreeSet<&'n str> {
    sections.iter().flat_map(|section| section.definitions()).map(|(key, _)| key.text.as_str()).collect()
}

/// What the files define, by kind, before it is read.
#[derive(Default)]
struct Sections<'n> {
    defaults: Option<Value<'n>>,
    consents: Option<Value<'n>>,
    issuers: Section<'n>,
    organisations: Section<'n>,
    clients: Section<'n>,
    plans: Section<'n>,
    scopes: Section<'n>,
    upstreams: Section<'n>,
    limits: Section<'n>,
    fraud: Section<'n>,
    step_ups: Section<'n>,
    providers: Section<'n>,
    masking: Section<'n>,
    apis: Section<'n>,
    fixtures: fixtures::Sections<'n>,
    tests: Vec<Value<'n>>,
    // Whether every file could be parsed.
    whole: bool,
}

impl<'n> Sections<'n> {
    fn collect(&mut self, root: Value<'n>) {
        let Some(fields) = root.versioned_table(&FILE, &LATER) else { return };
        let take = |name: &str, section: &mut Section<'n>| {
            if let Some(value) = fields.at(name) {
                section.collect(value);
            }
        };
        take("organisations", &mut self.organisations);
        take("clients", &mut self.clients);
        take("issuers", &mut self.issuers);
        take("plans", &mut self.plans);
        take("upstreams", &mut self.upstreams);
        take("limits", &mut self.limits);
        take("fraud", &mut self.fraud);
        take("stepUp", &mut self.step_ups);
        take("masking", &mut self.masking);
        if let Some(value) = fields.at("apis") {
            self.apis.collect_of_contracts(value);
        }
        if let Some(value) = fields.at("scopes") {
            let form = |text: &str| if parties::is_scope(text) { Ok(()) } else { Err("not one scope".to_owned()) };
            self.scopes.collect_as(value, form);
        }
        let identity = fields.at("identity").and_then(Value::mapping);
        if let Some(value) = identity.and_then(|fields| fields.at("providers")) {
            self.providers.collect(value);
        }
        self.tests.extend(fields.at("tests"));
        if let Some(value) = fields.at("fixtures") {
            self.fixtures.collect(value);
        }
        if let Some(value) = fields.at("defaults") {
            let what = "what holds for every operation is said in one place: keep one of the two";
            take_once(&mut self.defaults, value, what);
        }
        if let Some(value) = fields.at("consents") {
            take_once(
                &mut self.consents,
                value,
                "what holds for every consent is said in one place: keep one of the two",
            );
        }
    }

    // Clients and operations by name: one whose definition is faulty is not unknown as well.
    fn named(&self) -> HashSet<&'n str> {
        let operations = self.apis.definitions().filter_map(|(_, api)| entry(api.node(), "operations"));
        let operations = operations.filter_map(|node| match &node.content {
            Content::Mapping(entries) => Some(entries.iter().map(|entry| entry.key.text.as_str())),
            _ => None,
        });
        self.clients.definitions().map(|(key, _)| key.text.as_str()).chain(operations.flatten()).collect()
    }

    // What stands in the files as it is; operations are told by who merges their layers.
    fn rows(&self, rows: &mut Rows) {
        let named = [
            ("organisations", &self.organisations, &ORGANISATION),
            ("clients", &self.clients, &CLIENT),
            ("issuers", &self.issuers, &ISSUER),
            ("plans", &self.plans, &PLAN),
            ("scopes", &self.scopes, &SCOPE),
            ("upstreams", &self.upstreams, &UPSTREAM),
            ("limits", &self.limits, &LIMIT),
            ("fraud", &self.fraud, &FRAUD),
            ("stepUp", &self.step_ups, &STEP_UP),
            ("masking", &self.masking, &MASK),
        ];
        for (name, section, table) in named {
            for (key, value) in section.definitions() {
                rows.definition(&[name, &key.text], table, value, &[]);
            }
        }
        self.consent_rows(rows);
        for (key, value) in self.providers.definitions() {
            rows.definition(&["identity", "providers", &key.text], &PROVIDER, value, &[]);
        }
    }
}

impl<'n> Sections<'n> {
    // Without a word of consents those of the language hold, so that two sets can be compared.
    fn consent_rows(&self, rows: &mut Rows) {
        if let Some(value) = self.consents {
            rows.definition(&["consents"], &CONSENTS, value, &[]);
        }
        for (name, table) in [("account-access", &ACCOUNT_ACCESS), ("domestic-payment", &DOMESTIC_PAYMENT)] {
            if self.consents.is_none_or(|value| entry(value.node(), name).is_none()) {
                rows.defaults(&["consents", name], table);
            }
        }
    }

    // Keys of a file are told as if they stood in the policy: what is another when only the file is another.
    fn key_rows(&self, rows: &mut Rows, clients: &Names<'n, Arc<Client>>) {
        for (key, value) in self.clients.definitions() {
            let file = entry(value.node(), "keys").and_then(|keys| entry(keys, "file"));
            let client = clients.get(&key.text);
            if let (Some(file), Some(client), Some(field)) = (file, client, CLIENT.field("keys")) {
                let path = vec!["clients".to_owned(), key.text.clone(), "keys".to_owned()];
                rows.keys(path, field, &client.authentication, &file.place);
            }
        }
    }
}

fn take_once<'n>(place: &mut Option<Value<'n>>, value: Value<'n>, help: &str) {
    let Some(first) = place else {
        *place = Some(value);
        return;
    };
    value.report(
        Problem::error("P0201", value.key_place(), format!("{} stands in two files", value.name()))
            .label("second")
            .related(first.key_place(), "first")
            .help(help),
    );
}

/// A policy set on its way.
struct Set<'a, 'n> {
    files: &'a [Source],
    sections: &'a Sections<'n>,
    operations: &'a [OperationFacts],
    allowed: Allowed,
    now: Timestamp,
    faults: &'a Faults,
}

/// Who may call, and how much.
struct Parties<'n> {
    organisations: Names<'n, Arc<Organisation>>,
    plans: Names<'n, Arc<Plan>>,
    issuers: Names<'n, Arc<Issuer>>,
    clients: Names<'n, Arc<Client>>,
}

/// What operations may name.
struct Named<'n> {
    upstreams: Names<'n, Upstream>,
    providers: Names<'n, Provider>,
    limits: Names<'n, Arc<Limit>>,
    step_ups: Names<'n, Defined<'n, StepUp>>,
    fraud: Names<'n, Defined<'n, FraudRule>>,
    masks: Names<'n, Masked<'n>>,
}

impl<'n> Set<'_, 'n> {
    // With every scope that contracts and policies know.
    fn compile(&self) -> (Compiled, BTreeSet<String>) {
        let (sections, conditions) = (self.sections, Conditions::new(self.files));
        let contracts = Contracts::new(self.operations);
        let named = self.named(&conditions, &contracts);
        let mut scopes: BTreeSet<String> =
            self.operations.iter().flat_map(|facts| facts.scopes.iter().cloned()).collect();
        let defined = sections.scopes.definitions().map(|(key, _)| key.text.clone());
        let mut known: BTreeSet<String> = scopes.iter().cloned().chain(defined).collect();
        let mut found = self.apis(&named, &conditions, &contracts, &known);
        known.extend(found.asked.iter().cloned());
        scopes.append(&mut found.asked);
        let parties = self.parties(&scopes, &named.limits, &contracts);
        let consents = self.consents(&found, &named.providers);
        let mut rows = std::mem::take(&mut found.rows);
        sections.rows(&mut rows);
        sections.key_rows(&mut rows, &parties.clients);
        let rulebook = Rulebook {
            organisations: parties.organisations.into_values().map(|found| (found.id.clone(), found)).collect(),
            clients: parties.clients.into_values().map(|found| (found.id.clone(), found)).collect(),
            upstreams: named.upstreams.into_values().map(|found| (found.id.clone(), found)).collect(),
            providers: named.providers.into_values().collect(),
            issuers: parties.issuers.into_values().map(|found| (found.id.clone(), found)).collect(),
            consents: consents.terms,
            customer_accounts: consents.customer_accounts,
            operations: found.exposed.into_iter().map(|(found, ..)| (found.operation.clone(), found)).collect(),
        };
        let fixtures = sections.fixtures.read(&rulebook, &parties.plans, &known, sections.whole);
        let compiled = Compiled {
            rulebook,
            warnings: Vec::new(),
            effective: Effective { rows: rows.sorted() },
            cases: Vec::new(),
            fixtures,
            changes_at: found.changes_at,
        };
        (compiled, known)
    }

    fn named(&self, conditions: &Conditions<'_>, contracts: &Contracts<'_>) -> Named<'n> {
        let Sections { whole, .. } = *self.sections;
        let sections = self.sections;
        let providers = sections.providers.read(whole, services::provider);
        let step_ups = sections.step_ups.read(whole, |key, value| rules::step_up(key, value, &providers, conditions));
        let fraud = sections.fraud.read(whole, |key, value| rules::fraud(key, value, &step_ups, conditions));
        Named {
            upstreams: sections.upstreams.read(whole, services::upstream),
            limits: sections.limits.read(whole, |key, value| limits::named(key, value, contracts)),
            masks: sections.masking.read(whole, masking::mask),
            providers,
            step_ups,
            fraud,
        }
    }

    fn apis<'c>(
        &self,
        named: &Named<'n>,
        conditions: &Conditions<'_>,
        contracts: &Contracts<'c>,
        scopes: &BTreeSet<String>,
    ) -> Found<'c, 'n> {
        let sections = self.sections;
        let rules = Rules {
            limits: &named.limits,
            step_ups: &named.step_ups,
            fraud: &named.fraud,
            masks: &named.masks,
            conditions,
            scopes,
        };
        let mut found = Found::default();
        let defaults = sections.defaults.and_then(|value| value.table(&DEFAULTS));
        let terms = defaults.map(|fields| Terms::read(&fields, &rules, &mut found.asked)).unwrap_or_default();
        let set = match sections.defaults {
            Some(owner) => {
                let mut merge = Merge { owner, layer: Layer::Defaults, waiver: None, sound: true };
                Layered::merge(&Layered::default(), &terms, &mut merge)
            }
            None => Layered::default(),
        };
        let settling = Settling::of(contracts, &sections.apis, sections.whole);
        let (upstreams, settling) = (&named.upstreams, &settling);
        let context = Context { contracts, upstreams, rules, settling, set: &set, now: self.now };
        for (key, value) in sections.apis.definitions() {
            context.api(key, value, &mut found);
        }
        operations::refuse_collisions(&found, self.faults);
        for masked in named.masks.values() {
            let users = found.masked.get(&masked.mask.id).map(Vec::as_slice).unwrap_or_default();
            let later = found.masked_later.get(&masked.mask.id).filter(|_| users.is_empty());
            places::masked(&masked.fields, users);
            if let Some((coming, users)) = later {
                self.faults.foretelling(coming, || places::masked(&masked.fields, users));
            }
        }
        found
    }

    fn consents(&self, found: &Found<'_, 'n>, providers: &Names<'n, Provider>) -> Consents {
        // What could not be read may be what is named.
        let whole = self.sections.whole && !self.faults.has_errors();
        let known = consents::Known { exposed: &found.exposed, providers, whole };
        self.sections.consents.map(|value| consents::consents(value, &known)).unwrap_or_default()
    }

    fn parties(
        &self,
        scopes: &BTreeSet<String>,
        limits: &Names<'n, Arc<Limit>>,
        contracts: &Contracts<'_>,
    ) -> Parties<'n> {
        let Sections { whole, .. } = *self.sections;
        let sections = self.sections;
        let scope_rules = sections.scopes.read(whole, |key, value| parties::scope(key, value, scopes));
        let organisations =
            sections.organisations.read(whole, |key, value| parties::organisation(&key.text, value, self.now));
        let plans = sections.plans.read(whole, |key, value| limits::plan(key, value, limits, contracts));
        let issuers = sections.issuers.read(whole, |key, value| issuers::issuer(key, value, self.allowed));
        issuers::refuse_twins(&issuers, |problem| self.faults.report(problem));
        let known = clients::Known {
            organisations: &organisations,
            plans: &plans,
            issuers: &issuers,
            scopes,
            scope_rules: &scope_rules,
            files: &KeyFiles::of(self.files),
            allowed: self.allowed,
        };
        let clients = sections.clients.read(whole, |key, value| clients::client(&key.text, value, &known));
        Parties { organisations, plans, issuers, clients }
    }
}

#[cfg(test)]
mod tests;
