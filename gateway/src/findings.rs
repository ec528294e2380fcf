//! What was found wrong or worth a look in files, and how it is told to people and to programs.

mod codes;
mod sarif;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use policies::language::{Place, Problem, Severity, Source, render, tally, visible};
use serde_json::{Value, json};

pub use self::codes::{CODES, explain};

/// How findings are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// To people: the line, a caret, what to do.
    #[default]
    Text,
    /// To programs: one JSON object.
    Json,
    /// To code scanning: SARIF 2.1.0.
    Sarif,
    /// To GitHub Actions: workflow commands, shown at the lines of a pull request.
    Github,
}

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

    /// Tells whether something is at least so bad.
    #[must_use]
    pub fn has(&self, severity: Severity) -> bool {
        self.problems.iter().any(|problem| problem.severity <= severity)
    }

    /// Counts what is exactly so bad.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Puts the gravest first, else in the order of files and lines: what refuses is not lost below what only remarks.
    pub fn gravest_first(&mut self) {
        self.problems.sort_by_key(|problem| problem.severity);
    }

    /// Goes through what was found.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }

    /// Leaves out what has one of these codes, whatever case they are written in.
    pub fn ignore(&mut self, codes: &[String]) {
        self.problems.retain(|problem| !codes.iter().any(|code| code.eq_ignore_ascii_case(problem.code)));
    }

    /// Shows everything to people: the lines, a caret, what to do, and how many there are.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        if self.problems.is_empty() {
            return String::new();
        }
        format!("{}{}\n", render(&self.problems, &self.sources, colour), tally(&self.problems))
    }

    /// Shows to people what is chosen, without counting.
    pub fn render_of(&self, chosen: impl Fn(&Problem) -> bool, colour: bool) -> String {
        let problems: Vec<Problem> = self.problems.iter().filter(|problem| chosen(problem)).cloned().collect();
        render(&problems, &self.sources, colour)
    }

    /// Says how many errors, warnings and infos there are.
    #[must_use]
    pub fn tally(&self) -> String {
        tally(&self.problems)
    }

    /// Lists everything for programs.
    #[must_use]
    pub fn to_json(&self) -> Vec<Value> {
        let one = |problem: &Problem| {
            let related: Vec<Value> = problem
                .related
                .iter()
                .map(|(at, label)| json!({"file": &*at.file, "line": at.line, "column": at.column, "label": label}))
                .collect();
            json!({
                "code": problem.code, "severity": problem.severity.word(), "message": problem.message,
                "file": &*problem.place.file, "line": problem.place.line, "column": problem.place.column,
                "length": problem.place.length,
                "label": problem.label, "help": problem.help, "related": related,
            })
        };
        self.problems.iter().map(one).collect()
    }

    /// Lists what is so bad, and nothing else, for programs.
    #[must_use]
    pub fn to_json_of(&self, severity: Severity) -> Vec<Value> {
        let word = severity.word();
        self.to_json().into_iter().filter(|value| value.get("severity").is_some_and(|found| found == word)).collect()
    }

    /// Writes a log of SARIF 2.1.0, which code scanning services read.
    #[must_use]
    pub fn to_sarif(&self) -> Value {
        sarif::log(&self.problems)
    }

    /// Writes workflow commands that GitHub Actions shows at the lines of a pull request.
    #[must_use]
    pub fn to_github(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            let Place { file, line, column, length } = &problem.place;
            let command = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "notice",
            };
            let mut message = problem.message.clone();
            let more = [Some(&problem.label).filter(|label| !label.is_empty()), problem.help.as_ref()];
            for more in more.into_iter().flatten() {
                message.push('\n');
                message.push_str(more);
            }
            let end = column + length.saturating_sub(1);
            let (file, code, message) = (property(file), property(problem.code), data(&message));
            let _ = writeln!(
                text,
                "::{command} file={file},line={line},col={column},endColumn={end},title={code}::{message}"
            );
        }
        text
    }
}

// A workflow command ends at the line's end, so that a message could otherwise begin another command.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    // Names of files come from who sent them; a log is read in a terminal, too.
    text.chars().map(visible).collect()
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_begin_another_workflow_command() {
        let place = Place { file: Arc::from("a,b:c.yaml"), line: 3, column: 5, length: 4 };
        let problem = Problem::error("P0101", &place, "50% off\r\n::warning::gone").help("look");
        let found = Findings::new(vec![problem], Vec::new()).to_github();
        let expected =
            "::error file=a%2Cb%3Ac.yaml,line=3,col=5,endColumn=8,title=P0101::50%25 off%0D%0A::warning::gone%0Alook\n";
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_name_cannot_steer_the_terminal_that_a_log_is_read_in() {
        let place = Place { file: Arc::from("a\u{1b}[2J\u{202e}.yaml"), line: 1, column: 1, length: 1 };
        let found = Findings::new(vec![Problem::error("P0101", &place, "b\u{9b}1m")], Vec::new()).to_github();
        assert!(found.starts_with("::error file=a\u{fffd}[2J\u{fffd}.yaml,"), "{found:?}");
        assert!(found.ends_with("::b\u{fffd}1m\n"), "{found:?}");
    }

    #[test]
    fn what_is_ignored_is_gone_whatever_case_it_is_written_in() {
        let place = Place::start_of(&Arc::from("a.yaml"));
        let problems = vec![Problem::error("P0101", &place, "a"), Problem::warning("P0401", &place, "b")];
        let mut findings = Findings::new(problems, Vec::new());
        assert!(findings.has(Severity::Error));
        findings.ignore(&["p0101".to_owned()]);
        assert!(!findings.has(Severity::Error) && findings.has(Severity::Warning) && findings.has(Severity::Info));
    }

    #[test]
    fn the_gravest_stand_first_and_only_what_is_so_bad_is_counted() {
        let place = |line: usize| Place { line, ..Place::start_of(&Arc::from("a.yaml")) };
        let problems = vec![
            Problem::warning("P0401", &place(1), "worth a look"),
            Problem::error("P0101", &place(2), "the first fault"),
            Problem::error("P0102", &place(3), "the second fault"),
        ];
        let mut findings = Findings::new(problems, Vec::new());
        findings.gravest_first();
        let told: Vec<&str> = findings.problems().map(|problem| problem.message.as_str()).collect();
        assert_eq!(told, ["the first fault", "the second fault", "worth a look"]);
        assert_eq!((findings.count(Severity::Error), findings.count(Severity::Warning)), (2, 1));
    }
}
