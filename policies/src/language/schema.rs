//! The JSON Schema of the language, made from the field tables, for editors that complete and check while one types.
//!
//! Draft-07, since that is what language servers for YAML read best. It is a little wider than the language (an editor
//! cannot look names up in other files), never narrower: what `qaqpa check` takes, it takes. Must never know a rule.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::table::{Field, Kind, Need, Stricter, Table};
use super::tables::FILE;
use super::units::{shown_bytes, shown_duration};

/// Where the schema is found from a file of the shipped set; the hint stands in such a file's first line.
pub const HINT: &str = "# yaml-language-server: $schema=";

/// Returns the schema of a policy file.
#[must_use]
pub fn schema() -> Value {
    schema_of(&FILE)
}

/// Writes the schema as it is committed and shown: indented, with a line feed at its end.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", schema())
}

fn schema_of(root: &'static Table) -> Value {
    let mut definitions = Definitions { found: Vec::new() };
    let mut schema = definitions.mapping(root);
    // Tables that refer to further tables add to the list while it is walked.
    let mut at = 0;
    let mut made = Map::new();
    while let Some((name, table)) = definitions.found.get(at).cloned() {
        let value = definitions.mapping(table);
        made.insert(name, value);
        at += 1;
    }
    set(&mut schema, "$schema", json!("http://json-schema.org/draft-07/schema#"));
    set(&mut schema, "title", json!("Qaqpa policy file, version 1"));
    set(&mut schema, "definitions", Value::Object(made));
    schema
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}

struct Definitions {
    found: Vec<(String, &'static Table)>,
}

impl Definitions {
    fn mapping(&mut self, table: &'static Table) -> Value {
        let mut properties = Map::new();
        for field in table.fields {
            properties.insert(field.name.to_owned(), self.field(field));
        }
        let required: Vec<&str> =
            table.fields.iter().filter(|field| field.need == Need::Required).map(|field| field.name).collect();
        // A mapping that may be empty may also be left out after its key.
        let kind = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
        let mut value = json!({
            "description": table.about, "type": kind, "properties": properties, "additionalProperties": false,
        });
        if !required.is_empty() {
            set(&mut value, "required", json!(required));
        }
        value
    }

    fn field(&mut self, field: &'static Field) -> Value {
        let kind = self.kind(&field.kind);
        // Beside `$ref`, draft-07 looks at nothing.
        let mut value = if kind.get("$ref").is_some() { json!({"allOf": [kind]}) } else { kind };
        let mut about = field.about.to_owned();
        if let Some(more) = bounds(&field.kind) {
            about.push_str(&format!(" {more}"));
        }
        if let Some(more) = strictness(field.stricter) {
            about.push_str(&format!(" {more}"));
        }
        set(&mut value, "description", json!(about));
        if let Need::Default(text) = field.need {
            set(&mut value, "default", default(&field.kind, text));
        }
        value
    }

