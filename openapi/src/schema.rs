//! Schemas of OpenAPI 3.0 as JSON Schema.
//!
//! OpenAPI 3.0 is draft 5 with words of its own; draft 4 has the same meaning for everything kept here (`exclusiveMinimum`
//! is a boolean, what stands beside `$ref` is ignored). A keyword that would be lost on the way is a fault: a rule that
//! is silently not checked is worse than none. References stay references into `components`, so recursion works. Everything
//! is compiled at load. Must never see a request.

use crate::document::{Kind, Node};
use crate::fault::Faults;
use crate::format;
use jsonschema::{Draft, PatternOptions, ValidationOptions, Validator};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The largest compiled pattern, in bytes: a repetition of repetitions must not eat the memory of the gateway.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// Where schemas that have a name live.
const COMPONENTS: &str = "#/components/schemas/";

/// Keywords that mean the same in both languages and hold no schema.
const KEPT: [&str; 15] = [
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "uniqueItems",
    "maxProperties",
    "minProperties",
    "required",
    "enum",
    "pattern",
];

/// Keywords that speak to readers only, or that are read together with others.
const SILENT: [&str; 11] = [
    "title",
    "description",
    "default",
    "example",
    "externalDocs",
    "xml",
    "deprecated",
    "discriminator",
    "readOnly",
    "writeOnly",
    "nullable",
];

/// Formats that are checked, here or by the validator, and those that say nothing about validity.
const FORMATS: [&str; 16] = [
    "uuid",
    "date",
    "date-time",
    "byte",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "int32",
    "int64",
    "float",
    "double",
    "binary",
    "password",
    "regex",
];

const TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "array", "object"];

/// The named schemas of one document, ready to be referred to.
#[derive(Debug)]
pub(crate) struct Schemas {
    named: BTreeMap<String, Translated>,
}

/// A schema in JSON Schema's words, and the named ones it refers to.
#[derive(Debug, Default)]
struct Translated {
    value: Value,
    refers: BTreeSet<String>,
    /// Those that judge the same value as this one: a circle of them would never end.
    in_place: BTreeSet<String>,
}

impl Schemas {
    /// Reads all of `components/schemas`, used or not.
    pub(crate) fn read(root: &Node, faults: &mut Faults) -> Schemas {
        let entries = root
            .get("components")
            .and_then(|components| components.get("schemas"))
            .map_or(&[][..], Node::entries);
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let mut named = BTreeMap::new();
        for entry in entries {
            if !is_component_name(&entry.key) {
                faults.add(
                    entry.mark,
                    "a component is named with letters, digits, `.`, `-` and `_`",
                );
            }
            named.insert(entry.key.clone(), translate(&entry.value, &names, faults));
        }
        let schemas = Schemas { named };
        for entry in entries {
            if schemas.returns_to(&entry.key) {
                faults.add(
                    entry.mark,
                    format!("the schema `{}` is defined by itself", entry.key),
                );
            }
        }
        schemas
    }

    /// Complains about a schema that nothing checks against yet.
    pub(crate) fn check(&self, node: &Node, faults: &mut Faults) {
        translate(node, &self.names(), faults);
    }

    /// Compiles one schema with all it refers to.
    pub(crate) fn validator(&self, node: &Node, faults: &mut Faults) -> Option<Validator> {
        let translated = translate(node, &self.names(), faults);
        let mut needed = BTreeSet::new();
        let mut waiting: Vec<&str> = translated.refers.iter().map(String::as_str).collect();
        while let Some(name) = waiting.pop() {
            if needed.insert(name) {
                waiting.extend(
                    self.named
                        .get(name)
                        .into_iter()
                        .flat_map(|schema| schema.refers.iter().map(String::as_str)),
                );
            }
        }
        if needed.iter().any(|name| self.returns_to(name)) {
            // Already a fault; the validator would follow the circle without end.
            return None;
        }
        let named: Map<String, Value> = needed
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.named.get(name)?.value.clone())))
            .collect();
        // Inside `allOf` a reference keeps its meaning, beside `components` it would lose it.
        let whole = json!({ "allOf": [translated.value], "components": { "schemas": named } });
        match options().build(&whole) {
            Ok(validator) => Some(validator),
            Err(error) => {
                faults.add(node.mark(), format!("the schema cannot be used: {error}"));
                None
            }
        }
    }

    fn names(&self) -> BTreeSet<&str> {
        self.named.keys().map(String::as_str).collect()
    }

    fn returns_to(&self, start: &str) -> bool {
        let in_place = |name: &str| {
            self.named
                .get(name)
                .into_iter()
                .flat_map(|schema| schema.in_place.iter().map(String::as_str))
        };
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<&str> = in_place(start).collect();
        while let Some(name) = waiting.pop() {
            if name == start {
                return true;
            }
            if seen.insert(name) {
                waiting.extend(in_place(name));
            }
        }
        false
    }
}

