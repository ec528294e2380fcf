//! Schemas of OpenAPI 3.0 as JSON Schema.
//!
//! OpenAPI 3.0 is draft 5 with words of its own; draft 4 has the same meaning for everything kept here (`exclusiveMinimum`
//! is a boolean, what stands beside `$ref` is ignored). A keyword that would be lost on the way is a fault: a rule that
//! is silently not checked is worse than none. References stay references, so recursion works. All schemas of a document
//! are compiled at load into one unit, in which what they share stands once. Must never see a request.

use crate::discriminator::component_of;
use crate::document::{Kind, Node};
use crate::fault::{Faults, Mark};
use crate::judge::{Check, Unit};
use crate::library::{Library, Target};
use crate::stepping::PATTERN_TEXT_BYTES_MAX;
use crate::structure::is_near;
use crate::units::{self, Cache, HELD};
use crate::{discriminator, effort, format, stepping};
use jsonschema::ValidationOptions;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The longest chain of references and `allOf` that is followed to see what a property is.
const CHAIN_MAX: usize = 16;

/// Keywords that mean the same in both languages and hold no schema.
const KEPT: [&str; 14] = [
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
];

/// Keywords that speak to readers only, or that are read together with others.
const SILENT: [&str; 12] = [
    "title",
    // Not of 3.0, but found in it, and for readers in every language that knows it.
    "examples",
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

/// Keywords that are translated.
const TRANSLATED: [&str; 10] =
    ["type", "format", "properties", "items", "additionalProperties", "allOf", "anyOf", "oneOf", "not", "pattern"];

/// Rules of other drafts of JSON Schema, which OpenAPI 3.0 does not have.
const ELSEWHERE: [&str; 24] = [
    "const",
    "contains",
    "minContains",
    "maxContains",
    "additionalItems",
    "prefixItems",
    "unevaluatedItems",
    "unevaluatedProperties",
    "patternProperties",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "definitions",
    "$defs",
    "$dynamicRef",
    "$recursiveRef",
    "extends",
];

const TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "array", "object"];

/// Which way a value goes: what only one side writes, the other does not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// From a client.
    In,
    /// To a client.
    Out,
}

impl Way {
    /// The keyword of what is not sent this way.
    fn forbidden(self) -> &'static str {
        match self {
            Way::In => "readOnly",
            Way::Out => "writeOnly",
        }
    }
}

/// The schemas of one document, read as they are needed.
pub(crate) struct Schemas<'d> {
    library: &'d Library,
    root: &'d Node,
    options: ValidationOptions<'static>,
    /// Whether anything in reach is `readOnly` or `writeOnly`; else both ways share their schemas.
    sided: bool,
    /// The number of each schema that has a place of its own, by its node.
    numbers: HashMap<(*const Node, Way), usize>,
    translated: Vec<Translated<'d>>,
    /// The numbers of schemas that stand where they are used, by what they say: equal ones are one.
    uses: HashMap<String, usize>,
    /// What is built on a component by `allOf`, by that component's name.
    heirs: BTreeMap<String, BTreeSet<String>>,
    /// Patterns that were found sound.
    patterns: HashSet<String>,
    /// Whether each pattern needs the engine that steps back.
    stepping: HashMap<String, bool>,
    unit: Unit,
}

/// A schema in JSON Schema's words.
struct Translated<'d> {
    node: &'d Node,
    name: Option<String>,
    value: Value,
    way: Way,
    /// The numbers of those that judge the same value as this one: a circle of them would never end.
    in_place: BTreeSet<usize>,
}

