//! `qaqpa check`: is a policy set right?

use std::path::PathBuf;

use adapters::clock::Clock;
use serde_json::json;

use super::process::{CONFIGURATION, FINE};
use super::terminal::{colour, complain, say};
use crate::load::{Findings, addressed, allowed, load};
use crate::stores;

/// What is checked.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// The folder (or file) with policies; the shipped set if none is named.
    #[arg(value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// Also check an operator's configuration, and the folders it names; certificates, keys and secrets are not opened.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object for a program.
    #[arg(long)]
    json: bool,
}

/// Checks, and tells every problem.
pub(super) fn run(arguments: &CheckArguments) -> u8 {
    let colour = colour() && !arguments.json;
    let mut faults = Findings::default();
    let mut config = None;
    if let Some(path) = &arguments.config {
        match crate::config::load(path) {
            Ok(found) => config = Some(found),
            Err(findings) => faults.add(findings),
        }
    }
    let named = |argument: &Option<PathBuf>, configured: Option<Vec<PathBuf>>| {
        argument.clone().map(|path| vec![path]).or(configured).unwrap_or_default()
    };
    let policies = named(&arguments.policies, config.as_ref().map(|config| config.policies.clone()));
    let contracts = named(&arguments.contracts, config.as_ref().map(|config| config.contracts.clone()));
    let (mut described, mut exposed) = (0, 0);
    let mut warnings = Findings::default();
    if let Some(Err(findings)) = config.as_ref().map(stores::check) {
        faults.add(findings);
    }
    match load(&policies, &contracts, config.as_ref().map(allowed).unwrap_or_default(), 1, Clock::system().now()) {
        Ok(loaded) => {
            described = loaded.generation.contract.operations().len();
            exposed = loaded.generation.rulebook.operations.len();
            warnings = loaded.warnings;
            if let Some(Err(findings)) = config.as_ref().map(|config| addressed(&loaded.generation.rulebook, config)) {
                faults.add(findings);
            }
        }
        Err(findings) => faults.add(findings),
    }
    let fine = faults.is_empty();
    if arguments.json {
        let (errors, warnings) = (faults.to_json(), warnings.to_json());
        let report =
            json!({"ok": fine, "operations": described, "exposed": exposed, "errors": errors, "warnings": warnings});
        say(&format!("{report}\n"));
    } else {
        complain_if(&warnings.render(colour));
        complain_if(&faults.render(colour));
        if fine {
            say(&format!("ok: {exposed} of {described} operations are exposed\n"));
        }
    }
    if fine { FINE } else { CONFIGURATION }
}

fn complain_if(text: &str) {
    if !text.is_empty() {
        complain(text);
    }
}
