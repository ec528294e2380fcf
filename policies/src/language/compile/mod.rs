//! Compiles policy files into a [`Rulebook`], joined with the contracts by `operationId`.
//!
//! All faults are told at once; names in scope make the suggestions. Must never read a file or a clock.

mod cases;
mod fixtures;
mod lists;
mod names;
mod operations;
mod parties;
mod services;
mod settling;
mod webhook;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use self::names::Section;
pub use self::operations::BODY_BYTES_DEFAULT;
pub use self::parties::LICENCE_WARNING;
pub use self::webhook::Allowed;
pub use super::tables::{BODY_BYTES_MAX, BURST_MAX, CONNECT_MAX, POINTER_BYTES_MAX, REQUESTS_MAX, RESPONSE_MAX, TIMEOUT_MAX};
use super::decode::Value;
use super::document;
use super::effective::Effective;
use super::problem::{Faults, Problem, Source};
use crate::case::{Case, Fixtures};
use crate::facts::OperationFacts;
use crate::rulebook::Rulebook;
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
/// `files` are read in this order: problems are told in it, and providers are tried in it. `now` only decides which
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
    let nodes: Vec<_> = files.iter().filter_map(|file| document::parse(file, &faults)).collect();
    let mut sections = Sections { whole: nodes.len() == files.len(), ..Sections::default() };
    for node in &nodes {
        sections.collect(Value::root(node, &faults));
    }
    let (rulebook, fixtures) = sections.compile(operations, allowed, now);
    let whole = sections.whole && !faults.has_errors();
    let cases = cases::cases(&sections.tests, &cases::Known { rulebook: &rulebook, fixtures: &fixtures, whole });
    let ((rulebook, cases, fixtures), warnings) = faults.finish(files, Some((rulebook, cases, fixtures)))?;
    Ok(Compiled { rulebook, warnings, effective: Effective::default(), cases, fixtures, changes_at: None })
}

/// What the files define, by kind, before it is read.
#[derive(Default)]
struct Sections<'n> {
    organisations: Section<'n>,
    clients: Section<'n>,
    plans: Section<'n>,
    upstreams: Section<'n>,
    providers: Section<'n>,
    step_ups: Section<'n>,
    apis: Section<'n>,
    fixtures: fixtures::Sections<'n>,
    tests: Vec<Value<'n>>,
    // Whether every file could be parsed.
    whole: bool,
}

impl<'n> Sections<'n> {
    fn collect(&mut self, root: Value<'n>) {
        const KNOWN: [&str; 9] =
            ["organisations", "clients", "plans", "upstreams", "identity", "stepUp", "apis", "fixtures", "tests"];
        let Some(fields) = root.versioned_fields(&KNOWN) else { return };
        let take = |name: &str, section: &mut Section<'n>| {
            if let Some(value) = fields.optional(name) {
                section.collect(value);
            }
        };
        take("organisations", &mut self.organisations);
        take("clients", &mut self.clients);
        take("plans", &mut self.plans);
        take("upstreams", &mut self.upstreams);
        take("stepUp", &mut self.step_ups);
        take("apis", &mut self.apis);
        self.tests.extend(fields.optional("tests"));
        if let Some(value) = fields.optional("fixtures") {
            self.fixtures.collect(value);
        }
        let identity = fields.optional("identity").and_then(|value| value.fields(&["providers"]));
        if let Some(value) = identity.and_then(|fields| fields.required("providers")) {
            self.providers.collect(value);
        }
    }

    fn compile(&self, operations: &[OperationFacts], allowed: Allowed, now: Timestamp) -> (Rulebook, Fixtures) {
        let upstreams = self.upstreams.read(self.whole, services::upstream);
        let providers = self.providers.read(self.whole, services::provider);
        let step_ups =
            self.step_ups.read(self.whole, |key, value| services::step_up(key, value, &providers).map(Arc::new));
        let mut scopes: BTreeSet<String> = operations.iter().flat_map(|facts| facts.scopes.iter().cloned()).collect();
        let contracts = scopes.clone();
        let context = operations::Context {
            operations,
            by_id: operations.iter().map(|facts| (facts.id.as_str(), facts)).collect::<HashMap<_, _>>(),
            upstreams: &upstreams,
            step_ups: &step_ups,
            contract_scopes: &contracts,
            settling: settling::Settling::of(operations, &self.apis, self.whole),
        };
        let exposed = self.apis.read(self.whole, |key, value| context.api(&key.text, value, &mut scopes));
        let organisations =
            self.organisations.read(self.whole, |key, value| parties::organisation(&key.text, value, now));
        let plans = self.plans.read(self.whole, |key, value| parties::plan(&key.text, value));
        let clients = self
            .clients
            .read(self.whole, |key, value| parties::client(&key.text, value, &organisations, &plans, &scopes, allowed));
        let rulebook = Rulebook {
            organisations: organisations.into_values().map(|found| (found.id.clone(), found)).collect(),
            clients: clients.into_values().map(|found| (found.id.clone(), found)).collect(),
            upstreams: upstreams.into_values().map(|found| (found.id.clone(), found)).collect(),
            providers: providers.into_values().collect(),
            operations: exposed.into_values().flatten().map(|found| (found.operation.clone(), found)).collect(),
        };
        let fixtures = self.fixtures.read(&rulebook, &plans, self.whole);
        (rulebook, fixtures)
    }
}

#[cfg(test)]
mod tests;
