//! What is wrong with a file that a person wrote, and where: data first, the telling stands in `render`.
//!
//! Must never hold a secret: a message quotes only what [`quoted`] lets through.

use std::cell::RefCell;
use std::sync::Arc;

use crate::time::Timestamp;

/// How many problems of one severity are kept of one run: enough to mend a day's work, few enough to be read.
pub const PROBLEMS_MAX: usize = 200;

/// How much of a value a message quotes, in characters: a unit or a word is shorter, a key or token is longer.
pub const QUOTED_CHARACTERS_MAX: usize = 40;

/// A file as it was read: its name for people and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name that diagnostics show, usually a path.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

impl Source {
    /// Takes a file's name and text.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Returns the text without the byte order mark that some editors put first.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }
}

/// A stretch of one line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The name of the [`Source`].
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters, at least 1; never beyond the line.
    pub length: usize,
}

impl Place {
    /// Returns the first character of a file.
    #[must_use]
    pub fn start_of(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), line: 1, column: 1, length: 1 }
    }

    /// Returns `file:line`, the form that origins are told in.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is applied.
    Error,
    /// It is applied, and somebody should look at it.
    Warning,
    /// It is applied and right; it could be stricter.
    Info,
}

impl Severity {
    /// Returns the word that opens a diagnostic.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// One thing that is wrong, with what helps to put it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stable code, for example `P0107`; [`explain`](super::codes::explain) tells more.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What is said under the caret; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that have to do with it, each with its label.
    pub related: Vec<(Place, String)>,
}

impl Problem {
    /// Tells of an error.
    pub fn error(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: place.clone(),
            label: String::new(),
            help: None,
            related: Vec::new(),
        }
    }

    /// Tells of something to look at.
    pub fn warning(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// Tells of something that is right and could be stricter.
    pub fn info(code: &'static str, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Info, ..Self::error(code, place, message) }
    }

    /// Says something under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do if there is anything to say.
    #[must_use]
    pub fn help_if(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Shows another place.
    #[must_use]
    pub fn related(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.related.push((place.clone(), label.into()));
        self
    }
}

/// A day from which on files mean something else.
#[derive(Debug, Clone)]
pub struct Coming {
    /// The first instant of that day.
    pub from: Timestamp,
    /// Where the day is written.
    pub place: Place,
}

impl Coming {
    fn told(&self, problem: Problem) -> Problem {
        let day = self.from.to_string();
        let day = day.split('T').next().unwrap_or_default();
        let message = format!("from {day} on, when the override ends: {}", problem.message);
        Problem { message, ..problem }.related(&self.place, "was the last day by then")
    }
}

/// Collects everything that is wrong, so that all of it is told at once.
#[derive(Debug, Default)]
pub struct Faults {
    found: RefCell<Vec<Problem>>,
    coming: RefCell<Option<Coming>>,
}

impl Faults {
    /// Starts with nothing wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a problem; the same one twice (an alias used twice) is one.
    ///
    /// Of each severity [`PROBLEMS_MAX`] are kept: an error must not be lost among warnings, or the files would pass.
    pub fn report(&self, problem: Problem) {
        let mut found = self.found.borrow_mut();
        let known = |found: &[Problem], problem: &Problem| {
            let alike = || found.iter().filter(|other| other.severity == problem.severity);
            alike().count() >= PROBLEMS_MAX || alike().any(|other| other == problem)
        };
        if known(&found, &problem) {
            return;
        }
        let Some(coming) = &*self.coming.borrow() else {
            found.push(problem);
            return;
        };
        // What will be worth a look is told when it is.
        let problem = coming.told(problem);
        if problem.severity == Severity::Error && !known(&found, &problem) {
            found.push(problem);
        }
    }

    /// Has `work` tell its errors as what will be wrong from a day on; what is wrong already is not told again.
    pub fn foretelling<R>(&self, coming: &Coming, work: impl FnOnce() -> R) -> R {
        let before = self.coming.replace(Some(coming.clone()));
        let result = work();
        self.coming.replace(before);
        result
    }

    /// Tells whether as many errors are kept as ever are, so that no more needs to be looked into.
    #[must_use]
    pub fn are_full(&self) -> bool {
        self.found.borrow().iter().filter(|problem| problem.severity == Severity::Error).count() >= PROBLEMS_MAX
    }

    /// Tells whether an error was reported.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Returns the problems, sorted by file in the order of `sources`, then by place.
    #[must_use]
    pub fn into_problems(self, sources: &[Source]) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        let rank = |place: &Place| sources.iter().position(|source| source.name == place.file).unwrap_or(sources.len());
        found.sort_by(|a, b| (rank(&a.place), &a.place, a.severity).cmp(&(rank(&b.place), &b.place, b.severity)));
        found
    }

    /// Returns `value` and the warnings, or all problems if one is an error or there is no value.
    ///
    /// # Errors
    /// Every problem, sorted. Never empty as long as whoever returned no value reported why.
    pub fn finish<T>(self, sources: &[Source], value: Option<T>) -> Result<(T, Vec<Problem>), Vec<Problem>> {
        let failed = self.has_errors();
        let problems = self.into_problems(sources);
        match value {
            Some(value) if !failed => Ok((value, problems)),
            _ => Err(problems),
        }
    }
}

