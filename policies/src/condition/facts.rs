//! What a condition may ask of one request.

use std::net::IpAddr;

use serde_json::Value;

use crate::id::{ApiId, OperationId};
use crate::party::{Client, ScopeSet};
use crate::time::Timestamp;

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
    /// The body, once it was read and found to fit the contract.
    pub body: Option<&'a Value>,
    /// When the request was received.
    pub now: Timestamp,
}
