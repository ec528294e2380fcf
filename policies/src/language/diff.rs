//! Compares two policy sets by what applies, not by how it is written.
//!
//! Works on effective rows: a key that moves to another file or another layer and leaves what applies as it is makes no
//! difference. Each change says whether it lets more through. Must never read a file or know a rule beyond the tables.

use std::collections::{BTreeMap, BTreeSet};

use super::effective::{Effective, Layer, Row};
use super::problem::Place;
use super::strict::{Comparison, compare};
use super::table::{Kind, Stricter};
use crate::network::AddressRange;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// It lets more through.
    Loosens,
    /// It is another where it matters for what comes through, and whether more or less does cannot be told.
    MayLoosen,
    /// It lets less through.
    Tightens,
    /// It is another, and no matter of what comes through.
    Changes,
}

impl Direction {
    /// Every direction, the most worrying first.
    pub const ALL: [Direction; 4] = [Direction::Loosens, Direction::MayLoosen, Direction::Tightens, Direction::Changes];

    /// Returns the word that reports for people have for it.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Direction::MayLoosen => "may loosen",
            other => other.word(),
        }
    }

    /// Returns the word that reports for programs have for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Direction::Loosens => "loosens",
            Direction::MayLoosen => "may_loosen",
            Direction::Tightens => "tightens",
            Direction::Changes => "changes",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key, from the section on; of a definition that came or went as a whole, its name last.
    pub path: Vec<String>,
    /// Which way it goes.
    pub direction: Direction,
    /// What applied before; none if nothing did.
    pub before: Option<Side>,
    /// What applies after; none if nothing does.
    pub after: Option<Side>,
    /// Whether a whole definition came or went: then the sides have no values.
    pub whole: bool,
}

/// One side of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The value, item by item.
    pub value: Vec<String>,
    /// Where it stands; none if nobody wrote it.
    pub place: Option<Place>,
    /// Which layer gave it.
    pub layer: Layer,
}

/// Keys whose values only describe, or say how and not whether; another value of any other key may let more through.
const DESCRIPTIVE: [&str; 11] =
    ["title", "authority", "id", "reason", "approvedBy", "replaces", "note", "settledBy", "events", "file", "protocol"];

/// Tells what is different, sorted by path; nothing if the same applies.
#[must_use]
pub fn diff(before: &Effective, after: &Effective) -> Vec<Change> {
    let (before, after) = (Set::of(before), Set::of(after));
    let mut changes = Vec::new();
    let definitions: BTreeSet<&[String]> = before.definitions.keys().chain(after.definitions.keys()).copied().collect();
    for definition in definitions {
        let sides = (before.definitions.get(definition), after.definitions.get(definition));
        let (old, new) = match sides {
            (Some(old), Some(new)) => (old, new),
            (old, new) => {
                // A limit of a plan that came or went is told by the list of limits.
                if !matches!(definition, [section, _, _, _] if section == "plans") {
                    changes.push(whole(definition, old, new));
                }
                continue;
            }
        };
        let mut keys: BTreeSet<&[String]> = old.rows.keys().copied().collect();
        keys.extend(new.rows.keys().copied());
        for key in keys {
            let meant = (old.value(key), new.value(key));
            changes.extend(one((old.rows.get(key).copied(), new.rows.get(key).copied()), meant));
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// The rows of a set by definition; defaults are left out, for what they say stands at the operations.
struct Set<'e> {
    definitions: BTreeMap<&'e [String], Definition<'e>>,
}

#[derive(Clone, Default)]
struct Definition<'e> {
    rows: BTreeMap<&'e [String], &'e Row>,
}

/// What a call costs where a limit says nothing of its status, nor what others cost.
const COST_UNSAID: &str = "1";

impl Definition<'_> {
    // A cost that is not said is that of every other status.
    fn value(&self, path: &[String]) -> Option<Vec<String>> {
        let said = |path: &[String]| self.rows.get(path).map(|row| row.value.clone());
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["limits", _, above @ .., _] | ["plans", _, "limits", _, above @ .., _] if above == ["cost"] => {
                let otherwise: Vec<String> =
                    path.iter().take(path.len() - 1).cloned().chain(["otherwise".to_owned()]).collect();
                said(path).or_else(|| said(&otherwise)).or_else(|| Some(vec![COST_UNSAID.to_owned()]))
            }
            _ => said(path),
        }
    }
}

