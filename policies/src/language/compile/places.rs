//! Places in bodies that policies name, held against what contracts describe: a misspelt one would never be found there.
//!
//! What an open shape does not describe may be there all the same, and is warned of. A mask of which nothing is described
//! anywhere is refused: what it was meant to hide would go out in clear.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::facts::{FieldKind, OperationFacts, Shape};
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::{Place, Problem, quoted};
use crate::language::suggest::{did_you_mean, listed};
use crate::mask::FieldPath;

/// What was told of one operation and need not be told of the next.
pub(super) type Told = RefCell<HashSet<(Place, String)>>;

/// Tells whether an amount may stand at a place of an operation's body, and reports if it cannot.
pub(super) fn amount(value: Value<'_>, pointer: &str, facts: &OperationFacts, key: &Key, told: &Told) -> bool {
    let Some(path) = FieldPath::parse(pointer) else { return false };
    let found = kinds(&facts.body, &path);
    let message = match found.first() {
        Some(FieldKind::Object | FieldKind::Any) => return true,
        Some(_) => format!("no amount stands at {}", quoted(pointer)),
        None if facts.body.open => {
            let help = guess(&[&facts.body], pointer, true);
            undescribed((value, pointer, "where it is not there, the call is denied"), facts, key, (help, told));
            return true;
        }
        None => format!("the body has no {}", quoted(pointer)),
    };
    if told.borrow_mut().insert((value.place().clone(), message.clone())) {
        let problem = value.fault("P0305", message).label("an object with `amount` and `currency` is compared");
        value.report(used_by(problem, facts, key).help_if(guess(&[&facts.body], pointer, true)));
    }
    false
}

/// Tells whether a field of the request's body may be there, and reports if it cannot.
pub(super) fn noted(value: Value<'_>, path: &FieldPath, facts: &OperationFacts, key: &Key, told: &Told) -> bool {
    // What streams through is refused by `readable`.
    if facts.body_streams || !kinds(&facts.body, path).is_empty() {
        return true;
    }
    if facts.body.open {
        let help = guess(&[&facts.body], path.as_str(), false);
        undescribed((value, path.as_str(), "where it is not there, nothing is noted"), facts, key, (help, told));
        return true;
    }
    let message = format!("the body has no {}", quoted(path.as_str()));
    if told.borrow_mut().insert((value.place().clone(), message.clone())) {
        let problem = value.fault("P0305", message).label("nothing could be noted");
        value.report(used_by(problem, facts, key).help_if(guess(&[&facts.body], path.as_str(), false)));
    }
    false
}

/// Tells whether an operation's answer may name a thing at a place, and reports if it cannot.
pub(super) fn named(value: Value<'_>, pointer: &str, facts: &OperationFacts) -> bool {
    let Some(path) = FieldPath::parse(pointer) else { return false };
    let shown = format!("{} {}, {}", facts.method, facts.template, facts.origin);
    let guessed = || guess(&[&facts.answer], pointer, false);
    if facts.answer_streams {
        let message = format!("the answer of {} is not read", quoted(&facts.id));
        value.report(value.fault("P0316", message).label("it streams through, and names nothing here").help(shown));
        return false;
    }
    let found = kinds(&facts.answer, &path);
    let message = match found.first() {
        Some(FieldKind::Object | FieldKind::Array) => {
            let message = format!("nothing is named at {}", quoted(pointer));
            value.report(value.fault("P0305", message).label("a text or a number names a thing").help(shown));
            return false;
        }
        Some(_) => return true,
        None if facts.answer.open => {
            let message = format!("the contract describes no {} in the answer", quoted(pointer));
            let problem = Problem::warning("P0411", value.place(), message);
            value.report(problem.label("where it is not there, nothing begins").help_if(guessed()));
            return true;
        }
        None => format!("the answer of {} has no {}", quoted(&facts.id), quoted(pointer)),
    };
    value.report(value.fault("P0305", message).label(shown).help_if(guessed()));
    false
}

