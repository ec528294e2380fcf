//! Reads values out of a [`document`](super::document), reporting every fault instead of stopping at the first.
//!
//! Each reader returns `None` when the value is not there or not usable, and has then reported why; so a caller
//! collects `Option`s, joins them at the end, and all faults of a file are told at once. Unknown keys are faults,
//! found when [`Value::fields`] is given the keys that are known. Must never know a rule: only forms and ranges.
//!
//! ```
//! use std::time::Duration;
//! use policies::language::decode::Value;
//! use policies::language::{Faults, Source, document, render};
//!
//! struct Listen { address: String, timeout: Duration, workers: u64 }
//!
//! fn listen(value: Value<'_>) -> Option<Listen> {
//!     let fields = value.fields(&["address", "timeout", "workers"])?;
//!     let address = fields.required("address").and_then(Value::text);
//!     let timeout = fields.required("timeout").and_then(|value| value.duration(Duration::from_millis(1)..=Duration::from_secs(60)));
//!     let workers = fields.optional("workers").map_or(Some(1), |value| value.whole(1..=64));
//!     // Joined last, so that all three are checked whatever the first says.
//!     Some(Listen { address: address?.to_owned(), timeout: timeout?, workers: workers? })
//! }
//!
//! let source = Source::new("qaqpa.yaml", "qaqpa: v1\nlisten: {adress: 127.0.0.1, timeout: 3}\n");
//! let faults = Faults::new();
//! let node = document::parse(&source, &faults);
//! let found = node.as_ref().and_then(|node| {
//!     let root = Value::root(node, &faults).versioned_fields(&["listen"])?;
//!     root.required("listen").and_then(listen)
//! });
//! let sources = [source];
//! let problems = faults.finish(&sources, found).err().unwrap_or_default();
//! assert_eq!(problems.len(), 2); // `adress` is unknown, `3` has no unit
//! assert!(render(&problems, &sources, false).contains("did you mean `address`?"));
//! ```

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{Content, Entry, Key, Node, Style, is_null};
use super::problem::{Coming, Faults, Place, Problem, quoted};
use super::suggest::{did_you_mean, listed};
use super::table::{Kind, Table};
use super::units;
use crate::limit::{Quota, Rate};
use crate::national::money::Money;
use crate::time::Timestamp;

mod typed;

/// The word and value that every file begins with.
pub const HEADER: (&str, &str) = ("qaqpa", "v1");

/// The longest text that [`Value::text`] reads, in bytes: titles, names and addresses are shorter.
pub const TEXT_BYTES_MAX: usize = 1024;

/// A value on its way to becoming something of ours.
#[derive(Debug, Clone, Copy)]
pub struct Value<'n> {
    node: &'n Node,
    key: Option<&'n Key>,
    // The key of the list that it is an item of.
    list: Option<&'n Key>,
    // Whether it is a whole file.
    top: bool,
    // What may stand here, where a table says it.
    kind: Option<&'static Kind>,
    faults: &'n Faults,
}

/// The keys of a mapping that were found, once the unknown ones are reported.
#[derive(Debug, Clone)]
pub struct Fields<'n> {
    owner: Value<'n>,
    entries: &'n [Entry],
    // The keys that are known, where a table says them.
    table: Option<&'static Table>,
    // Known keys that unknown ones were probably meant to be; they are not reported a second time as missing.
    meant: Vec<String>,
}

/// Where a secret is kept; the secret itself is fetched by who may read files and the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretReference {
    /// The content of a file, `secret:file:/run/secrets/name`.
    File(String),
    /// A variable of the environment, `secret:env:NAME`.
    Environment(String),
}

impl SecretReference {
    /// Reads a reference.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.strip_prefix("secret:")?.split_once(':')?;
        let name = (!name.is_empty()).then(|| name.to_owned())?;
        match kind {
            "file" => Some(Self::File(name)),
            "env" if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') => {
                Some(Self::Environment(name))
            }
            _ => None,
        }
    }
}

impl<'n> Value<'n> {
    /// Starts at the top of a file.
    #[must_use]
    pub fn root(node: &'n Node, faults: &'n Faults) -> Self {
        Self { node, key: None, list: None, top: true, kind: None, faults }
    }

