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
    /// False where a fault was found: nothing is compiled from it.
    sound: bool,
}

impl Schemas {
    /// Reads all of `components/schemas`, used or not.
    pub(crate) fn read(root: &Node, faults: &mut Faults) -> Schemas {
        let entries =
            root.get("components").and_then(|components| components.get("schemas")).map_or(&[][..], Node::entries);
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let mut named = BTreeMap::new();
        for entry in entries {
            if !is_component_name(&entry.key) {
                faults.add(entry.mark, "a component is named with letters, digits, `.`, `-` and `_`");
            }
            named.insert(entry.key.clone(), translate(&entry.value, &names, faults));
        }
        let mut schemas = Schemas { named };
        let circular: Vec<_> = entries.iter().filter(|entry| schemas.returns_to(&entry.key)).collect();
        for entry in circular {
            faults.add(entry.mark, format!("the schema `{}` is defined by itself", entry.key));
            if let Some(schema) = schemas.named.get_mut(&entry.key) {
                schema.sound = false;
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
                    self.named.get(name).into_iter().flat_map(|schema| schema.refers.iter().map(String::as_str)),
                );
            }
        }
        let usable = |name: &&str| self.named.get(*name).is_some_and(|schema| schema.sound);
        if !translated.sound || !needed.iter().all(usable) {
            // Already told; and the validator would follow a circle without end.
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
        let in_place =
            |name: &str| self.named.get(name).into_iter().flat_map(|schema| schema.in_place.iter().map(String::as_str));
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
    reference.strip_prefix(COMPONENTS).filter(|name| is_component_name(name))
}

fn is_component_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn options() -> ValidationOptions<'static> {
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .offline()
        .should_validate_formats(true)
        // The linear engine: with a backtracking one, a client could choose how long a pattern runs.
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX))
        .with_format("uuid", format::is_uuid)
        .with_format("date", format::is_date)
        .with_format("date-time", format::is_date_time)
        .with_format("byte", format::is_base64)
}

fn translate(node: &Node, names: &BTreeSet<&str>, faults: &mut Faults) -> Translated {
    let before = faults.count();
    let mut translation = Translation { names, faults, refers: BTreeSet::new(), in_place: BTreeSet::new() };
    let value = translation.schema(node, true);
    let Translation { refers, in_place, .. } = translation;
    // The meta-schema sees what is still wrong, by a pointer that is nearly the same in both languages.
    if let Err(error) = jsonschema::draft4::meta::validate(&value) {
        let place = node.nearest(error.instance_path().as_str()).mark();
        faults.add_unless_known(place, format!("not a schema: {error}"));
    }
    Translated { value, refers, in_place, sound: faults.count() == before }
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
                self.faults.add(node.mark(), format!("a type is one of {}", TYPES.join(", ")));
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
            self.faults.add(node.mark(), "`properties` is a map of schemas");
            return None;
        };
        Some(Value::Object(entries.iter().map(|entry| (entry.key.clone(), self.schema(&entry.value, false))).collect()))
    }

    fn alternatives(&mut self, node: &Node, here: bool) -> Option<Value> {
        if node.items().is_empty() {
            self.faults.add(node.mark(), "a list of at least one schema is needed");
            return None;
        }
        Some(Value::Array(node.items().iter().map(|item| self.schema(item, here)).collect()))
    }
}

