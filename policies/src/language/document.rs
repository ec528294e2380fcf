//! Reads YAML 1.2 into a tree in which every node knows its place, refusing what people trip over.
//!
//! Anchors and aliases are allowed; merge keys, tags, several documents in one file, keys that are not text and keys
//! that come twice are not. Must never know what a key means: that is `decode` and what stands on it.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::problem::{Faults, Place, Problem, Source, quoted};
use super::syntax::Stopped;

/// The longest file, in bytes: thousands of clients fit, and it is read in a few milliseconds.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// How deep collections may stand in one another: the language needs 7, and a person sees no more than 32.
pub const DEPTH_MAX: usize = 32;

/// How many nodes a file may have, those that aliases repeat counted each time: what bounds alias bombs.
pub const NODES_MAX: usize = 100_000;

/// How many bytes of text aliases of a file may repeat: eight times the longest file, and no burden to hold.
pub const REPEATED_BYTES_MAX: usize = 8 * DOCUMENT_BYTES_MAX;

/// The longest key, in bytes: twice what an identifier may have.
pub const KEY_BYTES_MAX: usize = 128;

/// One value of a file.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it stands; for a block collection, its first key or item.
    pub place: Place,
    /// What it is.
    pub content: Content,
    /// Whether a key of it was refused and passed over, so that what it lacks may have been written.
    pub lost: bool,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Content {
    /// Nothing is written, as in `key:`.
    Empty,
    /// A single value.
    Scalar {
        /// The text, without quotes and with escapes resolved.
        text: String,
        /// How it was written.
        style: Style,
    },
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and their values, in the order of the file; no key comes twice.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is: it may be a number or a boolean.
    Plain,
    /// In quotes: it is text.
    Quoted,
    /// In a block after `|` or `>`: it is text.
    Block,
}

impl Node {
    /// Says what it is, with an article, for diagnostics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Empty => "nothing",
            Content::Scalar { style: Style::Plain, text } if is_null(text) => "nothing",
            Content::Scalar { .. } => "a single value",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a mapping",
        }
    }
}

/// Tells whether a plain scalar is the null of YAML 1.2.
#[must_use]
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Reads one file; every fault found is reported, and `None` is returned if there is no tree to go on with.
///
/// A duplicate key, a merge key or a tag is reported and passed over, so that the rest of the file is still checked; a
/// fault of syntax ends the reading of that file.
pub fn parse(source: &Source, faults: &Faults) -> Option<Node> {
    let file = &source.name;
    let text = source.body();
    let start = Place::start_of(file);
    if text.len() > DOCUMENT_BYTES_MAX {
        faults.report(
            Problem::error("P0002", &start, format!("the file has {} bytes", text.len()))
                .label(format!("at most {DOCUMENT_BYTES_MAX} bytes are read"))
                .help("split it: the files of a directory are read as one"),
        );
        return None;
    }
    if let Some(problem) = forbidden_character(file, text) {
        faults.report(problem);
        return None;
    }
    let lines = text.lines().map(|line| line.chars().count()).collect();
    let (open, anchors, size, kept) = (Vec::new(), HashMap::new(), Size::default(), Size::default());
    let mut builder = Builder { file, text, lines, faults, open, anchors, size, kept, root: None };
    let mut parser = Parser::new_from_str(text);
    let mut documents = 0;
    while let Some(next) = parser.next_event() {
        let (event, span) = match next {
            Ok(found) => found,
            Err(error) => {
                faults.report(builder.syntax(&error));
                return None;
            }
        };
        if let Event::DocumentStart(_) = event {
            documents += 1;
            if documents > 1 {
                let place = builder.place(&span);
                faults.report(
                    Problem::error("P0006", &place, "a second document begins in the same file")
                        .label("`---` may only stand at the top")
                        .help("put it in a file of its own"),
                );
                return None;
            }
        }
        if builder.take(event, &span).is_err() {
            return None;
        }
    }
    if builder.root.is_none() {
        faults.report(
            Problem::error("P0010", &start, "the file has no content").help("begin it with `qaqpa: v1`, or delete it"),
        );
    }
    builder.root
}

/// The reading cannot go on; the reason was reported.
struct Stop;

