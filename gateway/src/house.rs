//! What outlasts a policy generation: keys, stores, limits, the log.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use adapters::audit::Audit;
use adapters::clock::Clock;
use adapters::entropy::{self, Namer};
use adapters::http::scout::Scout;
use adapters::keys::{LiveKeyring, Sealer};
use adapters::limit::limits::Limits;
use adapters::limit::peer::PeerGuard;
use adapters::oauth::Jwks;
use adapters::store::port::{Authorizations, Claims, Durable, Outbox, Replays, SubjectKeys, Verifications};
use arc_swap::ArcSwap;
use policies::id::InteractionId;
use policies::time::Timestamp;

use crate::beginnings::Beginnings;
use crate::changes::Changes;
use crate::desk::Desk;
use crate::metrics::Metrics;
use crate::remembrance::Remembrance;
use crate::revocations::{Revocations, Watched};
use crate::secrets::Secrets;

/// What bounds the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// The most public requests under way at once; beyond it they are shed.
    pub requests_in_flight_max: usize,
    /// How often verifications of one person may be asked for on our pages, within `login::ASKED_WITHIN`.
    pub asked_max: usize,
}

/// Everything the stages need that no administrator's file decides.
pub struct House {
    /// The time.
    pub clock: Clock,
    /// The issuer of tokens and results, byte for byte the same everywhere.
    pub issuer: String,
    /// The external URL of the listener that asks for no certificate.
    pub external: String,
    /// The external URL of the listener that asks for certificates, if there is one.
    pub mtls_external: Option<String>,
    /// Keys that sign tokens and results, and verify them; they may be exchanged while requests are under way.
    pub keyring: Arc<LiveKeyring>,
    /// How often they are rotated by themselves; never without it.
    pub rotate_every: Option<Duration>,
    /// Seals what names a person.
    pub sealer: Arc<Sealer>,
    /// Proofs and assertions that were shown.
    pub replays: Arc<dyn Replays>,
    /// What stands behind them.
    pub remembrance: Remembrance,
    /// Idempotent requests.
    pub claims: Arc<dyn Claims>,
    /// Identity verifications.
    pub verifications: Arc<dyn Verifications>,
    /// What clients are to be told.
    pub outbox: Arc<dyn Outbox>,
    /// The keys of persons.
    pub subject_keys: Arc<dyn SubjectKeys>,
    /// What was given out to clients and citizens; what is revoked through this port counts here at once.
    pub authorizations: Arc<dyn Authorizations>,
    /// What was taken back, here and elsewhere.
    pub revocations: Arc<Revocations>,
    /// Who asks places that policies name.
    pub scout: Scout,
    /// The keys that clients and other authorization servers publish.
    pub jwks: Jwks,
    /// The store behind all that must last.
    pub durable: Arc<dyn Durable>,
    /// The secrets of the configuration, as they were read last.
    pub secrets: ArcSwap<Secrets>,
    /// The counters of plans and operations.
    pub limiter: Limits,
    /// The buckets of peers.
    pub peers: PeerGuard,
    /// How many identity checks are begun by pages.
    pub beginnings: Beginnings,
    /// How many refusals of callers nobody knows are recorded.
    pub strangers: Strangers,
    /// The audit log.
    pub audit: Audit,
    /// Where wishes to reload are left.
    pub desk: Desk,
    /// Changes of the policy set by administrators; none where it comes from folders.
    pub changes: Option<Changes>,
    /// What is counted.
    pub metrics: Metrics,
    /// Names interactions.
    pub namer: Namer,
    /// Public requests under way.
    pub in_flight: Arc<AtomicUsize>,
    /// What bounds the process.
    pub limits: ProcessLimits,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Refusals of callers nobody knows that are recorded, each second: enough to see an attack in the trail, not enough to
/// fill a disk (about 50 KB a second).
pub const STRANGERS_PER_SECOND: u32 = 100;

/// Counts refusals of strangers, second by second.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<(i64, u32)>);

impl Strangers {
    /// Tells whether one more may be recorded at `now`.
    #[must_use]
    pub fn admit(&self, now: Timestamp) -> bool {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != now.seconds() {
            *counted = (now.seconds(), 0);
        }
        counted.1 = counted.1.saturating_add(1);
        counted.1 <= STRANGERS_PER_SECOND
    }
}

impl House {
    /// Names a new interaction.
    #[must_use]
    pub fn new_interaction(&self) -> InteractionId {
        InteractionId::parse(&self.namer.name()).expect("a UUID is 36 letters, digits and hyphens")
    }

    /// Makes the reference under which a backend will know a deed.
    #[must_use]
    pub fn new_reference(&self) -> String {
        entropy::uuid_v7(self.clock.now())
    }
}

/// Makes the list of what was taken back, and the port whose revocations it takes in at once.
#[must_use]
pub fn watched(durable: &Arc<dyn Durable>) -> (Arc<dyn Authorizations>, Arc<Revocations>) {
    let store = Arc::clone(durable) as Arc<dyn Authorizations>;
    let revocations = Arc::new(Revocations::new(Arc::clone(&store)));
    (Arc::new(Watched::new(store, Arc::clone(&revocations))), revocations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_refusals_of_strangers_are_recorded_each_second_and_not_one_more() {
        let strangers = Strangers::default();
        let now = Timestamp::from_seconds(9);
        assert!((0..STRANGERS_PER_SECOND).all(|_| strangers.admit(now)));
        assert!(!strangers.admit(now));
        assert!(strangers.admit(Timestamp::from_seconds(10)));
    }
}
