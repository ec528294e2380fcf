//! From text to a syntax tree, through the parser of `cel`, behind bounds that keep it from running away.
//!
//! The parser goes down one level of its stack, several times over, for each operator, so that how many there are is
//! bounded before it sees the text. Must not judge names: that is the checker's.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use cel::common::ast::{Expr, SourceInfo};
use cel::{Env, IdedExpr, ParseErrors};

use super::fault::ConditionFault;

/// The longest text, in bytes: a list of 1,000 account numbers fits.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;

/// How many characters that may be operators a text may have, within quotes or not: 256 nodes need fewer.
pub const OPERATORS_MAX: usize = 512;

/// How deep brackets may be nested: the parser takes at most 16 KiB of stack for each, and for all [`OPERATORS_MAX`] together
/// less than 256 KiB, if it is optimised; the workspace has it optimised in every build.
pub const DEPTH_MAX: u16 = 16;

/// What `cel` says of text that is nested too deeply.
const TOO_DEEP: &str = "Recursion limit of";

/// A tree and where its nodes stand.
pub(super) struct Parsed {
    /// The tree; no macro is expanded in it.
    pub(super) tree: IdedExpr,
    source: SourceInfo,
    text: Vec<char>,
}

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Parsed, ConditionFault> {
    bounded(text)?;
    let characters: Vec<char> = text.chars().collect();
    let parser = PLAIN.parser().max_recursion_depth(DEPTH_MAX).error_recovery_limit(1);
    // The parser is generated code over another library: what it cannot cope with is a fault of the text.
    let parsed = catch_unwind(AssertUnwindSafe(|| parser.parse_with_source_info(text)));
    match parsed {
        Ok(Ok((tree, source))) => Ok(Parsed { tree, source, text: characters }),
        Ok(Err(errors)) => Err(syntax(&errors, text, &characters)),
        Err(_) => Err(ConditionFault::whole(text, "this cannot be read as a condition", None)),
    }
}

impl Parsed {
    /// Tells where the word or sign stands that a node was made from, in characters.
    pub(super) fn place(&self, node: &IdedExpr) -> Range<usize> {
        let Some((start, stop)) = self.source.offset_for(node.id) else { return 0..self.text.len() };
        // The parser counts bytes.
        let (start, end) =
            (self.characters_before(start as usize), self.characters_before((stop as usize).saturating_add(1)));
        match &node.expr {
            Expr::Select(select) => self.word_after(end, select.field.chars().count()),
            Expr::Call(call) if call.func_name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                self.word_before(start, call.func_name.chars().count())
            }
            _ => start..end.max(start + 1),
        }
    }

    fn characters_before(&self, byte: usize) -> usize {
        let begins =
            |bytes: &mut usize, character: &char| Some(std::mem::replace(bytes, *bytes + character.len_utf8()));
        self.text.iter().scan(0, begins).take_while(|at| *at < byte).count()
    }

    fn word_after(&self, at: usize, length: usize) -> Range<usize> {
        let blanks =
            self.text.get(at..).into_iter().flatten().take_while(|character| character.is_whitespace()).count();
        at + blanks..at + blanks + length
    }

    fn word_before(&self, at: usize, length: usize) -> Range<usize> {
        let before = self.text.get(..at).into_iter().flatten().rev();
        let end = at - before.take_while(|character| character.is_whitespace()).count();
        end.saturating_sub(length)..end
    }
}

/// Tells the first thing that is too much of a text.
fn bounded(text: &str) -> Result<(), ConditionFault> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("a condition has at most {TEXT_BYTES_MAX} bytes, this has {}", text.len());
        return Err(ConditionFault { offset: 0, length: 1, message, help: None });
    }
    if text.trim().is_empty() {
        return Err(ConditionFault::whole(text, "a condition is needed here", None));
    }
    let characters: Vec<char> = text.chars().collect();
    if let Some(offset) =
        characters.iter().position(|character| character.is_control() && !matches!(character, '\n' | '\t' | '\r'))
    {
        let message = "a control character may not stand in a condition".to_owned();
        return Err(ConditionFault { offset, length: 1, message, help: None });
    }
    let at = |index: Option<usize>| index.and_then(|index| characters.get(index)).copied().unwrap_or(' ');
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let is_operator = |index: usize, character: char| {
        let (before, after) = (at(index.checked_sub(1)), at(Some(index + 1)));
        match character {
            // A decimal point makes nothing deeper.
            '.' => !(before.is_ascii_digit() && after.is_ascii_digit()),
            'i' => after == 'n' && !is_word(before) && !is_word(at(Some(index + 2))),
            _ => "([{?:!-+*/%<>=&|".contains(character),
        }
    };
    let mut operators = characters.iter().enumerate().filter(|(index, character)| is_operator(*index, **character));
    match operators.nth(OPERATORS_MAX) {
        None => Ok(()),
        Some((offset, _)) => {
            let message = format!("a condition has at most {OPERATORS_MAX} operators, dots and brackets");
            let help = Some("make several conditions of it".to_owned());
            Err(ConditionFault { offset, length: 1, message, help })
        }
    }
}

/// Only the standard syntax: macros stay the calls as which they were written, so that the checker sees what was meant.
static PLAIN: LazyLock<Env> = LazyLock::new(|| Env::default().with_optional_support(false));

/// Makes one fault of what the parser says: the first, as what follows is often its consequence.
fn syntax(errors: &ParseErrors, text: &str, characters: &[char]) -> ConditionFault {
    let Some(first) = errors.errors.first() else {
        return ConditionFault::whole(text, "this cannot be read as a condition", None);
    };
    let (line, column) = (usize::try_from(first.pos.0).unwrap_or(0), usize::try_from(first.pos.1).unwrap_or(0));
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count()).sum();
    let offset = (before + column.saturating_sub(1)).min(characters.len().saturating_sub(1));
    if first.msg.contains(TOO_DEEP) {
        let message = format!("brackets and choices are nested deeper than {DEPTH_MAX}");
        return ConditionFault::whole(text, &message, None);
    }
    let help = words_of_other_languages(text).map(str::to_owned);
    // What was expected instead is a list of every sign there is.
    let said = first.msg.lines().next().unwrap_or_default().trim_start_matches("Syntax error: ");
    let said = said.split(" expecting {").next().unwrap_or_default();
    let message = match said {
        "" | "UNKNOWN" => "this is no CEL expression".to_owned(),
        said => format!("this is no CEL expression: {said}"),
    };
    ConditionFault { offset, length: 1, message, help }
}

/// Guesses what was meant from what other languages write.
fn words_of_other_languages(text: &str) -> Option<&'static str> {
    let has_word = |word: &str| text.split(|character: char| !character.is_alphanumeric()).any(|part| part == word);
    if has_word("and") || has_word("or") || has_word("not") || has_word("AND") || has_word("OR") || has_word("NOT") {
        return Some("CEL writes `&&`, `||` and `!`");
    }
    let bytes = text.as_bytes();
    let lonely = |sign: u8, friends: &[u8]| {
        bytes.iter().enumerate().any(|(index, byte)| {
            let near = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| friends.contains(byte));
            *byte == sign && !near(index.checked_sub(1)) && !near(Some(index + 1))
        })
    };
    if lonely(b'=', b"=!<>") {
        return Some("two values are compared with `==`");
    }
    if lonely(b'&', b"&") || lonely(b'|', b"|") {
        return Some("CEL writes `&&` and `||`");
    }
    None
}