/// A collection whose end has not come.
struct Open {
    place: Place,
    flow: bool,
    anchor: usize,
    kind: OpenKind,
}

enum OpenKind {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        known: HashMap<String, Place>,
        key: Waiting,
        lost: bool,
    },
    /// What stands here was refused as a whole and is only skipped.
    Ignored,
}

/// What a mapping is waiting for.
enum Waiting {
    Key,
    Value(Key),
    /// The key was refused, so the value is skipped.
    Nothing,
}

/// How much a value holds.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    const ONE: Self = Self { nodes: 1, bytes: 0 };

    fn and(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(other.nodes), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

struct Builder<'s> {
    file: &'s Arc<str>,
    text: &'s str,
    // How many characters each line has.
    lines: Vec<usize>,
    faults: &'s Faults,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    // All nodes so far, and what of their text was repeated.
    size: Size,
    // What anchors keep.
    kept: Size,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let place = self.place(span);
        match event {
            Event::Alias(anchor) => {
                let Some((_, size)) = self.anchors.get(&anchor) else {
                    return self.stop(
                        Problem::error("P0007", &place, "an alias stands inside the very value it repeats")
                            .help("an alias may only repeat what is complete before it"),
                    );
                };
                let size = *size;
                // Counted before it is copied: the copies are what a bomb is made of.
                self.count(size, &place)?;
                let node = self.anchors.get(&anchor).map(|(node, _)| node.clone());
                if let Some(node) = node {
                    self.value(node, 0)?;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(Size::ONE, &place)?;
                self.refuse_tag(tag.is_some(), &place);
                let nothing = style == ScalarStyle::Plain && (text.is_empty() || (text == "~" && span.is_empty()));
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                let content = if nothing { Content::Empty } else { Content::Scalar { text: text.into_owned(), style } };
                self.value(Node { place, content, lost: false }, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), &place);
                self.begin(place, span, anchor, OpenKind::Sequence(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), &place);
                let (entries, known, key) = (Vec::new(), HashMap::new(), Waiting::Key);
                self.begin(place, span, anchor, OpenKind::Mapping { entries, known, key, lost: false })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn stop(&self, problem: Problem) -> Result<(), Stop> {
        self.faults.report(problem);
        Err(Stop)
    }

    fn count(&mut self, size: Size, place: &Place) -> Result<(), Stop> {
        self.size = self.size.and(size);
        self.hold(self.size, place)
    }

    fn hold(&self, size: Size, place: &Place) -> Result<(), Stop> {
        let message = if size.nodes > NODES_MAX {
            format!("the file has more than {NODES_MAX} values")
        } else if size.bytes > REPEATED_BYTES_MAX {
            format!("aliases repeat more than {REPEATED_BYTES_MAX} bytes")
        } else {
            return Ok(());
        };
        self.stop(
            Problem::error("P0002", place, message)
                .label("counted up to here, what aliases repeat included")
                .help("split it, and repeat less by alias"),
        )
    }

    fn refuse_tag(&self, tagged: bool, place: &Place) {
        if tagged && !self.faults.are_full() {
            self.faults.report(
                Problem::error("P0005", &self.tag_before(place), "a tag stands before a value")
                    .label("tags such as `!!str` or `!include` are not read")
                    .help("leave the tag out; put text that looks like a number in quotes"),
            );
        }
    }

    // The parser tells where the value stands, not where its tag does.
    fn tag_before(&self, place: &Place) -> Place {
        let line = place.line.checked_sub(1).and_then(|index| self.text.lines().nth(index)).unwrap_or_default();
        let end = line.char_indices().nth(place.column.saturating_sub(1)).map_or(line.len(), |(at, _)| at);
        let before = line.get(..end).unwrap_or_default();
        let Some((other, _)) = before.rsplit_once('!') else { return place.clone() };
        let tag = before.get(other.trim_end_matches('!').len()..).unwrap_or_default();
        let length = tag.chars().take_while(|character| !character.is_whitespace()).count();
        let column = place.column.saturating_sub(tag.chars().count());
        Place { file: Arc::clone(&place.file), line: place.line, column, length: length.max(1) }
    }

    fn begin(&mut self, place: Place, span: &Span, anchor: usize, kind: OpenKind) -> Result<(), Stop> {
        self.count(Size::ONE, &place)?;
        if self.open.len() >= DEPTH_MAX {
            return self.stop(
                Problem::error("P0002", &place, format!("values stand more than {DEPTH_MAX} deep in one another"))
                    .label("one too deep"),
            );
        }
        let ignored = match self.open.last().map(|open| &open.kind) {
            Some(OpenKind::Ignored | OpenKind::Mapping { key: Waiting::Nothing, .. }) => true,
            Some(OpenKind::Mapping { key: Waiting::Key, .. }) => {
                self.faults.report(
                    Problem::error("P0008", &place, "a key is a list or a mapping")
                        .label("keys are plain words")
                        .help("text that begins with `{` or `[` needs quotes"),
                );
                true
            }
            _ => false,
        };
        let kind = if ignored { OpenKind::Ignored } else { kind };
        self.open.push(Open { place, flow: !span.is_empty(), anchor, kind });
        Ok(())
    }

    fn end(&mut self, span: &Span) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let lost = matches!(open.kind, OpenKind::Mapping { lost: true, .. });
        let content = match open.kind {
            OpenKind::Sequence(items) => Content::Sequence(items),
            OpenKind::Mapping { entries, .. } => Content::Mapping(entries),
            OpenKind::Ignored => {
                // Where this stood for a key, its value is passed over too.
                if let Some(OpenKind::Mapping { key: key @ Waiting::Key, lost, .. }) =
                    self.open.last_mut().map(|open| &mut open.kind)
                {
                    *key = Waiting::Nothing;
                    *lost = true;
                    return Ok(());
                }
                Content::Empty
            }
        };
        let mut place = open.place;
        if open.flow {
            place.length = if span.end.line() == place.line {
                (span.end.col() + 1).saturating_sub(place.column).max(1)
            } else {
                self.rest_of_line(&place)
            };
        } else if let Some(first) = first_place(&content) {
            place = first;
        }
        self.value(Node { place, content, lost }, open.anchor)
    }

    // Puts a finished node where it belongs.
    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor > 0 {
            let size = size_of(&node);
            // A value is kept once for each anchor that it stands in.
            self.kept = self.kept.and(size);
            self.hold(self.kept, &node.place)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let faults = self.faults;
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            OpenKind::Ignored => {}
            OpenKind::Sequence(items) => items.push(node),
            OpenKind::Mapping { entries, known, key, lost } => match std::mem::replace(key, Waiting::Key) {
                Waiting::Key => *key = checked_key(node, known, lost, faults),
                Waiting::Value(name) => entries.push(Entry { key: name, value: node }),
                Waiting::Nothing => {}
            },
        }
        Ok(())
    }

    fn place(&self, span: &Span) -> Place {
        let mut place =
            Place { file: Arc::clone(self.file), line: span.start.line(), column: span.start.col() + 1, length: 1 };
        place.length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col()).max(1)
        } else {
            self.rest_of_line(&place)
        };
        place
    }

    fn rest_of_line(&self, place: &Place) -> usize {
        let length = place.line.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or(0);
        (length + 1).saturating_sub(place.column).max(1)
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let open = self.open.iter().rev().find(|open| open.flow).map(|open| &open.place);
        let (line, column) = (error.marker().line(), error.marker().col());
        Stopped { info: error.info(), file: self.file, text: self.text, line, column, open }.problem()
    }
}

