//! Finds the place of a part of a text in the file, whatever way of YAML the text is written in.
//!
//! Folding, indentation and quotes change only blanks and escapes: the n-th character of a text that is no blank is the
//! n-th of what is written. Must never need the text to mean anything.

use super::document::Style;
use super::problem::{Place, Source};

/// Returns where `length` characters from `offset` on stand; of a part over several lines, what is on the first.
///
/// `place` and `style` are those of the scalar, `text` is what it says.
#[must_use]
pub fn place_within(source: &Source, place: &Place, style: Style, text: &str, offset: usize, length: usize) -> Place {
    let seen = |count: usize| text.chars().take(count).filter(|character| !character.is_whitespace()).count();
    let (first, end) = (seen(offset), seen(offset.saturating_add(length)));
    let written = written(source, place, style);
    let Some((line, column, width)) = written.get(first).or(written.last()).copied() else { return place.clone() };
    if first >= written.len() {
        // What is missing at the end is told after the last character.
        return Place { line, column: column + width, length: 1, file: place.file.clone() };
    }
    let last = written.get(first..end.max(first + 1)).unwrap_or_default();
    let until = last.iter().rev().find(|(on, ..)| *on == line).map_or(column + 1, |(_, at, width)| at + width);
    Place { line, column, length: until.saturating_sub(column).max(1), file: place.file.clone() }
}

// Every character of the scalar that is no blank: line, column and how many characters it takes in the file.
fn written(source: &Source, place: &Place, style: Style) -> Vec<(usize, usize, usize)> {
    let mut lines = source.body().lines().enumerate().skip(place.line.saturating_sub(1));
    let mut found = Vec::new();
    match style {
        Style::Block => {
            // The rest of the line with `|` or `>` says how to read what follows; so much of it as there is text is used.
            let own_line = lines.clone().next().is_some_and(|(_, line)| {
                line.chars().nth(place.column.saturating_sub(1)).is_some_and(|character| matches!(character, '|' | '>'))
            });
            if own_line {
                lines.next();
            }
            for (index, line) in lines {
                for (column, _) in line.chars().enumerate().filter(|(_, character)| !character.is_whitespace()) {
                    found.push((index + 1, column + 1, 1));
                }
            }
        }
        Style::Plain | Style::Quoted => {
            let mut quote = None;
            for (index, line) in lines {
                let skipped = if index + 1 == place.line { place.column.saturating_sub(1) } else { 0 };
                let mut characters = line.chars().enumerate().skip(skipped).peekable();
                if style == Style::Quoted && quote.is_none() {
                    quote = characters.next().map(|(_, character)| character);
                }
                while let Some((column, character)) = characters.next() {
                    if Some(character) == quote {
                        if character == '\'' && characters.next_if(|(_, next)| *next == '\'').is_some() {
                            found.push((index + 1, column + 1, 2));
                            continue;
                        }
                        return found;
                    }
                    if character == '\\' && quote == Some('"') {
                        let Some((_, escape)) = characters.next() else { break };
                        let digits = match escape {
                            'x' => 2,
                            'u' => 4,
                            'U' => 8,
                            _ => 0,
                        };
                        characters.by_ref().take(digits).for_each(drop);
                        if !matches!(escape, 'n' | 't' | ' ' | '\t' | 'r' | 'N' | '_' | 'L' | 'P' | 'v' | 'f') {
                            found.push((index + 1, column + 1, 2 + digits));
                        }
                    } else if !character.is_whitespace() {
                        found.push((index + 1, column + 1, 1));
                    }
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]
    use super::*;
    use crate::language::document::{Content, parse};
    use crate::language::problem::Faults;

    // The part between the marks as the file has it, with its line.
    fn found(yaml: &str, part: &str) -> (usize, String) {
        let source = Source::new("a.yaml", yaml);
        let node = parse(&source, &Faults::new()).unwrap();
        let Content::Mapping(entries) = node.content else { panic!("{yaml}") };
        let value = &entries.first().unwrap().value;
        let Content::Scalar { text, style } = &value.content else { panic!("{yaml}") };
        let offset = text.find(part).map(|at| text.get(..at).unwrap().chars().count()).unwrap_or(text.chars().count());
        let place = place_within(&source, &value.place, *style, text, offset, part.chars().count());
        let line = yaml.lines().nth(place.line - 1).unwrap();
        (place.line, line.chars().skip(place.column - 1).take(place.length).collect())
    }

    #[test]
    fn a_part_is_found_in_every_way_of_writing() {
        for (yaml, line, there) in [
            ("when: a.b > бета(1)\n", 1, "бета(1)"),
            ("when: 'it''s > бета(1)' # x\n", 1, "бета(1)"),
            ("when: \"a\\u0041\\n\\\" > бета(1)\"\n", 1, "бета(1)"),
            ("when: a.b\n  >= 2 &&\n  бета(1)\nb: c\n", 3, "бета(1)"),
            ("when: 'a.b\n  >= 2 &&\n\n  бета(1)'\nb: c\n", 4, "бета(1)"),
            ("when: |\n  a.b &&\n    бета(1)\nb: c\n", 3, "бета(1)"),
            ("when: >- # why\n\n  a.b\n\n  && бета(1)\nb: c\n", 5, "бета(1)"),
            ("{when: a > бета(1), b: c}\n", 1, "бета(1)"),
        ] {
            assert_eq!(found(yaml, "бета(1)"), (line, there.to_owned()), "{yaml}");
        }
        assert_eq!(found("when: |\n  a ==\n    b\n", "a ==\n  b"), (2, "a ==".to_owned()));
    }

    #[test]
    fn what_is_missing_at_the_end_is_told_after_it() {
        assert_eq!(found("when: a &&\n", "nowhere"), (1, String::new()));
    }
}
