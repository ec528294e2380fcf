//! A compiled schema at work: does a value keep it, and what is wrong if not.
//!
//! What was sent is never repeated in a fault: bodies hold identity numbers and secrets, and faults go into answers and
//! logs. Must never know where a value came from.

use crate::effort::Effort;
use crate::stepping;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The most faults told at once: enough to mend a request, too few to make answers grow with it.
pub const FAULTS_MAX: usize = 10;

/// One thing wrong with a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyFault {
    /// A JSON pointer into the body, or `query:NAME`, `path:NAME`, `header:NAME`, `cookie:NAME`, with a pointer behind it
    /// where the value is a list or an object.
    ///
    /// Names that only the client knows stand as `*` unless they look like names.
    pub pointer: String,
    /// The rule that was broken, in JSON Schema's word where it has one: `maxLength`, `required`, `unknown`.
    pub keyword: String,
    /// What the contract asks for; never what the client sent.
    pub message: String,
}

/// The longest name of a client's own that a fault repeats, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The most alternatives of `oneOf` or `anyOf` whose own faults are looked at.
const ALTERNATIVES_MAX: usize = 16;

/// All schemas of one document, compiled together: each has a number, and what they share is compiled once.
#[derive(Clone, Default)]
pub(crate) struct Unit(Arc<OnceLock<Filled>>);

/// The compiled schemas, and what judging by each may take.
struct Filled {
    validator: Arc<Validator>,
    efforts: Vec<Effort>,
}

/// One schema of a unit.
#[derive(Clone)]
pub(crate) struct Check {
    unit: Unit,
    /// The name under which the unit judges it.
    slot: Box<str>,
    number: usize,
}

impl Unit {
    /// Fills the unit; a second filling changes nothing.
    pub(crate) fn fill(&self, validator: Arc<Validator>, efforts: Vec<Effort>) {
        let _ = self.0.set(Filled { validator, efforts });
    }

    /// The schema with a number.
    pub(crate) fn check(&self, slot: usize) -> Check {
        Check { unit: self.clone(), slot: slot.to_string().into_boxed_str(), number: slot }
    }
}

#[cfg(test)]
impl Check {
    /// Which compiled unit this is, to tell two apart.
    pub(crate) fn identity(&self) -> Option<usize> {
        self.unit.0.get().map(|unit| Arc::as_ptr(&unit.validator) as usize)
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unit(..)")
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.slot)
    }
}

impl Check {
    /// Tells whether a value keeps the schema; the value comes back as it was.
    ///
    /// What would take too long to judge does not keep it.
    pub(crate) fn holds(&self, value: &mut Value) -> bool {
        let may = self.effort().is_none_or(|effort| effort.may_judge(value));
        may && self
            .with(value, false, |validator, whole| stepping::bounded(|| validator.is_valid(whole)) == (true, false))
    }

    /// What is wrong with a value that does not keep the schema, its places behind `prefix`.
    ///
    /// Where telling would take too long, one fault says that the whole breaks it.
    pub(crate) fn complain(&self, value: &mut Value, prefix: &str, faults: &mut Vec<BodyFault>) {
        if let Some(effort) = self.effort().filter(|effort| !effort.may_tell(value)) {
            let message = "matches none of the described forms, and is too large or too deep to tell why";
            return add(faults, prefix.to_owned(), effort.keyword, message);
        }
        self.with(value, (), |validator, whole| {
            let (errors, unknown) = stepping::bounded(|| validator.iter_errors(whole));
            for error in errors {
                if faults.len() >= FAULTS_MAX {
                    return;
                }
                tell(&error, prefix, faults);
            }
            if unknown && faults.is_empty() {
                add(faults, prefix.to_owned(), "pattern", stepping::TOO_LONG);
            }
        });
    }

    fn effort(&self) -> Option<&Effort> {
        self.unit.0.get()?.efforts.get(self.number)
    }

    /// The unit judges an object whose only key is the slot: so one compiled tree serves all schemas of a document.
    fn with<T>(&self, value: &mut Value, unfilled: T, act: impl FnOnce(&Validator, &Value) -> T) -> T {
        let Some(Filled { validator, .. }) = self.unit.0.get() else {
            // A unit is filled before its operations can be asked; an empty one holds nothing to be sound.
            return unfilled;
        };
        let mut map = Map::new();
        map.insert(self.slot.to_string(), value.take());
        let mut whole = Value::Object(map);
        let result = act(validator, &whole);
        if let Some(own) = whole.as_object_mut().and_then(|map| map.remove(&*self.slot)) {
            *value = own;
        }
        result
    }
}

