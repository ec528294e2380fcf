//! What goes into a contract and what comes back when it is wrong.
//!
//! Knows no OpenAPI and no YAML, so that every other file may speak of faults.

use std::fmt;
use std::sync::Arc;

/// The most faults told of one document: nobody reads more before mending the first.
const FILE_FAULTS_MAX: usize = 200;

/// One file of a contract, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What diagnostics call the file, for example `openapi/apis/payments.yaml`.
    pub name: String,
    /// The whole text of the file.
    pub text: String,
}

/// A file's name without folders and ending: `payments` for `openapi/apis/payments.yaml`.
pub(crate) fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
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

/// A place in a text; both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A place in one of the files that are read together: there are as many as nodes, so it is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// The file's position among those read together, from 0.
    pub(crate) file: u16,
    /// The line, from 1.
    pub(crate) line: u32,
    /// The column in characters, from 1.
    pub(crate) column: u32,
}

impl Mark {
    /// The beginning of a file.
    pub(crate) fn start(file: u16) -> Mark {
        Mark { file, line: 1, column: 1 }
    }
}

/// Collects what is wrong with files that are read together, and what somebody should look at.
#[derive(Debug)]
pub(crate) struct Faults {
    files: Arc<[String]>,
    found: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Faults {
    /// For one file.
    #[cfg(test)]
    pub(crate) fn new(file: &str) -> Self {
        Faults::of(Arc::new([file.to_owned()]))
    }

    /// For files by their position.
    pub(crate) fn of(files: Arc<[String]>) -> Self {
        Faults { files, found: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn add(&mut self, mark: Mark, message: impl Into<String>) {
        self.push(mark, message.into(), None);
    }

    pub(crate) fn add_with_help(&mut self, mark: Mark, message: impl Into<String>, help: &str) {
        self.push(mark, message.into(), Some(help.to_owned()));
    }

    /// Adds a complaint of the second rank: it is left out where the same line already has one.
    pub(crate) fn add_unless_known(&mut self, mark: Mark, message: String) {
        let known = self.fault(mark, String::new(), None);
        if !self.found.iter().any(|fault| (fault.line, &fault.file) == (known.line, &known.file)) {
            self.push(mark, message, None);
        }
    }

    /// Adds what does not keep a document from being read, but is better known.
    pub(crate) fn warn(&mut self, mark: Mark, message: impl Into<String>, help: &str) {
        let warning = self.fault(mark, message.into(), Some(help.to_owned()));
        keep(&mut self.warnings, warning);
    }

    /// Takes over what was found before.
    pub(crate) fn take_over(&mut self, (found, warnings): (&[Fault], &[Fault])) {
        for fault in found {
            keep(&mut self.found, fault.clone());
        }
        for warning in warnings {
            keep(&mut self.warnings, warning.clone());
        }
    }

    /// How many were found so far.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    #[cfg(test)]
    pub(crate) fn into_found(self) -> Vec<Fault> {
        self.found
    }

    /// The faults and the warnings.
    pub(crate) fn into_parts(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.found, self.warnings)
    }

    /// Where something stands, for people: `file:line`.
    pub(crate) fn origin(&self, mark: Mark) -> String {
        format!("{}:{}", self.file(mark), mark.line)
    }

    fn file(&self, mark: Mark) -> &str {
        self.files.get(usize::from(mark.file)).map_or("", String::as_str)
    }

    fn push(&mut self, mark: Mark, message: String, help: Option<String>) {
        let fault = self.fault(mark, message, help);
        keep(&mut self.found, fault);
    }

    fn fault(&self, mark: Mark, message: String, help: Option<String>) -> Fault {
        let at = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Fault { file: self.file(mark).to_owned(), line: at(mark.line), column: at(mark.column), message, help }
    }
}

fn keep(list: &mut Vec<Fault>, fault: Fault) {
    if list.len() < FILE_FAULTS_MAX && !list.contains(&fault) {
        list.push(fault);
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
            faults.add(Mark { file: 0, line: u32::try_from(line).unwrap_or(0), column: 1 }, "m");
        }
        faults.add(Mark { file: 0, line: 9_999, column: 1 }, "m");
        assert_eq!(faults.into_found().len(), FILE_FAULTS_MAX);
    }

    #[test]
    fn a_fault_is_told_once() {
        let mut faults = Faults::new("x.yaml");
        faults.add(Mark { file: 0, line: 1, column: 1 }, "m");
        faults.add(Mark { file: 0, line: 1, column: 1 }, "m");
        faults.add_unless_known(Mark { file: 0, line: 1, column: 9 }, "n".to_owned());
        assert_eq!(faults.count(), 1);
        faults.add_unless_known(Mark { file: 0, line: 2, column: 1 }, "n".to_owned());
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
            assert_eq!(super::stem(name), stem);
        }
    }
}
