//! Takes note of what rules find, at the place that has to be changed.

use std::sync::Arc;

use super::rules::Rule;
use crate::language::effective::Effective;
use crate::language::problem::{Place, Problem};
use crate::language::written::Written;

/// What was found so far.
pub(super) struct Report<'w> {
    /// What stands where in the files.
    pub(super) written: &'w Written,
    effective: &'w Effective,
    found: Vec<Problem>,
}

impl<'w> Report<'w> {
    /// Begins with nothing found.
    pub(super) fn new(written: &'w Written, effective: &'w Effective) -> Self {
        Self { written, effective, found: Vec::new() }
    }

    /// Returns what was found.
    pub(super) fn into_found(self) -> Vec<Problem> {
        self.found
    }

    /// Takes note of something at a key, at what it inherits, or at the nearest key around it that is written.
    pub(super) fn tell(&mut self, rule: &'static Rule, path: &[&str], message: String, help: &str) {
        let own = self.written.place(path);
        let rows = &self.effective.rows;
        let at = rows.binary_search_by(|row| row.path.iter().map(String::as_str).cmp(path.iter().copied()));
        let inherited = at.ok().filter(|_| own.is_none()).and_then(|at| rows.get(at)?.place.as_ref());
        let around = (1..=path.len()).rev().filter_map(|length| path.get(..length));
        let place = inherited.or_else(|| around.filter_map(|path| self.written.place(path)).next()).cloned();
        let place = place.unwrap_or_else(|| Place::start_of(&Arc::from("policies")));
        let problem = Problem { severity: rule.severity, ..Problem::error(rule.id, &place, message) };
        self.found.push(problem.help(help));
    }
}
