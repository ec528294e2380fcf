//! Tells faults of YAML syntax to those who do not know its specification, at the place where they can be mended.
//!
//! The parser says where it could not go on; what is wrong often stands before: an open bracket, a line without `:`.

use std::sync::Arc;

use super::problem::{Place, Problem};

/// Where the parser stopped, and what it said.
pub(super) struct Stopped<'a> {
    pub(super) info: &'a str,
    pub(super) file: &'a Arc<str>,
    pub(super) text: &'a str,
    /// From 1.
    pub(super) line: usize,
    /// From 0.
    pub(super) column: usize,
    /// The innermost `[` or `{` that is still open.
    pub(super) open: Option<&'a Place>,
}

impl Stopped<'_> {
    /// Makes the problem of it.
    pub(super) fn problem(&self) -> Problem {
        if self.info.contains("unknown anchor") {
            let word = self.line_text(self.line).chars().skip(self.column);
            let length = word.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}')).count().max(1);
            return Problem::error(
                "P0007",
                &Place { length, ..self.here() },
                "this alias repeats an anchor that is not known here",
            )
            .label("no `&` with this name stands before it")
            .help("text that begins with `*` needs quotes");
        }
        if self.info.contains("recursion limit") {
            return Problem::error("P0002", &self.here(), "values stand too deep in one another").label("one too deep");
        }
        if let Some(problem) = self.simple().or_else(|| self.in_brackets()).or_else(|| self.in_lines()) {
            return problem;
        }
        Problem::error("P0001", &self.here(), format!("this is not YAML: {}", self.info))
    }

    // Where the parser's words name the very cause.
    fn simple(&self) -> Option<Problem> {
        const KNOWN: [(&str, &str, &str); 8] = [
            ("found unexpected end of stream", "this quote is never closed", "close it with the same kind of quote"),
            (
                "unknown escape",
                "a backslash in double quotes begins an escape that does not exist",
                "write `\\\\` for a backslash, or use single quotes",
            ),
            (
                "trailing content after",
                "text goes on after the closing quote",
                "put all of it in quotes; a `'` within single quotes is written twice",
            ),
            ("unexpected character", "a value may not begin with this character", "put the text in quotes"),
            (
                "block sequence entries",
                "a list may not begin on the line of its key",
                "put `- item` on the next line, indented",
            ),
            ("anchor or alias", "an anchor or alias has no name", "text that begins with `&` or `*` needs quotes"),
            (
                "block scalar",
                "after `|` or `>` the text begins on the next line",
                "indent it by two; text that begins with `|` or `>` needs quotes",
            ),
            (
                "document",
                "a line with `%` or `...` stands in the file",
                "directives and document ends are not needed; delete the line",
            ),
        ];
        if self.info.contains("tab") {
            let column =
                self.line_text(self.line).chars().position(|character| character == '\t').unwrap_or(self.column);
            let place = Place { column: column + 1, ..self.here() };
            return Some(
                self.error(&place, "a tab stands where spaces are needed")
                    .label("a tab")
                    .help("indent with spaces; YAML takes no tabs"),
            );
        }
        let (_, message, help) = KNOWN.iter().find(|(part, _, _)| self.info.contains(part))?;
        Some(self.error(&self.here(), *message).help(*help))
    }

    fn in_brackets(&self) -> Option<Problem> {
        let open = self.open?;
        let bracket =
            self.line_text(open.line).chars().nth(open.column.saturating_sub(1)).filter(|c| matches!(c, '[' | '{'))?;
        let closing = if bracket == '[' { ']' } else { '}' };
        let here = self.here();
        if self.line > open.line {
            let place = Place { length: 1, ..open.clone() };
            return Some(
                self.error(&place, format!("this `{bracket}` is not closed"))
                    .related(&here, format!("`,` or `{closing}` was expected before this"))
                    .help(format!("add the missing `{closing}`")),
            );
        }
        let message = if self.info.contains("node content") {
            "a value is missing before this".to_owned()
        } else {
            format!("`,` or `{closing}` is missing before this")
        };
        Some(self.error(&here, message).help("text that holds `,`, `: ` or a bracket needs quotes here"))
    }

    fn in_lines(&self) -> Option<Problem> {
        let text = self.line_text(self.line);
        let before: String = text.chars().take(self.column).collect();
        if self.info.contains("mapping values") && before.contains(':') {
            return Some(
                self.error(&self.here(), "a second `:` stands on this line").help("put text that holds `: ` in quotes"),
            );
        }
        if self.info.contains("mapping values") || self.info.contains("simple key") {
            return Some(self.no_key().unwrap_or_else(|| {
                self.error(&self.first_word(self.line), "this line is indented too far")
                    .help("a key with a value on its line has no keys below it; indent keys that belong together alike")
            }));
        }
        if self.info.contains("expected '-' indicator") {
            let problem = self.error(&self.first_word(self.line), "a key stands among the `-` items of a list");
            return Some(problem.help("indent it like the key that the list belongs to, or put `- ` before it"));
        }
        if self.info.contains("expected key") || self.info.contains("indentation") {
            let item = text.trim_start().starts_with('-');
            let message = if item {
                "a `-` item stands among the keys of a mapping"
            } else {
                "this line does not fit the indentation of those before it"
            };
            return Some(self.error(&self.first_word(self.line), message).help("indent what belongs together alike"));
        }
        let missing = self.info.contains("node content");
        missing.then(|| {
            self.error(&self.here(), "a value is missing before this")
                .help("text that begins with a bracket needs quotes")
        })
    }

    // The line that was meant as a key stands where the parser stopped or shortly before.
    fn no_key(&self) -> Option<Problem> {
        let is_bare = |number: &usize| {
            let line = self.line_text(*number).trim();
            !line.contains(": ") && !line.ends_with(':') && !line.starts_with(['-', '#']) && !line.is_empty()
        };
        let number = (1..=self.line).rev().take(3).find(is_bare)?;
        let problem = self.error(&self.first_word(number), "this line is no key");
        Some(if self.line_text(number).contains(':') {
            problem.label("a blank is missing after `:`").help("write `key: value`")
        } else {
            problem.label("`:` is missing").help("write `key: value`")
        })
    }

    fn error(&self, place: &Place, message: impl Into<String>) -> Problem {
        Problem::error("P0001", place, message)
    }

    // At the very end of a file, the end of the last line that has something.
    fn here(&self) -> Place {
        let lines = self.text.lines().count();
        let (line, column) = if self.line > lines {
            (lines.max(1), self.line_text(lines).chars().count())
        } else {
            (self.line, self.column)
        };
        Place { file: Arc::clone(self.file), line, column: column + 1, length: 1 }
    }

    fn first_word(&self, number: usize) -> Place {
        let line = self.line_text(number);
        let column = line.chars().take_while(|character| *character == ' ').count() + 1;
        let word = line.trim_start().chars().take_while(|c| !matches!(c, ' ' | ':'));
        Place { file: Arc::clone(self.file), line: number, column, length: word.count().max(1) }
    }

    fn line_text(&self, number: usize) -> &str {
        number.checked_sub(1).and_then(|index| self.text.lines().nth(index)).unwrap_or_default()
    }
}