/// Adds a fault of a check that no schema makes.
pub(crate) fn add(faults: &mut Vec<BodyFault>, pointer: String, keyword: &str, message: &str) {
    let fault = BodyFault { pointer, keyword: keyword.to_owned(), message: message.to_owned() };
    if faults.len() < FAULTS_MAX && !faults.contains(&fault) {
        faults.push(fault);
    }
}

/// A client's own name where it looks like one, else `*`: identity numbers and addresses were seen as keys.
pub(crate) fn shown(name: &str) -> &str {
    let named = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if named { name } else { "*" }
}

fn tell(error: &ValidationError<'_>, prefix: &str, faults: &mut Vec<BodyFault>) {
    let pointer = format!("{prefix}{}", pointer(error));
    let keyword = error.kind().keyword();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            for name in unexpected {
                add(faults, format!("{pointer}/{}", shown(name)), keyword, "is not described by the contract");
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            add(faults, format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")), keyword, "is required");
        }
        // A closed object without properties: draft 4 has no other schema that allows nothing.
        ValidationErrorKind::FalseSchema => {
            add(faults, pointer, "additionalProperties", "has a property that the contract does not describe");
        }
        ValidationErrorKind::BacktrackLimitExceeded { .. } | ValidationErrorKind::RegexEngineFailure { .. } => {
            add(faults, pointer, "pattern", stepping::TOO_LONG);
        }
        ValidationErrorKind::Custom { keyword, message } if keyword == stepping::KEYWORD => {
            add(faults, pointer, "pattern", message);
        }
        ValidationErrorKind::Custom { keyword, message } => add(faults, pointer, keyword, message),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            add(faults, pointer, keyword, "matches none of the described forms");
            if let Some(nearest) = nearest(context) {
                let base = prefix.to_owned();
                nearest.iter().for_each(|error| tell(error, &base, faults));
            }
        }
        kind => add(faults, pointer, keyword, &message(kind)),
    }
}

/// The faults of the alternative that was meant: the only one that a type or a closed list of values does not rule out.
fn nearest<'c>(context: &'c [Vec<ValidationError<'static>>]) -> Option<&'c Vec<ValidationError<'static>>> {
    if context.len() > ALTERNATIVES_MAX {
        return None;
    }
    let ruled_out = |errors: &&Vec<ValidationError<'static>>| {
        errors
            .iter()
            .any(|error| matches!(error.kind(), ValidationErrorKind::Enum { .. } | ValidationErrorKind::Type { .. }))
    };
    let mut meant = context.iter().filter(|errors| !errors.is_empty() && !ruled_out(errors));
    meant.next().filter(|_| meant.next().is_none())
}

/// The place of an error below its slot, with names that may be somebody's data left out.
fn pointer(error: &ValidationError<'_>) -> String {
    let mut out = String::new();
    for token in error.instance_path().as_str().split('/').skip(2) {
        out.push('/');
        let index = !token.is_empty() && token.len() < 8 && token.bytes().all(|digit| digit.is_ascii_digit());
        out.push_str(if index { token } else { shown(token) });
    }
    out
}

/// Says a broken rule in the contract's words.
fn message(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Type { kind: TypeKind::Single(one) } => format!("must be of type {one}"),
        ValidationErrorKind::Type { .. } => "must be of another type".to_owned(),
        ValidationErrorKind::MinLength { limit } => {
            format!("must have at least {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => format!("may have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("may have at most {limit} items"),
        ValidationErrorKind::MinProperties { limit } => {
            format!("must have at least {limit} properties")
        }
        ValidationErrorKind::MaxProperties { limit } => {
            format!("may have at most {limit} properties")
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("may be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {multiple_of}")
        }
        ValidationErrorKind::Pattern { pattern } => format!("must match {pattern}"),
        ValidationErrorKind::Format { format } => format!("must be a valid {format}"),
        ValidationErrorKind::Enum { options } => format!("must be one of {options}"),
        ValidationErrorKind::UniqueItems => "must not repeat an item".to_owned(),
        ValidationErrorKind::OneOfMultipleValid { .. } => "matches more than one of the described forms".to_owned(),
        _ => "is not allowed by the contract".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unfilled_unit_holds_nothing_to_be_sound() {
        let mut value = json!({"a": 1});
        assert!(!Unit::default().check(0).holds(&mut value));
        assert_eq!(value, json!({"a": 1}));
    }

    #[test]
    fn a_clients_own_name_is_repeated_up_to_a_limit() {
        let longest = "n".repeat(NAME_BYTES_MAX);
        assert_eq!(shown(&longest), longest);
        assert_eq!(shown(&format!("{longest}n")), "*");
    }
}
