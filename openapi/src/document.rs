//! One YAML file as a tree that remembers where each node stood.
//!
//! The tree is built from parser events, so that limits hold while reading and duplicate keys are seen. Only what JSON can
//! say is accepted: no tags, no merge keys, no infinities, one document a file. Must never know OpenAPI.

use crate::fault::{Fault, Mark, Source};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The largest file, in bytes: seven times the largest of 673 published documents (565,003).
pub const DOCUMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The deepest nesting of lists and maps: hand-written contracts stay below 30, and readers of the tree recurse.
pub const DEPTH_MAX: usize = 64;

/// The most nodes of a file, aliases written out.
pub const NODES_MAX: usize = 200_000;

/// The most aliases of a file: they multiply text, so few are enough.
pub const ALIASES_MAX: usize = 64;

/// Maps below this many keys are searched key by key, which is faster than a table.
const SMALL_MAP: usize = 24;

/// A node and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    mark: Mark,
    kind: Kind,
}

/// What a node is, in JSON's words.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map with its value; the mark is the key's.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) value: Node,
}

/// Reads one file.
///
/// # Errors
/// All repeated keys and unreadable values at once; a syntax error or a broken limit ends the reading.
#[cfg(test)]
pub(crate) fn parse(source: &Source) -> Result<Node, Vec<Fault>> {
    parse_as(source, 0)
}

/// Reads one of several files; `file` is its position among them.
///
/// # Errors
/// All repeated keys and unreadable values at once; a syntax error or a broken limit ends the reading.
pub(crate) fn parse_as(source: &Source, file: u16) -> Result<Node, Vec<Fault>> {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let mut builder = Builder::new(&source.name, file);
    if let Err(fault) = builder.read(&with_whole_characters(text)) {
        builder.faults.push(fault);
    }
    match builder.root {
        Some(root) if builder.faults.is_empty() => Ok(root),
        _ => Err(builder.faults),
    }
}

impl Node {
    pub(crate) fn new(mark: Mark, kind: Kind) -> Node {
        Node { mark, kind }
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    pub(crate) fn kind_mut(&mut self) -> &mut Kind {
        &mut self.kind
    }

    /// The entries of a map, to be changed; none for anything else.
    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The value under a key; `None` also where this is no map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map, in file order; empty for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match &self.kind {
            Kind::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The node at the end of a JSON pointer, if it leads anywhere.
    pub(crate) fn pointed(&self, pointer: &str) -> Option<&Node> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return None;
        }
        pointer.split('/').skip(1).try_fold(self, |node, token| node.step(token))
    }

    /// The node at the end of a JSON pointer, to be changed.
    pub(crate) fn pointed_mut(&mut self, pointer: &str) -> Option<&mut Node> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return None;
        }
        pointer.split('/').skip(1).try_fold(self, |node, token| match &mut node.kind {
            Kind::Map(entries) => {
                let key = token.replace("~1", "/").replace("~0", "~");
                let is_meant = |entry: &&mut Entry| entry.key == key || (key == "$defs" && entry.key == "x-defs");
                entries.iter_mut().find(is_meant).map(|entry| &mut entry.value)
            }
            Kind::List(items) => token.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            _ => None,
        })
    }

    /// One step along a JSON pointer.
    fn step(&self, token: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(_) if token.contains('~') => self.get(&token.replace("~1", "/").replace("~0", "~")),
            // Conversion gives this place a name that 3.0 leaves alone; references keep the old one.
            Kind::Map(_) if token == "$defs" => self.get(token).or_else(|| self.get("x-defs")),
            Kind::Map(_) => self.get(token),
            Kind::List(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        }
    }

    /// The deepest node on the way along a JSON pointer: where a complaint about the pointer is best shown.
    pub(crate) fn nearest(&self, pointer: &str) -> &Node {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            match node.step(token) {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// The same tree without places.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// How many nodes, and how many levels of lists and maps, this tree has.
    fn size(&self) -> (usize, usize) {
        let children: Vec<(usize, usize)> = match &self.kind {
            Kind::List(items) => items.iter().map(Node::size).collect(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.value.size()).collect(),
            _ => return (1, 0),
        };
        children.into_iter().fold((1, 1), |(nodes, depth), (n, d)| (nodes + n, depth.max(d + 1)))
    }
}

/// A list or map that is still open.
struct Frame {
    mark: Mark,
    anchor: usize,
    kind: Open,
}

enum Open {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Mark)> },
}

