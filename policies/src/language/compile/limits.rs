//! How much may be asked for: named limits, and the plans of clients.

mod shapes;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::contracts::Contracts;
use super::lists::distinct;
use super::names::Names;
use crate::facts::{OperationFacts, Security};
use crate::id::{OperationId, PlanId};
use crate::language::decode::{Fields, Value};
use crate::language::document::Key;
use crate::language::problem::{Problem, quoted};
use crate::language::tables::{LIMIT, PLAN};
use crate::language::units::{MIDNIGHT, shown_hours, shown_quota};
use crate::limit::{Dimension, Limit, Mode, Shape, When, WithoutStore};
use crate::rulebook::Plan;

/// The operations that ask identity providers, so that calls of them have one to count by.
const ASKS_PROVIDERS: [&str; 1] = ["createIdentityVerification"];

/// Reads a plan; its limits are written out or named.
pub(super) fn plan(
    key: &Key,
    value: Value<'_>,
    named: &Names<Arc<Limit>>,
    contracts: &Contracts<'_>,
) -> Option<Arc<Plan>> {
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
            item.mapping().and_then(|fields| limit(&key.text, &fields, contracts))
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
                    .related(first.place(), "first")
                    .help("keep one of the two, or define one under `limits`, where it has a name of its own"),
            );
            sound = false;
        }
    }
    let limits = limits.into_iter().map(|(limit, _)| limit).collect();
    sound.then_some(Arc::new(Plan { id: PlanId::parse(&key.text).ok()?, limits }))
}

/// Reads a limit that others name.
pub(super) fn named(key: &Key, value: Value<'_>, contracts: &Contracts<'_>) -> Option<Arc<Limit>> {
    limit(&key.text, &value.table(&LIMIT)?, contracts).map(Arc::new)
}

// Every part is read before the first missing one ends it, so that all faults are told.
fn limit(name: &str, fields: &Fields<'_>, contracts: &Contracts<'_>) -> Option<Limit> {
    let dimension = |word: &str| Dimension::ALL.into_iter().find(|dimension| dimension.word() == word);
    let per = fields.at("per").and_then(|list| {
        let dimensions = list.items(|item| Some((item.word(dimension)?, item)))?;
        distinct(list, dimensions, "dimension")
    });
    let subject = subject(fields, per.as_ref());
    let shape = shapes::shape(fields, per.as_ref(), contracts);
    let when = fields.at("when").map_or_else(|| Some(When::default()), |value| when(value, contracts));
    let without_store = without_store(fields);
    let mode = fields.at("mode").map_or(Some(Mode::Enforce), mode);
    let (per, subject, shape, when) = (per?, subject?, shape?, when?);
    let (without_store, mode) = (without_store?, mode?);
    let id = Arc::from(id(name, &per, &shape, &when));
    Some(Limit { id, per: per.into_iter().collect(), subject, shape, when, without_store, mode })
}

// What is counted and how much, so that counters of another meaning have another name. Only printable ASCII: it stands in
// fields of answers. The burst, the costs and times within polls and sessions are left out, as clients need not know them;
// counters are told apart by them all the same (`unsaid_terms`).
fn id(name: &str, per: &BTreeSet<Dimension>, shape: &Shape, when: &When) -> String {
    let words: Vec<&str> = per.iter().map(|dimension| dimension.word()).collect();
    let much = match shape {
        Shape::Bucket(bucket) => bucket.rate.to_string(),
        Shape::Quota(quota) => shown_quota(quota),
        Shape::InFlight(most) => format!("{most}-in-flight"),
        Shape::Polls(polls) => format!("{}-polls", polls.most),
        Shape::Sessions(sessions) => format!("{}-sessions/day", sessions.per_day),
    };
    let attended = when.attended.map(|there| if there { "attended" } else { "unattended" }.to_owned());
    let hours = when.hours.iter().map(|hours| shown_hours(hours.start, hours.end));
    let operations = when.operations.iter().map(ToString::to_string);
    let counted: Vec<String> = attended.into_iter().chain(hours).chain(operations).collect();
    let rest = if counted.is_empty() { String::new() } else { format!(":{}", counted.join("+")) };
    format!("{name}:{}:{much}{rest}", words.join("+"))
}

// The header that names whom a call is about, where that is counted.
fn subject(fields: &Fields<'_>, per: Option<&BTreeSet<Dimension>>) -> Option<Option<Arc<str>>> {
    let counts = per.map(|per| per.contains(&Dimension::Subject));
    let Some(value) = fields.at("subject") else {
        return match counts {
            Some(true) => fields.required("subject").map(|_| None),
            _ => Some(None),
        };
    };
    let header = value.header();
    if counts == Some(false) {
        value.report(
            value
                .fault("P0319", "`subject` names whom nothing counts")
                .label("goes with `per: subject`")
                .help("add `subject` to `per`, or remove this key"),
        );
        return None;
    }
    Some(Some(Arc::from(header?)))
}

