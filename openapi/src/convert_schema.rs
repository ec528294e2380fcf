//! Says in the words of OpenAPI 3.0 what a schema of 3.1 says, where that is exactly the same.
//!
//! 3.1 is JSON Schema 2020-12. What it says with words of its own is rewritten with older ones that judge every value
//! alike; what only speaks to readers is dropped; what is left is a fault. Must never know where a schema stands.

use crate::document::{Entry, Kind, Node};
use crate::fault::{Faults, Mark};

/// The JSON Schema dialect whose meaning this knows.
const DIALECTS: [&str; 2] =
    ["https://spec.openapis.org/oas/3.1/dialect/base", "https://json-schema.org/draft/2020-12/schema"];

/// What a place of a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Document,
    Components,
    PathItem,
    Operation,
    Parameter,
    RequestBody,
    Response,
    Header,
    MediaType,
    Callback,
    SecurityScheme,
    Schema,
}

/// What is found while one file is converted.
pub(crate) struct Findings {
    pub(crate) faults: Faults,
    /// References that were met, and what they lead to.
    pub(crate) references: Vec<(String, What)>,
}

/// Words for readers that 3.0 does not know: no value is judged by them.
const FOR_READERS: [&str; 4] = ["$comment", "contentMediaType", "contentSchema", "examples"];

/// Words that judge values, and that older ones cannot replace.
const BEYOND: [&str; 15] = [
    "$id",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
    "$vocabulary",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
    "dependentSchemas",
];

/// What may stand beside a reference without judging anything.
const BESIDE: [&str; 9] =
    ["$ref", "title", "description", "summary", "default", "deprecated", "example", "examples", "$comment"];

/// Converts a schema, and those in it.
pub(crate) fn schema(node: &mut Node, findings: &mut Findings) {
    let mark = node.mark();
    match node.kind() {
        Kind::Bool(true) => *node.kind_mut() = Kind::Map(Vec::new()),
        Kind::Bool(false) => *node.kind_mut() = Kind::Map(vec![entry("not", mark, Kind::Map(Vec::new()))]),
        Kind::Map(_) => {}
        // Not a schema in any language: its reader says so.
        _ => return,
    }
    if !reference(node, findings) {
        return;
    }
    refuse(node, findings);
    unevaluated(node, findings);
    below(node, findings);
    conditions(node);
    dependencies(node);
    exclusive(node, "exclusiveMinimum", "minimum", f64::ge, findings);
    exclusive(node, "exclusiveMaximum", "maximum", f64::le, findings);
    constant(node);
    kinds(node);
    content(node);
    for_readers(node, findings);
}

/// Notes where a reference leads; false where nothing else of the schema counts.
fn reference(node: &mut Node, findings: &mut Findings) -> bool {
    let Some(text) = node.get("$ref").and_then(Node::text) else {
        return true;
    };
    findings.references.push((text.to_owned(), What::Schema));
    let judges = |entry: &Entry| !BESIDE.contains(&entry.key.as_str()) && !entry.key.starts_with("x-");
    if !node.entries().iter().any(judges) {
        retain(node, |key| key == "$ref");
        return false;
    }
    // In 3.1 what stands beside a reference counts too; in 3.0 both have to stand in `allOf`.
    let mark = node.mark();
    let own = node.entries_mut().and_then(|entries| {
        let at = entries.iter().position(|entry| entry.key == "$ref")?;
        Some(entries.remove(at))
    });
    if let Some(own) = own {
        also(node, Node::new(mark, Kind::Map(vec![own])));
    }
    true
}

