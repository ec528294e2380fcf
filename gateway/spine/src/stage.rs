//! The stages of a request, each a type of its own: who holds a [`Cleared`] knows that every check before it was made.
//!
//! A stage holds the one before it, and reads through to it. The request itself is one box ([`Inflight`]) and what each
//! stage learnt is another, so that moving a stage moves a few pointers: every step's future holds its stage, and a
//! future is copied more often than one thinks. Each stage is made in one place: the layer of its name.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use openapi::{CanonicalPath, RouteMatch, ValidBody};
use policies::caller::Caller;
use policies::decide::{Clearance, Permit};
use policies::facts::BodyFacts;
use policies::id::InteractionId;
use policies::peer::Peer;
use policies::proof::VerifiedProof;
use policies::rulebook::OperationPolicy;
use policies::time::Timestamp;

use crate::body::Body;
use crate::trail::Trail;

/// Which door a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// The public listener that never asks for a certificate.
    Api,
    /// The public listener that asks for one.
    MtlsApi,
    /// The listener of administrators.
    Admin,
}

impl Door {
    /// Returns the word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Door::Api => "api",
            Door::MtlsApi => "mtls_api",
            Door::Admin => "admin",
        }
    }
}

/// A listener as the outside knows it.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// Which door it is.
    pub door: Door,
    /// Scheme, host and port that clients use, for example `https://127.0.0.1:8443`; never taken from a request.
    pub external: String,
    /// The host names (`host` or `host:port`, lower case) that it answers to; empty means any.
    pub hosts: Vec<String>,
}

/// A request as the listener gives it on.
#[derive(Debug)]
pub struct Arrived {
    /// The request.
    pub request: http::Request<Body>,
    /// The other end of the connection.
    pub peer: Peer,
    /// The listener.
    pub entrance: Arc<Entrance>,
    /// The number of the serving thread, from zero.
    pub worker: usize,
}

/// A request that has a name: the first thing it gets, so that every answer can tell it.
#[derive(Debug)]
pub struct Traced {
    /// The request as it arrived.
    pub arrived: Box<Arrived>,
    /// Its interaction id.
    pub interaction: InteractionId,
}

/// A request that the guard let in, with the time it has.
#[derive(Debug)]
pub struct Guarded {
    traced: Traced,
    deadline: Instant,
}

impl Guarded {
    /// Says that there was room for it.
    #[must_use]
    pub fn admitted(traced: Traced, deadline: Instant) -> Self {
        Self { traced, deadline }
    }

    /// Opens the box of a request: `trail` has been opened for it at `received`.
    #[must_use]
    pub fn receive(self, received: Timestamp, trail: Trail) -> Received {
        let Traced { arrived, interaction } = self.traced;
        let Arrived { request, peer, entrance, worker } = *arrived;
        let (head, body) = request.into_parts();
        let deadline = self.deadline;
        Received(Box::new(Inflight { head, body, peer, entrance, worker, interaction, received, deadline, trail }))
    }

    /// Returns the interaction id.
    #[must_use]
    pub fn interaction(&self) -> &InteractionId {
        &self.traced.interaction
    }
}

/// A request on its way, in one box.
#[derive(Debug)]
pub struct Inflight {
    /// Method, target and headers as they came.
    pub head: Parts,
    /// The body as far as it was not read.
    pub body: Body,
    /// The other end of the connection.
    pub peer: Peer,
    /// The listener.
    pub entrance: Arc<Entrance>,
    /// The number of the serving thread.
    pub worker: usize,
    /// The interaction id.
    pub interaction: InteractionId,
    /// When it came, for rules and records.
    pub received: Timestamp,
    /// When its time is over, on the process's own clock; `route` draws it nearer.
    pub deadline: Instant,
    /// What is noted of it.
    pub trail: Trail,
}

/// A request whose trail is open.
#[derive(Debug)]
pub struct Received(Box<Inflight>);

impl Received {
    /// Gives mutable access to the request.
    pub fn inflight_mut(&mut self) -> &mut Inflight {
        &mut self.0
    }
}

impl Deref for Received {
    type Target = Inflight;

    fn deref(&self) -> &Inflight {
        &self.0
    }
}

macro_rules! reads_through {
    ($($stage:ident . $before:ident : $target:ident)*) => {$(
        impl Deref for $stage {
            type Target = $target;

            fn deref(&self) -> &$target {
                &self.$before
            }
        }

        impl $stage {
            /// Gives mutable access to the request itself; what was decided cannot be changed.
            pub fn inflight_mut(&mut self) -> &mut Inflight {
                self.$before.inflight_mut()
            }
        }
    )*};
}

reads_through! {
    Routed.received: Received
    Identified.routed: Routed
    Metered.identified: Identified
    Permitted.metered: Metered
    Sound.permitted: Permitted
    Cleared.sound: Sound
}

/// A request for an operation that the contract describes and a policy exposes at this door.
#[derive(Debug)]
pub struct Routed {
    received: Received,
    learnt: Box<Route>,
}

#[derive(Debug)]
struct Route {
    path: CanonicalPath,
    matched: RouteMatch,
    policy: Arc<OperationPolicy>,
}

impl Routed {
    /// Says which operation it is.
    #[must_use]
    pub fn found(received: Received, path: CanonicalPath, matched: RouteMatch, policy: Arc<OperationPolicy>) -> Self {
        Self { received, learnt: Box::new(Route { path, matched, policy }) }
    }

