//! Compiling the schemas of a document together, and keeping what was compiled for the next reading.
//!
//! A unit is one JSON Schema: `properties` names each schema, `c` holds them, and references lead into `c`. Equal texts
//! compile to equal units, so the text is the key: a document that did not change is not compiled again. Must never know
//! OpenAPI.

use crate::{format, stepping};
use jsonschema::{Draft, PatternCache, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The largest compiled pattern, in bytes: a repetition of repetitions must not eat the memory of the gateway.
///
/// Names of people in a switch's contract, 128 letters of any alphabet, take four million.
pub(crate) const PATTERN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The memory one thread may use to run a pattern faster, in bytes; beyond it the pattern runs slower.
const PATTERN_SPEED_BYTES_MAX: usize = 1024 * 1024;

/// Where a unit holds its schemas.
pub(crate) const HELD: &str = "#/c/";

/// Compiled units by their text.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    units: HashMap<Arc<str>, Arc<Validator>>,
    patterns: PatternCache,
}

impl Cache {
    /// The patterns that are compiled together.
    pub(crate) fn patterns(&self) -> &PatternCache {
        &self.patterns
    }

    /// A unit of these schemas, compiled now unless it was before.
    ///
    /// # Errors
    /// The number of the schema that cannot be compiled, and why.
    pub(crate) fn unit<'v>(
        &mut self,
        previous: Option<&Cache>,
        options: &ValidationOptions<'static>,
        schemas: impl Iterator<Item = &'v Value>,
    ) -> Result<Arc<Validator>, (usize, ValidationError<'static>)> {
        let whole = whole(schemas);
        let text = whole.to_string();
        if let Some(known) = self.units.get(text.as_str()) {
            return Ok(Arc::clone(known));
        }
        if let Some((text, known)) = previous.and_then(|cache| cache.units.get_key_value(text.as_str())) {
            self.units.insert(Arc::clone(text), Arc::clone(known));
            return Ok(Arc::clone(known));
        }
        let validator = options.build(&whole).map_err(|error| culprit(options, whole, error))?;
        let validator = Arc::new(validator);
        self.units.insert(Arc::from(text), Arc::clone(&validator));
        Ok(validator)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} units)", self.units.len())
    }
}

/// How every schema is compiled.
pub(crate) fn options(patterns: &PatternCache) -> ValidationOptions<'static> {
    let mut options = jsonschema::options()
        .with_draft(Draft::Draft4)
        .offline()
        .should_validate_formats(true)
        // What needs no backtracking runs in linear time in this engine too; the rest is bounded, or a client could
        // choose how long a pattern runs.
        .with_pattern_options(
            PatternOptions::fancy_regex()
                .backtrack_limit(stepping::PATTERN_STEPS_MAX)
                .size_limit(PATTERN_BYTES_MAX)
                .dfa_size_limit(PATTERN_SPEED_BYTES_MAX),
        )
        .with_pattern_cache(patterns.clone())
        .with_keyword("readOnly", |_, _, _| Ok(Box::new(NotSent("is written by the server only"))))
        .with_keyword("writeOnly", |_, _, _| Ok(Box::new(NotSent("is written by the client only"))));
    for (name, check) in format::OWN {
        options = options.with_format(name, check);
    }
    let plain = options.clone();
    options.with_keyword(stepping::KEYWORD, move |parent, pattern, place| {
        stepping::keyword(&plain, parent, pattern, place)
    })
}

/// A value that only the other side writes.
struct NotSent(&'static str);

impl<'i> jsonschema::Keyword<'i> for NotSent {
    fn validate(&self, _instance: &'i Value) -> Result<(), ValidationError<'i>> {
        Err(ValidationError::custom(self.0))
    }

    fn is_valid(&self, _instance: &'i Value) -> bool {
        false
    }
}

fn whole<'v>(schemas: impl Iterator<Item = &'v Value>) -> Value {
    let mut slots = Map::new();
    let mut held = Map::new();
    for (number, schema) in schemas.enumerate() {
        let name = number.to_string();
        slots.insert(name.clone(), json!({ "$ref": format!("{HELD}{name}") }));
        held.insert(name, schema.clone());
    }
    // What is not one of the unit's own is refused.
    json!({ "type": "object", "properties": slots, "additionalProperties": false, "c": held })
}

/// Finds the schema that keeps a unit from being compiled.
fn culprit(
    options: &ValidationOptions<'static>,
    mut whole: Value,
    error: ValidationError<'static>,
) -> (usize, ValidationError<'static>) {
    let count = whole.get("c").and_then(Value::as_object).map_or(0, Map::len);
    for number in 0..count {
        let Some(object) = whole.as_object_mut() else { break };
        object.insert("properties".to_owned(), json!({ "0": { "$ref": format!("{HELD}{number}") } }));
        if let Err(error) = options.build(&whole) {
            return (number, error);
        }
    }
    (0, error)
}
