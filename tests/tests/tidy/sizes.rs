//! How long files and functions may be.

use super::source::line_of;
use super::tokens::{closing, starts_word, text, tokens};
use super::tree::{Module, packages};

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 800;

/// Lines of a function, from `fn` to its closing brace, without blank lines and comments.
const FUNCTION_LINES_MAX: usize = 70;

/// A function with a body: its name, and the byte offsets of `fn` and of the closing brace.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Finds every function with a body in live code.
pub(crate) fn functions(live: &str) -> Vec<Function> {
    let words = tokens(live);
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let name = text(&words, index + 1);
        if word.text != "fn" || !starts_word(name) {
            continue;
        }
        // A body begins at the first brace; a signature that ends with a semicolon has none.
        let Some(open) =
            (index..words.len()).find(|at| matches!(text(&words, *at), "{" | ";") && !in_array(&words, index, *at))
        else {
            continue;
        };
        if text(&words, open) == "{" {
            let end = words.get(closing(&words, open)).map_or(live.len(), |token| token.at);
            found.push(Function { name: name.to_owned(), start: word.at, end });
        }
    }
    found
}

/// The semicolon of `[u8; 32]` ends no signature.
fn in_array(words: &[super::tokens::Token<'_>], start: usize, at: usize) -> bool {
    let between = words.get(start..at).unwrap_or_default();
    let count = |sign: &str| between.iter().filter(|token| token.text == sign).count();
    count("[") > count("]")
}

fn filled_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Judges one file; `lines` are counted as they stand, comments included, without tests.
fn too_long(file: &str, source: &str, live: &str) -> Vec<String> {
    let mut found = Vec::new();
    let tests: usize = super::source::test_items(&super::source::code_of(source))
        .iter()
        .map(|(start, end)| source.get(*start..*end).unwrap_or_default().lines().count())
        .sum();
    let lines = source.lines().count().saturating_sub(tests);
    if lines > FILE_LINES_MAX {
        found.push(format!("{file} has {lines} lines without its tests, {FILE_LINES_MAX} may be"));
    }
    for function in functions(live) {
        let lines = filled_lines(live.get(function.start..=function.end).unwrap_or_default());
        if lines > FUNCTION_LINES_MAX {
            let line = line_of(live, function.start);
            found.push(format!("{file}:{line} `{}` has {lines} lines, {FUNCTION_LINES_MAX} may be", function.name));
        }
    }
    found
}

#[test]
fn files_and_functions_stay_short() {
    let packages = packages();
    let live = packages.iter().flat_map(|package| package.modules.iter().filter(|module: &&Module| !module.test));
    let complaints: Vec<String> = live.flat_map(|module| too_long(&module.file, &module.text, &module.live)).collect();
    super::hold("Files and functions stay short: split by what is known, not by length.", &complaints);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_length_that_passes_and_the_first_that_does_not() {
        let function = |lines: usize| format!("fn f(x: [u8; 2]) {{\n{}}}\n", "a();\n".repeat(lines - 2));
        assert_eq!(too_long("x.rs", "", &function(FUNCTION_LINES_MAX)).len(), 0);
        assert_eq!(too_long("x.rs", "", &function(FUNCTION_LINES_MAX + 1)).len(), 1);
        assert_eq!(too_long("x.rs", &"\n".repeat(FILE_LINES_MAX), "").len(), 0);
        assert_eq!(too_long("x.rs", &"\n".repeat(FILE_LINES_MAX + 1), "").len(), 1);
    }

    #[test]
    fn tests_are_not_counted() {
        let text = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(FILE_LINES_MAX));
        assert_eq!(too_long("x.rs", &text, &super::super::source::live_part(&text)).len(), 0);
    }

    #[test]
    fn functions_inside_functions_are_told_apart() {
        let names: Vec<String> = functions("fn a() { fn b() {} }\ntrait T { fn c(); fn d() -> u8 { 1 } }")
            .into_iter()
            .map(|function| function.name)
            .collect();
        assert_eq!(names, ["a", "b", "d"]);
    }
}
