//! Tells problems to people: the line, a caret under the very characters, what to do, and the other place involved.
//!
//! Must never show a secret or let a file steer the terminal: values of keys that hold secrets are starred out, and
//! characters that are not for display are replaced.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::mask::{masked, visible};
use super::problem::{Place, Problem, Severity, Source};

/// How many characters of a line are shown; of a longer one, the stretch around the caret.
pub const LINE_CHARACTERS_MAX: usize = 160;

// How much of a long line is shown before the caret.
const BEFORE_CARET: usize = 60;

/// Renders problems one after the other, each as the Rust compiler would, with an empty line after each.
///
/// `sources` are the files the places point into; a place in any other file is told without its line.
#[must_use]
pub fn render(problems: &[Problem], sources: &[Source], colour: bool) -> String {
    let mut out = String::new();
    let mut lines = Lines::new();
    for problem in problems {
        one(&mut out, problem, (sources, &mut lines), Paint(colour));
        out.push('\n');
    }
    out
}

// Lines as they are shown: many problems may stand on one, and it may be as long as a file.
type Lines = HashMap<(Arc<str>, usize), Vec<char>>;

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn over(self, style: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn frame(self, text: &str) -> String {
        self.over("1;34", text)
    }
}

/// One stretch to underline.
struct Mark<'p> {
    place: &'p Place,
    label: &'p str,
    primary: bool,
}

fn one(out: &mut String, problem: &Problem, files: (&[Source], &mut Lines), paint: Paint) {
    let (sources, lines) = files;
    let style = match problem.severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
        Severity::Info => "1;36",
    };
    let head = format!("{}[{}]", problem.severity.word(), problem.code);
    let _ = writeln!(out, "{}{}", paint.over(style, &head), paint.over("1", &format!(": {}", clean(&problem.message))));

    let primary = Mark { place: &problem.place, label: &problem.label, primary: true };
    let others = problem.related.iter().map(|(place, label)| Mark { place, label, primary: false });
    // One block per file; the file of the problem itself comes first.
    let mut blocks: Vec<Vec<Mark<'_>>> = vec![vec![primary]];
    for mark in others {
        let same = |block: &&mut Vec<Mark<'_>>| block.first().is_some_and(|first| first.place.file == mark.place.file);
        match blocks.iter_mut().find(same) {
            Some(block) => block.push(mark),
            None => blocks.push(vec![mark]),
        }
    }
    let last_line = blocks.iter().flatten().map(|mark| mark.place.line).max().unwrap_or(1);
    let gutter = last_line.to_string().len();
    for (index, block) in blocks.into_iter().enumerate() {
        if index > 0 {
            let _ = writeln!(out, "{} {}", " ".repeat(gutter), paint.frame("|"));
        }
        show_block(out, block, (sources, lines), gutter, style, paint);
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(out, "{} {}", " ".repeat(gutter), paint.frame("|"));
        let _ = writeln!(
            out,
            "{} {} {}",
            " ".repeat(gutter),
            paint.frame("="),
            paint.over("1", "help:").to_owned() + " " + &clean(help)
        );
    }
}

fn show_block(
    out: &mut String,
    mut marks: Vec<Mark<'_>>,
    (sources, lines): (&[Source], &mut Lines),
    gutter: usize,
    style: &str,
    paint: Paint,
) {
    let Some(first) = marks.first() else { return };
    let arrow = if first.primary { "-->" } else { ":::" };
    let pad = " ".repeat(gutter);
    let Place { file, line, column, .. } = first.place;
    let _ = writeln!(out, "{pad}{} {}:{line}:{column}", paint.frame(arrow), clean(file));
    let Some(source) = sources.iter().find(|source| source.name == *file) else {
        for mark in marks.iter().filter(|mark| !mark.label.is_empty()) {
            let _ = writeln!(out, "{pad} {} {}", paint.frame("="), clean(mark.label));
        }
        return;
    };
    let bar = paint.frame("|");
    let _ = writeln!(out, "{pad} {bar}");
    marks.sort_by_key(|mark| (mark.place.line, !mark.primary, mark.place.column));
    let mut shown: Option<(usize, usize)> = None;
    for mark in &marks {
        let key = (Arc::clone(&mark.place.file), mark.place.line);
        let characters = &*lines.entry(key).or_insert_with(|| masked(source, mark.place.line));
        let from =
            if characters.len() > LINE_CHARACTERS_MAX { mark.place.column.saturating_sub(BEFORE_CARET + 1) } else { 0 };
        if shown != Some((mark.place.line, from)) {
            if shown.is_some_and(|(before, _)| mark.place.line > before + 1) {
                let _ = writeln!(out, "{}", paint.frame("..."));
            }
            let number = paint.frame(&format!("{:>gutter$}", mark.place.line));
            let text = window(characters, from);
            let shown_line = format!("{number} {bar} {text}");
            let _ = writeln!(out, "{}", shown_line.trim_end());
            shown = Some((mark.place.line, from));
        }
        let underline = underline(characters, from, mark, if mark.primary { style } else { "1;34" }, paint);
        let _ = writeln!(out, "{pad} {bar} {underline}");
    }
}