    /// Returns the node.
    #[must_use]
    pub fn node(self) -> &'n Node {
        self.node
    }

    /// Returns where it stands; where nothing is written, that is its key.
    #[must_use]
    pub fn place(self) -> &'n Place {
        match self.key {
            Some(key) if matches!(self.node.content, Content::Empty) => &key.place,
            _ => &self.node.place,
        }
    }

    /// Returns where its key stands, or the value itself if it has none.
    #[must_use]
    pub fn key_place(self) -> &'n Place {
        self.key.map_or(&self.node.place, |key| &key.place)
    }

    /// Returns how a message calls it: its key in backticks, an item of a key, or `the file`.
    #[must_use]
    pub fn name(self) -> String {
        match (self.key, self.list) {
            (Some(key), _) => quoted(&key.text),
            (None, Some(list)) => format!("an item of {}", quoted(&list.text)),
            (None, None) if self.top => "the file".to_owned(),
            (None, None) => "this item".to_owned(),
        }
    }

    /// Begins to tell of an error at this value; give it to [`Value::report`].
    #[must_use]
    pub fn fault(self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::error(code, self.place(), message)
    }

    /// Takes note of a problem.
    pub fn report(self, problem: Problem) {
        self.faults.report(problem);
    }

    /// Tells whether as many errors are kept as ever are, so that nobody would read what was meant.
    pub(super) fn is_past_telling(self) -> bool {
        self.faults.are_full()
    }

    /// Has `work` tell its errors as what will be wrong; see [`Faults::foretelling`].
    pub(super) fn foretelling<R>(self, coming: &Coming, work: impl FnOnce() -> R) -> R {
        self.faults.foretelling(coming, work)
    }

    /// Reads a mapping whose keys are known; others are reported with the known one that was probably meant.
    ///
    /// Nothing at all (`limits:`) is read as a mapping without keys.
    pub fn fields(self, known: &[&str]) -> Option<Fields<'n>> {
        let mut fields = self.open("a mapping")?;
        for entry in fields.entries {
            let meant = self.refuse_unknown(&entry.key, known.iter().copied(), &[]);
            fields.meant.extend(meant);
        }
        Some(fields)
    }

    /// Reads the mapping at the top of a file: `qaqpa: v1` first, then keys that are known.
    pub fn versioned_fields(self, known: &[&str]) -> Option<Fields<'n>> {
        let mut fields = self.versioned()?;
        for entry in fields.entries.iter().filter(|entry| entry.key.text != HEADER.0) {
            let meant = self.refuse_unknown(&entry.key, known.iter().copied(), &[]);
            fields.meant.extend(meant);
        }
        Some(fields)
    }

    fn versioned(self) -> Option<Fields<'n>> {
        let (name, version) = HEADER;
        let fields = self.open("a mapping that begins with `qaqpa: v1`")?;
        let header = fields.entries.iter().position(|entry| entry.key.text == name);
        match header.and_then(|at| fields.entries.get(at)) {
            None => self.report(
                Problem::error(
                    "P0011",
                    &Place::start_of(&self.node.place.file),
                    "the file does not begin with `qaqpa: v1`",
                )
                .label("add it here")
                .help("the first line says which version of the language the file is written in"),
            ),
            Some(entry) if !matches!(&entry.value.content, Content::Scalar { text, .. } if text == version) => {
                let value = fields.value(entry);
                value.report(
                    value
                        .fault("P0011", "the version of the language is not known")
                        .label(format!("this program reads `{version}`")),
                );
            }
            Some(entry) if header != Some(0) => self.report(
                Problem::error("P0011", &entry.key.place, "`qaqpa: v1` is not the first key")
                    .help("move it to the top"),
            ),
            Some(_) => {}
        }
        Some(fields)
    }

    /// Reads a mapping whose keys are names that people chose; nothing at all is an empty one.
    ///
    /// Where a table says what the names stand for, the values know it.
    pub fn entries(self) -> Option<Vec<(&'n Key, Value<'n>)>> {
        let fields = self.open("a mapping")?;
        let kind = match self.kind {
            Some(Kind::Named(kind)) => Some(*kind),
            _ => None,
        };
        Some(fields.entries.iter().map(|entry| (&entry.key, Value { kind, ..fields.value(entry) })).collect())
    }

    /// Reads a list; `item` is asked for every item even after one has failed. Nothing at all is an empty list.
    pub fn list<T>(self, mut item: impl FnMut(Value<'n>) -> Option<T>) -> Option<Vec<T>> {
        match &self.node.content {
            Content::Empty => Some(Vec::new()),
            Content::Sequence(items) => {
                let of = |node| Value { node, key: None, list: self.key, top: false, kind: self.item_kind(), ..self };
                let read: Vec<Option<T>> = items.iter().map(|node| item(of(node))).collect();
                read.into_iter().collect()
            }
            _ => self.wrong_kind("a list", "write `[first, second]`, or one `- item` a line"),
        }
    }

    /// Reads a list, or a single value as a list of one.
    pub fn one_or_more<T>(self, mut item: impl FnMut(Value<'n>) -> Option<T>) -> Option<Vec<T>> {
        match &self.node.content {
            Content::Scalar { .. } => item(Value { kind: self.item_kind(), ..self }).map(|one| vec![one]),
            _ => self.list(item),
        }
    }

    /// Reads a text of at most [`TEXT_BYTES_MAX`] bytes that is not empty.
    pub fn text(self) -> Option<&'n str> {
        let (text, style) = self.scalar("a text")?;
        if style == Style::Plain && boolean_of(text).is_some() {
            self.report(
                self.fault("P0103", format!("{} is a boolean, not a text", self.name())).help("put it in quotes"),
            );
            return None;
        }
        if text.trim().is_empty() {
            self.report(self.fault("P0103", format!("{} is empty", self.name())));
            return None;
        }
        if text.len() > TEXT_BYTES_MAX {
            self.report(
                self.fault("P0105", format!("{} is too long", self.name()))
                    .label(format!("at most {TEXT_BYTES_MAX} bytes")),
            );
            return None;
        }
        Some(text)
    }

    /// Reads a text of a form that `read` knows; `expected` completes "is not ..." and `example` is told as help.
    pub fn parsed<T>(self, expected: &str, example: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let (text, _) = self.scalar(expected)?;
        let found = read(text);
        if found.is_none() {
            let label =
                if units::whole(text).is_some() && example.starts_with('`') { "a number needs a unit" } else { "" };
            self.report(
                self.fault("P0104", format!("{} is not {expected}: {}", self.name(), quoted(text)))
                    .label(label)
                    .help(format!("write for example {example}")),
            );
        }
        found
    }

    /// Reads a text by a function that says itself what is wrong, such as `ClientId::parse`.
    pub fn read<T, E: Display>(self, code: &'static str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let text = self.text()?;
        read(text)
            .map_err(|error| self.report(self.fault(code, format!("{} cannot be used: {error}", self.name()))))
            .ok()
    }

    /// Reads `true` or `false`, and tells those who wrote `yes` or put it in quotes what to write.
    pub fn boolean(self) -> Option<bool> {
        let (text, style) = self.scalar("`true` or `false`")?;
        let meant = boolean_of(text);
        if style == Style::Plain && meant.is_some() {
            return meant;
        }
        let help = match (meant, text.to_ascii_lowercase().as_str()) {
            (Some(value), _) => format!("take it out of the quotes: `{value}`"),
            (None, "yes" | "on" | "y" | "1") => "write `true`".to_owned(),
            (None, "no" | "off" | "n" | "0") => "write `false`".to_owned(),
            _ => "write `true` or `false`".to_owned(),
        };
        let message = match meant {
            Some(_) => format!("{} is text, not a boolean", self.name()),
            None => format!("{} is neither `true` nor `false`: {}", self.name(), quoted(text)),
        };
        self.report(self.fault("P0104", message).help(help));
        None
    }

    /// Reads a whole number in a range.
    pub fn whole(self, range: RangeInclusive<u64>) -> Option<u64> {
        let (text, style) = self.scalar("a whole number")?;
        let Some(number) = units::whole(text).filter(|_| style == Style::Plain) else {
            let problem = if style != Style::Plain && units::whole(text).is_some() {
                self.fault("P0104", format!("{} is text, not a number", self.name())).help("take it out of the quotes")
            } else {
                self.fault("P0104", format!("{} is not a whole number: {}", self.name(), quoted(text)))
                    .help("write digits only")
            };
            self.report(problem);
            return None;
        };
        self.in_range(number, &range, u64::to_string)
    }

    /// Reads a whole number in a range that may be below zero.
    pub fn signed(self, range: RangeInclusive<i64>) -> Option<i64> {
        let example = "a number such as 3 or -3";
        let number = self.parsed("a whole number", example, units::signed)?;
        self.in_range(number, &range, i64::to_string)
    }

    /// Reads a time such as `800ms`, `3s`, `5m`, `24h` or `7d`, in a range.
    pub fn duration(self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let span = self.parsed("a time", "`800ms`, `3s`, `5m` or `24h`", units::duration)?;
        self.in_range(span, &range, |span| units::shown_duration(*span))
    }

    /// Reads a size such as `64KiB`, in bytes, in a range.
    pub fn bytes(self, range: RangeInclusive<usize>) -> Option<usize> {
        let size = self.parsed("a size", "`512B`, `64KiB` or `2MiB`", units::bytes)?;
        self.in_range(size, &range, |size| units::shown_bytes(*size))
    }

    /// Reads a rate such as `50/s` or `10000/day`.
    pub fn rate(self) -> Option<Rate> {
        self.parsed("a rate", "`50/s`, `100/min` or `10000/day`", units::rate)
    }

    /// Reads a number of calls in a window of the calendar, such as `2000/minute`.
    pub fn quota(self) -> Option<Quota> {
        self.parsed(
            "a number of calls in a window",
            "`2000/minute` (a second, minute, hour, day or month) or `{most: 100, rolling: 10m}`",
            units::quota,
        )
    }

    /// Reads hours of a day such as `06:00-24:00`, in minutes since midnight.
    pub fn hours(self) -> Option<(u16, u16)> {
        // No backtick first, as for a day.
        self.parsed("a time of the day", "06:00-24:00 (from and until, in Kazakhstan)", units::hours)
    }

    /// Reads the name of a header, in small letters.
    pub fn header(self) -> Option<&'n str> {
        let (text, _) = self.scalar("the name of a header")?;
        self.parsed("the name of a header", "x-payer-id (in small letters)", |text| units::header(text).map(|_| ()))?;
        Some(text)
    }

    /// Reads an amount such as `250000 KZT`.
    pub fn money(self) -> Option<Money> {
        self.parsed("an amount of money", "`250000 KZT` or `0.50 KZT`", units::money)
    }

    /// Reads a day `YYYY-MM-DD` as its first instant in UTC.
    pub fn date(self) -> Option<Timestamp> {
        // No backtick first: a bare number here is no amount that lacks a unit.
        self.parsed("a day of the calendar", "2027-06-30 (year, month, day)", Timestamp::from_date)
    }

    /// Reads one of a few words.
    pub fn choice<T: Clone>(self, choices: &[(&str, T)]) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| *word);
        self.one_of(words, |text| choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone()))
    }

    /// Reads where a secret is kept; a secret written out is refused and never shown.
    pub fn secret_reference(self) -> Option<SecretReference> {
        let (text, _) = self.scalar("a reference to a secret")?;
        let found = SecretReference::parse(text);
        if found.is_none() {
            // At the key: the value may be the secret itself.
            self.report(
                Problem::error("P0109", self.key_place(), format!("{} is not a reference to a secret", self.name()))
                    .label("secrets never stand in a file of configuration")
                    .help("write `secret:file:/path/to/file` or `secret:env:NAME`; a secret that stood here should be changed"),
            );
        }
        found
    }

    /// Reports that this value names something that does not exist, with the one that was probably meant.
    pub fn unknown<'k>(self, code: &'static str, what: &str, text: &str, known: impl Iterator<Item = &'k str> + Clone) {
        if self.is_past_telling() {
            return;
        }
        let help = match did_you_mean(text, known.clone()) {
            Some(word) => format!("did you mean `{word}`?"),
            None if known.clone().next().is_none() => format!("no {what} is defined"),
            None => format!("known: {}", listed(known)),
        };
        self.report(self.fault(code, format!("unknown {what} {}", quoted(text))).label("not defined").help(help));
    }

    /// Reports that it is of another kind than expected; always `None`.
    pub fn wrong_kind<T>(self, expected: &str, help: &str) -> Option<T> {
        let found = self.node.kind();
        let mut problem = if found == "nothing" {
            self.fault("P0103", format!("{} has no value", self.name())).label(format!("{expected} belongs here"))
        } else {
            self.fault("P0103", format!("{} is not {expected}", self.name())).label(format!("this is {found}"))
        };
        if !help.is_empty() {
            problem = problem.help(help);
        }
        self.report(problem);
        None
    }

    fn open(self, expected: &str) -> Option<Fields<'n>> {
        match &self.node.content {
            Content::Mapping(entries) => Some(Fields { owner: self, entries, table: None, meant: Vec::new() }),
            Content::Empty => Some(Fields { owner: self, entries: &[], table: None, meant: Vec::new() }),
            _ => self.wrong_kind(expected, "write `key: value` lines, indented by two"),
        }
    }

    fn one_of<'k, W: Iterator<Item = &'k str>, T>(
        self,
        words: impl Fn() -> W,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (text, _) = self.scalar(&format!("one of {}", listed(words())))?;
        let found = read(text);
        if found.is_none() && !self.is_past_telling() {
            let help = did_you_mean(text, words())
                .map_or_else(|| format!("known: {}", listed(words())), |word| format!("did you mean `{word}`?"));
            self.report(
                self.fault("P0106", format!("{} cannot be {}", self.name(), quoted(text)))
                    .label("not a word that is known here")
                    .help(help),
            );
        }
        found
    }

    fn item_kind(self) -> Option<&'static Kind> {
        match self.kind {
            Some(Kind::List(kind) | Kind::OneOrMore(kind)) => Some(kind),
            _ => None,
        }
    }

    fn scalar(self, expected: &str) -> Option<(&'n str, Style)> {
        match &self.node.content {
            Content::Scalar { text, style } if !(*style == Style::Plain && is_null(text)) => Some((text, *style)),
            _ => self.wrong_kind(expected, ""),
        }
    }

    fn in_range<T: PartialOrd>(self, value: T, range: &RangeInclusive<T>, shown: impl Fn(&T) -> String) -> Option<T> {
        if range.contains(&value) {
            return Some(value);
        }
        let side = if value < *range.start() { "small" } else { "large" };
        self.report(self.fault("P0105", format!("{} is too {side}", self.name())).label(format!(
            "from {} to {}",
            shown(range.start()),
            shown(range.end())
        )));
        None
    }

    // Returns the known key that was probably meant; `later` are keys that mean nothing yet, and what they will say.
    fn refuse_unknown<'k>(
        self,
        key: &Key,
        known: impl Iterator<Item = &'k str> + Clone,
        later: &[(&str, &str)],
    ) -> Option<String> {
        if known.clone().any(|name| name == key.text) {
            return None;
        }
        let soon = later.iter().find(|(name, _)| *name == key.text).map(|(_, help)| *help);
        let guess = soon.is_none() && !self.is_past_telling();
        let meant = if guess { did_you_mean(&key.text, known.clone()) } else { None };
        let help = match (soon, meant) {
            (Some(help), _) => help.to_owned(),
            (None, Some(word)) => format!("did you mean `{word}`?"),
            (None, None) if known.clone().next().is_none() => "no key is known here".to_owned(),
            (None, None) => format!("known here: {}", listed(known)),
        };
        let owner = if self.top { "at the top of the file".to_owned() } else { format!("in {}", self.name()) };
        self.report(
            Problem::error("P0101", &key.place, format!("unknown key {} {owner}", quoted(&key.text)))
                .label("not a key that is known here")
                .help(help),
        );
        meant.map(str::to_owned)
    }
}