    /// Returns the one path that routing, policy, proof and upstream use.
    #[must_use]
    pub fn path(&self) -> &CanonicalPath {
        &self.learnt.path
    }

    /// Returns the operation of the contract and the path's parameters.
    #[must_use]
    pub fn matched(&self) -> &RouteMatch {
        &self.learnt.matched
    }

    /// Returns what policy says of it.
    #[must_use]
    pub fn policy(&self) -> &Arc<OperationPolicy> {
        &self.learnt.policy
    }
}

/// A request whose caller is proven.
#[derive(Debug)]
pub struct Identified {
    routed: Routed,
    learnt: Box<Identity>,
}

#[derive(Debug)]
struct Identity {
    caller: Caller,
    raw: Option<Bytes>,
    proof: Option<VerifiedProof>,
}

impl Identified {
    /// Says who asks; `raw` is the body and `proof` the DPoP proof, if they had to be read for that.
    #[must_use]
    pub fn proven(routed: Routed, caller: Caller, raw: Option<Bytes>, proof: Option<VerifiedProof>) -> Self {
        Self { routed, learnt: Box::new(Identity { caller, raw, proof }) }
    }

    /// Returns the DPoP proof that came with the request, once it was verified and spent.
    #[must_use]
    pub fn proof(&self) -> Option<&VerifiedProof> {
        self.learnt.proof.as_ref()
    }

    /// Returns who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.learnt.caller
    }

    /// Returns the body, if it was read to authenticate.
    #[must_use]
    pub fn raw(&self) -> Option<&Bytes> {
        self.learnt.raw.as_ref()
    }
}

/// A request that fits into every limit of its caller.
#[derive(Debug)]
pub struct Metered {
    identified: Identified,
}

impl Metered {
    /// Says that it was counted.
    #[must_use]
    pub fn counted(identified: Identified) -> Self {
        Self { identified }
    }
}

/// A request that its caller may make, as far as headers tell.
#[derive(Debug)]
pub struct Permitted {
    metered: Metered,
    permit: Option<Permit>,
}

impl Permitted {
    /// Joins the request with its permit.
    #[must_use]
    pub fn granted(metered: Metered, permit: Permit) -> Self {
        Self { metered, permit: Some(permit) }
    }
}

/// The body as the validator left it.
#[derive(Debug)]
pub enum SoundBody {
    /// The operation describes none and none came.
    None,
    /// The contract says nothing of its inside: it streams on, bounded in size and time.
    Streamed,
    /// It was read and checked against the contract.
    Checked {
        /// The bytes as they came; these are what goes on.
        raw: Bytes,
        /// The parsed and checked value.
        value: ValidBody,
    },
}

/// A request that keeps the contract.
#[derive(Debug)]
pub struct Sound {
    permitted: Permitted,
    learnt: Box<Contents>,
}

#[derive(Debug)]
struct Contents {
    body: SoundBody,
    facts: BodyFacts,
    digest: [u8; 32],
}

impl Sound {
    /// Joins the request with its checked body, what rules may ask of it, and SHA-256 of its canonical form.
    #[must_use]
    pub fn checked(permitted: Permitted, body: SoundBody, facts: BodyFacts, digest: [u8; 32]) -> Self {
        Self { permitted, learnt: Box::new(Contents { body, facts, digest }) }
    }

    /// Returns the body as the validator left it.
    #[must_use]
    pub fn sound_body(&self) -> &SoundBody {
        &self.learnt.body
    }

    /// Returns what the body says to rules.
    #[must_use]
    pub fn facts(&self) -> &BodyFacts {
        &self.learnt.facts
    }

    /// Returns SHA-256 over path, query and canonical body (RFC 8785); of no bytes where nothing depends on it.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.learnt.digest
    }

    /// Takes the permit out; it is there once.
    pub fn take_permit(&mut self) -> Option<Permit> {
        self.permitted.permit.take()
    }
}

/// What ties a request to the claim of its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(pub String);

/// A request that may be done.
#[derive(Debug)]
pub struct Cleared {
    sound: Sound,
    learnt: Box<Judgement>,
}

#[derive(Debug)]
struct Judgement {
    clearance: Clearance,
    reference: Option<Reference>,
    payer: Option<Payer>,
}

/// The verified payer's number, for the backend to compare with the account's owner.
#[derive(Debug)]
pub struct Payer(pub policies::secret::Secret<String>);

impl Cleared {
    /// Joins the request with its clearance and, for idempotent operations, the backend's reference.
    #[must_use]
    pub fn judged(sound: Sound, clearance: Clearance, reference: Option<Reference>, payer: Option<Payer>) -> Self {
        Self { sound, learnt: Box::new(Judgement { clearance, reference, payer }) }
    }

    /// Returns the clearance.
    pub fn clearance(&self) -> &Clearance {
        &self.learnt.clearance
    }

    /// Returns the reference under which the backend does this once.
    #[must_use]
    pub fn reference(&self) -> Option<&Reference> {
        self.learnt.reference.as_ref()
    }

    /// Returns the verified payer.
    #[must_use]
    pub fn payer(&self) -> Option<&Payer> {
        self.learnt.payer.as_ref()
    }
}
