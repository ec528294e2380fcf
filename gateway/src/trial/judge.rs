//! Holds what came of a call against what a case expects.

use policies::case::Expect;
use serde_json::Value;

use super::call::Outcome;

/// Tells what is not as expected, one line each; empty if all is.
pub(super) fn misses(expect: &Expect, outcome: &Outcome) -> Vec<String> {
    let mut misses = Vec::new();
    let mut told = |what: &str, expected: &dyn std::fmt::Display, came: &dyn std::fmt::Display| {
        misses.push(format!("{what}: expected {expected}, came {came}"));
    };
    if let Some(status) = expect.status.filter(|status| *status != outcome.status) {
        told("status", &status, &outcome.status);
    }
    if let Some(problem) = expect.problem.as_deref().filter(|problem| Some(*problem) != outcome.problem()) {
        told("problem", &problem, &outcome.problem().unwrap_or("none"));
    }
    if let Some(stage) = expect.stage.as_deref().filter(|stage| Some(*stage) != outcome.stage()) {
        told("stage", &stage, &outcome.stage().unwrap_or("none refused"));
    }
    if let Some(limit) = &expect.limit
        && !outcome.limits().any(|known| is_limit(known, limit))
    {
        told("limit", limit, &listed(outcome.limits()));
    }
    if let Some(rule) = &expect.rule
        && !outcome.rules().any(|known| known == rule)
    {
        told("rule", rule, &listed(outcome.rules()));
    }
    if let Some(called) = expect.backend_called.filter(|called| *called != (outcome.asked > 0)) {
        told("backendCalled", &called, &!called);
    }
    for (pointer, expected) in &expect.body {
        let came = outcome.json.as_ref().and_then(|body| body.pointer(pointer)).unwrap_or(&Value::Null);
        if !same(expected, came) {
            told(&format!("body {pointer}"), expected, came);
        }
    }
    misses
}

/// Tells whether a limit is meant: by its id, or by the name that its id begins with.
pub(super) fn is_limit(id: &str, meant: &str) -> bool {
    id == meant || id.split(':').next() == Some(meant)
}

// A whole number is the same with and without a fraction of nothing.
fn same(expected: &Value, came: &Value) -> bool {
    expected == came || matches!((expected.as_f64(), came.as_f64()), (Some(a), Some(b)) if a.to_bits() == b.to_bits())
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use policies::language::tables::cases::PROBLEMS;

    #[test]
    fn cases_may_expect_exactly_the_problems_that_there_are() {
        let known: BTreeSet<&str> = spine::error::names().collect();
        assert_eq!(PROBLEMS.into_iter().collect::<BTreeSet<_>>(), known);
    }
}
