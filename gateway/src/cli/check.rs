//! `qaqpa check`: is a policy set right?

mod machine;

use std::path::PathBuf;

use adapters::clock::Clock;
use policies::language::Severity;
use serde_json::json;

use super::process::{CONFIGURATION, FAILED, FINE};
use super::terminal::{colour, complain_if, say};
use crate::findings::Format;
use crate::load::{Findings, addressed, allowed, load};
use crate::stores;

/// What `--help` shows below.
pub(super) const EXAMPLES: &str = "\
Examples:
  qaqpa check                                   the policies and contracts that ship
  qaqpa check policies/ --contracts contracts/  a set of your own
  qaqpa check policies/ presets/ofb.yaml        several folders or files, read as one set
  qaqpa check --config qaqpa.yaml               everything a gateway would start with
  qaqpa check policies/ --format github         annotations in a pull request

Ends with 0 if the set can be applied, 78 if not. Warnings change nothing, unless --strict is given: then 1.";

/// What is checked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArguments {
    /// The folders (or files) with policies, read as one set; the shipped set if none is named.
    #[arg(value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// Also check an operator's configuration, and every file it names: certificates, authorities, secrets (never shown).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    told: super::told::Told,
}

/// Checks, and tells every problem.
pub(super) fn run(arguments: &CheckArguments) -> u8 {
    let mut faults = Findings::default();
    let mut config = None;
    if let Some(path) = &arguments.config {
        match crate::config::load(path) {
            Ok(found) => config = Some(found),
            Err(findings) => faults.add(findings),
        }
    }
    let named = |given: &[PathBuf], configured: Option<Vec<PathBuf>>| {
        if given.is_empty() { configured.unwrap_or_default() } else { given.to_vec() }
    };
    let policies = named(&arguments.policies, config.as_ref().map(|config| config.policies.clone()));
    let contracts = named(arguments.contracts.as_slice(), config.as_ref().map(|config| config.contracts.clone()));
    let (mut described, mut exposed) = (0, 0);
    let now = Clock::system().now();
    if let Some(config) = &config {
        if let Err(findings) = stores::check(config) {
            faults.add(findings);
        }
        faults.add(machine::check(config, now));
    }
    match load(&policies, &contracts, config.as_ref().map(allowed).unwrap_or_default(), 1, now) {
        Ok(loaded) => {
            described = loaded.generation.contract.operations().len();
            exposed = loaded.generation.rulebook.operations.len();
            if let Some(Err(findings)) = config.as_ref().map(|config| addressed(&loaded.generation.rulebook, config)) {
                faults.add(findings);
            }
            faults.add(loaded.warnings);
        }
        Err(findings) => faults.add(findings),
    }
    tell(arguments, &faults, described, exposed);
    match (faults.has(Severity::Error), faults.has(Severity::Warning)) {
        (true, _) => CONFIGURATION,
        (false, true) if arguments.strict => FAILED,
        _ => FINE,
    }
}

fn tell(arguments: &CheckArguments, faults: &Findings, described: usize, exposed: usize) {
    let fine = !faults.has(Severity::Error);
    match arguments.told.format() {
        Format::Text => {
            complain_if(&faults.render(colour()));
            if fine {
                say(&format!("ok: {exposed} of {described} operations are exposed\n"));
            }
        }
        Format::Json => {
            let (errors, warnings) = (faults.to_json_of(Severity::Error), faults.to_json_of(Severity::Warning));
            let report = json!({"ok": fine, "operations": described, "exposed": exposed, "errors": errors, "warnings": warnings});
            say(&format!("{report}\n"));
        }
        Format::Sarif => say(&format!("{:#}\n", faults.to_sarif())),
        Format::Github => say(&faults.to_github()),
    }
}
