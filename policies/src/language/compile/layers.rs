//! What is said of operations in three layers, defaults, API and operation, and how it is merged: it only gets stricter.
//!
//! Which of two values is stricter is the tables' business; who may loosen is an override's.

use std::collections::BTreeSet;
use std::time::Duration;

use super::overrides::Waiver;
use crate::language::decode::Value;
use crate::language::effective::Layer;
use crate::language::problem::{Place, Problem};
use crate::language::strict::{Comparison, compare};
use crate::language::suggest::listed;
use crate::language::table::Field;
use crate::limit::Mode;
use crate::rulebook::{AuditDuty, Role};

/// A value with the words and the place it was given in.
pub(super) struct Given<T> {
    pub(super) value: T,
    pub(super) shown: Vec<String>,
    pub(super) place: Place,
}

/// A value that applies, and the layer that gave it.
pub(super) struct Merged<'t, T> {
    pub(super) given: &'t Given<T>,
    pub(super) layer: Layer,
}

impl<T> Clone for Merged<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Merged<'_, T> {}

/// A list that applies: what the layers add up to.
pub(super) struct Union<'t, T> {
    pub(super) items: Vec<(&'t str, &'t T, Layer)>,
    pub(super) place: &'t Place,
    pub(super) layer: Layer,
}

impl<T> Clone for Union<'_, T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), place: self.place, layer: self.layer }
    }
}

/// Single values that may be said in more than one layer.
#[derive(Default)]
pub(super) struct Bounds {
    pub(super) roles: Option<Given<BTreeSet<Role>>>,
    pub(super) body_bytes: Option<Given<usize>>,
    pub(super) timeout: Option<Given<Duration>>,
    pub(super) audit: Option<Given<AuditDuty>>,
    pub(super) responses: Option<Given<Mode>>,
}

/// Merges one layer with what it inherits.
pub(super) struct Merge<'a, 'n> {
    /// What the layer is written in.
    pub(super) owner: Value<'n>,
    pub(super) layer: Layer,
    pub(super) waiver: Option<&'a Waiver<'n>>,
    /// Whether nothing was looser without leave.
    pub(super) sound: bool,
}

impl Merge<'_, '_> {
    /// Merges a single value.
    pub(super) fn single<'t, T>(
        &mut self,
        field: &'static Field,
        inherited: Option<Merged<'t, T>>,
        own: Option<&'t Given<T>>,
    ) -> Option<Merged<'t, T>> {
        let (from, own) = match (inherited, own) {
            (Some(from), Some(own)) => (from, own),
            (from, own) => return own.map(|given| Merged { given, layer: self.layer }).or(from),
        };
        let found = compare(&field.kind, field.stricter, field.need, Some(&from.given.shown), Some(&own.shown));
        if matches!(found, Comparison::Same | Comparison::Stricter) {
            return Some(Merged { given: own, layer: self.layer });
        }
        match self.waiver {
            Some(waiver) => {
                waiver.need();
                if waiver.in_force() { Some(Merged { given: own, layer: Layer::Override }) } else { Some(from) }
            }
            None => {
                self.refuse(field.name, from, own);
                Some(from)
            }
        }
    }

    /// Merges a list: the layer adds to what it inherits, or stands instead of it where an override says so.
    pub(super) fn list<'t, T>(
        &mut self,
        field: &'static Field,
        inherited: Option<&Union<'t, T>>,
        own: Option<&'t Given<Vec<T>>>,
    ) -> Option<Union<'t, T>> {
        let Some(own) = own else { return inherited.cloned() };
        let replaced = self.waiver.filter(|waiver| waiver.replaces(field.name));
        let lost =
            inherited.is_some_and(|from| from.items.iter().any(|(name, ..)| !own.shown.iter().any(|n| n == name)));
        if let Some(waiver) = replaced.filter(|_| lost) {
            waiver.need();
        }
        let alone = replaced.is_some_and(Waiver::in_force);
        let layer = if alone && lost { Layer::Override } else { self.layer };
        if own.value.is_empty() && replaced.is_none() {
            self.refuse_empty(field.name, &own.place, inherited);
        }
        let mut items = Vec::new();
        if let Some(from) = inherited.filter(|_| !alone) {
            items.extend(from.items.iter().copied());
        }
        for (name, value) in own.shown.iter().zip(&own.value) {
            if !items.iter().any(|(known, ..): &(&str, &T, Layer)| known == name) {
                items.push((name, value, layer));
            }
        }
        Some(Union { items, place: &own.place, layer })
    }

    /// Merges a list that is no matter of strictness: the layer's own stands instead of the inherited one.
    pub(super) fn instead<'t, T>(
        &mut self,
        inherited: Option<&Union<'t, T>>,
        own: Option<&'t Given<Vec<T>>>,
    ) -> Option<Union<'t, T>> {
        let Some(own) = own else { return inherited.cloned() };
        let items = own.shown.iter().map(String::as_str).zip(&own.value).map(|(name, value)| (name, value, self.layer));
        Some(Union { items: items.collect(), place: &own.place, layer: self.layer })
    }

    fn refuse<T>(&mut self, name: &str, from: Merged<'_, T>, own: &Given<T>) {
        self.sound = false;
        let source = match from.layer {
            Layer::Defaults => "the set",
            _ => "its API",
        };
        let place = &own.place;
        if name == "roles" {
            let extra = own.shown.iter().filter(|role| !from.given.shown.contains(role)).map(String::as_str);
            let of = if source == "the set" { source } else { "the API" };
            self.owner.report(
                Problem::error("P0312", place, format!("the defaults of {of} do not let {} in", listed(extra)))
                    .label("more roles than the default")
                    .related(&from.given.place, "the default roles")
                    .help(format!("name fewer roles here, or more there; {}", self.leave())),
            );
            return;
        }
        let (here, default) = (own.shown.join(" "), from.given.shown.join(" "));
        let help = match name {
            "audit" => "remove this line, or move `audit: required` to the operations that need it".to_owned(),
            "response" => format!("write `{default}`, or loosen the default for all"),
            "consent" => format!("need `{default}` here as well, or take it out of the defaults"),
            _ => format!("write at most {default}, or raise the default for all"),
        };
        self.owner.report(
            Problem::error("P0311", place, format!("`{name}` is looser than the default of {source}"))
                .label(format!("{here} here"))
                .related(&from.given.place, format!("the default is {default}"))
                .help(format!("{help}; {}", self.leave())),
        );
    }

    fn refuse_empty<T>(&mut self, name: &str, place: &Place, inherited: Option<&Union<'_, T>>) {
        self.sound = false;
        let mut problem = Problem::error("P0111", place, format!("`{name}` names nothing"));
        problem = match inherited.filter(|from| !from.items.is_empty()) {
            Some(from) => problem
                .label("an empty list takes nothing away")
                .related(from.place, "this is inherited")
                .help(format!("leave it out; {}", self.leave_to_replace(name))),
            None => problem.label("at least one belongs here").help("leave it out for none"),
        };
        self.owner.report(problem);
    }

    // An API has no override: only an operation is loosened, one by one.
    fn leave(&self) -> &'static str {
        match self.layer {
            Layer::Own => "or add `override: {reason: ..., approvedBy: ..., expires: YYYY-MM-DD}`",
            _ => "or loosen single operations by `override`",
        }
    }

    fn leave_to_replace(&self, name: &str) -> String {
        match self.layer {
            Layer::Own => {
                format!("or add `override: {{reason: ..., approvedBy: ..., expires: YYYY-MM-DD, replaces: [{name}]}}`")
            }
            _ => "or loosen single operations by `override`".to_owned(),
        }
    }
}
