//! Findings as a log of SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), for code scanning services.

use std::fmt::Write as _;

use policies::language::{Place, Problem, Severity};
use serde_json::{Value, json};

use super::codes;

/// Writes one run with a rule for each code that was found.
pub(super) fn log(problems: &[Problem]) -> Value {
    let mut rules: Vec<&'static str> = problems.iter().map(|problem| problem.code).collect();
    rules.sort_unstable();
    rules.dedup();
    let results: Vec<Value> = problems.iter().map(|problem| result(problem, &rules)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "qaqpa",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: &str) -> Value {
    let Some(found) = codes::explain(code) else { return json!({"id": code}) };
    json!({
        "id": code,
        "name": found.title,
        "shortDescription": {"text": found.title},
        "fullDescription": {"text": found.text},
        "help": {"text": format!("{} See `qaqpa explain {code}`.", found.text)},
    })
}

fn result(problem: &Problem, rules: &[&str]) -> Value {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    let mut text = problem.message.clone();
    for more in [Some(&problem.label).filter(|label| !label.is_empty()), problem.help.as_ref()].into_iter().flatten() {
        text.push_str(": ");
        text.push_str(more);
    }
    let other = |(id, (place, label)): (usize, &(Place, String))| json!({"id": id, "physicalLocation": physical(place), "message": {"text": label}});
    json!({
        "ruleId": problem.code,
        "ruleIndex": rules.iter().position(|code| *code == problem.code),
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": physical(&problem.place)}],
        "relatedLocations": problem.related.iter().enumerate().map(other).collect::<Vec<_>>(),
    })
}

fn physical(place: &Place) -> Value {
    json!({
        "artifactLocation": {"uri": uri(&place.file)},
        "region": {
            "startLine": place.line, "startColumn": place.column,
            "endLine": place.line, "endColumn": place.column + place.length,
        },
    })
}

// A relative path is a relative reference; an absolute one needs its scheme.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
    let mut text = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(uri("a b/ü%.yaml"), "a%20b/%C3%BC%25.yaml");
        assert_eq!(uri("/etc/a.yaml"), "file:///etc/a.yaml");
        assert_eq!(uri("./a:b.yaml"), "a%3Ab.yaml");
    }

    // What the schema of the standard requires (sarif-schema-2.1.0.json) of the objects that are written here.
    #[test]
    fn a_log_has_what_the_standard_requires() {
        let place = |line| Place { file: Arc::from("a.yaml"), line, column: 2, length: 3 };
        let problems = [
            Problem::error("P0107", &place(4), "unknown").label("here").help("look").related(&place(9), "first"),
            Problem::warning("P0402", &place(1), "soon"),
            Problem::info("X9999", &place(1), "nobody explains this"),
        ];
        let log = log(&problems);
        assert_eq!(log["version"], "2.1.0");
        assert!(log["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
        let run = &log["runs"][0];
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "qaqpa");
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let rules = driver["rules"].as_array().unwrap();
        let ids: Vec<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["P0107", "P0402", "X9999"]);
        assert!(rules[0]["shortDescription"]["text"].is_string() && rules[0]["fullDescription"]["text"].is_string());
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), problems.len());
        for (result, level) in results.iter().zip(["error", "warning", "note"]) {
            assert_eq!(result["level"], level);
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            for location in result["locations"].as_array().unwrap() {
                let region = &location["physicalLocation"]["region"];
                assert!(region["startLine"].as_u64().unwrap() >= 1 && region["startColumn"].as_u64().unwrap() >= 1);
                // The end is the column after the last character.
                assert_eq!(region["endColumn"], 5);
                assert!(location["physicalLocation"]["artifactLocation"]["uri"].is_string());
            }
        }
        assert_eq!(results[0]["relatedLocations"][0]["message"]["text"], "first");
    }
}
