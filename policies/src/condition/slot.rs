//! The facts that one condition names, and how they are taken from a request: those and no others.

use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::Value;

use super::context::{BODY, FACTS, FactId};
use super::facts::{ConditionFacts, KnownBody};
use super::value::{Instant, TooLarge, of_json};
use crate::time::{KAZAKHSTAN_AHEAD, Timestamp};

/// One thing that a condition names.
#[derive(Debug)]
pub(super) enum Slot {
    /// A fact of the table.
    Fact(FactId),
    /// A member of the body, by the names on the way to it.
    Body {
        /// The names.
        path: Vec<String>,
        /// Whether the contract calls it a number, not a whole one.
        decimals: bool,
    },
    /// An amount of the body, of which nothing is looked at but what makes it an amount.
    Money(Vec<String>),
    /// Whether a member of the body is there.
    HasBody(Vec<String>),
    /// A value that was worked out when the condition was compiled.
    Constant(Box<dyn Val>),
}

/// Two that take the same from a request are one.
impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Slot::Fact(one), Slot::Fact(other)) => one == other,
            (Slot::Body { path, decimals }, Slot::Body { path: other, decimals: others }) => {
                path == other && decimals == others
            }
            (Slot::HasBody(path), Slot::HasBody(other)) | (Slot::Money(path), Slot::Money(other)) => path == other,
            _ => false,
        }
    }
}

impl Slot {
    /// Returns the name under which expressions find the slot at an index; no text can hold it.
    pub(super) fn name(index: usize) -> String {
        format!("@{index}")
    }

    /// Tells whether it is taken from the body.
    pub(super) const fn is_of_body(&self) -> bool {
        matches!(self, Slot::Body { .. } | Slot::Money(_) | Slot::HasBody(_))
    }

    /// Returns how an administrator wrote it.
    pub(super) fn written(&self) -> String {
        match self {
            Slot::Fact(id) => {
                let fact = FACTS.iter().find(|fact| fact.id == *id);
                fact.map(|fact| format!("{}.{}", fact.group, fact.name)).unwrap_or_default()
            }
            Slot::Body { path, .. } | Slot::Money(path) | Slot::HasBody(path) => {
                path.iter().fold(BODY.to_owned(), |text, name| format!("{text}.{name}"))
            }
            Slot::Constant(_) => String::new(),
        }
    }

    fn take<'a>(&'a self, facts: &ConditionFacts<'a>) -> Result<Taken<'a>, TooLarge> {
        match self {
            Slot::Constant(value) => Ok(Taken::Borrowed(value.as_ref())),
            Slot::Fact(id) => Ok(fact(*id, facts).map_or(Taken::Missing, Taken::Owned)),
            Slot::Body { path, decimals } => taken(
                match facts.body {
                    KnownBody::Nothing => None,
                    KnownBody::Whole(body) => member(body, path),
                    // Not the amount itself: who has it may ask for members that nobody wrote down.
                    KnownBody::Amount(amount) => amount.member(path),
                },
                *decimals,
            ),
            Slot::Money(path) => taken(
                match facts.body {
                    KnownBody::Nothing => None,
                    KnownBody::Whole(body) => member(body, path),
                    KnownBody::Amount(amount) => amount.object(path),
                },
                false,
            ),
            Slot::HasBody(path) => {
                let there = match facts.body {
                    KnownBody::Nothing => None,
                    KnownBody::Whole(body) => has(body, path),
                    // What was not written down may have been there or not.
                    KnownBody::Amount(amount) => amount.shows(path).then_some(true),
                };
                Ok(there.map_or(Taken::Missing, |there| Taken::Owned(Box::new(CelBool::from(there)))))
            }
        }
    }
}

/// What the slots of a condition hold for one request.
pub(super) struct Held<'a>(Vec<Taken<'a>>);

enum Taken<'a> {
    Owned(Box<dyn Val + 'a>),
    Borrowed(&'a dyn Val),
    Missing,
}

impl<'a> Held<'a> {
    /// Takes from a request what the slots name; fails with the index of one that is too large.
    pub(super) fn take(slots: &'a [Slot], facts: &ConditionFacts<'a>) -> Result<Self, usize> {
        let take = |(index, slot): (usize, &'a Slot)| slot.take(facts).map_err(|TooLarge| index);
        slots.iter().enumerate().map(take).collect::<Result<_, _>>().map(Self)
    }

    /// Goes through the indexes of what is not there.
    pub(super) fn missing(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, taken)| matches!(taken, Taken::Missing)).map(|(index, _)| index)
    }
}

impl VariableResolver for Held<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let index: usize = variable.strip_prefix('@')?.parse().ok()?;
        match self.0.get(index)? {
            Taken::Owned(value) => Some(CowVal::Borrowed(value.as_ref())),
            Taken::Borrowed(value) => Some(CowVal::Borrowed(*value)),
            Taken::Missing => None,
        }
    }
}

fn taken(value: Option<&Value>, decimals: bool) -> Result<Taken<'_>, TooLarge> {
    value.map_or(Ok(Taken::Missing), |value| of_json(value, decimals).map(Taken::Owned))
}

fn has(body: &Value, path: &[String]) -> Option<bool> {
    let (last, way) = path.split_last()?;
    Some(member(body, way)?.as_object()?.contains_key(last))
}

fn member<'a>(body: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(body, |value, name| value.as_object()?.get(name))
}

fn fact<'a>(id: FactId, facts: &ConditionFacts<'a>) -> Option<Box<dyn Val + 'a>> {
    let text = |text: &'a str| Some(Box::new(CelString::from(text)) as Box<dyn Val + 'a>);
    let whole = |whole: i64| Some(Box::new(CelInt::from(whole)) as Box<dyn Val + 'a>);
    match id {
        FactId::ClientId => text(facts.client?.id.as_str()),
        FactId::ClientOrganisation => text(facts.client?.organisation.id.as_str()),
        FactId::ClientRoles => Some(texts(facts.client?.organisation.roles.iter().map(|role| role.word()))),
        FactId::ClientScopes => Some(texts(facts.client?.scopes.iter())),
        FactId::TokenScopes => Some(texts(facts.scopes?.iter())),
        FactId::RequestOperation => text(facts.operation.as_str()),
        FactId::RequestApi => text(facts.api.as_str()),
        FactId::RequestTime => Some(Box::new(Instant(facts.now))),
        FactId::RequestHour => whole(local_hours(facts.now).rem_euclid(24)),
        FactId::RequestWeekday => whole(weekday(facts.now)),
        FactId::RequestPeer => Some(Box::new(CelString::from(facts.peer?.to_canonical().to_string()))),
    }
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Box<dyn Val + 'a> {
    let items: Vec<Box<dyn Val + 'a>> =
        texts.map(|text| Box::new(CelString::from(text)) as Box<dyn Val + 'a>).collect();
    Box::new(CelList::from(items))
}

/// Hours since the epoch as clocks in Kazakhstan show them.
fn local_hours(at: Timestamp) -> i64 {
    (at + KAZAKHSTAN_AHEAD).seconds().div_euclid(3600)
}

/// The day of the week by ISO 8601; 1 January 1970 was a Thursday.
fn weekday(at: Timestamp) -> i64 {
    (local_hours(at).div_euclid(24) + 3).rem_euclid(7) + 1
}