struct Builder<'s> {
    name: &'s str,
    file: u16,
    open: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    aliases: usize,
    anchors: HashMap<usize, Node>,
    faults: Vec<Fault>,
}

impl<'s> Builder<'s> {
    fn new(name: &'s str, file: u16) -> Self {
        Builder {
            name,
            file,
            open: Vec::new(),
            root: None,
            documents: 0,
            nodes: 0,
            aliases: 0,
            anchors: HashMap::new(),
            faults: Vec::new(),
        }
    }

    fn read(&mut self, text: &str) -> Result<(), Fault> {
        let start = Mark::start(self.file);
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(self.fault(start, format!("the file is larger than {DOCUMENT_BYTES_MAX} bytes")));
        }
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, span)) => self.event(event, self.place(&span.start))?,
                Err(error) => {
                    let mut fault = self.fault(self.place(error.marker()), format!("not YAML: {}", error.info()));
                    if text.lines().nth(fault.line.saturating_sub(1)).is_some_and(|line| line.contains('\t')) {
                        fault.help = Some("the line has a tab: indent with spaces".to_owned());
                    }
                    return Err(fault);
                }
            }
        }
        match &self.root {
            Some(_) => Ok(()),
            None => Err(self.fault(start, "the file is empty".to_owned())),
        }
    }

    fn event(&mut self, event: Event<'_>, mark: Mark) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.fault(mark, "a second document in one file".to_owned()));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), mark)?;
                self.scalar(&text, style, anchor, mark)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), mark)?;
                self.begin(Frame { mark, anchor, kind: Open::List(Vec::new()) })?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), mark)?;
                self.begin(Frame {
                    mark,
                    anchor,
                    kind: Open::Map { entries: Vec::new(), seen: HashSet::new(), key: None },
                })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => self.alias(anchor, mark)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn begin(&mut self, frame: Frame) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(self.fault(frame.mark, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        if self.expects_key() {
            return Err(self.fault(frame.mark, "a key must be plain text".to_owned()));
        }
        self.open.push(frame);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(frame) = self.open.pop() else {
            return Ok(());
        };
        let kind = match frame.kind {
            Open::List(items) => Kind::List(items),
            Open::Map { entries, .. } => Kind::Map(entries),
        };
        self.attach(Node { mark: frame.mark, kind }, frame.anchor, 1)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, mark: Mark) -> Result<(), Fault> {
        if self.expects_key() {
            return self.key(text, mark);
        }
        let kind = match style {
            ScalarStyle::Plain => match plain(text) {
                Ok(kind) => kind,
                Err(reason) => {
                    let fault = self.fault(mark, reason.to_owned());
                    self.faults.push(fault);
                    Kind::Null
                }
            },
            _ => Kind::Text(text.to_owned()),
        };
        self.attach(Node { mark, kind }, anchor, 1)
    }

    fn key(&mut self, text: &str, mark: Mark) -> Result<(), Fault> {
        if text == "<<" {
            let mut fault = self.fault(mark, "merge keys are not part of YAML 1.2".to_owned());
            fault.help = Some("write the keys out, or use `$ref`".to_owned());
            return Err(fault);
        }
        let mut repeated = false;
        if let Some(Frame { kind: Open::Map { entries, seen, key }, .. }) = self.open.last_mut() {
            repeated = is_repeated(entries, seen, text);
            *key = Some((text.to_owned(), mark));
        }
        if repeated {
            let fault = self.fault(mark, format!("the key `{text}` is repeated"));
            self.faults.push(fault);
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, mark: Mark) -> Result<(), Fault> {
        self.aliases += 1;
        if self.aliases > ALIASES_MAX {
            return Err(self.fault(mark, format!("more than {ALIASES_MAX} aliases")));
        }
        if self.expects_key() {
            return Err(self.fault(mark, "a key must be plain text".to_owned()));
        }
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.fault(mark, "the alias stands inside its own anchor".to_owned()));
        };
        let (nodes, depth) = node.size();
        if self.open.len() + depth > DEPTH_MAX {
            return Err(self.fault(mark, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        if self.nodes + nodes > NODES_MAX {
            return Err(self.fault(mark, format!("more than {NODES_MAX} nodes")));
        }
        let node = node.clone();
        self.attach(node, 0, nodes)
    }

    fn attach(&mut self, node: Node, anchor: usize, nodes: usize) -> Result<(), Fault> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(self.fault(node.mark, format!("more than {NODES_MAX} nodes")));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|frame| &mut frame.kind) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, key, .. }) => {
                if let Some((key, mark)) = key.take() {
                    entries.push(Entry { key, mark, value: node });
                }
            }
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { kind: Open::Map { key: None, .. }, .. }))
    }

    fn refuse_tag(&self, tagged: bool, mark: Mark) -> Result<(), Fault> {
        if tagged { Err(self.fault(mark, "tags are not used here".to_owned())) } else { Ok(()) }
    }

    fn fault(&self, mark: Mark, message: String) -> Fault {
        let at = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Fault { file: self.name.to_owned(), line: at(mark.line), column: at(mark.column), message, help: None }
    }

    fn place(&self, marker: &Marker) -> Mark {
        // A file has fewer lines and columns than bytes, and its bytes are limited.
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Mark { file: self.file, line: number(marker.line()), column: number(marker.col() + 1) }
    }
}

