//! What stands where in the files of a policy set: every key by its path, whichever file has it.
//!
//! For who tells people about a set that was compiled: the rulebook knows what applies, this knows the very words and
//! characters. Must never know what applies.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::is_key_set;
use super::document::{self, Content, Node};
use super::outline::{inside, section};
use super::problem::{Faults, Place, Source};
use super::table::{Kind, Table};
use super::tables::FILE;

/// The keys of a set of files.
#[derive(Debug, Default)]
pub struct Written {
    keys: BTreeMap<Vec<String>, Key>,
    // Section and name: what some other key names.
    named: BTreeSet<(&'static str, String)>,
}

#[derive(Debug)]
struct Key {
    place: Place,
    value: Vec<String>,
}

impl Written {
    /// Reads files; one that cannot be read is passed over, for the compiler has told of it.
    #[must_use]
    pub fn of(sources: &[Source]) -> Self {
        let faults = Faults::new();
        let mut written = Self::default();
        for source in sources.iter().filter(|source| !is_key_set(&source.name, source.body())) {
            if let Some(node) = document::parse(source, &faults) {
                written.keys_of(&mut Vec::new(), &node);
                written.names_of(&FILE, &node);
            }
        }
        written
    }

    /// Returns where a key stands.
    #[must_use]
    pub fn place(&self, path: &[&str]) -> Option<&Place> {
        self.key(path).map(|key| &key.place)
    }

    /// Returns a value as it is written, a list item by item; none if the key is not written or holds a mapping.
    #[must_use]
    pub fn value(&self, path: &[&str]) -> Option<&[String]> {
        self.key(path).map(|key| key.value.as_slice()).filter(|value| !value.is_empty())
    }

    /// Goes through the names that a section defines, such as `upstreams`, in alphabetical order.
    pub fn names<'w>(&'w self, section: &'w str) -> impl Iterator<Item = (&'w str, &'w Place)> {
        self.keys.iter().filter_map(move |(path, key)| match path.as_slice() {
            [first, name] if first == section => Some((name.as_str(), &key.place)),
            _ => None,
        })
    }

    /// Tells whether some key names what a section defines.
    #[must_use]
    pub fn is_named(&self, section: &'static str, name: &str) -> bool {
        self.named.contains(&(section, name.to_owned()))
    }

    fn key(&self, path: &[&str]) -> Option<&Key> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        self.keys.get(&path)
    }

    // Bounded by the depth of documents.
    fn keys_of(&mut self, path: &mut Vec<String>, node: &Node) {
        let Content::Mapping(entries) = &node.content else { return };
        for entry in entries {
            path.push(entry.key.text.clone());
            // A section may stand in several files: the first is told.
            self.keys
                .entry(path.clone())
                .or_insert_with(|| Key { place: entry.key.place.clone(), value: items(&entry.value) });
            self.keys_of(path, &entry.value);
            path.pop();
        }
    }

    fn names_of(&mut self, table: &'static Table, node: &Node) {
        let Content::Mapping(entries) = &node.content else { return };
        for entry in entries {
            if let Some(field) = table.field(&entry.key.text) {
                self.names_at(&field.kind, &entry.value);
            }
        }
    }

    fn names_at(&mut self, kind: &'static Kind, node: &Node) {
        match &node.content {
            Content::Empty => {}
            Content::Scalar { text, .. } => {
                if let Some(section) = section(kind) {
                    self.named.insert((section, text.clone()));
                }
            }
            Content::Sequence(items) => {
                for item in items {
                    self.names_at(kind, item);
                }
            }
            Content::Mapping(entries) => match inside(kind) {
                Some(found) if found.named => {
                    for entry in entries {
                        self.names_of(found.table, &entry.value);
                    }
                }
                Some(found) => self.names_of(found.table, node),
                None => {}
            },
        }
    }
}

fn items(node: &Node) -> Vec<String> {
    match &node.content {
        Content::Scalar { text, .. } => vec![text.clone()],
        Content::Sequence(nodes) => nodes.iter().flat_map(items).collect(),
        Content::Empty | Content::Mapping(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn keys_are_found_whichever_file_has_them() {
        let one = "qaqpa: v1\nlimits: {a: {per: client, rate: 1/s, burst: 1}, b: {per: client, rate: 1/s, burst: 1}}\n";
        let two = "qaqpa: v1\nplans:\n  p:\n    limits: [a, {per: client, rate: 2/s, burst: 1}]\nfraud:\n  f: {when: 'true', then: {stepUp: s}}\n";
        let written =
            Written::of(&[Source::new("one.yaml", one), Source::new("two.yaml", two), Source::new("bad.yaml", "[")]);
        let place = written.place(&["fraud", "f", "then", "stepUp"]).unwrap();
        assert_eq!((&*place.file, place.line, place.column), ("two.yaml", 6, 28));
        assert_eq!(written.value(&["fraud", "f", "when"]), Some(["true".to_owned()].as_slice()));
        assert_eq!(written.value(&["fraud", "f"]), None);
        assert_eq!(written.names("limits").map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(written.is_named("limits", "a") && !written.is_named("limits", "b"));
        assert!(written.is_named("stepUp", "s") && !written.is_named("plans", "p"));
    }
}