/// The name a schema reference points to, if it is one of ours.
pub(crate) fn component_name(reference: &str) -> Option<&str> {
    reference
        .strip_prefix(COMPONENTS)
        .filter(|name| is_component_name(name))
}

fn is_component_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn options() -> ValidationOptions<'static> {
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .offline()
        .should_validate_formats(true)
        // The linear engine: with a backtracking one, a client could choose how long a pattern runs.
        .with_pattern_options(
            PatternOptions::regex()
                .size_limit(PATTERN_BYTES_MAX)
                .dfa_size_limit(PATTERN_BYTES_MAX),
        )
        .with_format("uuid", format::is_uuid)
        .with_format("date", format::is_date)
        .with_format("date-time", format::is_date_time)
        .with_format("byte", format::is_base64)
}

fn translate(node: &Node, names: &BTreeSet<&str>, faults: &mut Faults) -> Translated {
    let mut translation = Translation {
        names,
        faults,
        refers: BTreeSet::new(),
        in_place: BTreeSet::new(),
    };
    let value = translation.schema(node, true);
    let Translation {
        refers, in_place, ..
    } = translation;
    // The meta-schema sees what is still wrong, by a pointer that is nearly the same in both languages.
    if let Err(error) = jsonschema::draft4::meta::validate(&value) {
        let place = node.nearest(error.instance_path().as_str()).mark();
        faults.add_unless_known(place, format!("not a schema: {error}"));
    }
    Translated {
        value,
        refers,
        in_place,
    }
}

struct Translation<'t> {
    names: &'t BTreeSet<&'t str>,
    faults: &'t mut Faults,
    refers: BTreeSet<String>,
    in_place: BTreeSet<String>,
}

