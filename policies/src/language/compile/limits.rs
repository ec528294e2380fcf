//! How much may be asked for: named limits, and the plans of clients.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::lists::distinct;
use super::names::Names;
use crate::id::PlanId;
use crate::language::decode::{Fields, Value};
use crate::language::document::Key;
use crate::language::problem::{Problem, quoted};
use crate::language::tables::{LIMIT, PLAN};
use crate::limit::{Dimension, Limit, Mode};
use crate::rulebook::Plan;

/// Reads a plan; its limits are written out or named.
pub(super) fn plan(key: &Key, value: Value<'_>, named: &Names<Arc<Limit>>) -> Option<Arc<Plan>> {
    if let Some(other) = named.place(&key.text) {
        // Both would stand in the names of buckets, and count into each other's.
        value.report(
            Problem::error("P0201", &key.place, format!("{} is a plan and a limit", quoted(&key.text)))
                .label("the plan")
                .related(other, "the limit")
                .help("give one of the two another name: a refused call is told the name"),
        );
    }
    let fields = value.table(&PLAN)?;
    let list = fields.at("limits")?;
    let limits = list.items(|item| {
        let found = if item.is_mapping() {
            item.mapping().and_then(|fields| limit(&key.text, &fields))
        } else {
            named.resolve(item, "limit").map(|limit| (**limit).clone())
        };
        Some((found?, item))
    })?;
    if limits.is_empty() {
        list.report(list.fault("P0111", "`limits` has no limit").label("a plan without limits would limit nothing"));
        return None;
    }
    let mut sound = true;
    for (index, (limit, item)) in limits.iter().enumerate() {
        if let Some((_, first)) = limits.iter().take(index).find(|(other, _)| other.id == limit.id) {
            item.report(
                item.fault("P0110", "the same limit stands twice in the plan")
                    .label("counts by the same and has the same rate")
                    .related(first.place(), "first"),
            );
            sound = false;
        }
    }
    let limits = limits.into_iter().map(|(limit, _)| limit).collect();
    sound.then_some(Arc::new(Plan { id: PlanId::parse(&key.text).ok()?, limits }))
}

/// Reads a limit that others name.
pub(super) fn named(key: &Key, value: Value<'_>) -> Option<Arc<Limit>> {
    limit(&key.text, &value.table(&LIMIT)?).map(Arc::new)
}

fn limit(name: &str, fields: &Fields<'_>) -> Option<Limit> {
    let dimension = |word: &str| Dimension::ALL.into_iter().find(|dimension| dimension.word() == word);
    let per = fields.at("per").and_then(|list| {
        let dimensions = list.items(|item| Some((item.word(dimension)?, item)))?;
        distinct(list, dimensions, "dimension")
    });
    let rate = fields.at("rate").and_then(Value::rate);
    let burst = fields.at("burst").and_then(Value::count);
    let mode = fields.at("mode").map_or(Some(Mode::Enforce), mode);
    let (per, rate, burst, mode) = (per?, rate?, burst?, mode?);
    let words: Vec<&str> = per.iter().map(|dimension| dimension.word()).collect();
    let per: Vec<Dimension> = per.iter().copied().collect();
    let id = format!("{name}:{}:{rate}", words.join("+"));
    Some(Limit { mode, ..Limit::bucket(&id, &per, rate, NonZeroU32::new(u32::try_from(burst).ok()?)?) })
}

/// Reads whether a rule is enforced.
pub(super) fn mode(value: Value<'_>) -> Option<Mode> {
    value.word(|word| Mode::ALL.into_iter().find(|mode| mode.word() == word))
}
