//! Reading what an operation takes: parameters and request bodies.

use crate::document::{Entry, Node};
use crate::media::{MediaRange, Reading};
use crate::parameter::{ParameterRule, Place, Spelling};
use crate::reader::{NAME_BYTES_MAX, Reader, is_name};
use crate::schema::Way;
use crate::shape::BodyShape;
use crate::style::{Kind, Properties, Style};
use crate::validate::{BodyRule, MediaRule};
use serde_json::Value;
use std::sync::Arc;

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
                "allowEmptyValue",
                "allowReserved",
                "style",
                "explode",
                "schema",
                "content",
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
        if !can_name(place, &name) {
            self.faults.add(
                node.get("name").unwrap_or(node).mark(),
                format!("a parameter has a name of at most {NAME_BYTES_MAX} bytes that its place can hold"),
            );
            return None;
        }
        let required = node.get("required").and_then(Node::boolean) == Some(true);
        if place == Place::Path && !required {
            self.faults.add(node.mark(), "a path parameter says `required: true`");
        }
        let mut rule = self.value_rule(node, name, place, Way::In)?;
        rule.required = required;
        if required {
            rule.shown = self.shown(node, node.get("schema"));
        }
        if let Some(empty) = node.get("allowEmptyValue").filter(|empty| empty.boolean() == Some(true)) {
            if place != Place::Query {
                self.faults.add(empty.mark(), "`allowEmptyValue` is for query parameters only");
            }
            rule.allow_empty = true;
        }
        Some(rule)
    }

    /// What a parameter or a header says of its value.
    pub(crate) fn value_rule(&mut self, node: &'d Node, name: String, place: Place, way: Way) -> Option<ParameterRule> {
        let (spelling, schema) = match (node.get("schema"), node.get("content")) {
            (Some(schema), None) => (self.spelling(node, place)?, schema),
            (None, Some(content)) => self.content(content)?,
            (None, None) => {
                self.faults.add(node.mark(), "a parameter needs a `schema` or a `content`");
                return None;
            }
            (Some(_), Some(content)) => {
                self.faults.add(content.mark(), "a parameter has either a `schema` or a `content`");
                return None;
            }
        };
        let kind = self.schemas.kind(schema);
        if let Spelling::Styled { style, explode } = spelling
            && let Some(why) = cannot_spell(style, explode, &kind)
        {
            self.faults.add_with_help(
                node.mark(),
                why,
                "describe it as JSON: `content: {application/json: {schema: ..}}`",
            );
            return None;
        }
        let check = self.schemas.check(schema, way, &mut self.faults);
        let shown = Value::Null;
        Some(ParameterRule { name, place, required: false, allow_empty: false, spelling, kind, check, shown })
    }

    fn place(&mut self, node: &Node) -> Option<Place> {
        match node.get("in").and_then(Node::text) {
            Some("path") => Some(Place::Path),
            Some("query") => Some(Place::Query),
            Some("header") => Some(Place::Header),
            Some("cookie") => Some(Place::Cookie),
            _ => {
                let mark = node.get("in").unwrap_or(node).mark();
                self.faults.add(mark, "a parameter stands in path, query, header or cookie");
                None
            }
        }
    }

    fn spelling(&mut self, node: &Node, place: Place) -> Option<Spelling> {
        let (usual, possible): (Style, &[(&str, Style)]) = match place {
            Place::Path => {
                (Style::Simple, &[("simple", Style::Simple), ("label", Style::Label), ("matrix", Style::Matrix)])
            }
            Place::Header => (Style::Simple, &[("simple", Style::Simple)]),
            Place::Cookie => (Style::Form, &[("form", Style::Form)]),
            Place::Query => (
                Style::Form,
                &[
                    ("form", Style::Form),
                    ("spaceDelimited", Style::SpaceDelimited),
                    ("pipeDelimited", Style::PipeDelimited),
                    ("deepObject", Style::DeepObject),
                ],
            ),
        };
        let style = match node.get("style") {
            None => usual,
            Some(named) => match possible.iter().find(|(name, _)| named.text() == Some(name)) {
                Some((_, style)) => *style,
                None => {
                    let names: Vec<&str> = possible.iter().map(|(name, _)| *name).collect();
                    self.faults.add(named.mark(), format!("a parameter's style is here one of {}", names.join(", ")));
                    return None;
                }
            },
        };
        let explode = node.get("explode").and_then(Node::boolean).unwrap_or(style == Style::Form);
        Some(Spelling::Styled { style, explode })
    }

    /// The schema of a value that is described by a media type.
    fn content(&mut self, node: &'d Node) -> Option<(Spelling, &'d Node)> {
        let [entry] = node.entries() else {
            self.faults.add(node.mark(), "a parameter's `content` has exactly one media type");
            return None;
        };
        let Some(schema) = entry.value.get("schema") else {
            self.faults.add(entry.mark, "a parameter needs a `schema`");
            return None;
        };
        match MediaRange::parse(&entry.key).and_then(|range| range.reading()) {
            Some(Reading::Json) => Some((Spelling::Json, schema)),
            Some(Reading::Opaque) if entry.key.starts_with("text/") => Some((Spelling::Text, schema)),
            _ => {
                self.faults.add(entry.mark, "a parameter of this media type cannot be checked");
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
        Some(BodyRule { required, media: self.media_types(entries, Way::In) })
    }

    /// The media types of a body.
    pub(crate) fn media_types(&mut self, entries: &'d [Entry], way: Way) -> Vec<MediaRule> {
        let mut media: Vec<MediaRule> = Vec::new();
        for entry in entries {
            if let Some(rule) = self.media_type(entry, way) {
                if media.iter().any(|other| other.range == rule.range) {
                    self.faults.add(entry.mark, "the media type is described twice");
                }
                media.push(rule);
            }
        }
        media
    }

    fn media_type(&mut self, entry: &'d Entry, way: Way) -> Option<MediaRule> {
        self.known_keys(&entry.value, &["schema", "example", "examples", "encoding"]);
        let Some(range) = MediaRange::parse(&entry.key) else {
            self.faults.add_with_help(
                entry.mark,
                "no media type",
                "write `application/json`, `application/*+json`, `image/*`, `*/*` and their like",
            );
            return None;
        };
        let schema = entry.value.get("schema");
        let reading = range.reading();
        if let (Some(Reading::Form), Some(encoding)) = (reading, entry.value.get("encoding")) {
            let help = "fields are read as `style: form, explode: true`";
            self.faults.add_with_help(encoding.mark(), "the `encoding` of a form would not be heeded", help);
        }
        if schema.is_none() && reading != Some(Reading::Opaque) {
            self.faults.warn(entry.mark, "nothing is said of this body: any will do", "give it a `schema`");
        }
        let mut kind = schema.map(|schema| self.schemas.kind(schema)).unwrap_or_default();
        if reading == Some(Reading::Opaque) {
            kind = Kind::default();
        } else {
            let any = Properties { named: Vec::new(), others: Some(Kind::only_text()) };
            kind.map.get_or_insert_with(|| Box::new(any));
        }
        let check = schema.map(|schema| self.schemas.check(schema, way, &mut self.faults));
        let read = reading != Some(Reading::Opaque);
        let shape = match schema {
            Some(schema) if read => self.shape(schema),
            _ => Arc::clone(&self.open),
        };
        let shown = if read { self.shown(&entry.value, schema).to_string() } else { String::new() };
        Some(MediaRule { range, check, kind, shape, shown: shown.into_boxed_str() })
    }

    /// The places of a body, told once for all who refer to a schema.
    fn shape(&mut self, schema: &'d Node) -> Arc<BodyShape> {
        let place = std::ptr::from_ref(self.schemas.resolve(schema).unwrap_or(schema));
        if let Some(known) = self.shapes.get(&place) {
            return Arc::clone(known);
        }
        let shape = Arc::new(self.schemas.shape(schema));
        self.shapes.insert(place, Arc::clone(&shape));
        shape
    }

    /// The value that a parameter or a media type shows, or one made up from the schema.
    fn shown(&mut self, node: &'d Node, schema: Option<&'d Node>) -> Value {
        if let Some(example) = node.get("example") {
            return example.to_value();
        }
        let first = node.get("examples").and_then(|examples| examples.entries().first());
        let first = first.and_then(|entry| self.schemas.resolve(&entry.value)).and_then(|example| example.get("value"));
        match (first, schema) {
            (Some(example), _) => example.to_value(),
            (None, Some(schema)) => self.schemas.sample(schema),
            (None, None) => Value::Null,
        }
    }
}

/// Tells whether a place can hold a parameter of this name.
fn can_name(place: Place, name: &str) -> bool {
    match place {
        Place::Path => is_name(name),
        Place::Header | Place::Cookie => {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(token)
        }
        Place::Query => !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control),
    }
}

/// Why a style cannot spell such values, where it cannot.
fn cannot_spell(style: Style, explode: bool, kind: &Kind) -> Option<&'static str> {
    let nested = |kind: &Kind| !kind.is_scalar();
    // Where each property has pairs of its own, one may be a list.
    let pairs = style == Style::DeepObject || (style == Style::Form && explode);
    let property = |kind: &Kind| match &kind.list {
        Some(items) if pairs && kind.map.is_none() => nested(items),
        _ => nested(kind),
    };
    if kind.list.as_deref().is_some_and(nested) {
        return Some("a style cannot spell lists of lists or of objects");
    }
    if let Some(map) = &kind.map
        && map.named.iter().map(|(_, kind)| kind).chain(&map.others).any(property)
    {
        return Some("a style cannot spell objects of lists or of objects");
    }
    if style == Style::DeepObject && (kind.map.is_none() || kind.list.is_some() || kind.is_scalar()) {
        return Some("`deepObject` spells objects only");
    }
    let delimited = matches!(style, Style::SpaceDelimited | Style::PipeDelimited);
    (delimited && kind.list.is_none() && kind.map.is_none()).then_some("this style spells lists and objects only")
}