fn window(characters: &[char], from: usize) -> String {
    let mut text = String::new();
    if from > 0 {
        text.push_str("... ");
    }
    text.extend(characters.iter().skip(from).take(LINE_CHARACTERS_MAX));
    if characters.len() > from + LINE_CHARACTERS_MAX {
        text.push_str(" ...");
    }
    text
}

fn underline(characters: &[char], from: usize, mark: &Mark<'_>, style: &str, paint: Paint) -> String {
    let start = mark.place.column.saturating_sub(1);
    let columns =
        |characters: &mut dyn Iterator<Item = &char>| characters.map(|character| width(*character)).sum::<usize>();
    let before = columns(&mut characters.iter().take(start).skip(from)) + if from > 0 { 4 } else { 0 };
    let end = (start + mark.place.length).min(from + LINE_CHARACTERS_MAX);
    let under = columns(&mut characters.iter().take(end).skip(start)).max(1);
    let carets = if mark.primary { "^" } else { "-" }.repeat(under);
    let label = if mark.label.is_empty() { String::new() } else { format!(" {}", clean(mark.label)) };
    format!("{}{}", " ".repeat(before), paint.over(style, &(carets + &label)))
}

fn clean(text: &str) -> String {
    text.chars().map(visible).collect()
}

// How many columns a terminal gives a character (after Unicode's East Asian Width and general category Mn).
fn width(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036f
        | 0x0483..=0x0489
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn told(text: &str, line: usize, column: usize, length: usize) -> String {
        let source = Source::new("a.yaml", text);
        let place = Place { file: Arc::clone(&source.name), line, column, length };
        render(&[Problem::error("P0001", &place, "wrong").label("here")], &[source], false)
    }

    #[test]
    fn carets_stand_under_wide_and_narrow_characters() {
        assert!(told("кілт: ақша", 1, 7, 4).contains("\n  |       ^^^^ here\n"));
        assert!(told("鍵: 金", 1, 4, 1).contains("\n  |     ^^ here\n"));
        assert!(told("e\u{301}: x", 1, 5, 1).contains("\n  |    ^ here\n"));
    }

    #[test]
    fn a_file_cannot_steer_the_terminal() {
        let shown = told("a: \u{1b}[2Jx\u{202e}", 1, 1, 1);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_caret_is_shown() {
        let text = format!("{}x{}", "a".repeat(1000), "b".repeat(1000));
        let shown = told(&text, 1, 1001, 1);
        assert!(shown.lines().all(|line| line.chars().count() < LINE_CHARACTERS_MAX + 20), "{shown}");
        let caret = shown.lines().find_map(|line| line.find('^'));
        let letter = shown.lines().find(|line| line.starts_with('1')).and_then(|line| line.find('x'));
        assert_eq!(caret, letter);
        assert!(caret.is_some());
    }

    #[test]
    fn a_place_beyond_the_file_is_still_told() {
        assert!(told("", 1, 1, 1).contains("a.yaml:1:1"));
        assert!(told("a", 9, 9, 9).contains("a.yaml:9:9"));
    }

    #[test]
    fn colours_are_given_only_when_asked_for() {
        let place = Place::start_of(&Arc::from("a.yaml"));
        let problem = [Problem::warning("P0401", &place, "soon").help("look")];
        assert!(!render(&problem, &[], false).contains('\u{1b}'));
        assert!(render(&problem, &[], true).contains("\u{1b}[1;33mwarning[P0401]"));
    }
}
