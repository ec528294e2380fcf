//! What every part of reading a document needs: its tree, its references and a place for faults.

use crate::answer::AnswerRule;
use crate::document::{Kind, Node};
use crate::fault::Faults;
use crate::library::{Library, Target, is_shown};
use crate::schema::Schemas;
use crate::shape::BodyShape;
use crate::structure::{self, is_near};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The longest name of an operation or parameter, in bytes: it stands in policies, logs and metrics.
pub(crate) const NAME_BYTES_MAX: usize = 128;

/// The longest chain of references to one thing.
const REFERENCES_MAX: usize = 8;

/// What may stand beside a reference without being lost: words for readers.
const BESIDE: [&str; 9] =
    ["$ref", "summary", "description", "title", "example", "examples", "deprecated", "externalDocs", "default"];

/// One document while it is read.
pub(crate) struct Reader<'d> {
    pub(crate) library: &'d Library,
    pub(crate) root: &'d Node,
    pub(crate) schemas: Schemas<'d>,
    /// The scopes each security scheme knows.
    pub(crate) schemes: BTreeMap<String, Scopes>,
    pub(crate) faults: Faults,
    /// The places in other files whose shape was judged already.
    judged: BTreeSet<String>,
    /// Answers that were read already, by their nodes.
    pub(crate) answers: HashMap<*const Node, Arc<AnswerRule>>,
    /// Places of bodies that were told already, by the nodes of their schemas.
    pub(crate) shapes: HashMap<*const Node, Arc<BodyShape>>,
    /// The places of what nothing is said of.
    pub(crate) open: Arc<BodyShape>,
}

/// The scopes a security scheme knows.
#[derive(Debug, Clone)]
pub(crate) enum Scopes {
    /// It has none.
    None,
    /// Those that the contract lists.
    Listed(BTreeSet<String>),
    /// Those that are published elsewhere.
    Any,
}

impl<'d> Reader<'d> {
    pub(crate) fn new(library: &'d Library, root: &'d Node, schemas: Schemas<'d>, faults: Faults) -> Self {
        Reader {
            library,
            root,
            schemas,
            schemes: BTreeMap::new(),
            faults,
            judged: BTreeSet::new(),
            answers: HashMap::new(),
            shapes: HashMap::new(),
            open: Arc::new(BodyShape { open: true, ..BodyShape::default() }),
        }
    }

    /// Follows references to one kind of component, over files.
    pub(crate) fn resolve(&mut self, node: &'d Node, kind: &str) -> Option<&'d Node> {
        let mut current = node;
        let mut seen = Vec::new();
        while let Some(reference) = current.get("$ref") {
            let target = self.follow(reference, kind)?;
            if seen.contains(&target.name) {
                self.faults
                    .add(node.mark(), format!("the references from here go round in a circle, over {}", target.name));
                return None;
            }
            if seen.len() >= REFERENCES_MAX {
                self.faults.add(node.mark(), format!("more than {REFERENCES_MAX} references one after another"));
                return None;
            }
            current = target.node;
            seen.push(target.name);
        }
        Some(current)
    }

    fn follow(&mut self, reference: &'d Node, kind: &str) -> Option<Target<'d>> {
        let Some(text) = reference.text() else {
            self.faults.add(reference.mark(), "`$ref` is a text");
            return None;
        };
        let target = match self.library.find(reference, text) {
            Ok(target) => target,
            Err(lost) => {
                self.faults.add_with_help(reference.mark(), lost.message, lost.help);
                return None;
            }
        };
        let other = target.pointer.strip_prefix("/components/").filter(|rest| !rest.starts_with(&format!("{kind}/")));
        if other.is_some() {
            self.faults.add(reference.mark(), format!("no entry of `#/components/{kind}` at `{text}`"));
            return None;
        }
        // What stands in the document itself is judged with it.
        let elsewhere = target.node.mark().file != self.root.mark().file;
        if elsewhere && self.judged.insert(target.name.clone()) {
            structure::check_part(kind, target.node, &mut self.faults);
        }
        Some(target)
    }

    /// Complains about every reference of the document that leads nowhere, used or not, and of the parts it refers to.
    pub(crate) fn references(&mut self) {
        let mut files = vec![self.root.mark().file];
        let mut next = 0;
        while let Some(root) = files.get(next).and_then(|file| self.library.root(*file)) {
            self.references_below(root, &mut files);
            next += 1;
        }
        for part in files.iter().skip(1) {
            self.faults.take_over(self.library.faults(*part));
        }
    }

    fn references_below(&mut self, node: &'d Node, files: &mut Vec<u16>) {
        if let Some(reference) = node.get("$ref").filter(|reference| !matches!(reference.kind(), Kind::Map(_))) {
            self.reference(reference, files);
            self.lost_beside(node);
        }
        for entry in node.entries().iter().filter(|entry| !is_shown(&entry.key)) {
            self.references_below(&entry.value, files);
        }
        for item in node.items() {
            self.references_below(item, files);
        }
    }

    fn reference(&mut self, reference: &'d Node, files: &mut Vec<u16>) {
        let Some(text) = reference.text() else {
            self.faults.add(reference.mark(), "`$ref` is a text");
            return;
        };
        match self.library.find(reference, text) {
            Ok(target) => {
                let file = target.node.mark().file;
                // A document of its own speaks for itself.
                if !self.library.is_document(file) && !files.contains(&file) {
                    files.push(file);
                }
            }
            Err(lost) => self.faults.add_with_help(reference.mark(), lost.message, lost.help),
        }
    }

    /// OpenAPI 3.0 ignores what stands beside a reference; its author should know.
    fn lost_beside(&mut self, node: &Node) {
        for entry in node.entries() {
            if !BESIDE.contains(&entry.key.as_str()) && !entry.key.starts_with("x-") {
                let help = "put the reference into `allOf`, or describe the whole thing here";
                self.faults.warn(entry.mark, format!("`{}` means nothing beside `$ref`", entry.key), help);
            }
        }
    }

    pub(crate) fn known_keys(&mut self, node: &Node, known: &[&str]) {
        for entry in node.entries().iter().filter(|entry| !entry.key.starts_with("x-")) {
            if !known.contains(&entry.key.as_str()) {
                self.faults.add_with_help(
                    entry.mark,
                    format!("`{}` is not known here", entry.key),
                    &format!("known are {}", known.join(", ")),
                );
            }
        }
    }

    /// Like `known_keys` where nothing is lost with a key that no reader knows: only misspelt ones are faults.
    pub(crate) fn likely_keys(&mut self, node: &Node, known: &[&str]) {
        for entry in node.entries().iter().filter(|entry| !entry.key.starts_with("x-")) {
            let key = entry.key.as_str();
            if known.contains(&key) {
                continue;
            }
            match known.iter().find(|known| is_near(known, key)) {
                Some(near) => self.faults.add_with_help(
                    entry.mark,
                    format!("`{key}` is not known here"),
                    &format!("write `{near}`"),
                ),
                None => self.faults.warn(
                    entry.mark,
                    format!("`{key}` means nothing here"),
                    "OpenAPI 3.0 does not know it: remove it, or begin its name with `x-`",
                ),
            }
        }
    }
}

/// Tells whether a text can be the name of an operation or a parameter.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
