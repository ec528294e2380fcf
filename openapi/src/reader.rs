//! What every part of reading a document needs: its tree, its references and a place for faults.

use crate::document::Node;
use crate::fault::{Faults, Mark, Source};
use crate::schema::{Schemas, component_name};
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of an operation or parameter, in bytes: it stands in policies, logs and metrics.
pub(crate) const NAME_BYTES_MAX: usize = 128;

/// The longest chain of references to one thing.
const REFERENCES_MAX: usize = 8;

/// One document while it is read.
pub(crate) struct Reader<'d> {
    pub(crate) source: &'d Source,
    pub(crate) root: &'d Node,
    pub(crate) schemas: Schemas,
    /// The scopes each security scheme knows; `None` for those without scopes.
    pub(crate) schemes: BTreeMap<String, Option<BTreeSet<String>>>,
    pub(crate) faults: Faults,
}

impl<'d> Reader<'d> {
    /// Follows references into one kind of component.
    pub(crate) fn resolve(&mut self, node: &'d Node, kind: &str) -> Option<&'d Node> {
        let mut current = node;
        for _ in 0..=REFERENCES_MAX {
            let Some(reference) = current.get("$ref") else {
                return Some(current);
            };
            let name = reference
                .text()
                .and_then(|text| text.strip_prefix("#/components/")?.strip_prefix(kind)?.strip_prefix('/'));
            let target = name.and_then(|name| self.root.get("components")?.get(kind)?.get(name));
            let Some(target) = target else {
                self.faults.add(
                    reference.mark(),
                    format!("no entry of `#/components/{kind}` at `{}`", reference.text().unwrap_or_default()),
                );
                return None;
            };
            current = target;
        }
        self.faults.add(node.mark(), format!("more than {REFERENCES_MAX} references one after another"));
        None
    }

    /// Complains about every reference of the document that leads nowhere, used or not.
    pub(crate) fn references(&mut self, node: &Node) {
        for entry in node.entries() {
            if entry.key.starts_with("x-") || matches!(entry.key.as_str(), "example" | "examples" | "enum" | "default")
            {
                continue;
            }
            match entry.value.text() {
                Some(text) if entry.key == "$ref" => self.reference(text, entry.value.mark()),
                _ => self.references(&entry.value),
            }
        }
        for item in node.items() {
            self.references(item);
        }
    }

    fn reference(&mut self, text: &str, mark: Mark) {
        // Schemas speak for themselves, in the words of their own file.
        if component_name(text).is_some() {
            if self.schemas_have(text) {
                return;
            }
            self.faults.add_with_help(
                mark,
                format!("no schema at `{text}`"),
                "schemas are referred to as `#/components/schemas/NAME`",
            );
            return;
        }
        let target = text.strip_prefix('#').map(|pointer| (pointer, self.root.nearest(pointer)));
        let found =
            target.is_some_and(|(pointer, node)| pointer.starts_with("/components/") && self.is_whole(pointer, node));
        if !found {
            self.faults.add_with_help(
                mark,
                format!("nothing at `{text}`"),
                "references lead into `#/components` of the same file",
            );
        }
    }

    fn schemas_have(&self, text: &str) -> bool {
        let name = component_name(text);
        name.is_some_and(|name| {
            self.root.get("components").and_then(|components| components.get("schemas")?.get(name)).is_some()
        })
    }

    fn is_whole(&self, pointer: &str, found: &Node) -> bool {
        let (parent, last) = pointer.rsplit_once('/').unwrap_or_default();
        self.root.nearest(parent).get(last).is_some_and(|node| std::ptr::eq(node, found))
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
}

/// Tells whether a text can be the name of an operation or a parameter.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
