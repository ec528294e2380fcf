#![doc = include_str!("../README.md")]

use adapters::keys::Keyring;
use adapters::store::port::{Answer, Authorizations, Claims};
use policies::code::{Code, Outage};
use policies::rulebook::Rulebook;
use policies::time::Timestamp;
use spine::error::Rejection;

pub mod authorize;
pub mod citizen;
pub mod consents;
pub mod ending;
pub mod identify;
pub mod introspect;
pub mod metadata;
pub mod pages;
pub mod par;
pub mod revoke;
pub mod token;
pub mod visit;

/// What the flows work with.
#[derive(Clone, Copy)]
pub struct Server<'a> {
    /// The issuer; also the one audience of its tokens.
    pub issuer: &'a str,
    /// The keys that sign tokens, and verify them.
    pub keyring: &'a Keyring,
    /// What is decided of clients and consents.
    pub rulebook: &'a Rulebook,
    /// Where requests, codes, grants and consents rest.
    pub store: &'a dyn Authorizations,
    /// Where it is known what was used up.
    pub claims: &'a dyn Claims,
    /// What was taken back.
    pub revocations: &'a dyn Revocations,
}

/// Knows what was taken back.
pub trait Revocations: Send + Sync {
    /// Tells whether one of the names was.
    fn is_revoked<'a>(&'a self, names: &'a [[u8; 32]], now: Timestamp) -> Answer<'a, bool>;
}

/// How often a change is tried again if somebody else was faster: each time somebody else has come through.
const TRIES: usize = 5;

fn away(outage: &Outage) -> Rejection {
    Rejection::outage(Code::DependencyDown, outage)
}

fn contended() -> Rejection {
    Rejection::outage(Code::DependencyDown, &Outage::new("authorizations", "others were faster each time"))
}