impl<'e> Set<'e> {
    fn of(effective: &'e Effective) -> Self {
        let mut definitions: BTreeMap<&[String], Definition<'_>> = BTreeMap::new();
        for row in &effective.rows {
            if let Some(name) = definition(&row.path) {
                definitions.entry(name).or_default().rows.insert(&row.path, row);
            }
        }
        Self { definitions }
    }
}

/// Returns the part of a path that names what is defined; none for what only says how others are read.
fn definition(path: &[String]) -> Option<&[String]> {
    let length = match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["defaults" | "tests" | "fixtures" | "qaqpa", ..] | ["apis", _, "defaults", ..] => return None,
        // A loosening is told as one: what it loosens stands at the keys themselves.
        ["apis", _, "operations", _, "override", ..] => 5,
        ["apis", _, "operations", _, ..] => 4,
        ["identity", "providers", _, ..] => 3,
        ["plans", _, "limits", _, ..] => 4,
        _ => 2,
    };
    path.get(..length.min(path.len()))
}

fn whole(path: &[String], before: Option<&Definition<'_>>, after: Option<&Definition<'_>>) -> Change {
    let came = after.is_some();
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let direction = match words.as_slice() {
        // What can be called, who can call, and who is believed.
        ["apis", _, "operations", _] | ["clients" | "issuers", _] | ["identity", "providers", _] => {
            if came {
                Direction::Loosens
            } else {
                Direction::Tightens
            }
        }
        // A scope that is not defined may be given to anybody.
        ["scopes", _] => {
            if came {
                Direction::Tightens
            } else {
                Direction::Loosens
            }
        }
        // What nobody names does nothing, and who names it is told there.
        _ => Direction::Changes,
    };
    // What it inherits stands elsewhere and says nothing of where it is defined.
    let own = |row: &&&Row| row.layer >= Layer::Own;
    let side = |definition: &Definition<'_>| Side {
        value: Vec::new(),
        place: definition.rows.values().filter(own).filter_map(|row| row.place.clone()).min(),
        layer: Layer::Own,
    };
    Change { path: path.to_vec(), direction, before: before.map(side), after: after.map(side), whole: true }
}

// Two sides of a key, and what they mean.
fn one(
    (before, after): (Option<&Row>, Option<&Row>),
    (old, new): (Option<Vec<String>>, Option<Vec<String>>),
) -> Option<Change> {
    let row = after.or(before)?;
    let direction = match compare(row.kind, row.stricter, row.need, old.as_deref(), new.as_deref()) {
        Comparison::Same => return None,
        Comparison::Looser => Direction::Loosens,
        Comparison::Stricter => Direction::Tightens,
        Comparison::Other => otherwise(row, old.as_deref().unwrap_or_default(), new.as_deref().unwrap_or_default()),
    };
    let side = |row: &Row| Side { value: row.value.clone(), place: row.place.clone(), layer: row.layer };
    Some(Change { path: row.path.clone(), direction, before: before.map(side), after: after.map(side), whole: false })
}

