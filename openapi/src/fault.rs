//! What goes into a contract and what comes back when it is wrong.
//!
//! Knows no OpenAPI and no YAML, so that every other file may speak of faults.

use std::fmt;

/// The most faults told of one file: nobody reads more before mending the first.
const FILE_FAULTS_MAX: usize = 200;

/// One file of a contract, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What diagnostics call the file, for example `openapi/apis/payments.yaml`.
    pub name: String,
    /// The whole text of the file.
    pub text: String,
}

impl Source {
    /// The file's name without folders and ending: `payments` for `openapi/apis/payments.yaml`.
    pub(crate) fn stem(&self) -> &str {
        let file = self.name.rsplit(['/', '\\']).next().unwrap_or(&self.name);
        match file.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => file,
        }
    }
}

/// One thing wrong with a contract, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The [`Source::name`] of the file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
}

/// A place in a file; both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Collects what is wrong with one file.
#[derive(Debug)]
pub(crate) struct Faults {
    file: String,
    found: Vec<Fault>,
}

impl Faults {
    pub(crate) fn new(file: &str) -> Self {
        Faults { file: file.to_owned(), found: Vec::new() }
    }

    pub(crate) fn add(&mut self, mark: Mark, message: impl Into<String>) {
        self.push(mark, message.into(), None);
    }

    pub(crate) fn add_with_help(&mut self, mark: Mark, message: impl Into<String>, help: &str) {
        self.push(mark, message.into(), Some(help.to_owned()));
    }

    /// Adds a complaint of the second rank: it is left out where the same line already has one.
    pub(crate) fn add_unless_known(&mut self, mark: Mark, message: String) {
        if !self.found.iter().any(|fault| fault.line == mark.line) {
            self.push(mark, message, None);
        }
    }

    /// How many were found so far.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn into_found(self) -> Vec<Fault> {
        self.found
    }

    fn push(&mut self, mark: Mark, message: String, help: Option<String>) {
        let fault = Fault { file: self.file.clone(), line: mark.line, column: mark.column, message, help };
        if self.found.len() < FILE_FAULTS_MAX && !self.found.contains(&fault) {
            self.found.push(fault);
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_limit_holds_on_both_sides() {
        let mut faults = Faults::new("x.yaml");
        for line in 1..=FILE_FAULTS_MAX {
            assert_eq!(faults.count(), line - 1);
            faults.add(Mark { line, column: 1 }, "m");
        }
        faults.add(Mark { line: FILE_FAULTS_MAX + 1, column: 1 }, "m");
        assert_eq!(faults.into_found().len(), FILE_FAULTS_MAX);
    }

    #[test]
    fn a_fault_is_told_once() {
        let mut faults = Faults::new("x.yaml");
        faults.add(Mark { line: 1, column: 1 }, "m");
        faults.add(Mark { line: 1, column: 1 }, "m");
        faults.add_unless_known(Mark { line: 1, column: 9 }, "n".to_owned());
        assert_eq!(faults.count(), 1);
        faults.add_unless_known(Mark { line: 2, column: 1 }, "n".to_owned());
        assert_eq!(faults.count(), 2);
    }

    #[test]
    fn a_stem_is_the_bare_file_name() {
        for (name, stem) in [
            ("openapi/apis/payments.yaml", "payments"),
            ("payments.yaml", "payments"),
            ("payments", "payments"),
            ("a.b/accounts.v1.yaml", "accounts.v1"),
            (".hidden", ".hidden"),
        ] {
            let source = Source { name: name.to_owned(), text: String::new() };
            assert_eq!(source.stem(), stem);
        }
    }
}
