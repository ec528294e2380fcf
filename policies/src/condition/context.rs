//! What a condition may name: one table of facts and one of functions, for the checker, for messages and for `explain`.

use std::fmt;

use crate::facts::{FieldKind, Shape};

/// How many items a list may have, in a condition's text or in a request: what goes through lists takes time by their
/// length, and nothing that is paid or agreed to has more.
pub const LIST_ITEMS_MAX: usize = 1000;

/// The kind of a value in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A point in time.
    Time,
    /// Nothing: `null`.
    Null,
    /// A list of values of one kind, and how many it may have.
    List(Box<Kind>, usize),
    /// An object of the body; its JSON pointer, with `*` for the items of a list.
    Object(String),
    /// What the contract does not tell: it is seen when a request is judged.
    Any,
}

impl Kind {
    /// Tells what the contract says of a place of the body.
    #[must_use]
    pub fn of_place(shape: &Shape, pointer: &str) -> Option<Self> {
        Some(match shape.kind(pointer) {
            Some(FieldKind::Object) => Kind::Object(pointer.to_owned()),
            Some(FieldKind::Array) => {
                let item = Self::of_place(shape, &format!("{pointer}/*")).unwrap_or(Kind::Any);
                Kind::List(Box::new(item), LIST_ITEMS_MAX)
            }
            Some(FieldKind::Text) => Kind::Text,
            Some(FieldKind::Integer) => Kind::Int,
            Some(FieldKind::Number) => Kind::Number,
            Some(FieldKind::Boolean) => Kind::Bool,
            Some(FieldKind::Any) => Kind::Any,
            None if pointer.is_empty() => Kind::Object(String::new()),
            None if shape.open => Kind::Any,
            None => return None,
        })
    }

    /// Tells whether it is a number or may be one.
    pub(super) const fn may_be_number(&self) -> bool {
        matches!(self, Kind::Int | Kind::Number | Kind::Any)
    }
}

/// Writes what administrators call it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Bool => "true or false",
            Kind::Int => "a whole number",
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Time => "a point in time",
            Kind::Null => "`null`",
            Kind::List(..) => "a list",
            Kind::Object(_) => "an object",
            Kind::Any => "a value that the contract does not describe",
        })
    }
}

/// Which fact of a request is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactId {
    /// `client.id`.
    ClientId,
    /// `client.organisation`.
    ClientOrganisation,
    /// `client.roles`.
    ClientRoles,
    /// `client.scopes`.
    ClientScopes,
    /// `token.scopes`.
    TokenScopes,
    /// `request.operation`.
    RequestOperation,
    /// `request.api`.
    RequestApi,
    /// `request.time`.
    RequestTime,
    /// `request.hour`.
    RequestHour,
    /// `request.weekday`.
    RequestWeekday,
    /// `request.peer`.
    RequestPeer,
}

/// The kind of a fact, as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number.
    Int,
    /// A point in time.
    Time,
}

impl FactKind {
    /// Returns the kind in a condition.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            FactKind::Text => Kind::Text,
            FactKind::Texts => Kind::List(Box::new(Kind::Text), LIST_ITEMS_MAX),
            FactKind::Int => Kind::Int,
            FactKind::Time => Kind::Time,
        }
    }
}

/// One fact that a condition may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// Which.
    pub id: FactId,
    /// The group it stands in.
    pub group: &'static str,
    /// Its name in the group.
    pub name: &'static str,
    /// Its kind.
    pub kind: FactKind,
    /// What it is, a phrase.
    pub about: &'static str,
}

/// Every fact besides the body.
pub const FACTS: &[Fact] = &[
    fact(FactId::ClientId, "client", "id", FactKind::Text, "the client that calls"),
    fact(FactId::ClientOrganisation, "client", "organisation", FactKind::Text, "the id of its organisation"),
    fact(
        FactId::ClientRoles,
        "client",
        "roles",
        FactKind::Texts,
        "what its organisation is licensed to do: `PISP`, `BANK`",
    ),
    fact(FactId::ClientScopes, "client", "scopes", FactKind::Texts, "the scopes that it may ask for"),
    fact(FactId::TokenScopes, "token", "scopes", FactKind::Texts, "the scopes of the token that came with the request"),
    fact(FactId::RequestOperation, "request", "operation", FactKind::Text, "the operationId"),
    fact(FactId::RequestApi, "request", "api", FactKind::Text, "the API that the operation belongs to"),
    fact(FactId::RequestTime, "request", "time", FactKind::Time, "when the request was received"),
    fact(FactId::RequestHour, "request", "hour", FactKind::Int, "the hour of the day in Kazakhstan, 0 to 23"),
    fact(
        FactId::RequestWeekday,
        "request",
        "weekday",
        FactKind::Int,
        "the day of the week in Kazakhstan, 1 is Monday, 7 is Sunday",
    ),
    fact(FactId::RequestPeer, "request", "peer", FactKind::Text, "the address that the request came from"),
];

/// The name under which the body's members stand.
pub const BODY: &str = "body";

/// What the body is, a phrase.
pub const BODY_ABOUT: &str = "the members of the request's body, as the contract describes them";

/// One function that a condition may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What comes of it, a phrase.
    pub about: &'static str,
}

/// Every function.
pub const FUNCTIONS: &[Function] = &[
    function("has", "has(body.member)", "whether an optional member is there"),
    function(
        "money",
        "money(body.instructedAmount)",
        "the amount in tiyn; not judged unless it is well-formed and in KZT",
    ),
    function("tenge", "tenge(250000)", "so many tenge in tiyn"),
    function("in_network", "in_network(request.peer, '10.0.0.0/8')", "whether an address lies in a network"),
    function("timestamp", "timestamp('2026-12-31T19:00:00Z')", "a point in time"),
    function("size", "size(body.items)", "how many items or characters there are"),
    function("contains", "body.text.contains('x')", "whether a text holds another"),
    function("startsWith", "body.text.startsWith('x')", "whether a text begins with another"),
    function("endsWith", "body.text.endsWith('x')", "whether a text ends with another"),
    function("matches", "body.text.matches('^[A-Z]+$')", "whether a regular expression finds something in a text"),
    function("exists", "body.items.exists(item, item.code == 'A')", "whether something holds of an item at least"),
    function("all", "body.items.all(item, item.code == 'A')", "whether something holds of every item"),
];

/// Goes through the names that may begin a fact.
pub fn roots() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    let mut fresh = move |group: &'static str| std::mem::replace(&mut last, group) != group;
    FACTS.iter().map(|fact| fact.group).filter(move |group| fresh(group)).chain([BODY])
}

const fn fact(id: FactId, group: &'static str, name: &'static str, kind: FactKind, about: &'static str) -> Fact {
    Fact { id, group, name, kind, about }
}

const fn function(name: &'static str, usage: &'static str, about: &'static str) -> Function {
    Function { name, usage, about }
}
