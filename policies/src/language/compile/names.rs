//! What is defined under which name, so that references can be resolved and misspelt ones be guessed.

use std::collections::HashMap;

use crate::id::PlanId;
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::{Place, Problem, quoted};
use crate::language::suggest::did_you_mean;

/// The definitions of one kind, from all files, as they were found.
#[derive(Default)]
pub(super) struct Section<'n> {
    entries: Vec<(&'n Key, Value<'n>)>,
    first: HashMap<&'n str, &'n Key>,
}

impl<'n> Section<'n> {
    /// Takes in what one file defines; a name that another file has defined is reported.
    pub(super) fn collect(&mut self, value: Value<'n>) {
        // Every kind of name has the same form.
        self.take(value, is_name, "keep one of the two, or give one another name");
    }

    /// Takes in what one file defines of contracts' things, which cannot be given another name.
    pub(super) fn collect_of_contracts(&mut self, value: Value<'n>) {
        self.take(
            value,
            is_name,
            "an API is defined in one place: change the file that defines it, or keep one of the two",
        );
    }

    /// Takes in what one file defines under names of another form; `form` says what is wrong with one.
    pub(super) fn collect_as(&mut self, value: Value<'n>, form: impl Fn(&str) -> Result<(), String>) {
        self.take(value, form, "keep one of the two, or give one another name");
    }

    fn take(&mut self, value: Value<'n>, form: impl Fn(&str) -> Result<(), String>, help: &str) {
        for (key, definition) in value.entries().unwrap_or_default() {
            if let Err(error) = form(&key.text) {
                definition.report(
                    Problem::error("P0112", &key.place, format!("{} is no name", quoted(&key.text))).label(error),
                );
            }
            if let Some(first) = self.first.get(key.text.as_str()) {
                definition.report(
                    Problem::error("P0201", &key.place, format!("{} is defined twice", quoted(&key.text)))
                        .label("second")
                        .related(&first.place, "first")
                        .help(help),
                );
                continue;
            }
            self.first.insert(&key.text, key);
            self.entries.push((key, definition));
        }
    }

    /// Goes through the definitions as they are written.
    pub(super) fn definitions(&self) -> impl Iterator<Item = (&'n Key, Value<'n>)> {
        self.entries.iter().copied()
    }

    /// Reads every definition; one that cannot be read keeps its name, so that references to it are no second fault.
    ///
    /// `whole` tells whether every file could be parsed.
    pub(super) fn read<T>(&self, whole: bool, mut read: impl FnMut(&'n Key, Value<'n>) -> Option<T>) -> Names<'n, T> {
        let mut names = Names { values: Vec::with_capacity(self.entries.len()), index: HashMap::new(), whole };
        for (key, value) in &self.entries {
            names.index.insert(key.text.clone(), names.values.len());
            names.values.push((*key, read(key, *value)));
        }
        names
    }
}

fn is_name(text: &str) -> Result<(), String> {
    PlanId::parse(text).map(|_| ()).map_err(|error| error.to_string())
}

/// What was read of one kind, in the order of the files.
pub(super) struct Names<'n, T> {
    values: Vec<(&'n Key, Option<T>)>,
    index: HashMap<String, usize>,
    // Whether there may be no more names than these.
    whole: bool,
}

impl<'n, T> Names<'n, T> {
    /// Resolves a reference; an unknown one is reported, one to a definition that was reported itself is not.
    pub(super) fn resolve(&self, value: Value<'_>, what: &str) -> Option<&T> {
        let text = value.text()?;
        let Some(at) = self.index.get(text) else {
            let known = self.values.iter().map(|(key, _)| key.text.as_str());
            // It may be defined in a file that could not be parsed; then only a near miss is worth telling.
            if !value.is_past_telling() && (self.whole || did_you_mean(text, known.clone()).is_some()) {
                value.unknown("P0108", what, text, known);
            }
            return None;
        };
        self.values.get(*at).and_then(|(_, found)| found.as_ref())
    }

    /// Returns what a name stands for, if it is defined and could be read.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.index.get(name).and_then(|at| self.values.get(*at)).and_then(|(_, found)| found.as_ref())
    }

    /// Returns where a name is defined.
    pub(super) fn place(&self, name: &str) -> Option<&'n Place> {
        self.index.get(name).and_then(|at| self.values.get(*at)).map(|(key, _)| &key.place)
    }

    /// Goes through what could be read.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.iter().filter_map(|(_, found)| found.as_ref())
    }

    /// Goes through every name; with nothing where the definition could not be read.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, Option<&T>)> {
        self.values.iter().map(|(key, found)| (key.text.as_str(), found.as_ref()))
    }

    /// Tells whether every definition could be read.
    pub(super) fn complete(&self) -> bool {
        self.whole && self.values.iter().all(|(_, found)| found.is_some())
    }

    /// Takes what could be read, in order.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.values.into_iter().filter_map(|(_, found)| found)
    }
}
