//! What was found wrong or worth a look in files, and how it is told to people and to programs.

use std::path::Path;
use std::sync::Arc;

use policies::language::{Place, Problem, Source, render, tally};
use serde_json::{Value, json};

/// What was found in files, with their texts, so that it can be shown where it stands.
#[derive(Debug, Default)]
pub struct Findings {
    problems: Vec<Problem>,
    sources: Vec<Source>,
}

impl Findings {
    /// Makes one finding about a file as a whole.
    #[must_use]
    pub fn of_file(code: &'static str, path: &Path, message: impl Into<String>, help: Option<String>) -> Self {
        let place = Place::start_of(&Arc::from(path.display().to_string()));
        let mut problem = Problem::error(code, &place, message);
        problem.help = help;
        Self { problems: vec![problem], sources: Vec::new() }
    }

    /// Makes findings about these files.
    #[must_use]
    pub fn new(problems: Vec<Problem>, sources: Vec<Source>) -> Self {
        Self { problems, sources }
    }

    /// Adds the findings about other files.
    pub fn add(&mut self, others: Findings) {
        self.problems.extend(others.problems);
        self.sources.extend(others.sources);
    }

    /// Tells whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Shows everything to people: the lines, a caret, what to do, and how many there are.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        if self.problems.is_empty() {
            return String::new();
        }
        format!("{}{}\n", render(&self.problems, &self.sources, colour), tally(&self.problems))
    }

    /// Lists everything for programs.
    #[must_use]
    pub fn to_json(&self) -> Vec<Value> {
        let one = |problem: &Problem| {
            json!({
                "code": problem.code, "severity": problem.severity.word(), "message": problem.message,
                "file": &*problem.place.file, "line": problem.place.line, "column": problem.place.column,
                "label": problem.label, "help": problem.help,
            })
        };
        self.problems.iter().map(one).collect()
    }
}