/// What only the server writes cannot be required of a client (OpenAPI 3.0.3, `readOnly`).
fn without_read_only(node: &Node, out: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = out.get_mut("required") else {
        return;
    };
    let before = required.len();
    required.retain(|name| {
        let property = name.as_str().and_then(|name| node.get("properties")?.get(name));
        property.and_then(|schema| schema.get("readOnly")).and_then(Node::boolean) != Some(true)
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::document::parse;
    use crate::fault::{Fault, Source};

    /// Compiles the schema `Tested` of some component schemas.
    fn compile(schemas: &str) -> Result<Validator, Vec<Fault>> {
        let indented: String = schemas.lines().map(|line| format!("    {line}\n")).collect();
        let text = format!("components:\n  schemas:\n{indented}use: {{$ref: '#/components/schemas/Tested'}}\n");
        let root = parse(&Source { name: "x.yaml".to_owned(), text })?;
        let mut faults = Faults::new("x.yaml");
        let schemas = Schemas::read(&root, &mut faults);
        let validator = schemas.validator(root.get("use").unwrap(), &mut faults);
        let faults = faults.into_found();
        if faults.is_empty() { Ok(validator.unwrap()) } else { Err(faults) }
    }

    /// The place and the text of the only fault; lines count from the first schema, columns without its indentation.
    fn fault(schemas: &str) -> (usize, usize, String) {
        let faults = compile(schemas).unwrap_err();
        let [fault] = faults.as_slice() else { unreachable!("{faults:?}") };
        (fault.line - 2, fault.column - 4, fault.message.clone())
    }

    #[test]
    fn rules_that_would_be_lost_are_refused_where_they_stand() {
        for (schemas, line, column, message) in [
            ("Tested:\n  type: string\n  const: a\n", 3, 3, "`const` is not a schema keyword"),
            ("Tested:\n  type: object\n  patternProperties: {}\n", 3, 3, "`patternProperties` is not"),
            ("Tested: {if: {}, type: string}\n", 1, 10, "`if` is not"),
            ("Tested:\n  maxlength: 3\n", 2, 3, "`maxlength` is not"),
            ("Tested:\n  type: text\n", 2, 9, "a type is one of"),
            ("Tested:\n  type: [string, 'null']\n", 2, 9, "a type is one of"),
            ("Tested:\n  type: string\n  format: uiid\n", 3, 11, "a format is one of"),
            ("Tested:\n  type: array\n", 2, 3, "an array needs `items`"),
            ("Tested:\n  anyOf: []\n", 2, 10, "a list of at least one schema"),
            ("Tested:\n  properties: [a]\n", 2, 15, "`properties` is a map"),
            ("Tested: yes\n", 1, 9, "a schema is a map"),
            ("Tested:\n  items: 3\n", 2, 10, "a schema is a map"),
            ("Tested:\n  maxLength: three\n", 2, 14, "not a schema"),
            ("Tested:\n  maxLength: -1\n", 2, 14, "not a schema"),
            ("Tested:\n  properties:\n    a: {exclusiveMinimum: 3, minimum: 1}\n", 3, 27, "not a schema"),
            ("Tested:\n  required: a\n", 2, 13, "not a schema"),
            ("'Te/sted': {}\nTested: {}\n", 1, 1, "a component is named"),
        ] {
            let (found_line, found_column, found) = fault(schemas);
            assert_eq!((found_line, found_column), (line, column), "{schemas}{found}");
            assert!(found.contains(message), "{found}");
        }
    }

    #[test]
    fn patterns_that_could_run_away_are_refused() {
        for pattern in ["(?=a)b", "^(?!\\s)(.*)(\\S)$", "(a)\\1", "(", "[", "((((a{1000}){1000}){1000}){1000})"] {
            let (line, column, message) = fault(&format!("Tested:\n  type: string\n  pattern: '{pattern}'\n"));
            assert_eq!((line, column), (3, 12), "{pattern}");
            assert_eq!(message, "the pattern cannot be used", "{pattern}");
        }
        assert_eq!(fault("Tested:\n  pattern: 3\n").2, "a pattern is a text");
    }

    #[test]
    fn the_pattern_limit_holds_on_both_sides() {
        // How many bytes a pattern takes is the engine's secret: 1000 repetitions stay below the limit, 1500 do not.
        let sized =
            |count: usize| compile(&format!("Tested:\n  type: string\n  pattern: '(x[^a]{{{count}}}y|zz)+w'\n"));
        assert!(sized(1000).is_ok());
        assert!(sized(1500).is_err());
    }

    #[test]
    fn references_that_lead_nowhere_are_refused() {
        for reference in [
            "'#/components/schemas/Other'",
            "'#/components/parameters/Tested'",
            "'other.yaml#/X'",
            "'https://example.kz/x'",
            "'#'",
            "3",
        ] {
            let (line, column, _) = fault(&format!("Tested:\n  properties:\n    a:\n      $ref: {reference}\n"));
            assert_eq!((line, column), (4, 13), "{reference}");
        }
    }

    #[test]
    fn schemas_that_are_defined_by_themselves_are_refused() {
        for schemas in [
            "Tested: {$ref: '#/components/schemas/Tested'}\n",
            "Tested: {allOf: [{$ref: '#/components/schemas/Tested'}]}\n",
            "Tested: {not: {anyOf: [{oneOf: [{$ref: '#/components/schemas/Tested'}]}]}}\n",
        ] {
            assert_eq!(fault(schemas), (1, 1, "the schema `Tested` is defined by itself".to_owned()));
        }
        let both =
            "Tested: {$ref: '#/components/schemas/Other'}\nOther: {allOf: [{$ref: '#/components/schemas/Tested'}]}\n";
        assert_eq!(compile(both).unwrap_err().len(), 2);
    }

    #[test]
    fn schemas_may_contain_themselves() {
        let tree = compile("Tested:\n  type: object\n  properties:\n    children:\n      type: array\n      items: {$ref: '#/components/schemas/Tested'}\n  additionalProperties: false\n").unwrap();
        assert!(!tree.is_valid(&json!({"children": [{"children": [{"x": 1}]}]})));
        assert!(tree.is_valid(&json!({"children": [{"children": [{}]}]})));
    }

    #[test]
    fn a_schema_may_have_a_property_of_any_name() {
        let schema = compile("Tested:\n  type: object\n  properties:\n    id: {type: string}\n    $ref: {type: integer}\n    const: {type: boolean}\n").unwrap();
        assert!(!schema.is_valid(&json!({"id": 1})));
        assert!(!schema.is_valid(&json!({"const": 1})));
        assert!(!schema.is_valid(&json!({"$ref": "x"})));
        assert!(schema.is_valid(&json!({"id": "a", "$ref": 1, "const": true})));
    }

    #[test]
    fn null_is_refused_unless_it_is_named() {
        let plain = compile("Tested: {type: string}\n").unwrap();
        assert!(!plain.is_valid(&json!(null)));
        let nullable = compile("Tested: {type: string, nullable: true}\n").unwrap();
        assert!(nullable.is_valid(&json!(null)) && nullable.is_valid(&json!("a")) && !nullable.is_valid(&json!(1)));
        let listed = compile("Tested: {type: string, nullable: true, enum: [a]}\n").unwrap();
        assert!(!listed.is_valid(&json!(null)));
        let both = compile("Tested: {type: string, nullable: true, enum: [a, null]}\n").unwrap();
        assert!(both.is_valid(&json!(null)) && !both.is_valid(&json!("b")));
    }

    #[test]
    fn exclusive_limits_are_booleans() {
        let open = compile(
            "Tested: {type: integer, minimum: 1, exclusiveMinimum: true, maximum: 3, exclusiveMaximum: false}\n",
        )
        .unwrap();
        assert!(
            !open.is_valid(&json!(1))
                && open.is_valid(&json!(2))
                && open.is_valid(&json!(3))
                && !open.is_valid(&json!(4))
        );
    }

    #[test]
    fn formats_are_rules() {
        for (format, bad, good) in [
            ("uuid", "x", "018f3c1e-0000-7000-8000-000000000000"),
            ("date", "2026-02-30", "2026-02-28"),
            ("date-time", "2026-02-28", "2026-02-28T00:00:00Z"),
            ("byte", "a", "YQ=="),
            ("ipv4", "1.2.3", "1.2.3.4"),
            ("uri", "not a uri", "https://example.kz/x"),
        ] {
            let schema = compile(&format!("Tested: {{type: string, format: {format}}}\n")).unwrap();
            assert!(!schema.is_valid(&json!(bad)) && schema.is_valid(&json!(good)), "{format}");
        }
        let small = compile("Tested: {type: integer, format: int32}\n").unwrap();
        assert!(small.is_valid(&json!(i32::MAX)) && !small.is_valid(&json!(i64::from(i32::MAX) + 1)));
        assert!(small.is_valid(&json!(i32::MIN)) && !small.is_valid(&json!(i64::from(i32::MIN) - 1)));
    }

    #[test]
    fn what_the_server_writes_is_not_required_of_a_client() {
        let schema = compile("Tested:\n  type: object\n  required: [id, name]\n  properties:\n    id: {type: string, readOnly: true}\n    name: {type: string}\n").unwrap();
        assert!(schema.is_valid(&json!({"name": "a"})) && !schema.is_valid(&json!({"id": "1"})));
        let only = compile(
            "Tested:\n  type: object\n  required: [id]\n  properties:\n    id: {type: string, readOnly: true}\n",
        )
        .unwrap();
        assert!(only.is_valid(&json!({})));
    }

    #[test]
    fn words_for_readers_are_no_rules() {
        let schema = compile("Tested:\n  title: T\n  description: D\n  example: {$ref: nowhere}\n  default: {id: x}\n  deprecated: true\n  xml: {name: x}\n  x-own: 1\n").unwrap();
        assert!(schema.is_valid(&json!(1)));
    }
}
