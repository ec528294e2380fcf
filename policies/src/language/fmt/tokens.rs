//! A YAML text as tokens by line, comments included, and which column each block collection begins at.
//!
//! The parser of the language says where values stand; what lies between them is punctuation and comments.

use saphyr_parser::{Event, Parser, ScalarStyle};

/// A text in tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The lines, without those that an earlier line's value runs over.
    pub(super) lines: Vec<Line>,
}

impl Tokens {
    /// Returns the comments in their order.
    pub(super) fn comments(&self) -> Vec<&str> {
        let of = |token: &'_ Token| matches!(token.kind, Kind::Comment).then_some(());
        let all = self.lines.iter().flat_map(|line| &line.tokens);
        all.filter(|token| of(token).is_some()).map(|token| token.text.trim_start_matches('#').trim()).collect()
    }
}

/// A line of the text, with what a value on it runs over.
#[derive(Debug)]
pub(super) struct Line {
    /// The tokens; none on an empty line.
    pub(super) tokens: Vec<Token>,
    /// How far it is indented, in characters.
    pub(super) indent: usize,
    /// How many levels deep it stands; none inside a bracket that an earlier line opened, or on a line of comments.
    pub(super) level: Option<usize>,
    /// Whether it begins inside a bracket that an earlier line opened.
    pub(super) inside: bool,
}

/// A token.
#[derive(Debug)]
pub(super) struct Token {
    /// The text as it stands; of a value that runs over lines, all of them.
    pub(super) text: String,
    /// How many blanks stand before it.
    pub(super) gap: usize,
    /// What it is.
    pub(super) kind: Kind,
    /// Of a value in a block (`|`, `>`): how many levels deep its lines stand.
    pub(super) level: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value or a key.
    Scalar,
    /// The lines of a block value; its header is a word.
    Block,
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    /// `,`.
    Comma,
    /// `:` between key and value.
    Colon,
    /// `-` before an item, `?` before a key.
    Dash,
    /// An anchor, an alias, the header of a block value, `---`.
    Word,
    /// A comment, to the end of the line.
    Comment,
}

/// A value that the parser found, by characters from the start of the text.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    block: bool,
    level: usize,
}

/// A block collection.
#[derive(Debug, Clone, Copy)]
struct Collection {
    start: usize,
    end: usize,
    column: usize,
    level: usize,
    list: bool,
}

/// Reads a text that the language can read; none if the parser's places do not fit the text.
pub(super) fn read(text: &str) -> Option<Tokens> {
    let characters: Vec<char> = text.chars().collect();
    let (pieces, collections) = structure(text, &characters)?;
    let mut reader = Reader { characters: &characters, pieces: &pieces, collections: &collections, at: 0, open: 0 };
    let mut lines = Vec::new();
    while reader.at < characters.len() {
        lines.push(reader.line()?);
    }
    Some(Tokens { lines })
}

fn structure(text: &str, characters: &[char]) -> Option<(Vec<Piece>, Vec<Collection>)> {
    let (mut pieces, mut collections): (Vec<Piece>, Vec<Collection>) = (Vec::new(), Vec::new());
    // What is open: a block collection by its place in the list, or none for one in brackets.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.ok()?;
        let (start, end) = (span.start.index(), span.end.index());
        let level = open.iter().flatten().count();
        match event {
            Event::Scalar(_, style, ..) => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if start < end {
                    pieces.push(Piece { start, end, block, level });
                }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                // A collection in brackets begins with its bracket; one in a block has no character of its own.
                let flow = start < end;
                let owner = open.last().copied().flatten().and_then(|at| collections.get(at)).copied();
                open.push((!flow).then_some(collections.len()));
                if !flow {
                    let list = matches!(event, Event::SequenceStart(..));
                    let dash = owner
                        .filter(|owner| list && !owner.list)
                        .and_then(|owner| dash_before(characters, start, owner));
                    let (start, column) = dash.unwrap_or((start, span.start.col()));
                    collections.push(Collection { start, end: usize::MAX, column, level, list });
                }
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(at) = open.pop()?
                    && let Some(collection) = collections.get_mut(at)
                {
                    collection.end = start;
                }
            }
            _ => {}
        }
    }
    Some((pieces, collections))
}

// Of a list that is not indented below its key, the parser tells where the first item stands: its dash is before that.
fn dash_before(characters: &[char], start: usize, owner: Collection) -> Option<(usize, usize)> {
    let mut end = start;
    loop {
        let head = characters.get(..end)?;
        let begin = head.iter().rposition(|character| *character == '\n').map_or(0, |at| at + 1);
        let line = head.get(begin..)?;
        let column = line.iter().position(|character| *character != ' ').filter(|at| line.get(*at) != Some(&'#'));
        match column {
            Some(column)
                if column == owner.column && line.get(column) == Some(&'-') && begin + column > owner.start =>
            {
                return Some((begin + column, column));
            }
            Some(_) => return None,
            // Nothing but blanks or a comment stands on the line: the dash may be on one before.
            None => end = begin.checked_sub(1)?,
        }
    }
}

struct Reader<'t> {
    characters: &'t [char],
    pieces: &'t [Piece],
    collections: &'t [Collection],
    at: usize,
    // How many brackets are open.
    open: usize,
}

