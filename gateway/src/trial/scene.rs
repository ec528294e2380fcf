//! One house of its own for a case: stores in memory, a clock that stands until it is moved, no socket, no file.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapters::audit::Audit;
use adapters::clock::Clock;
use adapters::entropy::Namer;
use adapters::http::scout::Scout;
use adapters::http::trust::Trust;
use adapters::keys::{LiveKeyring, Sealer};
use adapters::limit::limits::Limits;
use adapters::limit::peer::PeerGuard;
use adapters::oauth::Jwks;
use adapters::store::memory::MemoryStore;
use adapters::store::port::{Claims, Durable, Outbox, SubjectKeys, Verifications};
use adapters::store::sealed::SealedStore;
use arc_swap::ArcSwap;
use policies::admin::AdminEntry;
use policies::id::ProviderId;
use policies::limit::Rate;
use policies::login::ASKED_MAX;
use policies::secret::Secret;
use policies::time::Timestamp;
use spine::stage::{Arrived, Door, Entrance};

use super::script::{Play, Script};
use crate::desk::Desk;
use crate::generation::Generation;
use crate::house::{House, ProcessLimits, Strangers, watched};
use crate::metrics::Metrics;
use crate::reach::Reach;
use crate::remembrance::Remembrance;
use crate::secrets::Secrets;
use crate::stack::{ReplyFuture, Stack};

/// The issuer of a trial's tokens, and the external URL of its public door; `.invalid` never resolves (RFC 2606).
pub(super) const ISSUER: &str = "https://trial.invalid";

/// The external URL of the door that asks for certificates.
const MTLS: &str = "https://mtls.trial.invalid";

/// The external URL of the administrators' door.
const ADMIN: &str = "https://admin.trial.invalid";

/// How long a silent service is waited for: it never answers, and nobody watches.
const PATIENCE: Duration = Duration::from_millis(20);

/// What the guard lets one address send; its limit is the operator's and no matter of a policy set.
const PER_PEER: u32 = 1_000_000;

/// What all scenes share: made once, changed by none.
#[derive(Debug)]
pub(super) struct Stage {
    /// The policies and the contract, as they are at first.
    pub(super) first: Arc<Generation>,
    /// What they come to later, each from its birth on, in the order of time.
    pub(super) later: Vec<Arc<Generation>>,
    /// Signs tokens and results.
    pub(super) keyring: Arc<LiveKeyring>,
    /// Seals what names a person.
    pub(super) sealer: Arc<Sealer>,
    /// The secrets of callbacks, by provider.
    pub(super) webhooks: HashMap<ProviderId, Vec<u8>>,
    /// Who administers.
    pub(super) administrators: Vec<AdminEntry>,
    /// Trusts nobody.
    pub(super) trust: Trust,
    /// The doors.
    pub(super) doors: [Arc<Entrance>; 3],
}

/// The doors of every scene.
pub(super) fn doors() -> [Arc<Entrance>; 3] {
    [(Door::Api, ISSUER), (Door::MtlsApi, MTLS), (Door::Admin, ADMIN)].map(|(door, external)| {
        let host = external.trim_start_matches("https://").to_owned();
        Arc::new(Entrance { door, external: external.to_owned(), hosts: vec![host] })
    })
}

impl Stage {
    /// Returns what is in force at a time.
    pub(super) fn generation(&self, at: Timestamp) -> &Arc<Generation> {
        self.later.iter().rfind(|generation| generation.birth.at <= at).unwrap_or(&self.first)
    }

    /// Returns a door.
    pub(super) fn door(&self, door: Door) -> Arc<Entrance> {
        let [api, mtls, admin] = &self.doors;
        Arc::clone(match door {
            Door::Api => api,
            Door::MtlsApi => mtls,
            Door::Admin => admin,
        })
    }
}

/// A house with nothing in it, at a time of its own.
pub(super) struct Scene<'t> {
    /// What it shares.
    pub(super) stage: &'t Stage,
    /// The house.
    pub(super) house: Arc<House>,
    sessions: AtomicUsize,
}

