//! `qaqpa test`: does a policy set do what its `tests` say?

use std::path::PathBuf;

use adapters::clock::Clock;
use policies::language::Allowed;

use super::process::{CONFIGURATION, FAILED, FINE, USAGE, in_runtime};
use super::terminal::{colour, complain, complain_if, say};
use crate::load::load;
use crate::trial::{Coverage, Places, Rule, Trial, Verdict, eras, json, junit, text};

/// How a run of cases is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// To people.
    #[default]
    Text,
    /// To programs: one JSON object.
    Json,
}

/// What is tested.
#[derive(Debug, clap::Args)]
pub struct TestArguments {
    /// The folders (or files) with policies, read as one set; the shipped set if none is named.
    #[arg(value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// Run only cases whose name or file holds this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Also write what came of the cases as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// To whom it is told.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Fail if a rule was never hit.
    #[arg(long, conflicts_with = "filter")]
    strict_coverage: bool,
}

/// Runs the cases, and tells what came of them.
pub(super) fn run(arguments: &TestArguments) -> u8 {
    let (policies, contracts) = (&arguments.policies, arguments.contracts.as_slice());
    // Where clients are told of events does not matter here: nobody is told.
    let loaded = match load(policies, contracts, Allowed { private_endpoints: true }, 1, Clock::system().now()) {
        Ok(loaded) => loaded,
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    complain_if(&loaded.warnings.render(colour()));
    let mut cases = loaded.cases;
    if let Some(wanted) = &arguments.filter {
        cases.retain(|case| case.name.contains(wanted) || case.place.file.contains(wanted));
    }
    if cases.is_empty() {
        complain(
            "error: there are no such cases\n  = help: write them under `tests:`; a run that tests nothing is no success",
        );
        return if arguments.filter.is_some() { USAGE } else { FAILED };
    }
    let effective = loaded.effective;
    let (first, later) = match eras(loaded.generation, &effective, &loaded.fixtures, &cases) {
        Ok(eras) => eras,
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    let ran = in_runtime(async {
        let trial = Trial::prepare(first, later, &loaded.fixtures).map_err(|error| format!("error: {error}"))?;
        let (mut coverage, mut verdicts) = (Coverage::default(), Vec::with_capacity(cases.len()));
        for case in &cases {
            verdicts.push(trial.run(case, &mut coverage).await);
        }
        let generation = trial.generation();
        let places = Places { rulebook: &generation.rulebook, contract: &generation.contract, effective: &effective };
        for verdict in &mut verdicts {
            verdict.locate(&places);
        }
        Ok((verdicts, coverage.of(trial.rulebooks(), &effective)))
    });
    match ran {
        Ok((verdicts, rules)) => tell(arguments, &verdicts, &rules),
        Err(text) => {
            complain(&text);
            FAILED
        }
    }
}

fn tell(arguments: &TestArguments, verdicts: &[Verdict], rules: &[(Rule, bool)]) -> u8 {
    // Of a part of the cases nobody expects that they hit every rule.
    let covering = arguments.filter.is_none().then_some(rules);
    match arguments.format {
        Format::Text => say(&text(verdicts, covering)),
        Format::Json => say(&format!("{}\n", json(verdicts, covering))),
    }
    if let Some(path) = &arguments.junit
        && let Err(error) = std::fs::write(path, junit(verdicts))
    {
        complain(&format!("error: {}: {error}", path.display()));
        return FAILED;
    }
    let passed = verdicts.iter().all(|verdict| verdict.failures.is_empty());
    let covered = !arguments.strict_coverage || rules.iter().all(|(_, hit)| *hit);
    if passed && covered { FINE } else { FAILED }
}