fn refuse(node: &mut Node, findings: &mut Findings) {
    let foreign = |entry: &Entry| entry.key == "$schema" && !is_known_dialect(&entry.value);
    let refused = |entry: &Entry| BEYOND.contains(&entry.key.as_str()) || foreign(entry);
    for entry in node.entries().iter().filter(|entry| refused(entry)) {
        let place = Node::new(entry.mark, Kind::Null);
        beyond(&place, &format!("`{}` in a schema", entry.key), findings);
    }
    if let Some(entries) = node.entries_mut() {
        entries.retain(|entry| !refused(entry) && entry.key != "$schema");
    }
    if let Some(place) = node.entry("nullable").map(|entry| entry.mark) {
        let help = "write `type: [TYPE, 'null']`, or describe the document as 3.0";
        findings.faults.warn(place, "`nullable` means nothing in OpenAPI 3.1", help);
        retain(node, |key| key != "nullable");
    }
}

/// `unevaluatedProperties` looks into what stands beside it; alone it is `additionalProperties`.
fn unevaluated(node: &mut Node, findings: &mut Findings) {
    const KEY: &str = "unevaluatedProperties";
    let Some((mark, open)) = node.entry(KEY).map(|entry| (entry.mark, entry.value.boolean() == Some(true))) else {
        return;
    };
    let beside = ["allOf", "anyOf", "oneOf", "if", "then", "else"].iter().any(|key| node.get(key).is_some());
    if open || node.get("additionalProperties").is_some() {
        retain(node, |key| key != KEY);
    } else if beside {
        beyond(&Node::new(mark, Kind::Null), "`unevaluatedProperties` beside other schemas", findings);
        retain(node, |key| key != KEY);
    } else if let Some(entry) = node.entries_mut().and_then(|entries| entries.iter_mut().find(|e| e.key == KEY)) {
        entry.key = "additionalProperties".to_owned();
    }
}

/// Converts the schemas inside this one.
fn below(node: &mut Node, findings: &mut Findings) {
    for key in ["allOf", "anyOf", "oneOf"] {
        for item in list_mut(node, key) {
            schema(item, findings);
        }
    }
    for key in ["items", "not", "if", "then", "else"] {
        if let Some(inner) = get_mut(node, key) {
            schema(inner, findings);
        }
    }
    if let Some(inner) = get_mut(node, "additionalProperties").filter(|inner| inner.boolean().is_none()) {
        schema(inner, findings);
    }
    for key in ["properties", "$defs"] {
        let entries = get_mut(node, key).and_then(Node::entries_mut);
        for entry in entries.into_iter().flatten() {
            schema(&mut entry.value, findings);
        }
    }
    // Schemas that are only referred to: 3.0 has no place for them, but leaves names with `x-` alone.
    for entry in node.entries_mut().into_iter().flatten().filter(|entry| entry.key == "$defs") {
        entry.key = "x-defs".to_owned();
    }
}

/// `if` `then` is "not if, or then"; `if` `else` is "if, or else".
fn conditions(node: &mut Node) {
    let Some(condition) = node.get("if").cloned() else {
        return retain(node, |key| !matches!(key, "then" | "else"));
    };
    let (mark, then, otherwise) = (condition.mark(), node.get("then").cloned(), node.get("else").cloned());
    retain(node, |key| !matches!(key, "if" | "then" | "else"));
    if let Some(then) = then {
        let not = Node::new(mark, Kind::Map(vec![Entry { key: "not".to_owned(), mark, value: condition.clone() }]));
        also(node, either(mark, vec![not, then]));
    }
    if let Some(otherwise) = otherwise {
        also(node, either(mark, vec![condition, otherwise]));
    }
}

/// `dependentRequired` is "the one is not there, or all the others are".
fn dependencies(node: &mut Node) {
    let Some(dependencies) = node.get("dependentRequired").cloned() else {
        return;
    };
    retain(node, |key| key != "dependentRequired");
    for Entry { key, mark, value } in dependencies.entries().iter().filter(|entry| !entry.value.items().is_empty()) {
        let one = Kind::List(vec![Node::new(*mark, Kind::Text(key.clone()))]);
        let there = Node::new(*mark, Kind::Map(vec![entry("required", *mark, one)]));
        let absent = Node::new(*mark, Kind::Map(vec![Entry { key: "not".to_owned(), mark: *mark, value: there }]));
        let others = Node::new(*mark, Kind::Map(vec![entry("required", *mark, value.kind().clone())]));
        also(node, either(*mark, vec![absent, others]));
    }
}