// Lists that differ in their items may still be wider or narrower: ranges hold ranges, `true` refuses nobody, and of what
// has to be passed more may be gone than came.
fn otherwise(row: &Row, before: &[String], after: &[String]) -> Direction {
    let wider = |wide: &[String], narrow: &[String]| match row.kind {
        Kind::List(Kind::Network) => narrow.iter().all(|range| wide.iter().any(|other| holds(other, range))),
        kind if is_keys(kind) => narrow.iter().all(|key| wide.contains(key)),
        Kind::OneOrMore(Kind::Condition) if wide.iter().all(|condition| condition == "true") => true,
        _ => false,
    };
    let descriptive = row.path.last().is_some_and(|key| DESCRIPTIVE.contains(&key.as_str()));
    match (wider(after, before), wider(before, after)) {
        (true, false) => Direction::Loosens,
        (false, true) => Direction::Tightens,
        _ if descriptive => Direction::Changes,
        _ if row.stricter == Stricter::More && after.len() < before.len() => Direction::Loosens,
        _ => Direction::MayLoosen,
    }
}

fn is_keys(kind: &Kind) -> bool {
    match kind {
        Kind::List(item) => **item == Kind::PublicKey,
        Kind::Either(kinds) => kinds.iter().any(is_keys),
        _ => false,
    }
}

