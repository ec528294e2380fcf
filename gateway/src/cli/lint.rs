//! `qaqpa lint`: is a policy set good, now that it is right?

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use policies::language::{Problem, Severity, lint};
use serde_json::json;

use super::process::{CONFIGURATION, FAILED, FINE};
use super::sets::{Set, SetArguments};
use super::terminal::{colour, complain_if, say};
use super::told::Told;
use crate::findings::{Findings, Format};

const EXAMPLES: &str = "\
Examples:
  qaqpa lint                                  the policies and contracts that ship
  qaqpa lint policies/ --fail-on warning      for CI: nothing but infos may be left
  qaqpa lint policies/ --ignore L0021         without the rule about operations that no case calls
  qaqpa explain L0015                         why a rule is there, and what to do

Warnings of `qaqpa check` are told too. Ends with 1 if something is as bad as --fail-on says, with 78 if the set does
not compile.";

/// What is judged.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct LintArguments {
    /// The folders (or files) with policies, read as one set; the shipped set if none is named.
    #[arg(value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// Leave a rule out; may be given more than once.
    #[arg(long, value_name = "ID")]
    ignore: Vec<String>,
    /// From which rank on the command fails.
    #[arg(long, value_enum, default_value = "error", value_name = "RANK")]
    fail_on: Rank,
    #[command(flatten)]
    told: Told,
}

/// How bad something has to be.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Rank {
    /// What protects less than its author thinks.
    Error,
    /// What deserves a look.
    Warning,
    /// What is right and could be stricter.
    Info,
}

/// Judges, and tells what was found.
pub(super) fn run(arguments: &LintArguments) -> u8 {
    for id in &arguments.ignore {
        if crate::findings::explain(id).is_none() {
            complain_if(&format!("warning: no rule has the id {id}; see `qaqpa explain`\n"));
        }
    }
    let asked = SetArguments { policies: arguments.policies.clone(), contracts: arguments.contracts.clone() };
    let (mut findings, compiles) = match Set::read(&asked) {
        Err(findings) => (findings, false),
        Ok(set) => {
            let mut problems = set.compiled.warnings.clone();
            problems.extend(lint::lint(&set.compiled, &set.files, &set.facts));
            problems.sort_by_key(|problem| problem.severity);
            (Findings::new(problems, set.files), true)
        }
    };
    if compiles {
        findings.ignore(&arguments.ignore);
    }
    tell(arguments, &findings, compiles);
    let worst = match arguments.fail_on {
        Rank::Error => Severity::Error,
        Rank::Warning => Severity::Warning,
        Rank::Info => Severity::Info,
    };
    match (compiles, findings.has(worst)) {
        (false, _) => CONFIGURATION,
        (true, true) => FAILED,
        (true, false) => FINE,
    }
}

fn tell(arguments: &LintArguments, findings: &Findings, compiles: bool) {
    match arguments.told.format() {
        // What was found is what was asked for; only what keeps the set from compiling is a complaint.
        Format::Text if compiles => say(&told(findings, colour())),
        Format::Text => complain_if(&findings.render(colour())),
        Format::Json => say(&format!("{}\n", json!({"ok": compiles, "findings": findings.to_json()}))),
        Format::Sarif => say(&format!("{:#}\n", findings.to_sarif())),
        Format::Github => say(&findings.to_github()),
    }
}

/// Shows errors and warnings as `check` does, and infos by their rule, a line each: they are many, and none is urgent.
fn told(findings: &Findings, colour: bool) -> String {
    if findings.is_empty() {
        return "ok: nothing was found\n".to_owned();
    }
    let mut infos: BTreeMap<&str, Vec<&Problem>> = BTreeMap::new();
    for problem in findings.problems().filter(|problem| problem.severity == Severity::Info) {
        infos.entry(problem.code).or_default().push(problem);
    }
    let mut text = findings.render_of(|problem| problem.severity != Severity::Info, colour);
    for (code, problems) in infos {
        let title = crate::findings::explain(code).map_or("", |found| found.title);
        let head = format!("info[{code}]");
        let head = if colour { format!("\u{1b}[1;36m{head}\u{1b}[0m") } else { head };
        let _ = writeln!(text, "{head}: {title}");
        for problem in problems {
            let place = &problem.place;
            let _ = writeln!(text, "  {}:{}:{}  {}", place.file, place.line, place.column, problem.message);
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}; `qaqpa explain ID` says why a rule is there", findings.tally());
    text
}
