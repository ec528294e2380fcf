//! `qaqpa check`: is a policy set right?

use std::path::PathBuf;

use adapters::clock::Clock;
use serde_json::json;

use super::{CONFIGURATION, FINE, complain, say};
use crate::assemble::load;

/// What is checked.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// The folder (or file) with policies; the shipped set if none is named.
    #[arg(value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// Also check an operator's configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object for a program.
    #[arg(long)]
    json: bool,
}

/// Checks, and tells every problem.
pub(super) fn run(arguments: &CheckArguments) -> u8 {
    let colour = super::colour() && !arguments.json;
    let mut faults = String::new();
    let mut config = None;
    if let Some(path) = &arguments.config {
        match crate::config::load(path, colour) {
            Ok(found) => config = Some(found),
            Err(text) => faults.push_str(&text),
        }
    }
    let named = |argument: &Option<PathBuf>, configured: Option<Vec<PathBuf>>| {
        argument.clone().map(|path| vec![path]).or(configured).unwrap_or_default()
    };
    let policies = named(&arguments.policies, config.as_ref().map(|config| config.policies.clone()));
    let contracts = named(&arguments.contracts, config.as_ref().map(|config| config.contracts.clone()));
    let mut counted = None;
    let mut warnings = String::new();
    match load(&policies, &contracts, 1, Clock::system().now(), colour) {
        Ok((generation, found)) => {
            counted = Some((generation.contract.operations().len(), generation.rulebook.operations.len()));
            warnings = found;
            if let Some(config) = &config
                && let Err(text) = crate::assemble::addressed(&generation.rulebook, config)
            {
                faults.push_str(&text);
            }
        }
        Err(text) => faults.push_str(&text),
    }
    let fine = faults.is_empty();
    let (described, exposed) = counted.unwrap_or_default();
    if arguments.json {
        let report = json!({"ok": fine, "operations": described, "exposed": exposed, "errors": faults, "warnings": warnings});
        say(&format!("{report}\n"));
    } else {
        complain_if(&warnings);
        complain_if(&faults);
        if fine {
            say(&format!("ok: {exposed} of {described} operations are exposed\n"));
        } else {
            complain("Nothing was applied.");
        }
    }
    if fine { FINE } else { CONFIGURATION }
}

fn complain_if(text: &str) {
    if !text.is_empty() {
        complain(text);
    }
}
