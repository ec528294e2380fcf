//! The ports of the stores: what every store promises, whatever stands behind it.
//!
//! Each call is atomic and safe to drop at any await: what it did then stands, and a claim it took is a lease that ends.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use policies::code::Outage;
use policies::id::{IdempotencyKey, ProviderId, VerificationId};
use policies::once::{EarlierClaim, StoredReply};
use policies::time::Timestamp;
use policies::verification::{State, Verification};

/// What a port gives back: boxed, so that a port can be a trait object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Outage>> + Send + 'a>>;

/// How long a store remembers that a single-use thing was spent.
///
/// An identity result may be shown for five minutes and a claim is kept for a day: forgotten within that time, a thing
/// could be spent twice.
pub const SPENDS_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How long a store remembers a verification after nobody needs to come any more.
///
/// Long enough for questions of the person and the client; what must last longer stands in the audit trail.
pub const VERIFICATIONS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Remembers what may be shown once: proofs, assertions, callbacks.
pub trait Replays: Send + Sync {
    /// Remembers `key` until `keep_until`; `true` if it was not remembered at `now`.
    ///
    /// Of any number of calls at once with one key, one gets `true`, whoever the owners are. A store that is full, or
    /// cannot tell, gives an outage, never `true`. A store whose room is bounded gives no owner more than its share:
    /// whoever is beyond it gets an outage, alone, until keys of theirs are over. `owner` is whoever is proven to ask.
    fn claim<'a>(&'a self, owner: &'a str, key: [u8; 32], keep_until: Timestamp, now: Timestamp) -> Answer<'a, bool>;
}

/// A wish to do something once.
#[derive(Debug, Clone)]
pub struct NewClaim {
    /// The client, the operation and the key the client chose.
    pub key: IdempotencyKey,
    /// SHA-256 over path, query and canonical body.
    pub digest: [u8; 32],
    /// Under which reference the backend will know the deed, should this be the first claim.
    pub reference: String,
    /// How long the deed may take; then another request with the same body may take the claim over.
    pub lease: Duration,
    /// How long the claim, or its answer, is kept.
    pub keep: Duration,
}

/// The right to do a claimed deed, made only by a store.
#[derive(Debug, Clone)]
pub struct ClaimTicket {
    pub(crate) key: IdempotencyKey,
    pub(crate) digest: [u8; 32],
    pub(crate) reference: String,
    /// Tells this holder from one that took the claim over after the lease.
    pub(crate) token: [u8; 16],
}

impl ClaimTicket {
    /// Returns the key that is claimed.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// Returns the reference of the deed: that of the first claim, also after it was taken over.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }
}

/// What became of a wish to claim.
#[derive(Debug)]
pub enum ClaimAnswer {
    /// The caller may do the deed.
    Taken(ClaimTicket),
    /// Another request came earlier.
    Earlier(EarlierClaim),
}

/// Remembers what clients asked to be done once, and what was answered.
pub trait Claims: Send + Sync {
    /// Claims a key.
    ///
    /// A claim whose `keep` is over is as if it had never been. One that is neither answered nor within its lease, be
    /// that over or given back, is taken over if the digest is the same, and keeps the reference it first had.
    fn claim(&self, claim: NewClaim, now: Timestamp) -> Answer<'_, ClaimAnswer>;

    /// Spends single-use things for a claimed deed, all or none; `false` if another claim spent one of them before.
    ///
    /// What the same key and digest spent before counts as unspent: a deed that is tried again may spend it again.
    /// A ticket that was taken over gives an outage.
    fn clear<'a>(&'a self, ticket: &'a ClaimTicket, spends: &'a [String], now: Timestamp) -> Answer<'a, bool>;

    /// Keeps the answer of the deed; an outage if the claim was taken over.
    fn finish<'a>(&'a self, ticket: &'a ClaimTicket, reply: StoredReply, now: Timestamp) -> Answer<'a, ()>;

    /// Gives the claim back: its lease ends at `now`, and this ticket can do nothing more.
    ///
    /// Digest, reference and spends stay for the rest of `keep`: an earlier holder may have reached the backend and lost
    /// the answer, and under another reference the same key would do the deed twice. So the same digest takes the claim
    /// over as after any lease, under the first reference; another finds it in its way. Does nothing if the claim is
    /// answered or was taken over.
    fn release<'a>(&'a self, ticket: &'a ClaimTicket, now: Timestamp) -> Answer<'a, ()>;
}

/// Remembers identity verifications.
pub trait Verifications: Send + Sync {
    /// Remembers a new one; an outage if its id, or its provider's session, is there already.
    fn insert(&self, verification: Verification) -> Answer<'_, ()>;

    /// Finds one by its id.
    fn get<'a>(&'a self, id: &'a VerificationId) -> Answer<'a, Option<Verification>>;

    /// Finds the one that a provider's session belongs to.
    fn by_session<'a>(&'a self, provider: &'a ProviderId, session: &'a str) -> Answer<'a, Option<Verification>>;

    /// Puts `verification` in place of the one with its id, if that one's stored state is `expected`; `false` if it is not.
    fn replace<'a>(&'a self, verification: &'a Verification, expected: State) -> Answer<'a, bool>;
}
