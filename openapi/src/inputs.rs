//! Reading what an operation takes: parameters and request bodies.

use crate::document::{Entry, Node};
use crate::reader::{Reader, is_name};
use crate::validate::{BodyRule, MediaRule, ParameterRule, Place, Scalar, Shape};

impl<'d> Reader<'d> {
    /// The parameters of the path item and the operation; the operation's come first and win.
    pub(crate) fn parameters(&mut self, item: &'d Node, names: &[String], operation: &'d Entry) -> Vec<ParameterRule> {
        let mut rules: Vec<ParameterRule> = Vec::new();
        for list in [&operation.value, item].into_iter().filter_map(|owner| owner.get("parameters")) {
            let mut own: Vec<ParameterRule> = Vec::new();
            for node in list.items() {
                let Some(rule) = self.resolve(node, "parameters").and_then(|node| self.parameter(node)) else {
                    continue;
                };
                if rule.place == Place::Path && !names.contains(&rule.name) {
                    self.faults.add(node.mark(), format!("the path has no `{{{}}}`", rule.name));
                } else if own.iter().any(|other| other.place == rule.place && other.name == rule.name) {
                    self.faults.add(node.mark(), format!("the parameter `{}` is described twice", rule.name));
                } else {
                    own.push(rule);
                }
            }
            own.retain(|rule| !rules.iter().any(|other| other.place == rule.place && other.name == rule.name));
            rules.append(&mut own);
        }
        for name in names {
            if !rules.iter().any(|rule| rule.place == Place::Path && &rule.name == name) {
                self.faults.add(operation.mark, format!("the path parameter `{name}` is not described"));
            }
        }
        rules
    }

    fn parameter(&mut self, node: &'d Node) -> Option<ParameterRule> {
        self.known_keys(
            node,
            &[
                "name",
                "in",
                "description",
                "required",
                "deprecated",
                "style",
                "explode",
                "schema",
                "example",
                "examples",
            ],
        );
        let name = node.get("name").and_then(Node::text).unwrap_or_default();
        let place = self.place(node)?;
        let name = if place == Place::Header { name.to_ascii_lowercase() } else { name.to_owned() };
        // OpenAPI gives these three to other parts of a description and asks to ignore them here.
        if place == Place::Header && matches!(name.as_str(), "accept" | "content-type" | "authorization") {
            return None;
        }
        if !is_name(&name) {
            self.faults.add(
                node.get("name").unwrap_or(node).mark(),
                "a parameter is named with letters, digits, `_`, `-` and `.`",
            );
            return None;
        }
        if let Some(style) = node.get("style").filter(|style| !matches!(style.text(), Some("simple" | "form"))) {
            self.faults.add(style.mark(), "a parameter's style is `simple` or `form`");
        }
        let required = node.get("required").and_then(Node::boolean) == Some(true);
        if place == Place::Path && !required {
            self.faults.add(node.mark(), "a path parameter says `required: true`");
        }
        let Some(schema) = node.get("schema") else {
            self.faults.add(node.mark(), "a parameter needs a `schema`");
            return None;
        };
        let kind = self.scalar(schema)?;
        let validator = self.schemas.validator(schema, &mut self.faults)?;
        Some(ParameterRule { name, place, required, kind, validator })
    }

    fn place(&mut self, node: &Node) -> Option<Place> {
        match node.get("in").and_then(Node::text) {
            Some("path") => Some(Place::Path),
            Some("query") => Some(Place::Query),
            Some("header") => Some(Place::Header),
            _ => {
                self.faults.add(node.get("in").unwrap_or(node).mark(), "a parameter stands in path, query or header");
                None
            }
        }
    }

    fn scalar(&mut self, schema: &'d Node) -> Option<Scalar> {
        let resolved = self.resolve(schema, "schemas")?;
        match resolved.get("type").and_then(Node::text) {
            Some("string") => Some(Scalar::String),
            Some("integer") => Some(Scalar::Integer),
            Some("number") => Some(Scalar::Number),
            Some("boolean") => Some(Scalar::Boolean),
            _ => {
                self.faults.add(schema.mark(), "a parameter's schema has the type string, integer, number or boolean");
                None
            }
        }
    }

    pub(crate) fn body(&mut self, node: &'d Node) -> Option<BodyRule> {
        let node = self.resolve(node, "requestBodies")?;
        self.known_keys(node, &["description", "content", "required"]);
        let required = node.get("required").and_then(Node::boolean) == Some(true);
        let entries = node.get("content").map_or(&[][..], Node::entries);
        if entries.is_empty() {
            self.faults.add(node.mark(), "a request body has at least one media type");
        }
        let mut media: Vec<MediaRule> = Vec::new();
        for entry in entries {
            if let Some(rule) = self.media_type(entry) {
                if media.iter().any(|other| other.essence == rule.essence) {
                    self.faults.add(entry.mark, "the media type is described twice");
                }
                media.push(rule);
            }
        }
        let opaque = media.iter().filter(|rule| rule.shape == Shape::Opaque).count();
        if opaque > 0 && opaque < media.len() {
            self.faults.add(node.mark(), "a body is either read and checked or streams on: octet-stream stands alone");
        }
        Some(BodyRule { required, media })
    }

    fn media_type(&mut self, entry: &'d Entry) -> Option<MediaRule> {
        self.known_keys(&entry.value, &["schema", "example", "examples"]);
        let essence = entry.key.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let Some(shape) = Shape::of(&essence) else {
            self.faults.add_with_help(
                entry.mark,
                "a request body of this media type cannot be checked",
                "use application/json, application/NAME+json, application/x-www-form-urlencoded, or application/octet-stream",
            );
            return None;
        };
        let Some(schema) = entry.value.get("schema") else {
            self.faults.add(entry.mark, "a request body needs a `schema`");
            return None;
        };
        let validator = self.schemas.validator(schema, &mut self.faults)?;
        Some(MediaRule { essence, shape, validator })
    }
}