/// Quotes a value for a message, or says `this value` if it is long or could be key material.
#[must_use]
pub fn quoted(text: &str) -> String {
    let plain = text.chars().all(|character| !character.is_control());
    // What stands before the `@` of an address, or after a `password=`, may be a password.
    let shown = !looks_opaque(text) && !text.contains(['@', '=']);
    if plain && !text.is_empty() && text.chars().count() <= QUOTED_CHARACTERS_MAX && shown {
        format!("`{text}`")
    } else {
        "this value".to_owned()
    }
}

/// Says how many errors and warnings there are, for example `2 errors, 1 warning`; `, 3 infos` only if there are any.
#[must_use]
pub fn tally(problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut text = format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"));
    let infos = count(Severity::Info);
    if infos > 0 {
        text.push_str(", ");
        text.push_str(&plural(infos, "info"));
    }
    text
}

// Keys and tokens are long runs of letters of both cases and digits; names and units are not.
fn looks_opaque(text: &str) -> bool {
    let run = |keep: fn(char) -> bool| text.chars().any(keep);
    text.len() >= 20
        && run(|c| c.is_ascii_uppercase())
        && run(|c| c.is_ascii_lowercase())
        && run(|c| c.is_ascii_digit())
        && !text.contains([' ', '.', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_key_is_not_quoted() {
        assert_eq!(quoted("870mHk2dfyPQ4Xw0ZcVd9aaB1"), "this value");
        assert_eq!(quoted(&"a".repeat(QUOTED_CHARACTERS_MAX + 1)), "this value");
        assert_eq!(quoted("a\nb"), "this value");
        assert_eq!(quoted(&"a".repeat(QUOTED_CHARACTERS_MAX)), format!("`{}`", "a".repeat(40)));
        assert_eq!(quoted("createDomesticPayments"), "`createDomesticPayments`");
    }

    #[test]
    fn problems_are_told_once_and_not_without_end() {
        let faults = Faults::new();
        let file = Arc::from("a.yaml");
        for line in 0..PROBLEMS_MAX * 2 {
            let place = Place { file: Arc::clone(&file), line: line / 2, column: 1, length: 1 };
            faults.report(Problem::error("P0001", &place, "wrong"));
        }
        assert_eq!(faults.into_problems(&[]).len(), PROBLEMS_MAX);
    }

    #[test]
    fn no_error_is_lost_among_warnings() {
        let faults = Faults::new();
        let place = |line| Place { file: Arc::from("a.yaml"), line, column: 1, length: 1 };
        for line in 0..PROBLEMS_MAX {
            faults.report(Problem::warning("P0401", &place(line), "odd"));
        }
        faults.report(Problem::error("P0001", &place(1), "wrong"));
        assert!(faults.finish(&[], Some(())).is_err());
    }

    #[test]
    fn the_tally_counts_both_kinds() {
        let place = Place::start_of(&Arc::from("a"));
        let problems = [
            Problem::error("P0001", &place, ""),
            Problem::error("P0001", &place, ""),
            Problem::warning("P0401", &place, ""),
        ];
        assert_eq!(tally(&problems), "2 errors, 1 warning");
        assert_eq!(tally(&[]), "0 errors, 0 warnings");
        assert_eq!(tally(&[Problem::info("L0001", &place, "")]), "0 errors, 0 warnings, 1 info");
    }
}