impl<'n> Fields<'n> {
    /// Returns the value of a key, or reports that the key is missing.
    #[must_use]
    pub fn required(&self, name: &str) -> Option<Value<'n>> {
        let found = self.optional(name);
        if found.is_none() && !self.may_have(name) {
            let problem =
                Problem::error("P0102", self.owner.key_place(), format!("{} has no `{name}`", self.owner.name()))
                    .label(format!("`{name}` is missing in here"));
            self.owner.report(problem);
        }
        found
    }

    /// Tells whether a key that is not there was probably written: misspelt, or by a key that was refused.
    #[must_use]
    pub fn may_have(&self, name: &str) -> bool {
        self.owner.node.lost || self.meant.iter().any(|meant| meant == name)
    }

    /// Returns the value of a key that may be left out.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<Value<'n>> {
        self.entries.iter().find(|entry| entry.key.text == name).map(|entry| self.value(entry))
    }

    /// Returns the mapping as a value.
    #[must_use]
    pub fn owner(&self) -> Value<'n> {
        self.owner
    }

    fn value(&self, entry: &'n Entry) -> Value<'n> {
        let kind = self.table.and_then(|table| table.field(&entry.key.text)).map(|field| &field.kind);
        Value { node: &entry.value, key: Some(&entry.key), list: None, top: false, kind, faults: self.owner.faults }
    }
}

// The booleans of YAML 1.2 (core schema, 10.3.2); `yes` and `on` are text there.
fn boolean_of(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}
