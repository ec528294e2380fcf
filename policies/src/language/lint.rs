//! Judges a policy set that compiles: what is weak, what does nothing, what was probably meant otherwise.
//!
//! Each rule has an id that never changes and a rank: an error protects less than its author thinks, a warning deserves a
//! look, an info is right and could be stricter. Must never refuse a set: that is the compiler's.

mod operations;
mod parties;
mod rules;

pub use self::rules::{RULES, Rule, rule};
use super::compile::Compiled;
use super::effective::Effective;
use super::problem::{Place, Problem, Severity, Source};
use super::written::Written;
use crate::facts::OperationFacts;

/// Looks at a set, the files it was compiled from, and the operations of its contracts; sorted by file and place.
#[must_use]
pub fn lint(compiled: &Compiled, files: &[Source], operations: &[OperationFacts]) -> Vec<Problem> {
    let written = Written::of(files);
    let mut report = Report { written: &written, effective: &compiled.effective, found: Vec::new() };
    operations::look(&mut report, compiled, operations);
    parties::look(&mut report, compiled);
    let rank = |place: &Place| files.iter().position(|file| file.name == place.file).unwrap_or(files.len());
    let mut found = report.found;
    found.sort_by(|a, b| {
        (rank(&a.place), &a.place, a.code, &a.message).cmp(&(rank(&b.place), &b.place, b.code, &b.message))
    });
    // A rule is read by many operations: what is wrong with it is told once.
    found.dedup();
    found
}

/// What was found so far.
struct Report<'w> {
    written: &'w Written,
    effective: &'w Effective,
    found: Vec<Problem>,
}

impl Report<'_> {
    /// Takes note of something at a key, at what it inherits, or at the nearest key around it that is written.
    fn tell(&mut self, rule: &'static Rule, path: &[&str], message: String, help: &str) {
        let own = self.written.place(path);
        let rows = &self.effective.rows;
        let at = rows.binary_search_by(|row| row.path.iter().map(String::as_str).cmp(path.iter().copied()));
        let inherited = at.ok().filter(|_| own.is_none()).and_then(|at| rows.get(at)?.place.as_ref());
        let around = (1..=path.len()).rev().filter_map(|length| path.get(..length));
        let place = inherited.or_else(|| around.filter_map(|path| self.written.place(path)).next()).cloned();
        let place = place.unwrap_or_else(|| Place::start_of(&std::sync::Arc::from("policies")));
        let problem = Problem { severity: rule.severity, ..Problem::error(rule.id, &place, message) };
        self.found.push(problem.help(help));
    }
}

/// Tells whether nothing was found that is worse than an info.
#[must_use]
pub fn is_clean(found: &[Problem]) -> bool {
    found.iter().all(|problem| problem.severity == Severity::Info)
}

#[cfg(test)]
mod tests;
