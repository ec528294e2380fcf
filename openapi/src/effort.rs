//! How often judging a value may come back to one place of it.
//!
//! To tell what is wrong, every alternative is tried, and every alternative within it: a schema that leads back to itself
//! through two alternatives doubles the work with each level of a body that the client chose. So it is reckoned at load,
//! and weighed against the body before anybody starts. Must never see a request.

use crate::units::HELD;
use serde_json::Value;

/// The most visits for telling what is wrong with one value: some 60 MB of faults at worst.
///
/// Beyond it one fault says that the whole breaks the contract.
pub const TELLING_VISITS_MAX: u64 = 100_000;

/// The most visits for judging one value; a value that would need more is refused.
pub const JUDGING_VISITS_MAX: u64 = 20_000_000;

/// Keywords whose schemas judge the same value as the one around them.
const IN_PLACE: [&str; 4] = ["oneOf", "anyOf", "allOf", "not"];

/// What judging by one schema may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    /// How often one place is visited where no schema leads back to itself.
    once: u64,
    /// What each level of a value multiplies this with where one does.
    each_level: u64,
    /// The keyword that makes the most of it.
    pub(crate) keyword: &'static str,
}

impl Effort {
    /// Tells whether everything wrong with a value may be told.
    pub(crate) fn may_tell(&self, value: &Value) -> bool {
        let (values, depth) = extent(value);
        let levels = self.each_level.checked_pow(depth).unwrap_or(u64::MAX);
        self.once.saturating_mul(levels).saturating_mul(values) <= TELLING_VISITS_MAX
    }

    /// Tells whether a value may be judged: what leads back to itself is judged once for each place.
    pub(crate) fn may_judge(&self, value: &Value) -> bool {
        // Most schemas come back so rarely that no body could be too much.
        self.once <= JUDGING_VISITS_MAX / crate::json::JSON_VALUES_MAX as u64
            || self.once.saturating_mul(extent(value).0) <= JUDGING_VISITS_MAX
    }
}

/// The efforts of all schemas of a unit, by their numbers.
pub(crate) fn reckon(schemas: &[&Value]) -> Vec<Effort> {
    let targets: Vec<Vec<usize>> = schemas.iter().map(|schema| references(schema)).collect();
    let mut efforts = vec![Effort { once: 1, each_level: 1, keyword: "allOf" }; schemas.len()];
    for circle in circles(&targets) {
        let inside = |number: usize| circle.contains(&number);
        let of = |efforts: &[Effort], number: usize| efforts.get(number).map_or(1, |effort| effort.once);
        let mut found = Effort { once: 1, each_level: 1, keyword: "allOf" };
        for number in &circle {
            let Some(schema) = schemas.get(*number) else { continue };
            let once = visits(schema, 1, &|target| if inside(target) { 1 } else { of(&efforts, target) });
            let back = visits(schema, 0, &|target| u64::from(inside(target)));
            found.each_level = found.each_level.saturating_mul(back.max(1));
            found.once = found.once.max(once);
            found.keyword = stronger(found.keyword, keyword(schema));
            for target in targets.get(*number).into_iter().flatten().filter(|target| !inside(**target)) {
                if let Some(effort) = efforts.get(*target) {
                    found.each_level = found.each_level.max(effort.each_level);
                    found.keyword = stronger(found.keyword, effort.keyword);
                }
            }
        }
        for number in &circle {
            if let Some(effort) = efforts.get_mut(*number) {
                *effort = found;
            }
        }
    }
    efforts
}

/// How many values a value holds, itself included, and how deep it is nested.
fn extent(value: &Value) -> (u64, u32) {
    let below = |(values, depth): (u64, u32), inner: &Value| {
        let (more, deeper) = extent(inner);
        (values + more, depth.max(deeper + 1))
    };
    match value {
        Value::Array(items) => items.iter().fold((1, 0), below),
        Value::Object(map) => map.values().fold((1, 0), below),
        _ => (1, 0),
    }
}

/// How often a schema comes to one place, where a reference comes as often as `of` says.
fn visits(schema: &Value, own: u64, of: &dyn Fn(usize) -> u64) -> u64 {
    if let Some(target) = reference(schema) {
        return of(target);
    }
    let elsewhere = ["items", "additionalProperties"].into_iter().filter_map(|key| schema.get(key));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|map| map.values());
    let most = elsewhere.chain(properties).map(|inner| visits(inner, own, of)).max().unwrap_or(0);
    in_place(schema).fold(most.max(own), |sum, inner| sum.saturating_add(visits(inner, own, of)))
}

fn in_place(schema: &Value) -> impl Iterator<Item = &Value> {
    IN_PLACE.into_iter().filter_map(|key| schema.get(key)).flat_map(|inner| match inner {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    })
}