/// Tells whether a map has a key already; `seen` is filled only where looking through the entries would take long.
fn is_repeated(entries: &[Entry], seen: &mut HashSet<String>, key: &str) -> bool {
    if entries.len() < SMALL_MAP {
        return entries.iter().any(|entry| entry.key == key);
    }
    if seen.is_empty() {
        seen.extend(entries.iter().map(|entry| entry.key.clone()));
    }
    !seen.insert(key.to_owned())
}

/// JSON writes a character beyond 16 bits as two escapes, which YAML cannot read: this makes them one.
fn with_whole_characters(text: &str) -> Cow<'_, str> {
    if !text.trim_start().starts_with('{') || !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let pair = half(escape).filter(|high| (0xd800..0xdc00).contains(high)).and_then(|high| {
            let low = half(escape.get(6..)?).filter(|low| (0xdc00..0xe000).contains(low))?;
            Some(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
        });
        let length = match pair {
            Some(code) => {
                out.push_str(&format!("\\U{code:08X}"));
                12
            }
            None => {
                // The escape and what it stands before: `\\` must not begin another one.
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                out.push_str(escape.get(..length).unwrap_or(escape));
                length
            }
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The number of an escape `\uXXXX` that a text begins with.
fn half(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Reads a plain scalar by the core schema of YAML 1.2.2, section 10.3.2.
fn plain(text: &str) -> Result<Kind, &'static str> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Kind::Null),
        "true" | "True" | "TRUE" => return Ok(Kind::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Kind::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err("a number must be finite");
    }
    if let Some(octal) = text
        .strip_prefix("0o")
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|d| (b'0'..=b'7').contains(&d)))
    {
        return integer(u64::from_str_radix(octal, 8).ok());
    }
    if let Some(hex) =
        text.strip_prefix("0x").filter(|digits| !digits.is_empty() && digits.bytes().all(|d| d.is_ascii_hexdigit()))
    {
        return integer(u64::from_str_radix(hex, 16).ok());
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|digit| digit.is_ascii_digit()) {
        return match text.strip_prefix('+').unwrap_or(text).parse::<i64>() {
            Ok(number) => Ok(Kind::Number(Number::from(number))),
            Err(_) => integer(unsigned.parse::<u64>().ok().filter(|_| !text.starts_with('-'))),
        };
    }
    if is_float(unsigned) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64);
        return number.map(Kind::Number).ok_or("a number must be finite");
    }
    Ok(Kind::Text(text.to_owned()))
}

fn integer(number: Option<u64>) -> Result<Kind, &'static str> {
    number.map(|number| Kind::Number(Number::from(number))).ok_or("the number is too large")
}

fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    mantissa_fits && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Node, Vec<Fault>> {
        parse(&Source { name: "x.yaml".to_owned(), text: text.to_owned() })
    }

    fn refusal(text: &str) -> (usize, usize, String) {
        let faults = read(text).unwrap_err();
        let fault = faults.first().unwrap();
        (fault.line, fault.column, fault.message.clone())
    }

    #[test]
    fn a_repeated_key_is_refused_where_it_stands() {
        assert_eq!(refusal("a: 1\nb:\n  c: 1\n  c: 2\n"), (4, 3, "the key `c` is repeated".to_owned()));
        assert_eq!(read("a: 1\na: 2\nb: 3\nb: 4\n").unwrap_err().len(), 2);
        assert_eq!(refusal("{a: 1, \"a\": 2}").2, "the key `a` is repeated");
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for (text, message) in [
            ("", "the file is empty"),
            ("# only a comment\n", "the file is empty"),
            ("a: .inf\n", "a number must be finite"),
            ("a: -.Inf\n", "a number must be finite"),
            ("a: .nan\n", "a number must be finite"),
            ("a: 1e999\n", "a number must be finite"),
            ("a: 99999999999999999999\n", "the number is too large"),
            ("a: -99999999999999999999\n", "the number is too large"),
            ("a: !!str 1\n", "tags are not used here"),
            ("a: !x {}\n", "tags are not used here"),
            ("a: &x {k: 1}\nb:\n  <<: *x\n", "merge keys are not part of YAML 1.2"),
            ("a: &x [*x]\n", "the alias stands inside its own anchor"),
            ("? [1]\n: 2\n", "a key must be plain text"),
            ("a: &x b\n*x : 2\n", "a key must be plain text"),
            ("a: 1\n---\nb: 2\n", "a second document in one file"),
        ] {
            assert_eq!(refusal(text).2, message, "{text:?}");
        }
    }

    #[test]
    fn broken_yaml_is_refused_with_its_line() {
        let (line, _, message) = refusal("a: 1\nb: [1, 2\nc: 3\n");
        assert!(line >= 2 && message.starts_with("not YAML"), "{line} {message}");
        assert!(refusal("a:\n\t- 1\n").2.starts_with("not YAML"));
        assert!(refusal("a: *nowhere\n").2.starts_with("not YAML"));
    }

    #[test]
    fn the_depth_limit_holds_on_both_sides() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert!(refusal(&nested(DEPTH_MAX + 1)).2.contains("deeper"));
        let half = DEPTH_MAX / 2;
        let aliased =
            |depth: usize| format!("a: &x {}\nb: {}*x{}\n", nested(half), "[".repeat(depth), "]".repeat(depth));
        assert!(read(&aliased(DEPTH_MAX - half - 1)).is_ok());
        assert!(refusal(&aliased(DEPTH_MAX - half)).2.contains("deeper"));
    }

    #[test]
    fn the_alias_limit_holds_on_both_sides() {
        let aliased = |count: usize| format!("a: &x 1\nb: [{}]\n", vec!["*x"; count].join(", "));
        assert!(read(&aliased(ALIASES_MAX)).is_ok());
        assert!(refusal(&aliased(ALIASES_MAX + 1)).2.contains("aliases"));
    }

    #[test]
    fn the_node_limit_holds_on_both_sides() {
        let list = |items: usize| format!("[{}]", vec!["1"; items].join(","));
        assert!(read(&list(NODES_MAX - 1)).is_ok());
        assert!(refusal(&list(NODES_MAX)).2.contains("nodes"));
        let multiplied = format!("a: &x {}\nb: [*x, *x, *x]\n", list(NODES_MAX / 3));
        assert!(refusal(&multiplied).2.contains("nodes"));
    }

    #[test]
    fn the_size_limit_holds_on_both_sides() {
        let sized = |bytes: usize| format!("a: 1\n#{}", "x".repeat(bytes - 6));
        assert!(read(&sized(DOCUMENT_BYTES_MAX)).is_ok());
        assert!(refusal(&sized(DOCUMENT_BYTES_MAX + 1)).2.contains("larger"));
    }

    #[test]
    fn values_follow_the_core_schema() {
        let node = read("\u{feff}a: 1\nb: -2\nc: 0x1F\nd: 0o17\ne: 1.5\nf: 'true'\ng: true\nh: ~\ni:\nj: no\nk: \"1\"\nl: 1.2.3\nm: |\n  x\n200: ok\nn: +7\no: -x\n").unwrap();
        assert_eq!(
            node.to_value(),
            json!({"a": 1, "b": -2, "c": 31, "d": 15, "e": 1.5, "f": "true", "g": true, "h": null, "i": null, "j": "no", "k": "1", "l": "1.2.3", "m": "x\n", "200": "ok", "n": 7, "o": "-x"})
        );
    }

    #[test]
    fn aliases_are_written_out() {
        let node = read("a: &x {k: [1]}\nb: *x\n").unwrap();
        assert_eq!(node.to_value(), json!({"a": {"k": [1]}, "b": {"k": [1]}}));
    }

    #[test]
    fn places_count_from_one() {
        let node = read("a:\n  b: x\n  c:\n    - 1\n    - 2\n").unwrap();
        assert_eq!(node.entry("a").unwrap().mark, Mark { file: 0, line: 1, column: 1 });
        assert_eq!(node.nearest("/a/b").mark(), Mark { file: 0, line: 2, column: 6 });
        assert_eq!(node.nearest("/a/c/1").mark(), Mark { file: 0, line: 5, column: 7 });
        assert_eq!(node.nearest("/a/c/9/z").mark(), node.nearest("/a/c").mark());
    }
}