/// A limit that is a number of its own becomes a limit with a sign that it is not reached.
fn exclusive(node: &mut Node, key: &str, inclusive: &str, wins: fn(&f64, &f64) -> bool, findings: &mut Findings) {
    let Some(limit) = node.get(key) else {
        return;
    };
    let Kind::Number(number) = limit.kind() else {
        beyond(limit, &format!("with 3.1 `{key}` that is no number"), findings);
        return retain(node, |known| known != key);
    };
    let (number, mark) = (number.clone(), limit.mark());
    let other = node.get(inclusive).and_then(|node| match node.kind() {
        Kind::Number(other) => other.as_f64(),
        _ => None,
    });
    let stricter = other.zip(number.as_f64()).is_none_or(|(other, own)| wins(&own, &other));
    retain(node, |known| known != key && !(stricter && known == inclusive));
    if stricter && let Some(entries) = node.entries_mut() {
        entries.push(entry(inclusive, mark, Kind::Number(number)));
        entries.push(entry(key, mark, Kind::Bool(true)));
    }
}

fn constant(node: &mut Node) {
    let Some(Entry { mark, value, .. }) = node.entry("const").cloned() else {
        return;
    };
    retain(node, |key| key != "const");
    let list = entry("enum", mark, Kind::List(vec![value]));
    if node.get("enum").is_some() {
        also(node, Node::new(mark, Kind::Map(vec![list])));
    } else if let Some(entries) = node.entries_mut() {
        entries.push(list);
    }
}

/// A list of types, and the type `null`.
fn kinds(node: &mut Node) {
    let Some(kind) = node.get("type").cloned() else {
        return;
    };
    let mark = kind.mark();
    let names: Vec<&str> = match kind.kind() {
        Kind::Text(name) => vec![name],
        Kind::List(items) if !items.is_empty() && items.iter().all(|item| item.text().is_some()) => {
            items.iter().filter_map(Node::text).collect()
        }
        // Not a type in any language: its reader says so.
        _ => return,
    };
    let null = names.contains(&"null");
    let others: Vec<&str> = names.into_iter().filter(|name| *name != "null").collect();
    let typed = |name: &str, null: bool| {
        let mut entries = vec![entry("type", mark, Kind::Text(name.to_owned()))];
        if null {
            entries.push(entry("nullable", mark, Kind::Bool(true)));
        }
        entries
    };
    retain(node, |key| key != "type");
    match others.as_slice() {
        [] => {
            let only = entry("enum", mark, Kind::List(vec![Node::new(mark, Kind::Null)]));
            also(node, Node::new(mark, Kind::Map(vec![only])));
        }
        [name] => {
            let mut entries = typed(name, null);
            if *name == "array" && node.get("items").is_none() {
                entries.push(entry("items", mark, Kind::Map(Vec::new())));
            }
            if let Some(own) = node.entries_mut() {
                own.splice(0..0, entries);
            }
        }
        several => {
            let one = |(at, name): (usize, &&str)| {
                let mut entries = typed(name, null && at == 0);
                if **name == *"array" {
                    entries.push(entry("items", mark, Kind::Map(Vec::new())));
                }
                Node::new(mark, Kind::Map(entries))
            };
            also(node, either(mark, several.iter().enumerate().map(one).collect()));
        }
    }
}

/// How bytes stand in a text: 3.0 has formats for it.
fn content(node: &mut Node) {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let format = match (text("contentEncoding"), text("contentMediaType")) {
        (Some("base64"), _) => Some("byte"),
        (None, Some("application/octet-stream")) => Some("binary"),
        _ => None,
    };
    let format = format.filter(|_| node.get("format").is_none());
    retain(node, |key| key != "contentEncoding");
    if let Some(format) = format {
        add(node, "format", Kind::Text(format.to_owned()));
    }
}