fn keyword(schema: &Value) -> &'static str {
    let inner = match schema {
        Value::Object(map) => map.values().map(keyword).fold("allOf", stronger),
        Value::Array(items) => items.iter().map(keyword).fold("allOf", stronger),
        _ => "allOf",
    };
    let own = ["oneOf", "anyOf"].into_iter().find(|key| schema.get(key).is_some_and(Value::is_array));
    stronger(own.unwrap_or("allOf"), inner)
}

fn stronger(one: &'static str, other: &'static str) -> &'static str {
    if IN_PLACE.into_iter().find(|word| *word == one || *word == other) == Some(one) { one } else { other }
}

fn reference(schema: &Value) -> Option<usize> {
    schema.get("$ref")?.as_str()?.strip_prefix(HELD)?.parse().ok()
}

fn references(schema: &Value) -> Vec<usize> {
    let mut found: Vec<usize> = reference(schema).into_iter().collect();
    match schema {
        Value::Object(map) => map.values().for_each(|inner| found.extend(references(inner))),
        Value::Array(items) => items.iter().for_each(|inner| found.extend(references(inner))),
        _ => {}
    }
    found
}

/// All schemas in groups that lead back to themselves, each after those it leads to (Tarjan 1972).
fn circles(targets: &[Vec<usize>]) -> Vec<std::collections::BTreeSet<usize>> {
    #[derive(Clone, Copy, Default)]
    struct Seen {
        index: usize,
        low: usize,
        open: bool,
    }
    let mut seen: Vec<Option<Seen>> = vec![None; targets.len()];
    let (mut count, mut open, mut found) = (0, Vec::new(), Vec::new());
    for start in 0..targets.len() {
        // The way from the start: a schema, and which of its targets comes next. No recursion: chains are long.
        let mut way = vec![(start, 0)];
        while let Some((number, next)) = way.pop() {
            let Some(place) = seen.get_mut(number) else { continue };
            if next == 0 {
                if place.is_some() {
                    continue;
                }
                *place = Some(Seen { index: count, low: count, open: true });
                count += 1;
                open.push(number);
            }
            if let Some(target) = targets.get(number).and_then(|list| list.get(next)) {
                way.push((number, next + 1));
                match seen.get(*target).copied().flatten() {
                    None => way.push((*target, 0)),
                    Some(other) if other.open => {
                        if let Some(Some(own)) = seen.get_mut(number) {
                            own.low = own.low.min(other.index);
                        }
                    }
                    Some(_) => {}
                }
                continue;
            }
            let Some(own) = seen.get(number).copied().flatten() else { continue };
            if let Some((parent, _)) = way.last()
                && let Some(Some(parent)) = seen.get_mut(*parent)
            {
                parent.low = parent.low.min(own.low);
            }
            if own.low == own.index {
                let from = open.iter().rposition(|other| *other == number).unwrap_or(0);
                let circle: std::collections::BTreeSet<usize> = open.drain(from..).collect();
                for member in &circle {
                    if let Some(Some(member)) = seen.get_mut(*member) {
                        member.open = false;
                    }
                }
                found.push(circle);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference_to(number: usize) -> Value {
        json!({ "$ref": format!("{HELD}{number}") })
    }

    #[test]
    fn what_leads_back_to_itself_grows_with_each_level() {
        let one = |schema: &Value| reckon(&[schema]).first().copied();
        let twice = json!({"oneOf": [{"properties": {"l": reference_to(0)}}, {"properties": {"l": reference_to(0)}}]});
        assert_eq!(one(&twice).map(|effort| (effort.each_level, effort.keyword)), Some((2, "oneOf")));
        let both = json!({"properties": {"l": reference_to(0), "r": reference_to(0)}});
        assert_eq!(one(&both).map(|effort| effort.each_level), Some(1));
        let nullable = json!({"properties": {"l": {"anyOf": [{"enum": [null]}, reference_to(0)]}}});
        assert_eq!(one(&nullable).map(|effort| effort.each_level), Some(1));
    }

    #[test]
    fn alternatives_within_alternatives_multiply() {
        let mut schemas = vec![json!({})];
        for number in 0..60 {
            let next = json!({"properties": {"l": reference_to(number)}});
            schemas.push(json!({"anyOf": [next, next]}));
        }
        let efforts = reckon(&schemas.iter().collect::<Vec<_>>());
        assert!(efforts.get(10).is_some_and(|effort| (1_024..4_096).contains(&effort.once)));
        assert!(efforts.last().is_some_and(|effort| effort.once > 1 << 60 && !effort.may_judge(&json!(1))));
    }

    #[test]
    fn the_visits_for_telling_hold_on_both_sides() {
        let effort = Effort { once: TELLING_VISITS_MAX / 4, each_level: 2, keyword: "oneOf" };
        assert!(effort.may_tell(&json!([1])) && !effort.may_tell(&json!([1, 2])));
    }

    #[test]
    fn the_visits_for_judging_hold_on_both_sides() {
        let effort = Effort { once: JUDGING_VISITS_MAX / 2, each_level: 2, keyword: "oneOf" };
        assert!(effort.may_judge(&json!([1])) && !effort.may_judge(&json!([1, 2])));
    }
}
