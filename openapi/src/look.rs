//! Looking at schemas without judging a value: what a text may be read as, which places a body may have, what a value may
//! look like.
//!
//! Everything is bounded in depth and number, because schemas may contain themselves. Must never decide what is sound.

use crate::document::{Kind as NodeKind, Node};
use crate::schema::Schemas;
use crate::shape::{BodyShape, SHAPE_DEPTH_MAX, SHAPE_FIELDS_MAX, ValueKind};
use crate::style::{Kind, Properties};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How deep alternatives and references are looked into for what a parameter may be.
const KIND_DEPTH_MAX: usize = 8;

/// How deep a value is made up.
const SAMPLE_DEPTH_MAX: usize = 6;

/// The longest text that is made up to be as long as it must be.
const SAMPLE_TEXT_MAX: usize = 256;

impl<'d> Schemas<'d> {
    /// What a parameter's text may be read as.
    pub(crate) fn kind(&self, node: &'d Node) -> Kind {
        self.kind_at(node, 0)
    }

    /// The places of a body.
    pub(crate) fn shape(&self, node: &'d Node) -> BodyShape {
        let mut places = Places { fields: BTreeMap::new(), open: false };
        self.places(node, "", 0, &mut places);
        let fields = places.fields.into_iter().filter(|(pointer, _)| !pointer.is_empty()).collect();
        BodyShape { fields, open: places.open }
    }

    /// A value as the contract shows it, or one made up from the schema.
    pub(crate) fn sample(&self, node: &'d Node) -> Value {
        self.sample_at(node, 0)
    }

    fn kind_at(&self, node: &'d Node, depth: usize) -> Kind {
        let Some(node) = self.resolve(node).filter(|_| depth < KIND_DEPTH_MAX) else {
            return Kind::any_scalar();
        };
        let mut kind = match node.get("type").and_then(Node::text) {
            Some("string") => Kind::only_text(),
            Some("integer") => Kind { integer: true, ..Kind::default() },
            Some("number") => Kind { number: true, ..Kind::default() },
            Some("boolean") => Kind { boolean: true, ..Kind::default() },
            Some("array") => {
                let items = node.get("items").map_or_else(Kind::any_scalar, |items| self.kind_at(items, depth + 1));
                return Kind { list: Some(Box::new(items)), ..Kind::default() };
            }
            Some("object") => return self.object(node, depth),
            _ => Kind::default(),
        };
        if kind != Kind::default() {
            return kind;
        }
        for key in ["oneOf", "anyOf"] {
            for item in node.get(key).map_or(&[][..], Node::items) {
                kind.or(self.kind_at(item, depth + 1));
            }
        }
        if kind == Kind::default() {
            let all = node.get("allOf").map_or(&[][..], Node::items).iter();
            let stated = all.map(|item| self.kind_at(item, depth + 1)).filter(|kind| *kind != Kind::any_scalar());
            kind = stated.reduce(Kind::and).unwrap_or_default();
        }
        if kind == Kind::default() && (node.get("properties").is_some() || node.get("additionalProperties").is_some()) {
            return self.object(node, depth);
        }
        if kind == Kind::default() { Kind::any_scalar() } else { kind }
    }

    fn object(&self, node: &'d Node, depth: usize) -> Kind {
        let mut properties = Properties::default();
        for entry in node.get("properties").map_or(&[][..], Node::entries) {
            properties.named.push((entry.key.clone(), self.kind_at(&entry.value, depth + 1)));
        }
        for item in node.get("allOf").map_or(&[][..], Node::items) {
            if let Some(more) = self.kind_at(item, depth + 1).map {
                properties.named.extend(more.named);
            }
        }
        properties.others = match node.get("additionalProperties").map(Node::kind) {
            Some(NodeKind::Bool(false)) => None,
            Some(NodeKind::Map(_)) => node.get("additionalProperties").map(|schema| self.kind_at(schema, depth + 1)),
            // An object that names its properties and is silent on others: in a query every other name would be its.
            None if !properties.named.is_empty() => None,
            _ => Some(Kind::any_scalar()),
        };
        Kind { map: Some(Box::new(properties)), ..Kind::default() }
    }

    fn places(&self, node: &'d Node, pointer: &str, depth: usize, places: &mut Places) {
        let node = self.resolve(node).filter(|_| depth <= SHAPE_DEPTH_MAX && places.fields.len() <= SHAPE_FIELDS_MAX);
        let Some(node) = node else {
            places.open = true;
            return;
        };
        let properties = node.get("properties").map_or(&[][..], Node::entries);
        let kind = match node.get("type").and_then(Node::text) {
            Some("string") => Some(ValueKind::Text),
            Some("integer") => Some(ValueKind::Integer),
            Some("number") => Some(ValueKind::Number),
            Some("boolean") => Some(ValueKind::Boolean),
            Some("array") => Some(ValueKind::Array),
            Some("object") => Some(ValueKind::Object),
            _ if !properties.is_empty() => Some(ValueKind::Object),
            _ => None,
        };
        let mut branched = false;
        for key in ["allOf", "oneOf", "anyOf"] {
            for item in node.get(key).map_or(&[][..], Node::items) {
                branched = true;
                self.places(item, pointer, depth + 1, places);
            }
        }
        if kind.is_some() || !branched {
            places.note(pointer, kind);
        }
        match kind {
            Some(ValueKind::Object) => {
                let closed = node.get("additionalProperties").and_then(Node::boolean) == Some(false);
                places.open |= !closed;
            }
            None if !branched => places.open = true,
            _ => {}
        }
        for entry in properties {
            let name = entry.key.replace('~', "~0").replace('/', "~1");
            self.places(&entry.value, &format!("{pointer}/{name}"), depth + 1, places);
        }
        if let Some(items) = node.get("items") {
            self.places(items, &format!("{pointer}/*"), depth + 1, places);
        }
    }