fn when(value: Value<'_>, contracts: &Contracts<'_>) -> Option<When> {
    let fields = value.mapping()?;
    let attended = fields.at("attended").map(Value::boolean);
    let hours = fields.at("hours").map(hours);
    let operations = fields.at("operations").map(|list| operations(list, contracts));
    let said = attended.is_some() || hours.is_some() || operations.is_some();
    if !said && !["attended", "hours", "operations"].into_iter().any(|key| fields.may_have(key)) {
        value.report(
            value
                .fault("P0111", "`when` says nothing")
                .label("`attended`, `hours` or `operations` belongs here")
                .help("leave `when` out to count every call"),
        );
        return None;
    }
    let attended = attended.map_or(Some(None), |found| found.map(Some));
    let (hours, operations) = (hours.unwrap_or(Some(Vec::new())), operations.unwrap_or(Some(Vec::new())));
    Some(When { attended: attended?, hours: hours?, operations: operations? })
}

fn operations(list: Value<'_>, contracts: &Contracts<'_>) -> Option<Vec<OperationId>> {
    let items = list.items(|item| {
        let facts = shapes::operation(item, contracts)?;
        Some((OperationId::parse(&facts.id).ok()?, item))
    })?;
    distinct(list, items, "operation").map(|found| found.into_iter().collect())
}

// In the order of the day; what goes over midnight is two.
fn hours(list: Value<'_>) -> Option<Vec<Range<u16>>> {
    let items = list.items(|item| Some((item.hours()?, item)))?;
    if items.is_empty() {
        list.report(list.fault("P0111", "`hours` names no hours").label("at least one belongs here"));
        return None;
    }
    let mut found: Vec<Range<u16>> = Vec::new();
    let mut sound = true;
    for ((from, until), item) in items {
        let parts = if from < until { [from..until, 0..0] } else { [from..MIDNIGHT, 0..until] };
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if found.iter().any(|other| other.start < part.end && part.start < other.end) {
                item.report(item.fault("P0110", "some hours stand twice in `hours`").label("overlaps with another"));
                sound = false;
                break;
            }
            found.push(part);
        }
    }
    found.sort_by_key(|hours| hours.start);
    sound.then_some(found)
}

/// The words for what is done without the store where nothing is said, by the keys of a limit.
pub(super) fn without_store_unsaid(says: impl Fn(&str) -> bool) -> WithoutStore {
    if says("cost") || says("polls") { WithoutStore::Deny } else { WithoutStore::LocalShare }
}

fn without_store(fields: &Fields<'_>) -> Option<WithoutStore> {
    let Some(value) = fields.at("withoutStore") else {
        return Some(without_store_unsaid(|key| fields.optional(key).is_some()));
    };
    let word = value.word(|word| WithoutStore::ALL.into_iter().find(|known| known.word() == word));
    if fields.optional("inFlight").is_some() {
        value.report(
            value
                .fault("P0319", "`withoutStore` says nothing of calls under way")
                .label("each gateway counts its own, without the shared store")
                .help("remove this key"),
        );
        return None;
    }
    word
}

/// Reads whether a rule is enforced.
pub(super) fn mode(value: Value<'_>) -> Option<Mode> {
    value.word(|word| Mode::ALL.into_iter().find(|mode| mode.word() == word))
}

/// Tells why a limit counts no call of an operation, of one that needs a consent or not; none where it may count some.
///
/// For people: `counts by X, and why`. A limit that may count some calls of an operation may count none of a client's.
#[must_use]
pub fn uncounted(limit: &Limit, facts: &OperationFacts, consent: bool) -> Option<String> {
    if !limit.when.concerns(Some(&facts.id)) {
        return Some("counts other operations".to_owned());
    }
    limit.per.iter().find_map(|dimension| {
        let reason = match dimension {
            Dimension::Provider if !ASKS_PROVIDERS.contains(&facts.id.as_str()) => "it asks no identity provider",
            Dimension::Resource if !facts.template.contains('{') => "its path has no parameter",
            Dimension::Customer | Dimension::Consent if facts.security == Security::ClientAuthentication => {
                "no citizen stands behind its callers"
            }
            // The consent that is counted is the one that the operation needs.
            Dimension::Consent if !consent => "it needs no consent",
            _ => return None,
        };
        Some(format!("counts by `{}`, and {reason}", dimension.word()))
    })
}