/// Drops what only readers see, but for the first of the examples.
fn for_readers(node: &mut Node, findings: &mut Findings) {
    let first = node.get("examples").and_then(|examples| examples.items().first()).cloned();
    retain(node, |key| !FOR_READERS.contains(&key));
    if let Some(first) = first.filter(|_| node.get("example").is_none())
        && let Some(entries) = node.entries_mut()
    {
        entries.push(Entry { key: "example".to_owned(), mark: first.mark(), value: first });
    }
    // An empty list asks for nothing, but 3.0 wants at least one name in it.
    if node.get("required").is_some_and(|names| matches!(names.kind(), Kind::List(items) if items.is_empty())) {
        retain(node, |key| key != "required");
    }
    if node.get("enum").is_some_and(|values| values.items().is_empty()) {
        let place = Node::new(node.mark(), Kind::Null);
        beyond(&place, "an empty `enum`", findings);
    }
}

/// Complains about something that 3.0 has no words for.
pub(crate) fn beyond(node: &Node, what: &str, findings: &mut Findings) {
    findings.faults.add_with_help(
        node.mark(),
        format!("OpenAPI 3.0 cannot say {what}"),
        "this gateway judges by OpenAPI 3.0: say it in its words, or leave it out",
    );
}

/// Tells whether a schema is written in the dialect of OpenAPI 3.1, or the one it stands on.
pub(crate) fn is_known_dialect(node: &Node) -> bool {
    node.text().is_some_and(|text| DIALECTS.contains(&text.trim_end_matches('#')))
}

pub(crate) fn get_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    node.entries_mut()?.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
}

pub(crate) fn list_mut<'n>(node: &'n mut Node, key: &str) -> &'n mut [Node] {
    match get_mut(node, key).map(Node::kind_mut) {
        Some(Kind::List(items)) => items,
        _ => &mut [],
    }
}

pub(crate) fn retain(node: &mut Node, keep: impl Fn(&str) -> bool) {
    if let Some(entries) = node.entries_mut() {
        entries.retain(|entry| keep(&entry.key));
    }
}

/// Adds a key; it stands where the map stands.
pub(crate) fn add(node: &mut Node, key: &str, kind: Kind) {
    let mark = node.mark();
    if let Some(entries) = node.entries_mut() {
        entries.push(Entry { key: key.to_owned(), mark, value: Node::new(mark, kind) });
    }
}

/// Adds a schema that has to hold too.
fn also(node: &mut Node, other: Node) {
    if let Some(Kind::List(items)) = get_mut(node, "allOf").map(Node::kind_mut) {
        return items.push(other);
    }
    add(node, "allOf", Kind::List(vec![other]));
}

fn either(mark: Mark, items: Vec<Node>) -> Node {
    Node::new(mark, Kind::Map(vec![entry("anyOf", mark, Kind::List(items))]))
}

