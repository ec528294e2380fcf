//! Reads presets as an administrator would use them: beside the set that ships, named by a plan.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gateway::generation::facts;
use openapi::Contract;
use policies::facts::OperationFacts;
use policies::language::{Compiled, Source, compile, shipped};
use policies::limit::Limit;
use policies::time::Timestamp;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/presets")
}

/// Lists the presets, sorted.
pub(crate) fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".yaml")?.to_owned())).collect();
    names.sort();
    names
}

/// Returns the example that the handbook gives of presets.
pub(crate) fn example() -> Source {
    let handbook = std::fs::read_to_string(folder().join("../../POLICIES.md")).unwrap();
    let section = handbook.split_once("\n## Presets\n").unwrap().1;
    let block = section.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0;
    Source::new("POLICIES.md", block)
}

/// Returns the text of a preset.
pub(crate) fn source(preset: &str) -> Source {
    let file = format!("{preset}.yaml");
    Source::new(format!("policies/presets/{file}"), std::fs::read_to_string(folder().join(file)).unwrap())
}

/// Returns the limits of a preset, by name.
pub(crate) fn limits(preset: &str) -> BTreeMap<String, Limit> {
    limits_of(source(preset))
}

/// Returns the limits of a file that has nothing else, by name.
pub(crate) fn limits_of(source: Source) -> BTreeMap<String, Limit> {
    let names = names_in(source.body());
    let mut plan = "qaqpa: v1\nplans:\n  rows:\n    limits:\n".to_owned();
    for name in &names {
        writeln!(plan, "      - {name}").unwrap();
    }
    plan.push_str(
        "fixtures:\n  organisations:\n    rows: {roles: [BANK]}\n  clients:\n    rows: {organisation: rows, plan: rows, scopes: [\"accounts:read\"]}\n",
    );
    let compiled = compiled(vec![source, Source::new("plan.yaml", plan)]);
    let client = compiled.fixtures.clients.values().find(|client| client.plan.id.as_str() == "rows").unwrap();
    assert_eq!(names.len(), client.plan.limits.len());
    names.into_iter().zip(client.plan.limits.iter().cloned()).collect()
}

/// Tells what somebody should look at where these presets stand beside the set that ships.
pub(crate) fn warnings_beside_what_ships(presets: &[&str]) -> Vec<String> {
    warnings(presets.iter().map(|preset| source(preset)).collect())
}

/// Tells the same of any files.
pub(crate) fn warnings(files: Vec<Source>) -> Vec<String> {
    compiled(files).warnings.into_iter().map(|problem| problem.message.to_string()).collect()
}

fn compiled(own: Vec<Source>) -> Compiled {
    let mut files = shipped();
    files.extend(own);
    let now = Timestamp::from_date("2026-11-22").unwrap();
    compile(&files, &contracts(), now).unwrap_or_else(|problems| {
        let told: Vec<String> =
            problems.iter().map(|problem| format!("{:?} {}", problem.place, problem.message)).collect();
        panic!("{}", told.join("\n"))
    })
}

fn contracts() -> Vec<OperationFacts> {
    let Ok(contract) = Contract::load(&openapi::shipped()) else { panic!("the contracts that ship load") };
    facts(&contract)
}

// The keys of `limits:`, which is all that a preset has.
fn names_in(text: &str) -> Vec<String> {
    let limits = text.split_once("\nlimits:\n").unwrap().1;
    let keys = limits.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    keys.filter_map(|line| Some(line.trim().split_once(':')?.0.to_owned()))
        .filter(|key| !key.starts_with('#'))
        .collect()
}
