//! Loosenings that somebody answers for: what they let be looser, and until when.

use std::cell::Cell;

use super::parties::{DAY, EXPIRY_WARNING, days_left};
use crate::language::decode::Value;
use crate::language::document::Key;
use crate::language::problem::{Coming, Problem, quoted};
use crate::language::tables::OVERRIDE;
use crate::rulebook::Override;
use crate::time::Timestamp;

/// An override of one operation.
pub(super) struct Waiver<'n> {
    value: Value<'n>,
    expires: Value<'n>,
    given: Override,
    replaces: Vec<(&'n str, Value<'n>)>,
    now: Timestamp,
    // Whether anything would be refused without it.
    needed: Cell<bool>,
}

impl<'n> Waiver<'n> {
    pub(super) fn read(value: Value<'n>, now: Timestamp) -> Option<Self> {
        let fields = value.table(&OVERRIDE)?;
        let reason = fields.at("reason").and_then(Value::text);
        let approved_by = fields.at("approvedBy").and_then(Value::text);
        let expires = fields.at("expires");
        let ends = expires.and_then(Value::date).map(|day| day + DAY);
        let replaces = match fields.at("replaces") {
            None => Some(Vec::new()),
            Some(list) => list.items(|item| {
                item.word(|_| Some(()))?;
                Some((item.text()?, item))
            }),
        };
        let given = Override {
            reason: reason?.to_owned(),
            approved_by: approved_by?.to_owned(),
            ends: ends?,
            origin: value.key_place().origin(),
        };
        Some(Self { value, expires: expires?, given, replaces: replaces?, now, needed: Cell::new(false) })
    }

    pub(super) fn in_force(&self) -> bool {
        self.given.ends > self.now
    }

    /// Returns what it is once it is over.
    pub(super) fn ended(&self) -> Self {
        let (given, replaces) = (self.given.clone(), self.replaces.clone());
        Self { given, replaces, now: self.given.ends, needed: Cell::new(false), ..*self }
    }

    /// Has `work` tell its errors as what will be wrong once the override is over.
    pub(super) fn foretelling<R>(&self, work: impl FnOnce() -> R) -> R {
        self.value.foretelling(&self.coming(), work)
    }

    pub(super) fn coming(&self) -> Coming {
        Coming { from: self.given.ends, place: self.expires.place().clone() }
    }

    pub(super) fn value(&self) -> Value<'n> {
        self.value
    }

    pub(super) fn given(&self) -> &Override {
        &self.given
    }

    /// Tells whether the operation's own list stands instead of the inherited one; whoever asks needs it to.
    pub(super) fn replaces(&self, list: &str) -> bool {
        self.replaces.iter().any(|(name, _)| *name == list)
    }

    /// Takes note that something is looser than what is inherited.
    pub(super) fn need(&self) {
        self.needed.set(true);
    }

    pub(super) fn needed(&self) -> bool {
        self.needed.get()
    }

    /// Tells what somebody should look at, once everything was compared.
    pub(super) fn warn(&self, key: &Key, said: impl Fn(&str) -> bool) {
        for (name, item) in self.replaces.iter().filter(|(name, _)| !said(name)) {
            let message = format!("{} says no `{name}` that could stand instead", quoted(&key.text));
            self.value.report(
                Problem::warning("P0409", item.place(), message)
                    .label("replaces nothing")
                    .help(format!("write `{name}` at the operation, `[]` for none at all")),
            );
        }
        if !self.needed.get() {
            self.value.report(
                Problem::warning("P0409", self.value.key_place(), "the override has no effect")
                    .label("nothing here is looser than what is inherited")
                    .help("remove it"),
            );
        } else if !self.in_force() {
            self.value.report(
                Problem::warning("P0407", self.expires.place(), "the override is over")
                    .label("was the last day")
                    .help("what is inherited holds again: remove the override and what it let be looser, or have it approved anew"),
            );
        } else if self.given.ends <= self.now + EXPIRY_WARNING {
            self.value.report(
                Problem::warning("P0408", self.expires.place(), "the override ends soon")
                    .label(days_left(self.given.ends, self.now))
                    .help("after that day what is inherited holds again"),
            );
        }
    }
}