impl<'d> Schemas<'d> {
    /// Reads all of `components/schemas`, used or not.
    pub(crate) fn read(library: &'d Library, root: &'d Node, cache: &Cache, faults: &mut Faults) -> Schemas<'d> {
        let mut schemas = Schemas {
            library,
            root,
            options: units::options(cache.patterns()),
            sided: reaches_sides(library, root),
            numbers: HashMap::new(),
            translated: Vec::new(),
            uses: HashMap::new(),
            heirs: BTreeMap::new(),
            patterns: HashSet::new(),
            stepping: HashMap::new(),
            unit: Unit::default(),
        };
        let entries =
            root.get("components").and_then(|components| components.get("schemas")).map_or(&[][..], Node::entries);
        schemas.heirs = discriminator::heirs(entries);
        for entry in entries {
            if !is_component_name(&entry.key) {
                let help = "other readers may not find it";
                faults.warn(entry.mark, "a component is named with letters, digits, `.`, `-` and `_`", help);
            }
            schemas.number(&entry.value, Some(entry.key.clone()), Way::In);
        }
        schemas.catch_up(0, faults);
        schemas
    }

    /// The check of one schema; it judges once the document is read and [`Schemas::finish`] was called.
    pub(crate) fn check(&mut self, node: &'d Node, way: Way, faults: &mut Faults) -> Check {
        let way = if self.sided { way } else { Way::In };
        let from = self.translated.len();
        let number = match node.get("$ref").map(|reference| self.target(reference)) {
            Some(Some(target)) => {
                let name = component_of(&target);
                self.number(target.node, name, way)
            }
            _ => self.use_of(node, way, faults),
        };
        self.catch_up(from, faults);
        self.unit.check(number)
    }

    /// Compiles everything that was asked for, unless something is wrong with it.
    pub(crate) fn finish(&mut self, cache: &mut Cache, previous: Option<&Cache>, faults: &mut Faults) {
        self.refuse_circles(faults);
        if faults.count() > 0 {
            // Nothing is served from a faulty document, and the compiler would follow a circle without end.
            return;
        }
        match cache.unit(previous, &self.options, self.translated.iter().map(|one| &one.value)) {
            Ok(validator) => {
                let values: Vec<&Value> = self.translated.iter().map(|one| &one.value).collect();
                self.unit.fill(validator, effort::reckon(&values));
            }
            Err((number, error)) => {
                let mark = self.translated.get(number).map_or(self.root.mark(), |one| one.node.mark());
                faults.add(mark, format!("the schema cannot be used: {error}"));
            }
        }
    }

    /// Follows references from a schema to one that is no reference.
    pub(crate) fn resolve(&self, node: &'d Node) -> Option<&'d Node> {
        let mut current = node;
        for _ in 0..=CHAIN_MAX {
            match current.get("$ref") {
                None => return Some(current),
                Some(reference) => current = self.target(reference)?.node,
            }
        }
        None
    }

    fn target(&self, reference: &'d Node) -> Option<Target<'d>> {
        self.library.find(reference, reference.text()?).ok()
    }

    fn use_of(&mut self, node: &'d Node, way: Way, faults: &mut Faults) -> usize {
        let mut translated = Translated { node, name: None, value: Value::Null, way, in_place: BTreeSet::new() };
        self.translate(&mut translated, faults);
        let text = translated.value.to_string();
        if let Some(number) = self.uses.get(&text) {
            return *number;
        }
        let number = self.translated.len();
        self.uses.insert(text, number);
        self.translated.push(translated);
        number
    }

    /// The number of a schema that has a place of its own; what has none yet waits to be translated.
    fn number(&mut self, node: &'d Node, name: Option<String>, way: Way) -> usize {
        let next = self.translated.len();
        let number = *self.numbers.entry((std::ptr::from_ref(node), way)).or_insert(next);
        if number == next {
            self.translated.push(Translated { node, name, value: Value::Null, way, in_place: BTreeSet::new() });
        }
        number
    }

    /// Translates what waits, and what that refers to.
    fn catch_up(&mut self, from: usize, faults: &mut Faults) {
        let mut next = from;
        while let Some(waiting) = self.translated.get(next) {
            if waiting.value.is_null() {
                let mut translated = Translated {
                    node: waiting.node,
                    name: waiting.name.clone(),
                    value: Value::Null,
                    way: waiting.way,
                    in_place: BTreeSet::new(),
                };
                self.translate(&mut translated, faults);
                if let Some(place) = self.translated.get_mut(next) {
                    *place = translated;
                }
            }
            next += 1;
        }
    }

    fn translate(&mut self, translated: &mut Translated<'d>, faults: &mut Faults) {
        let node = translated.node;
        let own = translated.name.take();
        let mut translation = Translation {
            schemas: self,
            faults,
            way: translated.way,
            name: own.as_deref(),
            above: Vec::new(),
            in_place: BTreeSet::new(),
        };
        translated.value = translation.schema(node, true);
        translated.in_place = std::mem::take(&mut translation.in_place);
        translated.name = own;
        // The meta-schema sees what is still wrong, by a pointer that is nearly the same in both languages.
        if let Err(error) = jsonschema::draft4::meta::validate(&translated.value) {
            let place = node.nearest(error.instance_path().as_str()).mark();
            faults.add_unless_known(place, format!("not a schema: {error}"));
        }
    }

    fn refuse_circles(&self, faults: &mut Faults) {
        let names = self.root.get("components").and_then(|components| components.get("schemas"));
        for (number, one) in self.translated.iter().enumerate().filter(|(_, one)| !one.in_place.is_empty()) {
            if self.returns_to(number) {
                let name = one.name.as_deref().unwrap_or("of this place");
                let entry =
                    names.and_then(|names| names.entry(name)).filter(|entry| std::ptr::eq(&entry.value, one.node));
                let mark = entry.map_or(one.node.mark(), |entry| entry.mark);
                faults.add(mark, format!("the schema `{name}` is defined by itself"));
            }
        }
    }

    fn returns_to(&self, start: usize) -> bool {
        let in_place =
            |number: usize| self.translated.get(number).into_iter().flat_map(|one| one.in_place.iter().copied());
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<usize> = in_place(start).collect();
        while let Some(number) = waiting.pop() {
            if number == start {
                return true;
            }
            if seen.insert(number) {
                waiting.extend(in_place(number));
            }
        }
        false
    }

    /// The schema of a property, wherever in a chain of `allOf` it stands.
    fn property(&self, node: &'d Node, name: &str, depth: usize) -> Option<&'d Node> {
        let node = self.resolve(node)?;
        if let Some(found) = node.get("properties").and_then(|properties| properties.get(name)) {
            return Some(found);
        }
        let all = node.get("allOf").map_or(&[][..], Node::items);
        (depth < CHAIN_MAX).then(|| all.iter().find_map(|item| self.property(item, name, depth + 1)))?
    }

    /// Tells whether a schema says a word of itself, directly, behind references or in `allOf`.
    fn says(&self, node: &'d Node, word: &str, depth: usize) -> bool {
        let Some(node) = self.resolve(node) else {
            return false;
        };
        node.get(word).and_then(Node::boolean) == Some(true)
            || (depth < CHAIN_MAX
                && node.get("allOf").map_or(&[][..], Node::items).iter().any(|item| self.says(item, word, depth + 1)))
    }
}

fn is_component_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Tells whether anything a document may refer to is `readOnly` or `writeOnly`.
fn reaches_sides(library: &Library, root: &Node) -> bool {
    let (mut sided, mut abroad) = (false, false);
    look_for_sides(root, &mut sided, &mut abroad);
    let others = || {
        (0..).map_while(|file: u16| {
            (usize::from(file) < library.names().len()).then(|| library.root(file)).map(Option::into_iter)
        })
    };
    sided
        || (abroad
            && others().flatten().any(|other| {
                let mut sided = false;
                look_for_sides(other, &mut sided, &mut false);
                sided
            }))
}

fn look_for_sides(node: &Node, sided: &mut bool, abroad: &mut bool) {
    for entry in node.entries() {
        match entry.key.as_str() {
            "readOnly" | "writeOnly" if entry.value.boolean() == Some(true) => *sided = true,
            "$ref" if entry.value.text().is_some_and(|text| !text.starts_with('#')) => *abroad = true,
            _ => look_for_sides(&entry.value, sided, abroad),
        }
    }
    for item in node.items() {
        look_for_sides(item, sided, abroad);
    }
}

struct Translation<'t, 'd> {
    schemas: &'t mut Schemas<'d>,
    faults: &'t mut Faults,
    way: Way,
    /// The component's name, where it is one.
    name: Option<&'t str>,
    /// The schemas around this one that judge the same value.
    above: Vec<&'d Node>,
    in_place: BTreeSet<usize>,
}

impl<'d> Translation<'_, 'd> {
    /// `here` is true while the schema judges the value the whole one judges.
    fn schema(&mut self, node: &'d Node, here: bool) -> Value {
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
                "items" => Some(self.elsewhere(value)),
                "additionalProperties" if value.boolean().is_some() => Some(value.to_value()),
                "additionalProperties" => Some(self.elsewhere(value)),
                "allOf" | "anyOf" | "oneOf" => self.alternatives(node, value, here),
                "not" => Some(self.schema(value, here)),
                "pattern" => self.pattern(value),
                _ if KEPT.contains(&key) => Some(value.to_value()),
                _ if SILENT.contains(&key) || key.starts_with("x-") => None,
                _ => {
                    self.unknown(key, entry.mark);
                    None
                }
            };
            if let Some(translated) = translated {
                let key = if key == "pattern" { self.pattern_keyword(node, entry.mark) } else { key };
                out.insert(key.to_owned(), translated);
            }
        }
        if node.get("type").and_then(Node::text) == Some("array") && node.get("items").is_none() {
            self.faults.add(node.mark(), "an array needs `items`");
        }
        self.without_the_others(node, &mut out);
        if let Some(rule) = self.discriminator(node) {
            let all = out.entry("allOf").or_insert_with(|| json!([]));
            all.as_array_mut().into_iter().for_each(|all| all.push(rule.clone()));
        }
        with_integer_width(node, &mut out);
        with_null(node, &mut out);
        Value::Object(out)
    }

    /// A word that is a rule elsewhere, or nearly one here, would be lost in silence; other words rule nothing anywhere.
    fn unknown(&mut self, key: &str, mark: Mark) {
        let words = || KEPT.iter().chain(&SILENT).chain(&TRANSLATED);
        let help = "an unknown rule would not be checked: remove it or say it with another keyword";
        let message = format!("`{key}` is not a schema keyword of OpenAPI 3.0");
        match words().find(|word| is_near(word, key)) {
            Some(near) => self.faults.add_with_help(mark, message, &format!("write `{near}`")),
            None if ELSEWHERE.contains(&key) => self.faults.add_with_help(mark, message, help),
            None => self.faults.warn(mark, message, "it rules nothing: remove it, or begin its name with `x-`"),
        }
    }

    /// A schema that judges another value than the whole one: what stands around it says nothing of its properties.
    fn elsewhere(&mut self, node: &'d Node) -> Value {
        let above = std::mem::take(&mut self.above);
        let value = self.schema(node, false);
        self.above = above;
        value
    }

    fn reference(&mut self, node: &'d Node, here: bool) -> Value {
        let Some(text) = node.text() else {
            self.faults.add(node.mark(), "`$ref` is a text");
            return json!({});
        };
        match self.schemas.library.find(node, text) {
            Ok(target) => {
                let name = component_of(&target);
                let number = self.schemas.number(target.node, name, self.way);
                if here {
                    self.in_place.insert(number);
                }
                json!({ "$ref": format!("{HELD}{number}") })
            }
            Err(lost) => {
                self.faults.add_with_help(node.mark(), lost.message, lost.help);
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
        let Some(text) = node.text() else {
            self.faults.add(node.mark(), "a format is a text");
            return None;
        };
        if format::is_checked(text) {
            return Some(json!(text));
        }
        if !format::SILENT.contains(&text) {
            self.faults.warn(
                node.mark(),
                format!("the format `{text}` is not checked: nothing is known of it"),
                "say it with `pattern`, `minimum` or `maximum` too",
            );
        }
        None
    }

    fn pattern(&mut self, node: &Node) -> Option<Value> {
        let Some(text) = node.text() else {
            self.faults.add(node.mark(), "a pattern is a text");
            return None;
        };
        if !self.schemas.patterns.contains(text) {
            if self.schemas.options.build(&json!({ "pattern": text })).is_err() {
                self.faults.add_with_help(
                    node.mark(),
                    "the pattern cannot be used",
                    "a pattern is a regular expression of ECMA-262 without huge repetitions",
                );
                return None;
            }
            self.schemas.patterns.insert(text.to_owned());
        }
        Some(json!(text))
    }

    /// The keyword a pattern is judged by; a text that may be too long for it is told.
    fn pattern_keyword(&mut self, node: &Node, mark: Mark) -> &'static str {
        let text = node.get("pattern").and_then(Node::text).unwrap_or_default();
        let patterns = &mut self.schemas.stepping;
        if !patterns.contains_key(text) {
            patterns.insert(text.to_owned(), stepping::is_needed(text, units::PATTERN_BYTES_MAX));
        }
        if patterns.get(text) != Some(&true) {
            return "pattern";
        }
        let length_max = node.get("maxLength").and_then(|node| node.to_value().as_u64());
        if length_max.is_none_or(|most| most > PATTERN_TEXT_BYTES_MAX as u64) {
            self.faults.warn(
                mark,
                format!(
                    "texts of more than {PATTERN_TEXT_BYTES_MAX} bytes are refused: the pattern looks around or back"
                ),
                "say `maxLength`, or write the pattern without look-around and back-references",
            );
        }
        stepping::KEYWORD
    }

    fn properties(&mut self, node: &'d Node) -> Option<Value> {
        let Kind::Map(entries) = node.kind() else {
            self.faults.add(node.mark(), "`properties` is a map of schemas");
            return None;
        };
        let mut out = Map::new();
        for entry in entries {
            out.insert(entry.key.clone(), self.elsewhere(&entry.value));
        }
        Some(Value::Object(out))
    }

    fn alternatives(&mut self, owner: &'d Node, node: &'d Node, here: bool) -> Option<Value> {
        if node.items().is_empty() {
            self.faults.add(node.mark(), "a list of at least one schema is needed");
            return None;
        }
        self.above.push(owner);
        let all = node.items().iter().map(|item| self.schema(item, here)).collect();
        self.above.pop();
        Some(Value::Array(all))
    }

    /// What only the other side writes is not required of this one, and is refused if it is sent (OpenAPI 3.0.3).
    fn without_the_others(&mut self, node: &'d Node, out: &mut Map<String, Value>) {
        let word = self.way.forbidden();
        if !self.schemas.sided {
            return;
        }
        if node.get(word).and_then(Node::boolean) == Some(true) {
            out.insert(word.to_owned(), json!(true));
        }
        let Some(Value::Array(required)) = out.get_mut("required") else {
            return;
        };
        let before = required.len();
        required.retain(|name| {
            let around = std::iter::once(node).chain(self.above.iter().copied());
            let found =
                name.as_str().and_then(|name| around.into_iter().find_map(|one| self.schemas.property(one, name, 0)));
            !found.is_some_and(|property| self.schemas.says(property, word, 0))
        });
        if required.is_empty() && before > 0 {
            out.remove("required");
        }
    }

    fn discriminator(&mut self, node: &'d Node) -> Option<Value> {
        let words = node.get("discriminator")?;
        let library = self.schemas.library;
        let heirs = self.name.and_then(|name| Some((name, self.schemas.heirs.get(name)?)));
        discriminator::rule(library, node, words, heirs, self.faults)
    }
}