impl Translation<'_> {
    /// `here` is true while the schema judges the value the whole one judges.
    fn schema(&mut self, node: &Node, here: bool) -> Value {
        let Kind::Map(entries) = node.kind() else {
            self.faults.add(node.mark(), "a schema is a map");
            return json!({});
        };
        if let Some(reference) = node.get("$ref") {
            return self.reference(reference, here);
        }
        let mut out = Map::new();
        for entry in entries {
            let (key, value) = (entry.key.as_str(), &entry.value);
            let translated = match key {
                "type" => self.kind(value),
                "format" => self.format(value),
                "properties" => self.properties(value),
                "items" => Some(self.schema(value, false)),
                "additionalProperties" if value.boolean().is_some() => Some(value.to_value()),
                "additionalProperties" => Some(self.schema(value, false)),
                "allOf" | "anyOf" | "oneOf" => self.alternatives(value, here),
                "not" => Some(self.schema(value, here)),
                "pattern" => self.pattern(value),
                _ if KEPT.contains(&key) => Some(value.to_value()),
                _ if SILENT.contains(&key) || key.starts_with("x-") => None,
                _ => {
                    self.faults.add_with_help(
                        entry.mark,
                        format!("`{key}` is not a schema keyword of OpenAPI 3.0"),
                        "an unknown rule would not be checked: remove it or say it with another keyword",
                    );
                    None
                }
            };
            if let Some(translated) = translated {
                out.insert(key.to_owned(), translated);
            }
        }
        if node.get("type").and_then(Node::text) == Some("array") && node.get("items").is_none() {
            self.faults.add(node.mark(), "an array needs `items`");
        }
        without_read_only(node, &mut out);
        with_integer_width(&mut out);
        with_null(node, &mut out);
        Value::Object(out)
    }

    fn reference(&mut self, node: &Node, here: bool) -> Value {
        let Some(text) = node.text() else {
            self.faults.add(node.mark(), "`$ref` is a text");
            return json!({});
        };
        match component_name(text).filter(|name| self.names.contains(name)) {
            Some(name) => {
                self.refers.insert(name.to_owned());
                if here {
                    self.in_place.insert(name.to_owned());
                }
                json!({ "$ref": text })
            }
            None => {
                self.faults.add_with_help(
                    node.mark(),
                    format!("no schema at `{text}`"),
                    "schemas are referred to as `#/components/schemas/NAME`",
                );
                json!({})
            }
        }
    }

    fn kind(&mut self, node: &Node) -> Option<Value> {
        match node.text() {
            Some(text) if TYPES.contains(&text) => Some(json!(text)),
            _ => {
                self.faults.add(
                    node.mark(),
                    format!("a type is one of {}", TYPES.join(", ")),
                );
                None
            }
        }
    }

    fn format(&mut self, node: &Node) -> Option<Value> {
        match node.text() {
            Some(text) if FORMATS.contains(&text) => Some(json!(text)),
            _ => {
                self.faults.add_with_help(
                    node.mark(),
                    format!("a format is one of {}", FORMATS.join(", ")),
                    "an unknown format would not be checked: use `pattern`",
                );
                None
            }
        }
    }

    fn pattern(&mut self, node: &Node) -> Option<Value> {
        let Some(text) = node.text() else {
            self.faults.add(node.mark(), "a pattern is a text");
            return None;
        };
        if options().build(&json!({ "pattern": text })).is_err() {
            self.faults.add_with_help(
                node.mark(),
                "the pattern cannot be used",
                "patterns run in linear time: no look-around, no back-references, no huge repetitions",
            );
            return None;
        }
        Some(json!(text))
    }

    fn properties(&mut self, node: &Node) -> Option<Value> {
        let Kind::Map(entries) = node.kind() else {
            self.faults
                .add(node.mark(), "`properties` is a map of schemas");
            return None;
        };
        Some(Value::Object(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), self.schema(&entry.value, false)))
                .collect(),
        ))
    }

    fn alternatives(&mut self, node: &Node, here: bool) -> Option<Value> {
        if node.items().is_empty() {
            self.faults
                .add(node.mark(), "a list of at least one schema is needed");
            return None;
        }
        Some(Value::Array(
            node.items()
                .iter()
                .map(|item| self.schema(item, here))
                .collect(),
        ))
    }
}

/// What only the server writes cannot be required of a client (OpenAPI 3.0.3, `readOnly`).
fn without_read_only(node: &Node, out: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = out.get_mut("required") else {
        return;
    };
    let before = required.len();
    required.retain(|name| {
        let property = name
            .as_str()
            .and_then(|name| node.get("properties")?.get(name));
        property
            .and_then(|schema| schema.get("readOnly"))
            .and_then(Node::boolean)
            != Some(true)
    });
    if required.is_empty() && before > 0 {
        out.remove("required");
    }
}

/// `int32` is a rule in OpenAPI and none in JSON Schema.
fn with_integer_width(out: &mut Map<String, Value>) {
    if out.get("type").and_then(Value::as_str) == Some("integer")
        && out.get("format").and_then(Value::as_str) == Some("int32")
    {
        out.entry("minimum").or_insert(json!(i32::MIN));
        out.entry("maximum").or_insert(json!(i32::MAX));
    }
}

/// `nullable` adds a type to `type`; without one it says nothing (OpenAPI 3.0.3, clarification of `nullable`).
fn with_null(node: &Node, out: &mut Map<String, Value>) {
    if node.get("nullable").and_then(Node::boolean) == Some(true)
        && let Some(kind) = out.get("type").and_then(Value::as_str)
    {
        let kinds = json!([kind, "null"]);
        out.insert("type".to_owned(), kinds);
    }
}