impl<'t> Scene<'t> {
    /// Sets up a house where it is `at`.
    pub(super) fn new(stage: &'t Stage, at: Timestamp) -> Self {
        let clock = Clock::manual(at);
        let inner: Arc<dyn Durable> = Arc::new(MemoryStore::new());
        let durable: Arc<dyn Durable> = Arc::new(SealedStore::new(inner, Arc::clone(&stage.sealer), at));
        let secret = |(id, secret): (&ProviderId, &Vec<u8>)| (id.clone(), Secret::new(secret.clone()));
        let secrets = Secrets {
            webhooks: stage.webhooks.iter().map(secret).collect(),
            administrators: stage.administrators.clone(),
        };
        let remembrance = Remembrance::own();
        let rate = Rate { count: NonZeroU32::MIN.saturating_add(PER_PEER), per: Duration::from_secs(1) };
        let (authorizations, revocations) = watched(&durable);
        let house = House {
            changes: None,
            issuer: ISSUER.to_owned(),
            external: ISSUER.to_owned(),
            mtls_external: Some(MTLS.to_owned()),
            keyring: Arc::clone(&stage.keyring),
            rotate_every: None,
            sealer: Arc::clone(&stage.sealer),
            replays: Arc::clone(&remembrance.replays),
            remembrance,
            claims: Arc::clone(&durable) as Arc<dyn Claims>,
            verifications: Arc::clone(&durable) as Arc<dyn Verifications>,
            outbox: Arc::clone(&durable) as Arc<dyn Outbox>,
            subject_keys: Arc::clone(&durable) as Arc<dyn SubjectKeys>,
            authorizations,
            revocations,
            durable,
            secrets: ArcSwap::from_pointee(secrets),
            // A trial asks nobody.
            scout: Scout::nowhere(),
            jwks: Jwks::new(Scout::nowhere()),
            limiter: Limits::default(),
            peers: PeerGuard::new(rate, rate.count),
            beginnings: crate::beginnings::Beginnings::default(),
            strangers: Strangers::default(),
            audit: Audit::in_memory(),
            desk: Desk::default(),
            metrics: Metrics::new(),
            namer: Namer::default(),
            in_flight: Arc::new(AtomicUsize::new(0)),
            limits: ProcessLimits { requests_in_flight_max: usize::MAX, asked_max: ASKED_MAX },
            clock,
        };
        // Nobody reads wishes here: whoever leaves one is told so at once.
        house.desk.close();
        Self { stage, house: Arc::new(house), sessions: AtomicUsize::new(0) }
    }

    /// Returns what time it is.
    pub(super) fn now(&self) -> Timestamp {
        self.house.clock.now()
    }

    /// Returns what is in force now: an override may have ended since the scene began.
    pub(super) fn generation(&self) -> &'t Arc<Generation> {
        self.stage.generation(self.now())
    }

    /// Names the next session of an identity provider: `trial-session`, then `trial-session-2` and so on.
    pub(super) fn session(&self) -> String {
        match self.sessions.fetch_add(1, Ordering::Relaxed) {
            0 => "trial-session".to_owned(),
            before => format!("trial-session-{}", before + 1),
        }
    }

    /// Builds the stack of production over this house, with a service behind it that plays `play`.
    pub(super) fn stack(&self, play: Play) -> Option<Staged> {
        // Nobody can tell whether it will answer, so that only the bounds count; there is no need to wait for the real ones.
        let patience = if matches!(play, Play::Silent) { PATIENCE } else { Duration::MAX };
        let script = Script::new(play);
        let generation = self.generation();
        let service = |protocol| script.door(protocol);
        let reach = Reach::inside(&generation.rulebook, &self.stage.trust, service, patience).ok()?;
        let stack = Stack::build(&self.house, Arc::clone(generation), Arc::new(reach));
        Some(Staged { stack, script })
    }
}

/// A stack with the service behind it.
pub(super) struct Staged {
    stack: Stack,
    /// The service.
    pub(super) script: Arc<Script>,
}

impl Staged {
    /// Answers a request.
    pub(super) fn answer(&self, arrived: Arrived) -> ReplyFuture {
        self.stack.answer(arrived)
    }

    /// Returns the stack.
    pub(super) fn stack(&self) -> &Stack {
        &self.stack
    }
}