    fn sample_at(&self, node: &'d Node, depth: usize) -> Value {
        let Some(node) = self.resolve(node).filter(|_| depth <= SAMPLE_DEPTH_MAX) else {
            return Value::Null;
        };
        if let Some(shown) = node.get("example").or_else(|| node.get("default")) {
            return shown.to_value();
        }
        if let Some(first) = node.get("enum").and_then(|values| values.items().first()) {
            return first.to_value();
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(first) = node.get(key).and_then(|list| list.items().first()) {
                return merged(self.sample_at(first, depth + 1), self.sample_object(node, depth));
            }
        }
        match node.get("type").and_then(Node::text) {
            Some("string") => Value::String(text_sample(node)),
            Some("integer" | "number") => number_sample(node),
            Some("boolean") => json!(true),
            Some("array") => {
                let count = node.get("minItems").and_then(number).map_or(0, |least| least as usize).min(4);
                let item = node.get("items").filter(|_| count > 0).map(|items| self.sample_at(items, depth + 1));
                Value::Array(item.into_iter().cycle().take(count).collect())
            }
            _ => self.sample_object(node, depth),
        }
    }

    /// The required properties, and those that have an example of their own.
    fn sample_object(&self, node: &'d Node, depth: usize) -> Value {
        let mut out = json!({});
        for item in node.get("allOf").map_or(&[][..], Node::items) {
            out = merged(out, self.sample_at(item, depth + 1));
        }
        let required: Vec<&str> =
            node.get("required").map_or(&[][..], Node::items).iter().filter_map(Node::text).collect();
        let mut own = Map::new();
        for entry in node.get("properties").map_or(&[][..], Node::entries) {
            let shown = self.resolve(&entry.value).is_some_and(|schema| schema.get("example").is_some());
            if required.contains(&entry.key.as_str()) || shown {
                own.insert(entry.key.clone(), self.sample_at(&entry.value, depth + 1));
            }
        }
        merged(out, Value::Object(own))
    }
}

struct Places {
    fields: BTreeMap<String, ValueKind>,
    open: bool,
}

impl Places {
    /// Notes a place; one that may have two kinds of value may have any.
    fn note(&mut self, pointer: &str, kind: Option<ValueKind>) {
        let kind = kind.unwrap_or(ValueKind::Any);
        if self.fields.len() > SHAPE_FIELDS_MAX {
            self.open = true;
            return;
        }
        let known = self.fields.entry(pointer.to_owned()).or_insert(kind);
        if *known != kind {
            *known = ValueKind::Any;
        }
    }
}

impl Kind {
    /// Adds what another schema allows as well.
    fn or(&mut self, other: Kind) {
        self.text |= other.text;
        self.integer |= other.integer;
        self.number |= other.number;
        self.boolean |= other.boolean;
        self.list = self.list.take().or(other.list);
        self.map = match (self.map.take(), other.map) {
            (Some(mut own), Some(more)) => {
                own.named.extend(more.named);
                own.others = own.others.or(more.others);
                Some(own)
            }
            (own, more) => own.or(more),
        };
    }

    /// Keeps what another schema allows as well.
    fn and(self, other: Kind) -> Kind {
        if self.map.is_some() || other.map.is_some() {
            let mut both = self;
            both.or(other);
            return both;
        }
        Kind {
            text: self.text && other.text,
            // Every integer is a number.
            integer: (self.integer || self.number)
                && (other.integer || other.number)
                && (self.integer || other.integer),
            number: self.number && other.number,
            boolean: self.boolean && other.boolean,
            list: self.list.and(other.list),
            map: None,
        }
    }
}

/// Two samples of one value, where both are objects; else the first that is something.
fn merged(into: Value, from: Value) -> Value {
    match (into, from) {
        (Value::Object(mut into), Value::Object(from)) => {
            into.extend(from);
            Value::Object(into)
        }
        (Value::Null, from) => from,
        (into, _) => into,
    }
}

fn number(node: &Node) -> Option<f64> {
    node.to_value().as_f64()
}

fn number_sample(node: &Node) -> Value {
    let least = node.get("minimum").map(Node::to_value);
    let above = node.get("exclusiveMinimum").and_then(Node::boolean) == Some(true);
    match least {
        Some(least) if above => least.as_i64().map_or(least.clone(), |least| json!(least + 1)),
        Some(least) => least,
        None => json!(node.get("maximum").and_then(number).map_or(1, |most| if most < 1.0 { most as i64 } else { 1 })),
    }
}

fn text_sample(node: &Node) -> String {
    let made = match node.get("format").and_then(Node::text) {
        Some("uuid") => "018f3c1e-0000-7000-8000-000000000000",
        Some("date") => "2026-01-01",
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("time") => "00:00:00Z",
        Some("byte" | "base64url") => "AAAA",
        Some("email") => "a@example.kz",
        Some("hostname") => "example.kz",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("uri" | "uri-reference") => "https://example.kz/",
        _ => {
            let least = node.get("minLength").and_then(number).map_or(1, |least| least as usize);
            return "x".repeat(least.clamp(1, SAMPLE_TEXT_MAX));
        }
    };
    made.to_owned()
}