    fn kind(&mut self, kind: &'static Kind) -> Value {
        let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
        match kind {
            // An editor takes an unquoted `2027` for a number; here it is a text.
            Kind::Text => json!({"type": ["string", "number"]}),
            Kind::Boolean => json!({"type": "boolean"}),
            Kind::Whole(range) => json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}),
            Kind::Signed(range) => json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}),
            Kind::Quota => text("^[1-9][0-9]*/(second|minute|hour|day|month)$"),
            Kind::Hours => text("^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"),
            Kind::Header => text("^[a-z0-9!#$%&'*+.^_`|~-]+$"),
            Kind::Duration(_) => text("^(0|[1-9][0-9]*)(ms|s|m|min|h|d)$"),
            Kind::Bytes(_) => text("^(0|[1-9][0-9]*)(B|KiB|MiB|GiB)$"),
            Kind::Rate => text("^[1-9][0-9]*/(s|m|min|h|d|day)$"),
            Kind::Money => text("^(0|[1-9][0-9]*)(\\.[0-9]{2})? [A-Z]{3}$"),
            Kind::Date => text("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
            Kind::Pointer | Kind::FieldPath => text("^/"),
            Kind::Word(words) => json!({"enum": words}),
            Kind::Name(_) | Kind::Contract(_) => json!({"type": ["string", "number"]}),
            Kind::Secret => text("^secret:(file:.+|env:[A-Za-z0-9_]+)$"),
            Kind::Url => text("^https?://"),
            Kind::Network | Kind::Condition => json!({"type": "string"}),
            Kind::PublicKey => json!({"type": "object", "required": ["kty"]}),
            Kind::Any => json!({}),
            Kind::List(item) => json!({"type": ["array", "null"], "items": self.kind(item)}),
            Kind::OneOrMore(item) => {
                let item = self.kind(item);
                json!({"anyOf": [item, {"type": "array", "items": item}]})
            }
            Kind::Named(item) => json!({"type": ["object", "null"], "additionalProperties": self.kind(item)}),
            Kind::Mapping(table) => json!({"$ref": format!("#/definitions/{}", self.name(table))}),
            Kind::Either(kinds) => json!({"anyOf": kinds.iter().map(|kind| self.kind(kind)).collect::<Vec<_>>()}),
        }
    }

    // Tables are told apart by their address, since two may be called the same.
    fn name(&mut self, table: &'static Table) -> String {
        if let Some((name, _)) = self.found.iter().find(|(_, known)| std::ptr::eq(*known, table)) {
            return name.clone();
        }
        let plain = table.name.replace(' ', "-");
        let taken = self.found.iter().filter(|(_, known)| known.name == table.name).count();
        let name = if taken == 0 { plain } else { format!("{plain}-{}", taken + 1) };
        self.found.push((name.clone(), table));
        name
    }
}

/// Says which values a kind may have, in words.
#[must_use]
pub fn bounds(kind: &Kind) -> Option<String> {
    fn range<T>(range: &RangeInclusive<T>, shown: impl Fn(&T) -> String) -> String {
        format!("From {} to {}.", shown(range.start()), shown(range.end()))
    }
    fn plain<T: Display>(value: &T) -> String {
        value.to_string()
    }
    match kind {
        Kind::Whole(found) => Some(range(found, plain)),
        Kind::Signed(found) => Some(range(found, plain)),
        Kind::Duration(found) => Some(range(found, |span| shown_duration(*span))),
        Kind::Bytes(found) => Some(range(found, |size| shown_bytes(*size))),
        Kind::Name(section) => Some(format!("A name that `{section}` defines.")),
        Kind::List(item) | Kind::OneOrMore(item) | Kind::Named(item) => bounds(item),
        _ => None,
    }
}

/// Says which of two values is the stricter one, in words.
#[must_use]
pub fn strictness(stricter: Stricter) -> Option<&'static str> {
    match stricter {
        Stricter::Neither => None,
        Stricter::Smaller => Some("The smaller, the stricter."),
        Stricter::Larger => Some("The larger, the stricter."),
        Stricter::SmallerOrNone => Some("The smaller, the stricter; left out is stricter still."),
        Stricter::Unsaid => Some("Left out is stricter."),
        Stricter::Fewer => Some("The fewer, the stricter."),
        Stricter::More => Some("The more, the stricter."),
        Stricter::LaterWord => Some("The later a word stands in the list of words, the stricter."),
        Stricter::EarlierWord => Some("The earlier a word stands in the list of words, the stricter."),
        Stricter::NotFirstWord => Some("Any word but the first is stricter."),
        Stricter::True => Some("`true` is stricter."),
        Stricter::False => Some("`false` is stricter."),
    }
}

fn default(kind: &Kind, text: &str) -> Value {
    let list = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match (kind, list) {
        (Kind::List(_) | Kind::OneOrMore(_), Some(items)) => {
            items.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
        }
        (Kind::Boolean | Kind::Whole(_), _) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        _ => json!(text),
    }
}

#[cfg(test)]
mod tests;
