//! All files that are read together, and how one refers to another.
//!
//! A reference is looked up among the given files only: nothing is fetched, and nothing outside of them can be reached.
//! Must never decide what a file means.

use crate::document::{self, Node};
use crate::fault::{Fault, Faults, Mark, Source};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// The most files of a contract: three times what 673 published documents are.
pub const FILES_MAX: usize = 2_000;

/// The most text of a contract, in bytes: nearly three times what 673 published documents are (48,569,000).
pub const CONTRACT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Endings of files that only examples refer to: they are never read.
const SHOWN: [&str; 8] = ["xml", "xsd", "wsdl", "txt", "csv", "html", "md", "svg"];

const RELATIVE: &str =
    "paths count from the folder of the referring file, and lead to files that are read together with it";

/// The files of one load, by their position.
#[derive(Debug)]
pub(crate) struct Library {
    names: Arc<[String]>,
    files: Vec<File>,
    positions: HashMap<String, u16>,
}

/// One file.
#[derive(Debug)]
struct File {
    path: String,
    root: Option<Node>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    /// Somebody refers to it, other than as an example.
    used: bool,
    /// Somebody shows it as an example.
    shown: bool,
}

/// What a reference leads to.
#[derive(Debug, Clone)]
pub(crate) struct Target<'d> {
    /// The node; its mark knows the file.
    pub(crate) node: &'d Node,
    /// The one name of the place among all files: `FILE#POINTER`.
    pub(crate) name: String,
    /// The pointer within the file.
    pub(crate) pointer: String,
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

impl Library {
    /// Reads every file.
    ///
    /// # Errors
    /// Only where there is more than a contract may hold; what is wrong with a file stays with the file.
    pub(crate) fn read(sources: &[Source]) -> Result<Library, Vec<Fault>> {
        let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
        let beyond = match (sources.len() > FILES_MAX, bytes > CONTRACT_BYTES_MAX) {
            (true, _) => Some(format!("more than {FILES_MAX} files")),
            (_, true) => Some(format!("the files are larger than {CONTRACT_BYTES_MAX} bytes together")),
            _ => None,
        };
        if let (Some(message), Some(source)) = (beyond, sources.last()) {
            return Err(vec![Fault { file: source.name.clone(), line: 1, column: 1, message, help: None }]);
        }
        let names: Arc<[String]> = sources.iter().map(|source| source.name.clone()).collect();
        let mut library = Library { names, files: Vec::new(), positions: HashMap::new() };
        for (position, source) in (0..).zip(sources) {
            library.add(source, position);
        }
        library.note_references();
        Ok(library)
    }

    fn add(&mut self, source: &Source, position: u16) {
        let path = resolved("", &source.name);
        let opaque = source.name.rsplit_once('.').is_some_and(|(_, ending)| SHOWN.contains(&ending));
        let read = if opaque { Ok(None) } else { document::parse_as(source, position).map(Some) };
        let (root, faults) = match read {
            Ok(root) => (root, Vec::new()),
            Err(faults) => (None, faults),
        };
        self.positions.insert(path.clone(), position);
        self.files.push(File { path, root, faults, warnings: Vec::new(), used: false, shown: opaque });
    }

    /// Notes which files others refer to: those need not be contracts themselves.
    fn note_references(&mut self) {
        let (mut used, mut shown) = (Vec::new(), Vec::new());
        for (own, file) in (0..).zip(&self.files) {
            let Some(root) = &file.root else { continue };
            each_reference(root, false, &mut |text, as_example| {
                let position = file_of(text).and_then(|path| self.positions.get(&resolved(&file.path, &path)));
                // One that refers to itself is still nobody else's part.
                if let Some(position) = position.filter(|position| **position != own) {
                    if as_example { shown.push(*position) } else { used.push(*position) }
                }
            });
        }
        for (list, mark) in [(used, true), (shown, false)] {
            for position in list {
                if let Some(file) = self.files.get_mut(usize::from(position)) {
                    file.used |= mark;
                    file.shown |= !mark;
                }
            }
        }
    }

    /// The names of all files, by position.
    pub(crate) fn names(&self) -> Arc<[String]> {
        Arc::clone(&self.names)
    }

    pub(crate) fn name(&self, file: u16) -> &str {
        self.names.get(usize::from(file)).map_or("", String::as_str)
    }

    /// The files that describe operations, or should: all but those that others only refer to.
    pub(crate) fn documents(&self) -> impl Iterator<Item = u16> {
        (0..).zip(&self.files).filter(|(_, file)| file.is_document()).map(|(position, _)| position)
    }

    /// Tells whether a file describes operations, or should.
    pub(crate) fn is_document(&self, file: u16) -> bool {
        self.files.get(usize::from(file)).is_some_and(File::is_document)
    }

    pub(crate) fn root(&self, file: u16) -> Option<&Node> {
        self.files.get(usize::from(file))?.root.as_ref()
    }

    pub(crate) fn root_mut(&mut self, file: u16) -> Option<&mut Node> {
        self.files.get_mut(usize::from(file))?.root.as_mut()
    }

    /// Adds what was found in a file before anything was made of it.
    pub(crate) fn note(&mut self, file: u16, faults: Faults) {
        if let Some(file) = self.files.get_mut(usize::from(file)) {
            let (mut found, mut warnings) = faults.into_parts();
            file.faults.append(&mut found);
            file.warnings.append(&mut warnings);
        }
    }