impl Reader<'_> {
    fn line(&mut self) -> Option<Line> {
        let inside = self.open > 0;
        let indent = self.blanks();
        let (begins, column) = (self.at, indent);
        let mut tokens: Vec<Token> = Vec::new();
        let mut gap = 0;
        loop {
            match self.characters.get(self.at) {
                None => break,
                Some('\n') => {
                    self.at += 1;
                    // The lines of a block value follow its header.
                    let header = tokens.iter().rev().find(|token| token.kind != Kind::Comment);
                    if header.is_some_and(|token| token.kind == Kind::Word && token.text.starts_with(['|', '>'])) {
                        tokens.extend(self.block()?);
                    }
                    break;
                }
                Some(_) => {
                    let mut token = self.token()?;
                    token.gap = gap;
                    tokens.push(token);
                }
            }
            gap = self.blanks();
        }
        let only_comments = tokens.iter().all(|token| token.kind == Kind::Comment);
        let level = (!inside && !only_comments).then(|| self.level(begins, column, tokens.first())).flatten();
        if !inside && !only_comments && level.is_none() {
            return None;
        }
        Some(Line { tokens, indent, level, inside })
    }

    fn blanks(&mut self) -> usize {
        let from = self.at;
        while matches!(self.characters.get(self.at), Some(' ' | '\t')) {
            self.at += 1;
        }
        self.at - from
    }

    fn token(&mut self) -> Option<Token> {
        let first = *self.characters.get(self.at)?;
        let piece = self.pieces.partition_point(|piece| piece.start < self.at);
        let piece = self.pieces.get(piece).filter(|piece| piece.start == self.at && !piece.block);
        let (kind, end) = match (piece, first) {
            (Some(piece), _) => (Kind::Scalar, piece.end),
            (None, '#') => (Kind::Comment, self.end_of_line()),
            (None, '{' | '[') => {
                self.open += 1;
                (Kind::Open, self.at + 1)
            }
            (None, '}' | ']') => {
                self.open = self.open.checked_sub(1)?;
                (Kind::Close, self.at + 1)
            }
            (None, ',') => (Kind::Comma, self.at + 1),
            (None, ':') => (Kind::Colon, self.at + 1),
            (None, '-' | '?') if self.blank_after() => (Kind::Dash, self.at + 1),
            (None, '&' | '*' | '|' | '>' | '-' | '.') => (Kind::Word, self.end_of_word()),
            _ => return None,
        };
        let text: String = self.characters.get(self.at..end)?.iter().collect();
        self.at = end;
        Some(Token { text: text.trim_end().to_owned(), gap: 0, kind, level: 0 })
    }

    // The lines of a block value, from the start of the first of them; none if the value is empty.
    fn block(&mut self) -> Option<Option<Token>> {
        let next = self.pieces.partition_point(|piece| piece.start < self.at);
        let Some(piece) = self.pieces.get(next).filter(|piece| piece.block) else { return Some(None) };
        // Its start is that of its first character; nothing but blanks and line feeds stands before.
        let before = self.characters.get(self.at..piece.start)?;
        if before.iter().any(|character| !matches!(character, ' ' | '\n')) {
            return Some(None);
        }
        let mut end = piece.end;
        // It ends with a line, whatever stands before the next value.
        while end > self.at && self.characters.get(end - 1).is_some_and(|character| *character != '\n') {
            let rest = self.characters.get(end - 1)?;
            if end == self.characters.len() || !matches!(rest, ' ') {
                break;
            }
            end -= 1;
        }
        let text: String = self.characters.get(self.at..end)?.iter().collect();
        self.at = end;
        if self.characters.get(self.at) == Some(&'\n') && !text.ends_with('\n') {
            self.at += 1;
        }
        Some(Some(Token { text, gap: 0, kind: Kind::Block, level: piece.level }))
    }

    fn level(&self, begins: usize, column: usize, first: Option<&Token>) -> Option<usize> {
        let around = |collection: &&Collection| collection.start <= begins && begins < collection.end;
        let fits = |collection: &&Collection| around(collection) && collection.column == column;
        // Where a list stands right below its key, both begin in the same column: the inner one has the items.
        let inner = self.collections.iter().rev().find(fits).map(|collection| collection.level);
        let dash = first.is_some_and(|token| token.kind == Kind::Dash);
        if dash || inner.is_some() {
            return inner;
        }
        // A value on a line of its own, or what stands outside of all collections.
        let deepest = self.collections.iter().filter(around).map(|collection| collection.level + 1).max();
        Some(deepest.unwrap_or(0))
    }

    fn blank_after(&self) -> bool {
        matches!(self.characters.get(self.at + 1), None | Some(' ' | '\t' | '\n'))
    }

    fn end_of_line(&self) -> usize {
        self.find(|character| character == '\n')
    }

    fn end_of_word(&self) -> usize {
        self.find(|character| matches!(character, ' ' | '\t' | '\n' | ',' | ']' | '}'))
    }

    fn find(&self, ends: impl Fn(char) -> bool) -> usize {
        let rest = self.characters.get(self.at..).unwrap_or_default();
        self.at + rest.iter().position(|character| ends(*character)).unwrap_or(rest.len())
    }
}
