//! Reads policies and contracts from folders, or those that ship, and joins them into a generation.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openapi::Contract;
use policies::id::UpstreamId;
use policies::language::{self, Allowed, Place, Problem, Severity, Source};
use policies::rulebook::Rulebook;
use policies::time::Timestamp;

use crate::config::Config;
pub use crate::findings::Findings;
use crate::generation::{self, Bundle, Generation};

/// A file or folder that cannot be read.
const UNREADABLE: &str = "G0001";
/// A fault of a contract.
const CONTRACT: &str = "C0001";
/// A backend without an address.
const UNADDRESSED: &str = "G0002";

/// Policies and contracts that fit.
#[derive(Debug)]
pub struct Loaded {
    /// The generation.
    pub generation: Generation,
    /// What somebody should look at.
    pub warnings: Findings,
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
    let contracts = match texts(contracts)? {
        None => openapi::shipped(),
        Some(found) => found.into_iter().map(|(name, text)| openapi::Source { name, text }).collect(),
    };
    let contract = Contract::load(&contracts).map_err(|faults| faulty(faults, &contracts))?;
    let facts = generation::facts(&contract).map_err(|faults| faulty(faults, &contracts))?;
    let sources = match texts(policies)? {
        None => language::shipped(),
        Some(found) => found.into_iter().map(|(name, text)| Source::new(name, text)).collect(),
    };
    match language::compile_where(&sources, &facts, allowed, now) {
        Err(problems) => Err(Findings::new(problems, sources)),
        Ok(compiled) => {
            let contracts = contracts.iter().map(|source| (source.name.as_str(), source.text.as_str()));
            let bundle = Bundle::of(contracts.chain(sources.iter().map(|source| (&*source.name, source.body()))));
            Ok(Loaded {
                generation: Generation::join(number, contract, compiled.rulebook, bundle),
                warnings: Findings::new(compiled.warnings, sources),
            })
        }
    }
}

fn faulty(faults: Vec<openapi::Fault>, contracts: &[openapi::Source]) -> Findings {
    let problem = |fault: openapi::Fault| Problem {
        code: CONTRACT,
        severity: Severity::Error,
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

/// Reads every `.yaml` and `.yml` file below folders, in the order of their names; none if no folder is named.
fn texts(folders: &[PathBuf]) -> Result<Option<Vec<(String, String)>>, Findings> {
    if folders.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for folder in folders {
        let before = found.len();
        collect(folder, &mut found)?;
        if found.len() == before {
            let help = "name a folder with .yaml files; nothing is exposed without policies".to_owned();
            return Err(Findings::of_file(UNREADABLE, folder, "it holds no .yaml or .yml file", Some(help)));
        }
    }
    Ok(Some(found))
}

fn collect(path: &Path, found: &mut Vec<(String, String)>) -> Result<(), Findings> {
    let wrong =
        |error: std::io::Error| Findings::of_file(UNREADABLE, path, format!("it cannot be read: {error}"), None);
    if path.is_dir() {
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(wrong)?.collect();
        let mut paths: Vec<PathBuf> = entries.map_err(wrong)?.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for inner in paths {
            let hidden = inner.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let yaml = inner.extension().is_some_and(|end| end == "yaml" || end == "yml");
            if !hidden && (yaml || inner.is_dir()) {
                collect(&inner, found)?;
            }
        }
        return Ok(());
    }
    let text = std::fs::read_to_string(path).map_err(wrong)?;
    found.push((path.display().to_string(), text));
    Ok(())
}