    /// What was found in a file before anything was made of it.
    pub(crate) fn faults(&self, file: u16) -> (&[Fault], &[Fault]) {
        self.files.get(usize::from(file)).map_or((&[], &[]), |file| (&file.faults, &file.warnings))
    }

    /// The file a reference leads to from another one, where it is not the same.
    pub(crate) fn other_file(&self, from: u16, text: &str) -> Option<u16> {
        let path = file_of(text)?;
        let here = self.files.get(usize::from(from))?;
        self.positions.get(&resolved(&here.path, &path)).copied()
    }

    /// Follows one reference.
    ///
    /// `from` is any node of the file in which the reference stands.
    ///
    /// # Errors
    /// Where it leads nowhere, why.
    pub(crate) fn find(&self, from: &Node, text: &str) -> Result<Target<'_>, Lost> {
        let lost = |message: String, help| Lost { message, help };
        let Mark { file: here, .. } = from.mark();
        if has_scheme(text) || text.starts_with('/') {
            return Err(lost(format!("`{text}` leads away from the contracts"), "nothing is fetched over the network"));
        }
        let file = match file_of(text) {
            None => here,
            Some(path) => self
                .other_file(here, text)
                .ok_or_else(|| lost(format!("no file `{path}` among the contracts"), RELATIVE))?,
        };
        let pointer = text.split_once('#').map(|(_, pointer)| unescaped(pointer)).unwrap_or_default();
        let pointer = if pointer == "/" { Cow::Borrowed("") } else { pointer };
        let Some(root) = self.root(file) else {
            return Err(lost(format!("the file of `{text}` cannot be read"), "mend that file first"));
        };
        let name = self.name(file);
        match root.pointed(&pointer) {
            Some(node) if !(pointer.is_empty() && self.is_document(file)) => {
                Ok(Target { node, name: format!("{name}#{pointer}"), pointer: pointer.into_owned() })
            }
            _ => Err(lost(
                format!("nothing at `{text}`"),
                "a reference is `#/components/KIND/NAME`, or `FILE#/components/KIND/NAME`",
            )),
        }
    }
}

impl File {
    fn is_document(&self) -> bool {
        match &self.root {
            Some(root) if root.get("openapi").is_some() || root.get("swagger").is_some() => true,
            // Broken, or a contract without its first line, or a part that nobody refers to: its reader tells which.
            Some(_) => !self.used && !self.shown,
            // A broken file counts unless it is only shown: its faults must be told.
            None => self.used || !self.shown,
        }
    }
}

/// The files a text refers to, other than as examples, as they are named from where `name` is.
///
/// For whoever reads files: what leads away from the file's own folder is not named.
pub fn files_named(source: &Source) -> Vec<String> {
    let Ok(root) = document::parse_as(source, 0) else {
        return Vec::new();
    };
    let here = resolved("", &source.name);
    let mut found = Vec::new();
    each_reference(&root, false, &mut |text, as_example| {
        if let Some(path) = file_of(text).filter(|_| !as_example && !has_scheme(text) && !text.starts_with('/')) {
            let path = resolved(&here, &path);
            if !found.contains(&path) {
                found.push(path);
            }
        }
    });
    found
}

/// Calls `visit` for every reference below a node, and whether it stands in an example.
fn each_reference(node: &Node, as_example: bool, visit: &mut dyn FnMut(&str, bool)) {
    for entry in node.entries() {
        match entry.value.text() {
            Some(text) if entry.key == "$ref" => visit(text, as_example),
            Some(text) if entry.key == "externalValue" => visit(text, true),
            Some(_) => {}
            None => each_reference(&entry.value, as_example || is_shown(&entry.key), visit),
        }
    }
    for item in node.items() {
        each_reference(item, as_example, visit);
    }
}

/// Keys whose values are shown to readers, and nothing else.
pub(crate) fn is_shown(key: &str) -> bool {
    key.starts_with("x-") || matches!(key, "example" | "examples" | "enum" | "default")
}

/// The file's part of a reference, escapes written out; none where it stays in its own file.
fn file_of(text: &str) -> Option<Cow<'_, str>> {
    let path = text.split_once('#').map_or(text, |(path, _)| path);
    (!path.is_empty()).then(|| unescaped(path))
}

/// `http:`, `file:`, `urn:` and their like.
fn has_scheme(text: &str) -> bool {
    let path = text.split(['#', '/']).next().unwrap_or_default();
    path.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty()) || text.starts_with("//")
}

/// The path of a file as seen from another one, without `.` and with `..` taken back where that can be.
fn resolved(from: &str, path: &str) -> String {
    let (root, mut parts) = match from.rsplit_once('/') {
        Some((folder, _)) => (folder.starts_with('/'), folder.split('/').collect::<Vec<_>>()),
        None => (path.starts_with('/'), Vec::new()),
    };
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "")) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.retain(|part| !part.is_empty());
    format!("{}{}", if root { "/" } else { "" }, parts.join("/"))
}

/// Writes out the `%XX` of a reference; what is no escape stays.
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = match tail {
            [high, low, ..] if *first == b'%' => crate::path::hex(*high).zip(crate::path::hex(*low)),
            _ => None,
        };
        match escape {
            Some((high, low)) => {
                bytes.push(high * 16 + low);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}
