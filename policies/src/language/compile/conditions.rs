//! Conditions in policies: compiled once, and again for an operation whose body they name; faults get their place.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::condition::{Condition, ConditionFault};
use crate::facts::{OperationFacts, Shape};
use crate::language::decode::Value;
use crate::language::document::{Content, Key, Style};
use crate::language::problem::{Place, Problem, Source, quoted};
use crate::language::within::place_within;

/// The conditions of a set; one that stands in defaults is compiled once for all operations whose body it does not name.
pub(super) struct Conditions<'a> {
    sources: HashMap<&'a str, &'a Source>,
    known: RefCell<HashMap<Place, Option<Arc<Condition>>>>,
    // Operations whose bodies are alike share what came of a condition: reading one is dear.
    alike: RefCell<HashMap<Place, Vec<Alike>>>,
    // What was told of one operation is not told of the next.
    told: RefCell<HashSet<(Place, String)>>,
}

/// What came of a condition for operations with such a body.
struct Alike {
    has_body: bool,
    body: Shape,
    found: Option<Arc<Condition>>,
}

/// How many kinds of bodies are remembered for one condition: looking through them has to stay cheaper than reading it.
const ALIKE_MAX: usize = 64;

impl<'a> Conditions<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        let sources = sources.iter().map(|source| (&*source.name, source)).collect();
        Self { sources, known: RefCell::default(), alike: RefCell::default(), told: RefCell::default() }
    }

    /// Compiles a condition as far as no operation has to be known; its faults are told.
    pub(super) fn of(&self, value: Value<'_>) -> Option<Arc<Condition>> {
        if let Some(found) = self.known.borrow().get(value.place()) {
            return found.clone();
        }
        let text = value.condition_text();
        let compiled = text.and_then(|text| self.compile(value, text, None));
        self.known.borrow_mut().insert(value.place().clone(), compiled.clone());
        compiled
    }

    /// Compiles a condition for an operation that it is asked of.
    pub(super) fn of_operation(&self, value: Value<'_>, facts: &OperationFacts, key: &Key) -> Option<Arc<Condition>> {
        let general = self.of(value)?;
        if !general.names_body() {
            return Some(general);
        }
        let same = |alike: &&Alike| alike.has_body == facts.has_body && alike.body == facts.body;
        if let Some(alike) = self.alike.borrow().get(value.place()).and_then(|all| all.iter().find(same)) {
            return alike.found.clone();
        }
        let found = self.compile(value, value.condition_text()?, Some((facts, key)));
        let mut alike = self.alike.borrow_mut();
        let all = alike.entry(value.place().clone()).or_default();
        if all.len() < ALIKE_MAX {
            all.push(Alike { has_body: facts.has_body, body: facts.body.clone(), found: found.clone() });
        }
        found
    }

    fn compile(
        &self,
        value: Value<'_>,
        text: &str,
        operation: Option<(&OperationFacts, &Key)>,
    ) -> Option<Arc<Condition>> {
        match Condition::compile(text, &value.place().origin(), operation.map(|(facts, _)| facts)) {
            Ok(condition) => Some(Arc::new(condition)),
            Err(faults) => {
                for fault in faults {
                    self.tell(value, text, fault, operation);
                }
                None
            }
        }
    }

    fn tell(&self, value: Value<'_>, text: &str, fault: ConditionFault, operation: Option<(&OperationFacts, &Key)>) {
        let style = match &value.node().content {
            Content::Scalar { style, .. } => *style,
            _ => Style::Plain,
        };
        let place = match self.sources.get(&*value.place().file) {
            Some(source) => place_within(source, value.place(), style, text, fault.offset, fault.length),
            None => value.place().clone(),
        };
        if !self.told.borrow_mut().insert((place.clone(), fault.message.clone())) {
            return;
        }
        let mut problem = Problem::error("P0306", &place, fault.message).help_if(fault.help);
        if let Some((facts, key)) = operation {
            problem = problem.related(
                &key.place,
                format!("asked of {}  ({} {}, {})", quoted(&facts.id), facts.method, facts.template, facts.origin),
            );
        }
        value.report(problem);
    }
}
