//! Conditions that administrators write in CEL (Common Expression Language): checked at load, judged per request.
//!
//! The crate `cel` parses and evaluates. It has no cost limit and no static checker, so what a condition may name and how
//! large it may be is checked here before it is ever evaluated. Must never know where a fact came from.

mod check;
pub mod context;
mod facts;
mod fault;
mod function;
mod parse;
mod slot;
mod value;

use std::sync::Arc;

use cel::common::types::CelBool;
use cel::{Context, ExecutionError, IdedExpr};

use crate::facts::OperationFacts;
use slot::{Held, Slot};

pub use check::{COST_MAX, NODES_MAX};
pub use context::{Fact, FactId, FactKind, Function};
pub use facts::{ConditionFacts, KnownAmount, KnownBody};
pub use fault::ConditionFault;
pub use function::PATTERN_BYTES_MAX;
pub use parse::{DEPTH_MAX, OPERATORS_MAX, TEXT_BYTES_MAX};
pub use value::TEXT_VALUE_BYTES_MAX;

/// A condition that passed every check at load; made only by [`Condition::compile`].
#[derive(Debug, Clone)]
pub struct Condition {
    text: Arc<str>,
    origin: Arc<str>,
    program: Arc<Program>,
}

#[derive(Debug)]
struct Program {
    expression: IdedExpr,
    slots: Vec<Slot>,
}

/// Why a condition could not be judged; whoever asked has to deny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJudged {
    /// Why, without any value of the request.
    pub why: String,
}

impl Condition {
    /// Reads a condition and checks names, kinds and size; `operation` tells what a body may hold, if it is known.
    ///
    /// # Errors
    /// Every fault, by place.
    pub fn compile(text: &str, origin: &str, operation: Option<&OperationFacts>) -> Result<Self, Vec<ConditionFault>> {
        let parsed = parse::parse(text).map_err(|fault| vec![fault])?;
        let checked = check::check(&parsed, operation)?;
        let program = Program { expression: checked.expression, slots: checked.slots };
        Ok(Self { text: Arc::from(text), origin: Arc::from(origin), program: Arc::new(program) })
    }

    /// Returns the text as the administrator wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns where it stands, `file:line`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Tells whether it names the body, so that it cannot be judged before the body is read.
    #[must_use]
    pub fn names_body(&self) -> bool {
        self.program.slots.iter().any(Slot::is_of_body)
    }

    /// Goes through the facts that it names besides the body.
    pub fn facts(&self) -> impl Iterator<Item = FactId> {
        self.program.slots.iter().filter_map(|slot| match slot {
            Slot::Fact(id) => Some(*id),
            _ => None,
        })
    }

    /// Judges a request.
    ///
    /// # Errors
    /// [`NotJudged`] if a fact is missing or the evaluation fails; the caller denies then.
    pub fn judge(&self, facts: &ConditionFacts<'_>) -> Result<bool, NotJudged> {
        let slots = &self.program.slots;
        let held = Held::take(slots, facts).map_err(|index| {
            let written = slots.get(index).map(Slot::written).unwrap_or_default();
            NotJudged { why: format!("`{written}` is longer than conditions look at") }
        })?;
        let mut context = Context::with_env(Arc::clone(&value::ENV));
        context.set_variable_resolver(&held);
        let judged = cel::Value::resolve_val(&self.program.expression, &context);
        match judged {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(value) => Ok(*value.inner()),
                None => Err(NotJudged { why: "what comes of it is neither true nor false".to_owned() }),
            },
            Err(error) => Err(NotJudged { why: self.reason(&error, &held) }),
        }
    }

    /// Says why an evaluation failed; what `cel` says itself would hold values.
    fn reason(&self, error: &ExecutionError, held: &Held<'_>) -> String {
        let known =
            |said: &str| [value::TOO_LARGE, value::BAD_MONEY, value::BAD_ADDRESS].into_iter().find(|why| *why == said);
        match error {
            ExecutionError::UndeclaredReference(_) => {
                let missing = held.missing().filter_map(|index| self.program.slots.get(index));
                let missing: Vec<String> = missing.map(|slot| format!("`{}`", slot.written())).collect();
                format!("{} is not there", missing.join(" or "))
            }
            ExecutionError::NoSuchKey(_) => "a member that it asks for is not there".to_owned(),
            ExecutionError::IndexOutOfBounds(_) => "a list has not so many items".to_owned(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".to_owned(),
            ExecutionError::Overflow(..) => "a number became too large".to_owned(),
            ExecutionError::FunctionError { message, .. } => known(message).unwrap_or("a function failed").to_owned(),
            _ => "a value is of another kind than it asks for".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
