//! What a condition may ask of one request.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::id::{ApiId, OperationId};
use crate::national::money::Money;
use crate::party::{Client, ScopeSet};
use crate::time::Timestamp;

/// The members of an amount of money, as contracts have them.
const AMOUNT: &str = "amount";
const CURRENCY: &str = "currency";

/// What a condition may ask of one request; a fact that is not there is `None`, and asking for it denies.
#[derive(Debug, Clone, Copy)]
pub struct ConditionFacts<'a> {
    /// The operation that is called.
    pub operation: &'a OperationId,
    /// The API it belongs to.
    pub api: &'a ApiId,
    /// The client, if one called.
    pub client: Option<&'a Client>,
    /// The scopes of its token.
    pub scopes: Option<&'a ScopeSet>,
    /// The peer's address.
    pub peer: Option<IpAddr>,
    /// The body, as far as it is known.
    pub body: KnownBody<'a>,
    /// When the request was received.
    pub now: Timestamp,
}

/// How much of a body is known.
#[derive(Debug, Clone, Copy)]
pub enum KnownBody<'a> {
    /// Nothing: it was not read, or there is none.
    Nothing,
    /// All of it, found to fit the contract.
    Whole(&'a Value),
    /// One amount that stood in it; what stood beside it nobody wrote down.
    Amount(&'a KnownAmount),
}

impl<'a> From<Option<&'a Value>> for KnownBody<'a> {
    fn from(body: Option<&'a Value>) -> Self {
        body.map_or(KnownBody::Nothing, KnownBody::Whole)
    }
}

/// An amount that stood in a body, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAmount {
    path: Vec<String>,
    // An object with the two members that make an amount, in the only form that is read as this amount.
    value: Value,
}

impl KnownAmount {
    /// Takes an amount that was read at a JSON pointer (RFC 6901) of a body; none if it may be an item of a list, to which
    /// conditions have another way.
    #[must_use]
    pub fn at(pointer: &str, amount: &Money) -> Option<Self> {
        let names = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
        let path: Vec<String> = names.collect();
        if path.iter().any(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            return None;
        }
        let mut members = Map::new();
        members.insert(AMOUNT.to_owned(), Value::String(amount.amount()));
        members.insert(CURRENCY.to_owned(), Value::String(amount.currency().code().to_owned()));
        Some(Self { path, value: Value::Object(members) })
    }

    /// Returns the amount, as an object of which only the two members that make it are known, if it stood at a place.
    pub(super) fn object(&self, path: &[String]) -> Option<&Value> {
        (path == self.path).then_some(&self.value)
    }

    /// Returns one of its members, if it stood at a place.
    pub(super) fn member(&self, path: &[String]) -> Option<&Value> {
        let (name, way) = path.split_last()?;
        self.object(way)?.get(name)
    }

    /// Tells whether something stood at a place for certain: on the way to the amount or within it.
    pub(super) fn shows(&self, path: &[String]) -> bool {
        self.path.starts_with(path) || self.member(path).is_some()
    }
}
