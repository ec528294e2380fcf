#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

use jsonschema::{Draft, Validator};

use super::*;
use crate::language::decode::Value as Tree;
use crate::language::{Faults, Source, any, document, is_key_set, shipped};

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn validator() -> Validator {
    jsonschema::options().with_draft(Draft::Draft7).build(&schema()).unwrap()
}

fn tree(source: &Source) -> Option<Value> {
    let faults = Faults::new();
    let node = document::parse(source, &faults)?;
    let value = any::json(Tree::root(&node, &faults));
    (!faults.has_errors()).then_some(value)
}

// Made anew by: qaqpa schema > policies/schema/policy-v1.json
#[test]
fn the_committed_schema_is_that_of_the_tables() {
    let path = folder("schema/policy-v1.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == text(), "run `cargo run -- schema > policies/schema/policy-v1.json`");
}

#[test]
fn unknown_keys_and_wrong_units_are_refused() {
    let validator = validator();
    for (right, wrong) in [
        ("apis: {}", "api: {}"),
        (
            "plans: {a: {limits: [{per: client, rate: 50/s, burst: 1}]}}",
            "plans: {a: {limits: [{per: client, rate: 50, burst: 1}]}}",
        ),
        ("apis: {payments: {operations: {pay: {timeout: 3s}}}}", "apis: {payments: {operations: {pay: {timeout: 3}}}}"),
        (
            "apis: {payments: {operations: {pay: {audit: required}}}}",
            "apis: {payments: {operations: {pay: {audit: maybe}}}}",
        ),
        ("apis: {payments: {operations: {pay: }}}", "apis: {payments: {operations: {pay: {tiemout: 3s}}}}"),
        ("fraud: {a: {when: 'true', then: {stepUp: b}}}", "fraud: {a: {when: 'true', then: allow}}"),
        ("apis: {payments: {operations: {}}}", "apis: {payments: {}}"),
        ("limits: {a: {per: api, quota: 5/minute}}", "limits: {a: {per: api, quota: 5/min}}"),
        ("limits: {a: {per: api, quota: {most: 5, rolling: 10m}}}", "limits: {a: {per: api, quota: {most: 5}}}"),
        ("limits: {a: {per: api, inFlight: 65535}}", "limits: {a: {per: api, inFlight: 65536}}"),
        ("limits: {a: {per: api, cost: {404: 20, otherwise: -1}}}", "limits: {a: {per: api, cost: {404: many}}}"),
        (
            "limits: {a: {per: subject, subject: x-payer-id, when: {hours: ['22:00-06:00']}}}",
            "limits: {a: {per: subject, subject: x-payer-id, when: {hours: ['22:00-6:00']}}}",
        ),
        ("limits: {a: {per: subject, subject: x-payer-id}}", "limits: {a: {per: subject, subject: X-Payer-Id}}"),
        (
            "limits: {a: {per: resource, polls: {most: 3, within: 2h}}}",
            "limits: {a: {per: resource, polls: {within: 2h}}}",
        ),
    ] {
        let valid = |text: &str| validator.is_valid(&tree(&Source::new("a", format!("qaqpa: v1\n{text}\n"))).unwrap());
        assert!(valid(right), "{right}");
        assert!(!valid(wrong), "{wrong}");
    }
    assert!(!validator.is_valid(&json!({"apis": {}})), "the version is missing");
}

// Limits that others have published, for administrators to copy: they stand beside the set and are not in the program.
fn presets() -> Vec<Source> {
    let entries = std::fs::read_dir(folder("presets")).unwrap();
    let read = |path: PathBuf| {
        let name = format!("policies/presets/{}", path.file_name().unwrap().to_str().unwrap());
        Source::new(name, std::fs::read_to_string(path).unwrap())
    };
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

#[test]
fn what_ships_fits() {
    let validator = validator();
    for source in presets().into_iter().chain(shipped()) {
        let value = tree(&source).unwrap();
        let told: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(told.is_empty(), "{}: {told:#?}", source.name);
        // Editors find the schema by the first line.
        let hint = source.body().lines().next().and_then(|line| line.strip_prefix(HINT)).unwrap_or_default();
        let file = folder("..").join(&*source.name);
        let found = file.parent().map(|parent| parent.join(hint)).and_then(|path| path.canonicalize().ok());
        assert_eq!(found, folder("schema/policy-v1.json").canonicalize().ok(), "{}", source.name);
    }
}

// What an editor underlines has to be wrong for `qaqpa check` too: else nobody believes it.
#[test]
fn what_the_language_takes_the_schema_takes() {
    let validator = validator();
    let (mut refused, mut unknown_keys) = (0, 0);
    for entry in std::fs::read_dir(folder("tests-data/language")).unwrap() {
        let path = entry.unwrap().path();
        let golden = std::fs::read_to_string(&path).unwrap();
        let (given, told) = golden.split_once("=== told\n").unwrap_or((&golden, ""));
        for part in given.split("=== ").skip(1) {
            let (name, body) = part.split_once('\n').unwrap();
            if is_key_set(name, body) {
                continue;
            }
            let Some(value) = tree(&Source::new(name, body)) else { continue };
            let fits = validator.is_valid(&value);
            let told_of = told.split("\n\n").filter(|one| one.contains(&format!("--> {name}:")));
            let errors: Vec<&str> = told_of.filter(|one| one.starts_with("error")).collect();
            if !fits {
                refused += 1;
                assert!(!errors.is_empty(), "{}: {name} is right, and the schema refuses it", path.display());
            }
            if errors.iter().any(|error| error.starts_with("error[P0101]: unknown key")) {
                unknown_keys += 1;
                assert!(!fits, "{}: {name} has an unknown key, and the schema takes it", path.display());
            }
        }
    }
    assert!(refused >= 10 && unknown_keys >= 2, "{refused} files were refused, {unknown_keys} for unknown keys");
}