/// `int32` is a rule in OpenAPI and none in JSON Schema.
fn with_integer_width(node: &Node, out: &mut Map<String, Value>) {
    let says = |key: &str, word: &str| node.get(key).and_then(Node::text) == Some(word);
    if says("type", "integer") && says("format", "int32") {
        // Two limits of one side do not stand in one schema: the wider of them says nothing.
        let number = |out: &Map<String, Value>, key: &str| out.get(key).and_then(Value::as_f64);
        if number(out, "minimum").is_none_or(|least| least < f64::from(i32::MIN)) {
            out.insert("minimum".to_owned(), json!(i32::MIN));
            out.remove("exclusiveMinimum");
        }
        if number(out, "maximum").is_none_or(|most| most > f64::from(i32::MAX)) {
            out.insert("maximum".to_owned(), json!(i32::MAX));
            out.remove("exclusiveMaximum");
        }
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
    use crate::fault::{Fault, Source};

    /// A compiled schema, asked by values that are written out.
    #[derive(Debug)]
    struct Tried(Check);

    impl Tried {
        fn is_valid(&self, value: &Value) -> bool {
            self.0.holds(&mut value.clone())
        }
    }

    /// Compiles the schema `Tested` of some component schemas.
    fn compile(schemas: &str) -> Result<Tried, Vec<Fault>> {
        compile_for(Way::In, schemas)
    }

    fn compile_for(way: Way, schemas: &str) -> Result<Tried, Vec<Fault>> {
        let indented: String = schemas.lines().map(|line| format!("    {line}\n")).collect();
        let text = format!(
            "components:\n  schemas:\n{indented}use: {{$ref: '#/components/schemas/Tested'}}\nopenapi: 3.0.3\n"
        );
        let library = Library::read(&[Source { name: "x.yaml".to_owned(), text }])?;
        let mut faults = Faults::new("x.yaml");
        let (found, _) = library.faults(0);
        let Some(root) = library.root(0) else { return Err(found.to_vec()) };
        let mut cache = Cache::default();
        let mut schemas = Schemas::read(&library, root, &cache, &mut faults);
        let check = schemas.check(root.get("use").unwrap(), way, &mut faults);
        schemas.finish(&mut cache, None, &mut faults);
        let faults = faults.into_found();
        if faults.is_empty() { Ok(Tried(check)) } else { Err(faults) }
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
            ("Tested:\n  type: array\n", 2, 3, "an array needs `items`"),
            ("Tested:\n  anyOf: []\n", 2, 10, "a list of at least one schema"),
            ("Tested:\n  properties: [a]\n", 2, 15, "`properties` is a map"),
            ("Tested: yes\n", 1, 9, "a schema is a map"),
            ("Tested:\n  items: 3\n", 2, 10, "a schema is a map"),
            ("Tested:\n  maxLength: three\n", 2, 14, "not a schema"),
            ("Tested:\n  maxLength: -1\n", 2, 14, "not a schema"),
            ("Tested:\n  properties:\n    a: {exclusiveMinimum: 3, minimum: 1}\n", 3, 27, "not a schema"),
            ("Tested:\n  required: a\n", 2, 13, "not a schema"),
        ] {
            let (found_line, found_column, found) = fault(schemas);
            assert_eq!((found_line, found_column), (line, column), "{schemas}{found}");
            assert!(found.contains(message), "{found}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_used_are_refused() {
        for pattern in
            ["(", "[", "a{2,1}", "(?<n", "((((a{1000}){1000}){1000}){1000})", "(?=(((a{1000}){1000}){1000}))b"]
        {
            let (line, column, message) = fault(&format!("Tested:\n  type: string\n  pattern: '{pattern}'\n"));
            assert_eq!((line, column), (3, 12), "{pattern}");
            assert_eq!(message, "the pattern cannot be used", "{pattern}");
        }
        assert_eq!(fault("Tested:\n  pattern: 3\n").2, "a pattern is a text");
    }

    #[test]
    fn words_that_rule_nothing_are_told_and_do_no_harm() {
        let schema = compile("Tested:\n  type: string\n  format: uiid\n  colour: red\n").unwrap();
        assert!(schema.is_valid(&json!("a")) && !schema.is_valid(&json!(1)));
    }

    #[test]
    fn the_pattern_limit_holds_on_both_sides() {
        // How many bytes a pattern takes is the engine's secret: 8,000 repetitions stay below the limit, 12,000 do not.
        let sized =
            |count: usize| compile(&format!("Tested:\n  type: string\n  pattern: '(x[^a]{{{count}}}y|zz)+w'\n"));
        assert!(sized(8_000).is_ok());
        assert!(sized(12_000).is_err());
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
    fn the_width_of_integers_holds_beside_wider_limits() {
        let wide =
            compile("Tested: {type: integer, format: int32, minimum: -99999999999, maximum: 99999999999}\n").unwrap();
        assert!(!wide.is_valid(&json!(i64::from(i32::MAX) + 1)) && !wide.is_valid(&json!(i64::from(i32::MIN) - 1)));
        assert!(wide.is_valid(&json!(i32::MAX)) && wide.is_valid(&json!(i32::MIN)));
        let narrow = compile("Tested: {type: integer, format: int32, minimum: 1, maximum: 9}\n").unwrap();
        assert!(!narrow.is_valid(&json!(0)) && !narrow.is_valid(&json!(10)) && narrow.is_valid(&json!(9)));
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
