//! Writes tokens out: two spaces a level, one blank where one belongs.

use super::tokens::{Kind, Line, Token, Tokens};

/// How far a level is indented.
const INDENT: usize = 2;

/// How far a comment stands from what it follows, at least.
const BEFORE_COMMENT: usize = 2;

/// Writes a text.
pub(super) fn write(tokens: &Tokens) -> String {
    let indents = indents(&tokens.lines);
    let mut out = String::new();
    let mut empty = false;
    for (line, indent) in tokens.lines.iter().zip(indents) {
        if line.tokens.is_empty() {
            empty = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut empty) {
            out.push('\n');
        }
        one(&mut out, line, indent);
    }
    out
}

// How far each line is to be indented. Comments go with the line that follows if they stood in its column, else with the
// nearest one before that did.
fn indents(lines: &[Line]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::with_capacity(lines.len());
    // How far the line was moved that opened the bracket.
    let mut moved = 0_isize;
    for line in lines {
        let indent = match line.level {
            Some(level) => {
                let new = level * INDENT;
                moved = signed(new) - signed(line.indent);
                new
            }
            None => usize::try_from(signed(line.indent) + moved).unwrap_or(0),
        };
        found.push(indent);
    }
    for at in 0..lines.len() {
        let Some(line) = lines.get(at).filter(|line| line.level.is_none() && !line.inside) else { continue };
        let placed = |at: usize| -> Option<(usize, usize)> {
            let line = lines.get(at).filter(|line| line.level.is_some())?;
            Some((line.indent, *found.get(at)?))
        };
        let next = (at + 1..lines.len()).find_map(placed);
        let before = (0..at).rev().filter_map(placed).find(|(old, _)| *old == line.indent);
        // Below a block value a comment must not stand in the column of its lines: it would be one of them.
        let last = (0..at).rev().filter_map(|at| lines.get(at)).find(|line| line.level.is_some());
        let block = last.and_then(|line| line.tokens.last()).filter(|token| token.kind == Kind::Block);
        let most = block.map_or(usize::MAX, |block| block.level.saturating_sub(1) * INDENT);
        let indent = match (next, before) {
            (Some((old, new)), _) if old == line.indent => new,
            (_, Some((_, new))) => new,
            (Some((_, new)), None) => new,
            (None, None) => 0,
        };
        if let Some(slot) = found.get_mut(at) {
            *slot = indent.min(most);
        }
    }
    found
}

fn signed(count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX)
}

fn one(out: &mut String, line: &Line, indent: usize) {
    let mut text = " ".repeat(indent);
    let mut before: Option<&Token> = None;
    for token in &line.tokens {
        if token.kind == Kind::Block {
            finish(out, &mut text);
            block(out, token);
            continue;
        }
        let gap = before.map_or(0, |before| gap(before, token));
        text.extend(std::iter::repeat_n(' ', gap));
        match token.kind {
            Kind::Scalar => scalar(&mut text, token, line, indent),
            Kind::Comment => text.push_str(&comment(&token.text)),
            _ => text.push_str(&token.text),
        }
        before = Some(token);
    }
    finish(out, &mut text);
}

fn finish(out: &mut String, text: &mut String) {
    if !text.is_empty() {
        out.push_str(text.trim_end_matches(' '));
        out.push('\n');
        text.clear();
    }
}

fn gap(before: &Token, token: &Token) -> usize {
    match (before.kind, token.kind) {
        (_, Kind::Comment) => token.gap.max(BEFORE_COMMENT),
        // An alias runs on over a colon that stands right behind it.
        (Kind::Word, Kind::Colon) => 1,
        (_, Kind::Colon | Kind::Comma | Kind::Close) | (Kind::Open, _) => 0,
        _ => 1,
    }
}

fn comment(text: &str) -> String {
    let rest = text.trim_start_matches('#');
    let marks = text.len() - rest.len();
    let gap = if rest.is_empty() || rest.starts_with([' ', '\t', '!']) { "" } else { " " };
    format!("{}{gap}{}", "#".repeat(marks), rest.trim_end())
}

// The lines that a value runs over are moved as far as the line that it begins on.
fn scalar(text: &mut String, token: &Token, line: &Line, indent: usize) {
    let moved = signed(indent) - signed(line.indent);
    for (number, part) in quoted(&token.text).split('\n').enumerate() {
        if number == 0 {
            text.push_str(part);
            continue;
        }
        text.truncate(text.trim_end_matches([' ', '\t']).len());
        text.push('\n');
        let plain = part.trim_start_matches([' ', '\t']);
        if !plain.trim().is_empty() {
            let old = part.len() - plain.len();
            text.extend(std::iter::repeat_n(' ', usize::try_from(signed(old) + moved).unwrap_or(0)));
            text.push_str(plain);
        }
    }
}

// Double quotes, where nothing in them would have to be escaped.
fn quoted(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match inner {
        Some(inner) if !inner.contains(['"', '\\', '\n']) => format!("\"{}\"", inner.replace("''", "'")),
        _ => text.to_owned(),
    }
}

// The first line that is not empty says how far the lines of a block value were indented.
fn block(out: &mut String, token: &Token) {
    let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let old = token.text.lines().find(|line| !line.trim().is_empty()).map_or(0, blanks);
    let new = " ".repeat(token.level * INDENT);
    let text = token.text.strip_suffix('\n').unwrap_or(&token.text);
    for line in text.split('\n') {
        if blanks(line) >= line.len() && line.len() <= old {
            out.push('\n');
            continue;
        }
        out.push_str(&new);
        out.push_str(line.get(old.min(blanks(line))..).unwrap_or_default());
        out.push('\n');
    }
}