fn checked_key(node: Node, known: &mut HashMap<String, Place>, lost: &mut bool, faults: &Faults) -> Waiting {
    let place = node.place;
    let Content::Scalar { text, style } = node.content else {
        *lost = true;
        faults.report(Problem::error("P0008", &place, "a key is missing before `:`"));
        return Waiting::Nothing;
    };
    if text == "<<" && style == Style::Plain {
        *lost = true;
        faults.report(
            Problem::error("P0004", &place, "merge keys are not read")
                .label("`<<` would hide what applies")
                .help("write the keys out, or give the whole value an anchor and repeat it with an alias"),
        );
        return Waiting::Nothing;
    }
    if text.len() > KEY_BYTES_MAX || style == Style::Block {
        *lost = true;
        faults.report(
            Problem::error("P0002", &place, "the key is too long")
                .label(format!("a key is one line of at most {KEY_BYTES_MAX} bytes")),
        );
        return Waiting::Nothing;
    }
    if let Some(first) = known.get(&text) {
        faults.report(
            Problem::error("P0003", &place, format!("the key {} comes twice", quoted(&text)))
                .label("second")
                .related(first, "first")
                .help("keep one of the two"),
        );
        return Waiting::Nothing;
    }
    known.insert(text.clone(), place.clone());
    Waiting::Value(Key { text, place })
}