/// Holds the fields of a mask against the bodies of the operations that use it, and reports what is nowhere described.
pub(super) fn masked<'f>(fields: &[(FieldPath, Value<'_>)], users: &[(&'f OperationFacts, &Key)]) {
    let Some((facts, key)) = users.first() else { return };
    let of = |facts: &'f OperationFacts| [Some(&facts.answer), Some(&facts.body).filter(|_| facts.has_body)];
    let shapes: Vec<&Shape> = users.iter().flat_map(|(facts, _)| of(facts)).flatten().collect();
    let described = |path: &FieldPath| shapes.iter().any(|shape| !kinds(shape, path).is_empty());
    let one_is = fields.iter().any(|(path, _)| described(path));
    for (path, value) in fields.iter().filter(|(path, _)| !described(path)) {
        let name = quoted(path.as_str());
        let problem = if shapes.iter().all(|shape| !shape.open) {
            value
                .fault("P0305", format!("no operation with this mask has the field {name}"))
                .label("nothing would be hidden")
        } else if !one_is && !shapes.iter().any(|shape| left_open(shape, path)) {
            value
                .fault("P0305", format!("no operation with this mask describes the field {name}"))
                .label("no field of the mask is described: nothing would be hidden")
        } else {
            Problem::warning("P0411", value.place(), format!("no operation with this mask describes the field {name}"))
                .label("where it is not there, nothing is hidden")
        };
        value.report(used_by(problem, facts, key).help_if(guess(&shapes, path.as_str(), false)));
    }
}

// Warns of a place that an open body does not describe.
fn undescribed(
    (value, pointer, label): (Value<'_>, &str, &str),
    facts: &OperationFacts,
    key: &Key,
    (help, told): (Option<String>, &Told),
) {
    let message = format!("the contract describes no {} in the body", quoted(pointer));
    if told.borrow_mut().insert((value.place().clone(), message.clone())) {
        let problem = Problem::warning("P0411", value.place(), message).label(label);
        value.report(used_by(problem, facts, key).help_if(help));
    }
}

// Tells whether a path leads into a part of which the contract describes nothing, so that no other name is likelier.
fn left_open(shape: &Shape, path: &FieldPath) -> bool {
    let known: Vec<FieldPath> = shape.fields.iter().filter_map(|(pointer, _)| FieldPath::parse(pointer)).collect();
    let below = |depth: usize| {
        known.iter().filter(move |known| {
            known.parts().len() >= depth
                && known.parts().iter().zip(path.parts()).take(depth).all(|(known, wanted)| fits(known, wanted))
        })
    };
    let nothing_below = |depth: usize| below(depth).all(|known| known.parts().len() == depth);
    let there = |depth: usize| depth == 0 || below(depth).next().is_some();
    shape.open && (0..path.parts().len()).any(|depth| there(depth) && nothing_below(depth))
}

fn used_by(problem: Problem, facts: &OperationFacts, key: &Key) -> Problem {
    let label = format!("{} {}, {}", facts.method, facts.template, facts.origin);
    problem.related(&key.place, format!("used by {}  ({label})", quoted(&facts.id)))
}

fn kinds(shape: &Shape, path: &FieldPath) -> Vec<FieldKind> {
    if let Some(kind) = shape.kind(path.as_str()) {
        return vec![kind];
    }
    let there = |(pointer, _): &&(String, FieldKind)| {
        let Some(known) = FieldPath::parse(pointer) else { return false };
        let mut pairs = known.parts().iter().zip(path.parts());
        known.parts().len() == path.parts().len() && pairs.all(|(known, wanted)| fits(known, wanted))
    };
    shape.fields.iter().filter(there).map(|(_, kind)| *kind).collect()
}

// Tells whether a part of a described place is what a path asks for.
fn fits(known: &str, wanted: &str) -> bool {
    let index = || !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
    known == wanted || wanted == "*" || (known == "*" && index())
}

fn guess(shapes: &[&Shape], pointer: &str, objects: bool) -> Option<String> {
    let wanted = |kind: FieldKind| !objects || matches!(kind, FieldKind::Object | FieldKind::Any);
    let known = || {
        shapes.iter().flat_map(|shape| &shape.fields).filter(|(_, kind)| wanted(*kind)).map(|(known, _)| known.as_str())
    };
    match did_you_mean(pointer, known()) {
        Some(place) => Some(format!("did you mean `{place}`?")),
        None if known().next().is_none() => None,
        None => Some(format!("known: {}", listed(known()))),
    }
}