fn holds(wide: &str, narrow: &str) -> bool {
    let bits = |text: &str| text.rsplit_once('/').and_then(|(_, bits)| bits.parse::<u8>().ok());
    let ranges = (AddressRange::parse(wide), AddressRange::parse(narrow));
    matches!(ranges, (Some(wide), Some(narrow)) if wide.contains(narrow.first())) && bits(wide) <= bits(narrow)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::language::outline;

    /// A set by its rows: `path = item, item`, all of it on a line.
    fn set(file: &str, rows: &str) -> Effective {
        let row = |(number, line): (usize, &str)| {
            let (path, value) = line.trim().split_once(" = ").unwrap_or((line.trim(), ""));
            let parts: Vec<&str> = path.split('.').collect();
            let field = outline::find(&parts).map(|found| found.field).ok()?;
            Some(Row {
                path: parts.iter().map(|part| (*part).to_owned()).collect(),
                value: value.split(", ").filter(|item| !item.is_empty()).map(str::to_owned).collect(),
                place: Some(Place { file: Arc::from(file), line: number + 1, column: 1, length: 1 }),
                layer: Layer::Own,
                kind: &field.kind,
                stricter: field.stricter,
                need: field.need,
            })
        };
        let lines = rows.lines().filter(|line| !line.trim().is_empty());
        let rows: Vec<Row> = lines.enumerate().filter_map(row).collect();
        assert!(!rows.is_empty(), "{file}");
        Effective { rows }
    }

    fn told(before: &str, after: &str) -> Vec<String> {
        let changes = diff(&set("before.yaml", before), &set("after.yaml", after));
        let shown = |side: &Option<Side>| side.as_ref().map_or("-".to_owned(), |side| side.value.join(", "));
        changes
            .iter()
            .map(|change| {
                let (path, word) = (change.path.join("."), change.direction.word());
                if change.whole {
                    format!("{word} {path} {}", if change.after.is_some() { "came" } else { "went" })
                } else {
                    format!("{word} {path}: {} -> {}", shown(&change.before), shown(&change.after))
                }
            })
            .collect()
    }

    #[test]
    fn each_way_of_letting_more_through_is_told() {
        let before = "
            apis.payments.operations.pay.timeout = 3s
            apis.payments.operations.pay.audit = required
            apis.payments.operations.pay.requires.roles = PISP
            apis.payments.operations.pay.stepUp = large-payment
            apis.payments.operations.pay.validate.response = enforce
            stepUp.large-payment.above = 250000 KZT
            plans.a.limits = client 10/s burst 20
            scopes.payments:write.roles = PISP
            organisations.o.networks = 10.0.0.0/8
        ";
        let after = "
            apis.payments.operations.pay.timeout = 5s
            apis.payments.operations.pay.audit = standard
            apis.payments.operations.pay.requires.roles = PISP, BANK
            apis.payments.operations.refund.timeout = 3s
            clients.new.plan = a
            organisations.o.title = O
            stepUp.large-payment.above = 300000 KZT
            plans.a.limits = client 10/s burst 20
        ";
        assert_eq!(
            told(before, after),
            [
                "loosens apis.payments.operations.pay.audit: required -> standard",
                "loosens apis.payments.operations.pay.requires.roles: PISP -> PISP, BANK",
                "loosens apis.payments.operations.pay.stepUp: large-payment -> -",
                "loosens apis.payments.operations.pay.timeout: 3s -> 5s",
                "loosens apis.payments.operations.pay.validate.response: enforce -> -",
                "loosens apis.payments.operations.refund came",
                "loosens clients.new came",
                "loosens organisations.o.networks: 10.0.0.0/8 -> -",
                "changes organisations.o.title: - -> O",
                "loosens scopes.payments:write went",
                "loosens stepUp.large-payment.above: 250000 KZT -> 300000 KZT",
            ]
        );
    }

    #[test]
    fn the_other_way_round_it_tightens() {
        let before = "apis.a.operations.b.timeout = 5s\napis.a.operations.c.timeout = 1s\nlimits.l.mode = report";
        let after = "apis.a.operations.b.timeout = 3s\nlimits.l.mode = enforce";
        assert_eq!(
            told(before, after),
            [
                "tightens apis.a.operations.b.timeout: 5s -> 3s",
                "tightens apis.a.operations.c went",
                "tightens limits.l.mode: report -> enforce",
            ]
        );
    }

    #[test]
    fn ranges_that_hold_the_others_and_conditions_that_refuse_nobody_loosen() {
        let way = |before: &str, after: &str| {
            told(before, after).first().and_then(|one| one.split_once(' ').map(|(word, _)| word.to_owned()))
        };
        let networks = |text: &str| format!("organisations.o.networks = {text}");
        for (before, after, expected) in [
            ("10.0.0.0/8", "0.0.0.0/0", "loosens"),
            ("10.1.0.0/16, 10.2.0.0/16", "10.0.0.0/8", "loosens"),
            ("10.0.0.0/8", "10.1.0.0/16", "tightens"),
            ("10.0.0.0/8", "11.0.0.0/8", "may_loosen"),
            ("10.0.0.0/8", "::/0", "may_loosen"),
        ] {
            assert_eq!(way(&networks(before), &networks(after)).as_deref(), Some(expected), "{before} {after}");
        }
        let allow = |text: &str| format!("apis.a.operations.b.allow = {text}");
        assert_eq!(way(&allow("request.hour > 6"), &allow("true")).as_deref(), Some("loosens"));
        assert_eq!(way(&allow("true"), &allow("request.hour > 6")).as_deref(), Some("tightens"));
        assert_eq!(way(&allow("request.hour > 5"), &allow("request.hour > 6")).as_deref(), Some("may_loosen"));
    }

    #[test]
    fn limits_of_every_shape_are_held_against_each_other() {
        let way = |key: &str, before: &str, after: &str| {
            let row = |value: &str| {
                let key = if value == "-" { "per = client".to_owned() } else { format!("{key} = {value}") };
                format!("limits.l.mode = enforce\nlimits.l.{key}")
            };
            let told = told(&row(before), &row(after));
            let one = told.iter().find(|one| one.contains(key)).and_then(|one| one.split_once(' '));
            one.map_or("same".to_owned(), |(word, _)| word.to_owned())
        };
        for (key, before, after, expected) in [
            ("quota", "5/minute", "6/minute", "loosens"),
            ("quota", "5/minute", "5/hour", "tightens"),
            ("quota", "5/minute", "300/hour", "loosens"),
            ("quota", "5/minute", "299/hour", "may_loosen"),
            ("quota", "300/hour", "5/minute", "tightens"),
            ("quota", "31/month", "1/day", "tightens"),
            ("quota", "30/month", "1/day", "may_loosen"),
            ("quota", "5/day", "-", "loosens"),
            ("quota.most", "5", "6", "loosens"),
            ("quota.rolling", "10m", "600s", "same"),
            ("quota.rolling", "10m", "9m", "loosens"),
            ("inFlight", "5", "4", "tightens"),
            ("inFlight", "5", "6", "loosens"),
            ("polls.most", "3", "4", "loosens"),
            ("polls.gap", "60s", "30s", "loosens"),
            ("polls.gap", "60s", "-", "loosens"),
            ("polls.first", "-", "90s", "tightens"),
            ("polls.within", "2h", "1h", "loosens"),
            ("polls.after.operation", "pay", "refund", "may_loosen"),
            ("sessions.perDay", "20", "21", "loosens"),
            ("sessions.calls", "100", "99", "tightens"),
            ("sessions.rate", "5", "6", "loosens"),
            ("sessions.idle", "10m", "5m", "may_loosen"),
            ("cost.404", "20", "3", "loosens"),
            ("cost.404", "20", "21", "tightens"),
            ("cost.404", "-", "20", "tightens"),
            ("cost.404", "-", "1", "same"),
            ("cost.404", "-", "0", "loosens"),
            ("cost.500", "-1", "-", "tightens"),
            ("cost.otherwise", "1", "-", "same"),
            ("cost.otherwise", "-", "0", "loosens"),
            ("credit.tokens", "1", "2", "loosens"),
            ("credit.tokens", "-", "1", "loosens"),
            ("credit.tokens", "1", "-", "tightens"),
            ("credit.within", "24h", "1h", "tightens"),
            ("credit.by", "x-a", "x-b", "may_loosen"),
            ("when.attended", "-", "true", "loosens"),
            ("when.attended", "true", "-", "tightens"),
            ("when.attended", "true", "false", "may_loosen"),
            ("when.hours", "-", "06:00-24:00", "loosens"),
            ("when.hours", "06:00-24:00", "07:00-24:00", "may_loosen"),
            ("withoutStore", "deny", "local-share", "loosens"),
            ("withoutStore", "local-share", "allow", "loosens"),
            ("withoutStore", "allow", "deny", "tightens"),
            ("subject", "x-a", "x-b", "may_loosen"),
        ] {
            assert_eq!(way(key, before, after), expected, "{key}: {before} -> {after}");
        }
    }

    #[test]
    fn a_status_costs_what_others_cost_where_it_is_not_said() {
        let before = "limits.l.cost.404 = 20\nlimits.l.cost.otherwise = 3";
        assert_eq!(told(before, "limits.l.cost.otherwise = 3"), ["loosens limits.l.cost.404: 20 -> -"]);
        assert_eq!(
            told(before, "limits.l.cost.404 = 20\nlimits.l.cost.otherwise = 3\nlimits.l.cost.500 = 2"),
            ["loosens limits.l.cost.500: - -> 2"]
        );
        assert_eq!(told(before, &format!("{before}\nlimits.l.cost.500 = 3")), Vec::<String>::new());
    }

    #[test]
    fn what_is_taken_away_loosens_and_what_stands_in_its_place_may() {
        let operation = |last: &str| format!("apis.a.operations.b.{last}");
        for (path, before, after, expected) in [
            (operation("stepUp"), "large, weekend", "large", "loosens"),
            (operation("fraud"), "huge, night", "night", "loosens"),
            (operation("fraud"), "huge, night", "other", "loosens"),
            (operation("fraud"), "huge", "other", "may_loosen"),
            (operation("fraud"), "huge", "other, third", "may_loosen"),
            (operation("limits"), "lists", "others", "may_loosen"),
            (operation("mask"), "ibans", "names", "may_loosen"),
            (operation("allow"), "request.hour > 6, request.weekday < 6", "request.hour > 6", "loosens"),
            (operation("mask"), "ibans", "ibans, names", "tightens"),
            (operation("requires.roles"), "PISP", "AISP", "may_loosen"),
            (operation("note"), "/a", "/b", "changes"),
            ("stepUp.s.when".to_owned(), "request.hour > 6", "request.hour > 7", "may_loosen"),
            ("stepUp.s.amount".to_owned(), "/a", "/b", "may_loosen"),
            ("stepUp.s.above".to_owned(), "1 KZT", "1 USD", "may_loosen"),
            ("clients.c.plan".to_owned(), "small", "large", "may_loosen"),
            ("clients.c.keys".to_owned(), "k1 x", "k2 y", "may_loosen"),
            ("clients.c.keys".to_owned(), "k1 x", "k1 x, k2 y", "loosens"),
            ("clients.c.keys".to_owned(), "k1 x, k2 y", "k2 y", "tightens"),
            ("masking.m.fields".to_owned(), "/a", "/b", "may_loosen"),
            ("organisations.o.title".to_owned(), "O", "P", "changes"),
            ("organisations.o.licence.id".to_owned(), "1", "2", "changes"),
            ("limits.l.rate".to_owned(), "10/s", "20/s", "loosens"),
            ("limits.l.rate".to_owned(), "10/s", "500/min", "tightens"),
            ("limits.l.burst".to_owned(), "10", "11", "loosens"),
            ("limits.l.burst".to_owned(), "10", "9", "tightens"),
            ("limits.l.per".to_owned(), "client", "organisation", "may_loosen"),
        ] {
            let line = |value: &str| format!("{path} = {value}");
            let told = told(&line(before), &line(after));
            let expected = format!("{expected} {path}: {before} -> {after}");
            assert_eq!(told, [expected]);
        }
    }

    #[test]
    fn a_token_that_may_be_bound_to_either_key_loosens() {
        let bind = |word: &str| format!("clients.c.tokens.bind = {word}");
        for (before, after, expected) in
            [("dpop", "either", "loosens"), ("mtls", "either", "loosens"), ("either", "dpop", "tightens")]
        {
            let line = format!("{expected} clients.c.tokens.bind: {before} -> {after}");
            assert_eq!(told(&bind(before), &bind(after)), [line]);
        }
    }

    #[test]
    fn what_moves_and_applies_as_before_is_no_difference() {
        let before = "defaults.timeout = 3s\napis.a.defaults.audit = required\napis.a.operations.b.timeout = 3s";
        let after = "\n\napis.a.operations.b.timeout = 3000ms\napis.a.operations.b.maxBody = 64KiB";
        assert!(told(before, after).is_empty(), "{:?}", told(before, after));
    }

    #[test]
    fn a_limit_of_a_plan_that_comes_is_told_once() {
        let before = "plans.p.limits = client\nplans.p.limits.client.rate = 5/s";
        let after = "plans.p.limits = client, organisation\nplans.p.limits.client.rate = 9/s\nplans.p.limits.organisation.rate = 9/s";
        let expected = [
            "tightens plans.p.limits: client -> client, organisation",
            "loosens plans.p.limits.client.rate: 5/s -> 9/s",
        ];
        assert_eq!(told(before, after), expected);
    }

    #[test]
    fn a_loosening_is_told_as_one_beside_what_it_loosens() {
        let before = "apis.a.operations.b.timeout = 3s";
        let after = "
            apis.a.operations.b.timeout = 9s
            apis.a.operations.b.override.reason = slow backend
            apis.a.operations.b.override.expires = 2027-01-31
        ";
        let expected = ["changes apis.a.operations.b.override came", "loosens apis.a.operations.b.timeout: 3s -> 9s"];
        assert_eq!(told(before, after), expected);
        let longer = after.replace("2027-01-31", "2027-06-30");
        let expected = ["loosens apis.a.operations.b.override.expires: 2027-01-31 -> 2027-06-30"];
        assert_eq!(told(after, &longer), expected);
    }
}