fn first_place(content: &Content) -> Option<Place> {
    match content {
        Content::Mapping(entries) => entries.first().map(|entry| entry.key.place.clone()),
        Content::Sequence(items) => items.first().map(|item| item.place.clone()),
        Content::Empty | Content::Scalar { .. } => None,
    }
}

// Bounded by DEPTH_MAX, so that recursion is safe.
fn size_of(node: &Node) -> Size {
    let inner = match &node.content {
        Content::Empty => Size::default(),
        Content::Scalar { text, .. } => Size { nodes: 0, bytes: text.len() },
        Content::Sequence(items) => items.iter().map(size_of).fold(Size::default(), Size::and),
        Content::Mapping(entries) => entries.iter().fold(Size::default(), |size, entry| {
            let key = Size { nodes: 1, bytes: entry.key.text.len() };
            size.and(key).and(size_of(&entry.value))
        }),
    };
    inner.and(Size::ONE)
}

// Characters that an editor does not show could hide what applies; the parser takes NUL for the end of the file.
fn forbidden_character(file: &Arc<str>, text: &str) -> Option<Problem> {
    let (mut line, mut column) = (1, 1);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let named = match character {
            '\n' => {
                line += 1;
                column = 0;
                None
            }
            '\r' if characters.peek() == Some(&'\n') => None,
            '\t' => None,
            '\r' => Some("a carriage return without a line feed".to_owned()),
            '\u{feff}' => Some("a byte order mark".to_owned()),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                Some("a character that turns the reading direction".to_owned())
            }
            '\u{85}' | '\u{2028}' | '\u{2029}' => Some("a line break of another kind".to_owned()),
            other if other.is_control() => Some("a control character".to_owned()),
            _ => None,
        };
        if let Some(named) = named {
            let place = Place { file: Arc::clone(file), line, column, length: 1 };
            return Some(
                Problem::error("P0009", &place, format!("{named} (U+{:04X}) stands in the file", u32::from(character)))
                    .help("delete it, or write it as an escape in double quotes"),
            );
        }
        column += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn codes(text: &str) -> (bool, Vec<&'static str>) {
        let source = Source::new("a.yaml", text);
        let faults = Faults::new();
        let found = parse(&source, &faults).is_some();
        (found, faults.into_problems(&[]).iter().map(|problem| problem.code).collect())
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_of_bytes() {
        let text = |bytes: usize| format!("a: b\n#{}", "x".repeat(bytes - 6));
        assert_eq!(codes(&text(DOCUMENT_BYTES_MAX)), (true, vec![]));
        assert_eq!(codes(&text(DOCUMENT_BYTES_MAX + 1)), (false, vec!["P0002"]));
    }

    #[test]
    fn values_stand_in_one_another_up_to_the_limit() {
        let flow = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(codes(&flow(DEPTH_MAX)), (true, vec![]));
        assert_eq!(codes(&flow(DEPTH_MAX + 1)), (false, vec!["P0002"]));
        assert_eq!(codes(&"[".repeat(DOCUMENT_BYTES_MAX)), (false, vec!["P0002"]));
        assert_eq!(codes(&"- ".repeat(DOCUMENT_BYTES_MAX / 2)), (false, vec!["P0002"]));
    }

    #[test]
    fn values_are_counted_up_to_the_limit() {
        // The list itself is one.
        let list = |items: usize| format!("[{}]", "1,".repeat(items));
        assert_eq!(codes(&list(NODES_MAX - 1)), (true, vec![]));
        assert_eq!(codes(&list(NODES_MAX)), (false, vec!["P0002"]));
    }

    #[test]
    fn what_aliases_repeat_is_counted_each_time() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            let _ = writeln!(bomb, "a{level}: &a{level} [{aliases}]");
        }
        assert_eq!(codes(&bomb), (false, vec!["P0002"]));
        assert_eq!(codes("a: &a [1]\nb: [*a, *a]"), (true, vec![]));
    }

    #[test]
    fn the_bytes_that_aliases_repeat_are_counted() {
        let bomb = |bytes: usize, aliases: usize| format!("[&a \"{}\"{}]", "x".repeat(bytes), ", *a".repeat(aliases));
        let half = DOCUMENT_BYTES_MAX / 2;
        assert_eq!(codes(&bomb(half, 16)), (true, vec![]));
        assert_eq!(codes(&bomb(half, 17)), (false, vec!["P0002"]));
        assert_eq!(codes(&bomb(600_000, 90_000)), (false, vec!["P0002"]));
    }

    #[test]
    fn anchors_in_one_another_are_counted() {
        let nest = |depth: usize, items: usize| {
            let open: String = (0..depth).map(|level| format!("&a{level} [")).collect();
            format!("{open}{}{}", "1,".repeat(items), "]".repeat(depth))
        };
        assert_eq!(codes(&nest(4, NODES_MAX / 4 - 3)), (true, vec![]));
        assert_eq!(codes(&nest(5, NODES_MAX / 4 - 3)), (false, vec!["P0002"]));
        let text =
            |depth: usize| nest(depth, 1).replacen("1,", &format!("\"{}\"", "x".repeat(DOCUMENT_BYTES_MAX - 512)), 1);
        assert_eq!(codes(&text(8)), (true, vec![]));
        assert_eq!(codes(&text(9)), (false, vec!["P0002"]));
    }

    #[test]
    fn an_alias_of_what_is_not_complete_is_refused() {
        assert_eq!(codes("a: &a [*a]"), (false, vec!["P0007"]));
        assert_eq!(codes("a: *b\nb: &b 1"), (false, vec!["P0007"]));
    }

    #[test]
    fn a_key_has_at_most_so_many_bytes() {
        assert_eq!(codes(&format!("{}: 1", "k".repeat(KEY_BYTES_MAX))), (true, vec![]));
        assert_eq!(codes(&format!("{}: 1", "k".repeat(KEY_BYTES_MAX + 1))), (true, vec!["P0002"]));
    }

    #[test]
    fn what_hides_or_ends_a_file_early_is_refused() {
        for hidden in ['\0', '\u{1b}', '\u{7f}', '\u{85}', '\u{2028}', '\u{202e}', '\u{feff}', '\u{2066}'] {
            assert_eq!(codes(&format!("a: b\nc: {hidden}d\n")), (false, vec!["P0009"]), "{hidden:?}");
        }
        assert_eq!(codes("a: b\rc: d"), (false, vec!["P0009"]));
        assert_eq!(codes("\u{feff}a: b\r\nc: d\r\n"), (true, vec![]));
    }

    #[test]
    fn keys_that_are_no_text_are_passed_over_with_their_values() {
        assert_eq!(codes("? [a]\n: 1\nb: 2\nb: 3"), (true, vec!["P0008", "P0003"]));
        assert_eq!(codes("{a: {[x, {y: z}]: {c: d}, e: f}, a: 1}"), (true, vec!["P0008", "P0003"]));
        assert_eq!(codes(": 1\n"), (true, vec!["P0008"]));
        assert_eq!(codes("a: &x k\n*x : 1\nk: 2"), (true, vec!["P0003"]));
    }

    #[test]
    fn every_beginning_of_a_file_is_read_without_surprise() {
        let text = include_str!("../../tests-data/language/everything-at-once.txt");
        let more =
            "a: &x {b: [*x, 'c', \"d\\n\"], ? e : !f g}\nh: |\n  i\nj: >-\n  k\n%l\n--- m\n...\n<<: {n: ~}\n\t- o\n";
        for text in [text, more] {
            for (end, _) in text.char_indices() {
                let (head, tail) = text.split_at(end);
                let ((read, first), (also_read, second)) = (codes(head), codes(tail));
                assert!((read || !first.is_empty()) && (also_read || !second.is_empty()));
            }
        }
    }
}