fn entry(key: &str, mark: Mark, kind: Kind) -> Entry {
    Entry { key: key.to_owned(), mark, value: Node::new(mark, kind) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::document::parse;
    use crate::fault::Source;
    use serde_json::Value;

    fn converted(text: &str) -> (Value, Vec<String>) {
        let mut root = parse(&Source { name: "x.yaml".to_owned(), text: text.to_owned() }).unwrap();
        let mut findings = Findings { faults: Faults::new("x.yaml"), references: Vec::new() };
        schema(&mut root, &mut findings);
        let told = findings.faults.into_parts().0.into_iter();
        (root.to_value(), told.map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.message)).collect())
    }

    #[test]
    fn what_3_0_cannot_say_is_refused_where_it_stands() {
        for key in BEYOND {
            let (value, faults) = converted(&format!("type: object\n{key}: {{}}\n"));
            assert_eq!(faults, [format!("2:1 OpenAPI 3.0 cannot say `{key}` in a schema")]);
            assert!(value.get(key).is_none());
        }
        for (text, fault) in [
            ("$schema: http://json-schema.org/draft-07/schema#\n", "1:1 OpenAPI 3.0 cannot say `$schema` in a schema"),
            (
                "allOf: [{}]\nunevaluatedProperties: false\n",
                "2:1 OpenAPI 3.0 cannot say `unevaluatedProperties` beside other schemas",
            ),
            (
                "minimum: 1\nexclusiveMinimum: true\n",
                "2:19 OpenAPI 3.0 cannot say with 3.1 `exclusiveMinimum` that is no number",
            ),
            ("properties:\n  a: {items: {$id: x}}\n", "2:15 OpenAPI 3.0 cannot say `$id` in a schema"),
            ("enum: []\n", "1:1 OpenAPI 3.0 cannot say an empty `enum`"),
        ] {
            assert_eq!(converted(text).1, [fault], "{text}");
        }
    }

    #[test]
    fn what_3_0_can_say_is_said_in_its_words() {
        for (before, after) in [
            ("true", "{}"),
            ("false", "{not: {}}"),
            ("{type: string}", "{type: string}"),
            ("{type: [string, 'null'], maxLength: 3}", "{type: string, nullable: true, maxLength: 3}"),
            ("{type: [string]}", "{type: string}"),
            ("{type: 'null'}", "{allOf: [{enum: [null]}]}"),
            (
                "{type: [string, integer, 'null']}",
                "{allOf: [{anyOf: [{type: string, nullable: true}, {type: integer}]}]}",
            ),
            ("{type: array}", "{type: array, items: {}}"),
            ("{const: a}", "{enum: [a]}"),
            ("{const: a, enum: [a, b]}", "{enum: [a, b], allOf: [{enum: [a]}]}"),
            ("{exclusiveMinimum: 3}", "{minimum: 3, exclusiveMinimum: true}"),
            ("{exclusiveMinimum: 3, minimum: 3}", "{minimum: 3, exclusiveMinimum: true}"),
            ("{exclusiveMinimum: 3, minimum: 4}", "{minimum: 4}"),
            ("{exclusiveMaximum: 3, maximum: 2.5}", "{maximum: 2.5}"),
            ("{exclusiveMaximum: 3, maximum: 9}", "{maximum: 3, exclusiveMaximum: true}"),
            ("{examples: [1, 2]}", "{example: 1}"),
            ("{example: 0, examples: [1]}", "{example: 0}"),
            ("{type: string, contentEncoding: base64}", "{type: string, format: byte}"),
            ("{type: string, contentMediaType: application/octet-stream}", "{type: string, format: binary}"),
            ("{type: string, contentMediaType: text/html}", "{type: string}"),
            ("{$ref: '#/x', description: d}", "{$ref: '#/x'}"),
            ("{$ref: '#/x', maxLength: 3}", "{maxLength: 3, allOf: [{$ref: '#/x'}]}"),
            ("{$ref: '#/x/$defs/y', $comment: c}", "{$ref: '#/x/$defs/y'}"),
            ("{$defs: {y: {const: 1}}}", "{x-defs: {y: {enum: [1]}}}"),
            ("{unevaluatedProperties: false}", "{additionalProperties: false}"),
            ("{unevaluatedProperties: false, additionalProperties: true}", "{additionalProperties: true}"),
            ("{items: false}", "{items: {not: {}}}"),
            ("{required: []}", "{}"),
            ("{if: {const: 1}, then: {const: 2}}", "{allOf: [{anyOf: [{not: {enum: [1]}}, {enum: [2]}]}]}"),
            ("{if: {const: 1}, else: {const: 2}}", "{allOf: [{anyOf: [{enum: [1]}, {enum: [2]}]}]}"),
            ("{then: {const: 2}}", "{}"),
            ("{dependentRequired: {a: [b], c: []}}", "{allOf: [{anyOf: [{not: {required: [a]}}, {required: [b]}]}]}"),
            ("{$schema: 'https://json-schema.org/draft/2020-12/schema'}", "{}"),
            ("{nullable: true, type: string}", "{type: string}"),
        ] {
            let expected = parse(&Source { name: "y".to_owned(), text: after.to_owned() }).unwrap().to_value();
            assert_eq!(converted(before), (expected, Vec::new()), "{before}");
        }
    }
}
