//! What is known of a request when a rule judges it.

use std::net::IpAddr;

use serde_json::Value;

use crate::id::{ClientId, OperationId};
use crate::national::money::Money;
use crate::party::ScopeSet;

/// What the body said that rules may ask for; a fact that is not there is `None`, and the rule says what that means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyFacts {
    /// The amounts that rules ask for, by the JSON pointer they stand at; one that is not there is not here.
    pub amounts: Vec<(String, Money)>,
}

impl BodyFacts {
    /// Returns the amount at a place.
    #[must_use]
    pub fn amount(&self, pointer: &str) -> Option<&Money> {
        self.amounts.iter().find(|(known, _)| known == pointer).map(|(_, amount)| amount)
    }
}

/// What one request asks for, in the words of the rules that judge it last.
#[derive(Debug, Clone)]
pub struct RequestFacts<'a> {
    /// The client that asks; none if the public, a provider or an administrator does.
    pub client: Option<&'a ClientId>,
    /// What for.
    pub operation: &'a OperationId,
    /// The scopes of its token, if it came with one.
    pub scopes: Option<&'a ScopeSet>,
    /// Where the call comes from.
    pub peer: IpAddr,
    /// What the body says.
    pub body: &'a BodyFacts,
    /// The body itself, if it was read and fits the contract.
    pub value: Option<&'a Value>,
    /// SHA-256 over path, query and canonical body (RFC 8785): binds an identity result to this very request; none of a
    /// request whose body nobody has read.
    pub body_digest: Option<&'a [u8; 32]>,
}

/// How an operation's caller shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Nobody is asked.
    Public,
    /// A sender-constrained access token.
    AccessToken,
    /// The client authenticates itself with the request (token endpoint).
    ClientAuthentication,
    /// A provider's signature over the raw body.
    SignedCallback,
    /// An administrator's token or certificate.
    Administrator,
}

/// What the contract says of one operation: the plain list by which policy and contract are joined.
#[derive(Debug, Clone)]
pub struct OperationFacts {
    /// The `operationId`.
    pub id: String,
    /// The contract document it stands in, for example `payments`.
    pub api: String,
    /// The method, in upper case.
    pub method: String,
    /// The path template.
    pub template: String,
    /// How callers show who they are.
    pub security: Security,
    /// The scopes the contract asks for.
    pub scopes: Vec<String>,
    /// Whether a request body is described.
    pub has_body: bool,
    /// What a request body may hold.
    pub body: Shape,
    /// Whether a request body may be one that is not read: a stream of bytes, or anything else that is no JSON or form.
    pub body_streams: bool,
    /// What a successful answer may hold.
    pub answer: Shape,
    /// Whether a successful answer may be one that is not read.
    pub answer_streams: bool,
    /// The request headers that are described; any other one reaches no backend.
    pub headers: Vec<HeaderFacts>,
    /// Whether `x-idempotency-key` is a required header.
    pub idempotent: bool,
    /// Whether this gateway answers the operation itself instead of a backend.
    pub own: bool,
    /// The operations with the same method and a path of the same shape: at most one of them can be exposed.
    pub collides_with: Vec<String>,
    /// Why the operation cannot be exposed at all, for example because the contract does not say who may ask.
    pub obstacle: Option<String>,
    /// Where it stands, `file:line`, for diagnostics.
    pub origin: String,
}

impl OperationFacts {
    /// Returns what is said of a header, by its name in small letters; `None` if it is not described.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderFacts> {
        self.headers.iter().find(|header| header.name == name)
    }
}

/// What the contract says of a request header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Its name, in small letters.
    pub name: String,
    /// Whether every request has to have it.
    pub required: bool,
}

/// What the contract says may stand in a body, so that a misspelt place in a policy is found at load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Every place that is described, as a JSON pointer with `*` for the items of a list, sorted.
    pub fields: Vec<(String, FieldKind)>,
    /// Whether places may be there that are not described (open objects, recursion, schemas that are no objects).
    pub open: bool,
}

impl Shape {
    /// Returns the kind of value at a place; `None` if nothing is described there.
    #[must_use]
    pub fn kind(&self, pointer: &str) -> Option<FieldKind> {
        let at = self.fields.binary_search_by(|(known, _)| known.as_str().cmp(pointer)).ok()?;
        self.fields.get(at).map(|(_, kind)| *kind)
    }
}

/// The kind of value at a place of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A mapping.
    Object,
    /// A list.
    Array,
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A truth value.
    Boolean,
    /// More than one kind, or not told.
    Any,
}
