//! Judges a policy set that compiles: what is weak, what does nothing, what was probably meant otherwise.
//!
//! Each rule has an id that never changes and a rank: an error protects less than its author thinks, a warning deserves a
//! look, an info is right and could be stricter. Must never refuse a set: that is the compiler's.

mod limits;
mod operations;
mod parties;
mod report;
mod rules;

use self::report::Report;
pub use self::rules::{RULES, Rule, rule};
use super::compile::Compiled;
use super::problem::{Place, Problem, Severity, Source};
use super::written::Written;
use crate::facts::OperationFacts;

/// Looks at a set, the files it was compiled from, and the operations of its contracts; sorted by file and place.
#[must_use]
pub fn lint(compiled: &Compiled, files: &[Source], operations: &[OperationFacts]) -> Vec<Problem> {
    let written = Written::of(files);
    let mut report = Report::new(&written, &compiled.effective);
    operations::look(&mut report, compiled, operations);
    parties::look(&mut report, compiled);
    limits::look(&mut report, compiled, operations);
    let rank = |place: &Place| files.iter().position(|file| file.name == place.file).unwrap_or(files.len());
    let mut found = report.into_found();
    found.sort_by(|a, b| {
        (rank(&a.place), &a.place, a.code, &a.message).cmp(&(rank(&b.place), &b.place, b.code, &b.message))
    });
    // A rule is read by many operations: what is wrong with it is told once.
    found.dedup();
    found
}

/// Tells whether nothing was found that is worse than an info.
#[must_use]
pub fn is_clean(found: &[Problem]) -> bool {
    found.iter().all(|problem| problem.severity == Severity::Info)
}

#[cfg(test)]
mod tests;
