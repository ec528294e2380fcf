//! Reads policies and contracts from folders, or those that ship, and joins them into a generation.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use openapi::Contract;
use policies::case::{Case, Fixtures};
use policies::id::UpstreamId;
use policies::language::effective::Effective;
use policies::language::{self, Allowed, Place, Problem, Severity, Source};
use policies::rulebook::Rulebook;
use policies::time::Timestamp;

use crate::config::Config;
use crate::desk::Cause;
pub use crate::findings::Findings;
use crate::generation::{self, Birth, Bundle, Generation};
use crate::texts::{PolicySource, Texts};

/// A fault of a contract.
const CONTRACT: &str = "C0001";
/// Something in a contract that somebody should look at.
const REMARKABLE: &str = "C0002";
/// A backend without an address.
const UNADDRESSED: &str = "G0002";

/// Policies and contracts that fit.
#[derive(Debug)]
pub struct Loaded {
    /// The generation.
    pub generation: Generation,
    /// What somebody should look at.
    pub warnings: Findings,
    /// Every value that applies, with the line that says so.
    pub effective: Effective,
    /// What `tests` ask for.
    pub cases: Vec<Case>,
    /// Who exists in cases only: no part of the generation, so that nothing that serves can know them.
    pub fixtures: Fixtures,
}

/// Loads contracts and policies and joins them; no folders mean what ships.
///
/// `allowed` is what the operator's configuration lets administrators write.
///
/// # Errors
/// Every fault of every file.
pub fn load(
    policies: &[PathBuf],
    contracts: &[PathBuf],
    allowed: Allowed,
    number: u64,
    now: Timestamp,
) -> Result<Loaded, Findings> {
    let texts = Arc::new(PolicySource::folders(policies, contracts).read()?);
    let bundle = Bundle::from(&*texts);
    join(texts, bundle, allowed, Birth { number, at: now, by: Cause::Start }, None)
}

/// Joins texts into a generation; what `previous` has made of the same texts is used again.
///
/// # Errors
/// Every fault of every text.
pub fn join(
    texts: Arc<Texts>,
    bundle: Bundle,
    allowed: Allowed,
    birth: Birth,
    previous: Option<&Contract>,
) -> Result<Loaded, Findings> {
    let contract =
        Contract::load_reusing(&texts.contracts, previous).map_err(|faults| faulty(faults, &texts.contracts))?;
    let facts = generation::facts(&contract);
    match language::compile_where(&texts.policies, &facts, allowed, birth.at) {
        Err(problems) => Err(Findings::new(problems, texts.policies.clone())),
        Ok(compiled) => {
            let mut warnings = remarkable(contract.warnings(), &texts.contracts);
            warnings.add(Findings::new(compiled.warnings, texts.policies.clone()));
            let mut generation = Generation::join(birth, contract, compiled.rulebook, (texts, bundle));
            generation.changes_at = compiled.changes_at;
            Ok(Loaded {
                generation,
                warnings,
                effective: compiled.effective,
                cases: compiled.cases,
                fixtures: compiled.fixtures,
            })
        }
    }
}

pub(crate) fn faulty(faults: Vec<openapi::Fault>, contracts: &[openapi::Source]) -> Findings {
    told(faults, Severity::Error, CONTRACT, contracts)
}

fn remarkable(warnings: &[openapi::Fault], contracts: &[openapi::Source]) -> Findings {
    if warnings.is_empty() {
        Findings::default()
    } else {
        told(warnings.to_vec(), Severity::Warning, REMARKABLE, contracts)
    }
}

fn told(
    faults: Vec<openapi::Fault>,
    severity: Severity,
    code: &'static str,
    contracts: &[openapi::Source],
) -> Findings {
    let problem = |fault: openapi::Fault| Problem {
        code,
        severity,
        message: fault.message,
        place: Place { file: Arc::from(fault.file), line: fault.line, column: fault.column, length: 1 },
        label: String::new(),
        help: fault.help,
        related: Vec::new(),
    };
    let sources = contracts.iter().map(|source| Source::new(source.name.as_str(), source.text.as_str()));
    Findings::new(faults.into_iter().map(problem).collect(), sources.collect())
}

/// Tells what a configuration lets administrators write.
#[must_use]
pub fn allowed(config: &Config) -> Allowed {
    Allowed { private_endpoints: config.webhooks.private }
}

/// Tells which backends the policies name and the configuration has no address for.
///
/// # Errors
/// One finding for each.
pub fn addressed(rulebook: &Rulebook, config: &Config) -> Result<(), Findings> {
    let known: HashSet<&UpstreamId> = config.upstreams.iter().map(|(id, _)| id).collect();
    let mut findings = Findings::default();
    for id in rulebook.upstreams.keys().filter(|id| !known.contains(id)) {
        let help = format!("add `upstreams: {{{id}: {{endpoints: [\"https://host:port\"]}}}}`");
        let message = format!("no address for the backend `{id}`, which policies name");
        findings.add(Findings::of_file(UNADDRESSED, &config.file, message, Some(help)));
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}
