//! What limits count: buckets, quotas, calls under way, polls and sessions; each limit has exactly one shape.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::facts::OperationFacts;
use crate::id::OperationId;
use crate::language::compile::contracts::Contracts;
use crate::language::compile::places;
use crate::language::decode::{Fields, Value};
use crate::language::problem::{Problem, quoted};
use crate::language::units;
use crate::limit::{Bucket, Costs, Credit, Dimension, Polls, Quota, Sessions, Shape, Window};

/// The keys of each shape.
const SHAPES: [(&str, &[&str]); 5] = [
    ("rate", &["rate", "burst", "cost", "credit"]),
    ("quota", &["quota"]),
    ("inFlight", &["inFlight"]),
    ("polls", &["polls"]),
    ("sessions", &["sessions"]),
];

/// What every status costs of which nothing is said.
const OTHERWISE: &str = "otherwise";

/// The statuses that an answer can have.
const STATUSES: std::ops::RangeInclusive<u64> = 200..=599;

/// Reads the shape of a limit that counts by `per`.
pub(super) fn shape(
    fields: &Fields<'_>,
    per: Option<&BTreeSet<Dimension>>,
    contracts: &Contracts<'_>,
) -> Option<Shape> {
    let said = |keys: &[&str]| keys.iter().find_map(|key| fields.optional(key));
    let found: Vec<(&str, Value<'_>)> = SHAPES.iter().filter_map(|(name, keys)| Some((*name, said(keys)?))).collect();
    let Some((first, place)) = found.first() else {
        unsaid(fields);
        return None;
    };
    let alone = found.len() == 1;
    let read = |name: &str| match name {
        "rate" => bucket(fields, alone, per, contracts).map(Shape::Bucket),
        "quota" => fields.at("quota").and_then(quota).map(Shape::Quota),
        "inFlight" => fields.at("inFlight").and_then(count).map(Shape::InFlight),
        "polls" => fields.at("polls").and_then(|value| polls(value, fields, per, contracts)).map(Shape::Polls),
        _ => fields.at("sessions").and_then(sessions).map(Shape::Sessions),
    };
    let shape = read(first);
    for (other, value) in found.iter().skip(1) {
        read(other);
        value.report(
            Problem::error("P0319", value.key_place(), format!("{} counts in two ways", fields.owner().name()))
                .label(format!("{} beside {}", value.name(), place.name()))
                .related(place.key_place(), "the first")
                .help("a limit has one of the two, `burst`, `cost` and `credit` go with `rate`; write two limits, of which each must have room"),
        );
    }
    shape.filter(|_| alone)
}

fn unsaid(fields: &Fields<'_>) {
    // A misspelt one was told already.
    if SHAPES.iter().flat_map(|(_, keys)| *keys).any(|key| fields.may_have(key)) {
        return;
    }
    let owner = fields.owner();
    owner.report(
        Problem::error("P0319", owner.key_place(), format!("{} does not say how much there may be", owner.name()))
            .label("one of `rate` with `burst`, `quota`, `inFlight`, `polls` and `sessions` is missing in here")
            .help("write for example `rate: 50/s, burst: 100` or `quota: 2000/minute`"),
    );
}

// Beside another shape nothing is missing: it has too much.
fn bucket(
    fields: &Fields<'_>,
    alone: bool,
    per: Option<&BTreeSet<Dimension>>,
    contracts: &Contracts<'_>,
) -> Option<Bucket> {
    let needed = |name: &str| if alone { fields.required(name) } else { fields.optional(name) };
    let rate = needed("rate").and_then(Value::rate);
    let burst = needed("burst").and_then(count);
    let costs = fields.at("cost").map_or(Some(None), |value| costs(value).map(Some));
    let credit = fields.at("credit").map_or(Some(None), |value| credit(value, contracts).map(Some));
    if per.is_some_and(|per| !settles(fields, per)) {
        return None;
    }
    Some(Bucket { rate: rate?, burst: burst?, costs: costs?, credit: credit? })
}

// One call may ask several providers, and is answered once: none of them has a status of its own.
fn settles(fields: &Fields<'_>, per: &BTreeSet<Dimension>) -> bool {
    let Some(value) = fields.at("cost").filter(|_| per.contains(&Dimension::Provider)) else { return true };
    value.report(
        Problem::error("P0319", value.key_place(), "what a provider is asked costs one token, whatever comes of it")
            .label("does not go with `per: provider`")
            .help("remove this key, or count by something else"),
    );
    false
}

fn costs(value: Value<'_>) -> Option<Costs> {
    let entries = value.named()?;
    if entries.is_empty() {
        value.report(value.fault("P0111", "`cost` names no status").label("at least one belongs here"));
        return None;
    }
    let mut found = Costs { of: BTreeMap::new(), otherwise: 1 };
    let mut sound = true;
    for (key, value) in entries {
        let cost = value.balance().and_then(|cost| i32::try_from(cost).ok());
        sound &= cost.is_some();
        if key.text == OTHERWISE {
            found.otherwise = cost.unwrap_or(found.otherwise);
            continue;
        }
        let status = units::whole(&key.text).filter(|status| STATUSES.contains(status));
        match (status.and_then(|status| u16::try_from(status).ok()), cost) {
            (Some(status), Some(cost)) => {
                found.of.insert(status, cost);
            }
            (Some(_), None) => {}
            (None, _) => {
                value.report(
                    Problem::error("P0104", &key.place, format!("{} is no status of an answer", quoted(&key.text)))
                        .label(format!("{} to {}, or `{OTHERWISE}`", STATUSES.start(), STATUSES.end()))
                        .help("write for example `cost: {404: 20, otherwise: 1}`"),
                );
                sound = false;
            }
        }
    }
    sound.then_some(found)
}

fn credit(value: Value<'_>, contracts: &Contracts<'_>) -> Option<Credit> {
    let fields = value.mapping()?;
    let operation = fields.at("operation").and_then(|value| operation(value, contracts));
    let tokens = fields.at("tokens").and_then(count);
    let by = fields.at("by").and_then(Value::header);
    let within = fields.at("within").and_then(Value::time);
    let operation = OperationId::parse(&operation?.id).ok()?;
    Some(Credit { operation, tokens: tokens?, by: Arc::from(by?), within: within? })
}

fn quota(value: Value<'_>) -> Option<Quota> {
    if !value.is_mapping() {
        return value.quota();
    }
    let fields = value.mapping()?;
    let most = fields.at("most").and_then(count);
    let rolling = fields.at("rolling").and_then(Value::time);
    Some(Quota { most: most?, window: Window::Rolling(rolling?) })
}

fn polls(
    value: Value<'_>,
    owner: &Fields<'_>,
    per: Option<&BTreeSet<Dimension>>,
    contracts: &Contracts<'_>,
) -> Option<Polls> {
    let sound = per.is_none_or(|per| of_resources(owner, per));
    let fields = value.mapping()?;
    let after_value = fields.at("after");
    let after = after_value.map_or(Some(None), |value| after(value, contracts).map(Some));
    let time = |name: &str| fields.at(name).map_or(Some(Duration::ZERO), Value::time);
    let (first, gap) = (time("first"), time("gap"));
    let most = fields.at("most").and_then(count);
    let within = fields.at("within").and_then(Value::time);
    let sound = begins(&fields, after_value.is_some(), first, within) && sound;
    let polls = Polls { after: after?, first: first?, gap: gap?, most: most?, within: within? };
    sound.then_some(polls)
}

// The beginning and the questions are calls of different operations, about one resource.
fn of_resources(owner: &Fields<'_>, per: &BTreeSet<Dimension>) -> bool {
    let Some(value) = owner.at("per") else { return true };
    if !per.contains(&Dimension::Resource) {
        value.report(
            value
                .fault("P0319", "polls are counted for each resource")
                .label("`resource` is missing here")
                .help("write for example `per: [client, resource]`"),
        );
        return false;
    }
    let other = [Dimension::Operation, Dimension::Api].into_iter().find(|dimension| per.contains(dimension));
    if let Some(dimension) = other {
        value.report(
            value
                .fault("P0319", format!("polls cannot be counted by `{}`", dimension.word()))
                .label("what begins them is another operation than what asks")
                .help("write for example `per: [client, resource]`"),
        );
        return false;
    }
    true
}

fn begins(fields: &Fields<'_>, after: bool, first: Option<Duration>, within: Option<Duration>) -> bool {
    let Some(value) = fields.at("first") else { return true };
    if !after && first.is_some_and(|first| !first.is_zero()) && !fields.may_have("after") {
        value.report(
            value
                .fault("P0319", "`first` counts from a beginning that nothing tells")
                .label("goes with `after`")
                .help("add `after: {operation: ..., id: ...}`, or remove this key"),
        );
        return false;
    }
    if first.zip(within).is_some_and(|(first, within)| first >= within) {
        value.report(
            value
                .fault("P0319", "the first question comes when the thing is forgotten")
                .label("not before the end of `within`"),
        );
        return false;
    }
    true
}

fn after(value: Value<'_>, contracts: &Contracts<'_>) -> Option<(OperationId, String)> {
    let fields = value.mapping()?;
    let facts = fields.at("operation").and_then(|value| operation(value, contracts));
    let id_value = fields.at("id");
    let id = id_value.and_then(Value::pointer);
    let (facts, id) = (facts?, id?);
    let there = id_value.is_none_or(|value| places::named(value, &id, facts));
    Some((OperationId::parse(&facts.id).ok()?, id)).filter(|_| there)
}

fn sessions(value: Value<'_>) -> Option<Sessions> {
    let fields = value.mapping()?;
    let of = |name: &str| fields.at(name).and_then(count);
    let (per_day, calls, rate) = (of("perDay"), of("calls"), of("rate"));
    let idle = fields.at("idle").and_then(Value::time);
    Some(Sessions { per_day: per_day?, calls: calls?, rate: rate?, idle: idle? })
}

/// Reads the name of an operation of a contract.
pub(super) fn operation<'c>(value: Value<'_>, contracts: &Contracts<'c>) -> Option<&'c OperationFacts> {
    let name = value.text()?;
    let found = contracts.operation(name);
    if found.is_none() {
        value.unknown("P0107", "operation", name, contracts.all().iter().map(|facts| facts.id.as_str()));
    }
    found
}

fn count(value: Value<'_>) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(value.count()?).ok()?)
}
