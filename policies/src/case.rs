//! Cases of `tests:` blocks: who calls what, and what has to come of it. The running stands elsewhere.
//!
//! Must never know how a request looks on the wire: headers are pairs of texts that an administrator wrote.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::admin::AdminRole;
use crate::id::{ClientId, OperationId, OrganisationId};
use crate::language::Place;
use crate::rulebook::{Client, Organisation};
use crate::time::Timestamp;

/// Organisations and clients that exist in cases and nowhere else: no running gateway is ever given them.
#[derive(Debug, Clone, Default)]
pub struct Fixtures {
    /// The organisations.
    pub organisations: BTreeMap<OrganisationId, Arc<Organisation>>,
    /// The clients, of these organisations or of real ones; their keys are made when cases run.
    pub clients: HashMap<ClientId, Arc<Client>>,
}

/// One case: steps that follow each other on one gateway of their own.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called, a sentence.
    pub name: String,
    /// When it begins; left out, on a day that licences of the set cover.
    pub at: Option<Timestamp>,
    /// The steps; at least one.
    pub steps: Vec<Step>,
    /// Where it stands.
    pub place: Place,
}

/// One call, made once or more often, and what has to come of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// How far the clock is moved before.
    pub after: Duration,
    /// How often the call is made; at least 1. Only the last answer is judged.
    pub repeat: u32,
    /// How many calls like it are under way while it is made; none of their answers is judged.
    pub under_way: u32,
    /// The call.
    pub given: Given,
    /// What has to come of it.
    pub expect: Expect,
    /// Where it stands.
    pub place: Place,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Given {
    /// The operation that is called.
    pub operation: OperationId,
    /// The client with a good token; none calls without any.
    pub client: Option<ClientId>,
    /// An administrator with these roles instead.
    pub administrator: Option<BTreeSet<AdminRole>>,
    /// The scopes of the token; left out, all that the client may have and the operation asks for.
    pub scopes: Option<Vec<String>>,
    /// What is wrong with the token, or with what else shows who calls.
    pub token: Option<TokenFault>,
    /// What the citizen whom the token speaks for has agreed to; left out, what fits, where a consent is needed.
    pub consent: Option<Consented>,
    /// The peer's address; left out, one of the client's networks.
    pub peer: Option<std::net::IpAddr>,
    /// Parameters of path, query and header by name; `query:` or `header:` before one the contract does not know. A text
    /// `${/pointer}` is what stood there in the answer before.
    pub parameters: Vec<(String, String)>,
    /// The body.
    pub body: Option<Value>,
    /// The level of an identity result that comes with it, bound to this very request: `L1` to `L4`.
    pub verified: Option<String>,
    /// What the backend answers, if it is asked.
    pub backend: Backend,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// There is none.
    Missing,
    /// Its time is over.
    Expired,
    /// It comes without proof that it is in the client's hands.
    Unbound,
    /// It is bound to another key or certificate than the one that is shown.
    OtherKey,
    /// Its proof names no nonce, although the client's have to.
    NoNonce,
}

impl TokenFault {
    /// Every fault.
    pub const ALL: [TokenFault; 5] =
        [TokenFault::Missing, TokenFault::Expired, TokenFault::Unbound, TokenFault::OtherKey, TokenFault::NoNonce];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            TokenFault::Missing => "missing",
            TokenFault::Expired => "expired",
            TokenFault::Unbound => "unbound",
            TokenFault::OtherKey => "other-key",
            TokenFault::NoNonce => "no-nonce",
        }
    }
}

/// What a citizen has agreed to, as far as a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consented {
    /// To this very call.
    Fits,
    /// To nothing: the client speaks for itself.
    None,
    /// To something else of the kind: another account, another payment.
    Other,
    /// To this very call, and it was made before.
    Consumed,
}

impl Consented {
    /// Every answer.
    pub const ALL: [Consented; 4] = [Consented::Fits, Consented::None, Consented::Other, Consented::Consumed];

    /// Returns the word of the policy language.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Consented::Fits => "fits",
            Consented::None => "none",
            Consented::Other => "other",
            Consented::Consumed => "consumed",
        }
    }
}

/// What a scripted backend does; for an operation of the gateway's own, the identity providers.
#[derive(Debug, Clone, PartialEq)]
pub enum Backend {
    /// Answers with a status and a body; left out, 200 and the contract's example.
    Answers {
        /// The status; left out, the lowest success of the contract.
        status: Option<u16>,
        /// The body; left out, the contract's example.
        body: Option<Value>,
    },
    /// Cannot be reached.
    Down,
    /// Takes the request and never answers.
    Silent,
}

/// What has to come of a call; what is left out is not looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expect {
    /// The status.
    pub status: Option<u16>,
    /// The problem's name, the last part of its type.
    pub problem: Option<String>,
    /// The stage that refused, by its name in the stack.
    pub stage: Option<String>,
    /// The limit that had no room, by its id or name.
    pub limit: Option<String>,
    /// The rule that refused, by its name: a step-up, a fraud rule.
    pub rule: Option<String>,
    /// Whether the backend was asked.
    pub backend_called: Option<bool>,
    /// Values in the answer's body by JSON pointer; `null` says that nothing is there.
    pub body: Vec<(String, Value)>,
}
